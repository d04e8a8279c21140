//! USER_TASK: waits for a person (spec 03, section 6.7; spec 06).

use proto::ironhorse::v1::UserTaskRunRow;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{
    UserTaskDefId, UserTaskNode, UserTaskNodeRun, UserTaskRun, UserTaskRunStatus, VariableValue,
};
use runtime::Rejection;

use super::{At, Done};
use crate::record;
use crate::run::{Failing, Fault, Unit};
use crate::spec;
use crate::time::timestamp;
use crate::user_task::{self, Arming, Owner, place};

pub(super) fn initial() -> NodeType {
    NodeType::UserTask(UserTaskNodeRun {
        user_task_run_id: None,
    })
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &UserTaskNode,
) -> Result<(), Failing> {
    let def = UserTaskDefId {
        name: node.user_task_def_name.clone(),
        version: node.user_task_def_version.unwrap_or_default(),
    };
    if spec::user_task_def(unit.context.global(), unit.tenant.name, &def).is_none() {
        let message = format!("UserTaskDef {def} does not exist: it seems to have been deleted");
        return Err(Fault::new("TASK_ERROR", message).into());
    }
    let here = place(at);
    let id = record::user_task_run::id(at.run.id.clone(), here);
    unit.node_mut(at.run, at.thread, at.position)?.node_type =
        Some(NodeType::UserTask(UserTaskNodeRun {
            user_task_run_id: Some(id),
        }));
    let wanted = user_task::wanted(unit, at, node).map_err(explained)?;
    check(&wanted.owner)?;
    let row = UserTaskRunRow {
        version: 1,
        user_task_run: Some(UserTaskRun {
            user_task_def_id: Some(def),
            notes: wanted.notes,
            scheduled_time: Some(timestamp(unit.now_ms())),
            ..UserTaskRun::default()
        }),
        ..UserTaskRunRow::default()
    };
    unit.user_tasks.insert(&at.run.key, here, row);
    user_task::assign(unit, at, wanted.owner, Arming::On)?;
    match user_task::arm_on_arrival(unit, at) {
        Err(Failing::Fault(fault)) => {
            // Nothing is left of it: neither the UserTaskRun nor what was armed (spec 06, D6).
            user_task::discard(unit, at.run, here)?;
            Err(explained(Failing::Fault(fault)))
        }
        Err(rejected @ Failing::Rejected(_)) => Err(rejected),
        Ok(()) => Ok(user_task::check_size(unit, at.run, here)?),
    }
}

fn explained(failing: Failing) -> Failing {
    match failing {
        Failing::Fault(fault) => Fault::var_sub(format!(
            "Invalid variables for the UserTaskRun: {}",
            fault.message
        ))
        .into(),
        rejected @ Failing::Rejected(_) => rejected,
    }
}

/// Somebody must be named. Clients' tests know these texts.
fn check(owner: &Owner) -> Result<(), Fault> {
    let refuse = |message: &str| Err(Fault::new("VAR_ERROR", message));
    let is_blank = |text: &Option<String>| text.as_deref().is_some_and(user_task::is_blank);
    if *owner == Owner::default() {
        return refuse("Invalid user task assignment");
    }
    if is_blank(&owner.user_id) {
        return refuse("Invalid user task assignment. UserId can't be empty");
    }
    if is_blank(&owner.user_group) {
        return refuse("Invalid group task assignment. UserGroup can't be empty");
    }
    Ok(())
}

pub(super) fn poll(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<Option<Done>, Failing> {
    let Some(row) = user_task::find(unit, at.run, place(at))? else {
        return Err(Rejection::internal("UserTaskRun is missing").into());
    };
    let status = row.user_task_run.as_ref().map(UserTaskRun::status);
    match (status, &row.cancelled) {
        (Some(UserTaskRunStatus::Done), _) => Ok(Some(Done::Next)),
        (Some(UserTaskRunStatus::Cancelled), Some(cancelled)) => {
            Err(Fault::new(&cancelled.failure_name, &cancelled.message).into())
        }
        _ => Ok(None),
    }
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    let row = user_task::find(unit, at.run, place(at))?;
    Ok(row
        .and_then(|row| row.user_task_run.as_ref())
        .map(|user_task| user_task::output(&user_task.results)))
}

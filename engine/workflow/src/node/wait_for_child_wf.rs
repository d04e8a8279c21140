//! WAIT_FOR_CHILD_WF: waits until another WfRun of the family has ended (spec 03, section 10.3).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    LhStatus, NodeRunId, VariableValue, WaitForChildWfNode, WaitForChildWfNodeRun,
};
use runtime::Rejection;

use super::{At, Done};
use crate::command::split_wf_run_id;
use crate::run::{Failing, Fault, Run, ThreadScope, Unit, final_failure, wake_at_end};
use crate::value;

pub(super) fn initial() -> NodeType {
    NodeType::WaitForChildWf(WaitForChildWfNodeRun::default())
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &WaitForChildWfNode,
) -> Result<(), Failing> {
    let assignment = node.child_wf_run_id.clone().unwrap_or_default();
    let value = {
        let scope = ThreadScope::new(unit, at);
        scope.outcome(value::evaluate(&assignment, &scope))
    };
    let value = value.map_err(|failing| failing.explained("The child WfRun is not known"))?;
    let Some(Value::WfRunId(id)) = value.value else {
        let kind = value::kind_name(&value);
        let message =
            format!("The child WfRun is not known: the value is a {kind}, not a WF_RUN_ID");
        return Err(Fault::var_sub(message).into());
    };
    let id = split_wf_run_id(id);
    if id.root_id() != at.run.id.root_id() {
        let message = format!("WfRun {id} is not of the family of {}", at.run.id);
        return Err(Fault::var_sub(message).into());
    }
    part(unit, at)?.child_wf_run_id = Some(id.clone());
    let child = Run::new(unit.tenant.name, &id);
    if unit.exists(&child)? {
        if unit.wf_run(&child)?.parent_trigger.is_some() {
            let trigger = &mut unit.wf_run_mut(&child)?.parent_trigger;
            if let Some(trigger) = trigger {
                trigger.waiting_node_run = Some(NodeRunId {
                    wf_run_id: Some(at.run.id.clone()),
                    thread_run_number: at.thread,
                    position: at.position,
                });
            }
        }
        wake_at_end(unit, &child, &at.run.id)?;
    }
    Ok(())
}

pub(super) fn poll(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<Option<Done>, Failing> {
    let id = part(unit, at)?.child_wf_run_id.clone().unwrap_or_default();
    let child = Run::new(unit.tenant.name, &id);
    if !unit.exists(&child)? {
        let message = format!("Child WfRun {id} does not exist");
        return Err(Fault::new("CHILD_FAILURE", message).into());
    }
    match unit.wf_run(&child)?.status() {
        LhStatus::Completed => {
            // One that returns nothing gives NULL: what waits for it may be assigned all the same.
            let output = unit.thread(&child, 0)?.output.clone().unwrap_or_default();
            unit.node_row_mut(at.run, at.thread, at.position)?.output = Some(output);
            Ok(Some(Done::Next))
        }
        LhStatus::Error => {
            let message = format!("Child WfRun {id} failed");
            Err(Fault::new("CHILD_FAILURE", message).into())
        }
        LhStatus::Exception => {
            let failure = final_failure(unit, &child, 0)?;
            let message = format!("Child WfRun {id} failed: {}", failure.message);
            Err(Fault { message, ..failure }.into())
        }
        LhStatus::Running | LhStatus::Halting | LhStatus::Halted | LhStatus::Starting => Ok(None),
    }
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    let row = unit.find_node_row(at.run, at.thread, at.position)?;
    Ok(row.and_then(|row| row.output.clone()))
}

fn part<'r>(
    unit: &'r mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<&'r mut WaitForChildWfNodeRun, Rejection> {
    match &mut unit.node_mut(at.run, at.thread, at.position)?.node_type {
        Some(NodeType::WaitForChildWf(part)) => Ok(part),
        _ => Err(Rejection::internal(
            "a WAIT_FOR_CHILD_WF node's NodeRun is something else",
        )),
    }
}

//! Who owns a UserTaskRun, and what that arms (spec 06, sections 7 and 10.1).

use proto::ironhorse::v1::user_task_run_row::Armed;
use proto::littlehorse::user_task_event::{Event, UteAssigned};
use proto::littlehorse::ut_action_trigger::UtHook;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{UserTaskRunStatus, UtActionTrigger, VariableValue};
use runtime::Rejection;

use super::{get_mut, log, node_of, place, row_mut, trigger};
use crate::key::UserTaskAt;
use crate::node::At;
use crate::run::{Failing, Fault, Run, ThreadScope, Unit};
use crate::value;

/// Who works on a UserTaskRun: a user, a group, or a user of a group. The server knows neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    /// `UserTaskRun.user_id`.
    pub user_id: Option<String>,
    /// `UserTaskRun.user_group`.
    pub user_group: Option<String>,
}

/// Whether an assignment arms the triggers for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arming {
    /// It does, if the user is another one.
    On,
    /// It does not: the UserTaskRun ends at once.
    Off,
}

/// The assign procedure: the owner is replaced as a whole, and the epoch rises, whatever has changed.
pub(crate) fn assign(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    owner: Owner,
    arming: Arming,
) -> Result<(), Rejection> {
    let here = place(at);
    let user_task = get_mut(unit, at.run, here)?;
    let old = Owner {
        user_id: user_task.user_id.take(),
        user_group: user_task.user_group.take(),
    };
    user_task.user_id.clone_from(&owner.user_id);
    user_task.user_group.clone_from(&owner.user_group);
    user_task.epoch = user_task.epoch.saturating_add(1);
    user_task.set_status(match owner.user_id {
        Some(_) => UserTaskRunStatus::Assigned,
        None => UserTaskRunStatus::Unassigned,
    });
    if arming == Arming::On && owner.user_id.is_some() && owner.user_id != old.user_id {
        arm_on_assignment(unit, at)?;
    }
    log(unit, at.run, here, assigned(old, owner))
}

/// The event of an assignment.
pub(super) fn assigned(old: Owner, new: Owner) -> Event {
    Event::Assigned(UteAssigned {
        old_user_id: old.user_id,
        old_user_group: old.user_group,
        new_user_id: new.user_id,
        new_user_group: new.user_group,
    })
}

/// Arms what a new user arms. A delay that cannot be evaluated costs only its trigger.
pub(super) fn arm_on_assignment(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Rejection> {
    for (action, of_hook) in actions(at, UtHook::OnTaskAssigned)? {
        match delay_seconds(unit, at, of_hook) {
            Ok(seconds) => arm(unit, at.run, place(at), action, seconds)?,
            Err(Failing::Fault(_)) => trigger::dropped(at, action, "its delay cannot be evaluated"),
            Err(Failing::Rejected(rejection)) => return Err(rejection),
        }
    }
    trigger::set_timer(unit, at.run, place(at))
}

/// Arms what an arrival arms; a delay that cannot be evaluated fails the node.
pub(crate) fn arm_on_arrival(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Failing> {
    for (action, of_hook) in actions(at, UtHook::OnArrival)? {
        let seconds = delay_seconds(unit, at, of_hook)?;
        arm(unit, at.run, place(at), action, seconds)?;
    }
    trigger::set_timer(unit, at.run, place(at))?;
    Ok(())
}

/// The actions of a hook, each with its index in the node.
fn actions<'a>(
    at: &'a At<'_>,
    hook: UtHook,
) -> Result<impl Iterator<Item = (i32, &'a UtActionTrigger)>, Rejection> {
    let all = (0..).zip(&node_of(at)?.actions);
    Ok(all.filter(move |(_, action)| action.hook() == hook))
}

/// An INT and nothing else.
fn delay_seconds(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    action: &UtActionTrigger,
) -> Result<i64, Failing> {
    let Some(delay) = &action.delay_seconds else {
        return Err(Fault::var_sub("The action has no delay").into());
    };
    let scope = ThreadScope::new(unit, at);
    match scope.outcome(value::evaluate(delay, &scope))? {
        VariableValue {
            value: Some(Value::Int(seconds)),
        } => Ok(seconds),
        other => Err(Fault::var_sub(format!(
            "The delay of the action is a {}, not an INT",
            value::kind_name(&other)
        ))
        .into()),
    }
}

fn arm(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
    action: i32,
    seconds: i64,
) -> Result<(), Rejection> {
    let now_ms = unit.now_ms();
    let row = row_mut(unit, run, at)?;
    let epoch = row.user_task_run.as_ref().map_or(0, |task| task.epoch);
    row.armed.push(Armed {
        // A delay beyond all times never ends.
        due_ms: now_ms.saturating_add(seconds.saturating_mul(1000)),
        action,
        epoch,
    });
    Ok(())
}

//! What a thread does to the user task at which it stands: a halt for good cancels it, a failure of the node too, and a
//! rescue opens it again (spec 06, section 12.3).

use proto::littlehorse::UserTaskRunStatus;
use proto::littlehorse::node_run::NodeType;
use runtime::Rejection;

use super::assign::{arm_on_assignment, assigned};
use super::end::close;
use super::{Owner, find, get_mut, is_open, log, status};
use crate::key::UserTaskAt;
use crate::node::At;
use crate::run::{Run, Unit};

/// The UserTaskRun of the node at which a thread stands, and its status; `None` if there is none.
fn current(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
) -> Result<Option<(UserTaskAt, UserTaskRunStatus)>, Rejection> {
    let position = unit.thread(run, thread)?.current_node_position;
    if !matches!(
        unit.node(run, thread, position)?.node_type,
        Some(NodeType::UserTask(_))
    ) {
        return Ok(None);
    }
    let at = UserTaskAt { thread, position };
    Ok(status(unit, run, at)?.map(|status| (at, status)))
}

/// Nobody needs to work any more on the user task at which a thread stands, if it is still open: the thread is halted for
/// good, or its node has failed.
pub(crate) fn abandoned(unit: &mut Unit<'_, '_>, run: &Run, thread: i32) -> Result<(), Rejection> {
    match current(unit, run, thread)? {
        Some((at, status)) if is_open(status) => close(unit, run, at),
        _ => Ok(()),
    }
}

/// A thread has ended. Those below it that have not are halted, and will not go on: it does not wait for them.
pub(crate) fn parent_ended(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
) -> Result<(), Rejection> {
    for child in unit.thread(run, thread)?.child_thread_ids.clone() {
        if !unit.is_thread_terminated(run, child)? {
            abandoned(unit, run, child)?;
            parent_ended(unit, run, child)?;
        }
    }
    Ok(())
}

/// The thread goes on. If it was halted for good, and a rescue has revived it, its user task is open again.
pub(crate) fn resumed(unit: &mut Unit<'_, '_>, run: &Run, thread: i32) -> Result<(), Rejection> {
    let Some((at, UserTaskRunStatus::Cancelled)) = current(unit, run, thread)? else {
        return Ok(());
    };
    let was_cancelled = find(unit, run, at)?.is_some_and(|row| row.cancelled.is_some());
    let has_failed = !unit.node(run, thread, at.position)?.failures.is_empty();
    if was_cancelled || has_failed {
        return Ok(());
    }
    let user_task = get_mut(unit, run, at)?;
    let owner = Owner {
        user_id: user_task.user_id.clone(),
        user_group: user_task.user_group.clone(),
    };
    user_task.epoch = user_task.epoch.saturating_add(1);
    user_task.set_status(match owner.user_id {
        Some(_) => UserTaskRunStatus::Assigned,
        None => UserTaskRunStatus::Unassigned,
    });
    let node = At::new(unit, run, thread, at.position)?;
    if owner.user_id.is_some() {
        arm_on_assignment(unit, &node)?;
    }
    log(unit, run, at, assigned(owner.clone(), owner))
}

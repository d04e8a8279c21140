//! UserTaskRuns: who owns them, what their triggers do, how they end, and what halts of their thread do to them (spec 06).
//!
//! A UserTaskRun is *open* until it is DONE or CANCELLED. Its row holds its whole history and the triggers that are
//! armed; whatever ends it disarms them. A thread that is halted for a while leaves it open, one that is halted for good
//! cancels it (spec 06, section 12.3).

mod assign;
mod end;
mod halt;
mod results;
mod trigger;

use prost::Message;
use proto::ironhorse::v1::UserTaskRunRow;
use proto::littlehorse::user_task_event::Event;
use proto::littlehorse::{UserTaskEvent, UserTaskNode, UserTaskRun, UserTaskRunStatus, node};
use runtime::{Rejection, RejectionCode};

use crate::key::UserTaskAt;
use crate::node::At;
use crate::run::{Failing, Run, ThreadScope, Unit};
use crate::time::timestamp;
use crate::value;

/// The largest UserTaskRun that is not about to end, in bytes: below the limit of a row by what its end may add. Else a task
/// could be neither completed nor cancelled, nor its thread be halted.
const MAX_OPEN_BYTES: usize = index::MAX_ROW_BYTES - (16 << 10);

pub(crate) use assign::{Arming, Owner, arm_on_arrival, assign};
pub(crate) use end::{cancel, complete};
pub(crate) use halt::{abandoned, parent_ended, resumed};
pub(crate) use results::{check as check_results, output};
pub(crate) use trigger::{due, outgrown};

/// Where the UserTaskRun of a NodeRun is.
pub(crate) fn place(at: &At<'_>) -> UserTaskAt {
    UserTaskAt {
        thread: at.thread,
        position: at.position,
    }
}

/// A UserTaskRun's row, if it exists.
pub(crate) fn find<'u>(
    unit: &'u mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
) -> Result<Option<&'u UserTaskRunRow>, Rejection> {
    unit.user_tasks.get(unit.context, &run.key, at)
}

/// The row of a UserTaskRun that is known to exist, to be changed.
pub(crate) fn row_mut<'u>(
    unit: &'u mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
) -> Result<&'u mut UserTaskRunRow, Rejection> {
    unit.user_tasks
        .get_mut(unit.context, &run.key, at)?
        .ok_or_else(lost)
}

/// A UserTaskRun that is known to exist, to be changed.
pub(crate) fn get_mut<'u>(
    unit: &'u mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
) -> Result<&'u mut UserTaskRun, Rejection> {
    row_mut(unit, run, at)?
        .user_task_run
        .as_mut()
        .ok_or_else(lost)
}

/// A UserTaskRun whose node could not be entered after all: nothing is left of it, nor of what it has armed.
pub(crate) fn discard(unit: &mut Unit<'_, '_>, run: &Run, at: UserTaskAt) -> Result<(), Rejection> {
    trigger::disarm(unit, run, at)?;
    unit.user_tasks.delete(&run.key, at);
    Ok(())
}

/// Refuses a change that leaves no room for what must always be possible.
pub(crate) fn check_size(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
) -> Result<(), Rejection> {
    let size = find(unit, run, at)?.map_or(0, UserTaskRunRow::encoded_len);
    if size <= MAX_OPEN_BYTES {
        return Ok(());
    }
    Err(Rejection::new(
        RejectionCode::ResourceExhausted,
        format!(
            "Record too large: UserTaskRun of {size} bytes, the limit is {MAX_OPEN_BYTES} bytes"
        ),
    ))
}

/// The status of a UserTaskRun, if it exists.
pub(crate) fn status(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
) -> Result<Option<UserTaskRunStatus>, Rejection> {
    let row = find(unit, run, at)?;
    Ok(row.and_then(|row| row.user_task_run.as_ref().map(UserTaskRun::status)))
}

/// Whether somebody may still work on it.
pub(crate) fn is_open(status: UserTaskRunStatus) -> bool {
    match status {
        UserTaskRunStatus::Unassigned | UserTaskRunStatus::Assigned => true,
        UserTaskRunStatus::Done | UserTaskRunStatus::Cancelled => false,
    }
}

/// Appends to the audit log (spec 06, section 11).
pub(crate) fn log(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
    event: Event,
) -> Result<(), Rejection> {
    let now = timestamp(unit.now_ms());
    get_mut(unit, run, at)?.events.push(UserTaskEvent {
        time: Some(now),
        event: Some(event),
    });
    Ok(())
}

/// Nobody, and no blank text either: "present but null" is as good as absent everywhere (spec 06, section 3).
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// An assignment of the node as text, evaluated now; `None` if there is none, or if it is null.
fn text_of(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    assignment: Option<&proto::littlehorse::VariableAssignment>,
) -> Result<Option<String>, Failing> {
    let Some(assignment) = assignment else {
        return Ok(None);
    };
    let scope = ThreadScope::new(unit, at);
    let text = value::evaluate(assignment, &scope).and_then(|value| match value.value {
        None => Ok(None),
        Some(_) => value::as_text(&value).map(Some),
    });
    scope.outcome(text)
}

/// What the node says of its user, group and notes.
pub(crate) struct Wanted {
    /// For whoever works on it.
    pub notes: Option<String>,
    /// Who is to own it.
    pub owner: Owner,
}

/// Evaluates what a node says, in the order of spec 06, section 6.
pub(crate) fn wanted(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &UserTaskNode,
) -> Result<Wanted, Failing> {
    Ok(Wanted {
        notes: text_of(unit, at, node.notes.as_ref())?,
        owner: Owner {
            user_id: text_of(unit, at, node.user_id.as_ref())?,
            user_group: text_of(unit, at, node.user_group.as_ref())?,
        },
    })
}

/// The USER_TASK node of a NodeRun.
fn node_of<'a>(at: &'a At<'_>) -> Result<&'a UserTaskNode, Rejection> {
    match &at.node()?.node {
        Some(node::Node::UserTask(node)) => Ok(node),
        _ => Err(Rejection::internal("a UserTaskRun of another node")),
    }
}

fn lost() -> Rejection {
    Rejection::internal("UserTaskRun is missing")
}

#[cfg(test)]
mod tests;

//! How a UserTaskRun ends (spec 06, sections 8.3 and 8.4).

use std::collections::BTreeMap;

use proto::ironhorse::v1::user_task_run_row::Cancelled;
use proto::littlehorse::user_task_event::{Event, UteCancelled, UteCompleted};
use proto::littlehorse::{UserTaskRunStatus, VariableValue};
use runtime::Rejection;

use super::{get_mut, log, node_of, place, row_mut, text_of, trigger};
use crate::key::UserTaskAt;
use crate::node::At;
use crate::run::{Failing, Fault, Run, Unit};

const MESSAGE: &str = "The user task was cancelled";

/// The failure of a cancelled user task whose node names no other.
const USER_TASK_CANCELLED: &str = "USER_TASK_CANCELLED";

/// It is done, with these results. Its node completes in the next advance, or when its thread runs again.
pub(crate) fn complete(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
    results: BTreeMap<String, VariableValue>,
) -> Result<(), Rejection> {
    let user_task = get_mut(unit, run, at)?;
    user_task.results = results;
    user_task.set_status(UserTaskRunStatus::Done);
    trigger::disarm(unit, run, at)?;
    log(unit, run, at, Event::Completed(UteCompleted {}))
}

/// It is cancelled, and its node fails in the next advance, or when its thread runs again. Under which name is decided
/// now.
pub(crate) fn cancel(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Rejection> {
    let name = text_of(
        unit,
        at,
        node_of(at)?.on_cancellation_exception_name.as_ref(),
    );
    let name = match name {
        Ok(name) => name.filter(|name| !super::is_blank(name)),
        // The cancellation of a task, or a halt, must not depend on what its author wrote (spec 06, D14).
        Err(Failing::Fault(_)) => None,
        Err(Failing::Rejected(rejection)) => return Err(rejection),
    };
    let name = name.unwrap_or_else(|| USER_TASK_CANCELLED.to_owned());
    cancel_as(unit, at, Fault::new(name, MESSAGE))
}

/// As [`cancel`], for a reason of its own.
pub(super) fn cancel_as(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    fault: Fault,
) -> Result<(), Rejection> {
    close(unit, at.run, place(at))?;
    row_mut(unit, at.run, place(at))?.cancelled = Some(Cancelled {
        failure_name: fault.name,
        message: fault.message,
    });
    Ok(())
}

/// It is cancelled, and that is all.
pub(super) fn close(unit: &mut Unit<'_, '_>, run: &Run, at: UserTaskAt) -> Result<(), Rejection> {
    get_mut(unit, run, at)?.set_status(UserTaskRunStatus::Cancelled);
    trigger::disarm(unit, run, at)?;
    let message = MESSAGE.to_owned();
    log(unit, run, at, Event::Cancelled(UteCancelled { message }))
}

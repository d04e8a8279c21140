//! Triggers that are armed, and what they do when they are due (spec 06, section 10).
//!
//! One timer serves all that are armed: it is set for the first of them. They fire one at a time, so that each is a unit of
//! its own.

use proto::ironhorse::v1::UserTaskDue;
use proto::ironhorse::v1::timer_action::Action as TimerAction;
use proto::ironhorse::v1::user_task_run_row::Armed;
use proto::littlehorse::task_run_source::TaskRunSource as Source;
use proto::littlehorse::user_task_event::{Event, UteTaskExecuted};
use proto::littlehorse::ut_action_trigger::{Action, UtaReassign, UtaTask};
use proto::littlehorse::{
    LhStatus, NodeRunId, TaskNode, UserTaskRunStatus, UserTaskTriggerReference,
};
use runtime::{Context, Rejection};

use super::end::cancel_as;
use super::{
    Arming, Owner, assign, cancel, check_size, find, is_blank, is_open, log, node_of, place,
    row_mut, status, text_of,
};
use crate::key::{TaskGuid, UserTaskAt};
use crate::node::At;
use crate::run::{self, Failing, Fault, Run, Unit, advance};
use crate::settings::Tenant;
use crate::{task, timer};

/// Sets the timer for the first trigger that is armed, in place of the one that was set.
pub(super) fn set_timer(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    at: UserTaskAt,
) -> Result<(), Rejection> {
    let row = row_mut(unit, run, at)?;
    let first_ms = row.armed.iter().map(|armed| armed.due_ms).min();
    let set_ms = row.timer_due_ms;
    // A time that is past already was moved up when it was set.
    if first_ms == set_ms {
        return Ok(());
    }
    let owner = run.key.user_task_run(at);
    if let Some(set_ms) = set_ms {
        unit.context.cancel_timer(set_ms, &owner)?;
    }
    let mut timer_due_ms = None;
    if let Some(first_ms) = first_ms {
        let payload = timer::payload(TimerAction::UserTaskDue(UserTaskDue {}));
        timer_due_ms = Some(unit.context.set_timer(first_ms, &owner, payload)?);
    }
    row_mut(unit, run, at)?.timer_due_ms = timer_due_ms;
    Ok(())
}

/// Nothing is armed any more.
pub(super) fn disarm(unit: &mut Unit<'_, '_>, run: &Run, at: UserTaskAt) -> Result<(), Rejection> {
    row_mut(unit, run, at)?.armed.clear();
    set_timer(unit, run, at)
}

/// A trigger does nothing, and the WfRun goes on: only the log of the server says so. What it was about is not told, it may
/// come from masked variables.
pub(super) fn dropped(at: &At<'_>, action: i32, why: &str) {
    let node = format!("{}/{}/{}", at.run.id, at.thread, at.position);
    tracing::warn!(%node, action, "a trigger of a user task is dropped: {why}");
}

/// The timer has fired.
pub(crate) fn due(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    here: UserTaskAt,
    due_ms: i64,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    let Some(armed) = take_due(&mut unit, run, here, due_ms)? else {
        return Ok(());
    };
    let at = At::new(&mut unit, run, here.thread, here.position)?;
    match action_of(&at, &armed)? {
        Some(Action::Task(UtaTask {
            task: Some(task), ..
        })) => remind(&mut unit, &at, &armed, task)?,
        Some(Action::Reassign(to)) => reassign(&mut unit, &at, &armed, to)?,
        Some(Action::Cancel(_)) => {
            if status(&mut unit, run, here)?.is_some_and(is_open) {
                cancel(&mut unit, &at)?;
                advance(&mut unit, run)?;
            }
        }
        Some(Action::Task(_)) | None => dropped(&at, armed.action, "it names no action"),
    }
    unit.finish()
}

/// What a trigger does would make a row too large, and nobody can be told: a reminder is left out, and else the thread
/// fails.
pub(crate) fn outgrown(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    here: UserTaskAt,
    due_ms: i64,
    why: &str,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    let Some(armed) = take_due(&mut unit, run, here, due_ms)? else {
        return Ok(());
    };
    let at = At::new(&mut unit, run, here.thread, here.position)?;
    if matches!(action_of(&at, &armed)?, Some(Action::Task(_))) {
        dropped(&at, armed.action, why);
        return unit.finish();
    }
    drop(unit);
    run::outgrown(context, tenant, run, here.thread, why)
}

/// Takes the first trigger out of those that are armed, if the timer is still that of the UserTaskRun.
fn take_due(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    here: UserTaskAt,
    due_ms: i64,
) -> Result<Option<Armed>, Rejection> {
    if !unit.exists(run)? {
        return Ok(None);
    }
    if find(unit, run, here)?.is_none_or(|row| row.timer_due_ms != Some(due_ms)) {
        return Ok(None);
    }
    let row = row_mut(unit, run, here)?;
    row.timer_due_ms = None;
    // Of several that are due at once, the one that was armed first.
    let first = (0..row.armed.len()).min_by_key(|index| row.armed[*index].due_ms);
    let armed = first.map(|index| row.armed.remove(index));
    set_timer(unit, run, here)?;
    Ok(armed)
}

/// What an armed trigger does.
fn action_of<'a>(at: &'a At<'_>, armed: &Armed) -> Result<Option<&'a Action>, Rejection> {
    let actions = &node_of(at)?.actions;
    let found = usize::try_from(armed.action).ok();
    Ok(found.and_then(|index| actions.get(index)?.action.as_ref()))
}

/// Runs a task beside the workflow: whatever becomes of it, the workflow goes on.
fn remind(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    armed: &Armed,
    task: &TaskNode,
) -> Result<(), Rejection> {
    let here = place(at);
    if unit.node(at.run, at.thread, at.position)?.status() != LhStatus::Running {
        return Ok(());
    }
    let user_task = find(unit, at.run, here)?.and_then(|row| row.user_task_run.as_ref());
    let Some(user_task) = user_task else {
        return Ok(());
    };
    let event = user_task.events.len() as i32;
    let source = Source::UserTaskTrigger(UserTaskTriggerReference {
        node_run_id: Some(NodeRunId {
            wf_run_id: Some(at.run.id.clone()),
            thread_run_number: at.thread,
            position: at.position,
        }),
        user_task_event_number: event,
        user_id: user_task.user_id.clone(),
        user_group: user_task.user_group.clone(),
    });
    match task::create_for(unit, at, task, TaskGuid::of_reminder(here, event), source) {
        Ok(id) => {
            let event = Event::TaskExecuted(UteTaskExecuted { task_run: Some(id) });
            log(unit, at.run, here, event)?;
            check_size(unit, at.run, here)
        }
        Err(Failing::Fault(_)) => {
            dropped(at, armed.action, "its task or inputs cannot be evaluated");
            Ok(())
        }
        Err(Failing::Rejected(rejection)) => Err(rejection),
    }
}

/// Gives the task to somebody else, unless it has been given to somebody meanwhile.
fn reassign(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    armed: &Armed,
    to: &UtaReassign,
) -> Result<(), Rejection> {
    let is_same = find(unit, at.run, place(at))?
        .and_then(|row| row.user_task_run.as_ref())
        .is_some_and(|user_task| {
            user_task.status() == UserTaskRunStatus::Assigned && user_task.epoch == armed.epoch
        });
    if !is_same {
        return Ok(());
    }
    let owner = text_of(unit, at, to.user_id.as_ref()).and_then(|user_id| {
        Ok(Owner {
            user_id,
            user_group: text_of(unit, at, to.user_group.as_ref())?,
        })
    });
    match owner {
        Ok(owner) => {
            let owner = Owner {
                user_id: owner.user_id.filter(|text| !is_blank(text)),
                user_group: owner.user_group.filter(|text| !is_blank(text)),
            };
            if owner == Owner::default() {
                dropped(at, armed.action, "it names nobody");
                return Ok(());
            }
            assign(unit, at, owner, Arming::On)?;
            check_size(unit, at.run, place(at))?;
        }
        Err(Failing::Fault(fault)) => {
            let fault = Fault::var_sub(format!(
                "The new assignment of the user task could not be computed: {}",
                fault.message
            ));
            cancel_as(unit, at, fault)?;
        }
        Err(Failing::Rejected(rejection)) => return Err(rejection),
    }
    advance(unit, at.run)
}

//! Timers of the workflow layer: set with a row, gone with it, and what they do when they fire (spec 05, section 8).
//!
//! A timer's owner is the key of the row that it belongs to: unique, and it says tenant and object. The row knows when
//! the timer is due, so whoever ends the row's wait cancels it.

use bytes::Bytes;
use prost::Message;
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{
    DeleteEvent, NodeDue, TaskRetry, TaskTimeout, TimerAction, UserTaskDue,
};
use runtime::{Context, Rejection, RejectionCode, Timer};

use crate::event::correlated;
use crate::key::{Row, RunRow};
use crate::metric::window;
use crate::node::{At, external_event, sleep};
use crate::record::{correlated_event, scheduled_wf_run};
use crate::run::{self, Run, Unit, advance};
use crate::settings::{Settings, Tenant};
use crate::{command, schedule, task, user_task};

/// The payload of a timer.
pub fn payload(action: Action) -> Bytes {
    Bytes::from(
        TimerAction {
            version: 1,
            action: Some(action),
        }
        .encode_to_vec(),
    )
}

/// Sets the timer of a NodeRun, in place of the one it had.
pub fn set_for_node(unit: &mut Unit<'_, '_>, at: &At<'_>, due_ms: i64) -> Result<(), Rejection> {
    cancel_for_node(unit, at)?;
    let owner = at.run.key.node_run(at.thread, at.position);
    let due_ms = unit
        .context
        .insert_timer(due_ms, &owner, payload(Action::NodeDue(NodeDue {})))?;
    unit.node_row_mut(at.run, at.thread, at.position)?
        .timer_due_ms = Some(due_ms);
    Ok(())
}

/// Cancels the timer of a NodeRun, if it has one.
pub fn cancel_for_node(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Rejection> {
    if let Some(due_ms) = unit
        .node_row_mut(at.run, at.thread, at.position)?
        .timer_due_ms
        .take()
    {
        unit.context
            .cancel_timer(due_ms, &at.run.key.node_run(at.thread, at.position))?;
    }
    Ok(())
}

/// Fires a timer. One whose row is gone, or no longer waits for it, does nothing.
pub fn fire(
    context: &mut Context<'_>,
    settings: &Settings,
    timer: &Timer,
) -> Result<(), Rejection> {
    let action = TimerAction::decode(timer.payload.clone())
        .map_err(|error| Rejection::internal(format!("timer: {error}")))?
        .action
        .ok_or_else(|| Rejection::internal("timer without an action"))?;
    match action {
        Action::ExpireCorrelatedEvent(_) => {
            let Some((tenant, key, def)) = correlated_event::parse(&timer.owner) else {
                return Err(Rejection::internal("timer of no CorrelatedEvent"));
            };
            let tenant = Tenant {
                name: &tenant,
                settings,
            };
            return correlated::expired(context, tenant, (&key, &def), timer.due_ms);
        }
        Action::ScheduleTick(_) => {
            let Some((tenant, id)) = scheduled_wf_run::parse(&timer.owner) else {
                return Err(Rejection::internal("timer of no ScheduledWfRun"));
            };
            let tenant = Tenant {
                name: &tenant,
                settings,
            };
            return schedule::tick(context, tenant, &id, timer.due_ms);
        }
        Action::DropMetrics(_) => return window::expired(context, &timer.owner),
        _ => {}
    }
    let Some(RunRow {
        tenant,
        wf_run_id,
        row,
    }) = RunRow::parse(&timer.owner)
        .map_err(|error| Rejection::internal(format!("timer's owner: {error}")))?
    else {
        return Err(Rejection::internal("timer of no WfRun"));
    };
    let run = Run::new(&tenant, &wf_run_id);
    let tenant = Tenant {
        name: &tenant,
        settings,
    };
    let mark = context.mark();
    match act(context, tenant, &run, action, &row, timer.due_ms) {
        Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
            context.rollback_to(mark);
            match row {
                Row::NodeRun { thread, .. } => {
                    run::outgrown(context, tenant, &run, thread, &rejection.message)
                }
                Row::TaskRun { guid } => task::outgrown(context, tenant, &run, guid, &rejection),
                Row::UserTaskRun { at } => {
                    let why = &rejection.message;
                    user_task::outgrown(context, tenant, &run, at, timer.due_ms, why)
                }
                _ => Err(rejection),
            }
        }
        other => other,
    }
}

fn act(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    action: Action,
    row: &Row,
    due_ms: i64,
) -> Result<(), Rejection> {
    match (action, row) {
        (
            Action::TaskTimeout(TaskTimeout {
                attempt_number,
                total_checkpoints,
            }),
            Row::TaskRun { guid },
        ) => task::timed_out(
            context,
            tenant,
            run,
            *guid,
            attempt_number,
            total_checkpoints,
            due_ms,
        ),
        (Action::TaskRetry(TaskRetry { attempt_number }), Row::TaskRun { guid }) => {
            task::retry_due(context, tenant, run, *guid, attempt_number)
        }
        (Action::NodeDue(NodeDue {}), Row::NodeRun { thread, position }) => {
            node_due(context, tenant, run, *thread, *position, due_ms)
        }
        (Action::DeleteRun(action), Row::WfRun) => {
            command::delete_wf_run::due(context, tenant, run, due_ms, action)
        }
        (Action::DeleteEvent(DeleteEvent {}), Row::ExternalEvent { def, guid }) => {
            command::put_external_event::retention_due(context, tenant, run, def, guid, due_ms)
        }
        (Action::UserTaskDue(UserTaskDue {}), Row::UserTaskRun { at }) => {
            user_task::due(context, tenant, run, *at, due_ms)
        }
        (action, row) => Err(Rejection::internal(format!("timer {action:?} on {row:?}"))),
    }
}

fn node_due(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    thread: i32,
    position: i32,
    due_ms: i64,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(run)? {
        return Ok(());
    }
    let waits = unit
        .find_node_row(run, thread, position)?
        .is_some_and(|row| row.timer_due_ms == Some(due_ms));
    let is_current = unit
        .find_thread(run, thread)?
        .is_some_and(|thread| thread.current_node_position == position);
    if !waits || !is_current || unit.is_thread_terminated(run, thread)? {
        return Ok(());
    }
    let at = At::new(&mut unit, run, thread, position)?;
    match at.node()?.node {
        Some(proto::littlehorse::node::Node::Sleep(_)) => sleep::due(&mut unit, &at)?,
        Some(proto::littlehorse::node::Node::ExternalEvent(_)) => {
            external_event::due(&mut unit, &at)?;
        }
        _ => return Ok(()),
    }
    advance(&mut unit, run)?;
    unit.finish()
}

//! DeleteWfRun, and deletion by retention (spec 03, sections 3.6 and 11.3; spec 05, sections 9 and 10).

use std::ops::Bound;

use crate::settings::Tenant;
use crate::time::timestamp_ms;
use bytes::Bytes;
use index::Family;
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{DeleteRun, ExternalEventRow, NodeRunRow, TaskRunRow, UserTaskRunRow};
use proto::littlehorse::workflow_retention_policy::WfGcPolicy;
use proto::littlehorse::{DeleteWfRunRequest, WfRunId};
use runtime::{Context, Rejection};

use super::wf_run_id;
use crate::event::waiter::withdraw_deleted;
use crate::key::{self, Row, RunRow};
use crate::metric::counter;
use crate::record::decode;
use crate::record::wf_run::is_terminated;
use crate::run::{Run, Unit, advance};
use crate::timer;

/// Rows deleted by one command; a larger run goes in parts (spec 08, section 7.6).
const MAX_DELETES: usize = 1000;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: DeleteWfRunRequest,
) -> Result<(), Rejection> {
    let id = wf_run_id("id", command.id)?;
    let run = Run::new(tenant.name, &id);
    let mut unit = Unit::new(context, tenant);
    if unit.is_taken(&run)? && unit.wf_run_row(&run)?.deleting {
        // It goes on by itself.
        return Ok(());
    }
    delete(context, tenant, &run, Bytes::new()).map(|_| ())
}

/// Arms the deletion that the WfSpec's retention policy asks for, in place of an earlier one.
pub(crate) fn schedule_retention(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    let spec_id = unit.wf_run(run)?.wf_spec_id.clone().unwrap_or_default();
    let spec = unit.spec_by_id(run, &spec_id)?;
    let policy = spec.wf_spec.retention_policy.as_ref();
    let Some(WfGcPolicy::SecondsAfterWfTermination(seconds)) =
        policy.and_then(|policy| policy.wf_gc_policy)
    else {
        return Ok(());
    };
    let ended = timestamp_ms(unit.wf_run(run)?.end_time.as_ref());
    let due_ms = ended.saturating_add(seconds.saturating_mul(1000));
    let payload = timer::payload(Action::DeleteRun(DeleteRun::default()));
    let due_ms = unit.context.set_timer(due_ms, &run.key.wf_run(), payload)?;
    unit.wf_run_row_mut(run)?.retention_due_ms = due_ms;
    Ok(())
}

/// The WfRun runs again: its deletion is off.
pub(crate) fn cancel_retention(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    let due_ms = std::mem::take(&mut unit.wf_run_row_mut(run)?.retention_due_ms);
    if due_ms != 0 {
        unit.context.cancel_timer(due_ms, &run.key.wf_run())?;
    }
    Ok(())
}

/// The retention timer, or the one that continues a large deletion, has fired.
pub(crate) fn due(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    due_ms: i64,
    action: DeleteRun,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    let wanted = if !unit.is_taken(run)? {
        // What was sent to an id that has no run.
        action.continues
    } else if action.continues {
        unit.wf_run_row(run)?.deleting
    } else {
        let row = unit.wf_run_row(run)?;
        row.retention_due_ms == due_ms
            && row
                .wf_run
                .as_ref()
                .is_some_and(|wf_run| is_terminated(wf_run.status()))
    };
    if wanted {
        delete(context, tenant, run, action.before).map(|_| ())
    } else {
        Ok(())
    }
}

/// Deletes a run's own rows with their timers and queue entries: its parts first, the WfRun last. Also what was sent to
/// an id that has no run. Begins below the key `before`, if there is one: a scan of what is gone already would take longer
/// with each part.
pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    before: Bytes,
) -> Result<usize, Rejection> {
    let mut range = run.key.own_rows();
    if !before.is_empty() {
        range.end = Bound::Excluded(before);
    }
    let waiters = if range.end == run.key.own_rows().end {
        waiters(context, tenant, run)?
    } else {
        Vec::new()
    };
    let rows = context.scan(Family::State, &range, MAX_DELETES + 1, true)?;
    let is_last_part = rows.len() <= MAX_DELETES;
    let deleted = rows.len();
    let mut wf_run = None;
    let mut before = Bytes::new();
    for (key, value) in rows.into_iter().take(MAX_DELETES) {
        let row = RunRow::parse(&key).map_err(|error| Rejection::internal(error.to_string()))?;
        let Some(RunRow { row, wf_run_id, .. }) = row else {
            return Err(Rejection::internal("a run's row of no kind"));
        };
        if row == Row::WfRun {
            wf_run = Some(key);
            continue;
        }
        release(context, tenant, (&wf_run_id, &row), &key, &value)?;
        before.clone_from(&key);
        context.delete(Family::State, key)?;
    }
    if is_last_part {
        let mut unit = Unit::new(context, tenant);
        if unit.is_taken(run)? {
            let due_ms = unit.wf_run_row(run)?.retention_due_ms;
            if due_ms != 0 {
                context.cancel_timer(due_ms, &run.key.wf_run())?;
            }
        }
        if let Some(key) = wf_run {
            context.delete(Family::State, key)?;
        }
        advance_all(context, tenant, &waiters)?;
        return Ok(deleted);
    }
    let mut unit = Unit::new(context, tenant);
    if unit.is_taken(run)? {
        let row = unit.wf_run_row_mut(run)?;
        row.deleting = true;
        unit.finish()?;
    }
    let now = context.now_ms();
    let payload = timer::payload(Action::DeleteRun(DeleteRun {
        continues: true,
        before,
    }));
    context.set_timer(now, &run.key.wf_run(), payload)?;
    advance_all(context, tenant, &waiters)?;
    Ok(deleted)
}

/// Those whose nodes wait for the run: they fail when it is gone (spec 05, DEV-30).
fn waiters(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
) -> Result<Vec<WfRunId>, Rejection> {
    let mut unit = Unit::new(context, tenant);
    if unit.exists(run)? {
        Ok(unit.wf_run_row(run)?.waiters.clone())
    } else {
        Ok(Vec::new())
    }
}

fn advance_all(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    ids: &[WfRunId],
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    for id in ids {
        let run = Run::new(tenant.name, id);
        if unit.exists(&run)? {
            advance(&mut unit, &run)?;
        }
    }
    unit.finish()
}

/// What a row holds elsewhere goes with it: its timer, its place in a queue.
fn release(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    (wf_run_id, row): (&WfRunId, &Row),
    key: &Bytes,
    value: &Bytes,
) -> Result<(), Rejection> {
    let timer = match row {
        Row::NodeRun { thread, position } => {
            let row: NodeRunRow = decode(value)?;
            withdraw_deleted(context, tenant, &row, (wf_run_id, *thread, *position));
            counter::note_node_runs(context, tenant.name, &row, -1);
            row.timer_due_ms
        }
        Row::ExternalEvent { .. } => decode::<ExternalEventRow>(value)?.retention_due_ms,
        Row::UserTaskRun { .. } => decode::<UserTaskRunRow>(value)?.timer_due_ms,
        Row::TaskRun { .. } => {
            let row: TaskRunRow = decode(value)?;
            counter::note_deleted_task_run(context, tenant.name, &row);
            if let Some(sequence) = row.queue_sequence {
                let task_def = row
                    .task_run
                    .as_ref()
                    .and_then(|task_run| task_run.task_def_id.as_ref());
                let name = task_def.map_or("", |id| id.name.as_str());
                context.dequeue(key::task_queue(tenant.name, name), sequence)?;
            }
            row.timer_due_ms
        }
        _ => None,
    };
    match timer {
        Some(due_ms) => Ok(context.cancel_timer(due_ms, key)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! Between a TaskRun and its worker: the queue, and the claim (spec 04, sections 5 and 8).

use crate::time::{timestamp, timestamp_ms};
use bytes::Bytes;
use prost::Message;
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{QueuedTask, TaskRunRow, TaskTimeout, WorkerIdentity};
use proto::littlehorse::{PollTaskResponse, ScheduledTask, TaskRunId, TaskStatus};
use runtime::{Context, Entry, Rejection, RejectionCode, Waiter};

use crate::key::{self, Row, RunRow, TaskGuid};
use crate::metric::window::{self, Field};
use crate::run::{Run, Unit};
use crate::settings::{Settings, Tenant};
use crate::timer;

/// The last attempt of a TaskRun is scheduled, so long after it was made: a worker that waits gets it in this commit, else
/// it is queued.
pub(super) fn dispatch(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    guid: TaskGuid,
    delayed_ms: i64,
) -> Result<(), Rejection> {
    let task_def = unit
        .find_task(run, guid)?
        .and_then(|row| row.task_run.as_ref()?.task_def_id.as_ref())
        .map(|id| id.name.clone())
        .unwrap_or_default();
    let tenant = unit.tenant.name;
    window::note_task(
        unit.context,
        tenant,
        &task_def,
        Field::AttemptToScheduled,
        delayed_ms,
    );
    let queue = key::task_queue(tenant, &task_def);
    if let Some(waiter) = unit.context.take_waiter(&queue) {
        let payload = claim_for(unit, run, guid, &waiter)?;
        unit.context.deliver(waiter, payload);
        return Ok(());
    }
    let task_key = run.key.task_run(guid).finish();
    let row = unit.task_mut(run, guid)?;
    let attempt_number = last_attempt_number(row);
    let entry = QueuedTask {
        version: 1,
        task_key,
        attempt_number,
    };
    let sequence = unit
        .context
        .enqueue(queue, Bytes::from(entry.encode_to_vec()))?;
    unit.task_mut(run, guid)?.queue_sequence = Some(sequence);
    Ok(())
}

/// A worker takes the oldest queued task. Nothing for an entry whose task is no longer there or no longer scheduled.
pub fn claim(
    context: &mut Context<'_>,
    settings: &Settings,
    entry: &Entry,
    waiter: &Waiter,
) -> Result<Option<Bytes>, Rejection> {
    let queued = QueuedTask::decode(entry.payload.clone())
        .map_err(|error| Rejection::internal(format!("queued task: {error}")))?;
    let Ok(Some(RunRow {
        tenant,
        wf_run_id,
        row: Row::TaskRun { guid },
    })) = RunRow::parse(&queued.task_key)
    else {
        return Err(Rejection::internal("a queued task without a TaskRun's key"));
    };
    let run = Run::new(&tenant, &wf_run_id);
    let tenant = Tenant {
        name: &tenant,
        settings,
    };
    let mark = context.mark();
    let mut unit = Unit::new(context, tenant);
    let is_valid = unit.exists(&run)?
        && unit.find_task(&run, guid)?.is_some_and(|row| {
            row.queue_sequence == Some(entry.sequence)
                && last_attempt_number(row) == queued.attempt_number
                && row
                    .task_run
                    .as_ref()
                    .is_some_and(|task| task.status() == TaskStatus::TaskScheduled)
        });
    if !is_valid {
        return Ok(None);
    }
    let claimed = claim_for(&mut unit, &run, guid, waiter)
        .and_then(|payload| unit.finish().map(|()| Some(payload)));
    match claimed {
        Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
            context.rollback_to(mark);
            super::outgrown(context, tenant, &run, guid, &rejection).map(|()| None)
        }
        other => other,
    }
}

/// Marks the last attempt as running at this worker, starts its timeout, and gives what the worker is told.
fn claim_for(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    guid: TaskGuid,
    waiter: &Waiter,
) -> Result<Bytes, Rejection> {
    let worker = WorkerIdentity::decode(waiter.identity.clone())
        .map_err(|error| Rejection::internal(format!("worker's identity: {error}")))?;
    let now_ms = unit.now_ms();
    let row = unit.task_mut(run, guid)?;
    row.queue_sequence = None;
    let attempt_number = last_attempt_number(row);
    let Some(task_run) = &mut row.task_run else {
        return Err(Rejection::internal("a TaskRun's row is empty"));
    };
    let Some(attempt) = task_run.attempts.last_mut() else {
        return Err(Rejection::internal("a TaskRun without attempts"));
    };
    attempt.set_status(TaskStatus::TaskRunning);
    attempt.start_time = Some(timestamp(now_ms));
    attempt.task_worker_id = worker.client_id;
    attempt.task_worker_version = Some(worker.task_worker_version);
    let scheduled = attempt.schedule_time;
    task_run.set_status(TaskStatus::TaskRunning);
    let task_def = task_run.task_def_id.clone().unwrap_or_default().name;
    let due_ms = now_ms.saturating_add(i64::from(task_run.timeout_seconds).saturating_mul(1000));
    let total_checkpoints = task_run.total_checkpoints;
    let response = PollTaskResponse {
        result: Some(ScheduledTask {
            task_run_id: Some(TaskRunId {
                wf_run_id: Some(run.id.clone()),
                task_guid: guid.to_string(),
            }),
            task_def_id: task_run.task_def_id.clone(),
            attempt_number,
            variables: task_run.input_variables.clone(),
            created_at: scheduled,
            source: task_run.source.clone(),
            total_observed_checkpoints: total_checkpoints,
        }),
    };
    let waited_ms = now_ms - timestamp_ms(scheduled.as_ref());
    let tenant = unit.tenant.name;
    window::note_task(
        unit.context,
        tenant,
        &task_def,
        Field::AttemptToRunning,
        waited_ms,
    );
    set_timer(
        unit,
        run,
        guid,
        due_ms,
        Action::TaskTimeout(TaskTimeout {
            attempt_number,
            total_checkpoints,
        }),
    )?;
    Ok(Bytes::from(response.encode_to_vec()))
}

/// Sets the timer of a TaskRun, in place of the one it had.
pub(super) fn set_timer(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    guid: TaskGuid,
    due_ms: i64,
    action: Action,
) -> Result<(), Rejection> {
    cancel_timer(unit, run, guid)?;
    let owner = run.key.task_run(guid);
    // A second timer of the same TaskRun at the same time is impossible: the first was just cancelled.
    let due_ms = unit
        .context
        .insert_timer(due_ms, &owner, timer::payload(action))?;
    unit.task_mut(run, guid)?.timer_due_ms = Some(due_ms);
    Ok(())
}

/// Cancels the timer of a TaskRun, if it has one.
pub(super) fn cancel_timer(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    guid: TaskGuid,
) -> Result<(), Rejection> {
    if let Some(due_ms) = unit.task_mut(run, guid)?.timer_due_ms.take() {
        let owner = run.key.task_run(guid);
        unit.context.cancel_timer(due_ms, &owner)?;
    }
    Ok(())
}

pub(super) fn last_attempt_number(row: &TaskRunRow) -> i32 {
    row.task_run
        .as_ref()
        .map_or(0, |task_run| task_run.attempts.len() as i32)
        - 1
}

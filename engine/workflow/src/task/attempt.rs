//! How an attempt ends, and what comes then (spec 04, sections 9 to 12).

use crate::settings::Tenant;
use crate::time::{timestamp, timestamp_ms};
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{TaskRetry, TaskTimeout};
use proto::littlehorse::report_task_run::Result as ReportResult;
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::{
    ExponentialBackoffRetryPolicy, LhErrorType, LhTaskError, ReportTaskRun, TaskAttempt, TaskRun,
    TaskStatus, VariableValue, WfRunId,
};
use runtime::{Context, Rejection};

use super::queue::{cancel_timer, dispatch, last_attempt_number, set_timer};
use crate::key::TaskGuid;
use crate::metric::window::{self, Field};
use crate::run::{Run, Unit, advance};
use crate::spec;
use crate::value;

/// What ended an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// A terminal status.
    pub status: TaskStatus,
    /// What came of it.
    pub result: Option<AttemptResult>,
    /// The worker's log.
    pub log_output: Option<VariableValue>,
    /// When the worker was done, by its clock, or the deadline; milliseconds since the epoch. Unset: now.
    pub time_ms: Option<i64>,
}

/// A report is refused; nothing changes.
pub type ReportError = Rejection;

impl Report {
    /// Reads a worker's report (spec 04, sections 9.2 and 9.3 step 1).
    pub fn read(report: ReportTaskRun) -> Result<Report, ReportError> {
        let result = report.result.map(|result| match result {
            ReportResult::Output(output) => AttemptResult::Output(output),
            ReportResult::Error(error) => AttemptResult::Error(error),
            ReportResult::Exception(exception) => AttemptResult::Exception(exception),
        });
        let status = TaskStatus::try_from(report.status)
            .map_err(|_| Rejection::invalid(format!("status {} is unknown", report.status)))?;
        let status = match (status, &result) {
            // Unset: some clients send no status at all.
            (TaskStatus::TaskScheduled, Some(AttemptResult::Error(_))) => TaskStatus::TaskFailed,
            (TaskStatus::TaskScheduled, Some(AttemptResult::Exception(_))) => {
                TaskStatus::TaskException
            }
            (TaskStatus::TaskScheduled, _) => TaskStatus::TaskSuccess,
            (TaskStatus::TaskRunning | TaskStatus::TaskPending, _) => {
                let name = status.as_str_name();
                return Err(Rejection::invalid(format!(
                    "status {name} cannot be reported: it does not end an attempt"
                )));
            }
            (TaskStatus::TaskException, Some(AttemptResult::Exception(_))) => status,
            (TaskStatus::TaskException, _) => {
                return Err(Rejection::invalid(
                    "status TASK_EXCEPTION needs the field exception",
                ));
            }
            _ => status,
        };
        let time_ms = report.time.as_ref().map(|time| timestamp_ms(Some(time)));
        Ok(Report {
            status,
            result,
            log_output: report.log_output,
            time_ms,
        })
    }

    /// What takes the place of a report that is too large to be stored (spec 04, section 9.4).
    pub fn too_large(time_ms: Option<i64>, why: &str) -> Report {
        let message = format!("RESOURCE_EXHAUSTED: {why}");
        let error = LhTaskError {
            r#type: LhErrorType::TaskError.into(),
            message: message.clone(),
        };
        Report {
            status: TaskStatus::TaskOutputSerdeError,
            result: Some(AttemptResult::Error(error)),
            log_output: Some(value::text(message)),
            time_ms,
        }
    }
}

/// A report names a TaskRun that is not there.
pub fn unknown(run: &WfRunId, guid: &str) -> Rejection {
    Rejection::invalid(format!("TaskRun {run}/{guid} is unknown"))
}

/// An attempt ends. Ignored (and no error) if it is not running: a repeat, or a report after the timeout.
pub fn report(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    guid: TaskGuid,
    attempt_number: i32,
    report: Report,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    let unknown = || unknown(&run.id, &guid.to_string());
    if !unit.exists(run)? {
        return Err(unknown());
    }
    let attempts = match unit
        .find_task(run, guid)?
        .and_then(|row| row.task_run.as_ref())
    {
        Some(task_run) => &task_run.attempts,
        None => return Err(unknown()),
    };
    let Some(attempt) = usize::try_from(attempt_number)
        .ok()
        .and_then(|number| attempts.get(number))
    else {
        return Err(Rejection::invalid(format!(
            "attempt_number {attempt_number} is out of range: the TaskRun has {} attempts",
            attempts.len()
        )));
    };
    if attempt.status() != TaskStatus::TaskRunning {
        return Ok(());
    }
    end(&mut unit, run, guid, attempt_number as usize, report)?;
    advance(&mut unit, run)?;
    unit.finish()
}

/// The timer of a claimed attempt has fired.
pub fn timed_out(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    guid: TaskGuid,
    attempt_number: i32,
    total_checkpoints: i32,
    due_ms: i64,
) -> Result<(), Rejection> {
    let still_waits = {
        let mut unit = Unit::new(context, tenant);
        unit.exists(run)?
            && unit.find_task(run, guid)?.is_some_and(|row| {
                row.timer_due_ms == Some(due_ms)
                    && row
                        .task_run
                        .as_ref()
                        .is_some_and(|task| task.total_checkpoints <= total_checkpoints)
            })
    };
    if !still_waits {
        return Ok(());
    }
    let timeout = Report {
        status: TaskStatus::TaskTimeout,
        result: None,
        log_output: None,
        time_ms: Some(due_ms),
    };
    report(context, tenant, run, guid, attempt_number, timeout)
}

/// The back-off before a retry is over.
pub fn retry_due(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    guid: TaskGuid,
    attempt_number: i32,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(run)? || unit.find_task(run, guid)?.is_none() {
        return Ok(());
    }
    let now_ms = unit.now_ms();
    let now = timestamp(now_ms);
    let row = unit.task_mut(run, guid)?;
    let Some(task_run) = &mut row.task_run else {
        return Ok(());
    };
    // It was made when the one before it failed.
    let before = task_run.attempts.iter().rev().nth(1);
    let failed_ms = timestamp_ms(before.and_then(|attempt| attempt.end_time.as_ref()));
    let is_last = task_run.attempts.len() as i32 == attempt_number + 1;
    match task_run.attempts.last_mut() {
        Some(attempt) if is_last && attempt.status() == TaskStatus::TaskPending => {
            attempt.set_status(TaskStatus::TaskScheduled);
            attempt.schedule_time = Some(now);
        }
        _ => return Ok(()),
    }
    task_run.set_status(TaskStatus::TaskScheduled);
    row.timer_due_ms = None;
    dispatch(&mut unit, run, guid, now_ms - failed_ms)?;
    unit.finish()
}

/// The running attempt has put a checkpoint: it is counted, and the attempt has its whole time again.
pub fn checkpoint_put(unit: &mut Unit<'_, '_>, run: &Run, guid: TaskGuid) -> Result<(), Rejection> {
    let now_ms = unit.now_ms();
    let row = unit.task_mut(run, guid)?;
    let attempt_number = last_attempt_number(row);
    let Some(task_run) = &mut row.task_run else {
        return Err(Rejection::internal("a TaskRun's row is empty"));
    };
    task_run.total_checkpoints += 1;
    let total_checkpoints = task_run.total_checkpoints;
    let due_ms = now_ms.saturating_add(i64::from(task_run.timeout_seconds).saturating_mul(1000));
    set_timer(
        unit,
        run,
        guid,
        due_ms,
        Action::TaskTimeout(TaskTimeout {
            attempt_number,
            total_checkpoints,
        }),
    )
}

/// A reminder has no room for what happens to it: it fails, and what its attempts have brought makes room for that.
pub(super) fn end_outgrown(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    guid: TaskGuid,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(run)? || unit.find_task(run, guid)?.is_none() {
        return Ok(());
    }
    cancel_timer(&mut unit, run, guid)?;
    let now = timestamp(unit.now_ms());
    let row = unit.task_mut(run, guid)?;
    row.queue_sequence = None;
    if let Some(task_run) = &mut row.task_run {
        for attempt in &mut task_run.attempts {
            attempt.log_output = None;
            attempt.result = None;
        }
        if let Some(attempt) = task_run.attempts.last_mut() {
            attempt.end_time = Some(now);
            attempt.set_status(TaskStatus::TaskFailed);
        }
        task_run.set_status(TaskStatus::TaskFailed);
    }
    unit.finish()
}

/// Ends a running attempt, and begins the next one if there is to be one.
fn end(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    guid: TaskGuid,
    number: usize,
    report: Report,
) -> Result<(), Rejection> {
    cancel_timer(unit, run, guid)?;
    let now_ms = unit.now_ms();
    let task_run = unit
        .find_task(run, guid)?
        .and_then(|row| row.task_run.as_ref());
    let task_def_name = task_run
        .and_then(|task| task.task_def_id.as_ref())
        .map(|id| id.name.clone())
        .unwrap_or_default();
    // A TaskDef that was deleted meanwhile counts as one without a return type.
    let task_def = spec::task_def(unit.context.global(), unit.tenant.name, &task_def_name);
    let return_type = task_def
        .as_ref()
        .and_then(|def| def.return_type.as_ref()?.return_type.as_ref());
    let structs = spec::Structs::new(unit.context.global(), unit.tenant.name);
    let report = fit(report, return_type, &structs);
    let masked = return_type.is_some_and(|type_def| type_def.masked);
    let row = unit.task_mut(run, guid)?;
    let Some(task_run) = &mut row.task_run else {
        return Err(Rejection::internal("a TaskRun's row is empty"));
    };
    let Some(attempt) = task_run.attempts.get_mut(number) else {
        return Err(Rejection::internal("an attempt is missing"));
    };
    let attempt_started = attempt.start_time;
    attempt.set_status(report.status);
    attempt.end_time = Some(timestamp(report.time_ms.unwrap_or(now_ms)));
    attempt.result = report.result;
    attempt.log_output = report.log_output;
    attempt.masked_value = masked;
    task_run.set_status(report.status);
    let ended_ms = report.time_ms.unwrap_or(now_ms);
    let of_attempt = ended_ms - timestamp_ms(attempt_started.as_ref());
    let of_task = ended_ms - timestamp_ms(task_run.scheduled_at.as_ref());
    let may_retry = matches!(
        report.status,
        TaskStatus::TaskFailed | TaskStatus::TaskTimeout
    ) && (task_run.attempts.len() as i32) < task_run.total_attempts;
    let (attempt, task) = match report.status {
        TaskStatus::TaskSuccess => (Field::AttemptToSuccess, Field::TaskRunToCompleted),
        TaskStatus::TaskException => (Field::AttemptToException, Field::TaskRunToException),
        _ => (Field::AttemptToError, Field::TaskRunToError),
    };
    let tenant = unit.tenant.name;
    window::note_task(unit.context, tenant, &task_def_name, attempt, of_attempt);
    if may_retry {
        retry(unit, run, guid)?;
    } else {
        window::note_task(unit.context, tenant, &task_def_name, task, of_task);
    }
    Ok(())
}

/// Brings the output to the declared type, or turns the report into `TASK_OUTPUT_SERDE_ERROR` (spec 04, section 9.3).
fn fit(
    mut report: Report,
    return_type: Option<&proto::littlehorse::TypeDefinition>,
    structs: &dyn value::StructDefs,
) -> Report {
    let refused = match report.result.take() {
        Some(AttemptResult::Output(output)) => match value::json::check_output(&output) {
            Err(error) => Err(format!("The task's output is malformed: {error}")),
            Ok(()) if report.status != TaskStatus::TaskSuccess => {
                Ok(Some(AttemptResult::Output(output)))
            }
            Ok(()) => match return_type {
                None => Ok(Some(AttemptResult::Output(output))),
                Some(type_def) => value::ingress(type_def, output, structs)
                    .map(|output| Some(AttemptResult::Output(output)))
                    .map_err(|error| {
                        format!(
                            "The task's output is incompatible with declared return type: {error}"
                        )
                    }),
            },
        },
        None if report.status == TaskStatus::TaskSuccess => {
            Ok(Some(AttemptResult::Output(VariableValue::default())))
        }
        other => Ok(other),
    };
    match refused {
        Ok(result) => report.result = result,
        Err(message) => {
            report.status = TaskStatus::TaskOutputSerdeError;
            let error = LhTaskError {
                r#type: LhErrorType::VarSubError.into(),
                message,
            };
            report.result = Some(AttemptResult::Error(error));
        }
    }
    report
}

fn retry(unit: &mut Unit<'_, '_>, run: &Run, guid: TaskGuid) -> Result<(), Rejection> {
    let now_ms = unit.now_ms();
    let row = unit.task_mut(run, guid)?;
    let Some(task_run) = &mut row.task_run else {
        return Err(Rejection::internal("a TaskRun's row is empty"));
    };
    let made = task_run.attempts.len();
    match task_run.exponential_backoff {
        None => {
            add_attempt(task_run, TaskStatus::TaskScheduled, Some(now_ms));
            dispatch(unit, run, guid, 0)
        }
        Some(policy) => {
            add_attempt(task_run, TaskStatus::TaskPending, None);
            let due_ms = now_ms.saturating_add(backoff_ms(&policy, made));
            set_timer(
                unit,
                run,
                guid,
                due_ms,
                Action::TaskRetry(TaskRetry {
                    attempt_number: made as i32,
                }),
            )
        }
    }
}

fn add_attempt(task_run: &mut TaskRun, status: TaskStatus, scheduled_ms: Option<i64>) {
    task_run.attempts.push(TaskAttempt {
        status: status.into(),
        schedule_time: scheduled_ms.map(timestamp),
        ..TaskAttempt::default()
    });
    task_run.set_status(status);
}

/// `min(trunc(base * multiplier^(made - 1)), max)`, in milliseconds (spec 04, section 11).
fn backoff_ms(policy: &ExponentialBackoffRetryPolicy, made: usize) -> i64 {
    let exponent = made.saturating_sub(1) as f64;
    let delay = f64::from(policy.base_interval_ms) * f64::from(policy.multiplier).powf(exponent);
    // A float too large for an i64 saturates.
    (delay.trunc() as i64).min(policy.max_delay_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_maximum() {
        let policy = ExponentialBackoffRetryPolicy {
            base_interval_ms: 1000,
            multiplier: 2.0,
            max_delay_ms: 2000,
        };
        let delays: Vec<i64> = (1..5).map(|made| backoff_ms(&policy, made)).collect();
        assert_eq!(delays, [1000, 2000, 2000, 2000]);
        let steep = ExponentialBackoffRetryPolicy {
            multiplier: f32::MAX,
            max_delay_ms: i64::MAX,
            ..policy
        };
        assert_eq!(backoff_ms(&steep, 300), i64::MAX, "saturates");
    }
}

//! Windows of one minute (spec 07, section 7).

use bytes::Bytes;
use index::key::{KeyReader, KeyWriter};
use index::{Family, KeyRange};
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{DropMetrics, MetricRow, WfRunRow, metric_row::Tally};
use proto::littlehorse::{
    CountAndTiming, LhStatus, MetricWindow, MetricWindowId, MetricWindowType, TaskDefId,
    TaskMetrics, WfMetrics, WfSpecId, metric_window, metric_window_id,
};
use runtime::{Context, Rejection};

use crate::key::METRICS;
use crate::record::{Index, Row, Written, decode};
use crate::settings::Settings;
use crate::time::{timestamp, timestamp_ms};
use crate::timer;

/// The length of a window, in milliseconds.
pub const MINUTE: i64 = 60_000;

/// What is counted and timed; the number is stored. Of WfRuns up to 15, of TaskRuns from 16 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    Started = 1,
    RunningToCompleted = 2,
    RunningToError = 3,
    RunningToException = 4,
    RunningToHalting = 5,
    RunningToHalted = 6,
    HaltingToHalted = 7,
    HaltedToRunning = 8,
    TaskRunToCompleted = 16,
    TaskRunToError = 17,
    TaskRunToException = 18,
    AttemptToScheduled = 19,
    AttemptToRunning = 20,
    AttemptToError = 21,
    AttemptToSuccess = 22,
    AttemptToException = 23,
}

/// What a window is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One version of a WfSpec: name, major version, revision.
    WfSpec(String, i32, i32),
    /// A TaskDef.
    TaskDef(String),
}

impl Subject {
    fn kind(&self) -> MetricWindowType {
        match self {
            Subject::WfSpec(..) => MetricWindowType::WorkflowMetric,
            Subject::TaskDef(_) => MetricWindowType::TaskMetric,
        }
    }

    fn id(&self) -> metric_window_id::Id {
        match self {
            Subject::WfSpec(name, major, revision) => metric_window_id::Id::WfSpecId(WfSpecId {
                name: name.clone(),
                major_version: *major,
                revision: *revision,
            }),
            Subject::TaskDef(name) => {
                metric_window_id::Id::TaskDefId(TaskDefId { name: name.clone() })
            }
        }
    }
}

impl Row for MetricRow {
    fn version(&self) -> u32 {
        self.version
    }
}

fn of_kind(tenant: &str, kind: MetricWindowType) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(METRICS).str(tenant).u8(kind as u8);
    key
}

/// The row of a window.
pub fn key(tenant: &str, start_ms: i64, subject: &Subject) -> KeyWriter {
    let mut key = of_kind(tenant, subject.kind());
    key.i64(start_ms);
    match subject {
        Subject::WfSpec(name, major, revision) => key.str(name).i32(*major).i32(*revision),
        Subject::TaskDef(name) => key.str(name),
    };
    key
}

/// The rows of all windows of a kind that start within a range, both ends inclusive, by time.
pub fn all(tenant: &str, kind: MetricWindowType, first_ms: i64, last_ms: i64) -> KeyRange {
    let prefix = of_kind(tenant, kind).finish();
    let at = |time: i64| KeyWriter::from_prefix(&prefix).i64(time).finish();
    KeyRange {
        start: std::ops::Bound::Included(at(first_ms)),
        end: match last_ms.checked_add(1) {
            Some(after) => std::ops::Bound::Excluded(at(after)),
            None => KeyRange::prefix(&prefix).end,
        },
    }
}

/// Tenant, start and subject of a window's row.
pub fn parse(key: &[u8]) -> Option<(String, i64, Subject)> {
    let mut reader = KeyReader::new(key);
    if reader.u8().ok()? != METRICS {
        return None;
    }
    let tenant = reader.str().ok()?;
    let kind = reader.u8().ok()?;
    let start_ms = reader.i64().ok()?;
    let name = reader.str().ok()?;
    let subject = if kind == MetricWindowType::WorkflowMetric as u8 {
        Subject::WfSpec(name, reader.i32().ok()?, reader.i32().ok()?)
    } else {
        Subject::TaskDef(name)
    };
    reader
        .rest()
        .is_empty()
        .then_some((tenant, start_ms, subject))
}

/// The index of a WfSpec's windows, of all its versions: by time, or the newest first. Entries go on with [`indexed`].
pub fn index_range(tenant: &str, wf_spec: &str, newest_first: bool) -> KeyRange {
    let index = if newest_first {
        Index::MetricWindowNewest
    } else {
        Index::MetricWindowByWfSpec
    };
    KeyRange::prefix(&index.prefix(tenant).str(wf_spec).finish())
}

/// Start, major version and revision of an entry of that index.
pub fn indexed(entry: &[u8], prefix: usize, newest_first: bool) -> Option<(i64, i32, i32)> {
    let mut reader = KeyReader::new(entry.get(prefix..)?);
    let time = reader.i64().ok()?;
    let start_ms = if newest_first { -time } else { time };
    Some((start_ms, reader.i32().ok()?, reader.i32().ok()?))
}

pub(crate) fn index_entries(key: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
    let Some((tenant, start_ms, Subject::WfSpec(name, major, revision))) = parse(key) else {
        return;
    };
    for (index, time) in [
        (Index::MetricWindowByWfSpec, start_ms),
        (Index::MetricWindowNewest, -start_ms),
    ] {
        let mut entry = index.prefix(&tenant);
        entry.str(&name).i64(time).i32(major).i32(revision);
        emit(entry.finish(), Bytes::new());
    }
}

/// The row of the window that is running now; the subject's names go on.
fn current(context: &Context<'_>, tenant: &str, kind: MetricWindowType) -> KeyWriter {
    let now_ms = context.now_ms();
    let mut key = of_kind(tenant, kind);
    key.i64(now_ms - now_ms.rem_euclid(MINUTE));
    key
}

fn note(context: &mut Context<'_>, mut key: KeyWriter, field: Field, latency_ms: i64) {
    key.u8(field as u8);
    let key = context.bytes(&key);
    context.note(key, latency_ms.max(0));
}

/// A WfRun was made, or has another status (spec 07, section 7.3).
pub(crate) fn note_wf_run(
    context: &mut Context<'_>,
    tenant: &str,
    written: &Written<'_, WfRunRow>,
) {
    let Some(wf_run) = &written.row.wf_run else {
        return;
    };
    if written.before == written.row.mark() {
        return;
    }
    let before = LhStatus::try_from(i32::from(written.before) - 1).ok();
    let Some(spec) = &wf_run.wf_spec_id else {
        return;
    };
    let window = |context: &Context<'_>| {
        let mut key = current(context, tenant, MetricWindowType::WorkflowMetric);
        key.str(&spec.name)
            .i32(spec.major_version)
            .i32(spec.revision);
        key
    };
    if before.is_none() {
        note(context, window(context), Field::Started, 0);
    }
    let field = match (before.unwrap_or(LhStatus::Running), wf_run.status()) {
        (LhStatus::Running, LhStatus::Completed) => Field::RunningToCompleted,
        (LhStatus::Running, LhStatus::Error) => Field::RunningToError,
        (LhStatus::Running, LhStatus::Exception) => Field::RunningToException,
        (LhStatus::Running, LhStatus::Halting) => Field::RunningToHalting,
        (LhStatus::Running, LhStatus::Halted) => Field::RunningToHalted,
        (LhStatus::Halting, LhStatus::Halted) => Field::HaltingToHalted,
        (LhStatus::Halted, LhStatus::Running) => Field::HaltedToRunning,
        _ => return,
    };
    let now_ms = context.now_ms();
    let end = wf_run.end_time.as_ref();
    let end_ms = end.map_or(now_ms, |end| timestamp_ms(Some(end)));
    let latency = end_ms - timestamp_ms(wf_run.start_time.as_ref());
    note(context, window(context), field, latency);
}

/// Something has happened to a TaskRun (spec 07, section 7.4).
pub(crate) fn note_task(
    context: &mut Context<'_>,
    tenant: &str,
    task_def: &str,
    field: Field,
    latency_ms: i64,
) {
    let mut window = current(context, tenant, MetricWindowType::TaskMetric);
    window.str(task_def);
    note(context, window, field, latency_ms);
}

pub(super) fn add(
    context: &mut Context<'_>,
    settings: &Settings,
    key: Bytes,
    values: &[(u8, i64)],
) -> Result<(), Rejection> {
    let stored = context.get(Family::State, &key)?;
    if stored.is_none() {
        let start_ms = parse(&key).map_or(0, |(_, start_ms, _)| start_ms);
        let due_ms = start_ms.saturating_add(settings.metric_retention_ms);
        let payload = timer::payload(Action::DropMetrics(DropMetrics {}));
        context.set_timer(due_ms, &key, payload)?;
    }
    let mut row: MetricRow = match &stored {
        Some(row) => decode(row)?,
        None => MetricRow {
            version: 1,
            tallies: Vec::new(),
        },
    };
    for (field, latency_ms) in values {
        let one = Tally {
            field: u32::from(*field),
            count: 1,
            total_ms: *latency_ms,
            min_ms: *latency_ms,
            max_ms: *latency_ms,
        };
        merge_tally(&mut row.tallies, &one);
    }
    let row = context.encoded(&row);
    Ok(context.put(Family::State, key, row)?)
}

/// The window has been kept for long enough.
pub(crate) fn expired(context: &mut Context<'_>, key: &[u8]) -> Result<(), Rejection> {
    let key = context.bytes(key);
    Ok(context.delete(Family::State, key)?)
}

fn merge_tally(tallies: &mut Vec<Tally>, one: &Tally) {
    let Some(known) = tallies.iter_mut().find(|known| known.field == one.field) else {
        tallies.push(*one);
        return;
    };
    known.count = known.count.saturating_add(one.count);
    known.total_ms = known.total_ms.saturating_add(one.total_ms);
    known.max_ms = known.max_ms.max(one.max_ms);
    // The least that is not nothing: a fast server measures 0 now and then (spec 07, section 7.2).
    known.min_ms = match (known.min_ms, one.min_ms) {
        (0, other) | (other, 0) => other,
        (one, other) => one.min(other),
    };
}

/// Adds the window of one group to those of others.
pub fn merge(into: &mut MetricRow, other: &MetricRow) {
    for tally in &other.tallies {
        merge_tally(&mut into.tallies, tally);
    }
}

/// The public message; without a subject, that of all of a kind together.
pub fn public(
    tenant: &str,
    start_ms: i64,
    kind: MetricWindowType,
    subject: Option<&Subject>,
    row: &MetricRow,
) -> MetricWindow {
    let of = |field: Field| {
        let tally = row.tallies.iter().find(|tally| tally.field == field as u32);
        let Tally {
            count,
            total_ms,
            min_ms,
            max_ms,
            ..
        } = tally.copied().unwrap_or_default();
        Some(CountAndTiming {
            count: i32::try_from(count).unwrap_or(i32::MAX),
            min_latency_ms: min_ms,
            max_latency_ms: max_ms,
            total_latency_ms: total_ms,
        })
    };
    let metric = if kind == MetricWindowType::TaskMetric {
        metric_window::Metric::Task(TaskMetrics {
            taskrun_created_to_completed: of(Field::TaskRunToCompleted),
            taskrun_created_to_error: of(Field::TaskRunToError),
            taskrun_created_to_exception: of(Field::TaskRunToException),
            taskattempt_pending_to_scheduled: of(Field::AttemptToScheduled),
            taskattempt_scheduled_to_running: of(Field::AttemptToRunning),
            taskattempt_running_to_error: of(Field::AttemptToError),
            taskattempt_running_to_success: of(Field::AttemptToSuccess),
            taskattempt_running_to_exception: of(Field::AttemptToException),
        })
    } else {
        metric_window::Metric::Workflow(WfMetrics {
            started: of(Field::Started),
            running_to_completed: of(Field::RunningToCompleted),
            running_to_error: of(Field::RunningToError),
            running_to_exception: of(Field::RunningToException),
            running_to_halting: of(Field::RunningToHalting),
            running_to_halted: of(Field::RunningToHalted),
            halting_to_halted: of(Field::HaltingToHalted),
            halted_to_running: of(Field::HaltedToRunning),
        })
    };
    MetricWindow {
        id: Some(MetricWindowId {
            id: subject.map(Subject::id),
            tenant_id: Some(proto::littlehorse::TenantId {
                id: tenant.to_owned(),
            }),
            window_start: Some(timestamp(start_ms)),
            metric_type: Some(kind.into()),
        }),
        metric: Some(metric),
    }
}

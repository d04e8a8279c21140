//! How many there are of something (spec 07, section 6).

use bytes::Bytes;
use index::key::KeyWriter;
use index::{Family, KeyRange};
use proto::ironhorse::v1::{CounterRow, NodeRunRow, TaskRunRow};
use proto::littlehorse::{TaskStatus, WfSpecId};
use runtime::{Context, Rejection};

use crate::key::COUNTERS;
use crate::record::{Row, Written, decode};

const NODE_RUNS: u8 = 1;
const SCHEDULED_TASK_RUNS: u8 = 2;

impl Row for CounterRow {
    fn version(&self) -> u32 {
        self.version
    }
}

fn prefix(tenant: &str, what: u8) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(COUNTERS).str(tenant).u8(what);
    key
}

/// The counters of NodeRuns: of a tenant, of a WfSpec, of a major version, of one version. Their sum is the answer.
pub fn node_runs(tenant: &str, spec: Option<(&str, Option<i32>, Option<i32>)>) -> KeyRange {
    let mut key = prefix(tenant, NODE_RUNS);
    if let Some((name, major, revision)) = spec {
        key.str(name);
        if let Some(major) = major {
            key.i32(major);
            if let Some(revision) = revision {
                key.i32(revision);
            }
        }
    }
    KeyRange::prefix(&key.finish())
}

/// The counter of a TaskDef's TaskRuns that are scheduled.
pub fn scheduled_task_runs(tenant: &str, task_def: &str) -> KeyRange {
    let mut key = prefix(tenant, SCHEDULED_TASK_RUNS);
    KeyRange::prefix(&key.str(task_def).finish())
}

/// What a counter's row says.
pub fn value(row: &[u8]) -> Result<i64, Rejection> {
    Ok(decode::<CounterRow>(row)?.value)
}

/// So many more NodeRuns of a version of a WfSpec.
pub(crate) fn note_node_runs(context: &mut Context<'_>, tenant: &str, row: &NodeRunRow, by: i64) {
    let id = row
        .node_run
        .as_ref()
        .and_then(|node_run| node_run.wf_spec_id.as_ref());
    let Some(WfSpecId {
        name,
        major_version,
        revision,
    }) = id
    else {
        return;
    };
    let mut key = prefix(tenant, NODE_RUNS);
    key.str(name).i32(*major_version).i32(*revision).u8(0);
    let key = context.bytes(&key);
    context.note(key, by);
}

/// A TaskRun has come to a status, or left it.
pub(crate) fn note_task_run(
    context: &mut Context<'_>,
    tenant: &str,
    written: &Written<'_, TaskRunRow>,
) {
    let is_scheduled =
        |mark: u8| i64::from(i32::from(mark) == 1 + TaskStatus::TaskScheduled as i32);
    let by = is_scheduled(written.row.mark()) - is_scheduled(written.before);
    note_scheduled(context, tenant, written.row, by);
}

/// A TaskRun is deleted.
pub(crate) fn note_deleted_task_run(context: &mut Context<'_>, tenant: &str, row: &TaskRunRow) {
    let task_run = row.task_run.as_ref();
    let is_scheduled =
        task_run.is_some_and(|task_run| task_run.status() == TaskStatus::TaskScheduled);
    note_scheduled(context, tenant, row, -i64::from(is_scheduled));
}

fn note_scheduled(context: &mut Context<'_>, tenant: &str, row: &TaskRunRow, by: i64) {
    let task_run = row.task_run.as_ref();
    if by != 0
        && let Some(id) = task_run.and_then(|task_run| task_run.task_def_id.as_ref())
    {
        let mut key = prefix(tenant, SCHEDULED_TASK_RUNS);
        key.str(&id.name).u8(0);
        let key = context.bytes(&key);
        context.note(key, by);
    }
}

pub(super) fn add(
    context: &mut Context<'_>,
    key: Bytes,
    values: &[(u8, i64)],
) -> Result<(), Rejection> {
    let by: i64 = values.iter().map(|(_, value)| value).sum();
    if by == 0 {
        return Ok(());
    }
    let before = match context.get(Family::State, &key)? {
        Some(row) => value(&row)?,
        None => 0,
    };
    // What was there before it was counted was not counted either: never below nothing.
    let after = before.saturating_add(by).max(0);
    if after == 0 {
        return Ok(context.delete(Family::State, key)?);
    }
    let row = CounterRow {
        version: 1,
        value: after,
    };
    let row = context.encoded(&row);
    Ok(context.put(Family::State, key, row)?)
}

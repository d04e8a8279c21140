//! TaskRun: a task for workers, with all its attempts (spec 04).

use crate::time::timestamp_ms;
use bytes::Bytes;
use index::key::KeyWriter;
use index::{EntryChange, KeyRange};
use proto::ironhorse::v1::task_run_index_view::Indexed;
use proto::ironhorse::v1::{CheckpointRow, TaskRunRow};
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::{Checkpoint, CheckpointId, TaskRun, TaskRunId};

use super::Row;
use super::schema::Index;
use crate::key::TaskGuid;
use crate::value::mask;

impl Row for TaskRunRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl Row for CheckpointRow {
    fn version(&self) -> u32 {
        self.version
    }
}

/// The public message: with its id, and masked inputs and outputs hidden (spec 04, sections 3 and 4).
pub fn public(id: TaskRunId, row: TaskRunRow) -> TaskRun {
    let mut task_run = row.task_run.unwrap_or_default();
    task_run.id = Some(id);
    for input in &mut task_run.input_variables {
        if input.masked {
            input.value = Some(mask::hidden());
        }
    }
    for attempt in &mut task_run.attempts {
        if attempt.masked_value
            && let Some(AttemptResult::Output(output)) = &mut attempt.result
        {
            *output = mask::hidden();
        }
    }
    task_run
}

/// The public checkpoint.
pub fn public_checkpoint(id: CheckpointId, row: CheckpointRow) -> Checkpoint {
    Checkpoint {
        id: Some(id),
        ..row.checkpoint.unwrap_or_default()
    }
}

/// All TaskRuns of a TaskDef, in one status if given, by time of creation.
pub fn index_range(tenant: &str, task_def: &str, status: Option<i32>) -> KeyRange {
    KeyRange::prefix(&index_prefix(tenant, task_def, status).finish())
}

fn index_prefix(tenant: &str, task_def: &str, status: Option<i32>) -> KeyWriter {
    let index = match status {
        None => Index::TaskRunByDef,
        Some(_) => Index::TaskRunByDefStatus,
    };
    let mut key = index.prefix(tenant);
    key.str(task_def);
    if let Some(status) = status {
        key.i32(status);
    }
    key
}

/// The entry of a TaskRun among all of its TaskDef, or among those in its status.
fn index_entry(
    tenant: &str,
    run: &str,
    guid: TaskGuid,
    task_run: &Indexed,
    by_status: bool,
) -> Option<Bytes> {
    let task_def = task_run.task_def_id.as_ref()?;
    let status = by_status.then_some(task_run.status);
    let scheduled = timestamp_ms(task_run.scheduled_at.as_ref());
    let mut key = index_prefix(tenant, &task_def.name, status);
    key.i64(scheduled).str(run).str(&guid.to_string());
    Some(key.finish())
}

/// Index entries of a stored TaskRun; `run` is the text form of its WfRun's id.
pub(super) fn index_entries(
    tenant: &str,
    run: &str,
    guid: TaskGuid,
    task_run: &Indexed,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    for by_status in [false, true] {
        if let Some(key) = index_entry(tenant, run, guid, task_run, by_status) {
            emit(key, Bytes::new());
        }
    }
}

/// What changes among its entries: nothing but the one by status, as a rule.
pub(super) fn index_changes(
    tenant: &str,
    run: &str,
    guid: TaskGuid,
    before: Option<&Indexed>,
    after: Option<&Indexed>,
    emit: &mut dyn FnMut(Bytes, EntryChange),
) {
    for by_status in [false, true] {
        let entry = |task_run: &Indexed| index_entry(tenant, run, guid, task_run, by_status);
        let stays = match (before, after) {
            (Some(before), Some(after)) => {
                before.task_def_id == after.task_def_id
                    && before.scheduled_at == after.scheduled_at
                    && (!by_status || before.status == after.status)
            }
            _ => false,
        };
        if !stays {
            if let Some(key) = before.and_then(entry) {
                emit(key, EntryChange::Removed);
            }
            if let Some(key) = after.and_then(entry) {
                emit(key, EntryChange::Added(Bytes::new()));
            }
        }
    }
}

//! TaskRun: a task for workers, with all its attempts (spec 04).

use crate::time::timestamp_ms;
use bytes::Bytes;
use index::KeyRange;
use index::key::KeyWriter;
use proto::ironhorse::v1::{CheckpointRow, TaskRunIndexView, TaskRunRow};
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::{Checkpoint, CheckpointId, TaskRun, TaskRunId, WfRunId};

use super::Row;
use super::schema::Index;
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
    match status {
        None => Index::TaskRunByDef.prefix(tenant).str(task_def),
        Some(status) => Index::TaskRunByDefStatus
            .prefix(tenant)
            .str(task_def)
            .i32(status),
    }
}

pub(super) fn index_entries(
    tenant: &str,
    wf_run_id: &WfRunId,
    guid: &str,
    row: &TaskRunIndexView,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let Some(task_run) = &row.task_run else {
        return;
    };
    let Some(task_def) = &task_run.task_def_id else {
        return;
    };
    let run = wf_run_id.to_string();
    let scheduled = timestamp_ms(task_run.scheduled_at.as_ref());
    for status in [None, Some(task_run.status)] {
        let writer = index_prefix(tenant, &task_def.name, status);
        emit(
            writer.i64(scheduled).str(&run).str(guid).finish(),
            Bytes::new(),
        );
    }
}

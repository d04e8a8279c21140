//! TaskRun: a task for workers, with all its attempts (spec 04).

use std::borrow::Cow;

use crate::time::timestamp_ms;
use bytes::Bytes;
use index::key::KeyWriter;
use index::{EntryChange, KeyRange};
use proto::ironhorse::v1::task_run_index_view::Indexed;
use proto::ironhorse::v1::{CheckpointRow, TaskRunRow};
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::{Checkpoint, CheckpointId, TaskRun, TaskRunId};

use super::schema::Index;
use super::{OfRun, Row};
use crate::key::{self, Row as KeyRow, RunRow, TaskGuid};
use crate::value::mask;

impl Row for TaskRunRow {
    fn version(&self) -> u32 {
        self.version
    }

    fn mark(&self) -> u8 {
        1 + self.task_run.as_ref().map_or(0, |run| run.status as u8)
    }
}

impl OfRun for TaskRunRow {
    type Place = TaskGuid;
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
    let mut key = index_of(status.is_some()).prefix(tenant);
    key.str(task_def);
    if let Some(status) = status {
        key.i32(status);
    }
    key
}

fn index_of(by_status: bool) -> Index {
    if by_status {
        Index::TaskRunByDefStatus
    } else {
        Index::TaskRunByDef
    }
}

/// What the entries of a TaskRun's row take over from its key.
pub(super) struct Source<'k> {
    /// As in the key.
    tenant: &'k [u8],
    /// The text form of the WfRun's id, written like a string of a key: for a run without a parent, it stands there.
    run: Cow<'k, [u8]>,
    guid: String,
}

impl<'k> Source<'k> {
    /// Reads a row's key; `None` for the key of something else.
    pub(super) fn read(key: &'k [u8]) -> Option<Source<'k>> {
        if let Some((tenant, run, guid)) = key::task_run_of_root(key) {
            return Some(Source {
                tenant,
                run: Cow::Borrowed(run),
                guid: guid.to_string(),
            });
        }
        let Ok(Some(RunRow {
            wf_run_id,
            row: KeyRow::TaskRun { guid },
            ..
        })) = RunRow::parse(key)
        else {
            return None;
        };
        let run = KeyWriter::new().str(&wf_run_id.to_string()).finish();
        Some(Source {
            tenant: key::tenant_of_run(key)?,
            run: Cow::Owned(run.to_vec()),
            guid: guid.to_string(),
        })
    }

    /// The entry among all TaskRuns of the TaskDef, or among those in the same status.
    fn entry(&self, task_run: &Indexed, by_status: bool) -> Option<Bytes> {
        let task_def = task_run.task_def_id.as_ref()?;
        let mut key = KeyWriter::new();
        let index = index_of(by_status);
        key.u8(index as u8).raw(self.tenant).str(&task_def.name);
        if by_status {
            key.i32(task_run.status);
        }
        let scheduled = timestamp_ms(task_run.scheduled_at.as_ref());
        Some(key.i64(scheduled).raw(&self.run).str(&self.guid).finish())
    }

    /// Index entries of the stored TaskRun.
    pub(super) fn index_entries(&self, task_run: &Indexed, emit: &mut dyn FnMut(Bytes, Bytes)) {
        for by_status in [false, true] {
            if let Some(key) = self.entry(task_run, by_status) {
                emit(key, Bytes::new());
            }
        }
    }

    /// What changes among its entries: nothing but the one by status, as a rule.
    pub(super) fn index_changes(
        &self,
        before: Option<&Indexed>,
        after: Option<&Indexed>,
        emit: &mut dyn FnMut(Bytes, EntryChange),
    ) {
        for by_status in [false, true] {
            let entry = |task_run: &Indexed| self.entry(task_run, by_status);
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
}

//! Stored rows and their keys.

use index::Schema;
use index::key::KeyReader;
use proto::ironhorse::v1::{
    CheckpointRow, EventNodeRow, ExternalEventRow, NodeOutputRow, NodeRunRow, TaskRunRow,
    TaskWorkerGroupRow, ThreadRunRow, UserTaskRunRow, VariableRow, WfRunRow, WorkflowEventRow,
};
use proto::littlehorse::{CheckpointId, TaskRunId};
use workflow::key::{Row, RunKey, RunRow};
use workflow::record::{self, WorkflowSchema, decode};

use crate::Input;

/// A key, and the rest is a value.
pub(crate) fn rows(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let key = input.part();
    let value = input.rest();
    let mut reader = KeyReader::new(key);
    let _ = reader
        .u8()
        .and_then(|_| reader.str())
        .and_then(|_| reader.i64());
    let mut entries = 0;
    WorkflowSchema.index_entries(key, value, &mut |_, _| entries += 1);
    assert!(
        entries == 0 || WorkflowSchema.is_indexed(key),
        "a row without index has entries"
    );
    read(key, value);
    if let Ok(row) = decode::<TaskWorkerGroupRow>(value) {
        let _ = record::worker_group::public(row, i64::MAX);
    }
}

/// Whether a row of a WfRun can be shown; keys that are read are written back as they were.
pub(crate) fn read(key: &[u8], value: &[u8]) -> bool {
    let Ok(Some(RunRow {
        tenant,
        wf_run_id: id,
        row,
    })) = RunRow::parse(key)
    else {
        return false;
    };
    let run = RunKey::new(&tenant, &id);
    assert!(
        key.starts_with(run.as_bytes()),
        "a key is written in another way than it was read"
    );
    match row {
        Row::WfRun => decode::<WfRunRow>(value).map(|row| drop(record::wf_run::public(id, row))),
        Row::ThreadRun { .. } => decode::<ThreadRunRow>(value).map(drop),
        Row::Variable { thread, name } => decode::<VariableRow>(value)
            .map(|row| drop(record::variable::public(id, thread, name, row))),
        Row::NodeRun { thread, position } => decode::<NodeRunRow>(value)
            .map(|row| drop(record::node_run::public(id, thread, position, row))),
        Row::TaskRun { guid } => {
            let id = TaskRunId {
                wf_run_id: Some(id),
                task_guid: guid.to_string(),
            };
            decode::<TaskRunRow>(value).map(|row| drop(record::task_run::public(id, row)))
        }
        Row::Checkpoint { guid, number } => {
            let id = CheckpointId {
                task_run: Some(TaskRunId {
                    wf_run_id: Some(id),
                    task_guid: guid.to_string(),
                }),
                checkpoint_number: number,
            };
            decode::<CheckpointRow>(value)
                .map(|row| drop(record::task_run::public_checkpoint(id, row)))
        }
        Row::NodeOutput => decode::<NodeOutputRow>(value).map(drop),
        Row::ExternalEvent { def, guid } => decode::<ExternalEventRow>(value).map(|row| {
            let id = record::external_event::id(id, &def, &guid);
            drop(record::external_event::public(id, row));
        }),
        Row::UnclaimedEvent => Ok(()),
        Row::EventNode { .. } => decode::<EventNodeRow>(value).map(drop),
        Row::WorkflowEvent { def, number } => decode::<WorkflowEventRow>(value).map(|row| {
            let id = record::workflow_event::id(id, &def, number);
            drop(record::workflow_event::public(id, row));
        }),
        Row::UserTaskRun { at } => decode::<UserTaskRunRow>(value)
            .map(|row| drop(record::user_task_run::public(id, at, row))),
    }
    .is_ok()
}

//! WorkflowEvent: what a WfRun tells the world (spec 05, section 6).

use bytes::Bytes;
use index::KeyRange;
use proto::ironhorse::v1::WorkflowEventRow;
use proto::littlehorse::{WfRunId, WorkflowEvent, WorkflowEventDefId, WorkflowEventId};

use super::Row;
use super::schema::Index;
use crate::key::RunKey;
use crate::time::timestamp_ms;

impl Row for WorkflowEventRow {
    fn version(&self) -> u32 {
        self.version
    }
}

/// Its id.
pub fn id(wf_run_id: WfRunId, def: &str, number: i32) -> WorkflowEventId {
    WorkflowEventId {
        wf_run_id: Some(wf_run_id),
        workflow_event_def_id: Some(WorkflowEventDefId {
            name: def.to_owned(),
        }),
        number,
    }
}

/// The public message.
pub fn public(id: WorkflowEventId, row: WorkflowEventRow) -> WorkflowEvent {
    WorkflowEvent {
        id: Some(id),
        ..row.workflow_event.unwrap_or_default()
    }
}

/// What is noticed when a run has thrown an event.
pub fn topic(run: &RunKey) -> &Bytes {
    run.as_bytes()
}

/// All WorkflowEvents of a definition, by time of throwing.
pub fn index_range(tenant: &str, def: &str) -> KeyRange {
    KeyRange::prefix(&Index::WorkflowEventByDef.prefix(tenant).str(def).finish())
}

pub(super) fn index_entries(
    tenant: &str,
    wf_run_id: &WfRunId,
    def: &str,
    number: i32,
    row: &WorkflowEventRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let Some(event) = &row.workflow_event else {
        return;
    };
    let mut key = Index::WorkflowEventByDef.prefix(tenant);
    key.str(def)
        .i64(timestamp_ms(event.created_at.as_ref()))
        .str(&wf_run_id.to_string())
        .i32(number);
    emit(key.finish(), Bytes::new());
}

//! The secondary indexes of all records.

use bytes::Bytes;
use index::key::KeyWriter;
use index::{EntryChange, IndexDeclaration, Schema, changes_of_entries};
use prost::Message;
use proto::ironhorse::v1::task_run_index_view::Indexed;
use proto::ironhorse::v1::{
    CorrelatedEventRow, EventNodeRow, ExternalEventRow, ScheduledWfRunRow, TaskRunIndexView,
    UserTaskRunRow, VariableRow, WfRunRow, WorkflowEventRow,
};

use super::{
    correlated_event, external_event, node_run, scheduled_wf_run, task_run, user_task_run,
    variable, wf_run, workflow_event,
};
use crate::key::{CORRELATED_EVENTS, Kind, METRICS, RUNS, Row, RunRow, SCHEDULES, kind_of};
use crate::metric::window;

/// The indexes: first byte of an entry's key. Entries go on with tenant, the attributes, the creation time and the id
/// (spec 07, sections 1.4 and 2), so that an index is in the order of its searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Index {
    WfRun = 0x01,
    WfRunByStatus = 0x02,
    WfRunByName = 0x03,
    WfRunByNameStatus = 0x04,
    WfRunByMajor = 0x05,
    WfRunByMajorStatus = 0x06,
    WfRunBySpec = 0x07,
    WfRunBySpecStatus = 0x08,
    WfRunByParent = 0x09,
    TaskRunByDef = 0x10,
    TaskRunByDefStatus = 0x11,
    ExternalEventByDef = 0x18,
    ExternalEventByDefClaimed = 0x19,
    WorkflowEventByDef = 0x20,
    CorrelatedEventByDef = 0x28,
    CorrelatedEventByDefMatched = 0x29,
    ScheduleByWfSpec = 0x30,
    MetricWindowByWfSpec = 0x38,
    MetricWindowNewest = 0x39,
    VariableByName = 0x40,
    VariableBySpec = 0x41,
    EventNodeByDef = 0x48,
    EventNodeByDefStatus = 0x49,
    UserTaskRun = 0x50,
}

impl Index {
    const ALL: [(Index, &str); 24] = [
        (Index::WfRun, "WfRuns"),
        (Index::WfRunByStatus, "WfRuns by status"),
        (Index::WfRunByName, "WfRuns by WfSpec name"),
        (Index::WfRunByNameStatus, "WfRuns by WfSpec name and status"),
        (Index::WfRunByMajor, "WfRuns by major version"),
        (
            Index::WfRunByMajorStatus,
            "WfRuns by major version and status",
        ),
        (Index::WfRunBySpec, "WfRuns by WfSpec"),
        (Index::WfRunBySpecStatus, "WfRuns by WfSpec and status"),
        (Index::WfRunByParent, "WfRuns by parent"),
        (Index::TaskRunByDef, "TaskRuns by TaskDef"),
        (Index::TaskRunByDefStatus, "TaskRuns by TaskDef and status"),
        (Index::ExternalEventByDef, "ExternalEvents by definition"),
        (
            Index::ExternalEventByDefClaimed,
            "ExternalEvents by definition and claim",
        ),
        (Index::WorkflowEventByDef, "WorkflowEvents by definition"),
        (
            Index::CorrelatedEventByDef,
            "CorrelatedEvents by definition",
        ),
        (
            Index::CorrelatedEventByDefMatched,
            "CorrelatedEvents by definition and match",
        ),
        (Index::ScheduleByWfSpec, "ScheduledWfRuns by WfSpec"),
        (Index::MetricWindowByWfSpec, "metric windows by WfSpec"),
        (
            Index::MetricWindowNewest,
            "metric windows by WfSpec, the newest first",
        ),
        (Index::VariableByName, "Variables by WfSpec name and value"),
        (Index::VariableBySpec, "Variables by WfSpec and value"),
        (
            Index::EventNodeByDef,
            "EXTERNAL_EVENT NodeRuns by definition",
        ),
        (
            Index::EventNodeByDefStatus,
            "EXTERNAL_EVENT NodeRuns by definition and status",
        ),
        (
            Index::UserTaskRun,
            "UserTaskRuns by status, definition, user and group",
        ),
    ];

    /// An index that came after the first release, or whose entries have changed since, has a version above 0: stores are
    /// brought up to it.
    fn version(self) -> u32 {
        match self {
            Index::WorkflowEventByDef
            | Index::CorrelatedEventByDef
            | Index::CorrelatedEventByDefMatched
            | Index::ScheduleByWfSpec
            | Index::MetricWindowByWfSpec
            | Index::MetricWindowNewest
            | Index::VariableByName
            | Index::VariableBySpec
            | Index::EventNodeByDef
            | Index::EventNodeByDefStatus
            | Index::UserTaskRun => 1,
            _ => 0,
        }
    }

    pub(crate) fn prefix(self, tenant: &str) -> KeyWriter {
        let mut key = KeyWriter::new();
        key.u8(self as u8).str(tenant);
        key
    }
}

/// The secondary indexes of the core groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkflowSchema;

impl Schema for WorkflowSchema {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        Index::ALL
            .map(|(index, name)| IndexDeclaration {
                name,
                prefix: Bytes::copy_from_slice(&[index as u8]),
                version: index.version(),
            })
            .into()
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        // The kind stands behind strings of unknown length, so the cheap test only leaves out the other tables.
        matches!(
            key.first(),
            Some(&(CORRELATED_EVENTS | SCHEDULES | METRICS))
        ) || key.first() == Some(&RUNS)
            && kind_of(key).is_some_and(|kind| {
                kind == Kind::WfRun as u8
                    || kind == Kind::TaskRun as u8
                    || kind == Kind::ExternalEvent as u8
                    || kind == Kind::WorkflowEvent as u8
                    || kind == Kind::Variable as u8
                    || kind == Kind::EventNode as u8
                    || kind == Kind::UserTaskRun as u8
            })
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        if let Some(source) = task_run::Source::read(key) {
            if let Some(task_run) = indexed_of_task_run(value) {
                source.index_entries(&task_run, emit);
            }
            return;
        }
        match key.first() {
            Some(&CORRELATED_EVENTS) => {
                if let Ok(value) = CorrelatedEventRow::decode(value) {
                    correlated_event::index_entries(key, &value, emit);
                }
                return;
            }
            Some(&SCHEDULES) => {
                if let Ok(value) = ScheduledWfRunRow::decode(value) {
                    scheduled_wf_run::index_entries(key, &value, emit);
                }
                return;
            }
            Some(&METRICS) => return window::index_entries(key, emit),
            _ => {}
        }
        let Ok(Some(row)) = RunRow::parse(key) else {
            return;
        };
        match &row.row {
            Row::WfRun => {
                if let Ok(value) = WfRunRow::decode(value) {
                    wf_run::index_entries(&row.tenant, &row.wf_run_id, &value, emit);
                }
            }
            Row::ExternalEvent { def, guid } => {
                if let Ok(value) = ExternalEventRow::decode(value) {
                    external_event::index_entries(
                        &row.tenant,
                        &row.wf_run_id,
                        def,
                        guid,
                        &value,
                        emit,
                    );
                }
            }
            Row::Variable { thread, name } => {
                if let Ok(value) = VariableRow::decode(value) {
                    let at = (&row.wf_run_id, *thread, name.as_str());
                    variable::index_entries(&row.tenant, at, &value, emit);
                }
            }
            Row::EventNode { thread, position } => {
                if let Ok(value) = EventNodeRow::decode(value) {
                    let at = (*thread, *position);
                    node_run::index_entries(&row.tenant, &row.wf_run_id, at, &value, emit);
                }
            }
            Row::WorkflowEvent { def, number } => {
                if let Ok(value) = WorkflowEventRow::decode(value) {
                    workflow_event::index_entries(
                        &row.tenant,
                        &row.wf_run_id,
                        def,
                        *number,
                        &value,
                        emit,
                    );
                }
            }
            Row::UserTaskRun { at } => {
                if let Ok(value) = UserTaskRunRow::decode(value) {
                    user_task_run::index_entries(&row.tenant, &row.wf_run_id, *at, &value, emit);
                }
            }
            _ => {}
        }
    }

    fn index_changes(
        &self,
        key: &[u8],
        before: Option<&[u8]>,
        after: Option<&[u8]>,
        emit: &mut dyn FnMut(Bytes, EntryChange),
    ) {
        // TaskRuns change more than all else, and then only in their status.
        if key.first() != Some(&RUNS) || kind_of(key) != Some(Kind::TaskRun as u8) {
            return changes_of_entries(self, key, before, after, emit);
        }
        let (before, after) = (
            before.and_then(indexed_of_task_run),
            after.and_then(indexed_of_task_run),
        );
        if before != after
            && let Some(source) = task_run::Source::read(key)
        {
            source.index_changes(before.as_ref(), after.as_ref(), emit);
        }
    }
}

/// What the indexes need of a stored TaskRun.
fn indexed_of_task_run(value: &[u8]) -> Option<Indexed> {
    TaskRunIndexView::decode(value).ok()?.task_run
}

#[cfg(test)]
mod tests {
    use proto::ironhorse::v1::TaskRunRow;
    use proto::littlehorse::{TaskDefId, TaskRun, WfRunId};

    use super::*;
    use crate::key::{RunKey, TaskGuid};
    use crate::time::timestamp;

    fn row(name: &str, scheduled_ms: i64, status: i32) -> Vec<u8> {
        let task_run = TaskRun {
            task_def_id: Some(TaskDefId {
                name: name.to_owned(),
            }),
            scheduled_at: Some(timestamp(scheduled_ms)),
            status,
            ..TaskRun::default()
        };
        let row = TaskRunRow {
            task_run: Some(task_run),
            ..TaskRunRow::default()
        };
        row.encode_to_vec()
    }

    #[test]
    fn the_short_way_of_task_runs_agrees_with_their_entries() {
        let id = WfRunId {
            id: "run".to_owned(),
            parent_wf_run_id: None,
        };
        let key = RunKey::new("tenant", &id).task_run(TaskGuid::of_node(0, 1));
        let values = [
            None,
            Some(row("a", 1, 1)),
            Some(row("a", 1, 2)),
            Some(row("a", 2, 1)),
            Some(row("b", 1, 1)),
            Some(b"garbage".to_vec()),
        ];
        for before in &values {
            for after in &values {
                let (before, after) = (before.as_deref(), after.as_deref());
                let mut long = Vec::new();
                changes_of_entries(&WorkflowSchema, &key, before, after, &mut |key, value| {
                    long.push((key, value));
                });
                let mut short = Vec::new();
                WorkflowSchema.index_changes(&key, before, after, &mut |key, value| {
                    short.push((key, value));
                });
                long.sort();
                short.sort();
                assert_eq!(short, long);
            }
        }
    }
}

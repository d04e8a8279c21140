//! The secondary indexes of all records.

use bytes::Bytes;
use index::Schema;
use index::key::KeyWriter;
use prost::Message;
use proto::ironhorse::v1::{ExternalEventRow, TaskRunIndexView, WfRunRow};

use super::{external_event, task_run, wf_run};
use crate::key::{Kind, RUNS, Row, RunRow};

/// The indexes: first byte of an entry's key. Entries go on with tenant, the attributes, the creation time and the id
/// (spec 07, sections 1.4 and 2), so that an index is in the order of its searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Index {
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
}

impl Index {
    pub(super) fn prefix(self, tenant: &str) -> KeyWriter {
        KeyWriter::new().u8(self as u8).str(tenant)
    }
}

/// The secondary indexes of the core groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkflowSchema;

impl Schema for WorkflowSchema {
    fn is_indexed(&self, key: &[u8]) -> bool {
        // The kind stands behind strings of unknown length, so the cheap test only leaves out the other tables.
        key.first() == Some(&RUNS)
            && kind_of(key).is_some_and(|kind| {
                kind == Kind::WfRun as u8
                    || kind == Kind::TaskRun as u8
                    || kind == Kind::ExternalEvent as u8
            })
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        let Ok(Some(row)) = RunRow::parse(key) else {
            return;
        };
        match &row.row {
            Row::WfRun => {
                if let Ok(value) = WfRunRow::decode(value) {
                    wf_run::index_entries(&row.tenant, &row.wf_run_id, &value, emit);
                }
            }
            Row::TaskRun { guid } => {
                if let Ok(value) = TaskRunIndexView::decode(value) {
                    task_run::index_entries(&row.tenant, &row.wf_run_id, guid, &value, emit);
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
            _ => {}
        }
    }
}

/// The kind byte of a run's row: behind the tenant, the root's id and the children's.
fn kind_of(key: &[u8]) -> Option<u8> {
    let mut at = 1;
    for _ in 0..2 {
        at = end_of_string(key, at)?;
    }
    while *key.get(at)? == crate::key::CHILD {
        at = end_of_string(key, at + 1)?;
    }
    key.get(at).copied()
}

/// Strings end in 00 01; a zero inside is 00 FF.
fn end_of_string(key: &[u8], mut at: usize) -> Option<usize> {
    loop {
        if *key.get(at)? == 0 {
            if *key.get(at + 1)? == 1 {
                return Some(at + 2);
            }
            at += 1;
        }
        at += 1;
    }
}

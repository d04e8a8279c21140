//! ScheduledWfRun: a schedule (spec 05, section 7).

use bytes::Bytes;
use index::KeyRange;
use index::key::KeyReader;
use proto::ironhorse::v1::ScheduledWfRunRow;
use proto::littlehorse::{ScheduledWfRun, ScheduledWfRunId, WfSpecId};

use super::Row;
use super::schema::Index;
use crate::key::SCHEDULES;
use crate::time::timestamp_ms;

impl Row for ScheduledWfRunRow {
    fn version(&self) -> u32 {
        self.version
    }
}

/// The public message.
pub fn public(id: &str, row: ScheduledWfRunRow) -> ScheduledWfRun {
    ScheduledWfRun {
        id: Some(ScheduledWfRunId { id: id.to_owned() }),
        ..row.scheduled_wf_run.unwrap_or_default()
    }
}

/// All schedules of a WfSpec, of a major version of it, or of exactly one version, as they were resolved.
pub fn index_range(
    tenant: &str,
    name: &str,
    major: Option<i32>,
    revision: Option<i32>,
) -> KeyRange {
    let mut key = Index::ScheduleByWfSpec.prefix(tenant);
    key.str(name);
    if let Some(major) = major {
        key.i32(major);
        if let Some(revision) = revision {
            key.i32(revision);
        }
    }
    KeyRange::prefix(&key.finish())
}

/// The schedule that an index entry is of.
pub fn indexed_id(entry: &[u8]) -> Option<ScheduledWfRunId> {
    let mut reader = KeyReader::new(entry);
    reader.u8().ok()?;
    for _ in 0..2 {
        reader.str().ok()?;
    }
    for _ in 0..2 {
        reader.i32().ok()?;
    }
    reader.i64().ok()?;
    let id = reader.str().ok()?;
    Some(ScheduledWfRunId { id })
}

/// Tenant and id of a row's key.
pub(crate) fn parse(key: &[u8]) -> Option<(String, String)> {
    let mut reader = KeyReader::new(key);
    if reader.u8().ok()? != SCHEDULES {
        return None;
    }
    let parts = (reader.str().ok()?, reader.str().ok()?);
    reader.rest().is_empty().then_some(parts)
}

pub(super) fn index_entries(
    key: &[u8],
    row: &ScheduledWfRunRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let (Some((tenant, id)), Some(schedule)) = (parse(key), &row.scheduled_wf_run) else {
        return;
    };
    let WfSpecId {
        name,
        major_version,
        revision,
    } = schedule.wf_spec_id.clone().unwrap_or_default();
    let mut entry = Index::ScheduleByWfSpec.prefix(&tenant);
    entry
        .str(&name)
        .i32(major_version)
        .i32(revision)
        .i64(timestamp_ms(schedule.created_at.as_ref()))
        .str(&id);
    emit(entry.finish(), Bytes::new());
}

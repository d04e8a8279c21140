//! WfRun: one execution of a WfSpec (spec 03).

use crate::time::timestamp_ms;
use bytes::Bytes;
use index::KeyRange;
use index::key::{KeyReader, KeyWriter};
use proto::ironhorse::v1::WfRunRow;
use proto::littlehorse::{LhStatus, WfRun, WfRunId, WfSpecId};

use super::schema::Index;
use super::{OfRun, Row};
use crate::key::WfRunAt;

impl Row for WfRunRow {
    fn version(&self) -> u32 {
        self.version
    }

    fn mark(&self) -> u8 {
        1 + self.wf_run.as_ref().map_or(0, |run| run.status as u8)
    }
}

impl OfRun for WfRunRow {
    type Place = WfRunAt;
}

/// The public message, without its ThreadRuns.
pub fn public(id: WfRunId, row: WfRunRow) -> WfRun {
    WfRun {
        id: Some(id),
        ..row.wf_run.unwrap_or_default()
    }
}

/// What a search of WfRuns may ask for. Each combination that spec 07 section 2 names has an index of its own, ordered
/// by start time, then id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Criteria<'a> {
    /// Name, then major version, then revision.
    pub wf_spec: Option<(&'a str, Option<i32>, Option<i32>)>,
    /// Status.
    pub status: Option<i32>,
}

/// The index that holds exactly these criteria, as the range of all its entries. The entries' keys go on with
/// [`ordered`].
pub fn index_range(tenant: &str, criteria: &Criteria<'_>) -> KeyRange {
    KeyRange::prefix(&index_prefix(tenant, criteria).finish())
}

fn index_prefix(tenant: &str, criteria: &Criteria<'_>) -> KeyWriter {
    let index = match (criteria.wf_spec, criteria.status) {
        (None, None) => Index::WfRun,
        (None, Some(_)) => Index::WfRunByStatus,
        (Some((_, None, _)), None) => Index::WfRunByName,
        (Some((_, None, _)), Some(_)) => Index::WfRunByNameStatus,
        (Some((_, Some(_), None)), None) => Index::WfRunByMajor,
        (Some((_, Some(_), None)), Some(_)) => Index::WfRunByMajorStatus,
        (Some((_, Some(_), Some(_))), None) => Index::WfRunBySpec,
        (Some((_, Some(_), Some(_))), Some(_)) => Index::WfRunBySpecStatus,
    };
    let mut writer = index.prefix(tenant);
    if let Some((name, major, revision)) = criteria.wf_spec {
        writer.str(name);
        if let Some(major) = major {
            writer.i32(major);
            if let Some(revision) = revision {
                writer.i32(revision);
            }
        }
    }
    if let Some(status) = criteria.status {
        writer.i32(status);
    }
    writer
}

/// Start time, in milliseconds since the epoch, and id of the WfRun that an entry of the index by WfSpec name and status is
/// of.
pub fn of_index_entry(entry: &[u8]) -> Option<(i64, WfRunId)> {
    let mut reader = KeyReader::new(entry);
    if reader.u8().ok()? != Index::WfRunByNameStatus as u8 {
        return None;
    }
    reader.str().ok()?;
    reader.str().ok()?;
    reader.i32().ok()?;
    let started = reader.i64().ok()?;
    Some((started, WfRunId::from_any_text(&reader.str().ok()?)))
}

/// The index of direct children of a run.
pub fn children_range(tenant: &str, parent: &WfRunId) -> KeyRange {
    KeyRange::prefix(
        &Index::WfRunByParent
            .prefix(tenant)
            .str(&parent.to_string())
            .finish(),
    )
}

/// Index entries of a stored WfRun.
pub(super) fn index_entries(
    tenant: &str,
    id: &WfRunId,
    row: &WfRunRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let Some(wf_run) = &row.wf_run else { return };
    let WfSpecId {
        name,
        major_version,
        revision,
    } = wf_run.wf_spec_id.clone().unwrap_or_default();
    let text = id.to_string();
    let started = timestamp_ms(wf_run.start_time.as_ref());
    let mut entry = |mut key: KeyWriter| {
        emit(key.i64(started).str(&text).finish(), Bytes::new());
    };
    for status in [None, Some(wf_run.status)] {
        for wf_spec in [
            None,
            Some((name.as_str(), None, None)),
            Some((name.as_str(), Some(major_version), None)),
            Some((name.as_str(), Some(major_version), Some(revision))),
        ] {
            entry(index_prefix(tenant, &Criteria { wf_spec, status }));
        }
    }
    if let Some(parent) = &id.parent_wf_run_id {
        let mut key = Index::WfRunByParent.prefix(tenant);
        key.str(&parent.to_string());
        entry(key);
    }
}

/// Whether a status ends a WfRun or ThreadRun for good.
pub fn is_terminated(status: LhStatus) -> bool {
    matches!(
        status,
        LhStatus::Completed | LhStatus::Error | LhStatus::Exception
    )
}

//! NodeRun: one activation of a node (spec 03).

use bytes::Bytes;
use index::key::{KeyReader, KeyWriter};
use index::{Family, KeyRange};
use proto::ironhorse::v1::{EventNodeRow, NodeOutputRow, NodeRunRow};
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{NodeRun, NodeRunId, WfRunId};

use runtime::{Context, Rejection};

use super::schema::Index;
use super::{OfRun, Row, Written};
use crate::key::{NodeAt, OutputAt};
use crate::time::timestamp_ms;

impl Row for NodeRunRow {
    fn version(&self) -> u32 {
        self.version
    }

    fn mark(&self) -> u8 {
        1 + self.node_run.as_ref().map_or(0, |run| run.status as u8)
    }
}

impl Row for EventNodeRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl Row for NodeOutputRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl OfRun for NodeRunRow {
    type Place = NodeAt;
}

impl OfRun for NodeOutputRow {
    type Place = OutputAt;
}

/// An EXTERNAL_EVENT NodeRun has another status: what its index is derived from. All other kinds of nodes cost nothing.
pub(crate) fn keep_event_node(
    context: &mut Context<'_>,
    written: &Written<'_, NodeRunRow>,
) -> Result<(), Rejection> {
    let Some(node_run) = &written.row.node_run else {
        return Ok(());
    };
    let Some(NodeType::ExternalEvent(part)) = &node_run.node_type else {
        return Ok(());
    };
    if written.before == written.row.mark() {
        return Ok(());
    }
    let NodeAt { thread, position } = *written.place;
    let row = EventNodeRow {
        version: 1,
        external_event_def: part.external_event_def_id.clone().unwrap_or_default().name,
        status: node_run.status,
        arrival_time: node_run.arrival_time,
    };
    let key = context.bytes(&written.run.event_node(thread, position));
    let value = context.encoded(&row);
    Ok(context.put(Family::State, key, value)?)
}

/// All EXTERNAL_EVENT NodeRuns of a definition, in a status if given, by time of arrival.
pub fn index_range(tenant: &str, def: &str, status: Option<i32>) -> KeyRange {
    KeyRange::prefix(&index_prefix(tenant, def, status).finish())
}

fn index_prefix(tenant: &str, def: &str, status: Option<i32>) -> KeyWriter {
    let index = match status {
        None => Index::EventNodeByDef,
        Some(_) => Index::EventNodeByDefStatus,
    };
    let mut key = index.prefix(tenant);
    key.str(def);
    if let Some(status) = status {
        key.i32(status);
    }
    key
}

pub(super) fn index_entries(
    tenant: &str,
    wf_run_id: &WfRunId,
    (thread, position): (i32, i32),
    row: &EventNodeRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let run = wf_run_id.to_string();
    let arrived = timestamp_ms(row.arrival_time.as_ref());
    for status in [None, Some(row.status)] {
        let mut key = index_prefix(tenant, &row.external_event_def, status);
        key.i64(arrived).str(&run).i32(thread).i32(position);
        emit(key.finish(), Bytes::new());
    }
}

/// The NodeRun that an entry of that index is of; `prefix` bytes of it are the same for all of a range.
pub fn of_index_entry(entry: &[u8], prefix: usize) -> Option<NodeRunId> {
    let mut reader = KeyReader::new(entry.get(prefix..)?);
    reader.i64().ok()?;
    Some(NodeRunId {
        wf_run_id: Some(WfRunId::from_any_text(&reader.str().ok()?)),
        thread_run_number: reader.i32().ok()?,
        position: reader.i32().ok()?,
    })
}

/// The public message: with its id, and a masked correlation key hidden (spec 05, section 4).
pub fn public(
    wf_run_id: WfRunId,
    thread_run_number: i32,
    position: i32,
    row: NodeRunRow,
) -> NodeRun {
    let mut node_run = row.node_run.unwrap_or_default();
    node_run.id = Some(NodeRunId {
        wf_run_id: Some(wf_run_id),
        thread_run_number,
        position,
    });
    if let Some(NodeType::ExternalEvent(event)) = &mut node_run.node_type
        && event.mask_correlation_key
        && let Some(key) = &mut event.correlation_key
    {
        "*****".clone_into(key);
    }
    node_run
}

//! NodeRun: one activation of a node (spec 03).

use proto::ironhorse::v1::{NodeOutputRow, NodeRunRow};
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{NodeRun, NodeRunId, WfRunId};

use super::{OfRun, Row};
use crate::key::{NodeAt, OutputAt};

impl Row for NodeRunRow {
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

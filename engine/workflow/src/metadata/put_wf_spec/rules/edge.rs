//! Where edges lead (section 10.7). Their conditions and mutations are checked with the other types.

use proto::littlehorse::{Node, ThreadSpec, node};

use super::super::rule::{Findings, Place, Rule};

pub(super) fn check(thread: &ThreadSpec, place: Place<'_>, node: &Node, findings: &mut Findings) {
    for edge in &node.outgoing_edges {
        let sink = edge.sink_node_name.as_str();
        let place = Place {
            sink: Some(sink),
            ..place
        };
        findings.check(place, leads_somewhere(thread, place.node, sink));
    }
}

fn leads_somewhere(thread: &ThreadSpec, source: Option<&str>, sink: &str) -> Result<(), Rule> {
    if source == Some(sink) {
        return Err(Rule::EdgeIsNoLoop);
    }
    match thread.nodes.get(sink).map(|node| &node.node) {
        None => Err(Rule::SinkExists(sink.to_owned())),
        Some(Some(node::Node::Entrypoint(_))) => Err(Rule::SinkIsNotEntrypoint),
        Some(_) => Ok(()),
    }
}

//! Checks the rules of [`Rule`](super::rule::Rule), in the order of spec 01, section 10: WfSpec, threads, nodes, edges,
//! what is evaluated. What one level refuses the next one relies on, so each level collects all that it finds, and the
//! next is entered only if it found nothing.

mod edge;
mod inputs;
mod node;
mod spec;
mod task;
mod thread;
mod typing;

use proto::littlehorse::WfSpec;

use super::super::definitions::Definitions;
use super::rule::{Findings, Place};
use super::scope::Scope;

/// The rules of section 10.
pub(super) fn check(wf_spec: &WfSpec, definitions: &dyn Definitions, findings: &mut Findings) {
    spec::check(wf_spec, definitions, findings);
    if findings.any() {
        return;
    }
    for (name, thread) in &wf_spec.thread_specs {
        thread::check(wf_spec, name, definitions, findings);
        for (node_name, node) in &thread.nodes {
            let place = Place {
                thread: Some(name),
                node: Some(node_name),
                sink: None,
            };
            node::check(wf_spec, place, node, definitions, findings);
            edge::check(thread, place, node, findings);
        }
    }
    if findings.any() {
        return;
    }
    for (name, thread) in &wf_spec.thread_specs {
        let scope = Scope::new(wf_spec, thread, definitions);
        typing::check(wf_spec, name, definitions, &scope, findings);
    }
}

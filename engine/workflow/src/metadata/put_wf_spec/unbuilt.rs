//! What a WfSpec may hold by the rules, and this version cannot run yet. Each line goes with the issue that builds it.

use proto::littlehorse::{WfSpec, node};
use runtime::{Rejection, RejectionCode};

pub(super) fn refuse(wf_spec: &WfSpec) -> Result<(), Rejection> {
    for (thread_name, thread) in &wf_spec.thread_specs {
        let unbuilt = |what: String| {
            Err(Rejection::new(
                RejectionCode::Unimplemented,
                format!("ThreadSpec {thread_name}: {what} cannot be run by this version yet"),
            ))
        };
        for (name, node) in &thread.nodes {
            match &node.node {
                Some(
                    node::Node::Entrypoint(_)
                    | node::Node::Exit(_)
                    | node::Node::Nop(_)
                    | node::Node::Task(_)
                    | node::Node::Sleep(_)
                    | node::Node::ExternalEvent(_)
                    | node::Node::StartThread(_)
                    | node::Node::StartMultipleThreads(_)
                    | node::Node::WaitForThreads(_)
                    | node::Node::WaitForCondition(_)
                    | node::Node::UserTask(_),
                )
                | None => {}
                Some(other) => {
                    return unbuilt(format!("node {name} of type {}", crate::node::kind(other)));
                }
            }
        }
    }
    Ok(())
}

//! What a thread returns: its EXIT nodes agree on it, and who runs it sees it change (spec 01, sections 9.5 and 10.3).

use proto::littlehorse::{ThreadSpec, WfSpec, exit_node, node};

use super::super::definitions::Definitions;
use super::rule::Rule;
use super::scope::Scope;
use crate::value::{Type, TypeScope, assignment_type};

/// What a thread gives when it completes.
#[derive(Debug, Clone)]
pub(super) enum Returns {
    Void,
    Typed(Type),
}

impl Returns {
    /// What the EXIT nodes of a thread say.
    ///
    /// # Errors
    /// They do not agree. A type that is known only at run time agrees with every type.
    pub(super) fn of(thread: &ThreadSpec, scope: &dyn TypeScope) -> Result<Returns, Rule> {
        let mut agreed: Option<(&str, Returns)> = None;
        for (name, node) in &thread.nodes {
            let Some(node::Node::Exit(exit)) = &node.node else {
                continue;
            };
            let returns = match &exit.result {
                Some(exit_node::Result::FailureDef(_)) => continue,
                None => Returns::Void,
                Some(exit_node::Result::ReturnContent(content)) => {
                    Returns::Typed(assignment_type(content, scope).map_err(|error| {
                        Rule::AssignmentFits {
                            field: format!("return_content of node {name}"),
                            error,
                        }
                    })?)
                }
            };
            agreed = Some(match agreed {
                None => (name, returns),
                Some((first, before)) => (first, before.agree(first, returns, name)?),
            });
        }
        Ok(agreed.map_or(Returns::Void, |(_, returns)| returns))
    }

    fn agree(self, here: &str, other: Returns, there: &str) -> Result<Returns, Rule> {
        let void = |void: &str, other: &str| {
            Err(Rule::ExitsReturnAllOrNothing {
                void: void.to_owned(),
                other: other.to_owned(),
            })
        };
        match (self, other) {
            (Returns::Void, Returns::Void) => Ok(Returns::Void),
            (Returns::Void, Returns::Typed(_)) => void(here, there),
            (Returns::Typed(_), Returns::Void) => void(there, here),
            (Returns::Typed(Type::Unknown), other) => Ok(other),
            (own, Returns::Typed(Type::Unknown)) => Ok(own),
            (Returns::Typed(a), Returns::Typed(b)) if a.same(&b) => Ok(Returns::Typed(a)),
            (Returns::Typed(a), Returns::Typed(b)) => Err(Rule::ExitsReturnOneType(format!(
                "node {here} {a} and node {there} {b}"
            ))),
        }
    }

    /// The same, as far as it is known: a type known only at run time is another than each known one.
    fn same(&self, other: &Returns) -> bool {
        match (self, other) {
            (Returns::Void, Returns::Void) => true,
            (Returns::Typed(a), Returns::Typed(b)) => a.same(b),
            _ => false,
        }
    }
}

/// Whether the entrypoints of two versions return different things, by the definitions that exist now.
pub(super) fn differ(a: &WfSpec, b: &WfSpec, definitions: &dyn Definitions) -> bool {
    !of_entrypoint(a, definitions).same(&of_entrypoint(b, definitions))
}

fn of_entrypoint(wf_spec: &WfSpec, definitions: &dyn Definitions) -> Returns {
    let Some(thread) = wf_spec.thread_specs.get(&wf_spec.entrypoint_thread_name) else {
        return Returns::Void;
    };
    // What a stored version refers to may have changed since: then nobody knows.
    let scope = Scope::new(wf_spec, thread, definitions);
    Returns::of(thread, &scope).unwrap_or(Returns::Typed(Type::Unknown))
}

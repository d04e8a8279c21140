//! What the server sets or changes in a WfSpec (spec 01, section 9.2): the deprecated forms of types, StructDefs, versions
//! that mean "the latest", literals, timeouts.

use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::wait_for_condition_node::NodeCondition;
use proto::littlehorse::{Edge, LegacyEdgeCondition, Node, ThreadSpec, WfSpec, node};

use super::super::definitions::Definitions;
use super::rule::{Findings, Place, Rule, VariableError};
use crate::assignments;
use crate::task::DEFAULT_TIMEOUT_SECONDS;
use crate::value::{self, TypeError, settle_assignment, settle_mutation};

/// What cannot be brought to its stored form stays as it is, and is found.
pub(super) fn wf_spec(
    wf_spec: &mut WfSpec,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    for (name, thread) in &mut wf_spec.thread_specs {
        variables(name, thread, definitions, findings);
        for (node_name, node) in &mut thread.nodes {
            let place = Place {
                thread: Some(name),
                node: Some(node_name),
                sink: None,
            };
            versions(node, definitions);
            let mut settled = |field: &str, result: Result<(), TypeError>| {
                if let Err(error) = result {
                    let field = field.to_owned();
                    findings.add(place, &Rule::AssignmentFits { field, error });
                }
            };
            assignments::of_node_mut(node, &mut |field, assignment| {
                settled(field, settle_assignment(assignment, definitions));
            });
            if let Some(node::Node::WaitForCondition(wait)) = &mut node.node {
                settled("condition", node_condition(wait, definitions));
            }
            for edge in &mut node.outgoing_edges {
                let place = Place {
                    sink: Some(&edge.sink_node_name.clone()),
                    ..place
                };
                for (field, error) in self::edge(edge, definitions) {
                    findings.add(place, &Rule::AssignmentFits { field, error });
                }
            }
        }
    }
}

fn variables(
    name: &str,
    thread: &mut ThreadSpec,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    let defs = thread.variable_defs.iter_mut();
    for var_def in defs.filter_map(|def| def.var_def.as_mut()) {
        if let Err(error) = value::settle_variable(var_def, definitions) {
            findings.add(
                Place::default(),
                &Rule::VariableIsWellDefined {
                    thread: name.to_owned(),
                    variable: var_def.name.clone(),
                    error: VariableError(error),
                },
            );
        }
    }
}

/// Versions that mean "the latest now"; that there is none, the rules say.
fn versions(node: &mut Node, definitions: &dyn Definitions) {
    match &mut node.node {
        Some(node::Node::Task(task)) if task.timeout_seconds == 0 => {
            task.timeout_seconds = DEFAULT_TIMEOUT_SECONDS;
        }
        Some(node::Node::UserTask(user_task)) if user_task.user_task_def_version.is_none() => {
            let latest = definitions.user_task_def(&user_task.user_task_def_name, None);
            user_task.user_task_def_version = latest.map(|latest| latest.version);
        }
        Some(node::Node::RunChildWf(child)) if child.major_version < 0 => {
            if let Some(ChildName::WfSpecName(name)) = &child.wf_spec
                && let Some(latest) = definitions.wf_spec(name, None, None)
            {
                child.major_version = latest.id.unwrap_or_default().major_version;
            }
        }
        _ => {}
    }
}

fn legacy(
    condition: &mut LegacyEdgeCondition,
    definitions: &dyn Definitions,
) -> Result<(), TypeError> {
    let mut sides = condition.left.iter_mut().chain(&mut condition.right);
    sides.try_for_each(|side| settle_assignment(side, definitions))
}

fn node_condition(
    wait: &mut proto::littlehorse::WaitForConditionNode,
    definitions: &dyn Definitions,
) -> Result<(), TypeError> {
    match &mut wait.node_condition {
        Some(NodeCondition::Condition(condition)) => settle_assignment(condition, definitions),
        Some(NodeCondition::LegacyCondition(condition)) => legacy(condition, definitions),
        None => Ok(()),
    }
}

fn edge(edge: &mut Edge, definitions: &dyn Definitions) -> Vec<(String, TypeError)> {
    let mut found = Vec::new();
    let condition = match &mut edge.edge_condition {
        Some(EdgeCondition::Condition(condition)) => settle_assignment(condition, definitions),
        Some(EdgeCondition::LegacyCondition(condition)) => legacy(condition, definitions),
        None => Ok(()),
    };
    if let Err(error) = condition {
        found.push(("condition".to_owned(), error));
    }
    for mutation in &mut edge.variable_mutations {
        if let Err(error) = settle_mutation(mutation, definitions) {
            found.push((format!("mutation of variable {}", mutation.lhs_name), error));
        }
    }
    found
}

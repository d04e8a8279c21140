//! What is evaluated has a type, and it fits (sections 10.6 to 10.8; spec 02, section 13).

use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::wait_for_condition_node::NodeCondition;
use proto::littlehorse::{
    Edge, InlineArrayDef, Node, TypeDefinition, VariableAssignment, VariableType, WfSpec, node,
};

use super::super::super::definitions::Definitions;
use super::super::returns::Returns;
use super::super::rule::{Findings, Place, Rule};
use super::super::scope::{Scope, primitive};
use super::inputs;
use crate::assignments;
use crate::value::{
    TypeError, assignment_type, check_assignable, check_condition, check_legacy_condition,
    check_mutation, check_resolves_to, type_of_variable,
};

pub(super) fn check(
    wf_spec: &WfSpec,
    name: &str,
    definitions: &dyn Definitions,
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    let thread = &wf_spec.thread_specs[name];
    for (node_name, node) in &thread.nodes {
        let place = Place {
            thread: Some(name),
            node: Some(node_name),
            sink: None,
        };
        self::node(place, node, definitions, scope, findings);
        started(wf_spec, place, node, definitions, scope, findings);
        for edge in &node.outgoing_edges {
            let place = Place {
                sink: Some(&edge.sink_node_name),
                ..place
            };
            self::edge(place, edge, node_name, scope, findings);
        }
    }
    let place = Place {
        thread: Some(name),
        ..Place::default()
    };
    // An EXIT node whose own content is wrong was found above.
    if !findings.any()
        && let Err(rule) = Returns::of(thread, scope)
    {
        findings.add(place, &rule);
    }
}

/// Which types the field of a node may have; `None`: any.
fn wanted(node: &Node, field: &str) -> Option<Vec<TypeDefinition>> {
    use VariableType::{Int, JsonArr, Str, Timestamp, WfRunId};
    let ints = TypeDefinition {
        defined_type: Some(DefinedType::InlineArrayDef(Box::new(InlineArrayDef {
            array_type: Some(Box::new(primitive(Int))),
        }))),
        masked: false,
    };
    let any_of = match (&node.node, field) {
        (Some(node::Node::Sleep(_)), "raw_seconds") => vec![Int],
        (Some(node::Node::Sleep(_)), "timestamp") => vec![Timestamp, Int],
        (Some(node::Node::Sleep(_)), "iso_date") => vec![Str],
        (Some(node::Node::WaitForThreads(_)), "thread_list") => {
            return Some(vec![primitive(JsonArr), ints]);
        }
        (Some(node::Node::WaitForThreads(_)), _) => vec![Int],
        (Some(node::Node::RunChildWf(_)), "wf_spec_var") => vec![Str],
        (Some(node::Node::WaitForChildWf(_)), _) => vec![WfRunId],
        _ => return None,
    };
    Some(any_of.into_iter().map(primitive).collect())
}

fn node(
    place: Place<'_>,
    node: &Node,
    definitions: &dyn Definitions,
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    let task_def = match &node.node {
        Some(node::Node::Task(task)) => match &task.task_to_execute {
            Some(TaskToExecute::TaskDefId(id)) => definitions.task_def(&id.name),
            _ => None,
        },
        _ => None,
    };
    let mut inputs = task_def.iter().flat_map(|def| &def.input_vars);
    assignments::of_node(node, &mut |field, assignment| {
        let (field, checked) = match (wanted(node, field), &task_def) {
            (Some(any_of), _) => (
                field.to_owned(),
                check_resolves_to(assignment, &any_of, scope),
            ),
            // The inputs come in their order.
            (None, Some(_)) => {
                let def = inputs.next().cloned().unwrap_or_default();
                let checked = check_assignable(assignment, &type_of_variable(&def), scope);
                (format!("{field} ({})", def.name), checked)
            }
            (None, None) => (field.to_owned(), resolves(assignment, scope)),
        };
        if let Err(error) = checked {
            findings.add(place, &Rule::AssignmentFits { field, error });
        }
    });
    if let Some(node::Node::WaitForCondition(wait)) = &node.node {
        let checked = match &wait.node_condition {
            Some(NodeCondition::Condition(condition)) => check_condition(condition, scope),
            Some(NodeCondition::LegacyCondition(condition)) => {
                check_legacy_condition(condition, scope)
            }
            None => Ok(()),
        };
        if let Err(error) = checked {
            let field = "condition".to_owned();
            findings.add(place, &Rule::AssignmentFits { field, error });
        }
    }
}

fn resolves(assignment: &VariableAssignment, scope: &Scope<'_>) -> Result<(), TypeError> {
    assignment_type(assignment, scope).map(|_| ())
}

/// The inputs of a thread or child workflow that a node starts.
fn started(
    wf_spec: &WfSpec,
    place: Place<'_>,
    node: &Node,
    definitions: &dyn Definitions,
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    match &node.node {
        Some(node::Node::StartThread(start)) => {
            let name = start.thread_spec_name.as_str();
            if let Some(thread) = wf_spec.thread_specs.get(name) {
                inputs::check(place, &start.variables, (name, thread), scope, findings);
            }
        }
        Some(node::Node::RunChildWf(child)) => {
            let Some(ChildName::WfSpecName(name)) = &child.wf_spec else {
                return;
            };
            let found = definitions.wf_spec(name, Some(child.major_version), None);
            let Some(found) = found else {
                return;
            };
            let entrypoint = found.entrypoint_thread_name.as_str();
            if let Some(thread) = found.thread_specs.get(entrypoint) {
                let thread = (entrypoint, thread);
                inputs::check(place, &child.inputs, thread, scope, findings);
            }
        }
        _ => {}
    }
}

/// The condition and the mutations of an edge.
fn edge(
    place: Place<'_>,
    edge: &Edge,
    source_node: &str,
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    let condition = match &edge.edge_condition {
        Some(EdgeCondition::Condition(condition)) => check_condition(condition, scope),
        Some(EdgeCondition::LegacyCondition(condition)) => check_legacy_condition(condition, scope),
        None => Ok(()),
    };
    if let Err(error) = condition {
        let field = "condition".to_owned();
        findings.add(place, &Rule::AssignmentFits { field, error });
    }
    for mutation in &edge.variable_mutations {
        if let Err(error) = check_mutation(mutation, source_node, scope) {
            let field = format!("mutation of variable {}", mutation.lhs_name);
            findings.add(place, &Rule::AssignmentFits { field, error });
        }
    }
}

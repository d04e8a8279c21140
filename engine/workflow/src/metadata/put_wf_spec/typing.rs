//! The static types of a thread: what its nodes and edges evaluate must fit (spec 01, sections 10.4 to 10.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    Edge, InlineStructDef, Node, ThreadSpec, TypeDefinition, VariableType, WfSpec, exit_node, node,
    sleep_node,
};

use super::validate::{Broken, Checked, Lookup};
use crate::value::{
    NodeType, StructDefs, TypeScope, assignment_type, check_assignable, check_condition,
    check_legacy_condition, check_mutation, check_resolves_to, type_of_variable,
};

/// What the checks of one thread see.
pub(super) struct Scope {
    variables: BTreeMap<String, TypeDefinition>,
    nodes: BTreeMap<String, NodeType>,
}

impl Scope {
    /// Variables of all threads (whether they are in scope shows at run time), outputs of this one's nodes.
    pub(super) fn new(
        wf_spec: &WfSpec,
        thread: &ThreadSpec,
        lookup: &dyn Lookup,
    ) -> Result<Scope, Broken> {
        let mut variables = BTreeMap::new();
        // The thread's own come last: only they may share a name, INPUT.
        for thread in wf_spec.thread_specs.values().chain([thread]) {
            for var_def in thread
                .variable_defs
                .iter()
                .filter_map(|def| def.var_def.as_ref())
            {
                variables.insert(var_def.name.clone(), type_of_variable(var_def));
            }
        }
        let mut nodes = BTreeMap::new();
        for (name, node) in &thread.nodes {
            nodes.insert(name.clone(), output_type(node, lookup)?);
        }
        Ok(Scope { variables, nodes })
    }
}

impl StructDefs for Scope {
    fn struct_def(&self, _: &str, _: i32) -> Option<Arc<InlineStructDef>> {
        None
    }
}

impl TypeScope for Scope {
    fn variable(&self, name: &str) -> Option<TypeDefinition> {
        self.variables.get(name).cloned()
    }

    fn node_output(&self, name: &str) -> NodeType {
        self.nodes.get(name).cloned().unwrap_or(NodeType::Missing)
    }
}

fn primitive(kind: VariableType) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::PrimitiveType(kind.into())),
        masked: false,
    }
}

/// Section 10.4.
fn output_type(node: &Node, lookup: &dyn Lookup) -> Result<NodeType, Broken> {
    let known =
        |definition: Option<TypeDefinition>| definition.map_or(NodeType::Unknown, NodeType::Known);
    Ok(match &node.node {
        Some(node::Node::Task(task)) => match &task.task_to_execute {
            Some(TaskToExecute::TaskDefId(id)) => known(
                lookup
                    .task_def(&id.name)?
                    .and_then(|def| def.return_type?.return_type),
            ),
            _ => NodeType::Unknown,
        },
        Some(node::Node::ExternalEvent(event)) => {
            let name = event.external_event_def_id.clone().unwrap_or_default().name;
            known(
                lookup
                    .external_event_def(&name)?
                    .and_then(|def| def.type_information?.return_type),
            )
        }
        Some(node::Node::StartThread(_)) => NodeType::Known(primitive(VariableType::Int)),
        Some(node::Node::StartMultipleThreads(_)) => {
            NodeType::Known(primitive(VariableType::JsonArr))
        }
        Some(node::Node::UserTask(_)) => NodeType::Known(primitive(VariableType::JsonObj)),
        Some(node::Node::RunChildWf(_)) => NodeType::Known(primitive(VariableType::WfRunId)),
        Some(node::Node::WaitForChildWf(_)) => NodeType::Unknown,
        _ => NodeType::Never,
    })
}

/// What a node evaluates.
pub(super) fn node(node: &Node, lookup: &dyn Lookup, scope: &Scope) -> Checked {
    let rule = |error: crate::value::TypeError| Broken::Rule(error.to_string());
    match &node.node {
        Some(node::Node::Task(task)) => match &task.task_to_execute {
            Some(TaskToExecute::TaskDefId(id)) => {
                let Some(task_def) = lookup.task_def(&id.name)? else {
                    return Ok(());
                };
                for (position, (assignment, def)) in
                    task.variables.iter().zip(&task_def.input_vars).enumerate()
                {
                    check_assignable(assignment, &type_of_variable(def), scope).map_err(
                        |error| Broken::Rule(format!("input {position} ({}): {error}", def.name)),
                    )?;
                }
                Ok(())
            }
            Some(TaskToExecute::DynamicTask(name)) => {
                assignment_type(name, scope).map(|_| ()).map_err(rule)
            }
            None => Ok(()),
        },
        Some(node::Node::Sleep(sleep)) => match &sleep.sleep_length {
            Some(sleep_node::SleepLength::RawSeconds(length)) => {
                resolves(length, &[VariableType::Int], scope)
            }
            Some(sleep_node::SleepLength::IsoDate(date)) => {
                resolves(date, &[VariableType::Str], scope)
            }
            Some(sleep_node::SleepLength::Timestamp(time)) => {
                resolves(time, &[VariableType::Timestamp, VariableType::Int], scope)
            }
            None => Ok(()),
        },
        Some(node::Node::ExternalEvent(event)) => {
            for assignment in event.timeout_seconds.iter().chain(&event.correlation_key) {
                assignment_type(assignment, scope).map_err(rule)?;
            }
            Ok(())
        }
        Some(node::Node::Exit(exit)) => {
            let content = match &exit.result {
                Some(exit_node::Result::ReturnContent(content)) => Some(content),
                Some(exit_node::Result::FailureDef(failure)) => failure.content.as_ref(),
                None => None,
            };
            content.map_or(Ok(()), |content| {
                assignment_type(content, scope).map(|_| ()).map_err(rule)
            })
        }
        _ => Ok(()),
    }
}

fn resolves(
    assignment: &proto::littlehorse::VariableAssignment,
    any_of: &[VariableType],
    scope: &Scope,
) -> Checked {
    let any_of: Vec<TypeDefinition> = any_of.iter().map(|kind| primitive(*kind)).collect();
    check_resolves_to(assignment, &any_of, scope).map_err(|error| Broken::Rule(error.to_string()))
}

/// The condition and the mutations of an edge.
pub(super) fn edge(edge: &Edge, source_node: &str, scope: &Scope) -> Result<(), String> {
    match &edge.edge_condition {
        Some(EdgeCondition::Condition(condition)) => check_condition(condition, scope),
        Some(EdgeCondition::LegacyCondition(condition)) => check_legacy_condition(condition, scope),
        None => Ok(()),
    }
    .map_err(|error| format!("condition: {error}"))?;
    for mutation in &edge.variable_mutations {
        check_mutation(mutation, source_node, scope)
            .map_err(|error| format!("mutation of variable {}: {error}", mutation.lhs_name))?;
    }
    Ok(())
}

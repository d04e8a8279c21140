//! What the static checks of a thread see (spec 01, section 10.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    InlineStructDef, Node, ThreadSpec, TypeDefinition, VariableType, WfSpec, node,
};

use super::super::definitions::Definitions;
use crate::value::{NodeType, StructDefs, TypeScope, type_of_variable};

/// See the module.
pub(super) struct Scope<'a> {
    variables: BTreeMap<String, TypeDefinition>,
    nodes: BTreeMap<String, NodeType>,
    definitions: &'a dyn Definitions,
}

impl Scope<'_> {
    /// Variables of all threads (whether they are in scope shows at run time), outputs of this one's nodes.
    pub(super) fn new<'a>(
        wf_spec: &WfSpec,
        thread: &ThreadSpec,
        definitions: &'a dyn Definitions,
    ) -> Scope<'a> {
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
        let nodes = thread
            .nodes
            .iter()
            .map(|(name, node)| (name.clone(), output_type(node, definitions)));
        Scope {
            variables,
            nodes: nodes.collect(),
            definitions,
        }
    }
}

impl StructDefs for Scope<'_> {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        self.definitions.struct_def(name, version)
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        self.definitions.latest_version(name)
    }
}

impl TypeScope for Scope<'_> {
    fn variable(&self, name: &str) -> Option<TypeDefinition> {
        self.variables.get(name).cloned()
    }

    fn node_output(&self, name: &str) -> NodeType {
        self.nodes.get(name).cloned().unwrap_or(NodeType::Missing)
    }
}

pub(super) fn primitive(kind: VariableType) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::PrimitiveType(kind.into())),
        masked: false,
    }
}

/// A TASK or EXTERNAL_EVENT that is void, or whose definition is gone, may still have an output: of an unknown type.
fn output_type(node: &Node, definitions: &dyn Definitions) -> NodeType {
    let known =
        |definition: Option<TypeDefinition>| definition.map_or(NodeType::Unknown, NodeType::Known);
    let kind = |kind| NodeType::Known(primitive(kind));
    match &node.node {
        Some(node::Node::Task(task)) => match &task.task_to_execute {
            Some(TaskToExecute::TaskDefId(id)) => {
                let task_def = definitions.task_def(&id.name);
                known(task_def.and_then(|def| def.return_type?.return_type))
            }
            _ => NodeType::Unknown,
        },
        Some(node::Node::ExternalEvent(event)) => {
            let name = event.external_event_def_id.clone().unwrap_or_default().name;
            let def = definitions.external_event_def(&name);
            known(def.and_then(|def| def.type_information?.return_type))
        }
        Some(node::Node::StartThread(_)) => kind(VariableType::Int),
        Some(node::Node::StartMultipleThreads(_)) => kind(VariableType::JsonArr),
        Some(node::Node::UserTask(_)) => kind(VariableType::JsonObj),
        Some(node::Node::RunChildWf(_)) => kind(VariableType::WfRunId),
        Some(node::Node::WaitForChildWf(_)) => NodeType::Unknown,
        Some(
            node::Node::Entrypoint(_)
            | node::Node::Exit(_)
            | node::Node::Nop(_)
            | node::Node::Sleep(_)
            | node::Node::WaitForThreads(_)
            | node::Node::ThrowEvent(_)
            | node::Node::WaitForCondition(_),
        )
        | None => NodeType::Never,
    }
}

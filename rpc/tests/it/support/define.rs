//! Short ways to define workflows.

use std::collections::BTreeMap;

use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::variable_assignment::{Expression, Source, expression};
use proto::littlehorse::variable_mutation::RhsValue;
use proto::littlehorse::{
    Comparator, Edge, EntrypointNode, ExitNode, ExternalEventDefId, ExternalEventNode, Node,
    NopNode, PutTaskDefRequest, PutWfSpecRequest, ReturnType, TaskDefId, TaskNode, ThreadSpec,
    ThreadVarDef, TypeDefinition, VariableAssignment, VariableDef, VariableMutation,
    VariableMutationType, VariableType, VariableValue, type_definition, variable_value,
};

pub fn value(value: variable_value::Value) -> VariableValue {
    VariableValue { value: Some(value) }
}

pub fn int(number: i64) -> VariableValue {
    value(variable_value::Value::Int(number))
}

pub fn text(text: &str) -> VariableValue {
    value(variable_value::Value::Str(text.to_owned()))
}

pub fn type_of(primitive: VariableType) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(type_definition::DefinedType::PrimitiveType(
            primitive.into(),
        )),
        ..TypeDefinition::default()
    }
}

pub fn var_def(name: &str, primitive: VariableType) -> VariableDef {
    VariableDef {
        name: name.to_owned(),
        type_def: Some(type_of(primitive)),
        ..VariableDef::default()
    }
}

pub fn literal(value: VariableValue) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::LiteralValue(value)),
        ..VariableAssignment::default()
    }
}

pub fn variable(name: &str) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::VariableName(name.to_owned())),
        ..VariableAssignment::default()
    }
}

pub fn task_def(
    name: &str,
    inputs: &[VariableDef],
    returns: Option<VariableType>,
) -> PutTaskDefRequest {
    PutTaskDefRequest {
        name: name.to_owned(),
        input_vars: inputs.to_vec(),
        return_type: Some(ReturnType {
            return_type: returns.map(type_of),
        }),
        ..PutTaskDefRequest::default()
    }
}

pub fn task(name: &str, inputs: Vec<VariableAssignment>) -> TaskNode {
    TaskNode {
        task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
            name: name.to_owned(),
        })),
        variables: inputs,
        ..TaskNode::default()
    }
}

pub fn event(def: &str) -> Kind {
    Kind::ExternalEvent(ExternalEventNode {
        external_event_def_id: Some(ExternalEventDefId {
            name: def.to_owned(),
        }),
        ..ExternalEventNode::default()
    })
}

pub fn edge(sink: &str) -> Edge {
    Edge {
        sink_node_name: sink.to_owned(),
        ..Edge::default()
    }
}

pub fn node(kind: Kind, edges: Vec<Edge>) -> Node {
    Node {
        outgoing_edges: edges,
        node: Some(kind),
        ..Node::default()
    }
}

/// A WfSpec of one thread from its nodes; the nodes are called `entry`, `1`, `2` …, and `exit`, in a row.
pub fn sequence(name: &str, vars: Vec<ThreadVarDef>, kinds: Vec<Kind>) -> PutWfSpecRequest {
    let last = kinds.len();
    let name_of = |at: usize| {
        if at == last {
            "exit".to_owned()
        } else {
            (at + 1).to_string()
        }
    };
    let mut nodes = BTreeMap::from([
        (
            "entry".to_owned(),
            node(Kind::Entrypoint(EntrypointNode {}), vec![edge(&name_of(0))]),
        ),
        (
            "exit".to_owned(),
            node(Kind::Exit(ExitNode::default()), Vec::new()),
        ),
    ]);
    for (at, kind) in kinds.into_iter().enumerate() {
        nodes.insert(name_of(at), node(kind, vec![edge(&name_of(at + 1))]));
    }
    thread(name, vars, nodes)
}

/// A WfSpec of one thread.
pub fn thread(
    name: &str,
    vars: Vec<ThreadVarDef>,
    nodes: BTreeMap<String, Node>,
) -> PutWfSpecRequest {
    let thread = ThreadSpec {
        nodes,
        variable_defs: vars,
        ..ThreadSpec::default()
    };
    PutWfSpecRequest {
        name: name.to_owned(),
        thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
        entrypoint_thread_name: "main".to_owned(),
        ..PutWfSpecRequest::default()
    }
}

pub fn required(def: VariableDef) -> ThreadVarDef {
    ThreadVarDef {
        var_def: Some(def),
        required: true,
        ..ThreadVarDef::default()
    }
}

pub fn optional(def: VariableDef) -> ThreadVarDef {
    ThreadVarDef {
        required: false,
        ..required(def)
    }
}

pub fn assign(name: &str, right: VariableAssignment) -> VariableMutation {
    mutate(name, VariableMutationType::Assign, right)
}

pub fn mutate(
    name: &str,
    operation: VariableMutationType,
    right: VariableAssignment,
) -> VariableMutation {
    VariableMutation {
        lhs_name: name.to_owned(),
        operation: operation.into(),
        rhs_value: Some(RhsValue::RhsAssignment(right)),
        ..VariableMutation::default()
    }
}

pub fn compare(
    left: VariableAssignment,
    comparator: Comparator,
    right: VariableAssignment,
) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::Expression(Box::new(Expression {
            lhs: Some(Box::new(left)),
            rhs: Some(Box::new(right)),
            operation: Some(expression::Operation::Comparator(comparator.into())),
        }))),
        ..VariableAssignment::default()
    }
}

pub fn when(sink: &str, condition: VariableAssignment) -> Edge {
    Edge {
        edge_condition: Some(EdgeCondition::Condition(condition)),
        ..edge(sink)
    }
}

pub fn nop() -> Kind {
    Kind::Nop(NopNode {})
}

pub fn entry(sink: &str) -> (String, Node) {
    let entry = node(Kind::Entrypoint(EntrypointNode {}), vec![edge(sink)]);
    ("entry".to_owned(), entry)
}

pub fn exit() -> (String, Node) {
    let exit = node(Kind::Exit(ExitNode::default()), Vec::new());
    ("exit".to_owned(), exit)
}

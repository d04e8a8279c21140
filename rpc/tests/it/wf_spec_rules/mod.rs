//! The structural rules of PutWfSpec (spec 01, section 10): what is refused and with which words, and what is not.

mod structure;
mod types;

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::Path;
use proto::littlehorse::{
    Edge, ExponentialBackoffRetryPolicy, InlineArrayDef, InlineMapDef, Node, PutWfSpecRequest,
    SearchWfSpecRequest, TaskNode, ThreadSpec, ThreadVarDef, TypeDefinition, VariableAssignment,
    VariableMutation, VariableType,
};
use tonic::Code;

use crate::support::*;

/// A variable of each primitive type, and an array, a map.
fn variables() -> Vec<ThreadVarDef> {
    use VariableType::{Bool, Bytes, Double, Int, JsonArr, JsonObj, Str, Timestamp, WfRunId};
    let plain = [
        ("int", Int),
        ("double", Double),
        ("str", Str),
        ("bool", Bool),
        ("bytes", Bytes),
        ("obj", JsonObj),
        ("arr", JsonArr),
        ("run-id", WfRunId),
        ("time", Timestamp),
    ];
    let mut defs: Vec<_> = plain
        .into_iter()
        .map(|(name, kind)| private(var_def(name, kind)))
        .collect();
    for (name, element) in [("ints", Int), ("strs", Str)] {
        defs.push(typed(name, array_of(type_of(element))));
    }
    defs.push(typed("map", map_of(type_of(Str), type_of(Int))));
    defs
}

fn typed(name: &str, type_def: TypeDefinition) -> ThreadVarDef {
    let mut def = private(var_def(name, VariableType::Str));
    def.var_def.as_mut().unwrap().type_def = Some(type_def);
    def
}

fn defined(as_: DefinedType) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(as_),
        ..TypeDefinition::default()
    }
}

fn array_of(element: TypeDefinition) -> TypeDefinition {
    defined(DefinedType::InlineArrayDef(Box::new(InlineArrayDef {
        array_type: Some(Box::new(element)),
    })))
}

fn map_of(key: TypeDefinition, value: TypeDefinition) -> TypeDefinition {
    defined(DefinedType::InlineMapDef(Box::new(InlineMapDef {
        key_type: Some(Box::new(key)),
        value_type: Some(Box::new(value)),
    })))
}

/// One node, `1`, between ENTRYPOINT and EXIT, and all variables.
fn one(kind: Kind) -> PutWfSpecRequest {
    sequence("bad", variables(), vec![kind])
}

/// One NOP whose edge to the EXIT is this.
fn over(out: Edge) -> PutWfSpecRequest {
    with_nodes(vec![("1", node(nop(), vec![out]))])
}

fn with_nodes(nodes: Vec<(&str, Node)>) -> PutWfSpecRequest {
    let given = nodes
        .into_iter()
        .map(|(name, node)| (name.to_owned(), node));
    let nodes = [entry("1"), exit()].into_iter().chain(given).collect();
    thread("bad", variables(), nodes)
}

fn on_condition(condition: VariableAssignment) -> PutWfSpecRequest {
    let mut spec = over(when("exit", condition));
    let thread = spec.thread_specs.get_mut("main").unwrap();
    let node = thread.nodes.get_mut("1").unwrap();
    node.outgoing_edges.push(edge("exit"));
    spec
}

fn mutating(mutation: VariableMutation) -> PutWfSpecRequest {
    over(Edge {
        variable_mutations: vec![mutation],
        ..edge("exit")
    })
}

/// A mutation of a variable by a literal or another.
fn set(name: &str, right: VariableAssignment) -> PutWfSpecRequest {
    mutating(assign(name, right))
}

fn task_with(inputs: Vec<VariableAssignment>) -> PutWfSpecRequest {
    one(Kind::Task(task("int-task", inputs)))
}

fn retrying(retries: i32, backoff: Option<(i32, i64, f32)>, timeout: i32) -> PutWfSpecRequest {
    one(Kind::Task(TaskNode {
        retries,
        timeout_seconds: timeout,
        exponential_backoff: backoff.map(|(base_interval_ms, max_delay_ms, multiplier)| {
            ExponentialBackoffRetryPolicy {
                base_interval_ms,
                max_delay_ms,
                multiplier,
            }
        }),
        ..task("plain", vec![])
    }))
}

fn at_json(path: &str, of: VariableAssignment) -> VariableAssignment {
    VariableAssignment {
        path: Some(Path::JsonPath(path.to_owned())),
        ..of
    }
}

fn exits(first: Kind, second: Kind) -> PutWfSpecRequest {
    with_nodes(vec![
        (
            "1",
            node(nop(), vec![when("2", variable("bool")), edge("3")]),
        ),
        ("2", node(first, vec![])),
        ("3", node(second, vec![])),
        // Takes the place of the one that returns nothing.
        ("exit", node(nop(), vec![])),
    ])
}

fn two_threads(second: Vec<ThreadVarDef>) -> PutWfSpecRequest {
    let mut spec = one(nop());
    let child = ThreadSpec {
        variable_defs: second,
        nodes: BTreeMap::from([entry("exit"), exit()]),
        ..ThreadSpec::default()
    };
    spec.thread_specs.insert("child".to_owned(), child);
    spec
}

fn changed(change: impl FnOnce(&mut PutWfSpecRequest)) -> PutWfSpecRequest {
    let mut spec = one(nop());
    change(&mut spec);
    spec
}

fn main_of(spec: &mut PutWfSpecRequest) -> &mut ThreadSpec {
    spec.thread_specs.get_mut("main").unwrap()
}

/// A WfSpec, and the words of its refusal.
type Refused = (PutWfSpecRequest, &'static [&'static str]);

async fn prepare(client: &mut Client) {
    let input = var_def("n", VariableType::Int);
    client
        .define_task(task_def("int-task", &[input], Some(VariableType::Int)))
        .await;
    let input = var_def("d", VariableType::Double);
    client
        .define_task(task_def("double-task", &[input], None))
        .await;
    let input = var_def("s", VariableType::Str);
    client
        .define_task(task_def("str-task", &[input], None))
        .await;
    client.define_task(task_def("plain", &[], None)).await;
    client.define_event("untyped").await;
}

async fn all_refused(rows: Vec<Refused>) {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    prepare(client).await;
    for (row, (request, words)) in rows.into_iter().enumerate() {
        let status = client
            .put_wf_spec(request)
            .await
            .expect_err(&format!("row {row} {words:?} was accepted"));
        assert_eq!(status.code(), Code::InvalidArgument, "row {row}: {status}");
        for word in words {
            assert!(
                status.message().contains(word),
                "row {row}: {word:?} is not in {status}"
            );
        }
    }
    assert!(
        SearchWfSpecRequest::default()
            .found(client)
            .await
            .is_empty()
    );
    server.stop().await;
}

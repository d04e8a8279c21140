//! The rules on what the server cannot run yet, without a server: definitions in memory, and the checks alone.

mod children;
mod definitions;
mod structs;
mod threads;
mod user_tasks;

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, FailureHandlerDef, Node, NopNode, ThreadSpec, ThreadVarDef,
    TypeDefinition, VariableDef, VariableType, WfRunVariableAccessLevel, WfSpec, WfSpecId,
    failure_handler_def,
};
use runtime::{Rejection, RejectionCode};

use super::check;
use crate::value::testing::prim;
use definitions::Known;

fn node(kind: Kind, sinks: &[&str]) -> Node {
    Node {
        node: Some(kind),
        outgoing_edges: sinks
            .iter()
            .map(|sink| Edge {
                sink_node_name: (*sink).to_owned(),
                ..Edge::default()
            })
            .collect(),
        ..Node::default()
    }
}

fn nop() -> Kind {
    Kind::Nop(NopNode {})
}

/// ENTRYPOINT, these nodes in a row, called `1`, `2` …, and EXIT.
fn thread(variables: Vec<ThreadVarDef>, kinds: Vec<Kind>) -> ThreadSpec {
    let last = kinds.len();
    let name = |at: usize| match at {
        at if at == last => "exit".to_owned(),
        at => (at + 1).to_string(),
    };
    let mut nodes = BTreeMap::from([
        (
            "entry".to_owned(),
            node(Kind::Entrypoint(EntrypointNode {}), &[&name(0)]),
        ),
        (
            "exit".to_owned(),
            node(Kind::Exit(ExitNode::default()), &[]),
        ),
    ]);
    for (at, kind) in kinds.into_iter().enumerate() {
        nodes.insert(name(at), node(kind, &[&name(at + 1)]));
    }
    ThreadSpec {
        nodes,
        variable_defs: variables,
        ..ThreadSpec::default()
    }
}

/// A WfSpec of these threads; `main` is its entrypoint.
fn spec<const N: usize>(threads: [(&str, ThreadSpec); N]) -> WfSpec {
    WfSpec {
        id: Some(WfSpecId {
            name: "it".to_owned(),
            ..WfSpecId::default()
        }),
        thread_specs: threads
            .into_iter()
            .map(|(name, thread)| (name.to_owned(), thread))
            .collect(),
        entrypoint_thread_name: "main".to_owned(),
        ..WfSpec::default()
    }
}

/// One thread of one node, `1`.
fn one(variables: Vec<ThreadVarDef>, kind: Kind) -> WfSpec {
    spec([("main", thread(variables, vec![kind]))])
}

fn typed(name: &str, type_def: TypeDefinition) -> ThreadVarDef {
    ThreadVarDef {
        var_def: Some(VariableDef {
            name: name.to_owned(),
            type_def: Some(type_def),
            ..VariableDef::default()
        }),
        access_level: WfRunVariableAccessLevel::PrivateVar.into(),
        ..ThreadVarDef::default()
    }
}

fn private(name: &str, kind: VariableType) -> ThreadVarDef {
    typed(name, prim(kind))
}

fn with(access: WfRunVariableAccessLevel, def: ThreadVarDef) -> ThreadVarDef {
    ThreadVarDef {
        access_level: access.into(),
        ..def
    }
}

fn required(def: ThreadVarDef) -> ThreadVarDef {
    ThreadVarDef {
        required: true,
        ..def
    }
}

fn handler(thread: &str, failure: Option<&str>) -> FailureHandlerDef {
    FailureHandlerDef {
        handler_spec_name: thread.to_owned(),
        failure_to_catch: failure
            .map(|name| failure_handler_def::FailureToCatch::SpecificFailure(name.to_owned())),
    }
}

/// The stored form, or the refusal.
fn checked(mut wf_spec: WfSpec, known: &Known) -> Result<WfSpec, Rejection> {
    check(&mut wf_spec, known)?;
    Ok(wf_spec)
}

/// Each is refused, and the message says these words.
#[track_caller]
fn refused(known: &Known, rows: Vec<(WfSpec, &[&str])>) {
    for (row, (wf_spec, words)) in rows.into_iter().enumerate() {
        let rejection = checked(wf_spec, known).expect_err(&format!("row {row} {words:?}"));
        assert_eq!(rejection.code, RejectionCode::InvalidArgument, "row {row}");
        for word in words {
            assert!(
                rejection.message.contains(word),
                "row {row}: {word:?} is not in {:?}",
                rejection.message
            );
        }
    }
}

#[track_caller]
fn accepted(known: &Known, rows: Vec<WfSpec>) {
    for (row, wf_spec) in rows.into_iter().enumerate() {
        if let Err(rejection) = checked(wf_spec, known) {
            panic!("row {row} is refused: {}", rejection.message);
        }
    }
}

#[test]
fn all_that_is_wrong_is_said_and_the_first_comes_first() {
    let mut wf_spec = one(vec![], nop());
    let thread = wf_spec.thread_specs.get_mut("main").unwrap();
    for (name, sink) in [("1", "1"), ("a", "nowhere"), ("b", "entry")] {
        thread.nodes.insert(name.to_owned(), node(nop(), &[sink]));
    }
    let message = checked(wf_spec.clone(), &Known::default())
        .unwrap_err()
        .message;
    let place = "PutWfSpecRequest is invalid: ThreadSpec main invalid: Node";
    assert_eq!(
        message,
        format!(
            "{place} 1 invalid: Edge with sink node 1 invalid: it is a self loop; \
             {place} a invalid: Edge with sink node nowhere invalid: node nowhere does not exist; \
             {place} b invalid: Edge with sink node entry invalid: it leads to the ENTRYPOINT"
        )
    );
    // Not more than a reader wants.
    let thread = wf_spec.thread_specs.get_mut("main").unwrap();
    for number in 0..100 {
        thread
            .nodes
            .insert(format!("n{number}"), node(nop(), &["nowhere"]));
    }
    let message = checked(wf_spec, &Known::default()).unwrap_err().message;
    assert_eq!(message.matches("; ").count(), 20);
    assert!(message.ends_with("and 83 more"), "{message}");
}

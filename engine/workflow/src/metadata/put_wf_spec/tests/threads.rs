//! Threads that start threads, handlers and interrupts.

use std::collections::BTreeMap;

use proto::littlehorse::wait_for_threads_node::{
    ThreadToWaitFor, ThreadsToWaitFor, ThreadsToWaitForOneOf,
};
use proto::littlehorse::{
    Comparator, ExternalEventDefId, ExternalEventNode, InterruptDef, StartMultipleThreadsNode,
    StartThreadNode, ThrowEventNode, VariableAssignment, VariableMutation, VariableType,
    WaitForConditionNode, WaitForThreadsNode, WorkflowEventDef, WorkflowEventDefId,
    wait_for_condition_node,
};

use super::*;
use crate::value::testing::{array_of, at, compared, int, list, literal, null, text, var};
use VariableType::{Double, Int, JsonArr, JsonObj, Str};

fn start(thread: &str, inputs: &[(&str, VariableAssignment)]) -> Kind {
    let inputs = inputs.iter().cloned();
    Kind::StartThread(StartThreadNode {
        thread_spec_name: thread.to_owned(),
        variables: inputs
            .map(|(name, input)| (name.to_owned(), input))
            .collect(),
    })
}

fn each(thread: &str, iterable: Option<VariableAssignment>) -> Kind {
    Kind::StartMultipleThreads(StartMultipleThreadsNode {
        thread_spec_name: thread.to_owned(),
        variables: BTreeMap::new(),
        iterable,
    })
}

/// `main` of one node, and `child`, which takes a required INT and an optional STR.
fn starting(kind: Kind) -> WfSpec {
    let child = vec![required(private("n", Int)), private("s", Str)];
    let main = vec![
        private("i", Int),
        private("d", Double),
        private("j", JsonObj),
    ];
    spec([
        ("main", thread(main, vec![kind])),
        ("child", thread(child, vec![])),
    ])
}

#[test]
fn started_threads_and_their_inputs() {
    let known = Known::default();
    let n = |input| ("n", input);
    // spec 01-44
    refused(
        &known,
        vec![
            (
                starting(start("main", &[])),
                &["node 1 of thread main starts its own thread"],
            ),
            (
                starting(start("nobody", &[])),
                &["node 1 of thread main starts thread nobody"],
            ),
            (
                starting(start("child", &[])),
                &["Node 1 invalid", "required input n"],
            ),
            (
                starting(start("child", &[n(var("i")), ("x", var("i"))])),
                &["Node 1 invalid", "input x is not declared by thread child"],
            ),
            (
                starting(start("child", &[n(var("d"))])),
                &["input n", "can't resolve to INT"],
            ),
            (
                starting(start("child", &[n(var("i")), ("s", var("j"))])),
                &["input s", "can't resolve to STR"],
            ),
            (
                starting(each("nobody", Some(var("j")))),
                &["starts thread nobody"],
            ),
            (
                starting(each("child", None)),
                &["Node 1 invalid", "iterable"],
            ),
        ],
    );
    let casting = VariableAssignment {
        target_type: Some(prim(Int)),
        ..var("d")
    };
    accepted(
        &known,
        vec![
            starting(start("child", &[n(var("i"))])),
            starting(start("child", &[n(casting), ("s", var("i"))])),
            starting(start("child", &[n(at(var("j"), "$.n"))])),
            starting(start("child", &[n(literal(null()))])),
            starting(each("child", Some(literal(list(prim(Int), [int(1)]))))),
        ],
    );
    // Threads may start each other.
    let cycle = spec([
        ("main", thread(vec![], vec![start("child", &[])])),
        ("child", thread(vec![], vec![start("main", &[])])),
    ]);
    accepted(&known, vec![cycle]);
}

#[test]
fn what_is_waited_for_is_a_number_or_a_list() {
    let wait = |what| {
        Kind::WaitForThreads(WaitForThreadsNode {
            threads_to_wait_for: Some(what),
            ..WaitForThreadsNode::default()
        })
    };
    let number = |number| {
        let threads = vec![ThreadToWaitFor {
            thread_run_number: Some(number),
        }];
        wait(ThreadsToWaitForOneOf::Threads(ThreadsToWaitFor { threads }))
    };
    let all = |list| wait(ThreadsToWaitForOneOf::ThreadList(list));
    let variables = || {
        vec![
            private("i", Int),
            private("s", Str),
            private("a", JsonArr),
            typed("is", array_of(prim(Int))),
            typed("ss", array_of(prim(Str))),
        ]
    };
    let known = Known::default();
    refused(
        &known,
        vec![
            (
                one(variables(), number(var("s"))),
                &["can't resolve to INT"],
            ),
            (
                one(variables(), all(var("i"))),
                &["can't resolve to JSON_ARR"],
            ),
            (
                one(variables(), all(var("ss"))),
                &["can't resolve to JSON_ARR or Array<INT>"],
            ),
        ],
    );
    let nothing = Kind::WaitForThreads(WaitForThreadsNode::default());
    accepted(
        &known,
        vec![
            one(variables(), number(var("i"))),
            one(variables(), all(var("a"))),
            one(variables(), all(var("is"))),
            one(variables(), nothing),
        ],
    );
}

/// A node with handlers.
fn handled(handlers: Vec<FailureHandlerDef>, of_threads: bool) -> WfSpec {
    let kind = if of_threads {
        Kind::WaitForThreads(WaitForThreadsNode {
            per_thread_failure_handlers: handlers.clone(),
            ..WaitForThreadsNode::default()
        })
    } else {
        nop()
    };
    let mut wf_spec = spec([
        ("main", thread(vec![], vec![kind])),
        ("handler", thread(vec![], vec![])),
    ]);
    if !of_threads {
        let main = wf_spec.thread_specs.get_mut("main").unwrap();
        main.nodes.get_mut("1").unwrap().failure_handlers = handlers;
    }
    wf_spec
}

#[test]
fn failure_handlers_name_failures_and_threads() {
    let known = Known::default();
    for of_threads in [false, true] {
        let on = |failure| handled(vec![handler("handler", failure)], of_threads);
        // spec 01-40
        let both = vec![
            handler("handler", Some("my.handler")),
            handler("handler", Some("x y")),
        ];
        refused(
            &known,
            vec![
                (
                    handled(both, of_threads),
                    &["Invalid names for exception handlers: my.handler, x y"],
                ),
                // spec 01-44
                (
                    handled(vec![handler("nobody", None)], of_threads),
                    &["failure handler thread nobody", "node 1", "main"],
                ),
            ],
        );
        let bare = checked(on(Some("my.handler")), &known).unwrap_err().message;
        assert_eq!(bare, "Invalid names for exception handlers: my.handler");
        accepted(
            &known,
            vec![
                on(None),
                on(Some("VAR_SUB_ERROR")),
                on(Some("TIMEOUT")),
                on(Some("mine")),
            ],
        );
    }
    // spec 01-49 (the definition; that it fails in a run is issue 6): a sibling's variable.
    let mut wf_spec = handled(vec![handler("handler", None)], false);
    let sibling = thread(vec![private("theirs", Int)], vec![]);
    wf_spec.thread_specs.insert("sibling".to_owned(), sibling);
    let fixing = wf_spec.thread_specs.get_mut("handler").unwrap();
    let edge = &mut fixing.nodes.get_mut("entry").unwrap().outgoing_edges[0];
    edge.variable_mutations = vec![VariableMutation {
        lhs_name: "theirs".to_owned(),
        rhs_value: Some(
            proto::littlehorse::variable_mutation::RhsValue::RhsAssignment(literal(int(1))),
        ),
        ..VariableMutation::default()
    }];
    accepted(&known, vec![wf_spec]);
}

fn interrupted(event: &str, handler: &str, variables: Vec<ThreadVarDef>, kind: Kind) -> WfSpec {
    let mut wf_spec = spec([
        ("main", thread(vec![], vec![kind])),
        ("handler", thread(variables, vec![])),
    ]);
    interrupt(&mut wf_spec, "main", event, handler);
    wf_spec
}

fn interrupt(wf_spec: &mut WfSpec, thread: &str, event: &str, handler: &str) {
    let defs = &mut wf_spec.thread_specs.get_mut(thread).unwrap().interrupt_defs;
    defs.push(InterruptDef {
        external_event_def_id: Some(ExternalEventDefId {
            name: event.to_owned(),
        }),
        handler_spec_name: handler.to_owned(),
    });
}

#[test]
fn interrupts_have_events_of_their_own() {
    let known = Known::default().with_event("e");
    let input = |name| vec![private(name, Str)];
    let awaiting = Kind::ExternalEvent(ExternalEventNode {
        external_event_def_id: Some(ExternalEventDefId {
            name: "e".to_owned(),
        }),
        ..ExternalEventNode::default()
    });
    let mut twice = interrupted("e", "handler", vec![], nop());
    interrupt(&mut twice, "main", "e", "handler");
    let mut in_two = interrupted("e", "handler", vec![], nop());
    interrupt(&mut in_two, "handler", "e", "handler");
    let of_two = vec![private("INPUT", Str), private("x", Str)];
    // spec 01-45
    refused(
        &known,
        vec![
            (
                interrupted("nope", "handler", vec![], nop()),
                &["ThreadSpec main", "ExternalEventDef nope"],
            ),
            (
                interrupted("e", "nobody", vec![], nop()),
                &["ThreadSpec main", "handler thread nobody"],
            ),
            (
                interrupted("e", "handler", input("x"), nop()),
                &["handler thread handler", "INPUT"],
            ),
            (
                interrupted("e", "handler", of_two, nop()),
                &["handler", "INPUT"],
            ),
            (
                interrupted("e", "handler", vec![], awaiting),
                &["ExternalEventDef e", "node 1 of thread main"],
            ),
            (
                in_two,
                &["ExternalEventDef e", "interrupt of thread handler"],
            ),
        ],
    );
    accepted(
        &known,
        vec![
            twice,
            interrupted("e", "handler", vec![], nop()),
            interrupted("e", "handler", input("INPUT"), nop()),
        ],
    );
}

#[test]
fn conditions_and_thrown_events() {
    let on = |condition| {
        Kind::WaitForCondition(WaitForConditionNode {
            node_condition: Some(wait_for_condition_node::NodeCondition::Condition(condition)),
        })
    };
    let throw = |name: &str, content| {
        Kind::ThrowEvent(ThrowEventNode {
            event_def_id: Some(WorkflowEventDefId {
                name: name.to_owned(),
            }),
            content,
        })
    };
    let variables = || vec![private("i", Int), private("s", Str)];
    let mut known = Known::default();
    known
        .thrown
        .insert("t".to_owned(), WorkflowEventDef::default());
    let unset = Kind::WaitForCondition(WaitForConditionNode::default());
    refused(
        &known,
        vec![
            (one(vec![], unset), &["Node 1", "no condition"]),
            (
                one(variables(), on(var("i"))),
                &["Node 1", "condition", "BOOL"],
            ),
            (one(variables(), on(var("x"))), &["uses variable x"]),
            (one(vec![], throw("nope", None)), &["WorkflowEventDef nope"]),
            (
                one(vec![], throw("t", Some(var("x")))),
                &["uses variable x"],
            ),
        ],
    );
    let less = compared(var("i"), Comparator::LessThan, literal(int(5)));
    accepted(
        &known,
        vec![
            one(variables(), on(less)),
            // Only its type is known to the definition, and that is not compared.
            one(variables(), throw("t", Some(literal(text("x"))))),
            one(variables(), throw("t", None)),
        ],
    );
}

//! Threads, nodes, edges and names.

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    EntrypointNode, Node, PutWorkflowEventDefRequest, SearchWfSpecRequest, SleepNode, StructDefId,
    TaskNode, ThrowEventNode, VariableAssignment, VariableMutation, VariableMutationType,
    VariableType, WfRunVariableAccessLevel, WorkflowEventDefId,
};
use tonic::Code;

use super::*;
use crate::support::*;

#[tokio::test]
async fn threads_nodes_and_edges_fit_together() {
    let second_entrypoint = Kind::Entrypoint(EntrypointNode {});
    all_refused(vec![
        // spec 01-32
        (
            changed(|spec| spec.entrypoint_thread_name = "nobody".to_owned()),
            &["entrypoint thread", "nobody"],
        ),
        (
            changed(|spec| spec.thread_specs.clear()),
            &["entrypoint thread", "main"],
        ),
        (
            changed(|spec| {
                main_of(spec).nodes.remove("entry");
            }),
            &["ThreadSpec main invalid", "missing ENTRYPOINT"],
        ),
        (
            one(second_entrypoint.clone()),
            &["ThreadSpec main invalid", "multiple ENTRYPOINT"],
        ),
        // spec 01-33
        (
            over(edge("1")),
            &[
                "ThreadSpec main invalid: Node 1 invalid: Edge with sink node 1 invalid",
                "self",
            ],
        ),
        (
            over(edge("nowhere")),
            &[
                "Node 1 invalid: Edge with sink node nowhere",
                "does not exist",
            ],
        ),
        (
            over(edge("entry")),
            &["Edge with sink node entry", "ENTRYPOINT"],
        ),
        (over(edge("")), &["Node 1 invalid", "does not exist"]),
        // spec 01-34
        (
            two_threads(vec![private(var_def("int", VariableType::Int))]),
            &["Variable int", "main", "child"],
        ),
        (
            changed(|spec| {
                main_of(spec)
                    .variable_defs
                    .push(private(var_def("int", VariableType::Int)));
            }),
            &["Variable int", "main"],
        ),
        // spec 01-51
        (
            with_nodes(vec![(
                "1",
                Node {
                    outgoing_edges: vec![edge("exit")],
                    ..Node::default()
                },
            )]),
            &["ThreadSpec main", "Node 1", "no node type"],
        ),
        (
            one(Kind::Task(TaskNode::default())),
            &["Node 1", "task_def_id", "dynamic_task"],
        ),
        (
            one(Kind::Sleep(SleepNode::default())),
            &["Node 1", "no length"],
        ),
        (
            set("int", expression(literal(int(1)), None, literal(int(2)))),
            &["Node 1", "int", "neither operator nor comparator"],
        ),
        (
            set("int", VariableAssignment::default()),
            &["Node 1", "int", "no source"],
        ),
        (
            mutating(VariableMutation {
                rhs_value: None,
                ..assign("int", literal(int(1)))
            }),
            &["Node 1", "int", "no source"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn names_are_those_of_things_that_exist() {
    let dynamic = Kind::Task(TaskNode {
        task_to_execute: Some(TaskToExecute::DynamicTask(variable("nobody"))),
        ..TaskNode::default()
    });
    let in_format = VariableAssignment {
        source: Some(
            proto::littlehorse::variable_assignment::Source::FormatString(Box::new(
                proto::littlehorse::variable_assignment::FormatString {
                    format: Some(Box::new(literal(text("{0}")))),
                    args: vec![variable("nobody")],
                },
            )),
        ),
        ..VariableAssignment::default()
    };
    let deep = size_of(operate(
        literal(text("a")),
        VariableMutationType::Extend,
        variable("nobody"),
    ));
    all_refused(vec![
        // spec 01-36, 02-43
        (
            task_with(vec![output_of("not-a-real-node")]),
            &["not-a-real-node"],
        ),
        (
            task_with(vec![variable("nobody")]),
            &["main", "nobody", "not declared"],
        ),
        (task_with(vec![]), &["Node 1", "int-task", "1", "0"]),
        (
            task_with(vec![literal(int(1)), literal(int(2))]),
            &["Node 1", "int-task", "1", "2"],
        ),
        (
            one(Kind::Task(task("no-such-task", vec![]))),
            &["Node 1", "no-such-task"],
        ),
        (one(Kind::Task(task("", vec![]))), &["Node 1", "TaskDef"]),
        (one(event("no-such-event")), &["Node 1", "no-such-event"]),
        // Wherever a variable is named (spec 01, section 10.2).
        (one(dynamic), &["nobody", "not declared"]),
        (
            one(sleep_for(variable("nobody"))),
            &["nobody", "not declared"],
        ),
        (
            on_condition(variable("nobody")),
            &["nobody", "not declared"],
        ),
        (set("nobody", literal(int(1))), &["nobody", "not declared"]),
        (set("str", in_format), &["nobody", "not declared"]),
        (set("int", deep), &["nobody", "not declared"]),
        (
            with_nodes(vec![("1", node(returning(variable("nobody")), vec![]))]),
            &["nobody", "not declared"],
        ),
        // Outputs that never are.
        (set("int", output_of("entry")), &["entry"]),
        (set("int", output_of("exit")), &["exit"]),
        (
            changed(|spec| {
                main_of(spec).variable_defs.push(typed(
                    "s",
                    defined(DefinedType::StructDefId(StructDefId {
                        name: "nope".to_owned(),
                        version: 0,
                    })),
                ));
            }),
            &["Variable s", "non-existent StructDef nope"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn retries_and_timeouts_are_possible() {
    all_refused(vec![
        // spec 01-42
        (retrying(-1, None, 0), &["Node 1", "negative retries"]),
        (
            retrying(1, Some((0, 10, 1.0)), 0),
            &["base interval must be > 0"],
        ),
        (
            retrying(1, Some((-5, 10, 1.0)), 0),
            &["base interval must be > 0"],
        ),
        (retrying(1, Some((10, 100, 0.5)), 0), &["multiplier"]),
        (retrying(1, Some((10, 100, f32::NAN)), 0), &["multiplier"]),
        (
            retrying(1, Some((100, 10, 1.0)), 0),
            &["max delay", "base interval"],
        ),
        (retrying(1, None, -1), &["timeout_seconds", "negative"]),
        (
            retrying(1, None, i32::MIN),
            &["timeout_seconds", "negative"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_built_says_so() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    prepare(client).await;
    let def = PutWorkflowEventDefRequest {
        name: "thrown".to_owned(),
        ..PutWorkflowEventDefRequest::default()
    };
    client.put_workflow_event_def(def).await.unwrap();
    let throw = ThrowEventNode {
        event_def_id: Some(WorkflowEventDefId {
            name: "thrown".to_owned(),
        }),
        content: Some(literal(int(1))),
    };
    let answer = client.put_wf_spec(one(Kind::ThrowEvent(throw))).await;
    refused(
        answer,
        Code::Unimplemented,
        &["main", "node 1", "THROW_EVENT"],
    );
    let inherited = changed(|spec| {
        let mut def = private(var_def("up", VariableType::Int));
        def.access_level = WfRunVariableAccessLevel::InheritedVar.into();
        main_of(spec).variable_defs.push(def);
    });
    let answer = client.put_wf_spec(inherited).await;
    refused(
        answer,
        Code::InvalidArgument,
        &["Only child workflows are allowed to access INHERITED variables"],
    );
    assert!(
        SearchWfSpecRequest::default()
            .found(client)
            .await
            .is_empty()
    );
    server.stop().await;
}

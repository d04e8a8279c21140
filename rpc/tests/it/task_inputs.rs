//! What tasks are given, and what is hidden of it (spec 04, sections 1.2, 3 and 4).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::variable_assignment::Path;
use proto::littlehorse::{
    LhStatus, PutTaskDefRequest, ReturnType, StartThreadNode, TaskNode, TaskRunId, TaskStatus,
    TypeDefinition, VarNameAndVal, VariableAssignment, VariableDef, VariableType, VariableValue,
    node_run,
};
use tonic::Code;

use crate::support::*;

fn at_path(name: &str, path: &str) -> VariableAssignment {
    VariableAssignment {
        path: Some(Path::JsonPath(path.to_owned())),
        ..variable(name)
    }
}

/// An input of a task, neither hidden nor masked.
fn input(name: &str, value: VariableValue) -> VarNameAndVal {
    VarNameAndVal {
        var_name: name.to_owned(),
        value: Some(value),
        masked: false,
    }
}

#[tokio::test]
async fn inputs_are_converted_to_the_declared_types() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let inputs = [
        var_def("ratio", VariableType::Double),
        var_def("label", VariableType::Str),
        var_def("count", VariableType::Int),
    ];
    client.define_task(task_def("work", &inputs, None)).await;
    let assignments = vec![
        literal(int(5)),
        literal(int(5432)),
        at_path("order", "$.count"),
    ];
    let order = required(var_def("order", VariableType::JsonObj));
    let node = Kind::Task(task("work", assignments));
    client
        .define(sequence("work", vec![order], vec![node]))
        .await;
    client
        .run_with("work", "r", &[("order", json(r#"{"count": 3}"#))])
        .await;
    let task_run = client.task_run("r", "0-1").await;
    // spec 04-16: by name, and in the TaskDef's order.
    let expected = vec![
        input("ratio", double(5.0)),
        input("label", text("5432")),
        input("count", int(3)),
    ];
    assert_eq!(task_run.input_variables, expected);
    assert_eq!(client.claim("work").await.variables, expected);
    // spec 04-18
    client
        .run_with("work", "n", &[("order", json(r#"{"count": null}"#))])
        .await;
    let delivered = client.claim("work").await;
    assert_eq!(
        delivered.variables[2],
        input("count", VariableValue::default())
    );
    // spec 04-17
    let run = client
        .run_with("work", "d", &[("order", json(r#"{"count": 12.3}"#))])
        .await;
    assert_eq!(run.status(), LhStatus::Error);
    let node_run = client.node_run("d", 1).await;
    assert_eq!(node_run.status(), LhStatus::Error);
    assert_eq!(node_run.failures[0].failure_name, "VAR_SUB_ERROR");
    for word in ["DOUBLE", "count", "work"] {
        let message = &node_run.failures[0].message;
        assert!(message.contains(word), "{message}");
    }
    let Some(node_run::NodeType::Task(part)) = node_run.node_type else {
        panic!("{:?}", node_run.node_type)
    };
    assert_eq!(part.task_run_id, None);
    let none = TaskRunId {
        wf_run_id: Some(id("d")),
        task_guid: "0-1".to_owned(),
    };
    refused(client.get_task_run(none).await, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn a_retry_gets_the_same_inputs() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let x = var_def("x", VariableType::Str);
    client
        .define_task(task_def("work", std::slice::from_ref(&x), None))
        .await;
    let node = TaskNode {
        retries: 1,
        ..task("work", vec![variable("x")])
    };
    client
        .define(sequence("work", vec![required(x)], vec![Kind::Task(node)]))
        .await;
    client.run_with("work", "r", &[("x", text("same"))]).await;
    let first = client.claim("work").await;
    client.report(status(&first, TaskStatus::TaskFailed)).await;
    let second = client.claim("work").await;
    assert_eq!((first.attempt_number, second.attempt_number), (0, 1));
    assert_eq!(first.variables, second.variables);
    assert_eq!(first.source, second.source);
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(second.created_at, task_run.attempts[1].schedule_time);
    server.stop().await;
}

#[tokio::test]
async fn masked_values_are_for_workers_only() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let masked = |primitive| TypeDefinition {
        masked: true,
        ..type_of(primitive)
    };
    let secret = VariableDef {
        type_def: Some(masked(VariableType::Str)),
        ..var_def("secret", VariableType::Str)
    };
    let make = PutTaskDefRequest {
        return_type: Some(ReturnType {
            return_type: Some(masked(VariableType::Str)),
        }),
        ..task_def("make", &[], None)
    };
    client.define_task(make).await;
    client
        .define_task(task_def(
            "use",
            &[secret, var_def("open", VariableType::Str)],
            None,
        ))
        .await;
    let nodes = vec![
        Kind::Task(task("make", vec![])),
        Kind::Task(task("use", vec![output_of("1"), literal(text("hello"))])),
    ];
    client.define(sequence("two", vec![], nodes)).await;
    client.run("two", "r").await;
    let made = client.claim("make").await;
    client.succeed(&made, text("pa55")).await;
    // spec 04-39, 04-19
    let attempt = client.task_run("r", "0-1").await.attempts.remove(0);
    assert_eq!(attempt.result, Some(AttemptResult::Output(text("*****"))));
    assert!(attempt.masked_value);
    let shown = client.task_run("r", "0-2").await.input_variables;
    let hidden = |shown: &str| VarNameAndVal {
        masked: true,
        ..input("secret", text(shown))
    };
    assert_eq!(shown, [hidden("*****"), input("open", text("hello"))]);
    let delivered = client.claim("use").await;
    assert_eq!(
        delivered.variables,
        [hidden("pa55"), input("open", text("hello"))]
    );
    // Not in an error's text either.
    client.run("two", "bad").await;
    let made = client.claim("make").await;
    client.succeed(&made, json(r#"{"key": "pa55"#)).await;
    let attempt = client.task_run("bad", "0-1").await.attempts.remove(0);
    assert_eq!(attempt.status(), TaskStatus::TaskOutputSerdeError);
    assert!(attempt.masked_value);
    assert!(!format!("{attempt:?}").contains("pa55"), "{attempt:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_masked_value_that_cannot_be_converted_is_not_quoted() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let secret = VariableDef {
        type_def: Some(TypeDefinition {
            masked: true,
            ..type_of(VariableType::Str)
        }),
        ..var_def("secret", VariableType::Str)
    };
    client
        .define_task(task_def("work", &[var_def("x", VariableType::Int)], None))
        .await;
    let cast_input = task("work", vec![cast(variable("secret"), VariableType::Int)]);
    let iso = proto::littlehorse::SleepNode {
        sleep_length: Some(proto::littlehorse::sleep_node::SleepLength::IsoDate(
            variable("secret"),
        )),
    };
    for (name, node) in [
        ("cast", Kind::Task(cast_input)),
        ("sleep", Kind::Sleep(iso)),
    ] {
        let vars = vec![required(secret.clone())];
        client.define(sequence(name, vars, vec![node])).await;
        let run = client
            .run_with(name, name, &[("secret", text("pa55"))])
            .await;
        assert_eq!(run.status(), LhStatus::Error, "{name}");
        let node_run = client.node_run(name, 1).await;
        assert_eq!(node_run.failures[0].failure_name, "VAR_SUB_ERROR");
        assert!(
            !format!("{run:?} {node_run:?}").contains("pa55"),
            "{node_run:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_dynamic_task_is_found_by_its_name() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    client
        .define_task(task_def("greedy", &[var_def("x", VariableType::Int)], None))
        .await;
    let node = TaskNode {
        task_to_execute: Some(TaskToExecute::DynamicTask(variable("which"))),
        ..TaskNode::default()
    };
    let which = optional(var_def("which", VariableType::Str));
    client
        .define(sequence("dynamic", vec![which], vec![Kind::Task(node)]))
        .await;
    // spec 04-20
    client
        .run_with("dynamic", "good", &[("which", text("work"))])
        .await;
    let task_run = client.task_run("good", "0-1").await;
    assert_eq!(task_run.task_def_id, Some(task_def_id("work")));
    assert_eq!(client.claim("work").await.task_run_id, task_run.id);
    let rows = [
        ("missing", text("nothing"), "nothing"),
        ("null", VariableValue::default(), "dynamic task"),
        ("count", text("greedy"), "1 inputs"),
    ];
    for (run, name, word) in rows {
        let started = client.run_with("dynamic", run, &[("which", name)]).await;
        assert_eq!(started.status(), LhStatus::Error, "{run}");
        let node_run = client.node_run(run, 1).await;
        assert_eq!(node_run.status(), LhStatus::Error);
        assert_eq!(node_run.failures[0].failure_name, "VAR_SUB_ERROR", "{run}");
        let message = &node_run.failures[0].message;
        assert!(message.contains(word), "{message}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_retry_has_the_inputs_of_the_first_attempt() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    let inputs = [var_def("x", VariableType::Int)];
    client.define_task(task_def("work", &inputs, None)).await;
    let start = Kind::StartThread(StartThreadNode {
        thread_spec_name: "child".to_owned(),
        ..StartThreadNode::default()
    });
    let x = required(var_def("x", VariableType::Int));
    let mut spec = sequence("s", vec![x], vec![start, event("go")]);
    let main = spec.thread_specs.get_mut("main").unwrap();
    let changed = &mut main.nodes.get_mut("2").unwrap().outgoing_edges[0];
    changed
        .variable_mutations
        .push(assign("x", literal(int(2))));
    let retried = TaskNode {
        retries: 1,
        ..task("work", vec![variable("x")])
    };
    let mut child = sequence("child", vec![], vec![Kind::Task(retried)]);
    let child = child.thread_specs.remove("main").unwrap();
    spec.thread_specs.insert("child".to_owned(), child);
    client.define(spec).await;
    client.run_with("s", "r", &[("x", int(1))]).await;
    let first = client.claim("work").await;
    let go = put_event("r", "go", "g", int(0));
    client.put_external_event(go).await.unwrap();
    assert_eq!(variable_of(client, "r", "x").await, int(2));
    client.report(status(&first, TaskStatus::TaskFailed)).await;
    let second = client.claim("work").await;
    // spec 04-21
    assert_eq!((first.attempt_number, second.attempt_number), (0, 1));
    assert_eq!(first.variables, [input("x", int(1))]);
    assert_eq!(second.variables, first.variables);
    server.stop().await;
}

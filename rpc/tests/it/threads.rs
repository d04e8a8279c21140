//! Threads and their parts as clients read them: outputs, failures, variables, NodeRuns (spec 03, sections 5 to 7, 13).

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::variable_assignment::Path;
use proto::littlehorse::{
    ExitNode, FailureDef, GetLatestWfSpecRequest, LhStatus, ListNodeRunsRequest,
    ListTaskRunsRequest, ListVariablesRequest, NodeRun, PutWfSpecRequest, ThreadType, ThreadVarDef,
    TypeDefinition, VariableAssignment, VariableDef, VariableId, VariableType, VariableValue,
    exit_node, node_run,
};
use tonic::Code;

use crate::support::*;

/// A WfSpec of one thread that only ends.
fn ending(name: &str, vars: Vec<ThreadVarDef>, kind: Kind) -> PutWfSpecRequest {
    let end = ("end".to_owned(), node(kind, vec![]));
    thread(name, vars, BTreeMap::from([entry("end"), end]))
}

fn failing(message: &str, content: Option<VariableAssignment>) -> Kind {
    let failure = FailureDef {
        failure_name: "out-of-stock".to_owned(),
        message: message.to_owned(),
        content,
    };
    Kind::Exit(ExitNode {
        result: Some(exit_node::Result::FailureDef(failure)),
    })
}

fn at_path(name: &str, path: &str) -> VariableAssignment {
    VariableAssignment {
        path: Some(Path::JsonPath(path.to_owned())),
        ..variable(name)
    }
}

fn with_default(def: VariableDef, value: VariableValue) -> VariableDef {
    VariableDef {
        default_value: Some(value),
        ..def
    }
}

async fn node_runs(client: &mut Client, run: &str, thread: Option<i32>) -> Vec<NodeRun> {
    let request = ListNodeRunsRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: thread,
        ..ListNodeRunsRequest::default()
    };
    client
        .list_node_runs(request)
        .await
        .unwrap()
        .into_inner()
        .results
}

#[tokio::test]
async fn a_thread_returns_a_value() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let document = || vec![optional(var_def("document", VariableType::JsonObj))];
    let name = returning(at_path("document", "$.name"));
    client.define(ending("returns", document(), name)).await;
    let input = [("document", json(r#"{"name": "ok"}"#))];
    let run = client.run_with("returns", "ok", &input).await;
    let thread = &run.thread_runs[0];
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(thread.status(), LhStatus::Completed);
    assert_eq!(thread.output, Some(text("ok")));
    assert_eq!(thread.r#type(), ThreadType::Entrypoint);
    assert_eq!((thread.number, thread.parent_thread_id), (0, None));
    assert_eq!(thread.thread_spec_name, "main");
    assert_eq!(thread.wf_spec_id, run.wf_spec_id);
    assert_eq!(thread.start_time, run.start_time);
    assert_eq!(thread.end_time, run.end_time);
    assert_eq!(thread.error_message, None);
    assert_eq!(
        (run.parent_trigger, run.old_wf_spec_versions.len()),
        (None, 0)
    );
    // What cannot be resolved is an error of the EXIT node.
    let adds = returning(operate(
        variable("x"),
        proto::littlehorse::VariableMutationType::Divide,
        literal(int(0)),
    ));
    let x = vec![required(var_def("x", VariableType::Int))];
    client.define(ending("divides", x, adds)).await;
    let run = client.run_with("divides", "bad", &[("x", int(1))]).await;
    assert_eq!(run.status(), LhStatus::Error);
    let node_run = client.node_run("bad", 1).await;
    assert_eq!(node_run.failures[0].failure_name, "VAR_ERROR");
    for word in ["output", "zero"] {
        let message = &node_run.failures[0].message;
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(run.thread_runs[0].output, None);
    assert_eq!(run.thread_runs[0].end_time, run.end_time);
    server.stop().await;
}

#[tokio::test]
async fn a_thread_throws_an_exception() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let x = || vec![optional(var_def("x", VariableType::Int))];
    let divided = operate(
        variable("x"),
        proto::littlehorse::VariableMutationType::Divide,
        literal(int(0)),
    );
    for (name, content, expected, is_warned) in [
        ("plain", None, VariableValue::default(), false),
        ("with", Some(variable("x")), int(7), false),
        ("unresolved", Some(divided), VariableValue::default(), true),
    ] {
        client
            .define(ending(name, x(), failing("sorry", content)))
            .await;
        let run = client.run_with(name, name, &[("x", int(7))]).await;
        assert_eq!(run.status(), LhStatus::Exception, "{name}");
        let node_run = client.node_run(name, 1).await;
        assert_eq!(node_run.status(), LhStatus::Exception);
        let [failure] = &node_run.failures[..] else {
            panic!("{:?}", node_run.failures)
        };
        assert_eq!(failure.failure_name, "out-of-stock");
        assert_eq!(failure.content, Some(expected), "{name}");
        assert!(failure.message.starts_with("sorry"));
        assert_eq!(
            failure.message != "sorry",
            is_warned,
            "{name}: {}",
            failure.message
        );
        assert_eq!(failure.message.contains("zero"), is_warned);
        let thread = &run.thread_runs[0];
        assert_eq!(thread.status(), LhStatus::Exception);
        assert_eq!(thread.error_message.as_ref(), Some(&failure.message));
        assert_eq!(node_run.error_message.as_ref(), Some(&failure.message));
        assert_eq!(
            (thread.end_time, node_run.end_time),
            (run.end_time, run.end_time)
        );
        assert!(matches!(
            node_run.node_type,
            Some(node_run::NodeType::Exit(_))
        ));
    }
    server.stop().await;
}

#[tokio::test]
async fn variables_have_defaults() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let secret = VariableDef {
        type_def: Some(TypeDefinition {
            masked: true,
            ..type_of(VariableType::Str)
        }),
        ..with_default(var_def("secret", VariableType::Str), text("pa55"))
    };
    let vars = [
        with_default(var_def("count", VariableType::Int), int(3)),
        with_default(var_def("ratio", VariableType::Double), double(0.5)),
        var_def("bare", VariableType::Str),
        secret,
    ];
    let kinds = vec![event("go")];
    client.define_event("go").await;
    let spec = client
        .define(sequence("vars", vars.map(optional).to_vec(), kinds))
        .await;
    let null = VariableValue::default;
    // Absent and null are the same; what is given counts.
    for (run, inputs, count, bare) in [
        ("absent", vec![], int(3), null()),
        (
            "null",
            vec![("count", null()), ("bare", null())],
            int(3),
            null(),
        ),
        (
            "given",
            vec![("count", int(0)), ("bare", text(""))],
            int(0),
            text(""),
        ),
    ] {
        let started = client.run_with("vars", run, &inputs).await;
        assert_eq!(variable_of(client, run, "count").await, count, "{run}");
        assert_eq!(variable_of(client, run, "bare").await, bare, "{run}");
        assert_eq!(variable_of(client, run, "ratio").await, double(0.5));
        assert_eq!(variable_of(client, run, "secret").await, text("*****"));
        let request = ListVariablesRequest {
            wf_run_id: Some(id(run)),
            ..ListVariablesRequest::default()
        };
        let list = client.list_variables(request).await.unwrap().into_inner();
        assert_eq!(list.bookmark, None);
        let names: Vec<_> = list
            .results
            .iter()
            .map(|v| &*v.id.as_ref().unwrap().name)
            .collect();
        assert_eq!(names, ["bare", "count", "ratio", "secret"]);
        for variable in &list.results {
            let id = variable.id.clone().unwrap();
            assert_eq!(variable.masked, id.name == "secret");
            assert_eq!(variable.wf_spec_id, spec.id);
            assert_eq!(variable.created_at, started.start_time);
            let found = client.get_variable(id).await.unwrap().into_inner();
            assert_eq!(&found, variable);
        }
    }
    let of = |run: Option<&str>, thread_run_number, name: &str| VariableId {
        wf_run_id: run.map(id),
        thread_run_number,
        name: name.to_owned(),
    };
    for missing in [
        of(Some("absent"), 0, "unknown"),
        of(Some("absent"), 1, "count"),
        of(Some("absent"), -1, "count"),
        of(Some("nobody"), 0, "count"),
        of(Some("absent"), 0, ""),
        of(None, 0, "count"),
    ] {
        refused(client.get_variable(missing).await, Code::NotFound, &[]);
    }
    server.stop().await;
}

#[tokio::test]
async fn node_runs_are_listed_in_their_order() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let mut kinds = vec![nop(); 11];
    client.define_task(task_def("work", &[], None)).await;
    kinds.push(Kind::Task(task("work", vec![])));
    client.define(sequence("many", vec![], kinds)).await;
    let run = client.run("many", "r").await;
    let found = node_runs(client, "r", None).await;
    let positions: Vec<i32> = found
        .iter()
        .map(|n| n.id.as_ref().unwrap().position)
        .collect();
    assert_eq!(positions, (0..=12).collect::<Vec<_>>());
    for (position, node_run) in (0..).zip(&found) {
        let is_last = position == 12;
        let node_id = node_run.id.as_ref().unwrap();
        assert_eq!(node_id.wf_run_id, run.id);
        assert_eq!(node_id.thread_run_number, 0);
        assert_eq!(node_run.wf_spec_id, run.wf_spec_id);
        assert_eq!(node_run.thread_spec_name, "main");
        let name = if position == 0 {
            "entry".to_owned()
        } else {
            position.to_string()
        };
        assert_eq!(node_run.node_name, name);
        assert_eq!(node_run.arrival_time, run.start_time);
        assert_eq!(node_run.end_time.is_none(), is_last);
        let status = if is_last {
            LhStatus::Running
        } else {
            LhStatus::Completed
        };
        assert_eq!(node_run.status(), status);
        assert_eq!(node_run.error_message, None);
        assert_eq!(node_run, &client.node_run("r", position).await);
    }
    assert_eq!(node_runs(client, "r", Some(0)).await, found);
    for (run, thread) in [("r", Some(1)), ("r", Some(-1)), ("nobody", None)] {
        assert!(node_runs(client, run, thread).await.is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn task_runs_are_listed_in_their_order() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let work = || Kind::Task(task("work", vec![]));
    let mut kinds = vec![nop(); 10];
    for position in [1, 2, 10] {
        kinds[position - 1] = work();
    }
    client.define(sequence("three", vec![], kinds)).await;
    client.run("three", "r").await;
    let request = || ListTaskRunsRequest {
        wf_run_id: Some(id("r")),
        ..ListTaskRunsRequest::default()
    };
    for guid in ["0-1", "0-2", "0-10"] {
        let task = client.claim("work").await;
        assert_eq!(task.task_run_id.as_ref().unwrap().task_guid, guid);
        client.report(success(&task, None)).await;
    }
    // spec 04-58
    let found = request().found(client).await;
    let guids: Vec<_> = found
        .iter()
        .map(|task| &*task.id.as_ref().unwrap().task_guid)
        .collect();
    assert_eq!(guids, ["0-1", "0-2", "0-10"]);
    for task_run in &found {
        assert_eq!(
            task_run,
            &client
                .task_run("r", &task_run.id.as_ref().unwrap().task_guid)
                .await
        );
    }
    let none = ListTaskRunsRequest {
        wf_run_id: Some(id("nobody")),
        ..request()
    };
    assert!(none.found(client).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_run_keeps_to_its_version_of_the_spec() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    let old = client
        .define(sequence("spec", vec![], vec![event("go"), nop()]))
        .await;
    client.run("spec", "r").await;
    let new = client
        .define(sequence("spec", vec![], vec![event("go")]))
        .await;
    assert_ne!(old.id, new.id);
    for version in [old.id.clone(), new.id] {
        let request = proto::littlehorse::DeleteWfSpecRequest { id: version };
        client.delete_wf_spec(request).await.unwrap();
    }
    let request = GetLatestWfSpecRequest {
        name: "spec".to_owned(),
        ..GetLatestWfSpecRequest::default()
    };
    refused(
        client.get_latest_wf_spec(request).await,
        Code::NotFound,
        &[],
    );
    let event = put_event("r", "go", "g", int(1));
    client.put_external_event(event).await.unwrap();
    let run = client.wf_run("r").await;
    assert_eq!(
        (run.status(), run.wf_spec_id),
        (LhStatus::Completed, old.id)
    );
    assert_eq!(run.thread_runs[0].current_node_position, 3);
    server.stop().await;
}

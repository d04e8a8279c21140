//! WorkflowEvents: throwing, reading and awaiting them (spec 05, section 6).

use std::time::{Duration, Instant};

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    AwaitWorkflowEventRequest, DeleteWfRunRequest, LhStatus, ListWorkflowEventsRequest,
    PutWorkflowEventDefRequest, SearchWorkflowEventRequest, ThrowEventNode, VariableAssignment,
    VariableType, VariableValue, WorkflowEvent, WorkflowEventDefId, WorkflowEventId,
};
use tonic::{Code, Status};

use crate::support::*;

fn def_id(name: &str) -> WorkflowEventDefId {
    WorkflowEventDefId {
        name: name.to_owned(),
    }
}

fn event_id(run: &str, def: &str, number: i32) -> WorkflowEventId {
    WorkflowEventId {
        wf_run_id: Some(id(run)),
        workflow_event_def_id: Some(def_id(def)),
        number,
    }
}

fn throw(def: &str, content: VariableAssignment) -> Kind {
    Kind::ThrowEvent(ThrowEventNode {
        event_def_id: Some(def_id(def)),
        content: Some(content),
    })
}

async fn define_event(client: &mut Client, name: &str) {
    let def = PutWorkflowEventDefRequest {
        name: name.to_owned(),
        ..PutWorkflowEventDefRequest::default()
    };
    client.put_workflow_event_def(def).await.unwrap();
}

fn awaiting(run: &str, defs: &[&str], ignored: &[WorkflowEventId]) -> AwaitWorkflowEventRequest {
    AwaitWorkflowEventRequest {
        wf_run_id: Some(id(run)),
        event_def_ids: defs.iter().map(|def| def_id(def)).collect(),
        workflow_events_to_ignore: ignored.to_vec(),
    }
}

async fn awaited(client: &Client, request: AwaitWorkflowEventRequest) -> WorkflowEvent {
    let mut client = client.clone();
    let answer = tokio::time::timeout(PATIENCE, client.await_workflow_event(request)).await;
    answer.expect("it still waits").unwrap().into_inner()
}

/// Waits for `go`, then throws `done` with 1, `done-late`, and `done` with 2.
async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    for name in ["done", "done-late", "never"] {
        define_event(client, name).await;
    }
    let spec = sequence(
        "s",
        vec![],
        vec![
            event("go"),
            throw("done", literal(int(1))),
            throw("done-late", literal(text("late"))),
            throw("done", literal(int(2))),
        ],
    );
    client.define(spec).await;
    server
}

async fn go(client: &mut Client, run: &str) {
    let put = put_event(run, "go", "g", VariableValue::default());
    client.put_external_event(put).await.unwrap();
}

#[tokio::test]
async fn what_was_thrown_is_there() {
    let mut server = server().await;
    let client = &mut server.client.clone();
    client.run("s", "r").await;
    go(client, "r").await;
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Completed);
    let first = awaited(client, awaiting("r", &["done"], &[])).await;
    // spec 05-34, spec 05-40
    assert_eq!(first.id, Some(event_id("r", "done", 0)));
    assert_eq!(first.content, Some(int(1)));
    let by = first.node_run_id.clone().unwrap();
    assert_eq!((by.wf_run_id, by.position), (Some(id("r")), 2));
    let late = awaited(client, awaiting("r", &["done-late", "never"], &[])).await;
    assert_eq!(late.id, Some(event_id("r", "done-late", 0)));
    // Thrown first, over all definitions; and then without those that are to be ignored.
    let mut ignored = Vec::new();
    for expected in [
        event_id("r", "done", 0),
        event_id("r", "done-late", 0),
        event_id("r", "done", 1),
    ] {
        // spec 05-36, spec 05-37
        let event = awaited(client, awaiting("r", &[], &ignored)).await;
        assert_eq!(event.id, Some(expected.clone()));
        ignored.push(expected);
    }
    server.restart().await;
    let client = &mut server.client.clone();
    // spec 05-34
    assert_eq!(awaited(client, awaiting("r", &[], &[])).await, first);
    let got = client
        .get_workflow_event(event_id("r", "done", 1))
        .await
        .unwrap();
    assert_eq!(got.into_inner().content, Some(int(2)));
    refused(
        client.get_workflow_event(event_id("r", "done", 2)).await,
        Code::NotFound,
        &[],
    );
    let list = ListWorkflowEventsRequest {
        wf_run_id: Some(id("r")),
        ..ListWorkflowEventsRequest::default()
    };
    let listed = client.list_workflow_events(list).await.unwrap();
    let listed = listed.into_inner().results.into_iter();
    let ids: Vec<_> = listed.map(|event| event.id.unwrap()).collect();
    let expected = [("done", 0), ("done", 1), ("done-late", 0)];
    assert_eq!(
        ids,
        expected.map(|(def, number)| event_id("r", def, number))
    );
    let search = |def: &str| SearchWorkflowEventRequest {
        workflow_event_def_id: Some(def_id(def)),
        ..SearchWorkflowEventRequest::default()
    };
    let found = client.search_workflow_event(search("done")).await.unwrap();
    assert_eq!(
        found.into_inner().results,
        [event_id("r", "done", 0), event_id("r", "done", 1)]
    );
    for (def, words) in [("", "required"), ("none", "none")] {
        refused(
            client.search_workflow_event(search(def)).await,
            Code::InvalidArgument,
            &[words],
        );
    }
    // A deletion takes them along: the next run of that id begins anew.
    let delete = DeleteWfRunRequest { id: Some(id("r")) };
    client.delete_wf_run(delete).await.unwrap();
    let found = client.search_workflow_event(search("done")).await.unwrap();
    assert_eq!(found.into_inner().results, []);
    server.stop().await;
}

#[tokio::test]
async fn whoever_waits_is_told() {
    let mut server = server().await;
    let client = &mut server.client;
    // spec 05-39
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { awaited(&client, awaiting("r", &["done"], &[])).await })
        })
        .collect();
    let any = {
        let client = client.clone();
        tokio::spawn(async move { awaited(&client, awaiting("r", &[], &[])).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.run("s", "r").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    go(client, "r").await;
    for waiting in waiting.into_iter().chain([any]) {
        // spec 05-35, spec 05-37
        assert_eq!(waiting.await.unwrap().id, Some(event_id("r", "done", 0)));
    }
    server.stop().await;
}

/// A call with the client's own deadline.
async fn awaited_for(client: &Client, patience: Duration) -> Status {
    let mut request = tonic::Request::new(awaiting("none", &[], &[]));
    request.set_timeout(patience);
    let mut client = client.clone();
    client.await_workflow_event(request).await.unwrap_err()
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let mut server = server().await;
    let client = server.client.clone();
    let begun = Instant::now();
    let status = awaited_for(&client, Duration::from_secs(2)).await;
    // spec 05-38
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(1900));
    // When the server stops, at once.
    let waiting = {
        let mut client = client.clone();
        tokio::spawn(async move { client.await_workflow_event(awaiting("r", &[], &[])).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    server.restart().await;
    let status = waiting.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(8));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_computed_is_not_thrown() {
    let mut server = server().await;
    let client = &mut server.client;
    let mut content = variable("x");
    content.path = Some(proto::littlehorse::variable_assignment::Path::JsonPath(
        "$.a.b".to_owned(),
    ));
    let x = vec![optional(var_def("x", VariableType::JsonObj))];
    client
        .define(sequence("bad", x, vec![throw("done", content)]))
        .await;
    client.run("bad", "b").await;
    let failed = client.node_run("b", 1).await;
    assert_eq!(failed.failures[0].failure_name, "VAR_SUB_ERROR");
    refused(
        client.get_workflow_event(event_id("b", "done", 0)).await,
        Code::NotFound,
        &[],
    );
    server.stop().await;
}

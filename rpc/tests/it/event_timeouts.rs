//! EXTERNAL_EVENT nodes that wait for a limited time, and events that are kept for one (spec 05, sections 3.7 and 4).

use proto::littlehorse::external_event_retention_policy::ExtEvtGcPolicy;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::variable_assignment::Path;
use proto::littlehorse::{
    ExternalEventDefId, ExternalEventId, ExternalEventNodeRun, ExternalEventRetentionPolicy,
    LhStatus, PutExternalEventDefRequest, ResumeWfRunRequest, StopWfRunRequest, VariableAssignment,
    VariableType, VariableValue, node_run,
};
use tonic::{Code, Status};

use crate::support::*;

/// Waits for `go` for so many seconds.
fn wait_for(seconds: VariableAssignment) -> Kind {
    match event("go") {
        Kind::ExternalEvent(mut node) => {
            node.timeout_seconds = Some(seconds);
            Kind::ExternalEvent(node)
        }
        other => other,
    }
}

async fn define_wait(client: &mut Client, name: &str, seconds: i64) {
    client.define_event("go").await;
    let wait = wait_for(literal(int(seconds)));
    client.define(sequence(name, vec![], vec![wait])).await;
}

async fn waiter(client: &mut Client, run: &str) -> ExternalEventNodeRun {
    match client.node_run(run, 1).await.node_type {
        Some(node_run::NodeType::ExternalEvent(part)) => part,
        other => panic!("{other:?}"),
    }
}

async fn stop(client: &mut Client, run: &str) {
    let request = StopWfRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: 0,
    };
    client.stop_wf_run(request).await.unwrap();
}

async fn resume(client: &mut Client, run: &str) {
    let request = ResumeWfRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: 0,
    };
    client.resume_wf_run(request).await.unwrap();
}

/// Whether an event is claimed once it was put.
async fn is_taken(client: &mut Client, run: &str) -> bool {
    let put = client
        .put_external_event(put_event(run, "go", "g", int(1)))
        .await;
    put.unwrap().into_inner().claimed
}

async fn is_over(client: &Client, run: &str) {
    until(|| {
        let mut client = client.clone();
        async move { waiter(&mut client, run).await.timed_out.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_node_waits_for_a_limited_time() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_wait(client, "wait", 1).await;
    for run in ["late", "deleted"] {
        client.run("wait", run).await;
    }
    for (run, has_event) in [("halted", false), ("in-time", true), ("resumed", true)] {
        client.run("wait", run).await;
        stop(client, run).await;
        if has_event {
            assert!(!is_taken(client, run).await);
        }
    }
    // spec 05-14
    resume(client, "resumed").await;
    assert_eq!(client.wf_run("resumed").await.status(), LhStatus::Completed);
    // Another run under the id of a deleted one has its own time.
    let request = proto::littlehorse::DeleteWfRunRequest {
        id: Some(id("deleted")),
    };
    client.delete_wf_run(request).await.unwrap();
    define_wait(client, "patient", 3600).await;
    client.run("patient", "deleted").await;
    server.restart().await;
    let client = &mut server.client.clone();
    // spec 05-12
    let run = client.ended("late").await;
    assert_eq!(run.status(), LhStatus::Error);
    let node_run = client.node_run("late", 1).await;
    assert_eq!(node_run.status(), LhStatus::Error);
    assert_eq!(node_run.failures[0].failure_name, "TIMEOUT");
    let message = node_run.failures[0].message.to_lowercase();
    assert!(message.contains("arrive in time"), "{message}");
    let waited = millis(node_run.end_time) - millis(node_run.arrival_time);
    assert!(waited >= 1000, "{waited} ms");
    let part = waiter(client, "late").await;
    assert!(part.timed_out);
    assert_eq!(part.external_event_id, None);
    assert!(!is_taken(client, "late").await);
    // spec 05-13: the clock runs on while the thread is halted.
    is_over(client, "halted").await;
    assert_eq!(
        client.node_run("halted", 1).await.status(),
        LhStatus::Halted
    );
    assert!(!is_taken(client, "halted").await);
    resume(client, "halted").await;
    let failures = client.node_run("halted", 1).await.failures;
    assert_eq!(failures[0].failure_name, "TIMEOUT");
    assert_eq!(client.wf_run("halted").await.status(), LhStatus::Error);
    // What came in time counts, even if the thread goes on too late.
    is_over(client, "in-time").await;
    resume(client, "in-time").await;
    assert_eq!(client.wf_run("in-time").await.status(), LhStatus::Completed);
    // spec 05-57: all timers of the first runs have fired by now.
    let run = client.wf_run("deleted").await;
    assert_eq!(run.status(), LhStatus::Running);
    assert!(!waiter(client, "deleted").await.timed_out);
    assert!(is_taken(client, "deleted").await);
    server.stop().await;
}

#[tokio::test]
async fn an_event_that_is_there_wins_over_any_timeout() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    for (spec, seconds) in [("zero", 0), ("negative", -5), ("least", i64::MIN)] {
        define_wait(client, spec, seconds).await;
        let there = format!("{spec}-there");
        assert!(!is_taken(client, &there).await);
        let run = client.run(spec, &there).await;
        assert_eq!(run.status(), LhStatus::Completed, "{spec}");
        client.run(spec, spec).await;
        assert_eq!(client.ended(spec).await.status(), LhStatus::Error, "{spec}");
        assert!(waiter(client, spec).await.timed_out);
    }
    define_wait(client, "greatest", i64::MAX).await;
    client.run("greatest", "greatest").await;
    assert!(is_taken(client, "greatest").await);
    server.stop().await;
}

#[tokio::test]
async fn a_timeout_must_be_an_int() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    let limit = VariableAssignment {
        path: Some(Path::JsonPath("$.limit".to_owned())),
        ..variable("input")
    };
    let input = vec![optional(var_def("input", VariableType::JsonObj))];
    client
        .define(sequence("wait", input, vec![wait_for(limit)]))
        .await;
    // spec 05-15
    for (run, document, kind) in [
        ("str", json(r#"{"limit": "1"}"#), "STR"),
        ("double", json(r#"{"limit": 1.0}"#), "DOUBLE"),
        ("null", json(r#"{"limit": null}"#), "NULL"),
        ("nothing", VariableValue::default(), "timeout"),
    ] {
        let started = client.run_with("wait", run, &[("input", document)]).await;
        assert_eq!(started.status(), LhStatus::Error, "{run}");
        let node_run = client.node_run(run, 1).await;
        assert_eq!(node_run.failures[0].failure_name, "VAR_ERROR", "{run}");
        for word in ["timeout", kind] {
            let message = &node_run.failures[0].message;
            assert!(message.contains(word), "{run}: {message}");
        }
        let part = waiter(client, run).await;
        let def = part.external_event_def_id.unwrap();
        assert_eq!(def.name, "go");
    }
    let input = [("input", json(r#"{"limit": 60}"#))];
    let run = client.run_with("wait", "int", &input).await;
    assert_eq!(run.status(), LhStatus::Running);
    server.stop().await;
}

#[tokio::test]
async fn unclaimed_events_are_kept_for_a_while() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let kept_for = |seconds: Option<i64>| PutExternalEventDefRequest {
        name: "go".to_owned(),
        retention_policy: Some(ExternalEventRetentionPolicy {
            ext_evt_gc_policy: seconds.map(ExtEvtGcPolicy::SecondsAfterPut),
        }),
        ..PutExternalEventDefRequest::default()
    };
    client
        .put_external_event_def(kept_for(Some(1)))
        .await
        .unwrap();
    client
        .define(sequence("wait", vec![], vec![event("go")]))
        .await;
    client.run("wait", "claims").await;
    assert!(is_taken(client, "claims").await);
    assert!(!is_taken(client, "early").await);
    client.run("wait", "early").await;
    assert!(!is_taken(client, "stays").await);
    // A definition counts as of the moment of the put.
    for (run, seconds) in [("for-ever", None), ("very-long", Some(i64::MAX))] {
        client
            .put_external_event_def(kept_for(seconds))
            .await
            .unwrap();
        assert!(!is_taken(client, run).await);
    }
    // spec 05-16
    until(|| {
        let mut client = client.clone();
        async move { gone(&mut client, "stays").await.then_some(()) }
    })
    .await;
    for run in ["claims", "early", "for-ever", "very-long"] {
        assert!(!gone(client, run).await, "{run}");
    }
    // Its guid is free again, and its run finds nothing.
    client.run("wait", "stays").await;
    assert!(is_taken(client, "stays").await);
    // Zero and less: at once.
    client
        .put_external_event_def(kept_for(Some(-1)))
        .await
        .unwrap();
    assert!(!is_taken(client, "at-once").await);
    until(|| {
        let mut client = client.clone();
        async move { gone(&mut client, "at-once").await.then_some(()) }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_wait_outlives_the_definition_of_its_event() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    client
        .define(sequence("wait", vec![], vec![event("go")]))
        .await;
    client.run("wait", "w").await;
    let id = Some(ExternalEventDefId {
        name: "go".to_owned(),
    });
    let request = proto::littlehorse::DeleteExternalEventDefRequest { id };
    client.delete_external_event_def(request).await.unwrap();
    let put = client
        .put_external_event(put_event("w", "go", "g", int(1)))
        .await;
    refused(put, Code::InvalidArgument, &["ExternalEventDef", "go"]);
    // A run that gets there only now waits too.
    let run = client.run("wait", "late").await;
    assert_eq!(run.status(), LhStatus::Running);
    client.define_event("go").await;
    for run in ["w", "late"] {
        assert!(is_taken(client, run).await, "{run}");
        assert_eq!(client.wf_run(run).await.status(), LhStatus::Completed);
    }
    server.stop().await;
}

/// Whether a run's event `g` is not found.
async fn gone(client: &mut Client, run: &str) -> bool {
    let event = ExternalEventId {
        wf_run_id: Some(id(run)),
        external_event_def_id: Some(ExternalEventDefId {
            name: "go".to_owned(),
        }),
        guid: "g".to_owned(),
    };
    let found: Result<_, Status> = client.get_external_event(event).await;
    found.is_err_and(|status| status.code() == Code::NotFound)
}

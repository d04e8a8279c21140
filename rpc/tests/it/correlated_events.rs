//! CorrelatedEvents (spec 05, section 5).

use std::time::Duration;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{
    CorrelatedEvent, CorrelatedEventConfig, CorrelatedEventId, DeleteCorrelatedEventRequest,
    DeleteWfRunRequest, ExternalEventDefId, LhStatus, ListNodeRunsRequest,
    PutCorrelatedEventRequest, PutExternalEventDefRequest, ReturnType,
    SearchCorrelatedEventRequest, StartThreadNode, ThreadRun, ThreadVarDef, VariableAssignment,
    VariableType, VariableValue,
};
use tonic::Code;

use crate::support::*;

fn def_id(name: &str) -> ExternalEventDefId {
    ExternalEventDefId {
        name: name.to_owned(),
    }
}

fn event_id(key: &str, def: &str) -> CorrelatedEventId {
    CorrelatedEventId {
        key: key.to_owned(),
        external_event_def_id: Some(def_id(def)),
    }
}

fn request(key: &str, def: &str, content: VariableValue) -> PutCorrelatedEventRequest {
    PutCorrelatedEventRequest {
        key: key.to_owned(),
        external_event_def_id: Some(def_id(def)),
        content: Some(content),
    }
}

async fn put(client: &mut Client, key: &str, def: &str) -> CorrelatedEvent {
    let put = client.put_correlated_event(request(key, def, int(7))).await;
    put.unwrap().into_inner()
}

async fn find(client: &mut Client, key: &str, def: &str) -> Option<CorrelatedEvent> {
    match client.get_correlated_event(event_id(key, def)).await {
        Ok(found) => Some(found.into_inner()),
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status}");
            None
        }
    }
}

/// `once` is deleted when it is matched, `often` is kept.
async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for (name, config) in [
        ("once", config_of(true, None)),
        ("often", config_of(false, None)),
        ("short", config_of(false, Some(1))),
        ("long", config_of(false, Some(5))),
    ] {
        define_event(client, name, Some(config)).await;
    }
    client.define_event("plain").await;
    for def in ["once", "often"] {
        let key = vec![optional(var_def("key", VariableType::Str))];
        let spec = sequence(
            &format!("wait-{def}"),
            key,
            vec![keyed(def, variable("key"))],
        );
        client.define(spec).await;
    }
    server
}

fn config_of(delete: bool, ttl_seconds: Option<i64>) -> CorrelatedEventConfig {
    CorrelatedEventConfig {
        ttl_seconds,
        delete_after_first_correlation: delete,
    }
}

async fn define_event(client: &mut Client, name: &str, config: Option<CorrelatedEventConfig>) {
    let def = PutExternalEventDefRequest {
        name: name.to_owned(),
        correlated_event_config: config,
        ..PutExternalEventDefRequest::default()
    };
    client.put_external_event_def(def).await.unwrap();
}

/// Waits for an event with a key.
fn keyed(def: &str, key: VariableAssignment) -> Kind {
    match event(def) {
        Kind::ExternalEvent(mut node) => {
            node.correlation_key = Some(key);
            Kind::ExternalEvent(node)
        }
        other => other,
    }
}

async fn run(client: &mut Client, def: &str, run: &str, key: &str) {
    let spec = format!("wait-{def}");
    client.run_with(&spec, run, &[("key", text(key))]).await;
}

/// Until the groups of all keys have heard what those who wait have said: a message takes far less than this.
async fn heard() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn an_event_that_is_there_is_for_who_comes() {
    let mut server = server().await;
    let client = &mut server.client;
    put(client, "k", "once").await;
    run(client, "once", "r", "k").await;
    assert_eq!(client.ended("r").await.status(), LhStatus::Completed);
    // spec 05-21
    assert_eq!(find(client, "k", "once").await, None);
    put(client, "k", "often").await;
    run(client, "often", "o", "k").await;
    assert_eq!(client.ended("o").await.status(), LhStatus::Completed);
    let kept = find(client, "k", "often").await.unwrap();
    // spec 05-22
    assert_eq!(kept.external_events.len(), 1);
    let external = client
        .get_external_event(kept.external_events[0].clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (external.thread_run_number, external.node_run_position),
        (Some(0), Some(1))
    );
    assert!(external.claimed);
    assert_eq!(external.content, Some(int(7)));
    // Only the first that comes is served by one that is deleted.
    put(client, "first", "once").await;
    run(client, "once", "first", "first").await;
    client.ended("first").await;
    run(client, "once", "second", "first").await;
    heard().await;
    assert_eq!(client.wf_run("second").await.status(), LhStatus::Running);
    server.stop().await;
}

#[tokio::test]
async fn all_who_wait_are_served() {
    let mut server = server().await;
    let client = &mut server.client;
    for name in ["r1", "r2", "r3"] {
        run(client, "once", name, "k").await;
    }
    run(client, "once", "other", "other-key").await;
    heard().await;
    let event = put(client, "k", "once").await;
    // spec 05-23
    assert_eq!(event.external_events.len(), 3);
    assert_eq!(event.content, Some(int(7)));
    for name in ["r1", "r2", "r3"] {
        assert_eq!(client.ended(name).await.status(), LhStatus::Completed);
    }
    assert_eq!(find(client, "k", "once").await, None);
    assert_eq!(client.wf_run("other").await.status(), LhStatus::Running);
    server.stop().await;
}

#[tokio::test]
async fn each_thread_has_its_key() {
    let mut server = server().await;
    let client = &mut server.client;
    let key = || -> Vec<ThreadVarDef> { vec![optional(var_def("key", VariableType::Str))] };
    let start = |key: &str| {
        Kind::StartThread(StartThreadNode {
            thread_spec_name: "child".to_owned(),
            variables: [("key".to_owned(), literal(text(key)))].into(),
        })
    };
    let mut spec = sequence("s", vec![], vec![start("a"), start("b"), start("c")]);
    let child = sequence("c", key(), vec![keyed("once", variable("key"))]);
    let child = child.thread_specs["main"].clone();
    spec.thread_specs.insert("child".to_owned(), child);
    client.define(spec).await;
    client.run("s", "r").await;
    heard().await;
    put(client, "b", "once").await;
    let statuses = until(|| {
        let mut client = client.clone();
        async move {
            let run = client.wf_run("r").await;
            let threads = run.thread_runs.iter().map(ThreadRun::status);
            let statuses: Vec<LhStatus> = threads.collect();
            (statuses[2] == LhStatus::Completed).then_some(statuses)
        }
    })
    .await;
    // spec 05-24
    assert_eq!(statuses[1], LhStatus::Running);
    assert_eq!(statuses[3], LhStatus::Running);
    server.stop().await;
}

#[tokio::test]
async fn a_loop_is_served_each_time() {
    let mut server = server().await;
    let client = &mut server.client;
    let count = vec![optional(var_def("count", VariableType::Int))];
    let mut again = when(
        "again",
        compare(
            variable("count"),
            proto::littlehorse::Comparator::LessThan,
            literal(int(2)),
        ),
    );
    again.variable_mutations = vec![mutate(
        "count",
        proto::littlehorse::VariableMutationType::Add,
        literal(int(1)),
    )];
    let nodes = [
        entry("wait"),
        (
            "wait".to_owned(),
            node(
                keyed("often", literal(text("k"))),
                vec![again, edge("exit")],
            ),
        ),
        ("again".to_owned(), node(nop(), vec![edge("wait")])),
        exit(),
    ];
    client.define(thread("loop", count, nodes.into())).await;
    put(client, "k", "often").await;
    client.run_with("loop", "r", &[("count", int(0))]).await;
    assert_eq!(client.ended("r").await.status(), LhStatus::Completed);
    // spec 05-25
    let event = find(client, "k", "often").await.unwrap();
    assert_eq!(event.external_events.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_put() {
    let mut server = server().await;
    let client = &mut server.client;
    put(client, "k", "often").await;
    // spec 05-26
    refused(
        client
            .put_correlated_event(request("k", "often", int(8)))
            .await,
        Code::AlreadyExists,
        &["k", "already exists"],
    );
    put(client, "k", "once").await;
    let typed = PutExternalEventDefRequest {
        name: "typed".to_owned(),
        content_type: Some(ReturnType {
            return_type: Some(type_of(VariableType::Int)),
        }),
        correlated_event_config: Some(config_of(false, None)),
        ..PutExternalEventDefRequest::default()
    };
    client.put_external_event_def(typed).await.unwrap();
    let void = PutExternalEventDefRequest {
        name: "void".to_owned(),
        content_type: Some(ReturnType { return_type: None }),
        correlated_event_config: Some(config_of(false, None)),
        ..PutExternalEventDefRequest::default()
    };
    client.put_external_event_def(void).await.unwrap();
    for (bad, words) in [
        (request("a/b", "often", int(1)), &["a/b", "'/'"][..]),
        (request("a~b", "often", int(1)), &["a~b", "'~'"]),
        (request("x", "plain", int(1)), &["plain", "not enabled"]),
        (request("x", "none", int(1)), &["none", "not found"]),
        (request("x", "typed", text("x")), &["typed", "Invalid type"]),
        (request("x", "void", int(1)), &["void", "Invalid type"]),
    ] {
        // spec 05-27
        refused(
            client.put_correlated_event(bad).await,
            Code::InvalidArgument,
            words,
        );
    }
    let empty = request("x", "void", VariableValue::default());
    client.put_correlated_event(empty).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn no_event_is_spent_on_who_does_not_wait() {
    let mut server = server().await;
    let client = &mut server.client;
    let wait = match keyed("once", literal(text("late"))) {
        Kind::ExternalEvent(mut node) => {
            node.timeout_seconds = Some(literal(int(1)));
            Kind::ExternalEvent(node)
        }
        other => other,
    };
    client.define(sequence("timed", vec![], vec![wait])).await;
    client.run("timed", "timed").await;
    run(client, "once", "deleted", "gone").await;
    run(client, "once", "direct", "direct").await;
    heard().await;
    let delete = DeleteWfRunRequest {
        id: Some(id("deleted")),
    };
    client.delete_wf_run(delete).await.unwrap();
    let direct = put_event("direct", "once", "g", int(1));
    client.put_external_event(direct).await.unwrap();
    assert_eq!(client.wf_run("direct").await.status(), LhStatus::Completed);
    assert_eq!(client.ended("timed").await.status(), LhStatus::Error);
    heard().await;
    for key in ["late", "gone", "direct"] {
        let event = put(client, key, "once").await;
        // spec 05-28, spec 05-29
        assert_eq!(event.external_events, [], "{key}");
        assert!(find(client, key, "once").await.is_some());
    }
    // One that is put anew is not touched when a former waiter goes.
    run(client, "once", "w", "again").await;
    heard().await;
    put(client, "again", "once").await;
    client.ended("w").await;
    put(client, "again", "once").await;
    let delete = DeleteWfRunRequest { id: Some(id("w")) };
    client.delete_wf_run(delete).await.unwrap();
    heard().await;
    // spec 05-30
    assert!(find(client, "again", "once").await.is_some());
    server.stop().await;
}

#[tokio::test]
async fn events_end_by_themselves_or_by_request() {
    let mut server = server().await;
    let client = &mut server.client;
    put(client, "k", "short").await;
    put(client, "k", "long").await;
    let begun = std::time::Instant::now();
    assert!(find(client, "k", "short").await.is_some());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let delete = |key: &str| DeleteCorrelatedEventRequest {
        id: Some(event_id(key, "long")),
    };
    client.delete_correlated_event(delete("k")).await.unwrap();
    assert_eq!(find(client, "k", "long").await, None);
    put(client, "k", "long").await;
    until(|| {
        let mut client = client.clone();
        async move {
            find(&mut client, "k", "short")
                .await
                .is_none()
                .then_some(())
        }
    })
    .await;
    // spec 05-31
    assert!(begun.elapsed() < Duration::from_secs(4));
    tokio::time::sleep(Duration::from_millis(5100).saturating_sub(begun.elapsed())).await;
    // spec 05-32
    assert!(find(client, "k", "long").await.is_some());
    client
        .delete_correlated_event(delete("none"))
        .await
        .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn keys_may_be_masked_and_events_are_found() {
    let mut server = server().await;
    let client = &mut server.client;
    for (name, masked) in [("masked", true), ("open", false)] {
        let wait = match keyed("once", literal(text("secret"))) {
            Kind::ExternalEvent(mut node) => {
                node.mask_correlation_key = masked;
                Kind::ExternalEvent(node)
            }
            other => other,
        };
        client.define(sequence(name, vec![], vec![wait])).await;
        client.run(name, name).await;
        let list = ListNodeRunsRequest {
            wf_run_id: Some(id(name)),
            ..ListNodeRunsRequest::default()
        };
        let listed = client.list_node_runs(list).await.unwrap().into_inner();
        for node_run in [client.node_run(name, 1).await, listed.results[1].clone()] {
            let Some(NodeType::ExternalEvent(part)) = node_run.node_type else {
                panic!("{node_run:?}");
            };
            let shown = if masked { "*****" } else { "secret" };
            // spec 05-33
            assert_eq!(part.correlation_key.as_deref(), Some(shown));
        }
    }
    heard().await;
    put(client, "secret", "once").await;
    assert_eq!(client.ended("masked").await.status(), LhStatus::Completed);
    for key in ["a", "b"] {
        put(client, key, "often").await;
    }
    run(client, "often", "matches", "b").await;
    client.ended("matches").await;
    let search = |matched: Option<bool>| SearchCorrelatedEventRequest {
        external_event_def_id: Some(def_id("often")),
        has_external_events: matched,
        ..SearchCorrelatedEventRequest::default()
    };
    for (matched, expected) in [
        (None, &["a", "b"][..]),
        (Some(true), &["b"]),
        (Some(false), &["a"]),
    ] {
        let found = client.search_correlated_event(search(matched)).await;
        let found = found.unwrap().into_inner().results;
        let keys: Vec<&str> = found.iter().map(|id| id.key.as_str()).collect();
        assert_eq!(keys, expected);
    }
    server.stop().await;
}

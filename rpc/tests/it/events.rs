//! ExternalEvents: putting, claiming and reading them (spec 05, section 3).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    DeleteWfRunRequest, Edge, ExternalEvent, ExternalEventDefId, ExternalEventId,
    ExternalEventNodeRun, LhStatus, ListExternalEventsRequest, PutExternalEventRequest, ReturnType,
    RunWfRequest, VariableType, VariableValue, WfRunId, node_run, variable_value,
    wf_spec::ParentWfSpecReference,
};
use tonic::Code;

use crate::support::*;

async fn put(client: &mut Client, request: PutExternalEventRequest) -> ExternalEvent {
    client
        .put_external_event(request)
        .await
        .unwrap()
        .into_inner()
}

fn event_id(run: &str, def: &str, guid: &str) -> ExternalEventId {
    ExternalEventId {
        wf_run_id: Some(id(run)),
        external_event_def_id: Some(ExternalEventDefId {
            name: def.to_owned(),
        }),
        guid: guid.to_owned(),
    }
}

/// An event as it is stored now.
async fn stored(client: &mut Client, run: &str, guid: &str) -> ExternalEvent {
    let found = client.get_external_event(event_id(run, "go", guid)).await;
    found.unwrap().into_inner()
}

/// All events of a run, as `def/guid`.
async fn listed(client: &mut Client, run: &str) -> Vec<String> {
    let request = ListExternalEventsRequest {
        wf_run_id: Some(id(run)),
        ..ListExternalEventsRequest::default()
    };
    let list = client.list_external_events(request).await.unwrap();
    let names = list.into_inner().results.into_iter().map(|event| {
        let id = event.id.unwrap();
        let def = id.external_event_def_id.unwrap().name;
        format!("{def}/{}", id.guid)
    });
    names.collect()
}

/// What the NodeRun of an EXTERNAL_EVENT node says.
async fn waiter(client: &mut Client, run: &str, position: i32) -> ExternalEventNodeRun {
    match client.node_run(run, position).await.node_type {
        Some(node_run::NodeType::ExternalEvent(part)) => part,
        other => panic!("{other:?}"),
    }
}

/// A WfSpec that waits so many times for `go`.
async fn define_waits(client: &mut Client, name: &str, waits: usize) {
    client.define_event("go").await;
    client
        .define(sequence(name, vec![], vec![event("go"); waits]))
        .await;
}

#[tokio::test]
async fn a_waiting_node_takes_the_event() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    client.define_event("other").await;
    let kept = Edge {
        variable_mutations: vec![assign("x", output_of("wait"))],
        ..edge("exit")
    };
    let nodes = [
        entry("wait"),
        ("wait".to_owned(), node(event("go"), vec![kept])),
        exit(),
    ];
    let x = vec![optional(var_def("x", VariableType::Int))];
    client.define(thread("wait", x, nodes.into())).await;
    client.run("wait", "w").await;
    let before = waiter(client, "w", 1).await;
    assert_eq!((before.event_time, before.external_event_id), (None, None));
    assert!(!before.timed_out);
    // spec 05-5
    let other = put(client, put_event("w", "other", "o", int(1))).await;
    assert!(!other.claimed);
    assert_eq!(
        (other.thread_run_number, other.node_run_position),
        (None, None)
    );
    assert_eq!(client.wf_run("w").await.status(), LhStatus::Running);
    let event = put(client, put_event("w", "go", "g", int(7))).await;
    // spec 05-1
    assert!(event.claimed);
    assert_eq!(
        (event.thread_run_number, event.node_run_position),
        (Some(0), Some(1))
    );
    assert_eq!(event.id, Some(event_id("w", "go", "g")));
    assert_eq!(event.content, Some(int(7)));
    assert_eq!(stored(client, "w", "g").await, event);
    let part = waiter(client, "w", 1).await;
    assert_eq!(part.external_event_id, event.id);
    assert_eq!(part.event_time, event.created_at);
    let node_run = client.node_run("w", 1).await;
    assert_eq!(node_run.status(), LhStatus::Completed);
    assert_eq!(node_run.end_time, event.created_at);
    assert_eq!(client.wf_run("w").await.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "w", "x").await, int(7));
    // spec 05-11
    let late = put(client, put_event("w", "go", "late", int(8))).await;
    assert!(!late.claimed);
    assert_eq!(listed(client, "w").await, ["go/g", "go/late", "other/o"]);
    server.stop().await;
}

#[tokio::test]
async fn an_event_may_come_before_its_run() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_waits(client, "once", 1).await;
    let event = put(client, put_event("x", "go", "g", int(1))).await;
    assert!(!event.claimed);
    assert_eq!(listed(client, "x").await, ["go/g"]);
    refused(client.get_wf_run(id("x")).await, Code::NotFound, &[]);
    server.restart().await;
    let client = &mut server.client.clone();
    // spec 05-2
    let run = client.run("once", "x").await;
    assert_eq!(run.status(), LhStatus::Completed);
    let event = stored(client, "x", "g").await;
    assert!(event.claimed);
    assert_eq!(
        (event.thread_run_number, event.node_run_position),
        (Some(0), Some(1))
    );
    server.stop().await;
}

#[tokio::test]
async fn events_are_taken_in_the_order_of_their_arrival() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_waits(client, "once", 1).await;
    define_waits(client, "thrice", 3).await;
    // Their guids are in the other order, and several are put within a millisecond.
    let guids = ["z", "y", "x", "w", "v"];
    for run in ["single", "many"] {
        for guid in guids {
            put(client, put_event(run, "go", guid, int(1))).await;
        }
    }
    client.run("once", "single").await;
    // spec 05-3
    assert!(stored(client, "single", "z").await.claimed);
    for guid in &guids[1..] {
        assert!(!stored(client, "single", guid).await.claimed, "{guid}");
    }
    client.run("thrice", "many").await;
    // spec 05-4: one event for each wait.
    for (position, guid) in (1..).zip(&guids[..3]) {
        let claimed = waiter(client, "many", position).await.external_event_id;
        assert_eq!(claimed, Some(event_id("many", "go", guid)));
    }
    assert!(!stored(client, "many", "w").await.claimed);
    // An event completes one node, not two that are reached in the same command.
    client.run("thrice", "slow").await;
    for position in 1..=3 {
        let put = put(
            client,
            put_event("slow", "go", &format!("g{position}"), int(1)),
        )
        .await;
        assert_eq!(put.node_run_position, Some(position));
        let run = client.wf_run("slow").await;
        assert_eq!(run.thread_runs[0].current_node_position, position + 1);
    }
    assert_eq!(client.wf_run("slow").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_targeted_event_waits_for_its_node() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_waits(client, "four", 4).await;
    client.run("four", "w").await;
    let at = |guid: &str, thread, position| PutExternalEventRequest {
        thread_run_number: thread,
        node_run_position: position,
        ..put_event("w", "go", guid, int(1))
    };
    // spec 05-10: and neither a thread that does not exist nor a negative number is an error.
    for (guid, thread, position) in [
        ("third", None, Some(3)),
        ("stranger", Some(7), None),
        ("negative", Some(-1), Some(-5)),
        ("elsewhere", Some(1), Some(1)),
    ] {
        let event = put(client, at(guid, thread, position)).await;
        assert!(!event.claimed, "{guid}");
        assert_eq!(
            (event.thread_run_number, event.node_run_position),
            (thread, position)
        );
    }
    let first = put(client, at("first", Some(0), Some(1))).await;
    assert!(first.claimed);
    // What is put last completes the second node; the third one has its event already.
    let second = put(client, at("second", Some(0), None)).await;
    assert_eq!(second.node_run_position, Some(2));
    let third = stored(client, "w", "third").await;
    assert_eq!((third.claimed, third.thread_run_number), (true, Some(0)));
    assert_eq!(
        client.wf_run("w").await.thread_runs[0].current_node_position,
        4
    );
    for guid in ["stranger", "negative", "elsewhere"] {
        assert!(!stored(client, "w", guid).await.claimed, "{guid}");
    }
    // Targeted events have no precedence.
    for (guid, position) in [("general", None), ("exact", Some(1))] {
        let request = PutExternalEventRequest {
            wf_run_id: Some(id("v")),
            ..at(guid, None, position)
        };
        put(client, request).await;
    }
    client.run("four", "v").await;
    assert_eq!(
        stored(client, "v", "general").await.node_run_position,
        Some(1)
    );
    assert!(!stored(client, "v", "exact").await.claimed);
    server.stop().await;
}

#[tokio::test]
async fn a_guid_is_used_once() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let typed = event_def("go", Some(returns(Some(VariableType::Int))));
    client.put_external_event_def(typed).await.unwrap();
    client.define_event("other").await;
    put(client, put_event("w", "go", "g", int(1))).await;
    let before = stored(client, "w", "g").await;
    // spec 05-6
    for content in [int(1), int(2), text("wrong"), VariableValue::default()] {
        let again = client
            .put_external_event(put_event("w", "go", "g", content))
            .await;
        refused(again, Code::AlreadyExists, &["already exists", "go", "g"]);
    }
    assert_eq!(stored(client, "w", "g").await, before);
    // Of another run or definition it is another one.
    put(client, put_event("v", "go", "g", int(1))).await;
    put(client, put_event("w", "other", "g", int(1))).await;
    // Without one, one is made up.
    for given in [None, Some(String::new())] {
        let request = PutExternalEventRequest {
            guid: given,
            ..put_event("made-up", "go", "", int(1))
        };
        let guid = put(client, request).await.id.unwrap().guid;
        assert_eq!(guid.len(), 32, "{guid}");
        assert!(
            guid.chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        );
    }
    assert_eq!(listed(client, "made-up").await.len(), 2);
    // A deletion frees them, even where there is no run.
    let id = Some(id("w"));
    client
        .delete_wf_run(DeleteWfRunRequest { id })
        .await
        .unwrap();
    assert!(listed(client, "w").await.is_empty());
    assert!(!put(client, put_event("w", "go", "g", int(3))).await.claimed);
    server.stop().await;
}

#[tokio::test]
async fn content_is_checked_against_its_type() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let array = |text: &str| value(variable_value::Value::JsonArr(text.to_owned()));
    let yes = || value(variable_value::Value::Bool(true));
    let types: [(&str, Option<ReturnType>); 5] = [
        ("int", Some(returns(Some(VariableType::Int)))),
        ("double", Some(returns(Some(VariableType::Double)))),
        ("json", Some(returns(Some(VariableType::JsonObj)))),
        ("void", Some(returns(None))),
        ("any", None),
    ];
    for (name, content) in types {
        let def = event_def(name, content);
        client.put_external_event_def(def).await.unwrap();
    }
    // spec 05-7: an INT for a DOUBLE is stored as such (spec 02 section 4, 'Do'; LittleHorse keeps the INT).
    for (def, content, kept) in [
        ("int", int(1), int(1)),
        ("int", VariableValue::default(), VariableValue::default()),
        ("double", int(3), double(3.0)),
        ("json", json(r#"{"a":1}"#), json(r#"{"a":1}"#)),
        ("void", text("anything"), text("anything")),
        ("any", array("[1]"), array("[1]")),
        ("any", yes(), yes()),
    ] {
        let request = PutExternalEventRequest {
            guid: None,
            ..put_event("w", def, "", content)
        };
        assert_eq!(put(client, request).await.content, Some(kept), "{def}");
    }
    let bare = PutExternalEventRequest {
        content: None,
        ..put_event("w", "int", "bare", int(0))
    };
    let stored = put(client, bare).await;
    assert_eq!(stored.content, Some(VariableValue::default()));
    let stored = listed(client, "w").await;
    for (def, content, words) in [
        ("int", text("1"), &["Invalid type", "int", "STR"][..]),
        ("int", double(1.5), &["Invalid type", "DOUBLE"]),
        ("double", yes(), &["Invalid type", "double", "BOOL"]),
        ("json", array("[1]"), &["Invalid type", "json", "JSON_ARR"]),
        ("json", json("{"), &["json", "JSON"]),
        ("any", json("{"), &["any", "JSON"]),
        ("void", array("x"), &["void", "JSON"]),
        ("missing", int(1), &["ExternalEventDef", "missing"]),
        ("", int(1), &["ExternalEventDef"]),
    ] {
        let answer = client
            .put_external_event(put_event("w", def, "bad", content))
            .await;
        refused(answer, Code::InvalidArgument, words);
    }
    assert_eq!(listed(client, "w").await, stored);
    server.stop().await;
}

#[tokio::test]
async fn ids_that_no_run_can_have_are_refused() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    let to = |run: Option<WfRunId>| PutExternalEventRequest {
        wf_run_id: run,
        ..put_event("", "go", "g", int(1))
    };
    let child_of = |parent: &str| WfRunId {
        id: "child".to_owned(),
        parent_wf_run_id: Some(Box::new(id(parent))),
    };
    let deep = (0..70).fold(id("root"), |parent, _| parent.child("a"));
    for run in [
        None,
        Some(id("")),
        Some(id("-a")),
        Some(id("a.b")),
        Some(id("a/b")),
        Some(id("a__b")),
        Some(child_of("")),
        Some(child_of("a.b")),
        Some(deep),
    ] {
        let answer = client.put_external_event(to(run)).await;
        refused(answer, Code::InvalidArgument, &["wf_run_id"]);
    }
    let slashed = put_event("w", "go", "g/1", int(1));
    let answer = client.put_external_event(slashed).await;
    refused(answer, Code::InvalidArgument, &["guid", "g/1"]);
    // Before anything else is looked at.
    let answer = client
        .put_external_event(put_event("a.b", "missing", "g", int(1)))
        .await;
    refused(answer, Code::InvalidArgument, &["wf_run_id"]);
    // As `lhctl` sends a child's id: not split.
    let event = put(client, put_event("parent_child", "go", "g", int(1))).await;
    assert_eq!(event.id.unwrap().wf_run_id, Some(child_of("parent")));
    server.stop().await;
}

#[tokio::test]
async fn an_event_is_for_one_run_of_a_family() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_waits(client, "parent", 1).await;
    let mut child = sequence("child", vec![], vec![event("go")]);
    child.parent_wf_spec = Some(ParentWfSpecReference {
        wf_spec_name: "parent".to_owned(),
        wf_spec_major_version: 0,
    });
    client.define(child).await;
    client.run("parent", "p").await;
    let request = RunWfRequest {
        parent_wf_run_id: Some(id("p")),
        ..run_request("child", "c", &[])
    };
    client.run_wf(request).await.unwrap();
    let event = put(client, put_event("p_c", "go", "g", int(1))).await;
    assert!(event.claimed);
    assert_eq!(client.wf_run("p_c").await.status(), LhStatus::Completed);
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Running);
    assert!(listed(client, "p").await.is_empty());
    assert_eq!(listed(client, "p_c").await, ["go/g"]);
    let none = client.get_external_event(event_id("p", "go", "g")).await;
    refused(none, Code::NotFound, &[]);
    let none = client.get_external_event(ExternalEventId::default()).await;
    refused(none, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn a_masked_correlation_key_is_not_shown() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    let wait = |masked: bool| {
        let Kind::ExternalEvent(mut node) = event("go") else {
            unreachable!()
        };
        node.correlation_key = Some(variable("key"));
        node.mask_correlation_key = masked;
        Kind::ExternalEvent(node)
    };
    let key = || vec![optional(var_def("key", VariableType::Str))];
    let nodes = vec![wait(true), wait(false)];
    client.define(sequence("wait", key(), nodes)).await;
    client.run_with("wait", "w", &[("key", text("k1"))]).await;
    // spec 05-33
    for (position, shown) in [(1, "*****"), (2, "k1")] {
        let part = waiter(client, "w", position).await;
        assert_eq!(part.correlation_key.as_deref(), Some(shown));
        let request = proto::littlehorse::ListNodeRunsRequest {
            wf_run_id: Some(id("w")),
            ..proto::littlehorse::ListNodeRunsRequest::default()
        };
        let list = client.list_node_runs(request).await.unwrap().into_inner();
        let current = list.results.last().unwrap();
        assert_eq!(
            current.node_type,
            Some(node_run::NodeType::ExternalEvent(part))
        );
        // It can be completed without any correlation.
        let guid = format!("g{position}");
        assert!(
            put(client, put_event("w", "go", &guid, int(1)))
                .await
                .claimed
        );
    }
    // A key must be there, and be a STR.
    let run = client.run("wait", "null").await;
    assert_eq!(run.status(), LhStatus::Error);
    let failure = client.node_run("null", 1).await.failures.remove(0);
    assert_eq!(failure.failure_name, "VAR_ERROR");
    assert!(
        failure.message.contains("correlation"),
        "{}",
        failure.message
    );
    server.stop().await;
}

//! SearchVariable and SearchNodeRun (spec 07, sections 4.2 and 4.3).

use proto::littlehorse::{
    CorrelatedEventConfig, DeleteWfRunRequest, ExternalEventDefId, JsonIndex, LhStatus,
    NodeRunIdList, PutCorrelatedEventRequest, PutExternalEventDefRequest,
    SearchCorrelatedEventRequest, SearchNodeRunRequest, SearchVariableRequest, ThreadVarDef,
    VariableType, VariableValue, variable_value::Value,
};
use tonic::Code;

use crate::support::*;

fn searchable(name: &str, kind: VariableType, paths: &[&str]) -> ThreadVarDef {
    let mut def = optional(var_def(name, kind));
    def.searchable = paths.is_empty();
    def.json_indexes = paths
        .iter()
        .map(|path| JsonIndex {
            field_path: (*path).to_owned(),
            field_type: VariableType::Str.into(),
        })
        .collect();
    def
}

fn search(spec: &str, name: &str, value: VariableValue) -> SearchVariableRequest {
    SearchVariableRequest {
        wf_spec_name: spec.to_owned(),
        var_name: name.to_owned(),
        value: Some(value),
        ..SearchVariableRequest::default()
    }
}

/// The runs whose variables are found, in order.
async fn found(client: &mut Client, request: SearchVariableRequest) -> Vec<String> {
    let found = client.search_variable(request).await.unwrap().into_inner();
    assert_eq!(found.bookmark, None);
    let ids = found.results.into_iter();
    ids.map(|id| id.wf_run_id.unwrap().id).collect()
}

fn json(text: &str) -> VariableValue {
    value(Value::JsonObj(text.to_owned()))
}

#[tokio::test]
async fn variables_are_found_by_their_value_now() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    let mut wait = node(event("go"), vec![edge("exit")]);
    wait.outgoing_edges[0].variable_mutations = vec![assign("text", literal(text("b")))];
    let vars = vec![
        searchable("text", VariableType::Str, &[]),
        searchable("number", VariableType::Double, &[]),
        searchable("list", VariableType::JsonArr, &[]),
        searchable("blob", VariableType::JsonObj, &["$.someField", "$.deep.er"]),
        searchable("whole", VariableType::JsonObj, &[]),
    ];
    let nodes = [entry("wait"), ("wait".to_owned(), wait), exit()];
    client.define(thread("s", vars, nodes.into())).await;
    let run = async |client: &mut Client, run: &str, inputs: &[(&str, VariableValue)]| {
        client.run_with("s", run, inputs).await;
    };
    run(client, "v", &[("text", text("v"))]).await;
    run(client, "v-x", &[("text", text("v/x"))]).await;
    // spec 07-26
    assert_eq!(found(client, search("s", "text", text("v"))).await, ["v"]);
    assert_eq!(
        found(client, search("s", "text", text("not-v"))).await,
        [""; 0]
    );
    assert_eq!(
        found(client, search("s", "text", text("v/x"))).await,
        ["v-x"]
    );
    run(client, "a", &[("text", text("a"))]).await;
    let go = put_event("a", "go", "g", VariableValue::default());
    client.put_external_event(go).await.unwrap();
    // spec 07-27
    assert_eq!(found(client, search("s", "text", text("a"))).await, [""; 0]);
    assert_eq!(found(client, search("s", "text", text("b"))).await, ["a"]);
    let list = value(Value::JsonArr(r#"["asdf","fdsa","asdf"]"#.to_owned()));
    run(client, "list", &[("list", list)]).await;
    // spec 07-28, spec 02-59
    assert_eq!(
        found(client, search("s", "list", text("asdf"))).await,
        ["list"]
    );
    assert_eq!(
        found(client, search("s", "list", text("fdsa"))).await,
        ["list"]
    );
    assert_eq!(
        found(client, search("s", "list", text("zzz"))).await,
        [""; 0]
    );
    run(
        client,
        "blob",
        &[("blob", json(r#"{"someField":"asdf","deep":{"er":[1,2]}}"#))],
    )
    .await;
    run(client, "null", &[("blob", json(r#"{"someField":null}"#))]).await;
    // spec 07-29, spec 07-30, spec 02-59
    assert_eq!(
        found(client, search("s", "blob_$.someField", text("asdf"))).await,
        ["blob"]
    );
    assert_eq!(client.wf_run("null").await.status(), LhStatus::Running);
    assert_eq!(
        found(client, search("s", "blob_$.deep.er", int(2))).await,
        ["blob"]
    );
    assert_eq!(
        found(client, search("s", "whole", text("asdf"))).await,
        [""; 0]
    );
    run(client, "five", &[("number", value(Value::Double(5.0)))]).await;
    // spec 07-34
    assert_eq!(found(client, search("s", "number", int(5))).await, ["five"]);
    let (long, other) = ("x".repeat(199) + "a", "x".repeat(199) + "b");
    run(client, "long", &[("text", text(&long))]).await;
    // spec 07-33
    assert_eq!(
        found(client, search("s", "text", text(&long))).await,
        ["long"]
    );
    assert_eq!(
        found(client, search("s", "text", text(&other))).await,
        [""; 0]
    );
    // By version; an older one only by its own number.
    let versioned = SearchVariableRequest {
        wf_spec_major_version: Some(0),
        wf_spec_revision: Some(0),
        ..search("s", "text", text("v"))
    };
    assert_eq!(found(client, versioned).await, ["v"]);
    // Gone with the run.
    let delete = DeleteWfRunRequest { id: Some(id("v")) };
    client.delete_wf_run(delete).await.unwrap();
    assert_eq!(found(client, search("s", "text", text("v"))).await, [""; 0]);
    server.restart().await;
    let client = &mut server.client;
    assert_eq!(
        found(client, search("s", "text", text(&long))).await,
        ["long"]
    );
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_searched_for() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let mut hidden = searchable("hidden", VariableType::Str, &[]);
    let def = hidden.var_def.as_mut().unwrap().type_def.as_mut().unwrap();
    def.masked = true;
    let vars = vec![
        searchable("number", VariableType::Int, &[]),
        searchable("blob", VariableType::JsonObj, &["$.someField"]),
        optional(var_def("plain", VariableType::Int)),
        hidden,
    ];
    client.define(sequence("s", vars, vec![nop()])).await;
    client.run_with("s", "r", &[("hidden", text("x"))]).await;
    let major_only = SearchVariableRequest {
        wf_spec_major_version: Some(0),
        ..search("s", "number", int(1))
    };
    let revision_only = SearchVariableRequest {
        wf_spec_revision: Some(0),
        ..search("s", "number", int(1))
    };
    let no_version = SearchVariableRequest {
        wf_spec_major_version: Some(7),
        wf_spec_revision: Some(0),
        ..search("s", "number", int(1))
    };
    for (request, words) in [
        // spec 07-31
        (search("s", "plain", int(1)), &["plain", "no index"][..]),
        (search("s", "none", int(1)), &["none"]),
        (
            search("s", "number", value(Value::Bytes(vec![1].into()))),
            &["cannot be searched"],
        ),
        (
            search("s", "number", VariableValue::default()),
            &["cannot be searched"],
        ),
        (
            search("s", "number", value(Value::Bool(true))),
            &["number", "fit"],
        ),
        // spec 07-29
        (
            search("s", "blob_$.other", text("x")),
            &["$.other", "not indexed"],
        ),
        (search("s", "number_$.x", text("x")), &["not a JSON"]),
        (search("s", "none_$.x", text("x")), &["none"]),
        (search("none", "number", int(1)), &["none", "not found"]),
        // spec 02-63
        (search("s", "hidden", text("x")), &["hidden", "no index"]),
        (
            search("s", "hidden", text("*****")),
            &["hidden", "no index"],
        ),
        // spec 07-32
        (major_only, &["wf_spec_revision"]),
        (revision_only, &["wf_spec_major_version"]),
        (no_version, &["not found"]),
    ] {
        refused(
            client.search_variable(request).await,
            Code::InvalidArgument,
            words,
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn waiting_nodes_are_found_by_what_they_wait_for() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client
        .define(sequence("s", vec![], vec![event("go")]))
        .await;
    let nodes = async |client: &mut Client, def: &str, status: LhStatus| {
        let request = SearchNodeRunRequest {
            status: status.into(),
            external_event_def: Some(ExternalEventDefId {
                name: def.to_owned(),
            }),
            ..SearchNodeRunRequest::default()
        };
        let found = client.search_node_run(request).await.unwrap().into_inner();
        let NodeRunIdList { results, .. } = found;
        let of = |id: proto::littlehorse::NodeRunId| (id.wf_run_id.unwrap().id, id.position);
        results.into_iter().map(of).collect::<Vec<_>>()
    };
    for run in ["a", "b"] {
        client.run("s", run).await;
    }
    let both = [("a".to_owned(), 1), ("b".to_owned(), 1)];
    // spec 07-35
    assert_eq!(nodes(client, "go", LhStatus::Running).await, both);
    let go = put_event("a", "go", "g", VariableValue::default());
    client.put_external_event(go).await.unwrap();
    assert_eq!(nodes(client, "go", LhStatus::Running).await, both[1..]);
    assert_eq!(nodes(client, "go", LhStatus::Completed).await, both[..1]);
    assert_eq!(nodes(client, "go", LhStatus::Starting).await, both);
    assert_eq!(nodes(client, "none", LhStatus::Running).await, []);
    refused(
        client
            .search_node_run(SearchNodeRunRequest::default())
            .await,
        Code::InvalidArgument,
        &["external_event_def"],
    );
    server.stop().await;
}

#[tokio::test]
async fn correlated_events_are_found_by_what_became_of_them() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let def = PutExternalEventDefRequest {
        name: "go".to_owned(),
        correlated_event_config: Some(CorrelatedEventConfig::default()),
        ..PutExternalEventDefRequest::default()
    };
    client.put_external_event_def(def).await.unwrap();
    let go = || ExternalEventDefId {
        name: "go".to_owned(),
    };
    let put = PutCorrelatedEventRequest {
        key: "k".to_owned(),
        external_event_def_id: Some(go()),
        ..PutCorrelatedEventRequest::default()
    };
    client.put_correlated_event(put).await.unwrap();
    let count = async |client: &mut Client, matched: bool| {
        let request = SearchCorrelatedEventRequest {
            external_event_def_id: Some(go()),
            has_external_events: Some(matched),
            ..SearchCorrelatedEventRequest::default()
        };
        let found = client.search_correlated_event(request).await.unwrap();
        found.into_inner().results.len()
    };
    // spec 07-39
    assert_eq!(
        (count(client, false).await, count(client, true).await),
        (1, 0)
    );
    let mut wait = event("go");
    if let proto::littlehorse::node::Node::ExternalEvent(node) = &mut wait {
        node.correlation_key = Some(literal(text("k")));
    }
    client.define(sequence("s", vec![], vec![wait])).await;
    client.run("s", "r").await;
    client.ended("r").await;
    // spec 07-39
    assert_eq!(
        (count(client, false).await, count(client, true).await),
        (0, 1)
    );
    refused(
        client
            .search_correlated_event(SearchCorrelatedEventRequest::default())
            .await,
        Code::InvalidArgument,
        &["external_event_def_id"],
    );
    server.stop().await;
}

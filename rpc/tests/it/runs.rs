//! WfRuns: starting them (spec 03).

use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::{LhStatus, RunWfRequest, VariableType, VariableValue, WfRunId};
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn a_run_of_instant_nodes_is_returned_completed() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("empty", vec![], vec![])).await;
    let run = client.run("empty", "a").await;
    // spec 03-1
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(run.greatest_threadrun_number, 0);
    assert_eq!(run.thread_runs[0].current_node_position, 1);
    assert!(millis(run.end_time) >= millis(run.start_time));
    for position in 0..2 {
        assert_eq!(
            client.node_run("a", position).await.status(),
            LhStatus::Completed
        );
    }
    assert_eq!(client.wf_run("a").await, run);
    server.stop().await;
}

#[tokio::test]
async fn ids_are_checked_made_up_and_taken_once() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("empty", vec![], vec![])).await;
    // spec 03-2
    for bad in ["my_workflow", "", "-a", "a-", "a.b", "a/b", "ä"] {
        let answer = client.run_wf(run_request("empty", bad, &[])).await;
        refused(answer, Code::InvalidArgument, &["id", "hostname"]);
    }
    let none = client.get_wf_run(id("my_workflow")).await;
    refused(none, Code::NotFound, &[]);
    // spec 03-3
    let request = RunWfRequest {
        id: None,
        ..run_request("empty", "", &[])
    };
    let made_up = client
        .run_wf(request)
        .await
        .unwrap()
        .into_inner()
        .id
        .unwrap()
        .id;
    assert_eq!(made_up.len(), 32, "{made_up}");
    assert!(
        made_up
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    );
    // spec 03-4
    client.run("empty", "a").await;
    let again = client
        .run_wf(run_request("empty", "a", &[("x", int(1))]))
        .await;
    refused(
        again,
        Code::AlreadyExists,
        &["WfRun with id a already exists!"],
    );
    let unknown = client.run_wf(run_request("unknown", "a", &[])).await;
    refused(unknown, Code::NotFound, &["WfSpec", "unknown"]);
    server.stop().await;
}

#[tokio::test]
async fn the_version_asked_for_is_run() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let nodes = |n: usize| vec![nop(); n];
    let versions = [
        sequence("v", vec![], nodes(0)),
        sequence("v", vec![], nodes(1)),
        sequence(
            "v",
            vec![required(var_def("x", VariableType::Int))],
            nodes(1),
        ),
    ];
    let mut made = Vec::new();
    for version in versions {
        let id = client.define(version).await.id.unwrap();
        made.push((id.major_version, id.revision));
    }
    assert_eq!(made, [(0, 0), (0, 1), (1, 0)]);
    // spec 03-5
    for (number, (major, revision, expected)) in [
        (None, None, Some((1, 0))),
        (Some(0), None, Some((0, 1))),
        (Some(0), Some(0), Some((0, 0))),
        (None, Some(0), Some((1, 0))),
        (Some(7), None, None),
        (Some(0), Some(5), None),
    ]
    .into_iter()
    .enumerate()
    {
        let x: &[(&str, VariableValue)] = if expected == Some((1, 0)) {
            &[("x", int(1))]
        } else {
            &[]
        };
        let request = RunWfRequest {
            major_version: major,
            revision,
            ..run_request("v", &format!("run{number}"), x)
        };
        let answer = client.run_wf(request).await;
        match expected {
            None => refused(answer, Code::NotFound, &["WfSpec"]),
            Some(expected) => {
                let id = answer.unwrap().into_inner().wf_spec_id.unwrap();
                assert_eq!((id.major_version, id.revision), expected);
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn inputs_are_checked_before_anything_is_stored() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let inputs = vec![
        required(var_def("input-int", VariableType::Int)),
        optional(var_def("ratio", VariableType::Double)),
    ];
    client.define(sequence("in", inputs, vec![])).await;
    // spec 03-6, 02-44, 02-46
    let bad: [(&[(&str, VariableValue)], &str); 4] = [
        (&[], "input-int"),
        (&[("input-int", text("seven"))], "input-int"),
        (&[("input-int", int(1)), ("x", int(2))], "x"),
        (&[("input-int", int(1)), ("ratio", text("1"))], "ratio"),
    ];
    for (values, named) in bad {
        let answer = client.run_wf(run_request("in", "a", values)).await;
        refused(answer, Code::InvalidArgument, &[named]);
    }
    refused(client.get_wf_run(id("a")).await, Code::NotFound, &[]);
    // spec 02-48
    client
        .run_with("in", "a", &[("input-int", int(1)), ("ratio", int(3))])
        .await;
    let three = proto::littlehorse::variable_value::Value::Double(3.0);
    assert_eq!(variable_of(client, "a", "ratio").await, value(three));
    let null = VariableValue::default();
    client
        .run_with("in", "b", &[("input-int", null.clone())])
        .await;
    assert_eq!(variable_of(client, "b", "input-int").await, null);
    server.stop().await;
}

#[tokio::test]
async fn a_child_spec_wants_a_parent_run() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for name in ["parent", "other"] {
        client.define(sequence(name, vec![], vec![])).await;
    }
    let mut child = sequence("child", vec![], vec![]);
    child.parent_wf_spec = Some(ParentWfSpecReference {
        wf_spec_name: "parent".to_owned(),
        wf_spec_major_version: 0,
    });
    client.define(child).await;
    for (spec, run) in [("parent", "p1"), ("parent", "p2"), ("other", "o")] {
        client.run(spec, run).await;
    }
    let child_of = |parent: Option<WfRunId>, spec: &str| RunWfRequest {
        parent_wf_run_id: parent,
        ..run_request(spec, "c", &[])
    };
    // spec 03-7
    let orphan = client.run_wf(child_of(None, "child")).await;
    refused(orphan, Code::InvalidArgument, &["parent"]);
    let missing = client.run_wf(child_of(Some(id("nobody")), "child")).await;
    refused(missing, Code::FailedPrecondition, &["parent", "nobody"]);
    let stranger = client.run_wf(child_of(Some(id("o")), "child")).await;
    refused(stranger, Code::InvalidArgument, &["parent", "other"]);
    let childless = client.run_wf(child_of(Some(id("p1")), "other")).await;
    refused(childless, Code::InvalidArgument, &["other", "parent"]);
    // spec 03-8
    for parent in ["p1", "p2"] {
        let run = client
            .run_wf(child_of(Some(id(parent)), "child"))
            .await
            .unwrap();
        let full = run.into_inner().id.unwrap();
        assert_eq!(full.parent_wf_run_id.as_deref(), Some(&id(parent)));
        // As `lhctl` sends it: not split.
        let found = client.get_wf_run(id(&format!("{parent}_c"))).await.unwrap();
        assert_eq!(found.into_inner().id, Some(full));
    }
    let twice = client.run_wf(child_of(Some(id("p1")), "child")).await;
    refused(twice, Code::AlreadyExists, &["c"]);
    refused(client.get_wf_run(id("c")).await, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn ancestors_are_bounded() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("own-parent", vec![], vec![])).await;
    let mut spec = sequence("nested", vec![], vec![]);
    spec.parent_wf_spec = Some(ParentWfSpecReference {
        wf_spec_name: "own-parent".to_owned(),
        wf_spec_major_version: 0,
    });
    client.define(spec).await;
    let deep = (0..70).fold(id("root"), |parent, _| WfRunId {
        id: "a".to_owned(),
        parent_wf_run_id: Some(Box::new(parent)),
    });
    let request = RunWfRequest {
        parent_wf_run_id: Some(deep),
        ..run_request("nested", "leaf", &[])
    };
    refused(
        client.run_wf(request).await,
        Code::InvalidArgument,
        &["parent_wf_run_id", "63"],
    );
    server.stop().await;
}

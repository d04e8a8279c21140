//! WfRuns that are deleted by themselves, or are too large to be deleted at once (spec 03, section 11.3; spec 05,
//! sections 9 and 10).

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::workflow_retention_policy::WfGcPolicy;
use proto::littlehorse::{
    DeleteWfRunRequest, LhStatus, ListNodeRunsRequest, ListTaskRunsRequest, ListVariablesRequest,
    NodeRunId, PutWfSpecRequest, ResumeWfRunRequest, RunWfRequest, StopWfRunRequest, VariableType,
    WfRunId, WorkflowRetentionPolicy,
};
use tonic::Code;

use crate::support::*;

fn kept_for(seconds: i64, spec: PutWfSpecRequest) -> PutWfSpecRequest {
    PutWfSpecRequest {
        retention_policy: Some(WorkflowRetentionPolicy {
            wf_gc_policy: Some(WfGcPolicy::SecondsAfterWfTermination(seconds)),
        }),
        ..spec
    }
}

async fn exists(client: &mut Client, run: &str) -> bool {
    match client.get_wf_run(id(run)).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound);
            false
        }
    }
}

async fn vanishes(client: &Client, run: &str) {
    until(|| {
        let mut client = client.clone();
        async move { (!exists(&mut client, run).await).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn ended_runs_go_when_their_time_is_over() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    let short = sequence("short", vec![], vec![event("go")]);
    client.define(kept_for(1, short)).await;
    client
        .define(kept_for(0, sequence("none", vec![], vec![])))
        .await;
    let long = sequence("long", vec![], vec![]);
    client.define(kept_for(i64::MAX, long)).await;
    for run in ["completed", "running", "halted", "deleted"] {
        client.run("short", run).await;
    }
    client.run("long", "kept").await;
    let end = ("end".to_owned(), node(throwing("oops"), vec![]));
    let fails = thread("fails", vec![], BTreeMap::from([entry("end"), end]));
    client.define(kept_for(1, fails)).await;
    let failed = client.run("fails", "failed").await;
    assert_eq!(failed.status(), LhStatus::Exception);
    let request = StopWfRunRequest {
        wf_run_id: Some(id("halted")),
        thread_run_number: 0,
    };
    client.stop_wf_run(request).await.unwrap();
    for run in ["deleted", "completed"] {
        let event = put_event(run, "go", "g", int(1));
        client.put_external_event(event).await.unwrap();
    }
    // Its successor under the same id is not touched by the timer of the first.
    let request = DeleteWfRunRequest {
        id: Some(id("deleted")),
    };
    client.delete_wf_run(request).await.unwrap();
    client.run("short", "deleted").await;
    client.run("none", "at-once").await;
    vanishes(client, "at-once").await;
    server.restart().await;
    let client = &mut server.client.clone();
    // Retention of a WfRun, without the rescue of scenarios 05-53 and 03-55.
    vanishes(client, "completed").await;
    vanishes(client, "failed").await;
    for run in ["running", "halted", "deleted", "kept"] {
        assert!(exists(client, run).await, "{run}");
    }
    refused(
        client
            .get_node_run(NodeRunId {
                wf_run_id: Some(id("completed")),
                thread_run_number: 0,
                position: 0,
            })
            .await,
        Code::NotFound,
        &[],
    );
    // HALTED is no end.
    let request = ResumeWfRunRequest {
        wf_run_id: Some(id("halted")),
        thread_run_number: 0,
    };
    client.resume_wf_run(request).await.unwrap();
    assert_eq!(client.wf_run("halted").await.status(), LhStatus::Running);
    server.stop().await;
}

#[tokio::test]
async fn a_large_run_is_deleted_in_parts() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    // Each event lets it pass four hundred nodes.
    let nodes = 400;
    let mut kinds = Vec::new();
    for _ in 0..5 {
        kinds.extend(vec![nop(); nodes]);
        kinds.push(event("go"));
    }
    let x = vec![optional(var_def("x", VariableType::Int))];
    client.define(sequence("large", x, kinds)).await;
    client.run("large", "r").await;
    for number in 0..4 {
        let event = put_event("r", "go", &format!("g{number}"), int(1));
        client.put_external_event(event).await.unwrap();
    }
    let run = client.wf_run("r").await;
    assert_eq!(
        run.thread_runs[0].current_node_position,
        5 * (nodes as i32 + 1)
    );
    let request = || DeleteWfRunRequest { id: Some(id("r")) };
    client.delete_wf_run(request()).await.unwrap();
    vanishes(client, "r").await;
    // spec 05-56: with two thousand NodeRuns, which is two parts and the rest.
    let run = || Some(id("r"));
    let request = ListNodeRunsRequest {
        wf_run_id: run(),
        ..ListNodeRunsRequest::default()
    };
    let list = client.list_node_runs(request).await.unwrap();
    assert!(list.into_inner().results.is_empty());
    let request = ListTaskRunsRequest {
        wf_run_id: run(),
        ..ListTaskRunsRequest::default()
    };
    let list = client.list_task_runs(request).await.unwrap();
    assert!(list.into_inner().results.is_empty());
    let request = ListVariablesRequest {
        wf_run_id: run(),
        ..ListVariablesRequest::default()
    };
    let list = client.list_variables(request).await.unwrap();
    assert!(list.into_inner().results.is_empty());
    client.run("large", "r").await;
    assert!(exists(client, "r").await);
    server.stop().await;
}

#[tokio::test]
async fn children_outlive_their_parent_and_obey_their_full_id() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_event("go").await;
    client
        .define(sequence("parent", vec![], vec![event("go")]))
        .await;
    let mut child = sequence("child", vec![], vec![event("go")]);
    child.parent_wf_spec = Some(ParentWfSpecReference {
        wf_spec_name: "parent".to_owned(),
        wf_spec_major_version: 0,
    });
    client.define(child).await;
    client.run("parent", "p").await;
    let child = id("p").child("c");
    let request = RunWfRequest {
        parent_wf_run_id: Some(id("p")),
        ..run_request("child", "c", &[])
    };
    client.run_wf(request).await.unwrap();
    let status = async |client: &mut Client, id: &WfRunId| {
        let run = client.get_wf_run(id.clone()).await.unwrap();
        run.into_inner().status()
    };
    let request = StopWfRunRequest {
        wf_run_id: Some(child.clone()),
        thread_run_number: 0,
    };
    client.stop_wf_run(request).await.unwrap();
    assert_eq!(status(client, &child).await, LhStatus::Halted);
    assert_eq!(status(client, &id("p")).await, LhStatus::Running);
    // spec 03-36
    let request = ResumeWfRunRequest {
        wf_run_id: Some(child.clone()),
        thread_run_number: 0,
    };
    client.resume_wf_run(request).await.unwrap();
    assert_eq!(status(client, &child).await, LhStatus::Running);
    // A parent that is stopped takes no child along.
    let request = StopWfRunRequest {
        wf_run_id: Some(id("p")),
        thread_run_number: 0,
    };
    client.stop_wf_run(request).await.unwrap();
    assert_eq!(status(client, &child).await, LhStatus::Running);
    let request = DeleteWfRunRequest { id: Some(id("p")) };
    client.delete_wf_run(request).await.unwrap();
    assert!(!exists(client, "p").await);
    // spec 05-58
    assert_eq!(status(client, &child).await, LhStatus::Running);
    let request = DeleteWfRunRequest {
        id: Some(id("p_c")),
    };
    client.delete_wf_run(request).await.unwrap();
    refused(client.get_wf_run(child).await, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_task_reports_to_nobody() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let loops = BTreeMap::from([
        entry("work"),
        (
            "work".to_owned(),
            node(Kind::Task(task("work", vec![])), vec![edge("exit")]),
        ),
        exit(),
    ]);
    client
        .define(kept_for(3600, thread("work", vec![], loops)))
        .await;
    client.run("work", "r").await;
    let task = client.claim("work").await;
    let request = || DeleteWfRunRequest { id: Some(id("r")) };
    client.delete_wf_run(request()).await.unwrap();
    // A successor's task of the same name, position and attempt is another one, but nothing tells them apart: only what
    // is not claimed yet is safe from the late report.
    client.run("work", "r").await;
    client.report(success(&task, None)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    client.delete_wf_run(request()).await.unwrap();
    let late = client.report_task(success(&task, None)).await;
    refused(late, Code::InvalidArgument, &["r/0-1", "unknown"]);
    server.stop().await;
}

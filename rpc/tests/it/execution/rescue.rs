//! RescueThreadRun (spec 03, section 3.5).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    LhStatus, RescueThreadRunRequest, TaskStatus, VariableType, WfRun, WorkflowRetentionPolicy,
    workflow_retention_policy::WfGcPolicy,
};
use tonic::{Code, Response, Status};

use super::*;

async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    let work = task_def("work", &[], Some(VariableType::Int));
    server.client.define_task(work).await;
    server.client.define_event("go").await;
    server
}

async fn rescue(
    client: &mut Client,
    run: &str,
    thread: i32,
    skip: bool,
) -> Result<Response<WfRun>, Status> {
    let request = RescueThreadRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: thread,
        skip_current_node: skip,
    };
    client.rescue_thread_run(request).await
}

async fn fail(client: &mut Client) {
    let claimed = client.claim("work").await;
    client
        .report(status(&claimed, TaskStatus::TaskFailed))
        .await;
}

#[tokio::test]
async fn a_failed_thread_tries_again_or_goes_on() {
    let mut server = server().await;
    let client = &mut server.client;
    let seen = vec![optional(var_def("seen", VariableType::Int))];
    let mut spec =
        Spec::new("s", seen, vec![Kind::Task(task("work", vec![]))]).with("main", |main| {
            let work = main.nodes.get_mut("1").unwrap();
            work.outgoing_edges[0]
                .variable_mutations
                .push(assign("seen", literal(int(7))));
        });
    spec.0.retention_policy = Some(WorkflowRetentionPolicy {
        wf_gc_policy: Some(WfGcPolicy::SecondsAfterWfTermination(1)),
    });
    spec.put(client).await;
    for run in ["again", "skip"] {
        client.run("s", run).await;
        fail(client).await;
        assert_eq!(client.wf_run(run).await.status(), LhStatus::Error);
    }
    let run = rescue(client, "again", 0, false)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(run.status(), LhStatus::Running);
    assert_eq!((run.end_time, run.thread_runs[0].end_time), (None, None));
    assert_eq!(run.thread_runs[0].error_message, None);
    // spec 03-55
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(client.wf_run("again").await.status(), LhStatus::Running);
    let claimed = client.claim("work").await;
    client.succeed(&claimed, int(1)).await;
    // spec 03-49
    assert_eq!(client.node_run("again", 1).await.status(), LhStatus::Error);
    assert_eq!(client.node_run("again", 2).await.node_name, "1");
    assert_eq!(variable_of(client, "again", "seen").await, int(7));
    client.run("s", "skipped").await;
    fail(client).await;
    let run = rescue(client, "skipped", 0, true)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "skipped", "seen").await.value, None);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_rescued() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new("waits", vec![], vec![event("go")])
        .put(client)
        .await;
    Spec::new("ends", vec![], vec![nop()]).put(client).await;
    Spec::new("throws", vec![], vec![throwing("bad")])
        .put(client)
        .await;
    for (spec, status) in [
        ("waits", "RUNNING"),
        ("ends", "COMPLETED"),
        ("throws", "EXCEPTION"),
    ] {
        client.run(spec, spec).await;
        let answer = rescue(client, spec, 0, false).await;
        // spec 03-50
        refused(answer, Code::FailedPrecondition, &[status]);
    }
    refused(
        rescue(client, "ends", 9, false).await,
        Code::InvalidArgument,
        &["thread_run_number", "9"],
    );
    refused(
        rescue(client, "none", 0, false).await,
        Code::NotFound,
        &["none"],
    );
    server.stop().await;
}

#[tokio::test]
async fn a_parent_that_failed_with_its_child_is_rescued_too() {
    let mut server = server().await;
    let client = &mut server.client;
    let child = || vec![Kind::Task(task("work", vec![]))];
    Spec::new(
        "s",
        vec![],
        vec![start("child"), start("other"), nop(), wait_all(&[1])],
    )
    .thread("child", vec![], child())
    .thread("other", vec![], vec![event("go")])
    .put(client)
    .await;
    client.run("s", "r").await;
    fail(client).await;
    let run = client.wf_run("r").await;
    assert_eq!(
        statuses(&run),
        [LhStatus::Error, LhStatus::Error, LhStatus::Halted]
    );
    let run = rescue(client, "r", 1, false).await.unwrap().into_inner();
    // spec 03-51
    assert_eq!(
        statuses(&run),
        [LhStatus::Running, LhStatus::Running, LhStatus::Running]
    );
    assert_eq!(run.thread_runs[0].current_node_position, 5);
    // spec 03-52
    assert!(run.thread_runs[2].halt_reasons.is_empty());
    let claimed = client.claim("work").await;
    client.succeed(&claimed, int(1)).await;
    let put = put_event("r", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);

    Spec::new(
        "busy",
        vec![],
        vec![start("child"), event("go"), wait_all(&[1])],
    )
    .thread("child", vec![], child())
    .put(client)
    .await;
    client.run("busy", "b").await;
    fail(client).await;
    let run = rescue(client, "b", 1, false).await.unwrap().into_inner();
    assert_eq!(run.thread_runs[0].current_node_position, 2);
    assert_eq!(statuses(&run), [LhStatus::Running, LhStatus::Running]);
    server.stop().await;
}

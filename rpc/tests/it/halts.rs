//! WfRuns that are stopped, resumed and deleted (spec 03).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::thread_halt_reason::Reason;
use proto::littlehorse::{
    DeleteWfRunRequest, LhStatus, ListExternalEventsRequest, ListNodeRunsRequest,
    ListTaskRunsRequest, ListVariablesRequest, PutExternalEventRequest, ResumeWfRunRequest,
    StopWfRunRequest, VariableId, VariableType,
};
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn a_stopped_run_claims_its_event_when_it_is_resumed() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client
        .define(sequence("wait", vec![], vec![event("go")]))
        .await;
    client.run("wait", "w").await;
    for _ in 0..2 {
        stop(client, "w", 0).await.unwrap();
        // spec 03-33
        let run = client.wf_run("w").await;
        assert_eq!(run.status(), LhStatus::Halted);
        assert_eq!(run.thread_runs[0].status(), LhStatus::Halted);
        assert_eq!(run.thread_runs[0].halt_reasons.len(), 1);
        let reason = run.thread_runs[0].halt_reasons[0].reason.clone();
        assert!(matches!(reason, Some(Reason::ManualHalt(_))));
        assert_eq!(client.node_run("w", 1).await.status(), LhStatus::Halted);
    }
    let put = client
        .put_external_event(put_event("w", "go", "g", int(1)))
        .await;
    assert!(!put.unwrap().into_inner().claimed);
    assert_eq!(client.wf_run("w").await.status(), LhStatus::Halted);
    resume(client, "w", 0).await.unwrap();
    assert_eq!(client.wf_run("w").await.status(), LhStatus::Completed);
    let listed = client
        .list_external_events(ListExternalEventsRequest {
            wf_run_id: Some(id("w")),
            ..ListExternalEventsRequest::default()
        })
        .await;
    let events = listed.unwrap().into_inner().results;
    assert!(events.len() == 1 && events[0].claimed);
    server.stop().await;
}

#[tokio::test]
async fn a_running_task_is_waited_for_when_its_run_is_stopped() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client
        .define_task(task_def("work", &[], Some(VariableType::Int)))
        .await;
    client
        .define(sequence(
            "one",
            vec![],
            vec![Kind::Task(task("work", vec![]))],
        ))
        .await;
    client.run("one", "r").await;
    let task = client.claim("work").await;
    stop(client, "r", 0).await.unwrap();
    // spec 03-34
    assert_eq!(
        client.wf_run("r").await.thread_runs[0].status(),
        LhStatus::Halting
    );
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halting);
    client.succeed(&task, int(1)).await;
    let run = client.wf_run("r").await;
    assert_eq!(
        (run.status(), run.thread_runs[0].status()),
        (LhStatus::Halted, LhStatus::Halted)
    );
    resume(client, "r", 0).await.unwrap();
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_run_that_is_still_halting_can_be_resumed() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let work = Kind::Task(task("work", vec![]));
    client.define(sequence("one", vec![], vec![work])).await;
    client.run("one", "r").await;
    let task = client.claim("work").await;
    // Spec 03, D8: straight back, as often as one likes; and never two reasons.
    for _ in 0..2 {
        for _ in 0..2 {
            stop(client, "r", 0).await.unwrap();
            let run = client.wf_run("r").await;
            assert_eq!(run.status(), LhStatus::Halting);
            assert_eq!(run.thread_runs[0].halt_reasons.len(), 1);
        }
        for _ in 0..2 {
            resume(client, "r", 0).await.unwrap();
            let run = client.wf_run("r").await;
            assert_eq!(run.status(), LhStatus::Running);
            assert_eq!(run.thread_runs[0].status(), LhStatus::Running);
            assert!(run.thread_runs[0].halt_reasons.is_empty());
            assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Running);
        }
    }
    client.report(success(&task, None)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_queued_task_of_a_stopped_run_is_still_handed_out() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let work = || Kind::Task(task("work", vec![]));
    client
        .define(sequence("two", vec![], vec![work(), work()]))
        .await;
    client.run("two", "r").await;
    stop(client, "r", 0).await.unwrap();
    let task = client.claim("work").await;
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halting);
    client.report(success(&task, None)).await;
    // The run goes no further before it is let.
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Halted);
    assert_eq!(run.thread_runs[0].current_node_position, 1);
    resume(client, "r", 0).await.unwrap();
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Running);
    assert_eq!(run.thread_runs[0].current_node_position, 2);
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn stop_and_resume_check_what_they_name() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("empty", vec![], vec![])).await;
    let done = client.run("empty", "d").await;
    // spec 03-35
    for thread in [-1, 1] {
        refused(
            stop(client, "d", thread).await,
            Code::InvalidArgument,
            &["thread"],
        );
        refused(
            resume(client, "d", thread).await,
            Code::InvalidArgument,
            &["thread"],
        );
    }
    refused(stop(client, "nobody", 0).await, Code::NotFound, &["nobody"]);
    refused(
        resume(client, "nobody", 0).await,
        Code::NotFound,
        &["nobody"],
    );
    stop(client, "d", 0).await.unwrap();
    resume(client, "d", 0).await.unwrap();
    assert_eq!(client.wf_run("d").await, done);
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_run_leaves_nothing() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client.define_task(task_def("work", &[], None)).await;
    let nodes = vec![Kind::Task(task("work", vec![])), event("go")];
    client
        .define(sequence(
            "two",
            vec![optional(var_def("x", VariableType::Int))],
            nodes,
        ))
        .await;
    client.run_with("two", "r", &[("x", int(1))]).await;
    let task = client.claim("work").await;
    client.report(success(&task, None)).await;
    let other = put_event("r", "go", "g", int(1));
    client
        .put_external_event(PutExternalEventRequest {
            node_run_position: Some(99),
            ..other
        })
        .await
        .unwrap();
    // spec 03-54, 07-25
    for _ in 0..2 {
        client
            .delete_wf_run(DeleteWfRunRequest { id: Some(id("r")) })
            .await
            .unwrap();
        refused(client.get_wf_run(id("r")).await, Code::NotFound, &[]);
        refused(
            client.get_task_run(task.task_run_id.clone().unwrap()).await,
            Code::NotFound,
            &[],
        );
        let run = Some(id("r"));
        let variable = VariableId {
            wf_run_id: run.clone(),
            thread_run_number: 0,
            name: "x".to_owned(),
        };
        refused(client.get_variable(variable).await, Code::NotFound, &[]);
        let request = ListNodeRunsRequest {
            wf_run_id: run.clone(),
            ..ListNodeRunsRequest::default()
        };
        assert!(
            client
                .list_node_runs(request)
                .await
                .unwrap()
                .into_inner()
                .results
                .is_empty()
        );
        let request = ListTaskRunsRequest {
            wf_run_id: run.clone(),
            ..ListTaskRunsRequest::default()
        };
        assert!(
            client
                .list_task_runs(request)
                .await
                .unwrap()
                .into_inner()
                .results
                .is_empty()
        );
        let request = ListVariablesRequest {
            wf_run_id: run.clone(),
            ..ListVariablesRequest::default()
        };
        assert!(
            client
                .list_variables(request)
                .await
                .unwrap()
                .into_inner()
                .results
                .is_empty()
        );
        let request = ListExternalEventsRequest {
            wf_run_id: run,
            ..ListExternalEventsRequest::default()
        };
        assert!(
            client
                .list_external_events(request)
                .await
                .unwrap()
                .into_inner()
                .results
                .is_empty()
        );
    }
    // The id may be used again.
    client.run("two", "r").await;
    server.stop().await;
}

async fn stop(
    client: &mut Client,
    run: &str,
    thread: i32,
) -> Result<tonic::Response<()>, tonic::Status> {
    let request = StopWfRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: thread,
    };
    client.stop_wf_run(request).await
}

async fn resume(
    client: &mut Client,
    run: &str,
    thread: i32,
) -> Result<tonic::Response<()>, tonic::Status> {
    let request = ResumeWfRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: thread,
    };
    client.resume_wf_run(request).await
}

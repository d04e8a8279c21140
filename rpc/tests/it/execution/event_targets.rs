//! Which thread an event is for (spec 05, sections 3.4 and 3.5).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    DeleteWfRunRequest, ExternalEvent, ExternalEventDefId, ExternalEventId, LhStatus, ThreadType,
    VariableId, VariableType, WorkflowRetentionPolicy, workflow_retention_policy::WfGcPolicy,
};
use tonic::Code;

use super::*;

async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    for def in ["go", "stop", "done"] {
        server.client.define_event(def).await;
    }
    server
}

async fn send(
    client: &mut Client,
    run: &str,
    def: &str,
    guid: &str,
    thread: Option<i32>,
) -> ExternalEvent {
    let mut put = put_event(run, def, guid, text(guid));
    put.thread_run_number = thread;
    client.put_external_event(put).await.unwrap().into_inner()
}

async fn stored(client: &mut Client, run: &str, def: &str, guid: &str) -> ExternalEvent {
    let id = ExternalEventId {
        wf_run_id: Some(id(run)),
        external_event_def_id: Some(ExternalEventDefId {
            name: def.to_owned(),
        }),
        guid: guid.to_owned(),
    };
    client.get_external_event(id).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_targeted_event_is_for_its_thread_and_others_for_the_first() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new(
        "s",
        vec![],
        vec![start("child"), start("child"), event("done")],
    )
    .thread("child", vec![], vec![event("go")])
    .put(client)
    .await;
    client.run("s", "r").await;
    send(client, "r", "go", "second", Some(2)).await;
    // spec 05-8
    assert_eq!(
        statuses(&client.wf_run("r").await),
        [LhStatus::Running, LhStatus::Running, LhStatus::Completed]
    );
    let event = send(client, "r", "go", "first", None).await;
    // spec 05-8
    assert_eq!(event.thread_run_number, Some(1));
    assert_eq!(statuses(&client.wf_run("r").await)[1], LhStatus::Completed);
    client.run("s", "q").await;
    let event = send(client, "q", "go", "any", None).await;
    // spec 05-9
    assert!(event.claimed);
    assert_eq!(event.thread_run_number, Some(1));
    assert_eq!(
        statuses(&client.wf_run("q").await),
        [LhStatus::Running, LhStatus::Completed, LhStatus::Running]
    );
    server.stop().await;
}

/// Waits for `go`; `stop` interrupts it, and the handler has its content and waits for `done`.
fn interruptible(spec: Spec, thread: &str) -> Spec {
    let input = vec![optional(var_def("INPUT", VariableType::Str))];
    spec.thread("handle", input, vec![event("done")])
        .interrupt(thread, "stop", "handle")
}

#[tokio::test]
async fn an_event_interrupts_who_has_a_handler() {
    let mut server = server().await;
    let client = &mut server.client;
    interruptible(Spec::new("s", vec![], vec![event("go")]), "main")
        .put(client)
        .await;
    send(client, "r", "stop", "early", None).await;
    let run = client.run("s", "r").await;
    // spec 05-18
    assert_eq!(statuses(&run), [LhStatus::Running]);
    assert!(!stored(client, "r", "stop", "early").await.claimed);
    let event = send(client, "r", "stop", "now", None).await;
    // spec 05-17
    assert!(event.claimed);
    assert_eq!(event.thread_run_number, Some(0));
    let run = client.wf_run("r").await;
    assert_eq!(statuses(&run), [LhStatus::Halted, LhStatus::Running]);
    let handler = &run.thread_runs[1];
    assert_eq!(handler.r#type(), ThreadType::Interrupt);
    assert_eq!(handler.interrupt_trigger_id, event.id);
    let input = VariableId {
        wf_run_id: Some(id("r")),
        thread_run_number: 1,
        name: "INPUT".to_owned(),
    };
    let input = client.get_variable(input).await.unwrap().into_inner();
    assert_eq!(input.value, Some(text("now")));
    // What the halted node waits for is not taken before it runs again.
    let waited = send(client, "r", "go", "g", None).await;
    // spec 05-20
    assert!(!waited.claimed);
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halted);
    send(client, "r", "done", "d", None).await;
    // spec 05-20
    assert!(stored(client, "r", "go", "g").await.claimed);
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn an_event_interrupts_all_threads_of_a_spec_or_the_one_it_names() {
    let mut server = server().await;
    let client = &mut server.client;
    let spec = Spec::new(
        "s",
        vec![],
        vec![start("child"), start("child"), event("go")],
    )
    .thread("child", vec![], vec![event("go")]);
    interruptible(spec, "child").put(client).await;
    client.run("s", "all").await;
    send(client, "all", "stop", "s", None).await;
    // spec 05-19
    assert_eq!(
        statuses(&client.wf_run("all").await)[1..],
        [
            LhStatus::Halted,
            LhStatus::Halted,
            LhStatus::Running,
            LhStatus::Running
        ]
    );
    client.run("s", "one").await;
    send(client, "one", "stop", "s", Some(2)).await;
    // spec 05-19
    assert_eq!(
        statuses(&client.wf_run("one").await)[1..],
        [LhStatus::Running, LhStatus::Halted, LhStatus::Running]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_handler_may_let_its_thread_sleep_longer() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define_event("later").await;
    let until = vec![required(var_def("until", VariableType::Int))];
    Spec::new("s", until, vec![sleep_until(variable("until"))])
        .thread(
            "handle",
            vec![optional(var_def("INPUT", VariableType::Int))],
            vec![nop()],
        )
        .with("handle", |thread| {
            let nop = thread.nodes.get_mut("1").unwrap();
            nop.outgoing_edges[0]
                .variable_mutations
                .push(assign("until", variable("INPUT")));
        })
        .interrupt("main", "later", "handle")
        .put(client)
        .await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64;
    let (first, then) = (now + 700, now + 1500);
    client.run_with("s", "r", &[("until", int(first))]).await;
    let put = put_event("r", "later", "g", int(then));
    client.put_external_event(put).await.unwrap();
    let run = client.ended("r").await;
    // spec 05-49 (earlier: interrupts.rs)
    assert!(millis(run.end_time) >= then && millis(run.end_time) <= then + 2000);
    server.stop().await;
}

#[tokio::test]
async fn a_run_is_kept_for_as_long_as_its_spec_says() {
    let mut server = server().await;
    let client = &mut server.client;
    let mut spec = Spec::new("s", vec![], vec![nop()]);
    spec.0.retention_policy = Some(WorkflowRetentionPolicy {
        wf_gc_policy: Some(WfGcPolicy::SecondsAfterWfTermination(1)),
    });
    spec.put(client).await;
    client.run("s", "r").await;
    let begun = std::time::Instant::now();
    until(|| {
        let mut client = client.clone();
        async move {
            let gone = client.get_wf_run(id("r")).await.err()?;
            (gone.code() == Code::NotFound).then_some(())
        }
    })
    .await;
    // spec 05-53 (rescued before: rescue.rs)
    assert!(begun.elapsed() < std::time::Duration::from_secs(4));
    assert!(begun.elapsed() > std::time::Duration::from_millis(900));
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_run_is_found_nowhere() {
    let mut server = server().await;
    let client = &mut server.client;
    let work = task_def("work", &[], Some(VariableType::Int));
    client.define_task(work).await;
    let mut found = optional(var_def("found", VariableType::Int));
    found.searchable = true;
    client
        .define(sequence(
            "s",
            vec![found],
            vec![Kind::Task(task("work", vec![])), event("go")],
        ))
        .await;
    for run in ["finished", "running"] {
        client.run_with("s", run, &[("found", int(7))]).await;
        let claimed = client.claim("work").await;
        let checkpoint = proto::littlehorse::PutCheckpointRequest {
            task_run_id: claimed.task_run_id.clone(),
            value: Some(int(1)),
            ..proto::littlehorse::PutCheckpointRequest::default()
        };
        client.put_checkpoint(checkpoint).await.unwrap();
        client.succeed(&claimed, int(1)).await;
        if run == "finished" {
            send(client, run, "go", "g", None).await;
            assert_eq!(client.wf_run(run).await.status(), LhStatus::Completed);
        } else {
            send(client, run, "done", "g", None).await;
        }
        let delete = DeleteWfRunRequest { id: Some(id(run)) };
        client.delete_wf_run(delete.clone()).await.unwrap();
        // spec 05-55
        refused(client.get_wf_run(id(run)).await, Code::NotFound, &[]);
        let node = NodeRunId {
            wf_run_id: Some(id(run)),
            thread_run_number: 0,
            position: 1,
        };
        refused(client.get_node_run(node).await, Code::NotFound, &[]);
        let of_task = claimed.task_run_id.clone().unwrap();
        let point = proto::littlehorse::CheckpointId {
            task_run: Some(of_task.clone()),
            checkpoint_number: 0,
        };
        refused(client.get_checkpoint(point).await, Code::NotFound, &[]);
        refused(client.get_task_run(of_task).await, Code::NotFound, &[]);
        client.delete_wf_run(delete).await.unwrap();
    }
    assert_eq!(texts(&runs_of("s").found(client).await), [""; 0]);
    let by_variable = proto::littlehorse::SearchWfRunRequest {
        variable_filters: vec![proto::littlehorse::VariableMatch {
            var_name: "found".to_owned(),
            value: Some(int(7)),
        }],
        ..runs_of("s")
    };
    assert_eq!(texts(&by_variable.found(client).await), [""; 0]);
    let events = proto::littlehorse::SearchExternalEventRequest {
        external_event_def_id: Some(ExternalEventDefId {
            name: "go".to_owned(),
        }),
        ..proto::littlehorse::SearchExternalEventRequest::default()
    };
    let found = client.search_external_event(events).await.unwrap();
    assert_eq!(found.into_inner().results, []);
    let tasks = proto::littlehorse::SearchTaskRunRequest {
        task_def_name: "work".to_owned(),
        ..proto::littlehorse::SearchTaskRunRequest::default()
    };
    let found = client.search_task_run(tasks).await.unwrap();
    assert_eq!(found.into_inner().results, []);
    server.stop().await;
}

//! Interrupts, and halts of threads that have children (spec 03, section 8).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::thread_halt_reason::Reason;
use proto::littlehorse::{LhStatus, ThreadRun, ThreadType, VariableType};

use super::*;

async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    for def in ["go", "stop", "done"] {
        server.client.define_event(def).await;
    }
    let work = task_def("work", &[], Some(VariableType::Int));
    server.client.define_task(work).await;
    server
}

async fn send(client: &mut Client, run: &str, def: &str, thread: Option<i32>) {
    let guid = format!("{def}-{thread:?}").replace(['(', ')'], "");
    let mut put = put_event(run, def, &guid, int(1));
    put.thread_run_number = thread;
    client.put_external_event(put).await.unwrap();
}

fn reasons(thread: &ThreadRun) -> Vec<&'static str> {
    thread
        .halt_reasons
        .iter()
        .map(|reason| match reason.reason {
            Some(Reason::ParentHalted(_)) => "parent_halted",
            Some(Reason::Interrupted(_)) => "interrupted",
            Some(Reason::PendingInterrupt(_)) => "pending_interrupt",
            Some(Reason::HandlingFailure(_)) => "handling_failure",
            Some(Reason::ManualHalt(_)) => "manual_halt",
            _ => "other",
        })
        .collect()
}

/// Waits for `go`, and is interrupted by `stop`, whose handler waits for `done`.
fn interruptible(name: &str) -> Spec {
    Spec::new(
        name,
        vec![optional(var_def("seen", VariableType::Int))],
        vec![event("go")],
    )
    .with("main", |thread| {
        let wait = thread.nodes.get_mut("1").unwrap();
        wait.outgoing_edges[0]
            .variable_mutations
            .push(assign("seen", literal(int(7))));
    })
    .thread("handle", vec![], vec![event("done")])
    .interrupt("main", "stop", "handle")
}

#[tokio::test]
async fn an_interrupted_thread_goes_on_when_its_handler_is_done() {
    let mut server = server().await;
    let client = &mut server.client;
    interruptible("s").put(client).await;
    client.run("s", "r").await;
    send(client, "r", "stop", None).await;
    let run = client.wf_run("r").await;
    // spec 03-37
    assert_eq!(run.status(), LhStatus::Running);
    assert_eq!(statuses(&run), [LhStatus::Halted, LhStatus::Running]);
    assert_eq!(reasons(&run.thread_runs[0]), ["interrupted"]);
    assert_eq!(run.thread_runs[1].r#type(), ThreadType::Interrupt);
    let trigger = run.thread_runs[1].interrupt_trigger_id.clone().unwrap();
    assert_eq!(trigger.external_event_def_id.unwrap().name, "stop");
    send(client, "r", "go", None).await;
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halted);
    send(client, "r", "done", None).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "r", "seen").await, int(7));
    server.stop().await;
}

#[tokio::test]
async fn children_halt_with_their_parent() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new("s", vec![], vec![start("child"), wait_all(&[1])])
        .thread("child", vec![], vec![event("go")])
        .thread("handle", vec![], vec![event("done")])
        .interrupt("main", "stop", "handle")
        .put(client)
        .await;
    client.run("s", "r").await;
    send(client, "r", "stop", None).await;
    let run = client.wf_run("r").await;
    // spec 03-38
    assert_eq!(
        statuses(&run),
        [LhStatus::Halted, LhStatus::Halted, LhStatus::Running]
    );
    assert_eq!(reasons(&run.thread_runs[1]), ["parent_halted"]);
    send(client, "r", "done", None).await;
    let run = client.wf_run("r").await;
    assert_eq!(
        statuses(&run),
        [LhStatus::Running, LhStatus::Running, LhStatus::Completed]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_parents_interrupt_does_not_wait_for_its_childs_handler() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new("s", vec![], vec![start("child"), wait_all(&[1])])
        .thread("child", vec![], vec![event("go")])
        .thread("slow", vec![], vec![Kind::Task(task("work", vec![]))])
        .thread("handle", vec![], vec![event("done")])
        .interrupt("main", "stop", "handle")
        .interrupt("child", "go", "slow")
        .with("child", |thread| {
            thread.nodes.get_mut("1").unwrap().node = Some(event("done"));
        })
        .put(client)
        .await;
    client.run("s", "r").await;
    send(client, "r", "go", None).await;
    let claimed = client.claim("work").await;
    send(client, "r", "stop", None).await;
    let run = client.wf_run("r").await;
    // spec 03-39
    assert_eq!(
        reasons(&run.thread_runs[1]),
        ["interrupted", "parent_halted"]
    );
    assert_eq!(reasons(&run.thread_runs[2]), ["parent_halted"]);
    assert_eq!(
        statuses(&run),
        [
            LhStatus::Halted,
            LhStatus::Halted,
            LhStatus::Halting,
            LhStatus::Running
        ]
    );
    send(client, "r", "done", Some(3)).await;
    client.succeed(&claimed, int(1)).await;
    let run = client.wf_run("r").await;
    assert_eq!(statuses(&run)[2], LhStatus::Completed);
    assert_eq!(statuses(&run)[..2], [LhStatus::Running, LhStatus::Running]);
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_throws_fails_the_interrupted_thread() {
    let mut server = server().await;
    let client = &mut server.client;
    let handlers = vec![handled_by(None, "catch")];
    let wait = wait_node(
        &[1],
        proto::littlehorse::WaitForThreadsStrategy::WaitForAll,
        handlers,
    );
    Spec::new("s", vec![], vec![start("child"), wait])
        .thread("child", vec![], vec![event("go")])
        .thread("bad", vec![], vec![throwing("i-fail")])
        .thread("catch", vec![], vec![nop()])
        .interrupt("child", "stop", "bad")
        .put(client)
        .await;
    client.run("s", "r").await;
    send(client, "r", "stop", None).await;
    let run = client.wf_run("r").await;
    // spec 03-40
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(run.thread_runs[1].status(), LhStatus::Exception);
    assert_eq!(
        run.thread_runs[1].error_message.as_deref(),
        Some("Interrupt thread with id 2 failed!")
    );
    server.stop().await;
}

#[tokio::test]
async fn events_that_interrupt_nobody() {
    let mut server = server().await;
    let client = &mut server.client;
    interruptible("s").put(client).await;
    send(client, "r", "stop", None).await;
    client.run("s", "r").await;
    send(client, "r", "stop", Some(3)).await;
    // spec 03-41
    assert_eq!(statuses(&client.wf_run("r").await), [LhStatus::Running]);
    server.stop().await;
}

#[tokio::test]
async fn an_interrupt_goes_before_a_failure_handler() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new("s", vec![], vec![Kind::Task(task("work", vec![]))])
        .thread("fix", vec![], vec![event("go")])
        .thread("handle", vec![], vec![event("done")])
        .handler("1", None, "fix")
        .interrupt("main", "stop", "handle")
        .put(client)
        .await;
    client.run("s", "r").await;
    let claimed = client.claim("work").await;
    let failed = status(&claimed, proto::littlehorse::TaskStatus::TaskFailed);
    client.report(failed).await;
    send(client, "r", "stop", None).await;
    let run = client.wf_run("r").await;
    assert_eq!(
        statuses(&run),
        [LhStatus::Halted, LhStatus::Halted, LhStatus::Running]
    );
    send(client, "r", "done", None).await;
    assert_eq!(statuses(&client.wf_run("r").await)[1], LhStatus::Running);
    send(client, "r", "go", None).await;
    // spec 03-42
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_thread_in_its_exit_can_be_interrupted() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new("s", vec![], vec![start("child")])
        .thread("child", vec![], vec![event("go")])
        .thread("handle", vec![], vec![event("done")])
        .interrupt("main", "stop", "handle")
        .put(client)
        .await;
    client.run("s", "r").await;
    send(client, "r", "stop", None).await;
    let run = client.wf_run("r").await;
    // spec 03-43
    assert_eq!(
        statuses(&run),
        [LhStatus::Halted, LhStatus::Halted, LhStatus::Running]
    );
    send(client, "r", "done", None).await;
    send(client, "r", "go", None).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn two_interrupts_run_side_by_side() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new("s", vec![], vec![Kind::Task(task("work", vec![]))])
        .thread("first", vec![], vec![event("done")])
        .thread("second", vec![], vec![event("done")])
        .interrupt("main", "stop", "first")
        .interrupt("main", "go", "second")
        .put(client)
        .await;
    client.run("s", "r").await;
    let claimed = client.claim("work").await;
    send(client, "r", "stop", None).await;
    send(client, "r", "go", None).await;
    let run = client.wf_run("r").await;
    assert_eq!(statuses(&run), [LhStatus::Halting]);
    assert_eq!(run.pending_interrupts.len(), 2);
    client.succeed(&claimed, int(1)).await;
    let run = client.wf_run("r").await;
    // spec 03-45
    assert_eq!(
        statuses(&run),
        [LhStatus::Halted, LhStatus::Running, LhStatus::Running]
    );
    assert_eq!(run.thread_runs[1].thread_spec_name, "first");
    assert!(run.pending_interrupts.is_empty());
    send(client, "r", "done", Some(1)).await;
    assert_eq!(
        client.wf_run("r").await.thread_runs[0].status(),
        LhStatus::Halted
    );
    send(client, "r", "done", Some(2)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_handler_may_change_how_long_its_thread_sleeps() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define_event("wake").await;
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
        .interrupt("main", "wake", "handle")
        .put(client)
        .await;
    let started = client
        .run_with("s", "r", &[("until", int(i64::from(i32::MAX) * 1000))])
        .await;
    let soon = millis(started.start_time) + 1500;
    let put = put_event("r", "wake", "g", int(soon));
    client.put_external_event(put).await.unwrap();
    let run = client.ended("r").await;
    // spec 03-46
    assert_eq!(run.status(), LhStatus::Completed);
    assert!(millis(run.end_time) >= soon);
    match client.node_run("r", 1).await.node_type {
        Some(proto::littlehorse::node_run::NodeType::Sleep(sleep)) => {
            assert_eq!(millis(sleep.maturation_time), soon);
        }
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

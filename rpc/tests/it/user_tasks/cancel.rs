//! CancelUserTaskRun, and what fails because of it (spec 06, section 8.4).

use proto::littlehorse::{LhStatus, NodeRun};
use tonic::Code;

use super::*;

/// Cancelled under a name.
fn named(name: VariableAssignment) -> Kind {
    user_task(|node| {
        node.user_id = Some(literal(text("u")));
        node.on_cancellation_exception_name = Some(name);
    })
}

fn failure_name(node_run: &NodeRun) -> &str {
    assert_eq!(node_run.failures.len(), 1);
    &node_run.failures[0].failure_name
}

#[tokio::test]
async fn a_cancellation_is_handled_under_its_name() {
    let mut server = server().await;
    let client = &mut server.client;
    let node = named(literal(text("no-response")));
    let catch = FailureToCatch::SpecificFailure("no-response".to_owned());
    let spec = with_thread(spec(vec![], vec![node]), "handle", vec![nop()]);
    client.define(handled(spec, Some(catch), "handle")).await;
    client.run("s", "r").await;
    client.cancel("r").await.unwrap();
    let node_run = client.node_run("r", 1).await;
    // spec 06-36
    assert_eq!(node_run.status(), LhStatus::Exception);
    assert_eq!(failure_name(&node_run), "no-response");
    let message = &node_run.failures[0].message;
    assert!(message.contains("cancelled"), "{message}");
    assert_eq!(node_run.error_message.as_ref(), Some(message));
    assert!(node_run.failures[0].was_properly_handled);
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(run.thread_runs.len(), 2);
    let task = client.user_task("r").await;
    assert_eq!(task.status(), Cancelled);
    assert_eq!(events(&task), ["assigned", "cancelled"]);
    match &task.events[1].event {
        Some(Event::Cancelled(it)) => assert!(!it.message.is_empty()),
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cancellation_without_a_name_is_an_error() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    client.cancel("r").await.unwrap();
    // spec 06-37
    let node_run = client.node_run("r", 1).await;
    assert_eq!(failure_name(&node_run), "USER_TASK_CANCELLED");
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Error);
    let once = client.user_task("r").await;
    client.cancel("r").await.unwrap();
    // spec 06-40
    assert_eq!(client.user_task("r").await, once);
    refused(client.cancel("nope").await, Code::NotFound, &["nope"]);
    client.run("s", "done").await;
    client.complete("done", "u", &[]).await.unwrap();
    let answer = client.cancel("done").await;
    refused(answer, Code::FailedPrecondition, &["DONE"]);
    assert_eq!(client.user_task("done").await.status(), Done);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_is_none_is_the_usual_one() {
    let mut server = server().await;
    let client = &mut server.client;
    let vars = || vec![optional(var_def("s", VariableType::Str))];
    let plain = sequence("plain", vars(), vec![named(variable("s"))]);
    client.define(plain).await;
    let broken = sequence("broken", vars(), vec![named(failing())]);
    client.define(broken).await;
    for (spec, run, inputs) in [
        ("plain", "null", &[][..]),
        ("plain", "blank", &[("s", text("  "))]),
        ("broken", "broken", &[("s", text("no number"))]),
    ] {
        client.run_with(spec, run, inputs).await;
        client.cancel(run).await.unwrap();
        let node_run = client.node_run(run, 1).await;
        // spec 06-38
        assert_eq!(failure_name(&node_run), "USER_TASK_CANCELLED");
        assert_eq!(client.user_task(run).await.status(), Cancelled);
    }
    // It is evaluated when the task is cancelled.
    client.run_with("plain", "r", &[("s", text("mine"))]).await;
    client.cancel("r").await.unwrap();
    assert_eq!(failure_name(&client.node_run("r", 1).await), "mine");
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Exception);
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_does_not_touch_what_is_done() {
    let mut server = server().await;
    let client = &mut server.client;
    let deadline = |hook| acting(vec![trigger(hook, 1, cancel())]);
    client
        .define(spec(vec![], vec![deadline(UtHook::OnArrival)]))
        .await;
    let assigned = deadline(UtHook::OnTaskAssigned);
    client
        .define(sequence("assigned", vec![], vec![assigned]))
        .await;
    client.run("s", "done").await;
    client.complete("done", "u", &[]).await.unwrap();
    client.run("s", "late").await;
    client.run("assigned", "late-too").await;
    for run in ["late", "late-too"] {
        let late = becomes(client, run, |task| task.status() == Cancelled).await;
        assert_eq!(events(&late), ["assigned", "cancelled"]);
        let armed = millis(late.scheduled_time);
        assert!(millis(late.events[1].time) >= armed + 1000, "too early");
        assert_eq!(client.wf_run(run).await.status(), LhStatus::Error);
    }
    // That of the first task would have been due before the others.
    let done = client.user_task("done").await;
    // spec 06-39, 05-52
    assert_eq!(done.status(), Done);
    assert_eq!(events(&done), ["assigned", "completed"]);
    server.stop().await;
}

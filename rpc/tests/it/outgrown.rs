//! TaskRuns that grow attempt by attempt until nothing has room in them: their run fails, visibly (spec 03, D36).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::report_task_run::Result as Reported;
use proto::littlehorse::{
    LhStatus, LhTaskError, ReportTaskRun, ScheduledTask, TaskNode, TaskStatus,
};

use crate::support::*;

/// Claims the task of a new run, and lets its first attempt fail with an error of this length.
async fn fail_at_length(client: &mut Client, run: &str, length: usize) {
    client.run("work", run).await;
    let task = client.claim("work").await;
    client.report(failure(&task, length)).await;
    let task_run = client.task_run(run, "0-1").await;
    assert_eq!(task_run.attempts.len(), 2);
    assert_eq!(task_run.status(), TaskStatus::TaskScheduled);
}

fn failure(task: &ScheduledTask, length: usize) -> ReportTaskRun {
    ReportTaskRun {
        result: Some(Reported::Error(LhTaskError {
            message: "x".repeat(length),
            ..LhTaskError::default()
        })),
        ..status(task, TaskStatus::TaskFailed)
    }
}

async fn has_failed(client: &mut Client, run: &str) {
    assert_eq!(client.ended(run).await.status(), LhStatus::Error);
    let node_run = client.node_run(run, 1).await;
    let [failure] = &node_run.failures[..] else {
        panic!("{:?}", node_run.failures)
    };
    assert_eq!(failure.failure_name, "INTERNAL_ERROR");
    for word in ["too large", "1047000"] {
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_task_run_without_room_for_more_fails_its_thread() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let node = TaskNode {
        retries: 2,
        timeout_seconds: 1,
        ..task("work", vec![])
    };
    client
        .define(sequence("work", vec![], vec![Kind::Task(node)]))
        .await;
    // No room for the worker's name: the poll goes on waiting.
    fail_at_length(client, "claim", 1_046_400).await;
    let mut polls = Polls::open(client, "work", &"w".repeat(1000)).await;
    polls.ask().await;
    has_failed(client, "claim").await;
    client.run("work", "next").await;
    let next = polls.next().await;
    assert_eq!(run_of(&next), "next");
    client.report(success(&next, None)).await;
    assert_eq!(client.wf_run("next").await.status(), LhStatus::Completed);
    // No room for the second attempt's end, nor for saying so.
    fail_at_length(client, "report", 1_046_400).await;
    let mut polls = Polls::open(client, "work", &"w".repeat(300)).await;
    polls.ask().await;
    let second = polls.next().await;
    assert_eq!(second.attempt_number, 1);
    client.report(failure(&second, 1000)).await;
    has_failed(client, "report").await;
    // Once more changes nothing.
    let before = client.wf_run("report").await;
    client.report(failure(&second, 1000)).await;
    assert_eq!(client.wf_run("report").await, before);
    server.stop().await;
}

#[tokio::test]
async fn a_report_of_the_greatest_size_ends_its_attempt() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let node = TaskNode {
        retries: 3,
        ..task("work", vec![])
    };
    client
        .define(sequence("work", vec![], vec![Kind::Task(node)]))
        .await;
    // Around the limit: whatever is too large for a command, or for the TaskRun with it, is a bad output.
    let mut ends = Vec::new();
    for size in (1_046_000..1_047_100).step_by(50) {
        let run = format!("r{size}");
        client.run("work", &run).await;
        let task = client.claim("work").await;
        client.succeed(&task, text(&"x".repeat(size))).await;
        // spec 04-30: never retried.
        let task_run = client.task_run(&run, "0-1").await;
        assert_eq!(task_run.attempts.len(), 1, "{run}");
        ends.push(task_run.status());
    }
    let fits = ends
        .iter()
        .take_while(|end| **end == TaskStatus::TaskSuccess)
        .count();
    assert!((1..ends.len()).contains(&fits), "{ends:?}");
    let rest = &ends[fits..];
    assert!(
        rest.iter()
            .all(|end| *end == TaskStatus::TaskOutputSerdeError),
        "{ends:?}"
    );
    server.stop().await;
}

//! Timeouts and retries of tasks (spec 04, sections 10 and 11; spec 05, section 8).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    CountTaskRunRequest, ExponentialBackoffRetryPolicy, LhStatus, ResumeWfRunRequest,
    ScheduledTask, StopWfRunRequest, TaskAttempt, TaskNode, TaskRun, TaskStatus,
};
use tonic::Code;

use crate::support::*;

/// Defines a TaskDef and a WfSpec of one task, both called `work`.
async fn define(client: &mut Client, node: TaskNode) {
    client.define_task(task_def("work", &[], None)).await;
    client
        .define(sequence("work", vec![], vec![Kind::Task(node)]))
        .await;
}

fn work(retries: i32, timeout_seconds: i32) -> TaskNode {
    TaskNode {
        retries,
        timeout_seconds,
        ..task("work", vec![])
    }
}

async fn fail(client: &mut Client, task: &ScheduledTask) {
    client.report(status(task, TaskStatus::TaskFailed)).await;
}

fn statuses(task_run: &TaskRun) -> Vec<TaskStatus> {
    task_run.attempts.iter().map(TaskAttempt::status).collect()
}

/// Waits until the TaskRun of a run has so many attempts, the last one in this status.
async fn attempts(client: &Client, run: &str, count: usize, last: TaskStatus) -> TaskRun {
    until(|| {
        let mut client = client.clone();
        async move {
            let task_run = client.task_run(run, "0-1").await;
            let is_so = task_run.attempts.len() == count && task_run.status() == last;
            is_so.then_some(task_run)
        }
    })
    .await
}

#[tokio::test]
async fn a_silent_worker_times_out() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(0, 1)).await;
    client.run("work", "claimed").await;
    let mut broken = client.polling("work").await;
    broken.ask().await;
    let task = broken.next().await;
    drop(broken);
    client.run("work", "queued").await;
    let run = client.ended("claimed").await;
    // spec 04-41
    assert_eq!(run.status(), LhStatus::Error);
    let task_run = client.task_run("claimed", "0-1").await;
    assert_eq!(statuses(&task_run), [TaskStatus::TaskTimeout]);
    let attempt = &task_run.attempts[0];
    let deadline = millis(attempt.start_time) + 1000;
    assert_eq!(millis(attempt.end_time), deadline);
    assert_eq!((&attempt.result, &attempt.log_output), (&None, &None));
    let node_run = client.node_run("claimed", 1).await;
    assert_eq!(node_run.failures[0].failure_name, "TIMEOUT");
    assert_eq!(node_run.failures[0].content, None);
    let late = millis(node_run.end_time) - deadline;
    assert!((0..1000).contains(&late), "{late} ms late");
    // spec 04-42: the time in the queue does not count.
    let queued = client.task_run("queued", "0-1").await;
    assert_eq!(statuses(&queued), [TaskStatus::TaskScheduled]);
    // spec 04-43
    client.report(success(&task, None)).await;
    assert_eq!(client.task_run("claimed", "0-1").await, task_run);
    assert_eq!(client.wf_run("claimed").await, run);
    // spec 04-15: the stream broke after the claim, and nobody gets that task again.
    let mut polls = client.polling("work").await;
    polls.ask().await;
    assert_eq!(run_of(&polls.next().await), "queued");
    polls.ask().await;
    server.waiting_polls(1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_failed_attempt_is_retried_at_once() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(2, 60)).await;
    client.run("work", "r").await;
    let first = client.claim("work").await;
    client.run("work", "behind").await;
    fail(client, &first).await;
    let task_run = client.task_run("r", "0-1").await;
    // spec 04-44
    assert_eq!(
        statuses(&task_run),
        [TaskStatus::TaskFailed, TaskStatus::TaskScheduled]
    );
    assert_eq!(task_run.status(), TaskStatus::TaskScheduled);
    assert_eq!(task_run.total_attempts, 3);
    let gap = millis(task_run.attempts[1].schedule_time) - millis(task_run.attempts[0].end_time);
    assert!((0..500).contains(&gap), "{gap} ms");
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Running);
    // At the tail of the queue.
    assert_eq!(run_of(&client.claim("work").await), "behind");
    // spec 04-45
    for number in 1..3 {
        let again = client.claim("work").await;
        assert_eq!(
            (run_of(&again), again.attempt_number),
            ("r".to_owned(), number)
        );
        fail(client, &again).await;
    }
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(statuses(&task_run), [TaskStatus::TaskFailed; 3]);
    let node_run = client.node_run("r", 1).await;
    assert_eq!(node_run.status(), LhStatus::Error);
    assert_eq!(node_run.failures.len(), 1);
    assert_eq!(node_run.failures[0].failure_name, "TASK_FAILURE");
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Error);
    server.stop().await;
}

#[tokio::test]
async fn a_waiting_worker_gets_the_retry_in_the_same_commit() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(1, 60)).await;
    let mut polls = client.polling("work").await;
    polls.ask().await;
    polls.ask().await;
    server.waiting_polls(2).await;
    client.run("work", "r").await;
    let first = polls.next().await;
    fail(client, &first).await;
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(
        statuses(&task_run),
        [TaskStatus::TaskFailed, TaskStatus::TaskRunning]
    );
    let second = polls.next().await;
    assert_eq!((first.attempt_number, second.attempt_number), (0, 1));
    client.report(success(&second, None)).await;
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(
        statuses(&task_run),
        [TaskStatus::TaskFailed, TaskStatus::TaskSuccess]
    );
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn backoff_grows_between_attempts() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let policy = ExponentialBackoffRetryPolicy {
        base_interval_ms: 300,
        multiplier: 2.0,
        max_delay_ms: 500,
    };
    let node = TaskNode {
        exponential_backoff: Some(policy),
        ..work(3, 60)
    };
    define(client, node).await;
    client.run("work", "r").await;
    let mut polls = client.polling("work").await;
    polls.ask().await;
    for number in 0..3 {
        let task = polls.next().await;
        assert_eq!(task.attempt_number, number);
        polls.ask().await;
        server.waiting_polls(1).await;
        fail(client, &task).await;
        // spec 04-46: between the attempts.
        let waiting = client.task_run("r", "0-1").await;
        assert_eq!(waiting.status(), TaskStatus::TaskPending);
        let pending = waiting.attempts.last().unwrap();
        assert_eq!(pending.status(), TaskStatus::TaskPending);
        assert_eq!((pending.schedule_time, pending.start_time), (None, None));
        assert_eq!(pending.task_worker_id, "");
        assert_eq!(waiting.attempts.len(), number as usize + 2);
        assert_eq!(waiting.exponential_backoff, Some(policy));
    }
    polls.next().await;
    let task_run = client.task_run("r", "0-1").await;
    // spec 04-46: with about a third of its times.
    for (number, delay) in [300, 500, 500].into_iter().enumerate() {
        let failed = &task_run.attempts[number];
        let next = &task_run.attempts[number + 1];
        let gap = millis(next.schedule_time) - millis(failed.end_time);
        assert!(
            (delay..delay + 1100).contains(&gap),
            "{gap} ms for {delay} ms"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn failures_and_timeouts_share_the_attempts() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(1, 1)).await;
    client.run("work", "r").await;
    let first = client.claim("work").await;
    fail(client, &first).await;
    client.claim("work").await;
    let run = client.ended("r").await;
    // spec 04-47
    assert_eq!(run.status(), LhStatus::Error);
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(
        statuses(&task_run),
        [TaskStatus::TaskFailed, TaskStatus::TaskTimeout]
    );
    let failures = client.node_run("r", 1).await.failures;
    assert_eq!(failures[0].failure_name, "TIMEOUT");
    server.stop().await;
}

#[tokio::test]
async fn a_stopped_run_waits_for_the_retries_of_its_task() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let policy = ExponentialBackoffRetryPolicy {
        base_interval_ms: 150,
        multiplier: 1.0,
        max_delay_ms: 150,
    };
    let node = TaskNode {
        exponential_backoff: Some(policy),
        ..work(1, 60)
    };
    define(client, node).await;
    for (run, succeeds) in [("good", true), ("bad", false)] {
        client.run("work", run).await;
        let first = client.claim("work").await;
        fail(client, &first).await;
        let request = StopWfRunRequest {
            wf_run_id: Some(id(run)),
            thread_run_number: 0,
        };
        client.stop_wf_run(request).await.unwrap();
        // spec 04-48
        assert_eq!(client.node_run(run, 1).await.status(), LhStatus::Halting);
        assert_eq!(client.wf_run(run).await.status(), LhStatus::Halting);
        let retry = client.claim("work").await;
        assert_eq!((run_of(&retry), retry.attempt_number), (run.to_owned(), 1));
        assert_eq!(client.node_run(run, 1).await.status(), LhStatus::Halting);
        if succeeds {
            client.report(success(&retry, None)).await;
        } else {
            fail(client, &retry).await;
        }
        // The result is kept, and looked at when the thread goes on.
        assert_eq!(client.node_run(run, 1).await.status(), LhStatus::Halted);
        assert_eq!(client.wf_run(run).await.status(), LhStatus::Halted);
        let request = ResumeWfRunRequest {
            wf_run_id: Some(id(run)),
            thread_run_number: 0,
        };
        client.resume_wf_run(request).await.unwrap();
        let (status, failures) = if succeeds {
            (LhStatus::Completed, 0)
        } else {
            (LhStatus::Error, 1)
        };
        assert_eq!(client.wf_run(run).await.status(), status);
        assert_eq!(client.node_run(run, 1).await.failures.len(), failures);
    }
    server.stop().await;
}

#[tokio::test]
async fn timeouts_and_backoffs_survive_a_restart() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(0, 1)).await;
    client.define_task(task_def("slow", &[], None)).await;
    let policy = ExponentialBackoffRetryPolicy {
        base_interval_ms: 600,
        multiplier: 1.0,
        max_delay_ms: 600,
    };
    let slow = TaskNode {
        exponential_backoff: Some(policy),
        retries: 1,
        ..task("slow", vec![])
    };
    client
        .define(sequence("slow", vec![], vec![Kind::Task(slow)]))
        .await;
    client.run("slow", "backoff").await;
    let task = client.claim("slow").await;
    fail(client, &task).await;
    client.run("work", "timeout").await;
    client.claim("work").await;
    server.restart().await;
    let client = &mut server.client.clone();
    let backoff = attempts(client, "backoff", 2, TaskStatus::TaskScheduled).await;
    let gap = millis(backoff.attempts[1].schedule_time) - millis(backoff.attempts[0].end_time);
    assert!(gap >= 600, "{gap} ms");
    assert_eq!(client.claim("slow").await.attempt_number, 1);
    let timeout = attempts(client, "timeout", 1, TaskStatus::TaskTimeout).await;
    let attempt = &timeout.attempts[0];
    assert_eq!(millis(attempt.end_time), millis(attempt.start_time) + 1000);
    assert_eq!(client.ended("timeout").await.status(), LhStatus::Error);
    server.stop().await;
}

#[tokio::test]
async fn timers_that_were_due_while_the_server_was_down_fire_late() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(0, 1)).await;
    client.run("work", "r").await;
    let task = client.claim("work").await;
    let started = client.task_run("r", "0-1").await.attempts[0].start_time;
    server.stop_until(millis(started) + 1100).await;
    let client = &mut server.client.clone();
    client.ended("r").await;
    let attempt = client.task_run("r", "0-1").await.attempts.remove(0);
    // The deadline is what it was; everything else happens now.
    assert_eq!(millis(attempt.end_time), millis(started) + 1000);
    let ended = client.node_run("r", 1).await.end_time;
    assert!(millis(ended) >= millis(started) + 1100);
    client.report(success(&task, None)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Error);
    server.stop().await;
}

#[tokio::test]
async fn a_long_timeout_does_not_overflow() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(0, i32::MAX)).await;
    client.run("work", "long").await;
    let task = client.claim("work").await;
    // A timer that overflowed into the past would have fired before these, in whichever group it is.
    let nap = vec![sleep_for(literal(int(0)))];
    client.define(sequence("nap", vec![], nap)).await;
    for run in ["nap-1", "nap-2", "nap-3", "nap-4", "nap-5"] {
        client.run("nap", run).await;
        client.ended(run).await;
    }
    let task_run = client.task_run("long", "0-1").await;
    assert_eq!(statuses(&task_run), [TaskStatus::TaskRunning]);
    assert_eq!(task_run.timeout_seconds, i32::MAX);
    client.report(success(&task, None)).await;
    assert_eq!(client.wf_run("long").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_retry_that_waits_for_a_worker_is_counted() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, work(1, 60)).await;
    for run in ["first", "second"] {
        client.run("work", run).await;
    }
    let count = |status: TaskStatus| CountTaskRunRequest {
        task_def_name: "work".to_owned(),
        status: status.into(),
    };
    let first = client.claim("work").await;
    let queued = client.count_task_run(count(TaskStatus::TaskScheduled));
    assert_eq!(queued.await.unwrap().into_inner().value, 1);
    fail(client, &first).await;
    let queued = client.count_task_run(count(TaskStatus::TaskScheduled));
    // spec 04-59
    assert_eq!(queued.await.unwrap().into_inner().value, 2);
    let running = client.count_task_run(count(TaskStatus::TaskRunning)).await;
    refused(running, Code::InvalidArgument, &["TASK_SCHEDULED"]);
    server.stop().await;
}

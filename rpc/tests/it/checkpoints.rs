//! Checkpoints: what a long task saves on its way (spec 04, section 13).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::put_checkpoint_response::FlowControlContinue;
use proto::littlehorse::{
    Checkpoint, CheckpointId, DeleteWfRunRequest, PutCheckpointRequest, PutCheckpointResponse,
    ScheduledTask, TaskNode, TaskRunId, TaskStatus, VariableValue,
};
use tonic::{Code, Response, Status};

use crate::support::*;

/// Runs a task with retries and claims it. All names are `work`.
async fn claimed(client: &mut Client, retries: i32, timeout_seconds: i32) -> ScheduledTask {
    client.define_task(task_def("work", &[], None)).await;
    let node = TaskNode {
        retries,
        timeout_seconds,
        ..task("work", vec![])
    };
    client
        .define(sequence("work", vec![], vec![Kind::Task(node)]))
        .await;
    client.run("work", "work").await;
    client.claim("work").await
}

async fn put(
    client: &mut Client,
    task: &ScheduledTask,
    value: VariableValue,
) -> Result<Response<PutCheckpointResponse>, Status> {
    let request = PutCheckpointRequest {
        task_run_id: task.task_run_id.clone(),
        task_attempt: task.attempt_number,
        value: Some(value),
        logs: Some("a log".to_owned()),
    };
    client.put_checkpoint(request).await
}

async fn kept(client: &mut Client, task: &ScheduledTask, value: VariableValue) -> Checkpoint {
    let answer = put(client, task, value).await.unwrap().into_inner();
    let go_on = FlowControlContinue::ContinueTask;
    assert_eq!(answer.flow_control_continue_type(), go_on);
    answer.created_checkpoint.unwrap()
}

/// Asserts that a checkpoint was not taken, and that the worker was told to stop.
fn stopped(answer: Result<Response<PutCheckpointResponse>, Status>) {
    let answer = answer.unwrap().into_inner();
    let stop = FlowControlContinue::StopTask;
    assert_eq!(answer.flow_control_continue_type(), stop);
    assert_eq!(answer.created_checkpoint, None);
}

fn checkpoint_id(task: &ScheduledTask, checkpoint_number: i32) -> CheckpointId {
    CheckpointId {
        task_run: task.task_run_id.clone(),
        checkpoint_number,
    }
}

#[tokio::test]
async fn checkpoints_are_numbered_and_read_by_the_retry() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    let task = claimed(client, 1, 60).await;
    assert_eq!(task.total_observed_checkpoints, 0);
    let mut checkpoints = Vec::new();
    for number in 0..2 {
        let checkpoint = kept(client, &task, int(number.into())).await;
        // spec 04-49
        assert_eq!(checkpoint.id, Some(checkpoint_id(&task, number)));
        assert_eq!(checkpoint.value, Some(int(number.into())));
        assert_eq!(checkpoint.logs.as_deref(), Some("a log"));
        checkpoints.push(checkpoint);
    }
    let task_run = client.task_run("work", "0-1").await;
    assert_eq!(task_run.total_checkpoints, 2);
    assert!(millis(checkpoints[0].created_at) >= millis(task_run.attempts[0].start_time));
    client.report(status(&task, TaskStatus::TaskFailed)).await;
    server.restart().await;
    let client = &mut server.client.clone();
    let retry = client.claim("work").await;
    // spec 04-50
    assert_eq!(
        (retry.attempt_number, retry.total_observed_checkpoints),
        (1, 2)
    );
    for checkpoint in &checkpoints {
        let id = checkpoint.id.clone().unwrap();
        let found = client.get_checkpoint(id).await.unwrap().into_inner();
        assert_eq!(&found, checkpoint);
    }
    for number in [2, -1] {
        let none = client.get_checkpoint(checkpoint_id(&task, number)).await;
        refused(none, Code::NotFound, &[]);
    }
    let third = kept(client, &retry, int(2)).await;
    assert_eq!(third.id, Some(checkpoint_id(&task, 2)));
    // A worker's own count is not asked for: no SDK fills it in.
    client.report(success(&retry, None)).await;
    let task_run = client.task_run("work", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskSuccess);
    // spec 04-54
    let id = Some(id("work"));
    client
        .delete_wf_run(DeleteWfRunRequest { id })
        .await
        .unwrap();
    for number in 0..3 {
        let gone = client.get_checkpoint(checkpoint_id(&task, number)).await;
        refused(gone, Code::NotFound, &[]);
    }
    server.stop().await;
}

#[tokio::test]
async fn only_the_running_attempt_may_save() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let first = claimed(client, 1, 1).await;
    // Its time runs out.
    until(|| {
        let mut client = client.clone();
        async move {
            let task_run = client.task_run("work", "0-1").await;
            (task_run.attempts.len() == 2).then_some(())
        }
    })
    .await;
    // spec 04-52
    stopped(put(client, &first, int(1)).await);
    for attempt_number in [1, 2, -1, i32::MAX] {
        let task = ScheduledTask {
            attempt_number,
            ..first.clone()
        };
        stopped(put(client, &task, int(1)).await);
    }
    let task_run = client.task_run("work", "0-1").await;
    assert_eq!(task_run.total_checkpoints, 0);
    let second = client.claim("work").await;
    stopped(put(client, &first, int(1)).await);
    kept(client, &second, int(1)).await;
    client.report(success(&second, None)).await;
    stopped(put(client, &second, int(1)).await);
    let none = client.get_checkpoint(checkpoint_id(&first, 1)).await;
    refused(none, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn a_checkpoint_that_makes_no_sense_is_refused() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let task = claimed(client, 0, 60).await;
    let of = |run: &str, guid: &str| ScheduledTask {
        task_run_id: Some(TaskRunId {
            wf_run_id: Some(id(run)),
            task_guid: guid.to_owned(),
        }),
        ..task.clone()
    };
    // spec 04-53
    for (run, guid) in [("work", "0-7"), ("nobody", "0-1"), ("work", "x")] {
        let answer = put(client, &of(run, guid), int(1)).await;
        refused(
            answer,
            Code::InvalidArgument,
            &[&format!("{run}/{guid}"), "not found"],
        );
    }
    let nameless = ScheduledTask {
        task_run_id: None,
        ..task.clone()
    };
    let answer = put(client, &nameless, int(1)).await;
    refused(answer, Code::InvalidArgument, &["task_run_id"]);
    let large = text(&"x".repeat(1_100_000));
    let answer = put(client, &task, large).await;
    refused(answer, Code::ResourceExhausted, &["too large", "1047000"]);
    let task_run = client.task_run("work", "0-1").await;
    assert_eq!(task_run.total_checkpoints, 0);
    assert_eq!(task_run.status(), TaskStatus::TaskRunning);
    server.stop().await;
}

#[tokio::test]
async fn a_checkpoint_gives_the_attempt_its_whole_time_again() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let task = claimed(client, 0, 1).await;
    let started = client.task_run("work", "0-1").await.attempts[0].start_time;
    // Until one comes visibly after the claim, and another visibly after that.
    let mut last = millis(started);
    for _ in 0..2 {
        last = until(|| {
            let (mut client, task) = (client.clone(), &task);
            async move {
                let at = millis(kept(&mut client, task, int(1)).await.created_at);
                (at > last + 20).then_some(at)
            }
        })
        .await;
    }
    client.ended("work").await;
    // spec 04-51: with a second for a second and a half, the deadline tells which timer fired.
    let attempt = client.task_run("work", "0-1").await.attempts.remove(0);
    assert_eq!(attempt.status(), TaskStatus::TaskTimeout);
    assert_eq!(millis(attempt.end_time), last + 1000);
    server.stop().await;
}

//! Workers.

use std::time::Duration;

use proto::littlehorse::{
    PollTaskRequest, PollTaskResponse, ReportTaskRun, ScheduledTask, TaskDefId, TaskStatus,
    VariableValue, report_task_run,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::*;

pub fn success(task: &ScheduledTask, output: Option<VariableValue>) -> ReportTaskRun {
    ReportTaskRun {
        result: output.map(report_task_run::Result::Output),
        ..status(task, TaskStatus::TaskSuccess)
    }
}

pub fn status(task: &ScheduledTask, status: TaskStatus) -> ReportTaskRun {
    ReportTaskRun {
        task_run_id: task.task_run_id.clone(),
        status: status.into(),
        attempt_number: task.attempt_number,
        ..ReportTaskRun::default()
    }
}

/// An open PollTask stream.
pub struct Polls {
    requests: Option<mpsc::Sender<PollTaskRequest>>,
    poll: PollTaskRequest,
    answers: Streaming<PollTaskResponse>,
}

impl Polls {
    pub async fn open(client: &mut Client, task_def: &str, worker: &str) -> Polls {
        let (requests, receiver) = mpsc::channel(64);
        let poll = PollTaskRequest {
            task_def_id: Some(TaskDefId {
                name: task_def.to_owned(),
            }),
            client_id: worker.to_owned(),
            task_worker_version: Some("v1".to_owned()),
        };
        let answers = client
            .poll_task(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        Polls {
            requests: Some(requests),
            poll,
            answers,
        }
    }

    /// Asks for one more task.
    pub async fn ask(&mut self) {
        let requests = self.requests.as_ref().expect("half-closed");
        requests.send(self.poll.clone()).await.unwrap();
    }

    /// No more requests will come.
    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// The next task.
    pub async fn next(&mut self) -> ScheduledTask {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message())
            .await
            .expect("no task in time");
        answer.unwrap().expect("the stream ended").result.unwrap()
    }

    /// Whether the stream ended well.
    pub async fn ended(&mut self) -> bool {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        matches!(answer, Ok(Ok(None)))
    }

    /// Whether nothing comes for a while.
    pub async fn is_silent(&mut self) -> bool {
        let while_ = Duration::from_millis(150);
        tokio::time::timeout(while_, self.answers.message())
            .await
            .is_err()
    }
}

/// What may still be waiting in the server has arrived once a later call through the same group has been answered; a
/// poll request has no answer, so tests give it a moment.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(60)).await;
}

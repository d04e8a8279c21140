//! Workers.

use proto::littlehorse::{
    PollTaskRequest, PollTaskResponse, ReportTaskRun, ScheduledTask, TaskDefId, TaskStatus,
    VariableValue, report_task_run,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

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
        Polls::open_in(client, "default", task_def, worker).await
    }

    pub async fn open_in(client: &mut Client, tenant: &str, task_def: &str, worker: &str) -> Polls {
        let (requests, receiver) = mpsc::channel(64);
        let stream = in_tenant(tenant, ReceiverStream::new(receiver));
        let answers = client.poll_task(stream).await.unwrap().into_inner();
        Polls {
            requests: Some(requests),
            poll: poll_for(task_def, worker),
            answers,
        }
    }

    /// Asks for one more task.
    pub async fn ask(&mut self) {
        self.ask_for(self.poll.clone()).await;
    }

    /// Asks for one more task, of whatever kind.
    pub async fn ask_for(&mut self, poll: PollTaskRequest) {
        let requests = self.requests.as_ref().expect("half-closed");
        requests.send(poll).await.unwrap();
    }

    /// No more requests will come.
    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// The next task.
    pub async fn next(&mut self) -> ScheduledTask {
        let answer = self.answer().await;
        answer.unwrap().expect("the stream ended").result.unwrap()
    }

    /// Whatever comes next: a task, or the end of the stream, or why it broke.
    pub async fn answer(&mut self) -> Result<Option<PollTaskResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.answers.message())
            .await
            .expect("nothing came in time")
    }
}

/// A request of a PollTask stream.
pub fn poll_for(task_def: &str, worker: &str) -> PollTaskRequest {
    PollTaskRequest {
        task_def_id: Some(TaskDefId {
            name: task_def.to_owned(),
        }),
        client_id: worker.to_owned(),
        task_worker_version: Some("v1".to_owned()),
    }
}

/// The WfRun that a task belongs to.
pub fn run_of(task: &ScheduledTask) -> String {
    let id = task.task_run_id.clone().unwrap();
    id.wf_run_id.unwrap().to_string()
}

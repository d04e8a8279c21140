//! A task worker: polls on a stream, "executes", reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::{
    PollTaskRequest, ReportTaskRun, ScheduledTask, TaskDefId, TaskStatus, report_task_run,
};
use proto::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::load::{Shared, TASK};

/// Works on one stream, with a number of polls always open, until aborted.
pub(crate) async fn work(shared: Arc<Shared>, channel: Channel, number: usize, credits: usize) {
    let poll = PollTaskRequest {
        task_def_id: Some(TaskDefId {
            name: TASK.to_owned(),
        }),
        client_id: format!("bench-{number}"),
        task_worker_version: None,
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(credits);
    for _ in 0..credits {
        // The receiver is right here.
        let _ = sender.send(poll.clone()).await;
    }
    let mut client = LittleHorseClient::new(channel.clone());
    let mut tasks = match client.poll_task(ReceiverStream::new(receiver)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return shared.failed("PollTask", &status),
    };
    loop {
        match tasks.message().await {
            Ok(Some(answer)) => {
                if let Some(task) = answer.result {
                    delivered(&shared, &task);
                    tokio::spawn(report(Arc::clone(&shared), channel.clone(), task));
                }
                if sender.send(poll.clone()).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(status) => return shared.failed("PollTask", &status),
        }
    }
}

fn wf_run_id(task: &ScheduledTask) -> &str {
    task.task_run_id
        .as_ref()
        .and_then(|id| id.wf_run_id.as_ref())
        .map_or("", |id| &id.id)
}

fn delivered(shared: &Shared, task: &ScheduledTask) {
    let now = Instant::now();
    if let Some(Some(reported)) = shared.with(wf_run_id(task), |run| run.reported) {
        shared
            .stats
            .record(&shared.stats.report_to_next, now - reported);
    }
    if let Some(created) = &task.created_at {
        // The server's times have milliseconds; so has this latency.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let waited = since_epoch.as_millis() as i64 - time::to_millis(created);
        let waited = Duration::from_millis(waited.max(0) as u64);
        shared
            .stats
            .record(&shared.stats.schedule_to_delivery, waited);
    }
}

async fn report(shared: Arc<Shared>, channel: Channel, task: ScheduledTask) {
    let id = wf_run_id(&task).to_owned();
    let report = ReportTaskRun {
        task_run_id: task.task_run_id,
        time: task.created_at,
        status: TaskStatus::TaskSuccess.into(),
        attempt_number: task.attempt_number,
        result: Some(report_task_run::Result::Output(shared.output())),
        ..ReportTaskRun::default()
    };
    shared.with(&id, |run| run.reported = Some(Instant::now()));
    match LittleHorseClient::new(channel).report_task(report).await {
        Ok(_) => {
            shared.stats.task_runs.fetch_add(1, Ordering::Relaxed);
            let done = shared.with(&id, |run| {
                run.done += 1;
                run.done
            });
            if done == Some(shared.tasks) {
                shared.ended(&id);
            }
        }
        Err(status) => shared.failed("ReportTask", &status),
    }
}

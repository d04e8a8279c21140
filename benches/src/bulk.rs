//! What a job over many WfRuns costs those who work meanwhile: `ironhorse-bench bulk-delete`.

use std::time::{Duration, Instant, SystemTime};

use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::{
    BulkDeleteWfRun, BulkJobId, BulkJobStatus, CreateBulkJobRequest, GetBulkJobRequest, LhStatus,
    WfRunId, create_bulk_job_request,
};
use serde::Serialize;
use tonic::Code;
use tonic::transport::Channel;

use crate::ceiling::connect;
use crate::load::{self, Load, Plan, SPEC};
use crate::under_test::UnderTest;
use crate::{BenchError, BulkFlags, report};

/// The load that makes the finished WfRuns runs in steps of this length.
const STEP: Duration = Duration::from_secs(5);
/// How long the job may take.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, Serialize)]
struct Figures {
    wf_runs: u64,
    job_seconds: f64,
    without: Load,
    during: Load,
}

pub(crate) async fn run(flags: &BulkFlags) -> Result<(), BenchError> {
    let scratch = flags.place.scratch()?;
    let server = UnderTest::start(scratch.path(), flags.groups).await?;
    let mut first = 0;
    while first < flags.wf_runs {
        report::progress(&format!("{first} WfRuns"));
        let fill = Plan {
            measured: STEP,
            warm_up: Duration::ZERO,
            first,
            ..flags.load.plan(4, 1, None)
        };
        first = load::run(&server, &fill).await?.next;
    }
    let made = first;
    // What starts from now on stays.
    let until = SystemTime::now();
    let mut plan = Plan {
        first,
        ..flags.load.plan(4, 1, Some(flags.rate))
    };
    let without = load::run(&server, &plan).await?;
    plan.first = without.next;
    let channel = connect(&server.address, 1).await?.remove(0);
    let job = async {
        tokio::time::sleep(plan.warm_up).await;
        delete(channel.clone(), until).await
    };
    let (during, job) = tokio::join!(load::run(&server, &plan), job);
    let (during, job) = (during?, job?);
    for number in [0, made / 2, made - 1] {
        let id = WfRunId::root(format!("{number:x}"));
        let found = LittleHorseClient::new(channel.clone()).get_wf_run(id).await;
        if found.map_err(|status| status.code()).err() != Some(Code::NotFound) {
            return Err(BenchError(format!("WfRun {number:x} is not deleted")));
        }
    }
    server.stop().await?;
    report::loads(
        &[("without the job", &without), ("during it", &during)],
        None,
    );
    report::line(&format!(
        "{made} WfRuns deleted in {:.1} s of the {:.1} s measured; p99 of RunWf {:.2} of that without",
        job.as_secs_f64(),
        during.seconds,
        during.run_wf.p99 as f64 / without.run_wf.p99 as f64
    ));
    report::json(
        flags.place.json.as_deref(),
        &Figures {
            wf_runs: made,
            job_seconds: job.as_secs_f64(),
            without,
            during,
        },
    )
}

/// Deletes the finished WfRuns that started before a time; how long it took.
async fn delete(channel: Channel, until: SystemTime) -> Result<Duration, BenchError> {
    let mut client = LittleHorseClient::new(channel);
    let start = Instant::now();
    let operation = BulkDeleteWfRun {
        wf_spec_name: SPEC.to_owned(),
        earliest_start: Some(SystemTime::UNIX_EPOCH.into()),
        latest_start: Some(until.into()),
        wf_run_status: Some(LhStatus::Completed.into()),
    };
    let request = CreateBulkJobRequest {
        id: None,
        operation: Some(create_bulk_job_request::Operation::BulkDeleteWfRun(
            operation,
        )),
    };
    let job = client
        .create_bulk_job(request)
        .await
        .map_err(|status| BenchError::new("CreateBulkJob", status))?;
    let id: Option<BulkJobId> = job.into_inner().id;
    while start.elapsed() < PATIENCE {
        let request = GetBulkJobRequest { id: id.clone() };
        let job = client
            .get_bulk_job(request)
            .await
            .map_err(|status| BenchError::new("GetBulkJob", status))?;
        match job.get_ref().status() {
            BulkJobStatus::BulkJobRunning => {}
            BulkJobStatus::BulkJobCompleted => return Ok(start.elapsed()),
            BulkJobStatus::BulkJobFailed => return Err(BenchError("the job failed".to_owned())),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(BenchError(format!("the job is not done in {PATIENCE:?}")))
}

//! BulkJobs (spec 05, section 11). What they do is done elsewhere, group by group; here is how far they have come.

use index::Family;
use prost::Message;
use proto::ironhorse::v1::{BulkJobRow, BulkProgress, CreateBulkJob};
use proto::littlehorse::bulk_job::{Operation, Subprocess};
use proto::littlehorse::create_bulk_job_request::Operation as Asked;
use proto::littlehorse::{
    BulkDeleteWfRun, BulkJob, BulkJobId, BulkJobStatus, DeleteBulkJobRequest, LhStatus,
};
use runtime::{Context, Rejection, Route};

use super::{find, store};
use crate::key;
use crate::time::{timestamp, timestamp_ms};

pub(super) fn create(
    context: &mut Context<'_>,
    tenant: &str,
    core: Route,
    command: CreateBulkJob,
) -> Result<BulkJob, Rejection> {
    let CreateBulkJob { request, id } = command;
    let request = request.unwrap_or_default();
    if id.is_empty() {
        return Err(Rejection::invalid("id must not be empty"));
    }
    let key = key::named(key::BULK_JOBS, tenant, &id);
    if let Some(row) = find::<BulkJobRow>(context, &key)? {
        return Ok(row.bulk_job.unwrap_or_default());
    }
    let Some(Asked::BulkDeleteWfRun(wanted)) = request.operation else {
        return Err(Rejection::invalid(
            "Missing required argument: operation (bulk_delete_wf_run)",
        ));
    };
    check(&wanted)?;
    let groups = i32::from(core.groups());
    let job = BulkJob {
        id: Some(BulkJobId { id }),
        created_at: Some(timestamp(context.now_ms())),
        status: BulkJobStatus::BulkJobRunning.into(),
        subprocesses: (0..groups)
            .map(|id| Subprocess {
                id,
                status: BulkJobStatus::BulkJobRunning.into(),
                last_seen_key: None,
            })
            .collect(),
        total_subprocesses: groups,
        operation: Some(Operation::BulkDeleteWfRun(wanted)),
    };
    let row = BulkJobRow {
        version: 1,
        bulk_job: Some(job.clone()),
        incarnation: context.next_number()?,
    };
    store(context, key, &row)?;
    Ok(job)
}

fn check(wanted: &BulkDeleteWfRun) -> Result<(), Rejection> {
    if wanted.wf_spec_name.trim().is_empty() {
        return Err(Rejection::invalid("wfSpecName is required"));
    }
    for (field, time) in [
        ("earliest_start", &wanted.earliest_start),
        ("latest_start", &wanted.latest_start),
    ] {
        if time.is_none() {
            return Err(Rejection::invalid(format!("{field} is required")));
        }
    }
    if timestamp_ms(wanted.earliest_start.as_ref()) > timestamp_ms(wanted.latest_start.as_ref()) {
        return Err(Rejection::invalid(
            "earliest_start must not be after latest_start",
        ));
    }
    if wanted.wf_run_status.is_none() {
        return Err(Rejection::invalid("status is required: wf_run_status"));
    }
    match wanted.wf_run_status() {
        LhStatus::Completed | LhStatus::Halted | LhStatus::Error | LhStatus::Exception => Ok(()),
        other => Err(Rejection::invalid(format!(
            "wf_run_status must be a terminal status or HALTED, not {}",
            other.as_str_name()
        ))),
    }
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteBulkJobRequest,
) -> Result<(), Rejection> {
    let id = request.id.unwrap_or_default().id;
    let key = key::named(key::BULK_JOBS, tenant, &id);
    let Some(row) = find::<BulkJobRow>(context, &key)? else {
        return Err(Rejection::not_found(format!("BulkJob {id} does not exist")));
    };
    if row
        .bulk_job
        .is_some_and(|job| job.status() == BulkJobStatus::BulkJobRunning)
    {
        return Err(Rejection::precondition(format!(
            "BulkJob {id} is still running"
        )));
    }
    Ok(context.delete(Family::State, key)?)
}

/// A core group has come further. Nothing if the job is another one by now.
pub(super) fn progress(
    context: &mut Context<'_>,
    tenant: &str,
    progress: BulkProgress,
) -> Result<(), Rejection> {
    let key = key::named(key::BULK_JOBS, tenant, &progress.job_id);
    let Some(mut row) = find::<BulkJobRow>(context, &key)? else {
        return Ok(());
    };
    let is_that_one = row.incarnation == progress.incarnation;
    let Some(job) = row.bulk_job.as_mut().filter(|_| is_that_one) else {
        return Ok(());
    };
    let part = job
        .subprocesses
        .iter_mut()
        .find(|part| part.id == progress.subprocess);
    if let Some(part) = part {
        part.last_seen_key = progress.last_seen.or(part.last_seen_key);
        if progress.completed {
            part.set_status(BulkJobStatus::BulkJobCompleted);
        }
    }
    let is_over = |part: &Subprocess| part.status() == BulkJobStatus::BulkJobCompleted;
    if job.subprocesses.iter().all(is_over) {
        job.set_status(BulkJobStatus::BulkJobCompleted);
    }
    store(context, key, &row)
}

/// The BulkJobs that still run, in a view of the metadata, oldest first: tenant, and the job.
pub fn running(view: &index::GlobalView) -> Vec<(String, BulkJobRow)> {
    let rows = view.scan(
        &index::KeyRange::prefix(&[key::BULK_JOBS]),
        usize::MAX,
        false,
    );
    let rows = rows.into_iter().filter_map(|(key, value)| {
        let mut reader = index::key::KeyReader::new(&key);
        reader.u8().ok()?;
        Some((reader.str().ok()?, BulkJobRow::decode(value).ok()?))
    });
    let mut running: Vec<(String, BulkJobRow)> = rows
        .filter(|(_, row)| {
            let job = row.bulk_job.as_ref();
            job.is_some_and(|job| job.status() == BulkJobStatus::BulkJobRunning)
        })
        .collect();
    running.sort_by_key(|(_, row)| row.incarnation);
    running
}

//! BulkJobs (spec 05, section 11): the RPCs, and the work.
//!
//! The jobs are metadata. What they delete is found by an index, which no deterministic code may read, so each server
//! does the part of its own groups beside its other work: it looks for runs, has its group delete them by a command that
//! checks each once more, and notes how far it has come. A server that takes a group over goes on from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use index::{Family, KeyRange};
use prost::Message;
use proto::ironhorse::v1::metadata_command::Command as MetadataContent;
use proto::ironhorse::v1::{
    BulkJobRow, BulkProgress, CreateBulkJob, DeleteWfRuns, WfRunsDeleted, core_command,
};
use proto::littlehorse::bulk_job::{Operation, Subprocess};
use proto::littlehorse::{
    BulkDeleteWfRun, BulkJob, BulkJobId, BulkJobIdList, BulkJobStatus, CreateBulkJobRequest,
    DeleteBulkJobRequest, GetBulkJobRequest, SearchBulkJobRequest, WfRunId,
};
use tonic::{Request, Response, Status};
use wal::GroupId;
use workflow::key;
use workflow::metadata::running_bulk_jobs;
use workflow::record::wf_run::{Criteria, index_range, of_index_entry};

use super::wf_run_search::Times;
use super::{Caller, PageRequest, Service, core_command, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

/// How often a server looks for jobs.
const LOOK: Duration = Duration::from_millis(200);
/// Runs that are looked up, and deleted, at a time.
const PAGE: usize = 32;
/// Between two of these, the job rests for so many times as long as the last one took: others come first.
const REST: u32 = 1;

impl Service {
    pub(super) async fn create_bulk_job(
        &self,
        request: Request<CreateBulkJobRequest>,
    ) -> Answer<BulkJob> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let id = request.id.clone().unwrap_or_else(|| self.ids.object_id());
        let command = MetadataContent::CreateBulkJob(CreateBulkJob {
            request: Some(request),
            id,
        });
        Ok(Response::new(self.meta(&caller, command).await?))
    }

    pub(super) fn get_bulk_job(&self, request: Request<GetBulkJobRequest>) -> Answer<BulkJob> {
        let caller = self.caller(&request)?;
        let id = request.into_inner().id.unwrap_or_default().id;
        let key = key::named(key::BULK_JOBS, &caller.tenant, &id);
        let row = self.metadata().get(&key).map(BulkJobRow::decode);
        match row.transpose().map_err(error::internal)? {
            Some(row) => Ok(Response::new(row.bulk_job.unwrap_or_default())),
            None => Err(Status::not_found("Requested object was not found.")),
        }
    }

    pub(super) async fn delete_bulk_job(
        &self,
        request: Request<DeleteBulkJobRequest>,
    ) -> Answer<()> {
        let caller = self.caller(&request)?;
        let command = MetadataContent::DeleteBulkJob(request.into_inner());
        Ok(Response::new(self.meta(&caller, command).await?))
    }

    pub(super) fn search_bulk_job(
        &self,
        request: Request<SearchBulkJobRequest>,
    ) -> Answer<BulkJobIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchBulkJobRequest {
            limit: None,
            bookmark: None,
            ..request
        };
        let asked = PageRequest {
            rpc: "SearchBulkJob",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = key::named_prefix(key::BULK_JOBS, &caller.tenant, "");
        let job = |value: &bytes::Bytes| BulkJobRow::decode(value.clone()).ok()?.bulk_job;
        let page = match request.status {
            None => self.metadata_page(&caller, &asked, range, |value| job(value)?.id)?,
            Some(status) => self.metadata_page_by_age(&caller, &asked, &range, |value| {
                let job = job(value).filter(|job| job.status == status)?;
                let created = job.created_at.as_ref().map_or(0, proto::time::to_millis);
                Some((created, job.id?))
            })?,
        };
        Ok(Response::new(BulkJobIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    /// Does this server's part of all BulkJobs, until the server stops.
    pub(crate) async fn run_bulk_jobs(self: Arc<Service>) {
        let mut stopping = self.stopping.clone();
        loop {
            for (tenant, row) in running_bulk_jobs(&self.metadata()) {
                let job = row.bulk_job.unwrap_or_default();
                let caller = Caller::of_server(tenant);
                for part in &job.subprocesses {
                    let part = Part {
                        service: &self,
                        caller: &caller,
                        id: job.id.clone().unwrap_or_default(),
                        incarnation: row.incarnation,
                        group: GroupId(part.id as u16),
                        state: *part,
                    };
                    let worked = tokio::select! {
                        worked = part.run(job.operation.as_ref()) => worked,
                        _ = stopping.wait_for(|stopping| *stopping) => return,
                    };
                    if let Err(status) = worked {
                        // It goes on in a moment.
                        tracing::warn!(job = %part.id.id, group = %part.group, %status, "a BulkJob does not go on");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

/// What a core group does for a job.
struct Part<'a> {
    service: &'a Service,
    caller: &'a Caller,
    id: BulkJobId,
    incarnation: u64,
    group: GroupId,
    state: Subprocess,
}

impl Part<'_> {
    /// Deletes what there is to delete in this group, if the group is this server's.
    async fn run(&self, operation: Option<&Operation>) -> Result<(), Status> {
        let is_over = self.state.status() != BulkJobStatus::BulkJobRunning;
        let is_here = self.service.engine.reader(self.group).is_some();
        let Some(Operation::BulkDeleteWfRun(wanted)) = operation else {
            return Ok(());
        };
        if is_over || !is_here {
            return Ok(());
        }
        // What was too large to be deleted at once is still there, and leaves the index when it is gone.
        while self.pass(wanted).await? {
            tokio::time::sleep(LOOK).await;
        }
        self.note(None, true).await
    }

    /// Goes once through all that the index has. Says whether there was anything.
    async fn pass(&self, wanted: &BulkDeleteWfRun) -> Result<bool, Status> {
        let times = Times::new(wanted.earliest_start.as_ref(), wanted.latest_start.as_ref());
        let criteria = Criteria {
            wf_spec: Some((&wanted.wf_spec_name, None, None)),
            status: wanted.wf_run_status,
        };
        let all = index_range(&self.caller.tenant, &criteria);
        let mut range = times.narrow(all);
        let mut found = false;
        loop {
            let begun = Instant::now();
            let partition = self.service.partition(self.group)?;
            let entries = partition
                .scan(Family::Index, &range, PAGE)
                .await
                .map_err(error::of_query)?;
            let Some((last, _)) = entries.last().cloned() else {
                return Ok(found);
            };
            found = true;
            let runs = entries.iter().filter_map(|(key, _)| of_index_entry(key));
            let (starts, ids): (Vec<i64>, Vec<WfRunId>) = runs.unzip();
            self.delete(wanted, ids).await?;
            self.note(starts.last().copied(), false).await?;
            range = KeyRange {
                start: std::ops::Bound::Excluded(last),
                ..range
            };
            tokio::time::sleep(begun.elapsed() * REST).await;
        }
    }

    async fn delete(&self, wanted: &BulkDeleteWfRun, mut ids: Vec<WfRunId>) -> Result<(), Status> {
        while !ids.is_empty() {
            let command = core_command::Command::DeleteWfRuns(DeleteWfRuns {
                wanted: Some(wanted.clone()),
                wf_run_ids: ids.clone(),
            });
            let command = core_command(self.caller, command);
            let deleted: WfRunsDeleted = self.service.submit(self.group, &command).await?;
            if deleted.done == 0 {
                return Err(Status::internal("a command deleted nothing"));
            }
            ids.drain(..ids.len().min(deleted.done as usize));
        }
        Ok(())
    }

    async fn note(&self, last_seen_ms: Option<i64>, completed: bool) -> Result<(), Status> {
        let command = MetadataContent::BulkProgress(BulkProgress {
            job_id: self.id.id.clone(),
            incarnation: self.incarnation,
            subprocess: self.state.id,
            last_seen: last_seen_ms.map(proto::time::from_millis),
            completed,
        });
        self.service.meta(self.caller, command).await
    }
}

//! TaskRuns, their workers and checkpoints (spec 04).

use index::KeyRange;
use prost::Message;
use proto::ironhorse::v1::core_command::Command;
use proto::ironhorse::v1::{CheckpointRow, RegisterTaskWorker, TaskRunRow, TaskWorkerGroupRow};
use proto::littlehorse::report_task_run::Result as Reported;
use proto::littlehorse::{
    Checkpoint, CheckpointId, LhErrorType, LhTaskError, ListTaskRunsRequest, PutCheckpointRequest,
    PutCheckpointResponse, RegisterTaskWorkerRequest, RegisterTaskWorkerResponse, ReportTaskRun,
    SearchTaskRunRequest, TaskDefId, TaskRun, TaskRunId, TaskRunIdList, TaskRunList, TaskStatus,
    TaskWorkerGroup, VariableValue, WfRunId, variable_value,
};
use tonic::{Request, Response, Status};
use workflow::command::{split_wf_run_id, wf_run_id};
use workflow::key::{self, Kind, Row, RunKey, RunRow, TaskGuid};
use workflow::record;

use super::wf_run_search::Times;
use super::{MAX_COMMAND, PageRequest, Service, criteria, error};

/// Which WfRun a TaskRun is of.
fn run_of(id: Option<&TaskRunId>) -> Option<&WfRunId> {
    id.and_then(|id| id.wf_run_id.as_ref())
}

type Answer<T> = Result<Response<T>, Status>;

/// Room for the envelope of a report that is just small enough.
const ENVELOPE: usize = 512;

impl Service {
    pub(super) async fn register_task_worker(
        &self,
        request: Request<RegisterTaskWorkerRequest>,
    ) -> Answer<RegisterTaskWorkerResponse> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = request.task_def_id.clone().unwrap_or_default().name;
        let hosts = vec![self.advertised.clone()];
        let command = Command::RegisterTaskWorker(RegisterTaskWorker {
            request: Some(request),
            hosts,
        });
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    pub(super) async fn get_task_worker_group(
        &self,
        request: Request<TaskDefId>,
    ) -> Answer<TaskWorkerGroup> {
        let caller = self.caller(&request)?;
        let name = request.into_inner().name;
        let key = key::named(key::WORKER_GROUPS, &caller.tenant, &name);
        let row: TaskWorkerGroupRow = self.row(&name, &key).await?;
        Ok(Response::new(record::worker_group::public(
            row,
            self.engine.clock().now_ms(),
        )))
    }

    pub(super) async fn report_task(&self, request: Request<ReportTaskRun>) -> Answer<()> {
        // The report does not live while its answer is waited for.
        let submitted = self.submit_report(request)?;
        Ok(Response::new(submitted.await?))
    }

    fn submit_report(
        &self,
        request: Request<ReportTaskRun>,
    ) -> Result<impl Future<Output = Result<(), Status>> + Send + use<'_>, Status> {
        let caller = self.caller(&request)?;
        let mut report = request.into_inner();
        let route = super::wf_run::route(run_of(report.task_run_id.as_ref()));
        let size = report.encoded_len();
        if size + ENVELOPE > MAX_COMMAND {
            // The attempt must end all the same, visibly (spec 04, section 9.4).
            too_large(&mut report, size);
        }
        Ok(self.core(&caller, &route, Command::ReportTask(report)))
    }

    pub(super) async fn put_checkpoint(
        &self,
        request: Request<PutCheckpointRequest>,
    ) -> Answer<PutCheckpointResponse> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = super::wf_run::route(run_of(request.task_run_id.as_ref()));
        Ok(Response::new(
            self.core(&caller, &route, Command::PutCheckpoint(request))
                .await?,
        ))
    }

    pub(super) async fn get_checkpoint(
        &self,
        request: Request<CheckpointId>,
    ) -> Answer<Checkpoint> {
        let caller = self.caller(&request)?;
        let mut id = request.into_inner();
        let task_run = id.task_run.get_or_insert_default();
        let run_id = split_wf_run_id(task_run.wf_run_id.clone().unwrap_or_default());
        task_run.wf_run_id = Some(run_id.clone());
        let guid = task_guid(&task_run.task_guid)?;
        let key = RunKey::new(&caller.tenant, &run_id).checkpoint(guid, id.checkpoint_number);
        let row: CheckpointRow = self.row(run_id.root_id(), &key).await?;
        Ok(Response::new(record::task_run::public_checkpoint(id, row)))
    }

    pub(super) async fn get_task_run(&self, request: Request<TaskRunId>) -> Answer<TaskRun> {
        let caller = self.caller(&request)?;
        let id = request.into_inner();
        let run_id = split_wf_run_id(id.wf_run_id.unwrap_or_default());
        let key = RunKey::new(&caller.tenant, &run_id).task_run(task_guid(&id.task_guid)?);
        let row: TaskRunRow = self.row(run_id.root_id(), &key).await?;
        let id = TaskRunId {
            wf_run_id: Some(run_id),
            ..id
        };
        Ok(Response::new(record::task_run::public(id, row)))
    }

    pub(super) async fn list_task_runs(
        &self,
        request: Request<ListTaskRunsRequest>,
    ) -> Answer<TaskRunList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = ListTaskRunsRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let asked = PageRequest {
            rpc: "ListTaskRuns",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = RunKey::new(&caller.tenant, &id).all(Kind::TaskRun);
        let public = |key: RunRow, row| match key.row {
            Row::TaskRun { guid } => {
                let id = TaskRunId {
                    wf_run_id: Some(key.wf_run_id),
                    task_guid: guid.to_string(),
                };
                Some(record::task_run::public(id, row))
            }
            _ => None,
        };
        let page = self.list(&caller, asked, &id, range, public).await?;
        Ok(Response::new(TaskRunList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn search_task_run(
        &self,
        request: Request<SearchTaskRunRequest>,
    ) -> Answer<TaskRunIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchTaskRunRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        if request.task_def_name.trim().is_empty() {
            return Err(Status::invalid_argument(
                "Missing required argument: task_def_name",
            ));
        }
        if let Some(status) = request.status
            && TaskStatus::try_from(status).is_err()
        {
            return Err(Status::invalid_argument(format!(
                "status {status} is unknown"
            )));
        }
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let range: KeyRange =
            record::task_run::index_range(&caller.tenant, &request.task_def_name, request.status);
        let asked = PageRequest {
            rpc: "SearchTaskRun",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let page = self
            .page_by_age(&caller, asked, times, range, |rest| {
                Ok(TaskRunId {
                    wf_run_id: Some(WfRunId::from_any_text(&rest.str()?)),
                    task_guid: rest.str()?,
                })
            })
            .await?;
        Ok(Response::new(TaskRunIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

/// The id of a TaskRun within its WfRun.
fn task_guid(text: &str) -> Result<TaskGuid, Status> {
    TaskGuid::parse(text).ok_or_else(|| Status::not_found("Requested object was not found."))
}

fn too_large(report: &mut ReportTaskRun, size: usize) {
    let message = format!(
        "RESOURCE_EXHAUSTED: Record too large: {size} bytes, the limit is {MAX_COMMAND} bytes"
    );
    report.set_status(TaskStatus::TaskOutputSerdeError);
    report.log_output = Some(VariableValue {
        value: Some(variable_value::Value::Str(message.clone())),
    });
    report.result = Some(Reported::Error(LhTaskError {
        r#type: LhErrorType::TaskError.into(),
        message,
    }));
}

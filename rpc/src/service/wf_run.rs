//! WfRuns: running, reading, stopping, resuming, deleting (spec 03, section 3).

use index::Family;
use proto::ironhorse::v1::core_command::Command;
use proto::ironhorse::v1::{RunWf, ThreadRunRow, VariableRow, WfRunRow};
use proto::littlehorse::{
    ApplyWorkflowMigrationPlanRequest, DeleteWfRunRequest, ListVariablesRequest,
    RescueThreadRunRequest, ResumeWfRunRequest, RunWfRequest, StopWfRunRequest, Variable,
    VariableId, VariableList, WfRun, WfRunId,
};
use tonic::{Request, Response, Status};
use workflow::command::{split_wf_run_id, wf_run_id};
use workflow::key::{self, Kind, Row, RunKey, RunRow};
use workflow::record;

use super::{PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

/// Rows of one WfRun that are read at once: the run and its threads.
const MAX_ROWS: usize = 100_000;

impl Service {
    pub(super) async fn run_wf(&self, request: Request<RunWfRequest>) -> Answer<WfRun> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let id = request.id.clone().unwrap_or_else(|| self.ids.object_id());
        let route = match &request.parent_wf_run_id {
            Some(parent) => split_wf_run_id(parent.clone()).root_id().to_owned(),
            None => id.clone(),
        };
        let command = Command::RunWf(RunWf {
            request: Some(request),
            id,
        });
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    pub(super) async fn get_wf_run(&self, request: Request<WfRunId>) -> Answer<WfRun> {
        let caller = self.caller(&request)?;
        let id = split_wf_run_id(request.into_inner());
        let run = RunKey::new(&caller.tenant, &id);
        // The run and its active threads lie side by side: one scan, one moment.
        let range = index::KeyRange {
            start: std::ops::Bound::Included(run.wf_run().finish()),
            end: run.all(Kind::ThreadRun).end,
        };
        let partition = self.partition(self.group_of(id.root_id()))?;
        let rows = partition
            .scan(Family::State, &range, MAX_ROWS)
            .await
            .map_err(error::of_query)?;
        let mut wf_run = None;
        for (key, value) in rows {
            match RunRow::parse(&key)
                .map_err(error::internal)?
                .map(|row| row.row)
            {
                Some(Row::WfRun) => {
                    let row: WfRunRow = record::decode(&value).map_err(error::of_rejection)?;
                    wf_run = Some(record::wf_run::public(id.clone(), row));
                }
                Some(Row::ThreadRun { .. }) => {
                    let row: ThreadRunRow = record::decode(&value).map_err(error::of_rejection)?;
                    if let Some(wf_run) = &mut wf_run {
                        wf_run.thread_runs.extend(row.thread_run);
                    }
                }
                _ => {}
            }
        }
        match wf_run {
            Some(wf_run) => Ok(Response::new(wf_run)),
            None => Err(Status::not_found("Requested object was not found.")),
        }
    }

    pub(super) async fn stop_wf_run(&self, request: Request<StopWfRunRequest>) -> Answer<()> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = route(request.wf_run_id.as_ref());
        Ok(Response::new(
            self.core(&caller, &route, Command::StopWfRun(request))
                .await?,
        ))
    }

    pub(super) async fn resume_wf_run(&self, request: Request<ResumeWfRunRequest>) -> Answer<()> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = route(request.wf_run_id.as_ref());
        Ok(Response::new(
            self.core(&caller, &route, Command::ResumeWfRun(request))
                .await?,
        ))
    }

    pub(super) async fn rescue_thread_run(
        &self,
        request: Request<RescueThreadRunRequest>,
    ) -> Answer<WfRun> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = route(request.wf_run_id.as_ref());
        Ok(Response::new(
            self.core(&caller, &route, Command::RescueThreadRun(request))
                .await?,
        ))
    }

    pub(super) async fn apply_workflow_migration_plan(
        &self,
        request: Request<ApplyWorkflowMigrationPlanRequest>,
    ) -> Answer<WfRun> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = route(request.wf_run_id.as_ref());
        let command = Command::ApplyWorkflowMigrationPlan(request);
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    pub(super) async fn delete_wf_run(&self, request: Request<DeleteWfRunRequest>) -> Answer<()> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = route(request.id.as_ref());
        Ok(Response::new(
            self.core(&caller, &route, Command::DeleteWfRun(request))
                .await?,
        ))
    }

    pub(super) async fn get_variable(&self, request: Request<VariableId>) -> Answer<Variable> {
        let caller = self.caller(&request)?;
        let VariableId {
            wf_run_id,
            thread_run_number,
            name,
        } = request.into_inner();
        let id = split_wf_run_id(wf_run_id.unwrap_or_default());
        let key = RunKey::new(&caller.tenant, &id).variable(thread_run_number, &name);
        let row: VariableRow = self.row(id.root_id(), &key).await?;
        Ok(Response::new(record::variable::public(
            id,
            thread_run_number,
            name,
            row,
        )))
    }

    pub(super) async fn list_variables(
        &self,
        request: Request<ListVariablesRequest>,
    ) -> Answer<VariableList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = ListVariablesRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let asked = PageRequest {
            rpc: "ListVariables",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = RunKey::new(&caller.tenant, &id).all(Kind::Variable);
        let public = |key: RunRow, row| match key.row {
            Row::Variable { thread, name } => {
                Some(record::variable::public(key.wf_run_id, thread, name, row))
            }
            _ => None,
        };
        let page = self.list(&caller, asked, &id, range, public).await?;
        Ok(Response::new(VariableList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

/// The routing key of a WfRun. A missing id is refused by the command.
pub(super) fn route(id: Option<&WfRunId>) -> String {
    match id {
        None => String::new(),
        Some(id) if id.parent_wf_run_id.is_none() && id.id.contains('_') => {
            key::route_of_run(&split_wf_run_id(id.clone())).to_owned()
        }
        Some(id) => key::route_of_run(id).to_owned(),
    }
}

//! UserTaskRuns (spec 06, sections 8 and 13).

use index::Family;
use proto::ironhorse::v1::UserTaskRunRow;
use proto::ironhorse::v1::core_command::Command;
use proto::littlehorse::{
    AssignUserTaskRunRequest, CancelUserTaskRunRequest, CompleteUserTaskRunRequest,
    DeleteUserTaskRunCommentRequest, EditUserTaskRunCommentRequest, ListUserTaskRunRequest,
    PutUserTaskRunCommentRequest, SaveUserTaskRunProgressRequest, SearchUserTaskRunRequest,
    UserTaskRun, UserTaskRunId, UserTaskRunIdList, UserTaskRunList, UserTaskRunStatus,
};
use tonic::{Request, Response, Status};
use workflow::command::{split_wf_run_id, wf_run_id};
use workflow::key::{Kind, Row, RunKey, RunRow, UserTaskAt};
use workflow::record::user_task_run::{Criteria, id_in_entry, index_range, public};

use super::wf_run_search::{Times, created};
use super::{PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

/// An RPC that is one command, in the group of the UserTaskRun.
macro_rules! commands {
    ($($rpc:ident, $command:ident, $request:ty, $answer:ty;)*) => {$(
        pub(super) async fn $rpc(&self, request: Request<$request>) -> Answer<$answer> {
            let caller = self.caller(&request)?;
            let request = request.into_inner();
            let route = route(request.user_task_run_id.as_ref());
            let command = Command::$command(request);
            Ok(Response::new(self.core(&caller, &route, command).await?))
        }
    )*};
}

impl Service {
    commands! {
        assign_user_task_run, AssignUserTaskRun, AssignUserTaskRunRequest, ();
        complete_user_task_run, CompleteUserTaskRun, CompleteUserTaskRunRequest, ();
        cancel_user_task_run, CancelUserTaskRun, CancelUserTaskRunRequest, ();
        save_user_task_run_progress, SaveUserTaskRunProgress, SaveUserTaskRunProgressRequest, UserTaskRun;
        put_user_task_run_comment, PutUserTaskRunComment, PutUserTaskRunCommentRequest, UserTaskRun;
        edit_user_task_run_comment, EditUserTaskRunComment, EditUserTaskRunCommentRequest, UserTaskRun;
        delete_user_task_run_comment, DeleteUserTaskRunComment, DeleteUserTaskRunCommentRequest, UserTaskRun;
    }

    pub(super) async fn get_user_task_run(
        &self,
        request: Request<UserTaskRunId>,
    ) -> Answer<UserTaskRun> {
        let caller = self.caller(&request)?;
        let id = request.into_inner();
        let run_id = split_wf_run_id(id.wf_run_id.unwrap_or_default());
        let at = UserTaskAt::parse(&id.user_task_guid)
            .ok_or_else(|| Status::not_found("Requested object was not found."))?;
        let key = RunKey::new(&caller.tenant, &run_id).user_task_run(at);
        let row: UserTaskRunRow = self.row(run_id.root_id(), &key).await?;
        Ok(Response::new(public(run_id, at, row)))
    }

    pub(super) async fn list_user_task_runs(
        &self,
        request: Request<ListUserTaskRunRequest>,
    ) -> Answer<UserTaskRunList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = ListUserTaskRunRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let asked = PageRequest {
            rpc: "ListUserTaskRuns",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = RunKey::new(&caller.tenant, &id).all(Kind::UserTaskRun);
        let public = |key: RunRow, row| match key.row {
            Row::UserTaskRun { at } => Some(public(key.wf_run_id, at, row)),
            _ => None,
        };
        let page = self.list(&caller, asked, &id, range, public).await?;
        Ok(Response::new(UserTaskRunList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn search_user_task_run(
        &self,
        request: Request<SearchUserTaskRunRequest>,
    ) -> Answer<UserTaskRunIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchUserTaskRunRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let wanted = Criteria {
            status: request.status,
            user_task_def: request.user_task_def_name.as_deref(),
            user_id: request.user_id.as_deref(),
            user_group: request.user_group.as_deref(),
        };
        let texts = [wanted.user_task_def, wanted.user_id, wanted.user_group];
        if wanted.status.is_none() && texts.iter().all(Option::is_none) {
            return Err(Status::invalid_argument(
                "At least one of status, user_task_def_name, user_id and user_group must be provided",
            ));
        }
        if let Some(status) = wanted.status
            && UserTaskRunStatus::try_from(status).is_err()
        {
            return Err(Status::invalid_argument(format!(
                "status {status} is unknown"
            )));
        }
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let range = index_range(&caller.tenant, wanted);
        let prefix = created::prefix_len(&range);
        let asked = PageRequest {
            rpc: "SearchUserTaskRun",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let groups = self.engine.route().all().collect();
        let rows = (Family::Index, times.narrow(range));
        let page = self
            .page(&caller, asked, groups, rows, |key, _| async move {
                id_in_entry(&key[prefix..])
                    .map(Some)
                    .map_err(error::internal)
            })
            .await?;
        Ok(Response::new(UserTaskRunIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

/// What decides the group of a UserTaskRun.
fn route(id: Option<&UserTaskRunId>) -> String {
    super::wf_run::route(id.and_then(|id| id.wf_run_id.as_ref()))
}

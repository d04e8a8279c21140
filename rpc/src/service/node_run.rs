//! NodeRuns and archived ThreadRuns (spec 03, section 3.2).

use proto::ironhorse::v1::{NodeRunRow, ThreadRunRow};
use proto::littlehorse::inactive_thread_run::InactiveReason;
use proto::littlehorse::{
    ArchivedThreadRunInfo, InactiveThreadRun, InactiveThreadRunId, ListNodeRunsRequest, NodeRun,
    NodeRunId, NodeRunList,
};
use tonic::{Request, Response, Status};
use workflow::command::{split_wf_run_id, wf_run_id};
use workflow::key::{Kind, Row, RunKey, RunRow};
use workflow::record;

use super::{PageRequest, Service, criteria, error};

impl Service {
    pub(super) async fn get_node_run(
        &self,
        request: Request<NodeRunId>,
    ) -> Result<Response<NodeRun>, Status> {
        let caller = self.caller(&request)?;
        let NodeRunId {
            wf_run_id,
            thread_run_number,
            position,
        } = request.into_inner();
        let id = split_wf_run_id(wf_run_id.unwrap_or_default());
        let key = RunKey::new(&caller.tenant, &id).node_run(thread_run_number, position);
        let row: NodeRunRow = self.row(id.root_id(), &key).await?;
        Ok(Response::new(record::node_run::public(
            id,
            thread_run_number,
            position,
            row,
        )))
    }

    pub(super) async fn get_inactive_thread_run(
        &self,
        request: Request<InactiveThreadRunId>,
    ) -> Result<Response<InactiveThreadRun>, Status> {
        let caller = self.caller(&request)?;
        let InactiveThreadRunId {
            wf_run_id,
            thread_run_number,
        } = request.into_inner();
        let id = split_wf_run_id(wf_run_id.unwrap_or_default());
        let key = RunKey::new(&caller.tenant, &id).inactive_thread_run(thread_run_number);
        let row: ThreadRunRow = self.row(id.root_id(), &key).await?;
        Ok(Response::new(InactiveThreadRun {
            id: Some(InactiveThreadRunId {
                wf_run_id: Some(id),
                thread_run_number,
            }),
            thread_run: row.thread_run,
            inactive_reason: Some(InactiveReason::Archived(ArchivedThreadRunInfo {})),
        }))
    }

    pub(super) async fn list_node_runs(
        &self,
        request: Request<ListNodeRunsRequest>,
    ) -> Result<Response<NodeRunList>, Status> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = ListNodeRunsRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let run = RunKey::new(&caller.tenant, &id);
        let range = match request.thread_run_number {
            Some(thread) => run.of_thread(Kind::NodeRun, thread),
            None => run.all(Kind::NodeRun),
        };
        let asked = PageRequest {
            rpc: "ListNodeRuns",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let public = |key: RunRow, row| match key.row {
            Row::NodeRun { thread, position } => Some(record::node_run::public(
                key.wf_run_id,
                thread,
                position,
                row,
            )),
            _ => None,
        };
        let page = self.list(&caller, asked, &id, range, public).await?;
        Ok(Response::new(NodeRunList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

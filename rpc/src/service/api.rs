//! The table of the public API: which method of [`Service`] an RPC is. What is not here answers `UNIMPLEMENTED`.

use std::sync::Arc;

use proto::littlehorse::little_horse_server::LittleHorse;
use proto::littlehorse::*;
use tonic::{Request, Response, Status, Streaming};

use super::Service;
use super::poll::PollStream;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LittleHorse for Arc<Service> {
    async fn put_task_def(&self, request: Request<PutTaskDefRequest>) -> Answer<TaskDef> {
        Service::put_task_def(self, request).await
    }
    async fn get_task_def(&self, request: Request<TaskDefId>) -> Answer<TaskDef> {
        Service::get_task_def(self, request)
    }
    async fn delete_task_def(&self, request: Request<DeleteTaskDefRequest>) -> Answer<()> {
        Service::delete_task_def(self, request).await
    }
    async fn search_task_def(&self, request: Request<SearchTaskDefRequest>) -> Answer<TaskDefIdList> {
        Service::search_task_def(self, request)
    }
    async fn put_external_event_def(&self, request: Request<PutExternalEventDefRequest>) -> Answer<ExternalEventDef> {
        Service::put_external_event_def(self, request).await
    }
    async fn get_external_event_def(&self, request: Request<ExternalEventDefId>) -> Answer<ExternalEventDef> {
        Service::get_external_event_def(self, request)
    }
    async fn delete_external_event_def(&self, request: Request<DeleteExternalEventDefRequest>) -> Answer<()> {
        Service::delete_external_event_def(self, request).await
    }
    async fn search_external_event_def(
        &self,
        request: Request<SearchExternalEventDefRequest>,
    ) -> Answer<ExternalEventDefIdList> {
        Service::search_external_event_def(self, request)
    }
    async fn put_wf_spec(&self, request: Request<PutWfSpecRequest>) -> Answer<WfSpec> {
        Service::put_wf_spec(self, request).await
    }
    async fn get_wf_spec(&self, request: Request<WfSpecId>) -> Answer<WfSpec> {
        Service::get_wf_spec(self, request)
    }
    async fn get_latest_wf_spec(&self, request: Request<GetLatestWfSpecRequest>) -> Answer<WfSpec> {
        Service::get_latest_wf_spec(self, request)
    }
    async fn delete_wf_spec(&self, request: Request<DeleteWfSpecRequest>) -> Answer<()> {
        Service::delete_wf_spec(self, request).await
    }
    async fn search_wf_spec(&self, request: Request<SearchWfSpecRequest>) -> Answer<WfSpecIdList> {
        Service::search_wf_spec(self, request)
    }
    async fn run_wf(&self, request: Request<RunWfRequest>) -> Answer<WfRun> {
        Service::run_wf(self, request).await
    }
    async fn get_wf_run(&self, request: Request<WfRunId>) -> Answer<WfRun> {
        Service::get_wf_run(self, request).await
    }
    async fn stop_wf_run(&self, request: Request<StopWfRunRequest>) -> Answer<()> {
        Service::stop_wf_run(self, request).await
    }
    async fn resume_wf_run(&self, request: Request<ResumeWfRunRequest>) -> Answer<()> {
        Service::resume_wf_run(self, request).await
    }
    async fn delete_wf_run(&self, request: Request<DeleteWfRunRequest>) -> Answer<()> {
        Service::delete_wf_run(self, request).await
    }
    async fn search_wf_run(&self, request: Request<SearchWfRunRequest>) -> Answer<WfRunIdList> {
        Service::search_wf_run(self, request).await
    }
    async fn get_node_run(&self, request: Request<NodeRunId>) -> Answer<NodeRun> {
        Service::get_node_run(self, request).await
    }
    async fn list_node_runs(&self, request: Request<ListNodeRunsRequest>) -> Answer<NodeRunList> {
        Service::list_node_runs(self, request).await
    }
    async fn get_variable(&self, request: Request<VariableId>) -> Answer<Variable> {
        Service::get_variable(self, request).await
    }
    async fn list_variables(&self, request: Request<ListVariablesRequest>) -> Answer<VariableList> {
        Service::list_variables(self, request).await
    }
    async fn get_task_run(&self, request: Request<TaskRunId>) -> Answer<TaskRun> {
        Service::get_task_run(self, request).await
    }
    async fn list_task_runs(&self, request: Request<ListTaskRunsRequest>) -> Answer<TaskRunList> {
        Service::list_task_runs(self, request).await
    }
    async fn search_task_run(&self, request: Request<SearchTaskRunRequest>) -> Answer<TaskRunIdList> {
        Service::search_task_run(self, request).await
    }
    async fn register_task_worker(
        &self,
        request: Request<RegisterTaskWorkerRequest>,
    ) -> Answer<RegisterTaskWorkerResponse> {
        Service::register_task_worker(self, request).await
    }
    async fn get_task_worker_group(&self, request: Request<TaskDefId>) -> Answer<TaskWorkerGroup> {
        Service::get_task_worker_group(self, request).await
    }

    type PollTaskStream = PollStream;

    async fn poll_task(&self, request: Request<Streaming<PollTaskRequest>>) -> Answer<PollStream> {
        Service::poll(Arc::clone(self), request).await
    }
    async fn report_task(&self, request: Request<ReportTaskRun>) -> Answer<()> {
        Service::report_task(self, request).await
    }
    async fn put_checkpoint(&self, request: Request<PutCheckpointRequest>) -> Answer<PutCheckpointResponse> {
        Service::put_checkpoint(self, request).await
    }
    async fn get_checkpoint(&self, request: Request<CheckpointId>) -> Answer<Checkpoint> {
        Service::get_checkpoint(self, request).await
    }
    async fn put_external_event(&self, request: Request<PutExternalEventRequest>) -> Answer<ExternalEvent> {
        Service::put_external_event(self, request).await
    }
    async fn get_external_event(&self, request: Request<ExternalEventId>) -> Answer<ExternalEvent> {
        Service::get_external_event(self, request).await
    }
    async fn list_external_events(&self, request: Request<ListExternalEventsRequest>) -> Answer<ExternalEventList> {
        Service::list_external_events(self, request).await
    }
    async fn search_external_event(&self, request: Request<SearchExternalEventRequest>) -> Answer<ExternalEventIdList> {
        Service::search_external_event(self, request).await
    }
    async fn put_tenant(&self, request: Request<PutTenantRequest>) -> Answer<Tenant> {
        Service::put_tenant(self, request).await
    }
    async fn get_tenant(&self, request: Request<TenantId>) -> Answer<Tenant> {
        Service::get_tenant(self, request)
    }
    async fn search_tenant(&self, request: Request<SearchTenantRequest>) -> Answer<TenantIdList> {
        Service::search_tenant(self, request)
    }
    async fn whoami(&self, request: Request<()>) -> Answer<Principal> {
        Service::whoami(self, request)
    }
    async fn get_server_version(&self, request: Request<()>) -> Answer<LittleHorseVersion> {
        Service::server_version(self, request)
    }
}

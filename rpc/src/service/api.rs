//! The table of the public API: which method of [`Service`] an RPC is. What is not here answers `UNIMPLEMENTED`.

use std::sync::Arc;

use proto::littlehorse::little_horse_server::LittleHorse;
#[allow(clippy::wildcard_imports, reason = "it names most of the API")]
use proto::littlehorse::*;
use tonic::{Request, Response, Status};

use super::Service;

type Answer<T> = Result<Response<T>, Status>;

/// The service as tonic takes it.
pub(crate) struct Api(pub Arc<Service>);

#[tonic::async_trait]
impl LittleHorse for Api {
    async fn put_task_def(&self, request: Request<PutTaskDefRequest>) -> Answer<TaskDef> {
        self.0.put_task_def(request).await
    }
    async fn get_task_def(&self, request: Request<TaskDefId>) -> Answer<TaskDef> {
        self.0.get_task_def(request)
    }
    async fn delete_task_def(&self, request: Request<DeleteTaskDefRequest>) -> Answer<()> {
        self.0.delete_task_def(request).await
    }
    async fn search_task_def(
        &self,
        request: Request<SearchTaskDefRequest>,
    ) -> Answer<TaskDefIdList> {
        self.0.search_task_def(request)
    }
    async fn put_external_event_def(
        &self,
        request: Request<PutExternalEventDefRequest>,
    ) -> Answer<ExternalEventDef> {
        self.0.put_external_event_def(request).await
    }
    async fn get_external_event_def(
        &self,
        request: Request<ExternalEventDefId>,
    ) -> Answer<ExternalEventDef> {
        self.0.get_external_event_def(request)
    }
    async fn delete_external_event_def(
        &self,
        request: Request<DeleteExternalEventDefRequest>,
    ) -> Answer<()> {
        self.0.delete_external_event_def(request).await
    }
    async fn search_external_event_def(
        &self,
        request: Request<SearchExternalEventDefRequest>,
    ) -> Answer<ExternalEventDefIdList> {
        self.0.search_external_event_def(request)
    }
    async fn put_wf_spec(&self, request: Request<PutWfSpecRequest>) -> Answer<WfSpec> {
        self.0.put_wf_spec(request).await
    }
    async fn get_wf_spec(&self, request: Request<WfSpecId>) -> Answer<WfSpec> {
        self.0.get_wf_spec(request)
    }
    async fn get_latest_wf_spec(&self, request: Request<GetLatestWfSpecRequest>) -> Answer<WfSpec> {
        self.0.get_latest_wf_spec(request)
    }
    async fn delete_wf_spec(&self, request: Request<DeleteWfSpecRequest>) -> Answer<()> {
        self.0.delete_wf_spec(request).await
    }
    async fn search_wf_spec(&self, request: Request<SearchWfSpecRequest>) -> Answer<WfSpecIdList> {
        self.0.search_wf_spec(request)
    }
    async fn put_workflow_event_def(
        &self,
        request: Request<PutWorkflowEventDefRequest>,
    ) -> Answer<WorkflowEventDef> {
        self.0.put_workflow_event_def(request).await
    }
    async fn get_workflow_event_def(
        &self,
        request: Request<WorkflowEventDefId>,
    ) -> Answer<WorkflowEventDef> {
        self.0.get_workflow_event_def(request)
    }
    async fn delete_workflow_event_def(
        &self,
        request: Request<DeleteWorkflowEventDefRequest>,
    ) -> Answer<()> {
        self.0.delete_workflow_event_def(request).await
    }
    async fn search_workflow_event_def(
        &self,
        request: Request<SearchWorkflowEventDefRequest>,
    ) -> Answer<WorkflowEventDefIdList> {
        self.0.search_workflow_event_def(request)
    }
    async fn put_user_task_def(
        &self,
        request: Request<PutUserTaskDefRequest>,
    ) -> Answer<UserTaskDef> {
        self.0.put_user_task_def(request).await
    }
    async fn get_user_task_def(&self, request: Request<UserTaskDefId>) -> Answer<UserTaskDef> {
        self.0.get_user_task_def(request)
    }
    async fn get_latest_user_task_def(
        &self,
        request: Request<GetLatestUserTaskDefRequest>,
    ) -> Answer<UserTaskDef> {
        self.0.get_latest_user_task_def(request)
    }
    async fn delete_user_task_def(&self, request: Request<DeleteUserTaskDefRequest>) -> Answer<()> {
        self.0.delete_user_task_def(request).await
    }
    async fn search_user_task_def(
        &self,
        request: Request<SearchUserTaskDefRequest>,
    ) -> Answer<UserTaskDefIdList> {
        self.0.search_user_task_def(request)
    }
    async fn put_struct_def(&self, request: Request<PutStructDefRequest>) -> Answer<StructDef> {
        self.0.put_struct_def(request).await
    }
    async fn get_struct_def(&self, request: Request<StructDefId>) -> Answer<StructDef> {
        self.0.get_struct_def(request)
    }
    async fn validate_struct_def_evolution(
        &self,
        request: Request<ValidateStructDefEvolutionRequest>,
    ) -> Answer<ValidateStructDefEvolutionResponse> {
        self.0.validate_struct_def_evolution(request)
    }
    async fn delete_struct_def(&self, request: Request<DeleteStructDefRequest>) -> Answer<()> {
        self.0.delete_struct_def(request).await
    }
    async fn search_struct_def(
        &self,
        request: Request<SearchStructDefRequest>,
    ) -> Answer<StructDefIdList> {
        self.0.search_struct_def(request)
    }
    async fn put_workflow_migration_plan(
        &self,
        request: Request<PutWorkflowMigrationPlanRequest>,
    ) -> Answer<WorkflowMigrationPlan> {
        self.0.put_workflow_migration_plan(request).await
    }
    async fn get_workflow_migration_plan(
        &self,
        request: Request<WorkflowMigrationPlanId>,
    ) -> Answer<WorkflowMigrationPlan> {
        self.0.get_workflow_migration_plan(request)
    }
    async fn delete_workflow_migration_plan(
        &self,
        request: Request<DeleteWorkflowMigrationPlanRequest>,
    ) -> Answer<()> {
        self.0.delete_workflow_migration_plan(request).await
    }
    async fn search_workflow_migration_plan(
        &self,
        request: Request<SearchWorkflowMigrationPlanRequest>,
    ) -> Answer<WorkflowMigrationPlanIdList> {
        self.0.search_workflow_migration_plan(request)
    }
    async fn run_wf(&self, request: Request<RunWfRequest>) -> Answer<WfRun> {
        self.0.run_wf(request).await
    }
    async fn get_wf_run(&self, request: Request<WfRunId>) -> Answer<WfRun> {
        self.0.get_wf_run(request).await
    }
    async fn stop_wf_run(&self, request: Request<StopWfRunRequest>) -> Answer<()> {
        self.0.stop_wf_run(request).await
    }
    async fn resume_wf_run(&self, request: Request<ResumeWfRunRequest>) -> Answer<()> {
        self.0.resume_wf_run(request).await
    }
    async fn rescue_thread_run(&self, request: Request<RescueThreadRunRequest>) -> Answer<WfRun> {
        self.0.rescue_thread_run(request).await
    }
    async fn delete_wf_run(&self, request: Request<DeleteWfRunRequest>) -> Answer<()> {
        self.0.delete_wf_run(request).await
    }
    async fn search_wf_run(&self, request: Request<SearchWfRunRequest>) -> Answer<WfRunIdList> {
        self.0.search_wf_run(request).await
    }
    async fn get_node_run(&self, request: Request<NodeRunId>) -> Answer<NodeRun> {
        self.0.get_node_run(request).await
    }
    async fn get_inactive_thread_run(
        &self,
        request: Request<InactiveThreadRunId>,
    ) -> Answer<InactiveThreadRun> {
        self.0.get_inactive_thread_run(request).await
    }
    async fn list_node_runs(&self, request: Request<ListNodeRunsRequest>) -> Answer<NodeRunList> {
        self.0.list_node_runs(request).await
    }
    async fn get_variable(&self, request: Request<VariableId>) -> Answer<Variable> {
        self.0.get_variable(request).await
    }
    async fn list_variables(&self, request: Request<ListVariablesRequest>) -> Answer<VariableList> {
        self.0.list_variables(request).await
    }
    async fn get_task_run(&self, request: Request<TaskRunId>) -> Answer<TaskRun> {
        self.0.get_task_run(request).await
    }
    async fn list_task_runs(&self, request: Request<ListTaskRunsRequest>) -> Answer<TaskRunList> {
        self.0.list_task_runs(request).await
    }
    async fn search_task_run(
        &self,
        request: Request<SearchTaskRunRequest>,
    ) -> Answer<TaskRunIdList> {
        self.0.search_task_run(request).await
    }
    async fn register_task_worker(
        &self,
        request: Request<RegisterTaskWorkerRequest>,
    ) -> Answer<RegisterTaskWorkerResponse> {
        self.0.register_task_worker(request).await
    }
    async fn get_task_worker_group(&self, request: Request<TaskDefId>) -> Answer<TaskWorkerGroup> {
        self.0.get_task_worker_group(request).await
    }
    // PollTask: see `poll.rs`, which the front door calls.
    async fn report_task(&self, request: Request<ReportTaskRun>) -> Answer<()> {
        self.0.report_task(request).await
    }
    async fn put_checkpoint(
        &self,
        request: Request<PutCheckpointRequest>,
    ) -> Answer<PutCheckpointResponse> {
        self.0.put_checkpoint(request).await
    }
    async fn get_checkpoint(&self, request: Request<CheckpointId>) -> Answer<Checkpoint> {
        self.0.get_checkpoint(request).await
    }
    async fn put_external_event(
        &self,
        request: Request<PutExternalEventRequest>,
    ) -> Answer<ExternalEvent> {
        self.0.put_external_event(request).await
    }
    async fn get_external_event(&self, request: Request<ExternalEventId>) -> Answer<ExternalEvent> {
        self.0.get_external_event(request).await
    }
    async fn list_external_events(
        &self,
        request: Request<ListExternalEventsRequest>,
    ) -> Answer<ExternalEventList> {
        self.0.list_external_events(request).await
    }
    async fn search_external_event(
        &self,
        request: Request<SearchExternalEventRequest>,
    ) -> Answer<ExternalEventIdList> {
        self.0.search_external_event(request).await
    }
    async fn await_workflow_event(
        &self,
        request: Request<AwaitWorkflowEventRequest>,
    ) -> Answer<WorkflowEvent> {
        self.0.await_workflow_event(request).await
    }
    async fn get_workflow_event(&self, request: Request<WorkflowEventId>) -> Answer<WorkflowEvent> {
        self.0.get_workflow_event(request).await
    }
    async fn list_workflow_events(
        &self,
        request: Request<ListWorkflowEventsRequest>,
    ) -> Answer<WorkflowEventList> {
        self.0.list_workflow_events(request).await
    }
    async fn search_workflow_event(
        &self,
        request: Request<SearchWorkflowEventRequest>,
    ) -> Answer<WorkflowEventIdList> {
        self.0.search_workflow_event(request).await
    }
    async fn put_correlated_event(
        &self,
        request: Request<PutCorrelatedEventRequest>,
    ) -> Answer<CorrelatedEvent> {
        self.0.put_correlated_event(request).await
    }
    async fn get_correlated_event(
        &self,
        request: Request<CorrelatedEventId>,
    ) -> Answer<CorrelatedEvent> {
        self.0.get_correlated_event(request).await
    }
    async fn delete_correlated_event(
        &self,
        request: Request<DeleteCorrelatedEventRequest>,
    ) -> Answer<()> {
        self.0.delete_correlated_event(request).await
    }
    async fn search_correlated_event(
        &self,
        request: Request<SearchCorrelatedEventRequest>,
    ) -> Answer<CorrelatedEventIdList> {
        self.0.search_correlated_event(request).await
    }
    async fn schedule_wf(&self, request: Request<ScheduleWfRequest>) -> Answer<ScheduledWfRun> {
        self.0.schedule_wf(request).await
    }
    async fn get_scheduled_wf_run(
        &self,
        request: Request<ScheduledWfRunId>,
    ) -> Answer<ScheduledWfRun> {
        self.0.get_scheduled_wf_run(request).await
    }
    async fn delete_scheduled_wf_run(
        &self,
        request: Request<DeleteScheduledWfRunRequest>,
    ) -> Answer<()> {
        self.0.delete_scheduled_wf_run(request).await
    }
    async fn search_scheduled_wf_run(
        &self,
        request: Request<SearchScheduledWfRunRequest>,
    ) -> Answer<ScheduledWfRunIdList> {
        self.0.search_scheduled_wf_run(request).await
    }
    async fn create_bulk_job(&self, request: Request<CreateBulkJobRequest>) -> Answer<BulkJob> {
        self.0.create_bulk_job(request).await
    }
    async fn get_bulk_job(&self, request: Request<GetBulkJobRequest>) -> Answer<BulkJob> {
        self.0.get_bulk_job(request)
    }
    async fn delete_bulk_job(&self, request: Request<DeleteBulkJobRequest>) -> Answer<()> {
        self.0.delete_bulk_job(request).await
    }
    async fn search_bulk_job(
        &self,
        request: Request<SearchBulkJobRequest>,
    ) -> Answer<BulkJobIdList> {
        self.0.search_bulk_job(request)
    }
    async fn apply_workflow_migration_plan(
        &self,
        request: Request<ApplyWorkflowMigrationPlanRequest>,
    ) -> Answer<WfRun> {
        self.0.apply_workflow_migration_plan(request).await
    }
    async fn search_variable(
        &self,
        request: Request<SearchVariableRequest>,
    ) -> Answer<VariableIdList> {
        self.0.search_variable(request).await
    }
    async fn search_node_run(
        &self,
        request: Request<SearchNodeRunRequest>,
    ) -> Answer<NodeRunIdList> {
        self.0.search_node_run(request).await
    }
    async fn count_node_run(&self, request: Request<CountNodeRunRequest>) -> Answer<Count> {
        self.0.count_node_run(request).await
    }
    async fn count_task_run(&self, request: Request<CountTaskRunRequest>) -> Answer<Count> {
        self.0.count_task_run(request).await
    }
    async fn list_wf_metrics(&self, request: Request<ListWfMetricsRequest>) -> Answer<MetricsList> {
        self.0.list_wf_metrics(request).await
    }
    async fn list_task_metrics(
        &self,
        request: Request<ListTaskMetricsRequest>,
    ) -> Answer<MetricsList> {
        self.0.list_task_metrics(request).await
    }
    async fn get_metric_window(&self, request: Request<MetricWindowId>) -> Answer<MetricWindow> {
        self.0.get_metric_window(request).await
    }
    async fn search_wf_metric_window(
        &self,
        request: Request<SearchWfMetricWindowRequest>,
    ) -> Answer<MetricWindowIdList> {
        self.0.search_wf_metric_window(request).await
    }
    async fn get_user_task_run(&self, request: Request<UserTaskRunId>) -> Answer<UserTaskRun> {
        self.0.get_user_task_run(request).await
    }
    async fn assign_user_task_run(&self, request: Request<AssignUserTaskRunRequest>) -> Answer<()> {
        self.0.assign_user_task_run(request).await
    }
    async fn complete_user_task_run(
        &self,
        request: Request<CompleteUserTaskRunRequest>,
    ) -> Answer<()> {
        self.0.complete_user_task_run(request).await
    }
    async fn cancel_user_task_run(&self, request: Request<CancelUserTaskRunRequest>) -> Answer<()> {
        self.0.cancel_user_task_run(request).await
    }
    async fn save_user_task_run_progress(
        &self,
        request: Request<SaveUserTaskRunProgressRequest>,
    ) -> Answer<UserTaskRun> {
        self.0.save_user_task_run_progress(request).await
    }
    async fn put_user_task_run_comment(
        &self,
        request: Request<PutUserTaskRunCommentRequest>,
    ) -> Answer<UserTaskRun> {
        self.0.put_user_task_run_comment(request).await
    }
    async fn edit_user_task_run_comment(
        &self,
        request: Request<EditUserTaskRunCommentRequest>,
    ) -> Answer<UserTaskRun> {
        self.0.edit_user_task_run_comment(request).await
    }
    async fn delete_user_task_run_comment(
        &self,
        request: Request<DeleteUserTaskRunCommentRequest>,
    ) -> Answer<UserTaskRun> {
        self.0.delete_user_task_run_comment(request).await
    }
    async fn list_user_task_runs(
        &self,
        request: Request<ListUserTaskRunRequest>,
    ) -> Answer<UserTaskRunList> {
        self.0.list_user_task_runs(request).await
    }
    async fn search_user_task_run(
        &self,
        request: Request<SearchUserTaskRunRequest>,
    ) -> Answer<UserTaskRunIdList> {
        self.0.search_user_task_run(request).await
    }
    async fn put_principal(&self, request: Request<PutPrincipalRequest>) -> Answer<Principal> {
        self.0.put_principal(request).await
    }
    async fn get_principal(&self, request: Request<PrincipalId>) -> Answer<Principal> {
        self.0.get_principal(request)
    }
    async fn delete_principal(&self, request: Request<DeletePrincipalRequest>) -> Answer<()> {
        self.0.delete_principal(request).await
    }
    async fn search_principal(
        &self,
        request: Request<SearchPrincipalRequest>,
    ) -> Answer<PrincipalIdList> {
        self.0.search_principal(request)
    }
    async fn put_quota(&self, request: Request<PutQuotaRequest>) -> Answer<Quota> {
        self.0.put_quota(request).await
    }
    async fn get_quota(&self, request: Request<QuotaId>) -> Answer<Quota> {
        self.0.get_quota(request)
    }
    async fn delete_quota(&self, request: Request<DeleteQuotaRequest>) -> Answer<()> {
        self.0.delete_quota(request).await
    }
    async fn search_quota(&self, request: Request<SearchQuotaRequest>) -> Answer<QuotaIdList> {
        self.0.search_quota(request)
    }
    async fn put_tenant(&self, request: Request<PutTenantRequest>) -> Answer<Tenant> {
        self.0.put_tenant(request).await
    }
    async fn get_tenant(&self, request: Request<TenantId>) -> Answer<Tenant> {
        self.0.get_tenant(request)
    }
    async fn search_tenant(&self, request: Request<SearchTenantRequest>) -> Answer<TenantIdList> {
        self.0.search_tenant(request)
    }
    async fn whoami(&self, request: Request<()>) -> Answer<Principal> {
        self.0.whoami(request)
    }
    async fn get_server_version(&self, request: Request<()>) -> Answer<LittleHorseVersion> {
        self.0.server_version(request)
    }
}

//! The definitions beside tasks and workflows: WorkflowEventDef, UserTaskDef, StructDef, WorkflowMigrationPlan (spec 01,
//! sections 6 to 8 and 11; spec 07, section 4.10).

use bytes::Bytes;
use index::KeyRange;
use prost::Message;
use proto::ironhorse::v1::metadata_command::Command;
use proto::littlehorse::search_struct_def_request::StructDefCriteria;
use proto::littlehorse::search_user_task_def_request::UserTaskDefCriteria;
use proto::littlehorse::search_workflow_migration_plan_request::WorkflowMigrationPlanCriteria as MigrationPlanCriteria;
use proto::littlehorse::{
    DeleteStructDefRequest, DeleteUserTaskDefRequest, DeleteWorkflowEventDefRequest,
    DeleteWorkflowMigrationPlanRequest, GetLatestUserTaskDefRequest, PutStructDefRequest,
    PutUserTaskDefRequest, PutWorkflowEventDefRequest, PutWorkflowMigrationPlanRequest,
    SearchStructDefRequest, SearchUserTaskDefRequest, SearchWorkflowEventDefRequest,
    SearchWorkflowMigrationPlanRequest, StructDef, StructDefId, StructDefIdList, UserTaskDef,
    UserTaskDefId, UserTaskDefIdList, ValidateStructDefEvolutionRequest,
    ValidateStructDefEvolutionResponse, WorkflowEventDef, WorkflowEventDefId,
    WorkflowEventDefIdList, WorkflowMigrationPlan, WorkflowMigrationPlanId,
    WorkflowMigrationPlanIdList,
};
use tonic::{Request, Response, Status};
use workflow::{key, metadata, spec};

use super::page::Page;
use super::{Caller, PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// A command of the metadata group, and its answer.
    async fn change<T: Message + Default, R: Send + 'static>(
        &self,
        request: Request<R>,
        command: fn(R) -> Command,
    ) -> Answer<T> {
        let caller = self.caller(&request)?;
        let answer = self.meta(&caller, command(request.into_inner())).await?;
        Ok(Response::new(answer))
    }

    /// A stored definition.
    fn stored<T: Message + Default>(&self, key: Option<Bytes>) -> Answer<T> {
        match key.and_then(|key| self.metadata().get(&key)) {
            Some(value) => Ok(Response::new(T::decode(value).map_err(error::internal)?)),
            None => Err(Status::not_found("Requested object was not found.")),
        }
    }

    /// A page of ids of definitions. `id` takes the id of a stored one.
    fn ids<T: Message + Default, I: Message>(
        &self,
        caller: &Caller,
        asked: &PageRequest<'_>,
        range: KeyRange,
        id: fn(T) -> Option<I>,
    ) -> Result<Page<I>, Status> {
        self.metadata_page(
            caller,
            asked,
            range,
            |value| id(T::decode(&value[..]).ok()?),
        )
    }

    pub(super) async fn put_workflow_event_def(
        &self,
        request: Request<PutWorkflowEventDefRequest>,
    ) -> Answer<WorkflowEventDef> {
        self.change(request, Command::PutWorkflowEventDef).await
    }

    pub(super) fn get_workflow_event_def(
        &self,
        request: Request<WorkflowEventDefId>,
    ) -> Answer<WorkflowEventDef> {
        let caller = self.caller(&request)?;
        let name = request.into_inner().name;
        self.stored(Some(key::named(
            key::WORKFLOW_EVENT_DEFS,
            &caller.tenant,
            &name,
        )))
    }

    pub(super) async fn delete_workflow_event_def(
        &self,
        request: Request<DeleteWorkflowEventDefRequest>,
    ) -> Answer<()> {
        self.change(request, Command::DeleteWorkflowEventDef).await
    }

    pub(super) fn search_workflow_event_def(
        &self,
        request: Request<SearchWorkflowEventDefRequest>,
    ) -> Answer<WorkflowEventDefIdList> {
        let caller = self.caller(&request)?;
        let mut request = request.into_inner();
        let (limit, bookmark) = (request.limit.take(), request.bookmark.take());
        let asked = PageRequest {
            rpc: "SearchWorkflowEventDef",
            criteria: criteria(&request),
            limit,
            bookmark: bookmark.as_ref(),
        };
        let prefix = request.prefix.as_deref().unwrap_or("");
        let range = key::named_prefix(key::WORKFLOW_EVENT_DEFS, &caller.tenant, prefix);
        let page = self.ids(&caller, &asked, range, |def: WorkflowEventDef| def.id)?;
        Ok(Response::new(WorkflowEventDefIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn put_user_task_def(
        &self,
        request: Request<PutUserTaskDefRequest>,
    ) -> Answer<UserTaskDef> {
        self.change(request, Command::PutUserTaskDef).await
    }

    pub(super) fn get_user_task_def(&self, request: Request<UserTaskDefId>) -> Answer<UserTaskDef> {
        let caller = self.caller(&request)?;
        let id = request.into_inner();
        self.stored(Some(key::versioned(
            key::USER_TASK_DEFS,
            &caller.tenant,
            &id.name,
            id.version,
        )))
    }

    pub(super) fn get_latest_user_task_def(
        &self,
        request: Request<GetLatestUserTaskDefRequest>,
    ) -> Answer<UserTaskDef> {
        let caller = self.caller(&request)?;
        let name = request.into_inner().name;
        let versions = key::versions(key::USER_TASK_DEFS, &caller.tenant, &name);
        self.stored(self.metadata().last_key(&versions))
    }

    pub(super) async fn delete_user_task_def(
        &self,
        request: Request<DeleteUserTaskDefRequest>,
    ) -> Answer<()> {
        self.change(request, Command::DeleteUserTaskDef).await
    }

    pub(super) fn search_user_task_def(
        &self,
        request: Request<SearchUserTaskDefRequest>,
    ) -> Answer<UserTaskDefIdList> {
        let caller = self.caller(&request)?;
        let mut request = request.into_inner();
        let (limit, bookmark) = (request.limit.take(), request.bookmark.take());
        let asked = PageRequest {
            rpc: "SearchUserTaskDef",
            criteria: criteria(&request),
            limit,
            bookmark: bookmark.as_ref(),
        };
        let (name, prefix) = match &request.user_task_def_criteria {
            Some(UserTaskDefCriteria::Name(name)) => (name.as_str(), ""),
            Some(UserTaskDefCriteria::Prefix(prefix)) => ("", prefix.as_str()),
            None => ("", ""),
        };
        let range = versions(key::USER_TASK_DEFS, &caller, name, prefix);
        let id = |def: UserTaskDef| {
            Some(UserTaskDefId {
                name: def.name,
                version: def.version,
            })
        };
        let page = self.ids(&caller, &asked, range, id)?;
        Ok(Response::new(UserTaskDefIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn put_struct_def(
        &self,
        request: Request<PutStructDefRequest>,
    ) -> Answer<StructDef> {
        self.change(request, Command::PutStructDef).await
    }

    /// Version -1 is the latest; an unset one is 0.
    pub(super) fn get_struct_def(&self, request: Request<StructDefId>) -> Answer<StructDef> {
        let caller = self.caller(&request)?;
        let key = self.struct_def_key(&caller, &request.into_inner());
        self.stored(key)
    }

    fn struct_def_key(&self, caller: &Caller, id: &StructDefId) -> Option<Bytes> {
        let (table, tenant, name) = (key::STRUCT_DEFS, &caller.tenant, &id.name);
        match id.version {
            -1 => self
                .metadata()
                .last_key(&key::versions(table, tenant, name)),
            version => Some(key::versioned(table, tenant, name, version)),
        }
    }

    pub(super) async fn delete_struct_def(
        &self,
        request: Request<DeleteStructDefRequest>,
    ) -> Answer<()> {
        self.change(request, Command::DeleteStructDef).await
    }

    /// Whether a schema could replace a stored one; an unknown StructDef can be replaced by anything (spec 01, 8.4).
    pub(super) fn validate_struct_def_evolution(
        &self,
        request: Request<ValidateStructDefEvolutionRequest>,
    ) -> Answer<ValidateStructDefEvolutionResponse> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let compatibility = request.compatibility_type();
        let mut new = request.struct_def.unwrap_or_default();
        let view = self.metadata();
        metadata::validate_schema(&mut new, &spec::Structs::new(&view, &caller.tenant))
            .map_err(error::of_rejection)?;
        let id = request.struct_def_id.unwrap_or_default();
        let stored = self
            .struct_def_key(&caller, &id)
            .and_then(|key| view.get(&key));
        let is_valid = match stored {
            None => true,
            Some(value) => {
                let old = StructDef::decode(value).map_err(error::internal)?;
                let old = old.struct_def.unwrap_or_default();
                metadata::incompatible_fields(&old, &new, compatibility).is_empty()
            }
        };
        Ok(Response::new(ValidateStructDefEvolutionResponse {
            is_valid,
        }))
    }

    pub(super) fn search_struct_def(
        &self,
        request: Request<SearchStructDefRequest>,
    ) -> Answer<StructDefIdList> {
        let caller = self.caller(&request)?;
        let mut request = request.into_inner();
        let (limit, bookmark) = (request.limit.take(), request.bookmark.take());
        let asked = PageRequest {
            rpc: "SearchStructDef",
            criteria: criteria(&request),
            limit,
            bookmark: bookmark.as_ref(),
        };
        let (name, prefix) = match &request.struct_def_criteria {
            Some(StructDefCriteria::Name(name)) => (name.as_str(), ""),
            Some(StructDefCriteria::Prefix(prefix)) => ("", prefix.as_str()),
            None => ("", ""),
        };
        let range = versions(key::STRUCT_DEFS, &caller, name, prefix);
        let page = self.ids(&caller, &asked, range, |def: StructDef| def.id)?;
        Ok(Response::new(StructDefIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn put_workflow_migration_plan(
        &self,
        request: Request<PutWorkflowMigrationPlanRequest>,
    ) -> Answer<WorkflowMigrationPlan> {
        self.change(request, Command::PutWorkflowMigrationPlan)
            .await
    }

    pub(super) fn get_workflow_migration_plan(
        &self,
        request: Request<WorkflowMigrationPlanId>,
    ) -> Answer<WorkflowMigrationPlan> {
        let caller = self.caller(&request)?;
        let name = request.into_inner().name;
        self.stored(Some(key::named(
            key::MIGRATION_PLANS,
            &caller.tenant,
            &name,
        )))
    }

    pub(super) async fn delete_workflow_migration_plan(
        &self,
        request: Request<DeleteWorkflowMigrationPlanRequest>,
    ) -> Answer<()> {
        self.change(request, Command::DeleteWorkflowMigrationPlan)
            .await
    }

    pub(super) fn search_workflow_migration_plan(
        &self,
        request: Request<SearchWorkflowMigrationPlanRequest>,
    ) -> Answer<WorkflowMigrationPlanIdList> {
        let caller = self.caller(&request)?;
        let mut request = request.into_inner();
        let (limit, bookmark) = (request.limit.take(), request.bookmark.take());
        let asked = PageRequest {
            rpc: "SearchWorkflowMigrationPlan",
            criteria: criteria(&request),
            limit,
            bookmark: bookmark.as_ref(),
        };
        let (source, prefix) = match &request.workflow_migration_plan_criteria {
            Some(MigrationPlanCriteria::WfSpecName(name)) => (name.as_str(), ""),
            Some(MigrationPlanCriteria::Prefix(prefix)) => ("", prefix.as_str()),
            None => ("", ""),
        };
        let range = key::named_prefix(key::MIGRATION_PLANS, &caller.tenant, prefix);
        let page = self.metadata_page(&caller, &asked, range, |value| {
            let plan = WorkflowMigrationPlan::decode(&value[..]).ok()?;
            let is_asked = source.is_empty() || plan.old_wf_spec?.name == source;
            plan.workflow_migration_plan_id.filter(|_| is_asked)
        })?;
        Ok(Response::new(WorkflowMigrationPlanIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

/// All versions of exactly this name, or of the names that begin so; an empty criterion is none.
fn versions(table: u8, caller: &Caller, name: &str, prefix: &str) -> KeyRange {
    if name.is_empty() {
        return key::named_prefix(table, &caller.tenant, prefix);
    }
    key::versions(table, &caller.tenant, name)
}

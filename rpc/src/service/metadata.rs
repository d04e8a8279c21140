//! TaskDef, ExternalEventDef and WfSpec (spec 01; spec 07, section 4.10).

use prost::Message;
use proto::ironhorse::v1::metadata_command::Command;
use proto::littlehorse::search_wf_spec_request::WfSpecCriteria;
use proto::littlehorse::{
    DeleteExternalEventDefRequest, DeleteTaskDefRequest, DeleteWfSpecRequest, ExternalEventDef,
    ExternalEventDefId, ExternalEventDefIdList, GetLatestWfSpecRequest, PutExternalEventDefRequest,
    PutTaskDefRequest, PutWfSpecRequest, SearchExternalEventDefRequest, SearchTaskDefRequest,
    SearchWfSpecRequest, TaskDef, TaskDefId, TaskDefIdList, WfSpec, WfSpecId, WfSpecIdList, node,
    task_node,
};
use tonic::{Request, Response, Status};
use workflow::{key, spec};

use super::page::Page;
use super::{PageRequest, Service, criteria};

type Answer<T> = Result<Response<T>, Status>;

fn not_found<T>() -> Answer<T> {
    Err(Status::not_found("Requested object was not found."))
}

impl Service {
    pub(super) async fn put_task_def(
        &self,
        request: Request<PutTaskDefRequest>,
    ) -> Answer<TaskDef> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(&caller, Command::PutTaskDef(request.into_inner()))
                .await?,
        ))
    }

    pub(super) fn get_task_def(&self, request: Request<TaskDefId>) -> Answer<TaskDef> {
        let caller = self.caller(&request)?;
        match spec::task_def(&self.metadata(), &caller.tenant, &request.into_inner().name) {
            Some(found) => Ok(Response::new(TaskDef::clone(&found))),
            None => not_found(),
        }
    }

    pub(super) async fn delete_task_def(
        &self,
        request: Request<DeleteTaskDefRequest>,
    ) -> Answer<()> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(&caller, Command::DeleteTaskDef(request.into_inner()))
                .await?,
        ))
    }

    pub(super) fn search_task_def(
        &self,
        request: Request<SearchTaskDefRequest>,
    ) -> Answer<TaskDefIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let range = key::named_prefix(
            key::TASK_DEFS,
            &caller.tenant,
            request.prefix.as_deref().unwrap_or(""),
        );
        let plain = SearchTaskDefRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let asked = PageRequest {
            rpc: "SearchTaskDef",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let page = self.metadata_page(&caller, &asked, range, |value| {
            TaskDef::decode(&value[..]).ok()?.id
        })?;
        Ok(Response::new(TaskDefIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn put_external_event_def(
        &self,
        request: Request<PutExternalEventDefRequest>,
    ) -> Answer<ExternalEventDef> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(&caller, Command::PutExternalEventDef(request.into_inner()))
                .await?,
        ))
    }

    pub(super) fn get_external_event_def(
        &self,
        request: Request<ExternalEventDefId>,
    ) -> Answer<ExternalEventDef> {
        let caller = self.caller(&request)?;
        match spec::external_event_def(&self.metadata(), &caller.tenant, &request.into_inner().name)
        {
            Some(found) => Ok(Response::new(ExternalEventDef::clone(&found))),
            None => not_found(),
        }
    }

    pub(super) async fn delete_external_event_def(
        &self,
        request: Request<DeleteExternalEventDefRequest>,
    ) -> Answer<()> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(
                &caller,
                Command::DeleteExternalEventDef(request.into_inner()),
            )
            .await?,
        ))
    }

    pub(super) fn search_external_event_def(
        &self,
        request: Request<SearchExternalEventDefRequest>,
    ) -> Answer<ExternalEventDefIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let prefix = request.prefix.as_deref().unwrap_or("");
        let range = key::named_prefix(key::EXTERNAL_EVENT_DEFS, &caller.tenant, prefix);
        let plain = SearchExternalEventDefRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let asked = PageRequest {
            rpc: "SearchExternalEventDef",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let page = self.metadata_page(&caller, &asked, range, |value| {
            ExternalEventDef::decode(&value[..]).ok()?.id
        })?;
        Ok(Response::new(ExternalEventDefIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn put_wf_spec(&self, request: Request<PutWfSpecRequest>) -> Answer<WfSpec> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(&caller, Command::PutWfSpec(request.into_inner()))
                .await?,
        ))
    }

    pub(super) fn get_wf_spec(&self, request: Request<WfSpecId>) -> Answer<WfSpec> {
        let caller = self.caller(&request)?;
        let id = request.into_inner();
        let found = spec::wf_spec(
            &self.metadata(),
            &caller.tenant,
            &id.name,
            Some(id.major_version),
            Some(id.revision),
        );
        match found {
            Some(found) => Ok(Response::new(found.wf_spec.clone())),
            None => not_found(),
        }
    }

    pub(super) fn get_latest_wf_spec(
        &self,
        request: Request<GetLatestWfSpecRequest>,
    ) -> Answer<WfSpec> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        match spec::wf_spec(
            &self.metadata(),
            &caller.tenant,
            &request.name,
            request.major_version,
            None,
        ) {
            Some(found) => Ok(Response::new(found.wf_spec.clone())),
            None => not_found(),
        }
    }

    pub(super) async fn delete_wf_spec(&self, request: Request<DeleteWfSpecRequest>) -> Answer<()> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(&caller, Command::DeleteWfSpec(request.into_inner()))
                .await?,
        ))
    }

    pub(super) fn search_wf_spec(
        &self,
        request: Request<SearchWfSpecRequest>,
    ) -> Answer<WfSpecIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchWfSpecRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let asked = PageRequest {
            rpc: "SearchWfSpec",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let tenant = caller.tenant.as_str();
        let prefixed = |prefix: &str| key::named_prefix(key::WF_SPECS, tenant, prefix);
        let range = match &request.wf_spec_criteria {
            Some(WfSpecCriteria::TaskDefName(task_def)) if !task_def.is_empty() => {
                let page = self.metadata_page_by_age(&caller, &asked, &prefixed(""), |value| {
                    let wf_spec = WfSpec::decode(&value[..]).ok()?;
                    let created = proto::time::to_millis(wf_spec.created_at.as_ref()?);
                    uses(&wf_spec, task_def).then_some((created, wf_spec.id?))
                })?;
                return Ok(answer(page));
            }
            Some(WfSpecCriteria::Name(name)) if !name.is_empty() => {
                key::wf_spec_versions(tenant, name, None)
            }
            Some(WfSpecCriteria::Prefix(prefix)) => prefixed(prefix),
            _ => prefixed(""),
        };
        let page = self.metadata_page(&caller, &asked, range, |value| {
            WfSpec::decode(&value[..]).ok()?.id
        })?;
        Ok(answer(page))
    }
}

fn answer(page: Page<WfSpecId>) -> Response<WfSpecIdList> {
    Response::new(WfSpecIdList {
        results: page.results,
        bookmark: page.bookmark,
    })
}

/// Whether a TASK node of the spec names this TaskDef.
fn uses(wf_spec: &WfSpec, task_def: &str) -> bool {
    let mut nodes = wf_spec
        .thread_specs
        .values()
        .flat_map(|thread| thread.nodes.values());
    nodes.any(|node| {
        matches!(&node.node, Some(node::Node::Task(task))
            if matches!(&task.task_to_execute, Some(task_node::TaskToExecute::TaskDefId(id)) if id.name == task_def))
    })
}

//! Principals and quotas (spec 08, sections 4.5 to 5.1).

use prost::Message;
use proto::ironhorse::v1::metadata_command::Command;
use proto::littlehorse::search_principal_request::PrincipalCriteria;
use proto::littlehorse::{
    DeletePrincipalRequest, DeleteQuotaRequest, Principal, PrincipalId, PrincipalIdList,
    PutPrincipalRequest, PutQuotaRequest, Quota, QuotaId, QuotaIdList, SearchPrincipalRequest,
    SearchQuotaRequest,
};
use tonic::{Request, Response, Status};
use workflow::key;
use workflow::metadata::acl::is_admin;

use super::wf_run_search::Times;
use super::{PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    pub(super) async fn put_principal(
        &self,
        request: Request<PutPrincipalRequest>,
    ) -> Answer<Principal> {
        let caller = self.caller(&request)?;
        let command = Command::PutPrincipal(request.into_inner());
        Ok(Response::new(self.meta(&caller, command).await?))
    }

    pub(super) async fn delete_principal(
        &self,
        request: Request<DeletePrincipalRequest>,
    ) -> Answer<()> {
        let caller = self.caller(&request)?;
        let command = Command::DeletePrincipal(request.into_inner());
        Ok(Response::new(self.meta(&caller, command).await?))
    }

    pub(super) fn get_principal(&self, request: Request<PrincipalId>) -> Answer<Principal> {
        self.caller(&request)?;
        let id = request.into_inner().id;
        match self.metadata().get(&key::global(key::PRINCIPALS, &id)) {
            Some(value) => Ok(Response::new(
                Principal::decode(value).map_err(error::internal)?,
            )),
            None => Err(Status::not_found(format!("Principal {id} was not found"))),
        }
    }

    pub(super) fn search_principal(
        &self,
        request: Request<SearchPrincipalRequest>,
    ) -> Answer<PrincipalIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchPrincipalRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let asked = PageRequest {
            rpc: "SearchPrincipal",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let range = index::KeyRange::prefix(&[key::PRINCIPALS]);
        let found = |value: &bytes::Bytes| -> Option<(i64, PrincipalId)> {
            let principal = Principal::decode(&value[..]).ok()?;
            let created = principal
                .created_at
                .as_ref()
                .map_or(0, proto::time::to_millis);
            let fits = match &request.principal_criteria {
                None => true,
                Some(PrincipalCriteria::IsAdmin(admin)) => is_admin(&principal) == *admin,
                Some(PrincipalCriteria::TenantId(tenant)) => {
                    principal.per_tenant_acls.contains_key(tenant)
                }
            };
            (fits && times.holds(created)).then_some((created, principal.id?))
        };
        let page = if request.principal_criteria.is_some() {
            self.metadata_page_by_age(&caller, &asked, &range, found)?
        } else {
            self.metadata_page(&caller, &asked, range, |value| Some(found(value)?.1))?
        };
        Ok(Response::new(PrincipalIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn put_quota(&self, request: Request<PutQuotaRequest>) -> Answer<Quota> {
        let caller = self.caller(&request)?;
        let command = Command::PutQuota(request.into_inner());
        Ok(Response::new(self.meta(&caller, command).await?))
    }

    pub(super) async fn delete_quota(&self, request: Request<DeleteQuotaRequest>) -> Answer<()> {
        let caller = self.caller(&request)?;
        let command = Command::DeleteQuota(request.into_inner());
        Ok(Response::new(self.meta(&caller, command).await?))
    }

    pub(super) fn get_quota(&self, request: Request<QuotaId>) -> Answer<Quota> {
        self.caller(&request)?;
        let id = request.into_inner();
        match self.metadata().get(&key::quota(&id)) {
            Some(value) => Ok(Response::new(
                Quota::decode(value).map_err(error::internal)?,
            )),
            None => Err(Status::not_found("The quota was not found")),
        }
    }

    pub(super) fn search_quota(&self, request: Request<SearchQuotaRequest>) -> Answer<QuotaIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchQuotaRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let tenant = request.tenant_id.filter(|tenant| !tenant.trim().is_empty());
        let range = match (tenant, request.principal) {
            (None, Some(_)) => {
                return Err(Status::invalid_argument(
                    "Must provide tenant_id when searching by principal",
                ));
            }
            (None, None) => index::KeyRange::prefix(&[key::QUOTAS]),
            (Some(tenant), None) => index::KeyRange::prefix(&key::quotas(&tenant).finish()),
            (Some(tenant), Some(principal)) => {
                let id = QuotaId {
                    tenant: Some(proto::littlehorse::TenantId { id: tenant }),
                    principal: Some(principal),
                };
                index::KeyRange::prefix(&key::quota(&id))
            }
        };
        let asked = PageRequest {
            rpc: "SearchQuota",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let quota = |value: &bytes::Bytes| Quota::decode(&value[..]).ok();
        let page = self.metadata_page(&caller, &asked, range, |value| quota(value)?.id)?;
        Ok(Response::new(QuotaIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

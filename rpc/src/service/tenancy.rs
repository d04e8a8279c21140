//! Tenants, principals and the server itself (spec 08, sections 2, 4 and 6).

use prost::Message;
use proto::ironhorse::v1::metadata_command::Command;
use proto::littlehorse::{
    LittleHorseVersion, Principal, PutTenantRequest, SearchTenantRequest, Tenant, TenantId,
    TenantIdList,
};
use tonic::{Request, Response, Status};
use workflow::key;

use super::{PageRequest, Service, criteria, error};

impl Service {
    pub(super) async fn put_tenant(
        &self,
        request: Request<PutTenantRequest>,
    ) -> Result<Response<Tenant>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(
            self.meta(&caller, Command::PutTenant(request.into_inner()))
                .await?,
        ))
    }

    pub(super) fn get_tenant(
        &self,
        request: Request<TenantId>,
    ) -> Result<Response<Tenant>, Status> {
        self.caller(&request)?;
        match self
            .metadata()
            .get(&key::global(key::TENANTS, &request.into_inner().id))
        {
            Some(value) => Ok(Response::new(
                Tenant::decode(value).map_err(error::internal)?,
            )),
            None => Err(Status::not_found("Requested object was not found.")),
        }
    }

    pub(super) fn search_tenant(
        &self,
        request: Request<SearchTenantRequest>,
    ) -> Result<Response<TenantIdList>, Status> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchTenantRequest {
            limit: None,
            bookmark: None,
        };
        let asked = PageRequest {
            rpc: "SearchTenant",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = index::KeyRange::prefix(&[key::TENANTS]);
        let page = self.metadata_page(&caller, &asked, range, |value| {
            Tenant::decode(&value[..]).ok()?.id
        })?;
        Ok(Response::new(TenantIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) fn whoami(&self, request: Request<()>) -> Result<Response<Principal>, Status> {
        let caller = self.caller(&request)?;
        match self
            .metadata()
            .get(&key::global(key::PRINCIPALS, &caller.principal))
        {
            Some(value) => Ok(Response::new(
                Principal::decode(value).map_err(error::internal)?,
            )),
            None => Err(Status::unavailable("Server Initializing")),
        }
    }

    /// The API level that this server speaks.
    pub(super) fn server_version(
        &self,
        request: Request<()>,
    ) -> Result<Response<LittleHorseVersion>, Status> {
        self.caller(&request)?;
        Ok(Response::new(LittleHorseVersion {
            major_version: 1,
            minor_version: 3,
            patch_version: Some(0),
            pre_release_identifier: None,
        }))
    }
}

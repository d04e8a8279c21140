//! Who calls, for which tenant, and what it may do (spec 08, sections 1 and 4).

use std::sync::Arc;

use prost::Message;
use proto::littlehorse::Principal;
use tonic::codegen::http::{Extensions, HeaderMap};
use tonic::{Request, Status};
use workflow::key;
use workflow::metadata::ANONYMOUS;

use super::Service;
use super::access::{Rule, Scope, decide, missing, named};

/// The context of one call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub tenant: String,
    /// The stored principal that its identity stands for.
    pub principal: String,
    /// What it may do is restricted to this.
    scope: Scope,
    rule: Option<&'static Rule>,
}

/// Who a listener says that a call is from; calls without one are anonymous.
#[derive(Debug, Clone)]
pub(crate) struct Identity(pub String);

/// The tenant of calls that name none.
const DEFAULT_TENANT: &str = "default";

impl Caller {
    /// The server itself, at work for a tenant.
    pub(super) fn of_server(tenant: String) -> Caller {
        Caller {
            tenant,
            principal: ANONYMOUS.to_owned(),
            scope: Scope::All,
            rule: None,
        }
    }

    /// Refuses a part of the call that is about a definition which its permissions do not cover.
    pub(super) fn check_about(&self, name: &str) -> Result<(), Status> {
        if self.scope.covers(name) {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    /// Whether the call is charged to quotas.
    pub(super) fn writes(&self) -> bool {
        self.rule.is_some_and(|rule| rule.writes)
    }

    fn refusal(&self) -> Status {
        match self.rule.and_then(|rule| rule.requires.first()) {
            Some((resource, action)) => missing(*action, *resource),
            None => Status::permission_denied("Missing permissions"),
        }
    }
}

impl Service {
    /// Lets a call in, or not: everything that its headers decide.
    pub(super) fn admit(
        &self,
        rule: &'static Rule,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Caller, Status> {
        if *self.stopping.borrow() {
            return Err(super::error::stopping());
        }
        let view = self.metadata();
        // `lhctl` sends the header twice: the last one counts.
        let tenant = match headers.get_all("tenantid").iter().next_back() {
            None => DEFAULT_TENANT,
            Some(value) => value
                .to_str()
                .map_err(|_| Status::permission_denied("Tenant not allowed"))?
                .trim(),
        };
        let is_known = tenant == DEFAULT_TENANT
            || rule.is_of_cluster()
            || view.get(&key::global(key::TENANTS, tenant)).is_some();
        if !is_known {
            return Err(Status::permission_denied("Tenant not allowed"));
        }
        let stored = |id: &str| -> Option<Arc<Principal>> {
            let key = key::global(key::PRINCIPALS, id);
            view.get_decoded(&key, |raw| Principal::decode(raw).ok())
        };
        // An identity that nobody has stored is nobody.
        let identity = extensions.get::<Identity>();
        let principal = identity
            .and_then(|identity| stored(&identity.0))
            .or_else(|| stored(ANONYMOUS))
            .ok_or_else(|| Status::unavailable("Server Initializing"))?;
        let scope = decide(&principal, tenant, rule)?;
        Ok(Caller {
            tenant: tenant.to_owned(),
            principal: principal.id.clone().unwrap_or_default().id,
            scope,
            rule: Some(rule),
        })
    }

    /// The context of a call, if what it may do covers what it is about.
    #[allow(clippy::unused_self, reason = "as its sister")]
    pub(super) fn caller<T: 'static>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = admitted(request)?;
        if caller.scope != Scope::All {
            let name = named(request.get_ref()).ok_or_else(|| caller.refusal())?;
            caller.check_about(name)?;
        }
        Ok(caller)
    }

    /// The context of a call of which each part is checked on its own.
    #[allow(clippy::unused_self, reason = "as its sister")]
    pub(super) fn caller_of_stream<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        admitted(request)
    }
}

fn admitted<T>(request: &Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| super::error::internal("a call came in without passing the front door"))
}

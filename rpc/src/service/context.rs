//! Who calls, and for which tenant (spec 08, section 1).

use tonic::{Request, Status};
use workflow::key;

use super::Service;

/// The context of one call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub tenant: String,
    pub principal: String,
}

/// The tenant of calls that name none.
const DEFAULT_TENANT: &str = "default";
/// The principal of calls on a listener without authentication.
const ANONYMOUS: &str = "anonymous";

impl Caller {
    /// The server itself, at work for a tenant.
    pub(super) fn of_server(tenant: String) -> Caller {
        Caller {
            tenant,
            principal: ANONYMOUS.to_owned(),
        }
    }
}

impl Service {
    /// The context of a call, or why it is refused.
    pub(super) fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = self.cluster_caller(request)?;
        let known = caller.tenant == DEFAULT_TENANT
            || self
                .metadata()
                .get(&key::global(key::TENANTS, &caller.tenant))
                .is_some();
        if known {
            Ok(caller)
        } else {
            Err(Status::permission_denied("Tenant not allowed"))
        }
    }

    /// The context of a call on tenants, principals or quotas, for which the header's tenant need not exist.
    pub(super) fn cluster_caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        if *self.stopping.borrow() {
            return Err(super::error::stopping());
        }
        // `lhctl` sends the header twice: the last one counts.
        let tenant = match request.metadata().get_all("tenantid").iter().next_back() {
            None => DEFAULT_TENANT.to_owned(),
            Some(value) => {
                let text = value
                    .to_str()
                    .map_err(|_| Status::permission_denied("Tenant not allowed"))?;
                text.trim().to_owned()
            }
        };
        Ok(Caller {
            tenant,
            principal: ANONYMOUS.to_owned(),
        })
    }
}

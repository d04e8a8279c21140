//! Quotas: how many writes a tenant, or a principal in it, may send (spec 08, section 5.1).

use index::Family;
use proto::littlehorse::{
    AclResource, DeleteQuotaRequest, Principal, PutQuotaRequest, Quota, QuotaId, Tenant,
};
use runtime::{Context, Rejection};

use super::principal::writer;
use super::{find, store};
use crate::key;
use crate::time::timestamp;

pub(super) fn put(
    context: &mut Context<'_>,
    caller: &str,
    request: PutQuotaRequest,
) -> Result<Quota, Rejection> {
    let Some(tenant) = request.tenant else {
        return Err(Rejection::invalid("Missing required argument: tenant"));
    };
    writer(context, caller, AclResource::AclQuota)?;
    if request.write_requests_per_second <= 0 {
        return Err(Rejection::invalid(
            "write_requests_per_second must be greater than zero",
        ));
    }
    let stored: Option<Tenant> = find(context, &key::global(key::TENANTS, &tenant.id))?;
    if stored.is_none() {
        return Err(Rejection::invalid(format!(
            "tenant {} does not exist",
            tenant.id
        )));
    }
    if let Some(principal) = &request.principal {
        let key = key::global(key::PRINCIPALS, &principal.id);
        if find::<Principal>(context, &key)?.is_none() {
            return Err(Rejection::invalid(format!(
                "principal {} does not exist",
                principal.id
            )));
        }
    }
    let id = QuotaId {
        tenant: Some(tenant),
        principal: request.principal,
    };
    let key = key::quota(&id);
    let stored: Option<Quota> = find(context, &key)?;
    let quota = Quota {
        id: Some(id),
        created_at: stored.map_or_else(
            || Some(timestamp(context.now_ms())),
            |stored| stored.created_at,
        ),
        write_requests_per_second: request.write_requests_per_second,
    };
    store(context, key, &quota)?;
    Ok(quota)
}

pub(super) fn delete(
    context: &mut Context<'_>,
    caller: &str,
    request: DeleteQuotaRequest,
) -> Result<(), Rejection> {
    let Some(id) = request.id else {
        return Err(Rejection::invalid("Missing required argument: id"));
    };
    writer(context, caller, AclResource::AclQuota)?;
    let key = key::quota(&id);
    if context.get(Family::State, &key)?.is_none() {
        return Err(Rejection::not_found("The quota does not exist"));
    }
    Ok(context.delete(Family::State, key)?)
}

//! PutTenant (spec 08, section 2.2).

use proto::littlehorse::{AclResource, PutTenantRequest, Tenant, TenantId};
use runtime::{Context, Rejection};

use super::principal::writer;
use super::{find, store};
use crate::key;
use crate::time::timestamp;

pub(super) fn put(
    context: &mut Context<'_>,
    caller: &str,
    request: PutTenantRequest,
) -> Result<Tenant, Rejection> {
    writer(context, caller, AclResource::AclTenant)?;
    let id = request.id;
    if !proto::name::is_tenant_id(&id) {
        return Err(Rejection::invalid(format!(
            "Tenant id must be a valid hostname and not start with a digit: {id:?}"
        )));
    }
    let key = key::global(key::TENANTS, &id);
    let tenant = match find::<Tenant>(context, &key)? {
        Some(stored) if stored.output_topic_config == request.output_topic_config => {
            return Ok(stored);
        }
        Some(stored) => Tenant {
            output_topic_config: request.output_topic_config,
            ..stored
        },
        None => Tenant {
            id: Some(TenantId { id }),
            created_at: Some(timestamp(context.now_ms())),
            output_topic_config: request.output_topic_config,
        },
    };
    store(context, key, &tenant)?;
    Ok(tenant)
}

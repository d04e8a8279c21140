//! What a fresh cluster needs: tenant `default`, principal `anonymous` (spec 08, section 6). Once, so that neither comes
//! back after somebody changed it.

use bytes::Bytes;
use index::Family;
use proto::littlehorse::{
    AclAction, AclResource, Principal, PrincipalId, ServerAcLs, ServerAcl, Tenant, TenantId,
};
use runtime::{Context, Rejection};

use super::principal::ANONYMOUS;
use super::store;
use crate::key;
use crate::time::timestamp;

pub(super) fn execute(context: &mut Context<'_>) -> Result<(), Rejection> {
    let done = Bytes::from_static(&[key::BOOTSTRAP]);
    if context.get(Family::State, &done)?.is_some() {
        return Ok(());
    }
    let created_at = Some(timestamp(context.now_ms()));
    let tenant = Tenant {
        id: Some(TenantId {
            id: "default".to_owned(),
        }),
        created_at,
        output_topic_config: None,
    };
    store(context, key::global(key::TENANTS, "default"), &tenant)?;
    let everything = ServerAcl {
        resources: vec![AclResource::AclAllResources.into()],
        allowed_actions: vec![AclAction::AllActions.into()],
        resource_filter: None,
    };
    let anonymous = Principal {
        id: Some(PrincipalId {
            id: ANONYMOUS.to_owned(),
        }),
        created_at,
        global_acls: Some(ServerAcLs {
            acls: vec![everything],
        }),
        ..Principal::default()
    };
    store(context, key::global(key::PRINCIPALS, ANONYMOUS), &anonymous)?;
    Ok(context.put(Family::State, done, Bytes::from_static(&[1]))?)
}

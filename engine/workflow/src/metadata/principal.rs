//! Principals: who may do what (spec 08, sections 4.5 and 4.6).

use index::{Family, KeyRange};
use proto::littlehorse::{
    AclAction, AclResource, DeletePrincipalRequest, Principal, PrincipalId, PutPrincipalRequest,
    Tenant,
};
use runtime::{Context, Rejection, RejectionCode};

use super::acl::{is_admin, may};
use super::{find, store};
use crate::key;
use crate::time::timestamp;

/// Who calls without an identity of its own.
pub const ANONYMOUS: &str = "anonymous";

/// Principals that are read at once.
const PAGE: usize = 1000;

/// The caller, as it is stored now.
///
/// # Errors
/// `PERMISSION_DENIED`: its global ACLs do not allow to write such a thing, or it is gone.
pub(super) fn writer(
    context: &Context<'_>,
    caller: &str,
    resource: AclResource,
) -> Result<Principal, Rejection> {
    let stored: Option<Principal> = find(context, &key::global(key::PRINCIPALS, caller))?;
    match stored {
        Some(principal) if may(&principal, resource, AclAction::WriteMetadata) => Ok(principal),
        _ => Err(denied(resource)),
    }
}

fn denied(resource: AclResource) -> Rejection {
    Rejection::new(
        RejectionCode::PermissionDenied,
        format!(
            "Missing permission WRITE_METADATA over resource {}.",
            resource.as_str_name()
        ),
    )
}

/// Whether no other principal may do everything.
fn is_last_admin(context: &mut Context<'_>, id: &str) -> Result<bool, Rejection> {
    let mut range = KeyRange::prefix(&[key::PRINCIPALS]);
    loop {
        let page = context.scan(Family::State, &range, PAGE, false)?;
        let is_last = page.len() < PAGE;
        for (at, _) in page {
            let other: Option<Principal> = find(context, &at)?;
            if other.is_some_and(|other| is_admin(&other) && name(&other) != id) {
                return Ok(false);
            }
            range.start = std::ops::Bound::Excluded(at);
        }
        if is_last {
            return Ok(true);
        }
    }
}

fn name(principal: &Principal) -> &str {
    principal.id.as_ref().map_or("", |id| &id.id)
}

pub(super) fn put(
    context: &mut Context<'_>,
    caller: &str,
    request: PutPrincipalRequest,
) -> Result<Principal, Rejection> {
    let id = request.id;
    if id.is_empty() {
        return Err(Rejection::invalid("id must not be empty"));
    }
    if id.contains(['/', '\\']) {
        return Err(Rejection::invalid(format!(
            "id {id:?} must not contain slashes"
        )));
    }
    let key = key::global(key::PRINCIPALS, &id);
    let stored: Option<Principal> = find(context, &key)?;
    let global = request.global_acls.unwrap_or_default();
    let new = Principal {
        id: Some(PrincipalId { id: id.clone() }),
        created_at: stored.as_ref().map_or_else(
            || Some(timestamp(context.now_ms())),
            |stored| stored.created_at,
        ),
        per_tenant_acls: request.per_tenant_acls,
        global_acls: Some(global),
    };
    if let Some(stored) = &stored {
        if *stored == new {
            return Ok(new);
        }
        if !request.overwrite {
            return Err(Rejection::already_exists(format!(
                "Principal {id} already exists with other ACLs: overwrite must be set to change them"
            )));
        }
        if is_admin(stored) && !is_admin(&new) && is_last_admin(context, &id)? {
            return Err(last_admin(&id));
        }
    }
    let by: Option<Principal> = find(context, &key::global(key::PRINCIPALS, caller))?;
    let by_admin = by.as_ref().is_some_and(is_admin);
    let gives_global = new.global_acls.iter().any(|list| !list.acls.is_empty());
    if gives_global && !by_admin {
        return Err(Rejection::invalid(
            "Only admins may give global privileges: global_acls must be empty",
        ));
    }
    writer(context, caller, AclResource::AclPrincipal)?;
    if !by_admin && stored.as_ref().is_some_and(is_admin) {
        return Err(Rejection::new(
            RejectionCode::PermissionDenied,
            format!("Principal {id} is an admin: only an admin may overwrite it"),
        ));
    }
    for (tenant, acls) in &new.per_tenant_acls {
        let of_cluster = [
            AclResource::AclTenant,
            AclResource::AclPrincipal,
            AclResource::AclQuota,
        ];
        let mut resources = acls.acls.iter().flat_map(|acl| &acl.resources);
        if resources.any(|resource| of_cluster.iter().any(|of| *of as i32 == *resource)) {
            return Err(Rejection::invalid(
                "PutPrincipalRequest does not allow Per-Tenant ACLs containing permissions over Tenants, Principals, or Quotas.",
            ));
        }
        let stored: Option<Tenant> = find(context, &key::global(key::TENANTS, tenant))?;
        if stored.is_none() {
            return Err(Rejection::invalid(format!(
                "per_tenant_acls: tenant {tenant} does not exist"
            )));
        }
    }
    store(context, key, &new)?;
    Ok(new)
}

fn last_admin(id: &str) -> Rejection {
    Rejection::precondition(format!(
        "Principal {id} is the last admin, and must remain one"
    ))
}

pub(super) fn delete(
    context: &mut Context<'_>,
    caller: &str,
    request: DeletePrincipalRequest,
) -> Result<(), Rejection> {
    let id = request.id.unwrap_or_default().id;
    if id == ANONYMOUS {
        return Err(Rejection::invalid(
            "Principal anonymous cannot be deleted: remove its permissions with PutPrincipal instead",
        ));
    }
    if id == caller {
        return Err(Rejection::new(
            RejectionCode::PermissionDenied,
            format!("Principal {id} cannot delete itself"),
        ));
    }
    let by = writer(context, caller, AclResource::AclPrincipal)?;
    let key = key::global(key::PRINCIPALS, &id);
    let Some(stored) = find::<Principal>(context, &key)? else {
        return Err(Rejection::not_found(format!(
            "Principal {id} does not exist"
        )));
    };
    if is_admin(&stored) && !is_admin(&by) {
        if is_last_admin(context, &id)? {
            return Err(last_admin(&id));
        }
        return Err(Rejection::new(
            RejectionCode::PermissionDenied,
            format!("Principal {id} is an admin: only an admin may delete it"),
        ));
    }
    Ok(context.delete(Family::State, key)?)
}

//! Who may do what (spec 08, sections 1 and 4): decided at the front door, from the headers, before anything is read.

mod names;
mod table;

use proto::littlehorse::server_acl::ResourceFilter;
use proto::littlehorse::{AclAction, AclResource, Principal, ServerAcl};
use tonic::Status;
use workflow::metadata::acl::{filter_of, grants, is_admin};

pub(crate) use names::named;
pub(crate) use table::{Rule, of as rule_of};

/// What the call's permissions are restricted to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scope {
    /// Nothing.
    All,
    /// What has one of these names: permissions with a resource filter. A call that names nothing is not covered.
    Only(Vec<ResourceFilter>),
}

impl Scope {
    /// Whether a thing of this name is covered.
    pub(crate) fn covers(&self, name: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Only(filters) => filters.iter().any(|filter| match filter {
                ResourceFilter::Name(only) => only == name,
                ResourceFilter::Prefix(prefix) => name.starts_with(prefix),
            }),
        }
    }
}

/// Decides about a call of a principal in a tenant.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(crate) fn decide(principal: &Principal, tenant: &str, rule: &Rule) -> Result<Scope, Status> {
    if is_admin(principal) {
        return Ok(Scope::All);
    }
    let of_tenant = principal.per_tenant_acls.get(tenant);
    if rule.is_of_cluster() && of_tenant.is_some() {
        return Err(Status::permission_denied(format!(
            "{} is about the cluster and needs global ACLs: principal {} has ACLs for tenant {tenant}",
            rule.rpc,
            principal.id.as_ref().map_or("", |id| &id.id),
        )));
    }
    let Some((resource, action)) = rule.requires.first() else {
        return Ok(Scope::All);
    };
    // An entry for the tenant takes the place of the global list, even an empty one.
    let acls = match (of_tenant, &principal.global_acls) {
        (Some(list), _) | (None, Some(list)) => &list.acls[..],
        (None, None) => &[],
    };
    let granted = |acl: &&ServerAcl| {
        let mut pairs = rule.requires.iter();
        pairs.any(|(resource, action)| grants(acl, *resource, *action))
    };
    let mut filters = Vec::new();
    for acl in acls.iter().filter(granted) {
        match filter_of(acl) {
            None => return Ok(Scope::All),
            Some(filter) => filters.push(filter.clone()),
        }
    }
    if filters.is_empty() {
        return Err(missing(*action, *resource));
    }
    Ok(Scope::Only(filters))
}

/// The refusal that clients compare with.
pub(crate) fn missing(action: AclAction, resource: AclResource) -> Status {
    Status::permission_denied(format!(
        "Missing permissions [{}] over resources [{}]",
        action.as_str_name(),
        resource.as_str_name()
    ))
}

#[cfg(test)]
mod tests;

//! What an ACL grants (spec 08, section 4).

use proto::littlehorse::server_acl::ResourceFilter;
use proto::littlehorse::{AclAction, AclResource, Principal, ServerAcl};

/// To what an ACL is restricted. An empty filter is none: principals that were read from elsewhere carry such.
pub fn filter_of(acl: &ServerAcl) -> Option<&ResourceFilter> {
    acl.resource_filter.as_ref().filter(|filter| match filter {
        ResourceFilter::Name(text) | ResourceFilter::Prefix(text) => !text.is_empty(),
    })
}

/// Whether one ACL grants both, to whatever it is restricted: a resource of one and an action of another do not combine.
pub fn grants(acl: &ServerAcl, resource: AclResource, action: AclAction) -> bool {
    let has = |list: &[i32], one: i32, all: i32| list.contains(&one) || list.contains(&all);
    let all = AclResource::AclAllResources as i32;
    let any = AclAction::AllActions as i32;
    has(&acl.resources, resource as i32, all) && has(&acl.allowed_actions, action as i32, any)
}

/// Whether the global ACLs of a principal grant something, without a filter.
pub fn may(principal: &Principal, resource: AclResource, action: AclAction) -> bool {
    let mut acls = principal.global_acls.iter().flat_map(|list| &list.acls);
    acls.any(|acl| filter_of(acl).is_none() && grants(acl, resource, action))
}

/// Whether a principal may do everything everywhere.
pub fn is_admin(principal: &Principal) -> bool {
    may(
        principal,
        AclResource::AclAllResources,
        AclAction::AllActions,
    )
}

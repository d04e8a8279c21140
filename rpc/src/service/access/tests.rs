use proto::littlehorse::{AclAction, AclResource, PrincipalId, ServerAcLs};
use tonic::Code;

use super::*;

use AclAction::{AllActions, Read, Run, WriteMetadata};
use AclResource::{AclAllResources, AclTask, AclTenant, AclWorkflow};

fn acl(resources: &[AclResource], actions: &[AclAction]) -> ServerAcl {
    ServerAcl {
        resources: resources.iter().map(|resource| *resource as i32).collect(),
        allowed_actions: actions.iter().map(|action| *action as i32).collect(),
        resource_filter: None,
    }
}

fn list(acls: &[ServerAcl]) -> ServerAcLs {
    ServerAcLs {
        acls: acls.to_vec(),
    }
}

fn principal(global: &[ServerAcl], of_t1: Option<&[ServerAcl]>) -> Principal {
    Principal {
        id: Some(PrincipalId {
            id: "p1".to_owned(),
        }),
        global_acls: Some(list(global)),
        per_tenant_acls: of_t1
            .map(|acls| ("t1".to_owned(), list(acls)))
            .into_iter()
            .collect(),
        ..Principal::default()
    }
}

fn scope(principal: &Principal, tenant: &str, rpc: &str) -> Result<Scope, Status> {
    decide(principal, tenant, rule_of(rpc).expect("an RPC"))
}

#[track_caller]
fn denied(principal: &Principal, tenant: &str, rpc: &str) -> String {
    let status = scope(principal, tenant, rpc).expect_err("it was allowed");
    assert_eq!(status.code(), Code::PermissionDenied);
    status.message().to_owned()
}

#[test]
fn resource_and_action_come_from_one_entry() {
    // spec 08-23
    let p1 = principal(
        &[],
        Some(&[
            acl(&[AclWorkflow], &[Read]),
            acl(&[AclTask], &[WriteMetadata]),
        ]),
    );
    assert_eq!(
        denied(&p1, "t1", "PutWfSpec"),
        "Missing permissions [WRITE_METADATA] over resources [ACL_WORKFLOW]"
    );
    assert_eq!(scope(&p1, "t1", "PutTaskDef").unwrap(), Scope::All);
    assert_eq!(scope(&p1, "t1", "GetWfSpec").unwrap(), Scope::All);
}

#[test]
fn a_list_for_the_tenant_takes_the_place_of_the_global_one() {
    // spec 08-24
    let p1 = principal(
        &[acl(&[AclAllResources], &[Read])],
        Some(&[acl(&[AclTask], &[Read])]),
    );
    denied(&p1, "t1", "SearchWfRun");
    assert_eq!(scope(&p1, "t2", "SearchWfRun").unwrap(), Scope::All);
    // spec 08-25
    let empty = principal(&[acl(&[AclTask], &[Read])], Some(&[]));
    denied(&empty, "t1", "GetTaskDef");
    assert_eq!(scope(&empty, "t2", "GetTaskDef").unwrap(), Scope::All);
}

#[test]
fn what_is_of_the_cluster_needs_global_rights() {
    let everything = acl(&[AclAllResources], &[AllActions]);
    let of_t1 = principal(&[], Some(std::slice::from_ref(&everything)));
    // spec 08-26
    assert!(denied(&of_t1, "t1", "PutTenant").contains("global"));
    assert_eq!(scope(&of_t1, "t1", "PutTaskDef").unwrap(), Scope::All);
    assert_eq!(scope(&of_t1, "t1", "MigrateWfSpec").unwrap(), Scope::All);
    denied(&of_t1, "t2", "PutTaskDef");
    let admin = principal(std::slice::from_ref(&everything), Some(&[]));
    assert!(is_admin(&admin) && !is_admin(&of_t1));
    // No lock-out of an admin (spec 08, section 4.3).
    assert_eq!(scope(&admin, "t1", "PutTenant").unwrap(), Scope::All);
    let tenants = principal(&[acl(&[AclTenant], &[WriteMetadata])], None);
    assert_eq!(scope(&tenants, "t1", "PutTenant").unwrap(), Scope::All);
}

#[test]
fn a_worker_has_enough() {
    // spec 08-27 (the worker itself: listeners.rs)
    let worker = principal(
        &[],
        Some(&[acl(&[AclTask], &[Read, Run]), acl(&[AclWorkflow], &[Read])]),
    );
    for rpc in [
        "RegisterTaskWorker",
        "PollTask",
        "ReportTask",
        "GetTaskDef",
        "Whoami",
    ] {
        assert_eq!(scope(&worker, "t1", rpc).unwrap(), Scope::All, "{rpc}");
    }
    denied(&worker, "t1", "RunWf");
}

#[test]
fn a_filter_restricts_and_an_empty_one_does_not() {
    let mut filtered = acl(&[AclTask], &[Read]);
    filtered.resource_filter = Some(ResourceFilter::Prefix("pay-".to_owned()));
    let mut named = acl(&[AclAllResources], &[AllActions]);
    named.resource_filter = Some(ResourceFilter::Name("only".to_owned()));
    let p1 = principal(&[filtered.clone(), named.clone()], None);
    let found = scope(&p1, "t1", "GetTaskDef").unwrap();
    assert!(found.covers("pay-out") && found.covers("only"));
    assert!(!found.covers("other") && !found.covers("pay"));
    assert!(!is_admin(&p1), "a filtered ACL makes no admin");
    filtered.resource_filter = Some(ResourceFilter::Name(String::new()));
    let open = principal(&[filtered], None);
    assert_eq!(scope(&open, "t1", "GetTaskDef").unwrap(), Scope::All);
}

#[test]
fn nobody_has_nothing() {
    let nobody = principal(&[], None);
    for rule in &table::RULES {
        if rule.requires.is_empty() {
            assert_eq!(scope(&nobody, "t1", rule.rpc).unwrap(), Scope::All);
        } else {
            denied(&nobody, "t1", rule.rpc);
        }
    }
}

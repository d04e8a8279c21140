//! Principals, permissions and quotas (spec 08, sections 4 and 5), on a listener where everybody is anonymous.

use std::time::Duration;

use proto::littlehorse::search_principal_request::PrincipalCriteria;
use proto::littlehorse::server_acl::ResourceFilter;
use proto::littlehorse::{
    AclAction, AclResource, DeletePrincipalRequest, DeleteQuotaRequest, Principal, PrincipalId,
    PutPrincipalRequest, PutQuotaRequest, PutTaskDefRequest, PutTenantRequest, QuotaId,
    SearchPrincipalRequest, SearchQuotaRequest, SearchTaskRunRequest, ServerAcLs, ServerAcl,
    TaskDefId, TenantId,
};
use tonic::{Code, Request, Status};

use crate::support::*;

fn acl(resource: AclResource, action: AclAction) -> ServerAcl {
    ServerAcl {
        resources: vec![resource.into()],
        allowed_actions: vec![action.into()],
        resource_filter: None,
    }
}

fn list(acls: &[ServerAcl]) -> ServerAcLs {
    ServerAcLs {
        acls: acls.to_vec(),
    }
}

fn everything() -> ServerAcl {
    acl(AclResource::AclAllResources, AclAction::AllActions)
}

fn global(id: &str, acls: &[ServerAcl]) -> PutPrincipalRequest {
    PutPrincipalRequest {
        id: id.to_owned(),
        global_acls: Some(list(acls)),
        ..PutPrincipalRequest::default()
    }
}

fn of_tenant(id: &str, tenant: &str, acls: &[ServerAcl]) -> PutPrincipalRequest {
    PutPrincipalRequest {
        id: id.to_owned(),
        per_tenant_acls: [(tenant.to_owned(), list(acls))].into(),
        ..PutPrincipalRequest::default()
    }
}

fn id_of(id: &str) -> PrincipalId {
    PrincipalId { id: id.to_owned() }
}

async fn put(client: &mut Client, request: PutPrincipalRequest) -> Principal {
    client.put_principal(request).await.unwrap().into_inner()
}

async fn tenants(client: &mut Client, ids: &[&str]) {
    for id in ids {
        let tenant = PutTenantRequest {
            id: (*id).to_owned(),
            ..PutTenantRequest::default()
        };
        client.put_tenant(tenant).await.unwrap();
    }
}

#[tokio::test]
async fn principals_are_put_read_found_and_deleted() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    tenants(client, &["t1"]).await;
    let task = acl(AclResource::AclTask, AclAction::Read);
    let made = put(client, of_tenant("p1", "t1", std::slice::from_ref(&task))).await;
    assert_eq!(made.global_acls, Some(ServerAcLs::default()));
    assert_eq!(put(client, of_tenant("p1", "t1", &[task])).await, made);
    let other = of_tenant("p1", "t1", &[everything()]);
    // spec 08-12
    refused(
        client.put_principal(other.clone()).await,
        Code::AlreadyExists,
        &["p1", "overwrite"],
    );
    let changed = put(
        client,
        PutPrincipalRequest {
            overwrite: true,
            ..other
        },
    )
    .await;
    assert_eq!(changed.created_at, made.created_at);
    assert_eq!(changed.per_tenant_acls["t1"], list(&[everything()]));
    let got = client.get_principal(id_of("p1")).await.unwrap();
    assert_eq!(got.into_inner(), changed);
    let mut filtered = acl(AclResource::AclTask, AclAction::Run);
    filtered.resource_filter = Some(ResourceFilter::Prefix("pay-".to_owned()));
    put(
        client,
        of_tenant("filtered", "t1", std::slice::from_ref(&filtered)),
    )
    .await;
    let got = client.get_principal(id_of("filtered")).await.unwrap();
    // spec 08-28
    assert_eq!(got.into_inner().per_tenant_acls["t1"].acls, [filtered]);
    // spec 08-10, spec 08-11
    for (request, words) in [
        (of_tenant("p2", "nope", &[everything()]), "nope"),
        (
            of_tenant("p2", "t1", &[acl(AclResource::AclTenant, AclAction::Read)]),
            "Per-Tenant ACLs",
        ),
        (
            of_tenant(
                "p2",
                "t1",
                &[acl(AclResource::AclPrincipal, AclAction::Read)],
            ),
            "Per-Tenant ACLs",
        ),
        (
            of_tenant("p2", "t1", &[acl(AclResource::AclQuota, AclAction::Read)]),
            "Per-Tenant ACLs",
        ),
        (global("", &[]), "id"),
        (global("a/b", &[]), "slashes"),
        (global("a\\b", &[]), "slashes"),
    ] {
        refused(
            client.put_principal(request).await,
            Code::InvalidArgument,
            &[words],
        );
    }
    put(client, global("root", &[everything()])).await;
    let search = |criteria: Option<PrincipalCriteria>| SearchPrincipalRequest {
        principal_criteria: criteria,
        ..SearchPrincipalRequest::default()
    };
    for (criteria, expected) in [
        (None, &["anonymous", "filtered", "p1", "root"][..]),
        (
            Some(PrincipalCriteria::IsAdmin(true)),
            &["anonymous", "root"],
        ),
        (Some(PrincipalCriteria::IsAdmin(false)), &["p1", "filtered"]),
        (
            Some(PrincipalCriteria::TenantId("t1".to_owned())),
            &["p1", "filtered"],
        ),
        (Some(PrincipalCriteria::TenantId("t9".to_owned())), &[]),
    ] {
        let found = client.search_principal(search(criteria)).await.unwrap();
        let found = found.into_inner().results.into_iter();
        let ids: Vec<String> = found.map(|id| id.id).collect();
        assert_eq!(ids, expected);
    }
    let delete = |id: &str| DeletePrincipalRequest {
        id: Some(id_of(id)),
    };
    // spec 08-17, spec 08-20
    refused(
        client.delete_principal(delete("anonymous")).await,
        Code::InvalidArgument,
        &["anonymous", "PutPrincipal"],
    );
    refused(
        client.delete_principal(delete("nobody")).await,
        Code::NotFound,
        &["nobody"],
    );
    client.delete_principal(delete("p1")).await.unwrap();
    refused(
        client.get_principal(id_of("p1")).await,
        Code::NotFound,
        &["p1"],
    );
    server.stop().await;
}

#[tokio::test]
async fn anonymous_loses_its_rights_and_not_the_last_ones() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let stripped = PutPrincipalRequest {
        overwrite: true,
        ..global("anonymous", &[])
    };
    // spec 08-13
    refused(
        client.put_principal(stripped.clone()).await,
        Code::FailedPrecondition,
        &["anonymous", "last admin"],
    );
    put(client, global("root", &[everything()])).await;
    put(client, stripped).await;
    let def = || task_def("t", &[], None);
    // spec 08-14
    refused(
        client.put_task_def(def()).await,
        Code::PermissionDenied,
        &["Missing permissions [WRITE_METADATA] over resources [ACL_TASK]"],
    );
    refused(
        client.get_wf_run(id("r")).await,
        Code::PermissionDenied,
        &["[READ]", "[ACL_WORKFLOW]"],
    );
    let polls = tokio_stream::iter([]);
    let refusal = client.poll_task(polls).await.unwrap_err();
    assert_eq!(refusal.code(), Code::PermissionDenied);
    // spec 08-15
    assert_eq!(
        client.whoami(()).await.unwrap().into_inner().id,
        Some(id_of("anonymous"))
    );
    client.get_server_version(()).await.unwrap();
    // It stays so.
    server.restart().await;
    let client = &mut server.client;
    let refusal = client.put_task_def(def()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::PermissionDenied);
    // Nobody can give them back here: a stopped server would have to be asked.
    refused(
        client
            .put_principal(PutPrincipalRequest {
                overwrite: true,
                ..global("anonymous", &[everything()])
            })
            .await,
        Code::PermissionDenied,
        &["ACL_PRINCIPAL"],
    );
    server.stop().await;
}

#[tokio::test]
async fn rights_end_at_a_filter_and_at_a_tenant() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    tenants(client, &["t1", "t2", "t3"]).await;
    put(client, global("root", &[everything()])).await;
    let no_tasks = acl(AclResource::AclWorkflow, AclAction::AllActions);
    let mut filtered = acl(AclResource::AclTask, AclAction::AllActions);
    filtered.resource_filter = Some(ResourceFilter::Prefix("pay-".to_owned()));
    let request = PutPrincipalRequest {
        overwrite: true,
        per_tenant_acls: [
            ("t1".to_owned(), list(&[filtered])),
            ("t3".to_owned(), list(&[no_tasks])),
        ]
        .into(),
        global_acls: Some(list(&[acl(AclResource::AclTask, AclAction::Read)])),
        ..global("anonymous", &[])
    };
    put(client, request).await;
    fn within<T>(tenant: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let tenant = tenant.parse().unwrap();
        request.metadata_mut().insert("tenantid", tenant);
        request
    }
    let def = |name: &str| task_def(name, &[], None);
    client
        .put_task_def(within("t1", def("pay-out")))
        .await
        .unwrap();
    refused(
        client.put_task_def(within("t1", def("other"))).await,
        Code::PermissionDenied,
        &["ACL_TASK"],
    );
    let get = |name: &str| TaskDefId {
        name: name.to_owned(),
    };
    client
        .get_task_def(within("t1", get("pay-out")))
        .await
        .unwrap();
    // A call over all names is not covered.
    let all = proto::littlehorse::SearchTaskDefRequest::default();
    refused(
        client.search_task_def(within("t1", all)).await,
        Code::PermissionDenied,
        &[],
    );
    let of_def = SearchTaskRunRequest {
        task_def_name: "pay-out".to_owned(),
        ..SearchTaskRunRequest::default()
    };
    client
        .search_task_run(within("t1", of_def.clone()))
        .await
        .unwrap();
    // spec 07-14
    refused(
        client.search_task_run(within("t3", of_def)).await,
        Code::PermissionDenied,
        &["READ", "ACL_TASK"],
    );
    // Elsewhere the global list counts.
    refused(
        client.get_task_def(within("t2", get("pay-out"))).await,
        Code::NotFound,
        &[],
    );
    refused(
        client.put_task_def(within("t2", def("pay-out"))).await,
        Code::PermissionDenied,
        &[],
    );
    server.stop().await;
}

fn quota(tenant: &str, principal: Option<&str>, rate: i32) -> PutQuotaRequest {
    PutQuotaRequest {
        tenant: Some(TenantId {
            id: tenant.to_owned(),
        }),
        principal: principal.map(id_of),
        write_requests_per_second: rate,
    }
}

fn quota_id(tenant: &str, principal: Option<&str>) -> QuotaId {
    QuotaId {
        tenant: Some(TenantId {
            id: tenant.to_owned(),
        }),
        principal: principal.map(id_of),
    }
}

#[tokio::test]
async fn quotas_are_put_read_found_and_deleted() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    tenants(client, &["t1"]).await;
    put(client, global("p", &[])).await;
    for (bad, words) in [
        (quota("t1", None, 0), "greater than zero"),
        (quota("nope", None, 1), "nope"),
        (quota("t1", Some("nobody"), 1), "nobody"),
        (PutQuotaRequest::default(), "tenant"),
    ] {
        // spec 08-36
        refused(client.put_quota(bad).await, Code::InvalidArgument, &[words]);
    }
    let made = client.put_quota(quota("t1", None, 5)).await.unwrap();
    let made = made.into_inner();
    // spec 08-45
    refused(
        client.get_quota(quota_id("t1", Some("p"))).await,
        Code::NotFound,
        &[],
    );
    client.put_quota(quota("t1", Some("p"), 7)).await.unwrap();
    let changed = client.put_quota(quota("t1", None, 6)).await.unwrap();
    let changed = changed.into_inner();
    assert_eq!(changed.created_at, made.created_at);
    let got = client.get_quota(quota_id("t1", None)).await.unwrap();
    assert_eq!(got.into_inner(), changed);
    let search = |tenant: Option<&str>, principal: Option<&str>| SearchQuotaRequest {
        tenant_id: tenant.map(str::to_owned),
        principal: principal.map(id_of),
        ..SearchQuotaRequest::default()
    };
    let both = vec![quota_id("t1", None), quota_id("t1", Some("p"))];
    for (request, expected) in [
        (search(None, None), both.clone()),
        (search(Some("t1"), None), both.clone()),
        (search(Some("t1"), Some("p")), both[1..].to_vec()),
        (search(Some("t2"), None), vec![]),
    ] {
        let found = client.search_quota(request).await.unwrap();
        // spec 08-43, spec 07-43
        assert_eq!(found.into_inner().results, expected);
    }
    refused(
        client.search_quota(search(None, Some("p"))).await,
        Code::InvalidArgument,
        &["tenant_id"],
    );
    let delete = |id: QuotaId| DeleteQuotaRequest { id: Some(id) };
    client.delete_quota(delete(both[0].clone())).await.unwrap();
    refused(
        client.delete_quota(delete(both[0].clone())).await,
        Code::NotFound,
        &[],
    );
    server.stop().await;
}

fn refusals(answers: &[Result<(), Status>]) -> Vec<&Status> {
    answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect()
}

/// So many writes at once.
async fn writes(client: &Client, count: usize) -> Vec<Result<(), Status>> {
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..count {
        let mut client = client.clone();
        calls.spawn(async move {
            let def: PutTaskDefRequest = task_def(&format!("t-{n}"), &[], None);
            client.put_task_def(def).await.map(|_| ())
        });
    }
    calls.join_all().await
}

#[tokio::test]
async fn writes_are_held_to_their_quota_and_reads_are_not() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client
        .put_quota(quota("default", None, 1000))
        .await
        .unwrap();
    // spec 08-39
    assert_eq!(refusals(&writes(client, 20).await).len(), 0);
    client.put_quota(quota("default", None, 2)).await.unwrap();
    let answers = writes(client, 6).await;
    let refused = refusals(&answers);
    assert!(!refused.is_empty());
    for status in refused {
        use tonic_types::StatusExt;
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().starts_with("Quota exceeded."), "{status}");
        let details = status.get_error_details();
        let delay = details.retry_info().and_then(|info| info.retry_delay);
        let delay = delay.expect("a delay");
        // spec 08-37
        assert!(
            !delay.is_zero() && delay.as_millis() % 500 == 0,
            "{delay:?}"
        );
    }
    // spec 08-41
    for _ in 0..20 {
        let search = proto::littlehorse::SearchWfSpecRequest::default();
        client.search_wf_spec(search).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    // spec 08-38
    assert_eq!(refusals(&writes(client, 1).await).len(), 0);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let delete = DeleteQuotaRequest {
        id: Some(quota_id("default", None)),
    };
    client.delete_quota(delete).await.unwrap();
    // spec 08-42
    assert_eq!(refusals(&writes(client, 50).await).len(), 0);
    // One of the caller's own, beside a wide one of the tenant.
    client.put_quota(quota("default", None, 100)).await.unwrap();
    let own = quota("default", Some("anonymous"), 2);
    client.put_quota(own).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let answers = writes(client, 2).await;
    // spec 08-40
    assert_eq!(refusals(&answers).len(), 1);
    server.stop().await;
}

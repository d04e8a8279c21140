//! TaskDefs, ExternalEventDefs and tenants (spec 01, sections 1 to 5; spec 08, section 2).

use proto::littlehorse::external_event_retention_policy::ExtEvtGcPolicy;
use proto::littlehorse::output_topic_config::OutputTopicRecordingLevel;
use proto::littlehorse::{
    CorrelatedEventConfig, DeleteExternalEventDefRequest, DeleteTaskDefRequest, DeleteWfRunRequest,
    DeleteWfSpecRequest, ExternalEventDefId, ExternalEventRetentionPolicy, OutputTopicConfig,
    PutExternalEventDefRequest, PutTaskDefRequest, PutTenantRequest, SearchExternalEventDefRequest,
    SearchTaskDefRequest, SearchTenantRequest, SearchWfSpecRequest, TaskDefId, TenantId,
    VariableDef, VariableType, WfSpecId,
};
use tonic::Code;

use crate::support::*;

fn task_def_id(name: &str) -> TaskDefId {
    TaskDefId {
        name: name.to_owned(),
    }
}

fn event_def_id(name: &str) -> ExternalEventDefId {
    ExternalEventDefId {
        name: name.to_owned(),
    }
}

fn wf_spec_id(name: &str, major_version: i32, revision: i32) -> WfSpecId {
    WfSpecId {
        name: name.to_owned(),
        major_version,
        revision,
    }
}

async fn delete_task_def(client: &mut Client, name: &str) -> Result<(), tonic::Status> {
    let id = Some(task_def_id(name));
    client
        .delete_task_def(DeleteTaskDefRequest { id })
        .await
        .map(|_| ())
}

#[tokio::test]
async fn names_are_hostnames_and_each_kind_has_its_own() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let long = "n".repeat(300);
    // spec 01-1
    for good in ["Abc-1", "a", "9x", long.as_str()] {
        client.define_task(task_def(good, &[], None)).await;
        client.define_event(good).await;
        client.define(sequence(good, vec![], vec![])).await;
    }
    for bad in ["-a", "a-", "a_b", "a.b", "", "a b", "a/b", "ä"] {
        let words = ["name must be a valid hostname"];
        let task = client.put_task_def(task_def(bad, &[], None)).await;
        refused(task, Code::InvalidArgument, &words);
        let event = client.put_external_event_def(event_def(bad, None)).await;
        refused(event, Code::InvalidArgument, &words);
        let spec = client.put_wf_spec(sequence(bad, vec![], vec![])).await;
        refused(spec, Code::InvalidArgument, &words);
        // A malformed name is simply not there.
        let get = client.get_task_def(task_def_id(bad)).await;
        refused(get, Code::NotFound, &[]);
    }
    // spec 01-2
    client.define_task(task_def("x", &[], None)).await;
    client.define(sequence("x", vec![], vec![])).await;
    let upper = task_def("X", &[], Some(VariableType::Int));
    client.define_task(upper).await;
    let found = client.get_task_def(task_def_id("x")).await.unwrap();
    assert_eq!(found.into_inner().return_type, Some(returns(None)));
    server.stop().await;
}

#[tokio::test]
async fn a_task_def_never_changes() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let request = PutTaskDefRequest {
        description: Some("greets".to_owned()),
        ..task_def("greet", &[var_def("who", VariableType::Str)], None)
    };
    let first = client.put_task_def(request.clone()).await.unwrap();
    let first = first.into_inner();
    assert!(millis(first.created_at) > 0);
    assert_eq!(first.return_type, Some(returns(None)), "void is present");
    // spec 01-4
    let again = client.put_task_def(request.clone()).await.unwrap();
    assert_eq!(again.into_inner(), first);
    // Not sent and empty are the same; the older form of a type is the same type.
    let older = PutTaskDefRequest {
        return_type: None,
        input_vars: vec![VariableDef {
            r#type: Some(VariableType::Str.into()),
            type_def: None,
            ..var_def("who", VariableType::Str)
        }],
        ..request.clone()
    };
    let again = client.put_task_def(older).await.unwrap();
    assert_eq!(again.into_inner(), first);
    let masked = VariableDef {
        masked_value: Some(true),
        r#type: Some(VariableType::Str.into()),
        ..var_def("who", VariableType::Str)
    };
    let others = [
        vec![var_def("who", VariableType::Int)],
        vec![var_def("whom", VariableType::Str)],
        vec![masked],
        vec![],
    ]
    .map(|input_vars| PutTaskDefRequest {
        input_vars,
        ..request.clone()
    });
    let returning = PutTaskDefRequest {
        return_type: Some(returns(Some(VariableType::Str))),
        ..request.clone()
    };
    let undescribed = PutTaskDefRequest {
        description: None,
        ..request.clone()
    };
    for other in others.into_iter().chain([returning, undescribed]) {
        let answer = client.put_task_def(other).await;
        // spec 01-5
        let status = answer.expect_err("it was changed");
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(
            status.message(),
            "TaskDef [greet] already exists and is immutable."
        );
    }
    let stored = client.get_task_def(task_def_id("greet")).await.unwrap();
    assert_eq!(stored.into_inner(), first);
    server.restart().await;
    let stored = server.client.get_task_def(task_def_id("greet")).await;
    assert_eq!(stored.unwrap().into_inner(), first);
    server.stop().await;
}

#[tokio::test]
async fn an_external_event_def_is_replaced_as_a_whole() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let full = PutExternalEventDefRequest {
        retention_policy: Some(ExternalEventRetentionPolicy {
            ext_evt_gc_policy: Some(ExtEvtGcPolicy::SecondsAfterPut(1 << 40)),
        }),
        correlated_event_config: Some(CorrelatedEventConfig {
            ttl_seconds: Some(60),
            delete_after_first_correlation: true,
        }),
        ..event_def("go", Some(returns(Some(VariableType::Str))))
    };
    let first = client.put_external_event_def(full.clone()).await.unwrap();
    let first = first.into_inner();
    assert_eq!(first.retention_policy, full.retention_policy);
    assert_eq!(first.correlated_event_config, full.correlated_event_config);
    let plain = event_def("go", Some(returns(Some(VariableType::Int))));
    let second = until(|| {
        // Until the clock has moved on.
        let (mut client, plain, before) = (client.clone(), plain.clone(), first.created_at);
        async move {
            let put = client.put_external_event_def(plain).await.unwrap();
            let put = put.into_inner();
            (millis(put.created_at) > millis(before)).then_some(put)
        }
    })
    .await;
    let stored = client.get_external_event_def(event_def_id("go")).await;
    // spec 01-9
    assert_eq!(stored.unwrap().into_inner(), second);
    let int = Some(returns(Some(VariableType::Int)));
    assert_eq!(second.type_information, int);
    assert_eq!(second.correlated_event_config, None);
    let forever = Some(ExternalEventRetentionPolicy::default());
    assert_eq!(second.retention_policy, forever);
    // spec 01-10
    for content_type in [None, Some(returns(None))] {
        let put = client.put_external_event_def(event_def("go", content_type.clone()));
        let put = put.await.unwrap().into_inner();
        assert_eq!(put.type_information, content_type);
    }
    server.stop().await;
}

#[tokio::test]
async fn each_write_sees_the_ones_before() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let node = || proto::littlehorse::node::Node::Task(task("t", vec![]));
    let spec = || sequence("s", vec![], vec![node()]);
    for _ in 0..20 {
        client.define_task(task_def("t", &[], None)).await;
        let id = client.define(spec()).await.id;
        // spec 01-8, 01-28
        assert_eq!(id, Some(wf_spec_id("s", 0, 0)), "numbers begin anew");
        client
            .delete_wf_spec(DeleteWfSpecRequest { id })
            .await
            .unwrap();
        delete_task_def(client, "t").await.unwrap();
        let missing = client.put_wf_spec(spec()).await;
        refused(missing, Code::InvalidArgument, &["TaskDef t"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    client.define_event("e").await;
    client.define(sequence("s", vec![], vec![])).await;
    let wrong = DeleteWfSpecRequest {
        id: Some(wf_spec_id("s", 0, 1)),
    };
    let answer = client.delete_wf_spec(wrong).await;
    refused(answer, Code::NotFound, &["WfSpec", "s/00000/00001"]);
    delete_task_def(client, "t").await.unwrap();
    let event = DeleteExternalEventDefRequest {
        id: Some(event_def_id("e")),
    };
    client
        .delete_external_event_def(event.clone())
        .await
        .unwrap();
    let spec = DeleteWfSpecRequest {
        id: Some(wf_spec_id("s", 0, 0)),
    };
    client.delete_wf_spec(spec.clone()).await.unwrap();
    // spec 01-13
    let answer = client
        .delete_task_def(DeleteTaskDefRequest {
            id: Some(task_def_id("t")),
        })
        .await;
    refused(answer, Code::NotFound, &["TaskDef", "t"]);
    let answer = client.delete_external_event_def(event).await;
    refused(answer, Code::NotFound, &["ExternalEventDef", "e"]);
    refused(
        client.delete_wf_spec(spec).await,
        Code::NotFound,
        &["WfSpec", "s"],
    );
    refused(
        client.get_task_def(task_def_id("t")).await,
        Code::NotFound,
        &[],
    );
    let answer = client.get_external_event_def(event_def_id("e")).await;
    refused(answer, Code::NotFound, &[]);
    let answer = client.get_wf_spec(wf_spec_id("s", 0, 0)).await;
    refused(answer, Code::NotFound, &[]);
    assert!(
        SearchTaskDefRequest::default()
            .found(client)
            .await
            .is_empty()
    );
    assert!(
        SearchExternalEventDefRequest::default()
            .found(client)
            .await
            .is_empty()
    );
    assert!(
        SearchWfSpecRequest::default()
            .found(client)
            .await
            .is_empty()
    );
    server.stop().await;
}

#[tokio::test]
async fn definitions_are_found_by_prefix_page_by_page() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let names = ["P-0", "a", "p", "p-1", "p-2", "p-3", "p-30", "p0", "q", "z"];
    for name in names.iter().rev() {
        client.define_task(task_def(name, &[], None)).await;
        client.define_event(name).await;
    }
    let tasks = |prefix: &str| SearchTaskDefRequest {
        prefix: Some(prefix.to_owned()),
        ..SearchTaskDefRequest::default()
    };
    let events = |prefix: &str| SearchExternalEventDefRequest {
        prefix: Some(prefix.to_owned()),
        ..SearchExternalEventDefRequest::default()
    };
    for limit in 1..=12 {
        let found = SearchTaskDefRequest::default().paged(client, limit).await;
        let found: Vec<String> = found.into_iter().flatten().map(|id| id.name).collect();
        // spec 07-1: each once, in byte order; `paged` looks at the pages' sizes.
        assert_eq!(found, names);
    }
    let cases: [(&str, &[&str]); 6] = [
        ("p-", &["p-1", "p-2", "p-3", "p-30"]),
        ("p", &["p", "p-1", "p-2", "p-3", "p-30", "p0"]),
        ("p-3", &["p-3", "p-30"]),
        ("P", &["P-0"]),
        ("p-4", &[]),
        ("", &names),
    ];
    for (prefix, expected) in cases {
        for limit in [1, 2, 100] {
            let found = tasks(prefix).paged(client, limit).await.concat();
            let found: Vec<_> = found.into_iter().map(|id| id.name).collect();
            assert_eq!(found, expected, "{prefix}");
            let found = events(prefix).paged(client, limit).await.concat();
            let found: Vec<_> = found.into_iter().map(|id| id.name).collect();
            assert_eq!(found, expected, "{prefix}");
        }
    }
    // spec 07-2
    delete_task_def(client, "p-30").await.unwrap();
    let page = tasks("p-").with(Some(3), None).ask(client.clone()).await;
    let (page, bookmark) = page.unwrap();
    assert_eq!((page.len(), bookmark), (3, None));
    server.stop().await;
}

#[tokio::test]
async fn tenants_keep_their_objects_apart() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let put = |id: &str, config| PutTenantRequest {
        id: id.to_owned(),
        output_topic_config: config,
    };
    let get = |id: &str| TenantId { id: id.to_owned() };
    // spec 08-2
    let default = client
        .get_tenant(get("default"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (default.id, default.output_topic_config),
        (Some(get("default")), None)
    );
    // spec 08-6
    for bad in ["", "1abc", "a/b", "a\\b", "-a", "a-", "a.b"] {
        let answer = client.put_tenant(put(bad, None)).await;
        refused(answer, Code::InvalidArgument, &["valid hostname", "digit"]);
    }
    client.put_tenant(put("Abc-1", None)).await.unwrap();
    // spec 08-7
    let mut config = OutputTopicConfig::default();
    config.set_default_recording_level(OutputTopicRecordingLevel::NoEntityEvents);
    let with = client.put_tenant(put("t1", Some(config))).await.unwrap();
    let with = with.into_inner();
    assert_eq!(with.output_topic_config, Some(config));
    client.put_tenant(put("t1", None)).await.unwrap();
    let without = client.get_tenant(get("t1")).await.unwrap().into_inner();
    assert_eq!(without.output_topic_config, None);
    assert_eq!(without.created_at, with.created_at);
    // spec 08-9
    for limit in 1..4 {
        let found = SearchTenantRequest::default().paged(client, limit).await;
        let found: Vec<_> = found.into_iter().flatten().map(|id| id.id).collect();
        assert_eq!(found, ["Abc-1", "default", "t1"]);
    }
    refused(client.get_tenant(get("t2")).await, Code::NotFound, &[]);
    // spec 08-4
    client.define_task(task_def("a", &[], None)).await;
    let id = || task_def_id("a");
    client
        .get_task_def(in_tenant("default", id()))
        .await
        .unwrap();
    let answer = client.get_task_def(in_tenant("t1", id())).await;
    refused(answer, Code::NotFound, &[]);
    // spec 07-13
    let search = SearchTaskDefRequest::default();
    let found = client.search_task_def(in_tenant("t1", search)).await;
    assert!(found.unwrap().into_inner().results.is_empty());
    // spec 08-5: `lhctl` sends the header twice.
    let spec = sequence("s", vec![], vec![]);
    client
        .put_wf_spec(in_tenant("t1", spec.clone()))
        .await
        .unwrap();
    let mut twice = in_tenant("t1", SearchWfSpecRequest::default());
    twice
        .metadata_mut()
        .append("tenantid", "t1".parse().unwrap());
    let found = client.search_wf_spec(twice).await.unwrap().into_inner();
    assert_eq!(found.results, [wf_spec_id("s", 0, 0)]);
    // spec 08-8
    client.put_wf_spec(spec).await.unwrap();
    let run = || run_request("s", "r1", &[]);
    client.run_wf(run()).await.unwrap();
    client.run_wf(in_tenant("t1", run())).await.unwrap();
    let delete = DeleteWfRunRequest {
        id: Some(id_of("r1")),
    };
    client.delete_wf_run(in_tenant("t1", delete)).await.unwrap();
    client.get_wf_run(id_of("r1")).await.unwrap();
    let gone = client.get_wf_run(in_tenant("t1", id_of("r1"))).await;
    refused(gone, Code::NotFound, &[]);
    // The only run left is that of the other tenant.
    let found = client.search_wf_run(in_tenant("t1", runs_of("s"))).await;
    assert!(found.unwrap().into_inner().results.is_empty());
    assert_eq!(texts(&runs_of("s").found(client).await), ["r1"]);
    server.stop().await;
}

fn id_of(run: &str) -> proto::littlehorse::WfRunId {
    crate::support::id(run)
}

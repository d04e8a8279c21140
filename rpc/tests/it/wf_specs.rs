//! The versions of WfSpecs, and what happens to runs when definitions go (spec 01, sections 9 and 12).

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::workflow_retention_policy::WfGcPolicy;
use proto::littlehorse::{
    AllowedUpdateType, DeleteTaskDefRequest, DeleteWfSpecRequest, GetLatestWfSpecRequest, LhStatus,
    PutWfSpecRequest, SearchWfSpecRequest, TaskDefId, TaskNode, ThreadVarDef, VariableType, WfSpec,
    WfSpecId, WorkflowRetentionPolicy, search_wf_spec_request, task_node,
};
use tonic::Code;

use crate::support::*;

const INT: VariableType = VariableType::Int;
const STR: VariableType = VariableType::Str;

/// A name, a major version and a revision.
type Version = (&'static str, (i32, i32));

fn version(spec: &WfSpec) -> (i32, i32) {
    let id = spec.id.as_ref().unwrap();
    (id.major_version, id.revision)
}

fn wf_spec_id(name: &str, (major_version, revision): (i32, i32)) -> WfSpecId {
    WfSpecId {
        name: name.to_owned(),
        major_version,
        revision,
    }
}

fn allowing(allowed: AllowedUpdateType, request: &PutWfSpecRequest) -> PutWfSpecRequest {
    PutWfSpecRequest {
        allowed_updates: allowed.into(),
        ..request.clone()
    }
}

async fn delete(client: &mut Client, name: &str, version: (i32, i32)) {
    let id = Some(wf_spec_id(name, version));
    client
        .delete_wf_spec(DeleteWfSpecRequest { id })
        .await
        .unwrap();
}

async fn latest(
    client: &mut Client,
    name: &str,
    major_version: Option<i32>,
) -> Result<(i32, i32), Code> {
    let request = GetLatestWfSpecRequest {
        name: name.to_owned(),
        major_version,
    };
    match client.get_latest_wf_spec(request).await {
        Ok(found) => Ok(version(&found.into_inner())),
        Err(status) => Err(status.code()),
    }
}

#[tokio::test]
async fn what_changes_decides_the_version() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let x = |access: fn(proto::littlehorse::VariableDef) -> ThreadVarDef| {
        vec![access(var_def("x", INT))]
    };
    let first = sequence("s", vec![], vec![]);
    let made = client.define(first.clone()).await;
    assert_eq!(version(&made), (0, 0));
    for allowed in [
        AllowedUpdateType::AllUpdates,
        AllowedUpdateType::MinorRevisionUpdates,
        AllowedUpdateType::NoUpdates,
    ] {
        // spec 01-21
        assert_eq!(client.define(allowing(allowed, &first)).await, made);
    }
    // An unknown number is as good as none.
    let odd = PutWfSpecRequest {
        allowed_updates: 77,
        ..first.clone()
    };
    assert_eq!(client.define(odd).await, made);
    let next = |vars: Vec<ThreadVarDef>, nops: usize| sequence("s", vars, vec![nop(); nops]);
    let with_required = next(
        vec![private(var_def("x", INT)), required(var_def("y", INT))],
        0,
    );
    // spec 01-23
    let answer = client
        .put_wf_spec(allowing(AllowedUpdateType::NoUpdates, &next(x(private), 0)))
        .await;
    let status = answer.expect_err("it was updated");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(status.message(), "WfSpec already exists.");
    let minor = AllowedUpdateType::MinorRevisionUpdates;
    let answer = client.put_wf_spec(allowing(minor, &with_required)).await;
    let status = answer.expect_err("it was updated");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        status.message(),
        "The resulting WfSpec has a breaking change."
    );
    assert_eq!(latest(client, "s", None).await, Ok((0, 0)));
    // spec 01-22
    let made = client.define(allowing(minor, &next(x(private), 0))).await;
    assert_eq!(version(&made), (0, 1));
    let made = client.define(with_required.clone()).await;
    assert_eq!(version(&made), (1, 0));
    let mut more_nodes = next(
        vec![private(var_def("x", INT)), required(var_def("y", INT))],
        1,
    );
    let made = client.define(more_nodes.clone()).await;
    assert_eq!(version(&made), (1, 1));
    // spec 01-30
    more_nodes.retention_policy = Some(WorkflowRetentionPolicy {
        wf_gc_policy: Some(WfGcPolicy::SecondsAfterWfTermination(9)),
    });
    let made = client.define(more_nodes).await;
    assert_eq!(version(&made), (1, 2));
    // The content of an older version is a new version.
    let made = client.define(with_required).await;
    assert_eq!(version(&made), (1, 3));
    server.restart().await;
    assert_eq!(latest(&mut server.client, "s", None).await, Ok((1, 3)));
    server.stop().await;
}

#[tokio::test]
async fn a_change_of_what_others_see_is_a_major_one() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let var = |def: ThreadVarDef| sequence("v", vec![def], vec![]);
    let searchable = |def: ThreadVarDef| ThreadVarDef {
        searchable: true,
        ..def
    };
    let x = || var_def("x", INT);
    // Scenario 25 of spec 01, but for inherited variables.
    for (request, expected) in [
        (var(private(x())), (0, 0)),
        (var(searchable(private(x()))), (0, 1)),
        (var(optional(x())), (1, 0)),
        (var(searchable(optional(x()))), (2, 0)),
        (var(private(x())), (3, 0)),
    ] {
        assert_eq!(version(&client.define(request).await), expected);
    }
    let exit = |kind: Option<Kind>| {
        let (name, exit) = match kind {
            Some(kind) => ("exit".to_owned(), node(kind, vec![])),
            None => exit(),
        };
        let vars = vec![private(var_def("s", STR)), private(var_def("i", INT))];
        thread("out", vars, BTreeMap::from([entry("exit"), (name, exit)]))
    };
    // spec 01-24
    for (request, expected) in [
        (exit(None), (0, 0)),
        (exit(Some(returning(literal(text("a"))))), (1, 0)),
        (exit(Some(returning(literal(text("b"))))), (1, 1)),
        (exit(Some(returning(variable("s")))), (1, 2)),
        (exit(Some(returning(variable("i")))), (2, 0)),
        (exit(Some(returning(cast(variable("i"), STR)))), (3, 0)),
        (exit(Some(throwing("my-failure"))), (4, 0)),
        (exit(None), (4, 1)),
    ] {
        assert_eq!(version(&client.define(request).await), expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_type_of_an_output_that_is_gone_is_another_type() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let spec = |nops: usize| {
        let mut nodes = vec![Kind::Task(task("t", vec![]))];
        nodes.extend(vec![nop(); nops]);
        let mut spec = sequence("s", vec![], nodes);
        let thread = spec.thread_specs.get_mut("main").unwrap();
        thread.nodes.get_mut("exit").unwrap().node = Some(returning(output_of("1")));
        spec
    };
    client.define_task(task_def("t", &[], Some(STR))).await;
    assert_eq!(version(&client.define(spec(0)).await), (0, 0));
    assert_eq!(version(&client.define(spec(1)).await), (0, 1));
    let id = Some(TaskDefId {
        name: "t".to_owned(),
    });
    client
        .delete_task_def(DeleteTaskDefRequest { id })
        .await
        .unwrap();
    client.define_task(task_def("t", &[], Some(INT))).await;
    // The TaskDef of the version before is not what it was: the next one cannot tell, and both see an INT now.
    assert_eq!(version(&client.define(spec(2)).await), (0, 2));
    let id = Some(TaskDefId {
        name: "t".to_owned(),
    });
    client
        .delete_task_def(DeleteTaskDefRequest { id })
        .await
        .unwrap();
    // Spec 01, section 9.5: unknown, and so different from every known type.
    let mut without = sequence("s", vec![], vec![]);
    let thread = without.thread_specs.get_mut("main").unwrap();
    thread.nodes.get_mut("exit").unwrap().node = Some(returning(literal(text("a"))));
    assert_eq!(version(&client.define(without).await), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_dropped_variable_keeps_its_type() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let with = |kind| sequence("f", vec![optional(var_def("x", kind))], vec![]);
    let without = || sequence("f", vec![private(var_def("y", INT))], vec![]);
    client.define(with(STR)).await;
    let dropped = client.define(without()).await;
    assert_eq!(version(&dropped), (1, 0));
    // spec 01-26
    let answer = client.put_wf_spec(with(INT)).await;
    refused(answer, Code::InvalidArgument, &["x", "STR", "INT"]);
    let answer = client
        .put_wf_spec(sequence("f", vec![private(var_def("x", INT))], vec![]))
        .await;
    refused(answer, Code::InvalidArgument, &["x", "STR", "INT"]);
    assert_eq!(latest(client, "f", None).await, Ok((1, 0)));
    let back = client.define(with(STR)).await;
    assert_eq!(version(&back), (2, 0));
    // spec 01-31
    let names = |spec: &WfSpec| -> Vec<String> {
        let frozen = spec.frozen_variables.iter();
        frozen
            .map(|def| def.var_def.clone().unwrap().name)
            .collect()
    };
    assert_eq!(names(&dropped), ["x"], "it is still frozen");
    let mixed = sequence(
        "f",
        vec![
            required(var_def("r", INT)),
            ThreadVarDef {
                required: true,
                ..private(var_def("rp", INT))
            },
            private(var_def("p", INT)),
            optional(var_def("o", INT)),
        ],
        vec![],
    );
    let mut found = names(&client.define(mixed).await);
    found.sort();
    assert_eq!(found, ["o", "r", "rp", "x"]);
    // Neither required nor public any more: no longer frozen.
    let hidden = sequence("f", vec![private(var_def("x", STR))], vec![]);
    assert!(!names(&client.define(hidden).await).contains(&"x".to_owned()));
    client
        .define(sequence("f", vec![private(var_def("x", INT))], vec![]))
        .await;
    server.stop().await;
}

#[tokio::test]
async fn versions_are_found_by_number_and_used_again() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let y = || vec![required(var_def("y", INT))];
    for (vars, nops) in [(vec![], 0), (vec![], 1), (y(), 1)] {
        client.define(sequence("s", vars, vec![nop(); nops])).await;
    }
    // spec 01-27
    assert_eq!(latest(client, "s", None).await, Ok((1, 0)));
    assert_eq!(latest(client, "s", Some(0)).await, Ok((0, 1)));
    assert_eq!(latest(client, "s", Some(7)).await, Err(Code::NotFound));
    assert_eq!(latest(client, "S", None).await, Err(Code::NotFound));
    for (asked, there) in [
        ((0, 0), true),
        ((0, 1), true),
        ((0, 2), false),
        ((2, 0), false),
    ] {
        let found = client.get_wf_spec(wf_spec_id("s", asked)).await;
        assert_eq!(found.is_ok(), there, "{asked:?}");
    }
    // spec 01-28
    delete(client, "s", (1, 0)).await;
    delete(client, "s", (0, 1)).await;
    let made = client.define(sequence("s", vec![], vec![nop(); 5])).await;
    assert_eq!(version(&made), (0, 1));
    delete(client, "s", (0, 0)).await;
    assert_eq!(latest(client, "s", None).await, Ok((0, 1)));
    delete(client, "s", (0, 1)).await;
    let made = client.define(sequence("s", y(), vec![])).await;
    assert_eq!(version(&made), (0, 0));
    // Numbers are numbers: 0.10 is above 0.9.
    for nops in 1..=12 {
        client.define(sequence("s", y(), vec![nop(); nops])).await;
    }
    assert_eq!(latest(client, "s", None).await, Ok((0, 12)));
    server.stop().await;
}

#[tokio::test]
async fn wf_specs_are_searched_by_name_prefix_and_task_def() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    client.define_task(task_def("other", &[], None)).await;
    let uses = |name: &str, times: usize| {
        sequence(name, vec![], vec![Kind::Task(task("t", vec![])); times])
    };
    let dynamic = Kind::Task(TaskNode {
        task_to_execute: Some(task_node::TaskToExecute::DynamicTask(literal(text("t")))),
        ..TaskNode::default()
    });
    // In an order that is not that of the names; each a little later than the one before.
    let mut created = 0;
    for request in [
        uses("order", 1),
        uses("order-x", 2),
        uses("b", 1),
        uses("order", 2),
        uses("a", 1),
        sequence("order", vec![], vec![]),
        sequence("dynamic", vec![], vec![dynamic]),
    ] {
        let before = created;
        created = until(|| {
            // A metadata object of no interest, until the clock has moved on.
            let mut client = client.clone();
            async move {
                let event = client.put_external_event_def(event_def("tick", None)).await;
                let now = millis(event.unwrap().into_inner().created_at);
                (now > before).then_some(now)
            }
        })
        .await;
        created = created.max(millis(client.define(request).await.created_at));
    }
    type By = search_wf_spec_request::WfSpecCriteria;
    let search = |by: By| SearchWfSpecRequest {
        wf_spec_criteria: Some(by),
        ..SearchWfSpecRequest::default()
    };
    let all = [
        ("a", (0, 0)),
        ("b", (0, 0)),
        ("dynamic", (0, 0)),
        ("order", (0, 0)),
        ("order", (0, 1)),
        ("order", (0, 2)),
        ("order-x", (0, 0)),
    ];
    let by_age = [
        ("order", (0, 0)),
        ("order-x", (0, 0)),
        ("b", (0, 0)),
        ("order", (0, 1)),
        ("a", (0, 0)),
    ];
    let orders = &all[3..6];
    let cases: [(By, &[Version]); 9] = [
        (By::Name("order".to_owned()), orders),
        (By::Name("ord".to_owned()), &[]),
        (By::Name(String::new()), &all),
        (By::Prefix("order".to_owned()), &all[3..]),
        (By::Prefix("order-".to_owned()), &all[6..]),
        (By::Prefix(String::new()), &all),
        // spec 07-42
        (By::TaskDefName("t".to_owned()), &by_age),
        (By::TaskDefName("other".to_owned()), &[]),
        (By::TaskDefName("nope".to_owned()), &[]),
    ];
    for (by, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, version)| wf_spec_id(name, *version))
            .collect();
        for limit in [1, 2, 3, 100] {
            let found = search(by.clone()).paged(client, limit).await.concat();
            assert_eq!(found, expected, "{by:?} by {limit}");
        }
    }
    let found = SearchWfSpecRequest::default().found(client).await;
    assert_eq!(found.len(), all.len());
    server.stop().await;
}

#[tokio::test]
async fn runs_outlive_their_definitions() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client.define_task(task_def("t", &[], None)).await;
    let nodes = || vec![event("go"), Kind::Task(task("t", vec![]))];
    client.define(sequence("s", vec![], nodes())).await;
    for run in ["a", "b", "c"] {
        client.run("s", run).await;
    }
    delete(client, "s", (0, 0)).await;
    // spec 01-59
    assert_eq!(client.wf_run("a").await.status(), LhStatus::Running);
    let exact = proto::littlehorse::RunWfRequest {
        major_version: Some(0),
        revision: Some(0),
        ..run_request("s", "d", &[])
    };
    refused(client.run_wf(exact).await, Code::NotFound, &["WfSpec", "s"]);
    // The version is kept for its runs (spec 03, D35), also when its number is taken again.
    client.define(sequence("s", vec![], vec![nop()])).await;
    client
        .put_external_event(put_event("a", "go", "g", int(1)))
        .await
        .unwrap();
    let task = client.claim("t").await;
    client.report(success(&task, None)).await;
    let run = client.wf_run("a").await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(run.thread_runs[0].current_node_position, 3);
    // spec 01-60
    let id = Some(TaskDefId {
        name: "t".to_owned(),
    });
    client
        .delete_task_def(DeleteTaskDefRequest { id })
        .await
        .unwrap();
    client
        .put_external_event(put_event("b", "go", "g", int(1)))
        .await
        .unwrap();
    assert_eq!(client.wf_run("b").await.status(), LhStatus::Error);
    let failed = client.node_run("b", 2).await;
    assert_eq!(failed.status(), LhStatus::Error);
    assert_eq!(failed.failures[0].failure_name, "TASK_ERROR");
    assert!(failed.failures[0].message.contains("TaskDef t"));
    // A restart changes nothing about it.
    server.restart().await;
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    client
        .put_external_event(put_event("c", "go", "g", int(1)))
        .await
        .unwrap();
    let task = client.claim("t").await;
    client.report(success(&task, None)).await;
    assert_eq!(client.wf_run("c").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_parent_is_named_by_its_major_version() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let child = |major| PutWfSpecRequest {
        parent_wf_spec: Some(ParentWfSpecReference {
            wf_spec_name: "parent".to_owned(),
            wf_spec_major_version: major,
        }),
        ..sequence("child", vec![], vec![])
    };
    let missing = client.put_wf_spec(child(0)).await;
    refused(missing, Code::InvalidArgument, &["parent"]);
    for nops in 0..2 {
        client
            .define(sequence("parent", vec![], vec![nop(); nops]))
            .await;
    }
    let made = client.define(child(0)).await;
    assert_eq!(made.parent_wf_spec, child(0).parent_wf_spec);
    let missing = client.put_wf_spec(child(1)).await;
    refused(missing, Code::InvalidArgument, &["parent"]);
    // Revision 0 is what counts (spec 01, section 12).
    delete(client, "parent", (0, 0)).await;
    let missing = client.put_wf_spec(child(0)).await;
    refused(missing, Code::InvalidArgument, &["parent"]);
    server.stop().await;
}

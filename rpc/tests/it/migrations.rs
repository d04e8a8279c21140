//! Moving running WfRuns to another version (spec 01, section 11.2 and 11.3; spec 03, section 12).

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    ApplyWorkflowMigrationPlanRequest, LhStatus, MigrationVars, NodeMigrationPlan, NodeRunId,
    PutWorkflowMigrationPlanRequest, StartThreadNode, ThreadMigrationPlanRequest, ThreadSpec,
    VariableAssignment, VariableType, VariableValue, WfRun, WfSpecId, WorkflowMigrationPlanId,
};
use tonic::{Code, Response, Status};

use crate::support::*;

fn version(revision: i32) -> WfSpecId {
    WfSpecId {
        name: "w".to_owned(),
        major_version: 0,
        revision,
    }
}

/// Old thread, new thread, old and new nodes.
type Moved<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Moves threads from revision 0 to 1.
async fn put_plan(client: &mut Client, name: &str, threads: &[Moved<'_>]) {
    let thread_migrations = threads.iter().map(|(old, new, nodes)| {
        let node_migrations = nodes.iter().map(|(old, new)| {
            let plan = NodeMigrationPlan {
                new_node_name: (*new).to_owned(),
            };
            ((*old).to_owned(), plan)
        });
        let thread = ThreadMigrationPlanRequest {
            new_thread_name: (*new).to_owned(),
            node_migrations: node_migrations.collect(),
        };
        ((*old).to_owned(), thread)
    });
    let plan = PutWorkflowMigrationPlanRequest {
        name: name.to_owned(),
        old_wf_spec: Some(version(0)),
        major_version: 0,
        revision: 1,
        thread_migrations: thread_migrations.collect(),
    };
    client.put_workflow_migration_plan(plan).await.unwrap();
}

type Vars<'a> = &'a [(&'a str, &'a str, VariableAssignment)];

async fn apply(
    client: &mut Client,
    plan: &str,
    run: &str,
    vars: Vars<'_>,
) -> Result<Response<WfRun>, Status> {
    let mut by_thread: BTreeMap<String, MigrationVars> = BTreeMap::new();
    for (thread, name, value) in vars {
        let vars = by_thread.entry((*thread).to_owned()).or_default();
        vars.var_assignment_by_var_name
            .insert((*name).to_owned(), value.clone());
    }
    let request = ApplyWorkflowMigrationPlanRequest {
        id: Some(WorkflowMigrationPlanId {
            name: plan.to_owned(),
        }),
        wf_run_id: Some(id(run)),
        migration_vars_by_thread: by_thread,
    };
    client.apply_workflow_migration_plan(request).await
}

fn thread_of(vars: &[&str], kinds: Vec<Kind>) -> ThreadSpec {
    let defs = vars
        .iter()
        .map(|name| private(var_def(name, VariableType::Int)));
    sequence("x", defs.collect(), kinds).thread_specs["main"].clone()
}

async fn define(client: &mut Client, threads: &[(&str, ThreadSpec)]) -> WfSpecId {
    let threads = threads.iter().cloned();
    let mut spec = sequence("w", vec![], vec![]);
    spec.thread_specs = threads
        .map(|(name, thread)| (name.to_owned(), thread))
        .collect();
    client.define(spec).await.id.unwrap()
}

fn work() -> Kind {
    Kind::Task(task("work", vec![]))
}

fn start(thread: &str) -> Kind {
    Kind::StartThread(StartThreadNode {
        thread_spec_name: thread.to_owned(),
        ..StartThreadNode::default()
    })
}

/// `w` waits for `go`, then for `more`; from revision 1 on it works instead.
async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client.define_event("more").await;
    client.define_task(task_def("work", &[], None)).await;
    server
}

async fn go(client: &mut Client, run: &str, def: &str) {
    let put = put_event(run, def, def, VariableValue::default());
    client.put_external_event(put).await.unwrap();
}

#[tokio::test]
async fn a_waiting_run_goes_on_in_the_new_version() {
    let mut server = server().await;
    let client = &mut server.client;
    let old = [("main", thread_of(&[], vec![event("go")]))];
    define(client, &old).await;
    client.run("w", "r").await;
    let new = [("main", thread_of(&["num"], vec![work(), nop()]))];
    assert_eq!(define(client, &new).await, version(1));
    put_plan(client, "plan", &[("main", "main", &[("1", "1")])]).await;
    let vars = [("main", "num", literal(int(42)))];
    let run = apply(client, "plan", "r", &vars)
        .await
        .unwrap()
        .into_inner();
    // spec 01-53, spec 03-61
    assert_eq!(run.wf_spec_id, Some(version(1)));
    assert_eq!(run.thread_runs[0].wf_spec_id, Some(version(1)));
    assert_eq!(run.old_wf_spec_versions, [version(0)]);
    assert_eq!(run.workflow_migration_plan_id, None);
    assert!(run.migration_variables.is_empty());
    assert_eq!(run.thread_runs[0].current_node_position, 2);
    let left = client.node_run("r", 1).await;
    assert_eq!(left.status(), LhStatus::Halted);
    assert_eq!(left.wf_spec_id, Some(version(0)));
    let next = client.node_run("r", 2).await;
    assert_eq!(next.wf_spec_id, Some(version(1)));
    assert_eq!(next.node_name, "1");
    // spec 01-56
    assert_eq!(variable_of(client, "r", "num").await, int(42));
    go(client, "r", "go").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    let claimed = client.claim("work").await;
    client.succeed(&claimed, VariableValue::default()).await;
    // spec 01-53, spec 03-61
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_child_migrates_alone_or_after_its_parent() {
    let mut server = server().await;
    let client = &mut server.client;
    let parent = vec![start("kid"), event("more")];
    let old = [
        ("main", thread_of(&[], parent.clone())),
        ("kid", thread_of(&[], vec![event("go"), event("go")])),
    ];
    define(client, &old).await;
    for run in ["alone", "both"] {
        client.run("w", run).await;
    }
    let mut kid = thread_of(&[], vec![event("go"), event("go")]);
    let wait = kid.nodes.get_mut("1").unwrap();
    wait.outgoing_edges[0].variable_mutations = vec![assign("num", literal(int(9)))];
    let new = [("main", thread_of(&["num"], parent)), ("kid", kid)];
    define(client, &new).await;
    let both: [Moved<'_>; 2] = [
        ("main", "main", &[("2", "2")]),
        ("kid", "kid", &[("1", "1"), ("2", "2")]),
    ];
    put_plan(client, "both", &both).await;
    let run = apply(client, "both", "both", &[])
        .await
        .unwrap()
        .into_inner();
    // The child could only follow when the new entrypoint was there; both are in one step.
    // spec 01-55, spec 03-62
    for thread in &run.thread_runs {
        assert_eq!(thread.wf_spec_id, Some(version(1)));
    }
    assert_eq!(run.workflow_migration_plan_id, None);
    let of_kid = NodeRunId {
        wf_run_id: Some(id("both")),
        thread_run_number: 1,
        position: 2,
    };
    let of_kid = client.get_node_run(of_kid).await.unwrap().into_inner();
    assert_eq!(
        (of_kid.node_name.as_str(), of_kid.status()),
        ("1", LhStatus::Running)
    );
    go(client, "both", "go").await;
    assert_eq!(variable_of(client, "both", "num").await, int(9));
    server.stop().await;
}

#[tokio::test]
async fn only_a_child_migrates_and_the_plan_stays() {
    let mut server = server().await;
    let client = &mut server.client;
    let parent = || thread_of(&[], vec![start("kid"), event("more")]);
    let old = [
        ("main", parent()),
        ("kid", thread_of(&[], vec![event("go")])),
    ];
    define(client, &old).await;
    client.run("w", "r").await;
    let new = [
        ("main", parent()),
        ("kid", thread_of(&["own"], vec![work()])),
    ];
    define(client, &new).await;
    put_plan(client, "kid", &[("kid", "kid", &[("1", "1")])]).await;
    let run = apply(client, "kid", "r", &[]).await.unwrap().into_inner();
    // spec 01-54
    assert_eq!(run.wf_spec_id, Some(version(0)));
    assert_eq!(run.thread_runs[1].wf_spec_id, Some(version(1)));
    assert_eq!(run.old_wf_spec_versions, []);
    // spec 01-54, spec 03-62
    refused(
        apply(client, "kid", "r", &[]).await,
        Code::FailedPrecondition,
        &["kid"],
    );
    server.restart().await;
    let client = &mut server.client;
    let claimed = client.claim("work").await;
    client.succeed(&claimed, VariableValue::default()).await;
    go(client, "r", "more").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_thread_migrates_when_it_moves_on() {
    let mut server = server().await;
    let client = &mut server.client;
    define(
        client,
        &[("main", thread_of(&[], vec![work(), nop(), event("go")]))],
    )
    .await;
    client.run("w", "r").await;
    define(
        client,
        &[("main", thread_of(&["n"], vec![nop(), event("more")]))],
    )
    .await;
    put_plan(client, "plan", &[("main", "main", &[("3", "2")])]).await;
    let run = apply(client, "plan", "r", &[]).await.unwrap().into_inner();
    assert_eq!(run.wf_spec_id, Some(version(0)));
    assert!(run.workflow_migration_plan_id.is_some());
    let claimed = client.claim("work").await;
    client.succeed(&claimed, VariableValue::default()).await;
    let run = client.wf_run("r").await;
    assert_eq!(run.wf_spec_id, Some(version(1)));
    assert_eq!(run.workflow_migration_plan_id, None);
    // The task, the NOP of the old version, then the new node: the old one was never entered.
    assert_eq!(run.thread_runs[0].current_node_position, 3);
    go(client, "r", "more").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_applied() {
    let mut server = server().await;
    let client = &mut server.client;
    define(client, &[("main", thread_of(&[], vec![event("go")]))]).await;
    client.run("w", "r").await;
    client.run("w", "over").await;
    go(client, "over", "go").await;
    define(client, &[("main", thread_of(&["num"], vec![event("go")]))]).await;
    put_plan(client, "plan", &[("main", "main", &[("1", "1")])]).await;
    // spec 01-58, spec 03-62
    refused(
        apply(client, "plan", "over", &[]).await,
        Code::FailedPrecondition,
        &["COMPLETED"],
    );
    refused(
        apply(client, "none", "r", &[]).await,
        Code::NotFound,
        &["none"],
    );
    refused(
        apply(client, "plan", "none", &[]).await,
        Code::NotFound,
        &["none"],
    );
    for (vars, words) in [
        (("main", "num", literal(text("x"))), "num"),
        (("main", "num", literal(VariableValue::default())), "null"),
        (("main", "other", literal(int(1))), "other"),
        (("nope", "num", literal(int(1))), "nope"),
    ] {
        // spec 01-56, spec 03-62
        refused(
            apply(client, "plan", "r", &[vars]).await,
            Code::InvalidArgument,
            &[words],
        );
    }
    // One that fails only when it is computed: the thread fails, on the old version.
    let missing = ("main", "num", variable("nowhere"));
    let run = apply(client, "plan", "r", &[missing])
        .await
        .unwrap()
        .into_inner();
    assert_eq!(run.status(), LhStatus::Error);
    assert_eq!(run.wf_spec_id, Some(version(0)));
    let failed = client.node_run("r", 1).await;
    assert_eq!(failed.failures[0].failure_name, "VAR_SUB_ERROR");
    let migrate = client
        .migrate_wf_spec(proto::littlehorse::MigrateWfSpecRequest::default())
        .await;
    // spec 01-58
    refused(migrate, Code::Unimplemented, &[]);
    server.stop().await;
}

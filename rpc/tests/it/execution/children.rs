//! Child WfRuns (spec 03, section 10).

use std::collections::BTreeMap;

use proto::littlehorse::exit_node::Result as ExitResult;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::{
    Comparator, DeleteWfRunRequest, ExitNode, LhStatus, RescueThreadRunRequest, RunChildWfNode,
    RunChildWfNodeRun, StopWfRunRequest, TaskStatus, VariableMutationType, VariableType,
    VariableValue, WaitForChildWfNode, WfRunId, WfRunVariableAccessLevel,
};

use super::*;

fn run_child(name: ChildName, major: i32, inputs: &[(&str, VariableAssignment)]) -> Kind {
    Kind::RunChildWf(RunChildWfNode {
        wf_spec: Some(name),
        major_version: major,
        inputs: inputs
            .iter()
            .map(|(name, input)| ((*name).to_owned(), input.clone()))
            .collect(),
        child_id: None,
    })
}

fn child_named(name: &str) -> Kind {
    run_child(ChildName::WfSpecName(name.to_owned()), -1, &[])
}

fn wait_for(id: VariableAssignment, source: &str) -> Kind {
    Kind::WaitForChildWf(WaitForChildWfNode {
        child_wf_run_id: Some(id),
        child_wf_run_source_node: source.to_owned(),
    })
}

/// Runs a child and waits for it: nodes 1 and 2.
fn run_and_wait(name: &str) -> Vec<Kind> {
    vec![child_named(name), wait_for(output_of("1"), "1")]
}

/// Ends its thread with a value, or with an exception.
fn ending(result: ExitResult) -> Kind {
    Kind::Exit(ExitNode {
        result: Some(result),
    })
}

async fn part(client: &mut Client, run: &str, position: i32) -> RunChildWfNodeRun {
    match client.node_run(run, position).await.node_type {
        Some(NodeType::RunChildWf(part)) => part,
        other => panic!("{other:?}"),
    }
}

/// The child that a run has started at position 1.
async fn child_of(client: &mut Client, run: &str) -> WfRunId {
    part(client, run, 1).await.child_wf_run_id.expect("a child")
}

async fn status_of(client: &mut Client, id: &WfRunId) -> LhStatus {
    let found = client.get_wf_run(id.clone()).await.unwrap().into_inner();
    found.status()
}

#[tokio::test]
async fn a_child_is_of_the_latest_revision_of_the_version_it_was_registered_with() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    let x = |level: WfRunVariableAccessLevel| {
        let mut def = optional(var_def("x", VariableType::Int));
        def.set_access_level(level);
        def
    };
    client.define(sequence("child", vec![], vec![nop()])).await;
    client
        .define(sequence("parent", vec![], vec![child_named("child")]))
        .await;
    // A revision, and then a major version: a public variable comes.
    client
        .define(sequence("child", vec![], vec![nop(), nop()]))
        .await;
    let public = vec![x(WfRunVariableAccessLevel::PublicVar)];
    client
        .define(sequence("child", public, vec![event("go")]))
        .await;
    client.run("parent", "p").await;
    let part = part(client, "p", 1).await;
    let spec = part.wf_spec_id.unwrap();
    // spec 03-58, spec 01-50
    assert_eq!((spec.major_version, spec.revision), (0, 1));
    let child = part.child_wf_run_id.unwrap();
    assert_eq!(child.parent_wf_run_id.as_deref(), Some(&id("p")));
    assert_eq!(child.id.len(), 32);
    assert!(child.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let run = client.get_wf_run(child.clone()).await.unwrap().into_inner();
    assert_eq!(run.status(), LhStatus::Completed);
    let trigger = run.parent_trigger.unwrap();
    let by = trigger.triggering_node_run.unwrap();
    assert_eq!((by.wf_run_id, by.position), (Some(id("p")), 1));
    assert_eq!(trigger.waiting_node_run, None);
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Completed);
    // By a name that is known only then, the latest of all.
    let name = vec![optional(var_def("name", VariableType::Str))];
    let dynamic = run_child(ChildName::WfSpecVar(variable("name")), -1, &[]);
    client
        .define(sequence("dynamic", name, vec![dynamic]))
        .await;
    client
        .run_with("dynamic", "d", &[("name", text("child"))])
        .await;
    let spec = part_of(client, "d").await.wf_spec_id.unwrap();
    assert_eq!((spec.major_version, spec.revision), (1, 0));
    client
        .run_with("dynamic", "unknown", &[("name", text("none"))])
        .await;
    let failed = client.node_run("unknown", 1).await;
    // spec 03-59
    assert_eq!(failed.failures[0].failure_name, "CHILD_FAILURE");
    assert_eq!(failed.failures[0].message, "Couldn't find WfSpec none");
    let part = part_of(client, "unknown").await;
    assert_eq!((part.child_wf_run_id, part.wf_spec_id), (None, None));
    server.stop().await;
}

async fn part_of(client: &mut Client, run: &str) -> RunChildWfNodeRun {
    part(client, run, 1).await
}

#[tokio::test]
async fn who_waits_for_a_child_gets_what_it_gives() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let returns = ExitResult::ReturnContent(literal(text("hello")));
    for (name, last) in [
        ("returns", ending(returns)),
        ("nothing", ending_plainly()),
        ("throws", throwing("some-exn")),
        ("breaks", ending_plainly()),
    ] {
        let mut spec = sequence(name, vec![], vec![nop()]);
        let thread = spec.thread_specs.get_mut("main").unwrap();
        thread.nodes.get_mut("exit").unwrap().node = Some(last);
        if name == "breaks" {
            // No edge to go on.
            let never = compare(literal(int(1)), Comparator::LessThan, literal(int(0)));
            thread.nodes.get_mut("1").unwrap().outgoing_edges = vec![when("exit", never)];
        }
        client.define(spec).await;
        let x = vec![optional(var_def("x", VariableType::Str))];
        let parent =
            Spec::new(&format!("parent-{name}"), x, run_and_wait(name)).with("main", |main| {
                let wait = main.nodes.get_mut("2").unwrap();
                wait.outgoing_edges[0]
                    .variable_mutations
                    .push(assign("x", output_of("2")));
            });
        parent.put(client).await;
        client.run(&format!("parent-{name}"), name).await;
    }
    // spec 03-59
    assert_eq!(client.wf_run("returns").await.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "returns", "x").await, text("hello"));
    assert_eq!(client.wf_run("nothing").await.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "nothing", "x").await.value, None);
    let thrown = &client.node_run("throws", 2).await.failures[0];
    assert_eq!(thrown.failure_name, "some-exn");
    assert_eq!(client.wf_run("throws").await.status(), LhStatus::Exception);
    let child = child_of(client, "breaks").await;
    let broken = &client.node_run("breaks", 2).await.failures[0];
    assert_eq!(broken.failure_name, "CHILD_FAILURE");
    assert!(broken.message.contains(&child.to_string()), "{broken:?}");
    server.stop().await;
}

/// An EXIT that gives nothing.
fn ending_plainly() -> Kind {
    Kind::Exit(ExitNode::default())
}

#[tokio::test]
async fn a_parent_wakes_when_its_child_ends_and_is_halted_meanwhile_like_any_other() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client.define_event("stop").await;
    client
        .define(sequence("child", vec![], vec![event("go")]))
        .await;
    Spec::new("parent", vec![], run_and_wait("child"))
        .thread("handler", vec![], vec![event("on")])
        .interrupt("main", "stop", "handler")
        .put_with_event(client, "on")
        .await;
    client.run("parent", "p").await;
    let child = child_of(client, "p").await;
    let run = client.get_wf_run(child.clone()).await.unwrap().into_inner();
    let waiting = run.parent_trigger.unwrap().waiting_node_run.unwrap();
    assert_eq!((waiting.wf_run_id, waiting.position), (Some(id("p")), 2));
    let put = put_event("p", "stop", "s", VariableValue::default());
    client.put_external_event(put).await.unwrap();
    // spec 03-43
    assert_eq!(
        statuses(&client.wf_run("p").await),
        [LhStatus::Halted, LhStatus::Running]
    );
    let go = proto::littlehorse::PutExternalEventRequest {
        wf_run_id: Some(child.clone()),
        ..put_event("", "go", "g", VariableValue::default())
    };
    client.put_external_event(go).await.unwrap();
    assert_eq!(status_of(client, &child).await, LhStatus::Completed);
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Running);
    let put = put_event("p", "on", "o", VariableValue::default());
    client.put_external_event(put).await.unwrap();
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Completed);
    server.stop().await;
}

impl Spec {
    async fn put_with_event(self, client: &mut Client, event: &str) {
        client.define_event(event).await;
        self.put(client).await;
    }
}

#[tokio::test]
async fn a_child_goes_its_own_way() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client
        .define(sequence("child", vec![], vec![event("go"), nop()]))
        .await;
    client
        .define(sequence("parent", vec![], run_and_wait("child")))
        .await;
    client.run("parent", "p").await;
    let child = child_of(client, "p").await;
    let stop = |of: WfRunId| StopWfRunRequest {
        wf_run_id: Some(of),
        thread_run_number: 0,
    };
    client.stop_wf_run(stop(child.clone())).await.unwrap();
    assert_eq!(status_of(client, &child).await, LhStatus::Halted);
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Running);
    let resume = proto::littlehorse::ResumeWfRunRequest {
        wf_run_id: Some(child.clone()),
        thread_run_number: 0,
    };
    client.resume_wf_run(resume).await.unwrap();
    // spec 03-36
    assert_eq!(status_of(client, &child).await, LhStatus::Running);
    // A child that is gone: who waits for it fails.
    let delete = DeleteWfRunRequest {
        id: Some(child.clone()),
    };
    client.delete_wf_run(delete).await.unwrap();
    let failed = client.node_run("p", 2).await;
    assert_eq!(failed.failures[0].failure_name, "CHILD_FAILURE");
    assert!(failed.failures[0].message.contains("does not exist"));
    // A parent that is gone: its child goes on.
    client.run("parent", "q").await;
    let child = child_of(client, "q").await;
    let delete = DeleteWfRunRequest { id: Some(id("q")) };
    client.delete_wf_run(delete).await.unwrap();
    // spec 05-58
    assert_eq!(status_of(client, &child).await, LhStatus::Running);
    let go = proto::littlehorse::PutExternalEventRequest {
        wf_run_id: Some(child.clone()),
        ..put_event("", "go", "g", VariableValue::default())
    };
    client.put_external_event(go).await.unwrap();
    assert_eq!(status_of(client, &child).await, LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_childs_rescue_rescues_the_parent_that_waits() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let work = task_def("work", &[], None);
    client.define_task(work).await;
    client
        .define(sequence(
            "child",
            vec![],
            vec![Kind::Task(task("work", vec![]))],
        ))
        .await;
    client
        .define(sequence("parent", vec![], run_and_wait("child")))
        .await;
    client.run("parent", "p").await;
    let child = child_of(client, "p").await;
    let claimed = client.claim("work").await;
    client
        .report(status(&claimed, TaskStatus::TaskFailed))
        .await;
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Error);
    let rescue = RescueThreadRunRequest {
        wf_run_id: Some(child.clone()),
        thread_run_number: 0,
        skip_current_node: false,
    };
    client.rescue_thread_run(rescue).await.unwrap();
    let parent = client.wf_run("p").await;
    assert_eq!(parent.status(), LhStatus::Running);
    assert_eq!(parent.thread_runs[0].current_node_position, 3);
    let claimed = client.claim("work").await;
    client.succeed(&claimed, VariableValue::default()).await;
    // spec 03-53
    assert_eq!(status_of(client, &child).await, LhStatus::Completed);
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Completed);
    assert_eq!(client.node_run("p", 3).await.node_name, "2");
    server.stop().await;
}

#[tokio::test]
async fn a_child_writes_to_a_parent_that_has_ended() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    let x = |level: WfRunVariableAccessLevel| {
        let mut def = optional(var_def("x", VariableType::Int));
        def.set_access_level(level);
        vec![def]
    };
    let public = x(WfRunVariableAccessLevel::PublicVar);
    client.define(sequence("parent", public, vec![nop()])).await;
    let inherited = x(WfRunVariableAccessLevel::InheritedVar);
    let mut child = Spec::new("child", inherited, vec![event("go")]).with("main", |main| {
        let wait = main.nodes.get_mut("1").unwrap();
        wait.outgoing_edges[0].variable_mutations.push(mutate(
            "x",
            VariableMutationType::Multiply,
            literal(int(2)),
        ));
    });
    child.0.parent_wf_spec = Some(ParentWfSpecReference {
        wf_spec_name: "parent".to_owned(),
        ..ParentWfSpecReference::default()
    });
    child.put(client).await;
    client.run_with("parent", "p", &[("x", int(21))]).await;
    assert_eq!(client.wf_run("p").await.status(), LhStatus::Completed);
    let run = proto::littlehorse::RunWfRequest {
        parent_wf_run_id: Some(id("p")),
        ..run_request("child", "c", &[])
    };
    client.run_wf(run).await.unwrap();
    let child = WfRunId {
        id: "c".to_owned(),
        parent_wf_run_id: Some(Box::new(id("p"))),
    };
    let go = proto::littlehorse::PutExternalEventRequest {
        wf_run_id: Some(child),
        ..put_event("", "go", "g", VariableValue::default())
    };
    client.put_external_event(go).await.unwrap();
    // spec 03-60
    assert_eq!(variable_of(client, "p", "x").await, int(42));
    server.stop().await;
}

#[tokio::test]
async fn a_spec_that_runs_itself_comes_to_an_end() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let inputs = vec![optional(var_def("name", VariableType::Str))];
    let again = run_child(
        ChildName::WfSpecVar(variable("name")),
        -1,
        &[("name", variable("name"))],
    );
    // Twice, so that the number of runs doubles with each generation.
    client
        .define(sequence("s", inputs, vec![again.clone(), again]))
        .await;
    let run = client.run_with("s", "r", &[("name", text("s"))]).await;
    assert_eq!(run.status(), LhStatus::Error);
    let failure = &client.node_run("r", 2).await.failures[0];
    assert_eq!(failure.failure_name, "INTERNAL_ERROR");
    assert!(failure.message.contains("child WfRuns"), "{failure:?}");
    // What is given must fit.
    let bad = run_child(
        ChildName::WfSpecVar(literal(text("s"))),
        -1,
        &[("other", literal(int(1)))],
    );
    client.define(sequence("bad", vec![], vec![bad])).await;
    client.run("bad", "b").await;
    let failed = client.node_run("b", 1).await;
    assert_eq!(failed.failures[0].failure_name, "VAR_SUB_ERROR");
    assert!(failed.failures[0].message.contains("other"));
    let inputs = part_of(client, "b").await.inputs;
    assert_eq!(inputs, BTreeMap::from([("other".to_owned(), int(1))]));
    server.stop().await;
}

//! A thread arrives at a USER_TASK (spec 06, section 6).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::variable_assignment::FormatString;
use proto::littlehorse::{
    DeleteUserTaskDefRequest, DeleteWfRunRequest, ListNodeRunsRequest, NodeRun, UserTaskDefId,
};
use tonic::Code;

use super::*;
use proto::littlehorse::LhStatus;

/// The id of the UserTaskRun that a NodeRun shows.
fn shown(node_run: &NodeRun) -> Option<UserTaskRunId> {
    match &node_run.node_type {
        Some(NodeType::UserTask(it)) => it.user_task_run_id.clone(),
        other => panic!("{other:?}"),
    }
}

/// Name and message of the only failure.
fn failure(node_run: &NodeRun) -> (&str, &str) {
    assert_eq!(node_run.failures.len(), 1);
    let failure = &node_run.failures[0];
    (&failure.failure_name, &failure.message)
}

#[tokio::test]
async fn a_task_is_given_to_a_user() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    let task = client.user_task("r").await;
    // spec 06-11
    assert_eq!((task.status(), task.epoch), (Assigned, 1));
    assert_eq!(events(&task), ["assigned"]);
    assert_eq!(assignment(&task, 0), (None, None, Some("u"), None));
    assert_eq!(task.id, Some(task_id("r", "0-1")));
    let node_run = client.node_run("r", 1).await;
    assert_eq!(task.node_run_id, node_run.id);
    assert_eq!(shown(&node_run), task.id);
    assert_eq!(node_run.status(), LhStatus::Running);
    assert_eq!(task.scheduled_time, node_run.arrival_time);
    let unknown = client.get("r", "0-2").await;
    refused(unknown, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn a_task_is_given_to_a_group() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_g()])).await;
    client.run("s", "r").await;
    let task = client.user_task("r").await;
    // spec 06-12
    assert_eq!((task.status(), task.epoch), (Unassigned, 1));
    assert_eq!(assignment(&task, 0), (None, None, None, Some("g")));
    server.stop().await;
}

#[tokio::test]
async fn nobody_cannot_be_given_a_task() {
    let mut server = server().await;
    let client = &mut server.client;
    let vars = ["user", "group"].map(|name| optional(var_def(name, VariableType::Str)));
    let node = user_task(|node| {
        node.user_id = Some(variable("user"));
        node.user_group = Some(variable("group"));
        let soon = trigger(UtHook::OnArrival, 0, remind(task("work", vec![])));
        node.actions = vec![soon];
    });
    client.define(spec(vars.to_vec(), vec![node])).await;
    let run = client.run("s", "r").await;
    assert_eq!(run.status(), LhStatus::Error);
    let node_run = client.node_run("r", 1).await;
    // spec 06-13
    assert_eq!(node_run.status(), LhStatus::Error);
    let expected = ("VAR_ERROR", "Invalid user task assignment");
    assert_eq!(failure(&node_run), expected);
    assert_eq!(shown(&node_run), Some(task_id("r", "0-1")));
    refused(client.get("r", "0-1").await, Code::NotFound, &[]);
    for (user, group, message) in [
        (
            " ",
            "g",
            "Invalid user task assignment. UserId can't be empty",
        ),
        (
            "u",
            "",
            "Invalid group task assignment. UserGroup can't be empty",
        ),
    ] {
        let inputs = [("user", text(user)), ("group", text(group))];
        let run = format!("r{}", group.len());
        client.run_with("s", &run, &inputs).await;
        let node_run = client.node_run(&run, 1).await;
        assert_eq!(failure(&node_run), ("VAR_ERROR", message));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_empty_name_from_a_task_is_nobody() {
    let mut server = server().await;
    let client = &mut server.client;
    let who = task_def("who", &[], Some(VariableType::Str));
    client.define_task(who).await;
    let asks = || Kind::Task(task("who", vec![]));
    let user = user_task(|node| node.user_id = Some(output_of("1")));
    let group = user_task(|node| node.user_group = Some(output_of("1")));
    for (name, node) in [("user", user), ("group", group)] {
        client
            .define(sequence(name, vec![], vec![asks(), node]))
            .await;
        client.run(name, name).await;
        let asked = client.claim("who").await;
        client.succeed(&asked, text("")).await;
    }
    // spec 06-14
    let message = "Invalid user task assignment. UserId can't be empty";
    let node_run = client.node_run("user", 2).await;
    assert_eq!(failure(&node_run), ("VAR_ERROR", message));
    let message = "Invalid group task assignment. UserGroup can't be empty";
    let node_run = client.node_run("group", 2).await;
    assert_eq!(failure(&node_run), ("VAR_ERROR", message));
    server.stop().await;
}

#[tokio::test]
async fn a_form_that_was_deleted_fails_the_node() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    let delete = DeleteUserTaskDefRequest {
        id: Some(UserTaskDefId {
            name: FORM.to_owned(),
            version: 0,
        }),
    };
    client.delete_user_task_def(delete).await.unwrap();
    client.run("s", "r").await;
    let node_run = client.node_run("r", 1).await;
    // spec 06-15
    let (name, message) = failure(&node_run);
    assert_eq!(name, "TASK_ERROR");
    assert!(message.contains("deleted"), "{message}");
    assert_eq!(shown(&node_run), None);
    let delete = DeleteWfRunRequest { id: Some(id("r")) };
    client.delete_wf_run(delete).await.unwrap();
    let list = ListNodeRunsRequest {
        wf_run_id: Some(id("r")),
        ..ListNodeRunsRequest::default()
    };
    assert!(list.found(client).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn notes_are_those_of_the_arrival() {
    let mut server = server().await;
    let client = &mut server.client;
    let note = VariableAssignment {
        source: Some(Source::FormatString(Box::new(FormatString {
            format: Some(Box::new(literal(text("Call {0}!")))),
            args: vec![variable("name")],
        }))),
        ..VariableAssignment::default()
    };
    let node = user_task(|node| {
        node.user_id = Some(variable("name"));
        node.notes = Some(note);
    });
    let mut spec = spec(
        vec![required(var_def("name", VariableType::Str))],
        vec![node, of_u()],
    );
    let main = spec.thread_specs.get_mut("main").unwrap();
    let edge = &mut main.nodes.get_mut("1").unwrap().outgoing_edges[0];
    edge.variable_mutations
        .push(assign("name", literal(text("Ben"))));
    client.define(spec).await;
    client.run_with("s", "r", &[("name", text("Ann"))]).await;
    client.complete("r", "Ann", &[]).await.unwrap();
    assert_eq!(variable_of(client, "r", "name").await, text("Ben"));
    let task = client.user_task("r").await;
    // spec 06-16
    assert_eq!(task.notes.as_deref(), Some("Call Ann!"));
    server.stop().await;
}

#[tokio::test]
async fn a_delay_is_an_int() {
    let mut server = server().await;
    let client = &mut server.client;
    let delay = VariableAssignment {
        path: Some(proto::littlehorse::variable_assignment::Path::JsonPath(
            "$.delay".to_owned(),
        )),
        ..variable("settings")
    };
    let spec_of = |name: &str, hook| {
        let soon = trigger(UtHook::OnArrival, 0, remind(task("work", vec![])));
        let late = UtActionTrigger {
            delay_seconds: Some(delay.clone()),
            ..trigger(hook, 0, cancel())
        };
        let settings = required(var_def("settings", VariableType::JsonObj));
        sequence(name, vec![settings], vec![acting(vec![soon, late])])
    };
    client.define(spec_of("arrival", UtHook::OnArrival)).await;
    client
        .define(spec_of("assigned", UtHook::OnTaskAssigned))
        .await;
    let settings = [("settings", json(r#"{"delay":"0"}"#))];
    client.run_with("arrival", "a", &settings).await;
    let node_run = client.node_run("a", 1).await;
    // spec 06-17
    assert_eq!(failure(&node_run).0, "VAR_SUB_ERROR");
    refused(client.get("a", "0-1").await, Code::NotFound, &[]);
    client.run_with("assigned", "b", &settings).await;
    assert_eq!(client.user_task("b").await.status(), Assigned);
    // The reminder of `b` is the only one that was armed: that of `a` went with its UserTaskRun.
    let reminder = client.claim("work").await;
    assert_eq!(run_of(&reminder), "b");
    pass(300).await;
    let task = client.user_task("b").await;
    assert_eq!(events(&task), ["assigned", "task_executed"]);
    let search = proto::littlehorse::SearchTaskRunRequest {
        task_def_name: "work".to_owned(),
        ..proto::littlehorse::SearchTaskRunRequest::default()
    };
    assert_eq!(search.found(client).await.len(), 1);
    server.stop().await;
}

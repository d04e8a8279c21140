//! CompleteUserTaskRun, and what the workflow reads of it (spec 06, sections 8.3 and 9).

use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::workflow_retention_policy::WfGcPolicy;
use proto::littlehorse::{
    DeleteUserTaskDefRequest, LhStatus, RunChildWfNode, SearchUserTaskRunRequest, UserTaskDefId,
    WaitForChildWfNode, WorkflowRetentionPolicy,
};
use tonic::Code;

use super::*;

/// A server with a form that has fields, and a WfSpec whose task is told what was filled in.
async fn with_fields(fields: &[UserTaskField], node: Kind) -> Fixture {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_form(FORM, fields).await;
    let told = var_def("form", VariableType::JsonObj);
    client.define_task(task_def("tell", &[told], None)).await;
    client.define_task(task_def("work", &[], None)).await;
    let tell = Kind::Task(task("tell", vec![output_of("1")]));
    client.define(spec(vec![], vec![node, tell])).await;
    client.run("s", "r").await;
    server
}

fn fields() -> [UserTaskField; 3] {
    [
        field("myStr", VariableType::Str, true),
        field("myInt", VariableType::Int, true),
        field("more", VariableType::Str, false),
    ]
}

/// What the task is told, as JSON.
async fn told(client: &mut Client) -> String {
    let task = client.claim("tell").await;
    match task.variables[0].value.clone().unwrap().value {
        Some(Value::JsonObj(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_workflow_goes_on_with_the_results() {
    let mut server = with_fields(&fields(), of_u()).await;
    let client = &mut server.client;
    let all = [("myStr", text("a\"b")), ("myInt", int(7))];
    client.complete("r", "u", &all).await.unwrap();
    let done = client.user_task("r").await;
    // spec 06-27
    assert_eq!(done.status(), Done);
    assert_eq!(events(&done), ["assigned", "completed"]);
    let node_run = client.node_run("r", 1).await;
    assert_eq!(node_run.status(), LhStatus::Completed);
    assert_eq!(node_run.end_time, done.events[1].time);
    assert_eq!(told(client).await, r#"{"myInt":7,"myStr":"a\"b"}"#);
    // Somebody else was slower, or asks again.
    let other = [("myStr", text("other")), ("myInt", int(8))];
    client.complete("r", "v", &other).await.unwrap();
    // spec 06-32
    assert_eq!(client.user_task("r").await, done);
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_the_form_is_refused() {
    let mut server = with_fields(&fields(), of_u()).await;
    let client = &mut server.client;
    let draft = [("myStr", text("a")), ("myInt", int(7))];
    client.save("r", "u", &draft).await.unwrap();
    let before = client.user_task("r").await;
    let answer = client.complete("r", "u", &draft[..1]).await;
    // spec 06-28: what was saved does not count.
    refused(answer, Code::InvalidArgument, &["myInt"]);
    assert_eq!(client.user_task("r").await, before);
    for (wrong, words) in [
        (("extra", int(1)), &["extra", "INT"][..]),
        (("myInt", double(7.0)), &["myInt", "DOUBLE"]),
        (("more", VariableValue::default()), &["more", "NULL"]),
        (("more", json("{}")), &["more", "JSON_OBJ"]),
    ] {
        let mut values = draft.to_vec();
        values.push(wrong);
        let answer = client.complete("r", "u", &values).await;
        // spec 06-29
        refused(answer, Code::InvalidArgument, words);
        assert_eq!(client.user_task("r").await, before);
    }
    // The assignment to somebody else goes with the rest.
    let answer = client.complete("r", "v", &[]).await;
    refused(answer, Code::InvalidArgument, &["myStr, myInt"]);
    // spec 06-31
    assert_eq!(client.user_task("r").await.user_id.as_deref(), Some("u"));
    server.stop().await;
}

#[tokio::test]
async fn anybody_may_complete() {
    let node = user_task(|node| {
        node.user_id = Some(literal(text("u")));
        node.user_group = Some(literal(text("g")));
        let reminder = remind(task("work", vec![]));
        node.actions = vec![trigger(UtHook::OnTaskAssigned, 0, reminder)];
    });
    let mut server = with_fields(&[], node).await;
    let client = &mut server.client;
    // What the first assignment armed has fired.
    client.claim("work").await;
    client.complete("r", "v", &[]).await.unwrap();
    let done = client.user_task("r").await;
    // spec 06-30
    assert_eq!(
        events(&done),
        ["assigned", "task_executed", "assigned", "completed"]
    );
    assert_eq!(
        assignment(&done, 2),
        (Some("u"), Some("g"), Some("v"), Some("g"))
    );
    assert_eq!(done.user_id.as_deref(), Some("v"));
    pass(200).await;
    assert_eq!(client.user_task("r").await, done);
    server.stop().await;
}

#[tokio::test]
async fn a_blank_user_keeps_the_owner() {
    let mut server = with_fields(&[], of_u()).await;
    let client = &mut server.client;
    client.complete("r", " ", &[]).await.unwrap();
    let done = client.user_task("r").await;
    assert_eq!(done.user_id.as_deref(), Some("u"));
    assert_eq!(events(&done), ["assigned", "completed"]);
    assert_eq!(told(client).await, "{}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_cancelled_is_not_completed() {
    let mut server = with_fields(&[], of_u()).await;
    let client = &mut server.client;
    client.cancel("r").await.unwrap();
    let answer = client.complete("r", "u", &[]).await;
    // spec 06-32
    refused(answer, Code::FailedPrecondition, &["CANCELLED"]);
    server.stop().await;
}

#[tokio::test]
async fn a_task_whose_form_is_gone_can_only_be_cancelled() {
    let mut server = with_fields(&[], of_u()).await;
    let client = &mut server.client;
    let delete = DeleteUserTaskDefRequest {
        id: Some(UserTaskDefId {
            name: FORM.to_owned(),
            version: 0,
        }),
    };
    client.delete_user_task_def(delete).await.unwrap();
    let answer = client.complete("r", "u", &[]).await;
    refused(answer, Code::FailedPrecondition, &["UserTaskDef"]);
    assert_eq!(client.user_task("r").await.status(), Assigned);
    client.cancel("r").await.unwrap();
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Error);
    server.stop().await;
}

#[tokio::test]
async fn a_last_task_ends_the_run_in_time() {
    let mut server = server().await;
    let client = &mut server.client;
    let mut request = spec(vec![], vec![of_u()]);
    request.retention_policy = Some(WorkflowRetentionPolicy {
        wf_gc_policy: Some(WfGcPolicy::SecondsAfterWfTermination(2)),
    });
    client.define(request).await;
    client.run("s", "r").await;
    client.complete("r", "u", &[]).await.unwrap();
    let run = client.wf_run("r").await;
    // spec 06-33
    assert_eq!(run.status(), LhStatus::Completed);
    assert!(run.end_time.is_some());
    assert_eq!(run.thread_runs[0].end_time, run.end_time);
    let gone = until(|| {
        let mut client = client.clone();
        async move { client.get_wf_run(id("r")).await.err() }
    })
    .await;
    assert_eq!(gone.code(), Code::NotFound);
    refused(client.get("r", "0-1").await, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn a_parent_goes_on_when_its_childs_task_is_done() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(sequence("child", vec![], vec![of_u()])).await;
    let child = Kind::RunChildWf(RunChildWfNode {
        wf_spec: Some(ChildName::WfSpecName("child".to_owned())),
        major_version: -1,
        ..RunChildWfNode::default()
    });
    let wait = Kind::WaitForChildWf(WaitForChildWfNode {
        child_wf_run_id: Some(output_of("1")),
        child_wf_run_source_node: "1".to_owned(),
    });
    client.define(spec(vec![], vec![child, wait])).await;
    client.run("s", "r").await;
    let mine = SearchUserTaskRunRequest {
        user_id: Some("u".to_owned()),
        ..SearchUserTaskRunRequest::default()
    };
    let found = mine.found(client).await;
    let of_parent = found[0].wf_run_id.clone().unwrap().parent_wf_run_id;
    assert_eq!(of_parent, Some(Box::new(id("r"))));
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    let request = CompleteUserTaskRunRequest {
        user_task_run_id: Some(found[0].clone()),
        ..CompleteUserTaskRunRequest::default()
    };
    client.complete_user_task_run(request).await.unwrap();
    // spec 06-34
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn of_a_draft_only_what_fits_is_kept() {
    let optional = [
        field("o", VariableType::Str, false),
        field("p", VariableType::Int, false),
        field("q", VariableType::Str, true),
    ];
    let mut server = with_fields(&optional, of_u()).await;
    let client = &mut server.client;
    let draft = [
        ("o", text("saved")),
        ("p", text("no number")),
        ("q", text("overwritten")),
        ("unknown", int(1)),
    ];
    client.save("r", "u", &draft).await.unwrap();
    client
        .complete("r", "u", &[("q", text("q"))])
        .await
        .unwrap();
    // spec 06-35
    assert_eq!(told(client).await, r#"{"o":"saved","q":"q"}"#);
    let kept = results(&[("o", text("saved")), ("q", text("q"))]);
    assert_eq!(client.user_task("r").await.results, kept);
    server.stop().await;
}

#[tokio::test]
async fn each_type_has_its_json() {
    let kinds = [
        ("bool", VariableType::Bool, value(Value::Bool(true))),
        (
            "bytes",
            VariableType::Bytes,
            value(Value::Bytes(vec![0, 255].into())),
        ),
        ("double", VariableType::Double, double(3.0)),
        (
            "list",
            VariableType::JsonArr,
            value(Value::JsonArr("[1, 2]".to_owned())),
        ),
        ("object", VariableType::JsonObj, json(r#"{"a": null}"#)),
        ("run", VariableType::WfRunId, value(Value::WfRunId(id("r")))),
        (
            "time",
            VariableType::Timestamp,
            value(Value::UtcTimestamp(proto::time::from_millis(1500))),
        ),
    ];
    let fields: Vec<UserTaskField> = kinds
        .iter()
        .map(|(name, kind, _)| field(name, *kind, true))
        .collect();
    let mut server = with_fields(&fields, of_u()).await;
    let client = &mut server.client;
    let values: Vec<(&str, VariableValue)> = kinds
        .iter()
        .map(|(name, _, value)| (*name, value.clone()))
        .collect();
    for (name, bad) in [
        ("double", double(f64::NAN)),
        ("double", double(f64::INFINITY)),
        ("object", json("{a:1}")),
        ("object", json("[]")),
        ("object", json("null")),
        ("list", value(Value::JsonArr("{}".to_owned()))),
    ] {
        let mut values = values.clone();
        values.retain(|(other, _)| *other != name);
        values.push((name, bad));
        let answer = client.complete("r", "u", &values).await;
        refused(answer, Code::InvalidArgument, &[name]);
    }
    client.complete("r", "u", &values).await.unwrap();
    let expected = concat!(
        r#"{"bool":true,"bytes":"AP8=","double":3.0,"list":[1,2],"object":{"a":null},"#,
        r#""run":"r","time":"1970-01-01T00:00:01.5Z"}"#
    );
    assert_eq!(told(client).await, expected);
    server.stop().await;
}

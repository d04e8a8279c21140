//! UserTaskDefs, and USER_TASK nodes of WfSpecs (spec 06, sections 2 and 3).

use proto::littlehorse::{
    DeleteUserTaskDefRequest, SearchUserTaskDefRequest, UserTaskDefId, search_user_task_def_request,
};
use tonic::Code;

use super::*;

fn version(version: i32) -> UserTaskDefId {
    UserTaskDefId {
        name: "f".to_owned(),
        version,
    }
}

#[tokio::test]
async fn a_change_is_a_new_version() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let a = field("a", VariableType::Str, true);
    let b = field("b", VariableType::Int, false);
    let one = std::slice::from_ref(&a);
    let first = client.define_form("f", one).await;
    // spec 06-1
    assert_eq!(first.version, 0);
    assert_eq!(client.define_form("f", one).await, first);
    let both = [a.clone(), b.clone()];
    // spec 06-2
    assert_eq!(client.define_form("f", &both).await.version, 1);
    assert_eq!(client.define_form("f", one).await.version, 2);
    // spec 06-3
    assert_eq!(client.define_form("f", &both).await.version, 3);
    assert_eq!(client.define_form("f", &[b, a]).await.version, 4);
    server.stop().await;
}

#[tokio::test]
async fn bad_definitions_are_refused() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for name in ["a_b", ""] {
        let answer = client.put_user_task_def(form(name, &[])).await;
        // spec 06-4
        refused(answer, Code::InvalidArgument, &["name"]);
    }
    let twice = [
        field("x", VariableType::Str, true),
        field("x", VariableType::Int, true),
    ];
    let answer = client.put_user_task_def(form("f", &twice)).await;
    // spec 06-5
    refused(answer, Code::InvalidArgument, &["x"]);
    server.stop().await;
}

#[tokio::test]
async fn a_version_is_never_given_again() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let with = |names: &[&str]| -> Vec<UserTaskField> {
        let fields = names.iter();
        fields
            .map(|name| field(name, VariableType::Str, true))
            .collect()
    };
    client.define_form("f", &with(&["a"])).await;
    client.define_form("f", &with(&["b"])).await;
    let delete = |number| DeleteUserTaskDefRequest {
        id: Some(version(number)),
    };
    client.delete_user_task_def(delete(1)).await.unwrap();
    // spec 06-6
    assert_eq!(client.define_form("f", &with(&["c"])).await.version, 2);
    // spec 06-7
    let found = client.get_user_task_def(version(1)).await;
    refused(found, Code::NotFound, &[]);
    let deleted = client.delete_user_task_def(delete(1)).await;
    refused(deleted, Code::NotFound, &["f"]);
    server.stop().await;
}

#[tokio::test]
async fn definitions_are_found_by_name_and_by_prefix() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for name in ["task", "task-b"] {
        client.define_form(name, &[]).await;
    }
    for name in ["a", "b"] {
        let fields = [field(name, VariableType::Str, true)];
        client.define_form("task", &fields).await;
    }
    type By = search_user_task_def_request::UserTaskDefCriteria;
    let mut search = async |by: By| {
        let request = SearchUserTaskDefRequest {
            user_task_def_criteria: Some(by),
            ..SearchUserTaskDefRequest::default()
        };
        let found = client.search_user_task_def(request).await.unwrap();
        let ids = found.into_inner().results.into_iter();
        ids.map(|id| format!("{}/{}", id.name, id.version))
            .collect::<Vec<_>>()
    };
    // spec 06-8, spec 07-41
    assert_eq!(
        search(By::Name("task".to_owned())).await,
        ["task/0", "task/1", "task/2"]
    );
    let both = search(By::Prefix("task".to_owned())).await;
    assert_eq!(both, ["task/0", "task/1", "task/2", "task-b/0"]);
    server.stop().await;
}

#[tokio::test]
async fn a_wf_spec_keeps_the_version_that_was_the_latest() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let unknown = client.put_wf_spec(spec(vec![], vec![of_u()])).await;
    // spec 06-9
    refused(unknown, Code::InvalidArgument, &["form"]);
    client.define_form(FORM, &[]).await;
    let b = [field("b", VariableType::Str, true)];
    client.define_form(FORM, &b).await;
    let stored = client.define(spec(vec![], vec![of_u()])).await;
    let node = stored.thread_specs["main"].nodes["1"].node.clone();
    let Some(Kind::UserTask(node)) = node else {
        panic!("{node:?}")
    };
    assert_eq!(node.user_task_def_version, Some(1));
    let c = [field("c", VariableType::Str, true)];
    client.define_form(FORM, &c).await;
    client.run("s", "r").await;
    let def = client.user_task("r").await.user_task_def_id.unwrap();
    assert_eq!((def.name.as_str(), def.version), (FORM, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_node_names_somebody() {
    let mut server = server().await;
    let client = &mut server.client;
    let nobody = user_task(|_| {});
    let answer = client.put_wf_spec(spec(vec![], vec![nobody])).await;
    // spec 06-10
    let words = &["userGroup or userId must be specified"];
    refused(answer, Code::InvalidArgument, words);
    let blank = user_task(|node| node.user_id = Some(literal(text("  "))));
    let answer = client.put_wf_spec(spec(vec![], vec![blank])).await;
    refused(answer, Code::InvalidArgument, &["UserId can't be empty"]);
    server.stop().await;
}

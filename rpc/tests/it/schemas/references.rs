//! What refers to StructDefs, and the definitions beside.

use proto::littlehorse::{
    DeleteStructDefRequest, DeleteUserTaskDefRequest, DeleteWorkflowEventDefRequest,
    GetLatestUserTaskDefRequest, PutExternalEventDefRequest, PutTaskDefRequest,
    PutUserTaskDefRequest, PutWorkflowEventDefRequest, ReturnType, SearchUserTaskDefRequest,
    StructDefCompatibilityType, UserTaskDefId, UserTaskField, VariableDef, VariableType,
    WorkflowEventDefId, search_user_task_def_request,
};
use tonic::Code;

use super::*;
use crate::support::*;
use StructDefCompatibilityType::{FullyCompatibleSchemaUpdates as Full, NoSchemaUpdates as No};
use VariableType::{Bool, Int, Str};

#[tokio::test]
async fn references_to_structs_are_pinned() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    made(client, put("s", &[("x", plain(Int))], No)).await;
    let grown = [("x", plain(Int)), ("y", defaulting(Int, int(1)))];
    made(client, put("s", &grown, Full)).await;
    let content = |version| {
        Some(ReturnType {
            return_type: Some(struct_type("s", version)),
        })
    };
    let task = |name: &str, version| PutTaskDefRequest {
        input_vars: vec![VariableDef {
            type_def: Some(struct_type("s", version)),
            ..var_def("in", Int)
        }],
        return_type: content(version),
        ..task_def(name, &[], None)
    };
    let external = |name: &str, version| PutExternalEventDefRequest {
        content_type: content(version),
        ..event_def(name, None)
    };
    let thrown = |name: &str, content_type| PutWorkflowEventDefRequest {
        name: name.to_owned(),
        content_type,
    };
    // spec 01-7
    for (name, asked, pinned) in [("latest", -1, 1), ("unset", 0, 0)] {
        let made = client
            .put_task_def(task(name, asked))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(made.input_vars[0].type_def, Some(struct_type("s", pinned)));
        assert_eq!(made.return_type, content(pinned));
        let made = client
            .put_external_event_def(external(name, asked))
            .await
            .unwrap();
        assert_eq!(made.into_inner().type_information, content(pinned));
        let request = thrown(name, content(asked));
        let made = client.put_workflow_event_def(request).await.unwrap();
        assert_eq!(made.into_inner().content_type, content(pinned));
    }
    // spec 01-6
    let missing = ["Refers to non-existent StructDef nope"];
    let mut bad = task("bad", 0);
    bad.input_vars[0].type_def = Some(struct_type("nope", 0));
    refused(
        client.put_task_def(bad).await,
        Code::InvalidArgument,
        &missing,
    );
    let nope = || {
        Some(ReturnType {
            return_type: Some(struct_type("nope", 0)),
        })
    };
    let bad = PutTaskDefRequest {
        return_type: nope(),
        ..task_def("bad", &[], None)
    };
    refused(
        client.put_task_def(bad).await,
        Code::InvalidArgument,
        &missing,
    );
    let bad = event_def("bad", nope());
    refused(
        client.put_external_event_def(bad).await,
        Code::InvalidArgument,
        &missing,
    );
    let bad = client.put_workflow_event_def(thrown("bad", nope())).await;
    refused(bad, Code::InvalidArgument, &missing);
    // A worker that says "the latest" registers again after the StructDef grew, and its pin stays.
    let more = [
        grown[0].clone(),
        grown[1].clone(),
        ("z", defaulting(Int, int(1))),
    ];
    made(client, put("s", &more, Full)).await;
    let again = client
        .put_task_def(task("latest", -1))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again.return_type, content(1));
    let again = client
        .put_workflow_event_def(thrown("latest", content(-1)))
        .await
        .unwrap();
    assert_eq!(again.into_inner().content_type, content(1));
    let other = client.put_task_def(task("latest", 2)).await;
    refused(other, Code::AlreadyExists, &["TaskDef [latest]"]);
    // spec 01-11
    let stored = client
        .put_workflow_event_def(thrown("plain", Some(returns(Some(Str)))))
        .await;
    let stored = stored.unwrap().into_inner();
    let again = client
        .put_workflow_event_def(thrown("plain", Some(returns(Some(Str)))))
        .await;
    assert_eq!(again.unwrap().into_inner(), stored);
    let other = client
        .put_workflow_event_def(thrown("plain", Some(returns(Some(Int)))))
        .await;
    refused(other, Code::AlreadyExists, &["plain"]);
    let void = client
        .put_workflow_event_def(thrown("void", None))
        .await
        .unwrap();
    assert_eq!(void.into_inner().content_type, Some(returns(None)));
    for bad in ["", "a/b"] {
        let answer = client.put_workflow_event_def(thrown(bad, None)).await;
        refused(answer, Code::InvalidArgument, &["WorkflowEventDef name"]);
    }
    let named = |name: &str| WorkflowEventDefId {
        name: name.to_owned(),
    };
    let got = client.get_workflow_event_def(named("plain")).await.unwrap();
    assert_eq!(got.into_inner(), stored);
    server.stop().await;
}

#[tokio::test]
async fn a_frozen_struct_variable_evolves_with_its_struct_def() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    made(client, put("s", &[("x", plain(Int))], No)).await;
    let spec = || {
        let var = VariableDef {
            type_def: Some(struct_type("s", -1)),
            ..var_def("v", Int)
        };
        sequence("w", vec![required(var)], vec![])
    };
    let first = client.define(spec()).await.id.unwrap();
    assert_eq!((first.major_version, first.revision), (0, 0));
    made(
        client,
        put(
            "s",
            &[("x", plain(Int)), ("y", defaulting(Int, int(1)))],
            Full,
        ),
    )
    .await;
    // spec 01-29
    let second = client.define(spec()).await;
    let id = second.id.clone().unwrap();
    assert_eq!((id.major_version, id.revision), (1, 0));
    let def = second.thread_specs["main"].variable_defs[0].var_def.clone();
    assert_eq!(def.unwrap().type_def, Some(struct_type("s", 1)));
    assert_eq!(client.define(spec()).await, second);
    server.stop().await;
}

#[tokio::test]
async fn a_user_task_def_has_a_version_for_each_change() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let field = |name: &str, kind: VariableType| UserTaskField {
        name: name.to_owned(),
        r#type: kind.into(),
        ..UserTaskField::default()
    };
    let request = |fields: &[UserTaskField]| PutUserTaskDefRequest {
        name: "approve".to_owned(),
        fields: fields.to_vec(),
        description: None,
    };
    let one = [field("ok", Bool)];
    let two = [field("ok", Bool), field("why", Str)];
    let other = client.clone();
    let put = async |fields: &[UserTaskField]| {
        let answer = other.clone().put_user_task_def(request(fields)).await;
        answer.unwrap().into_inner()
    };
    // spec 01-12
    let first = put(&one).await;
    assert_eq!(first.version, 0);
    assert_eq!(put(&one).await, first);
    assert_eq!(put(&two).await.version, 1);
    assert_eq!(put(&one).await.version, 2);
    let named = |version| UserTaskDefId {
        name: "approve".to_owned(),
        version,
    };
    let delete = |version| DeleteUserTaskDefRequest {
        id: Some(named(version)),
    };
    client.delete_user_task_def(delete(2)).await.unwrap();
    // A number is not given twice (spec 06, D2).
    let again = client.put_user_task_def(request(&one)).await.unwrap();
    assert_eq!(again.into_inner().version, 3);
    let latest = GetLatestUserTaskDefRequest {
        name: "approve".to_owned(),
    };
    let latest = client
        .get_latest_user_task_def(latest)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(latest.version, 3);
    refused(
        client.get_user_task_def(named(2)).await,
        Code::NotFound,
        &[],
    );
    type By = search_user_task_def_request::UserTaskDefCriteria;
    let exactly = SearchUserTaskDefRequest {
        user_task_def_criteria: Some(By::Name("approve".to_owned())),
        ..SearchUserTaskDefRequest::default()
    };
    let found = client
        .search_user_task_def(exactly)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.results, [named(0), named(1), named(3)]);
    // Spec 06, D1.
    for bad in [
        [field("x", Int), field("x", Str)],
        [field("", Int), field("x", Int)],
    ] {
        let answer = client.put_user_task_def(request(&bad)).await;
        refused(answer, Code::InvalidArgument, &["UserTaskField"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_deleted_twice_is_not_there() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    made(client, put("s", &[], No)).await;
    let gone = DeleteStructDefRequest {
        id: Some(struct_id("s", 0)),
    };
    client.delete_struct_def(gone.clone()).await.unwrap();
    // spec 01-13
    refused(
        client.delete_struct_def(gone).await,
        Code::NotFound,
        &["StructDef s"],
    );
    let thrown = PutWorkflowEventDefRequest {
        name: "e".to_owned(),
        content_type: None,
    };
    client.put_workflow_event_def(thrown).await.unwrap();
    let gone = DeleteWorkflowEventDefRequest {
        id: Some(WorkflowEventDefId {
            name: "e".to_owned(),
        }),
    };
    client
        .delete_workflow_event_def(gone.clone())
        .await
        .unwrap();
    let answer = client.delete_workflow_event_def(gone).await;
    refused(answer, Code::NotFound, &["WorkflowEventDef e"]);
    server.stop().await;
}

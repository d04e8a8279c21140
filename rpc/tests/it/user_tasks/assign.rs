//! AssignUserTaskRun (spec 06, sections 7 and 8.1).

use tonic::Code;

use super::*;

#[tokio::test]
async fn a_task_of_a_group_is_claimed() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_g()])).await;
    client.run("s", "r").await;
    client.assign("r", Some("u"), None, false).await.unwrap();
    let task = client.user_task("r").await;
    // spec 06-18
    assert_eq!((task.status(), task.epoch), (Assigned, 2));
    assert_eq!(task.user_group, None);
    assert_eq!(events(&task), ["assigned", "assigned"]);
    assert_eq!(assignment(&task, 1), (None, Some("g"), Some("u"), None));
    server.stop().await;
}

#[tokio::test]
async fn a_claim_is_respected_unless_it_is_overridden() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    for user in ["v", "u"] {
        let answer = client.assign("r", Some(user), None, false).await;
        // spec 06-19
        refused(answer, Code::FailedPrecondition, &["already assigned", "u"]);
    }
    assert_eq!(client.user_task("r").await.epoch, 1);
    client.assign("r", Some("v"), None, true).await.unwrap();
    let task = client.user_task("r").await;
    assert_eq!(task.status(), Assigned);
    assert_eq!(task.user_id.as_deref(), Some("v"));
    client.assign("r", None, Some("g"), true).await.unwrap();
    let task = client.user_task("r").await;
    // spec 06-20
    assert_eq!((task.status(), task.epoch), (Unassigned, 3));
    assert_eq!(
        (task.user_id, task.user_group.as_deref()),
        (None, Some("g"))
    );
    server.stop().await;
}

#[tokio::test]
async fn bad_assignments_are_refused() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_g()])).await;
    client.run("s", "r").await;
    let answer = client.assign("r", Some(""), None, false).await;
    // spec 06-21
    refused(answer, Code::InvalidArgument, &["UserId can't be empty"]);
    let answer = client.assign("r", Some("u"), Some(" "), false).await;
    refused(answer, Code::InvalidArgument, &["UserGroup can't be empty"]);
    let answer = client.assign("r", None, None, false).await;
    refused(answer, Code::InvalidArgument, &["must be provided"]);
    let answer = client.assign("nope", Some("u"), None, false).await;
    refused(answer, Code::NotFound, &["nope/0-1"]);
    let unset = AssignUserTaskRunRequest {
        user_id: Some("u".to_owned()),
        ..AssignUserTaskRunRequest::default()
    };
    let answer = client.assign_user_task_run(unset).await;
    refused(answer, Code::NotFound, &[]);
    assert_eq!(client.user_task("r").await.epoch, 1);
    client.complete("r", "u", &[]).await.unwrap();
    let answer = client.assign("r", Some("v"), None, true).await;
    refused(answer, Code::FailedPrecondition, &["DONE"]);
    server.stop().await;
}

#[tokio::test]
async fn one_of_two_claims_wins() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_g()])).await;
    for n in 0..20 {
        let run = format!("r{n}");
        client.run("s", &run).await;
        let (mut a, mut b) = (client.clone(), client.clone());
        let (first, second) = tokio::join!(
            a.assign(&run, Some("a"), None, false),
            b.assign(&run, Some("b"), None, false)
        );
        // spec 06-22
        assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
        let winner = if first.is_ok() { "a" } else { "b" };
        let task = client.user_task(&run).await;
        assert_eq!(task.user_id.as_deref(), Some(winner));
        assert_eq!(task.epoch, 2);
    }
    server.stop().await;
}

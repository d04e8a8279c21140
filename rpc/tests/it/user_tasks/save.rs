//! SaveUserTaskRunProgress (spec 06, section 8.2).

use proto::littlehorse::save_user_task_run_progress_request::SaveUserTaskRunAssignmentPolicy as Policy;
use tonic::Code;

use super::*;

fn by_v(run: &str, policy: i32) -> SaveUserTaskRunProgressRequest {
    SaveUserTaskRunProgressRequest {
        user_task_run_id: Some(task_id(run, "0-1")),
        results: results(&[("a", text("v"))]),
        user_id: "v".to_owned(),
        policy,
    }
}

#[tokio::test]
async fn a_draft_is_saved() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    let draft = [("myStr", text("hello"))];
    let saved = client.save("r", "u", &draft).await.unwrap().into_inner();
    let task = client.user_task("r").await;
    // spec 06-23
    assert_eq!(saved, task);
    assert_eq!(task.results, results(&draft));
    assert_eq!(events(&task), ["assigned", "saved"]);
    match &task.events[1].event {
        Some(Event::Saved(it)) => {
            assert_eq!((it.user_id.as_str(), &it.results), ("u", &results(&draft)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((task.status(), task.epoch), (Assigned, 1));
    // What is not sent again is gone.
    let both = [("a", int(1)), ("b", int(2))];
    client.save("r", "u", &both).await.unwrap();
    let saved = client.save("r", "u", &both[..1]).await.unwrap();
    // spec 06-25
    assert_eq!(saved.into_inner().results, results(&both[..1]));
    server.stop().await;
}

#[tokio::test]
async fn another_user_saves_only_if_told_to() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    let request = by_v("r", Policy::FailIfClaimedByOther.into());
    let answer = client.save_user_task_run_progress(request).await;
    // spec 06-24
    refused(answer, Code::FailedPrecondition, &["another user"]);
    assert_eq!(events(&client.user_task("r").await), ["assigned"]);
    let answer = client.save_user_task_run_progress(by_v("r", 9)).await;
    refused(answer, Code::InvalidArgument, &["policy"]);
    let request = by_v("r", Policy::IgnoreClaim.into());
    let saved = client.save_user_task_run_progress(request).await.unwrap();
    let saved = saved.into_inner();
    assert_eq!(saved.user_id.as_deref(), Some("u"));
    assert_eq!(saved.results, results(&[("a", text("v"))]));
    // Whoever works on a task of a group does not claim it by that.
    client.define(sequence("group", vec![], vec![of_g()])).await;
    client.run("group", "g").await;
    let saved = client.save("g", "v", &[]).await.unwrap().into_inner();
    assert_eq!((saved.status(), saved.user_id), (Unassigned, None));
    server.stop().await;
}

#[tokio::test]
async fn what_is_over_is_not_saved() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    client.complete("r", "u", &[]).await.unwrap();
    let answer = client.save("r", "u", &[("a", int(1))]).await;
    // spec 06-26
    refused(answer, Code::FailedPrecondition, &["DONE"]);
    assert!(client.user_task("r").await.results.is_empty());
    let answer = client.save("nope", "u", &[]).await;
    refused(answer, Code::NotFound, &["nope"]);
    server.stop().await;
}

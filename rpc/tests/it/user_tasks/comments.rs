//! Comments (spec 06, section 8.5), and how large a UserTaskRun may become.

use proto::littlehorse::{
    DeleteUserTaskRunCommentRequest, EditUserTaskRunCommentRequest, LhStatus,
    PutUserTaskRunCommentRequest,
};
use tonic::Code;

use super::*;

async fn put(client: &mut Client, user: &str, comment: &str) -> Answer<UserTaskRun> {
    let request = PutUserTaskRunCommentRequest {
        user_task_run_id: Some(task_id("r", "0-1")),
        user_id: user.to_owned(),
        comment: comment.to_owned(),
    };
    client.put_user_task_run_comment(request).await
}

async fn edit(client: &mut Client, comment: i32, user: &str, text: &str) -> Answer<UserTaskRun> {
    let request = EditUserTaskRunCommentRequest {
        user_comment_id: comment,
        user_task_run_id: Some(task_id("r", "0-1")),
        user_id: user.to_owned(),
        comment: text.to_owned(),
    };
    client.edit_user_task_run_comment(request).await
}

async fn delete(client: &mut Client, comment: i32, user: &str) -> Answer<UserTaskRun> {
    let request = DeleteUserTaskRunCommentRequest {
        user_task_run_id: Some(task_id("r", "0-1")),
        user_comment_id: comment,
        user_id: user.to_owned(),
    };
    client.delete_user_task_run_comment(request).await
}

/// Kind, comment, user and text of the last event.
fn last(task: &UserTaskRun) -> (&'static str, i32, &str, &str) {
    match task.events.last().and_then(|event| event.event.as_ref()) {
        Some(Event::CommentAdded(it)) => {
            let id = it.user_comment_id;
            ("added", id, &it.user_id, &it.comment)
        }
        Some(Event::CommentEdited(it)) => {
            let id = it.user_comment_id;
            ("edited", id, &it.user_id, &it.comment)
        }
        Some(Event::CommentDeleted(it)) => ("deleted", it.user_comment_id, &it.user_id, ""),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn comments_come_and_go() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    // spec 06-49
    let task = put(client, "a", "one").await.unwrap().into_inner();
    assert_eq!(last(&task), ("added", 1, "a", "one"));
    assert_eq!(task, client.user_task("r").await);
    let task = put(client, "b", "two").await.unwrap().into_inner();
    assert_eq!(last(&task), ("added", 2, "b", "two"));
    let task = edit(client, 1, "c", "uno").await.unwrap().into_inner();
    assert_eq!(last(&task), ("edited", 1, "c", "uno"));
    let task = delete(client, 1, "d").await.unwrap().into_inner();
    assert_eq!(last(&task), ("deleted", 1, "d", ""));
    let answer = edit(client, 1, "c", "again").await;
    refused(answer, Code::FailedPrecondition, &["1"]);
    let answer = delete(client, 1, "c").await;
    refused(answer, Code::FailedPrecondition, &["1"]);
    let task = put(client, "a", "three").await.unwrap().into_inner();
    assert_eq!(last(&task), ("added", 3, "a", "three"));
    assert_eq!(task.events.len(), 6);
    assert_eq!((task.status(), task.epoch), (Assigned, 1));
    server.stop().await;
}

#[tokio::test]
async fn bad_comments_are_refused() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    let early = put(client, "a", "one").await;
    refused(early, Code::NotFound, &["r/0-1"]);
    client.run("s", "r").await;
    put(client, "a", "one").await.unwrap();
    for missing in [2, -1] {
        // spec 06-50
        let answer = edit(client, missing, "a", "x").await;
        refused(answer, Code::NotFound, &["Comment"]);
        let answer = delete(client, missing, "a").await;
        refused(answer, Code::NotFound, &["Comment"]);
    }
    let answer = edit(client, 0, "a", "x").await;
    refused(answer, Code::FailedPrecondition, &["user_comment_id"]);
    let answer = delete(client, 0, "a").await;
    refused(answer, Code::FailedPrecondition, &["user_comment_id"]);
    let answer = delete(client, 1, " ").await;
    refused(answer, Code::FailedPrecondition, &["UserId"]);
    let answer = edit(client, 1, "", "x").await;
    refused(answer, Code::InvalidArgument, &["UserId"]);
    let answer = edit(client, 1, "a", "").await;
    refused(answer, Code::InvalidArgument, &["Comment"]);
    let answer = put(client, "a", " ").await;
    refused(answer, Code::InvalidArgument, &["Comment"]);
    let answer = put(client, "", "x").await;
    refused(answer, Code::InvalidArgument, &["UserId"]);
    assert_eq!(client.user_task("r").await.events.len(), 2);
    client.complete("r", "u", &[]).await.unwrap();
    let task = put(client, "a", "well done").await.unwrap().into_inner();
    // spec 06-51
    assert_eq!(last(&task), ("added", 2, "a", "well done"));
    assert_eq!(task.status(), Done);
    server.stop().await;
}

#[tokio::test]
async fn a_task_that_is_full_can_still_be_cancelled() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    let long = "x".repeat(400_000);
    for _ in 0..2 {
        put(client, "a", &long).await.unwrap();
    }
    let answer = put(client, "a", &long).await;
    refused(answer, Code::ResourceExhausted, &["UserTaskRun"]);
    assert_eq!(client.user_task("r").await.events.len(), 3);
    // Up to the last byte that a comment may take.
    for length in [100_000, 10_000, 1000, 100] {
        while put(client, "a", &long[..length]).await.is_ok() {}
    }
    client.cancel("r").await.unwrap();
    assert_eq!(client.user_task("r").await.status(), Cancelled);
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Error);
    server.stop().await;
}

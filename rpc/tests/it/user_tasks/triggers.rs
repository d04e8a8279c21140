//! What happens to a user task after a delay (spec 06, section 10).

use std::time::{SystemTime, UNIX_EPOCH};

use proto::littlehorse::report_task_run::Result as Reported;
use proto::littlehorse::task_run_source::TaskRunSource as Source;
use proto::littlehorse::{
    DeleteWfRunRequest, LhStatus, LhTaskError, ListTaskRunsRequest, ReportTaskRun,
    SearchTaskRunRequest, TaskStatus,
};
use tonic::Code;

use super::*;

fn to_group(group: &str) -> Action {
    // As the Java client releases to a group.
    let nobody = Some(literal(VariableValue::default()));
    reassign(nobody, Some(literal(text(group))))
}

fn to_user(user: &str) -> Action {
    reassign(Some(literal(text(user))), None)
}

fn reminders() -> SearchTaskRunRequest {
    SearchTaskRunRequest {
        task_def_name: "work".to_owned(),
        ..SearchTaskRunRequest::default()
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

#[tokio::test]
async fn a_reminder_is_sent_and_the_task_released() {
    let mut server = server().await;
    let client = &mut server.client;
    let node = user_task(|node| {
        node.user_id = Some(literal(text("u")));
        node.user_group = Some(literal(text("g")));
        node.actions = vec![
            trigger(UtHook::OnTaskAssigned, 1, to_group("h")),
            trigger(UtHook::OnArrival, 0, remind(task("work", vec![]))),
        ];
    });
    client.define(spec(vec![], vec![node])).await;
    client.run("s", "r").await;
    let reminder = client.claim("work").await;
    let released = becomes(client, "r", |task| task.status() == Unassigned).await;
    // spec 06-41, 04-60 (that it fails alone, and is not sent for what is done: below)
    assert_eq!(events(&released), ["assigned", "task_executed", "assigned"]);
    match &released.events[1].event {
        Some(Event::TaskExecuted(it)) => assert_eq!(it.task_run, reminder.task_run_id),
        other => panic!("{other:?}"),
    }
    assert_eq!(reminder.task_run_id.unwrap().task_guid, "ut-0-1-1");
    let source = reminder.source.unwrap();
    match source.task_run_source {
        Some(Source::UserTaskTrigger(it)) => {
            assert_eq!(it.user_task_event_number, 1);
            assert_eq!(it.user_id.as_deref(), Some("u"));
            assert_eq!(it.user_group.as_deref(), Some("g"));
            assert_eq!(it.node_run_id, released.node_run_id);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(source.wf_spec_id.unwrap().name, "s");
    // spec 06-44: a user that is null is none.
    assert_eq!(
        assignment(&released, 2),
        (Some("u"), Some("g"), None, Some("h"))
    );
    let times: Vec<i64> = released
        .events
        .iter()
        .map(|event| millis(event.time))
        .collect();
    assert!(times[2] >= times[0] + 1000, "too early: {times:?}");
    let run = client.task_run("r", "ut-0-1-1").await;
    assert_eq!(run.timeout_seconds, 60);
    server.stop().await;
}

#[tokio::test]
async fn what_is_done_is_not_reminded_of() {
    let mut server = server().await;
    let client = &mut server.client;
    let late = trigger(UtHook::OnArrival, 1, remind(task("work", vec![])));
    client.define(spec(vec![], vec![acting(vec![late])])).await;
    client.run("s", "done").await;
    client.complete("done", "u", &[]).await.unwrap();
    client.run("s", "open").await;
    // It is due after that of the first.
    let reminder = client.claim("work").await;
    assert_eq!(run_of(&reminder), "open");
    // spec 06-42
    assert_eq!(reminders().found(client).await.len(), 1);
    let done = client.user_task("done").await;
    assert_eq!(events(&done), ["assigned", "completed"]);
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_is_of_its_own_user() {
    let mut server = server().await;
    let client = &mut server.client;
    let deadline = trigger(UtHook::OnTaskAssigned, 1, to_user("c"));
    client
        .define(spec(vec![], vec![acting(vec![deadline])]))
        .await;
    client.run("s", "r").await;
    pass(300).await;
    client.assign("r", Some("b"), None, true).await.unwrap();
    let task = becomes(client, "r", |task| task.events.len() > 2).await;
    // spec 06-43
    assert_eq!(assignment(&task, 2), (Some("b"), None, Some("c"), None));
    let (given, moved) = (millis(task.events[1].time), millis(task.events[2].time));
    assert!(moved >= given + 1000, "that of the user before has fired");
    // The new user is a different one, so its own deadline runs; it then is the same, and nothing is armed any more.
    let task = becomes(client, "r", |task| task.events.len() > 3).await;
    assert_eq!(assignment(&task, 3), (Some("c"), None, Some("c"), None));
    assert_eq!(task.epoch, 4);
    pass(1200).await;
    assert_eq!(client.user_task("r").await.events.len(), 4);
    server.stop().await;
}

#[tokio::test]
async fn a_reassignment_that_fails_ends_the_task() {
    let mut server = server().await;
    let client = &mut server.client;
    let vars = vec![required(var_def("s", VariableType::Str))];
    let node = acting(vec![trigger(
        UtHook::OnArrival,
        0,
        reassign(Some(failing()), None),
    )]);
    client.define(spec(vars, vec![node])).await;
    client.run_with("s", "r", &[("s", text("x"))]).await;
    let run = client.ended("r").await;
    // spec 06-45
    assert_eq!(run.status(), LhStatus::Error);
    let node_run = client.node_run("r", 1).await;
    assert_eq!(node_run.failures[0].failure_name, "VAR_SUB_ERROR");
    let message = &node_run.failures[0].message;
    assert!(message.contains("assignment"), "{message}");
    let task = client.user_task("r").await;
    assert_eq!(task.status(), Cancelled);
    assert_eq!(events(&task), ["assigned", "cancelled"]);
    server.stop().await;
}

#[tokio::test]
async fn a_reassignment_to_nobody_is_none() {
    let mut server = server().await;
    let client = &mut server.client;
    let node = acting(vec![
        trigger(UtHook::OnArrival, 0, to_user(" ")),
        trigger(UtHook::OnArrival, 0, remind(task("work", vec![]))),
    ]);
    client.define(spec(vec![], vec![node])).await;
    client.run("s", "r").await;
    // The second is due after the first.
    client.claim("work").await;
    let task = client.user_task("r").await;
    assert_eq!(events(&task), ["assigned", "task_executed"]);
    server.stop().await;
}

#[tokio::test]
async fn what_becomes_of_a_reminder_is_its_own_affair() {
    let mut server = server().await;
    let client = &mut server.client;
    let retried = TaskNode {
        retries: 1,
        ..task("work", vec![])
    };
    // One whose inputs are wrong is never sent.
    let wrong = task("work", vec![literal(int(1))]);
    let node = acting(vec![
        trigger(UtHook::OnArrival, 0, remind(wrong)),
        trigger(UtHook::OnArrival, -5, remind(retried)),
    ]);
    client.define(spec(vec![], vec![node])).await;
    client.run("s", "r").await;
    for attempt in 0..2 {
        let reminder = client.claim("work").await;
        assert_eq!(reminder.attempt_number, attempt);
        client
            .report(status(&reminder, TaskStatus::TaskFailed))
            .await;
    }
    let failed = client.task_run("r", "ut-0-1-1").await;
    assert_eq!(failed.status(), TaskStatus::TaskFailed);
    // spec 06-46
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Running);
    let task = client.user_task("r").await;
    assert_eq!(task.status(), Assigned);
    pass(200).await;
    assert_eq!(
        events(&client.user_task("r").await),
        ["assigned", "task_executed"]
    );
    client.complete("r", "u", &[]).await.unwrap();
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Completed);
    let list = ListTaskRunsRequest {
        wf_run_id: Some(id("r")),
        ..ListTaskRunsRequest::default()
    };
    assert_eq!(list.found(client).await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_reminder_without_room_for_more_fails_alone() {
    let mut server = server().await;
    let client = &mut server.client;
    let retried = TaskNode {
        retries: 2,
        ..task("work", vec![])
    };
    let node = acting(vec![trigger(UtHook::OnArrival, 0, remind(retried))]);
    client.define(spec(vec![], vec![node])).await;
    client.run("s", "r").await;
    let first = client.claim("work").await;
    let long = LhTaskError {
        message: "x".repeat(1_046_400),
        ..LhTaskError::default()
    };
    let report = ReportTaskRun {
        result: Some(Reported::Error(long)),
        ..status(&first, TaskStatus::TaskFailed)
    };
    client.report(report).await;
    // No room for the name of the second attempt's worker, who goes on waiting.
    let mut polls = Polls::open(client, "work", &"w".repeat(1000)).await;
    polls.ask().await;
    let ended = until(|| {
        let mut client = client.clone();
        async move {
            let task = client.task_run("r", "ut-0-1-1").await;
            (task.status() == TaskStatus::TaskFailed).then_some(task)
        }
    })
    .await;
    assert_eq!(ended.attempts.len(), 2);
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    assert_eq!(client.user_task("r").await.status(), Assigned);
    client.run("s", "next").await;
    assert_eq!(run_of(&polls.next().await), "next");
    server.stop().await;
}

#[tokio::test]
async fn a_trigger_survives_a_restart_and_fires_once() {
    let mut server = server().await;
    let late = trigger(UtHook::OnArrival, 1, remind(task("work", vec![])));
    let spec = spec(vec![], vec![acting(vec![late])]);
    server.client.define(spec).await;
    server.client.run("s", "r").await;
    server.stop_until(now_ms() + 1200).await;
    let client = &mut server.client;
    client.claim("work").await;
    pass(300).await;
    let task = client.user_task("r").await;
    // spec 06-47
    assert_eq!(events(&task), ["assigned", "task_executed"]);
    assert_eq!(reminders().found(client).await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn nothing_fires_for_a_deleted_run() {
    let mut server = server().await;
    let client = &mut server.client;
    let actions = vec![
        trigger(UtHook::OnArrival, 1, remind(task("work", vec![]))),
        trigger(UtHook::OnArrival, 1, cancel()),
    ];
    client.define(spec(vec![], vec![acting(actions)])).await;
    client.define(sequence("plain", vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    let due = now_ms() + 1000;
    let delete = DeleteWfRunRequest { id: Some(id("r")) };
    client.delete_wf_run(delete).await.unwrap();
    refused(client.get("r", "0-1").await, Code::NotFound, &[]);
    // Another run of the same id is none of its business.
    client.run("plain", "r").await;
    pass((due - now_ms()).max(0) as u64 + 300).await;
    // spec 06-48
    assert!(reminders().found(client).await.is_empty());
    let task = client.user_task("r").await;
    assert_eq!(events(&task), ["assigned"]);
    server.stop().await;
}

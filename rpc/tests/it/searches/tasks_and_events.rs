//! TaskRuns and ExternalEvents.

use std::collections::BTreeSet;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    ExternalEventDefId, SearchExternalEventRequest, SearchTaskRunRequest, TaskStatus,
};

use super::*;
use crate::support::*;

#[tokio::test]
async fn tasks_are_found_by_definition_status_and_time() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for name in ["t", "other"] {
        client.define_task(task_def(name, &[], None)).await;
    }
    let nodes = vec![
        Kind::Task(task("t", vec![])),
        Kind::Task(task("other", vec![])),
    ];
    client.define(sequence("s", vec![], nodes)).await;
    let search = |name: &str, status: Option<TaskStatus>| SearchTaskRunRequest {
        task_def_name: name.to_owned(),
        status: status.map(Into::into),
        ..SearchTaskRunRequest::default()
    };
    let expected = many(client, "s", (0..10).map(|n| format!("r{n}"))).await;
    let runs = |found: Vec<proto::littlehorse::TaskRunId>| -> Vec<String> {
        found
            .into_iter()
            .map(|id| id.wf_run_id.unwrap().id)
            .collect()
    };
    let scheduled = Some(TaskStatus::TaskScheduled);
    for limit in [1, 3, 10] {
        let pages = search("t", scheduled).paged(client, limit).await;
        assert_eq!(runs(pages.concat()), expected);
    }
    // Each step is seen at once.
    let task = client.claim("t").await;
    let id = task.task_run_id.clone().unwrap();
    let running = Some(TaskStatus::TaskRunning);
    let found = search("t", running).found(client).await;
    assert_eq!(found, std::slice::from_ref(&id));
    assert_eq!(search("t", scheduled).found(client).await.len(), 9);
    client.report(success(&task, None)).await;
    let done = Some(TaskStatus::TaskSuccess);
    assert_eq!(search("t", done).found(client).await, [id]);
    assert!(search("t", running).found(client).await.is_empty());
    assert_eq!(search("t", None).found(client).await.len(), 10);
    assert_eq!(search("other", None).found(client).await.len(), 1);
    assert!(search("nope", None).found(client).await.is_empty());
    // Inclusive on both ends.
    let times: Vec<i64> = {
        let mut times = Vec::new();
        for run in &expected {
            times.push(millis(client.task_run(run, "0-1").await.scheduled_at));
        }
        times
    };
    let (from, to) = (times[3], times[6]);
    let within = SearchTaskRunRequest {
        earliest_start: Some(proto::time::from_millis(from)),
        latest_start: Some(proto::time::from_millis(to)),
        ..search("t", None)
    };
    let count = times.iter().filter(|at| (from..=to).contains(at)).count();
    assert_eq!(within.found(client).await.len(), count);
    server.stop().await;
}

#[tokio::test]
async fn events_are_found_claimed_or_not() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for name in ["go", "other"] {
        client.define_event(name).await;
    }
    client
        .define(sequence("s", vec![], vec![event("go")]))
        .await;
    let search = |is_claimed: Option<bool>| SearchExternalEventRequest {
        external_event_def_id: Some(ExternalEventDefId {
            name: "go".to_owned(),
        }),
        is_claimed,
        ..SearchExternalEventRequest::default()
    };
    let runs = |found: Vec<proto::littlehorse::ExternalEventId>| -> BTreeSet<String> {
        found
            .into_iter()
            .map(|id| id.wf_run_id.unwrap().id)
            .collect()
    };
    let all: BTreeSet<String> = (0..8).map(|n| format!("r{n}")).collect();
    for run in &all {
        // Before its run.
        let put = put_event(run, "go", "g", int(1));
        client.put_external_event(put).await.unwrap();
        let put = put_event(run, "other", "g", int(1));
        client.put_external_event(put).await.unwrap();
    }
    // spec 07-38 (the refusals: bad_input.rs)
    assert_eq!(runs(search(Some(false)).found(client).await), all);
    assert!(search(Some(true)).found(client).await.is_empty());
    client.run("s", "r3").await;
    let claimed = search(Some(true)).found(client).await;
    assert_eq!(runs(claimed), BTreeSet::from(["r3".to_owned()]));
    assert_eq!(search(Some(false)).found(client).await.len(), 7);
    for limit in [1, 3, 8] {
        let pages = search(None).paged(client, limit).await;
        assert_eq!(runs(pages.concat()), all);
        assert_eq!(pages.len(), 8_usize.div_ceil(limit as usize));
    }
    server.stop().await;
}

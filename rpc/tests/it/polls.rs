//! PollTask: one task for each request, to whoever has waited longest (spec 04, sections 5, 7 and 8).

use std::collections::BTreeSet;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_run_source::TaskRunSource as Source;
use proto::littlehorse::{
    DeleteWfRunRequest, LhStatus, PollTaskRequest, PutTenantRequest, ScheduledTask, TaskStatus,
    WfSpecId, node_run,
};
use tonic::Code;

use crate::support::*;

/// A WfSpec of one task of a TaskDef of the same name.
async fn define_one_task(client: &mut Client, name: &str) {
    client.define_task(task_def(name, &[], None)).await;
    client
        .define(sequence(name, vec![], vec![a_task(name)]))
        .await;
}

fn a_task(name: &str) -> Kind {
    Kind::Task(task(name, vec![]))
}

/// Asserts that nothing more comes on a stream, not even a claim in flight.
async fn gets_nothing(mut polls: Polls) {
    polls.half_close();
    let end = polls.answer().await.unwrap();
    assert_eq!(end, None);
}

#[tokio::test]
async fn a_task_without_a_worker_waits() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let run = client.run("work", "r").await;
    let task_run = client.task_run("r", "0-1").await;
    // spec 04-1
    assert_eq!(task_run.status(), TaskStatus::TaskScheduled);
    assert_eq!((task_run.total_attempts, task_run.timeout_seconds), (1, 60));
    assert_eq!(task_run.total_checkpoints, 0);
    let [attempt] = &task_run.attempts[..] else {
        panic!("{:?}", task_run.attempts)
    };
    assert_eq!(attempt.status(), TaskStatus::TaskScheduled);
    assert_eq!(attempt.schedule_time, task_run.scheduled_at);
    assert_eq!(attempt.schedule_time, run.start_time);
    assert_eq!((attempt.start_time, attempt.end_time), (None, None));
    assert_eq!((&*attempt.task_worker_id, &attempt.result), ("", &None));
    let node_run = client.node_run("r", 1).await;
    assert_eq!(node_run.status(), LhStatus::Running);
    let Some(node_run::NodeType::Task(part)) = node_run.node_type else {
        panic!("{:?}", node_run.node_type)
    };
    assert_eq!(part.task_run_id, task_run.id);
    server.stop().await;
}

#[tokio::test]
async fn a_waiting_poll_gets_the_task_in_the_commit_that_makes_it() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let mut polls = Polls::open(client, "work", "alice").await;
    polls.ask().await;
    server.waiting_polls(1).await;
    client.run("work", "r").await;
    let task_run = client.task_run("r", "0-1").await;
    let task = polls.next().await;
    // spec 04-3
    assert_eq!(task.task_run_id, task_run.id);
    assert_eq!(task.task_def_id, task_run.task_def_id);
    assert_eq!(task.attempt_number, 0);
    assert_eq!(task.source, task_run.source);
    assert_eq!(task.created_at, task_run.attempts[0].schedule_time);
    let source = task.source.clone().unwrap();
    let Some(Source::TaskNode(node)) = source.task_run_source else {
        panic!("{source:?}")
    };
    let node = node.node_run_id.unwrap();
    assert_eq!((node.thread_run_number, node.position), (0, 1));
    let spec = WfSpecId {
        name: "work".to_owned(),
        ..WfSpecId::default()
    };
    assert_eq!(source.wf_spec_id, Some(spec));
    assert_eq!(task_run.status(), TaskStatus::TaskRunning);
    let attempt = &task_run.attempts[0];
    assert_eq!(attempt.status(), TaskStatus::TaskRunning);
    assert_eq!(attempt.task_worker_id, "alice");
    assert_eq!(attempt.task_worker_version.as_deref(), Some("v1"));
    assert!(millis(attempt.start_time) >= millis(attempt.schedule_time));
    assert_eq!(attempt.end_time, None);
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Running);
    gets_nothing(polls).await;
    server.stop().await;
}

#[tokio::test]
async fn each_request_is_worth_one_task() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let mut polls = client.polling("work").await;
    polls.ask().await;
    polls.ask().await;
    server.waiting_polls(2).await;
    let mut left = BTreeSet::new();
    for run in ["a", "b", "c"] {
        client.run("work", run).await;
        left.insert(run.to_owned());
    }
    for _ in 0..2 {
        assert!(left.remove(&run_of(&polls.next().await)));
    }
    // spec 04-4
    assert_eq!(left, BTreeSet::from(["c".to_owned()]));
    let third = client.task_run("c", "0-1").await;
    assert_eq!(third.status(), TaskStatus::TaskScheduled);
    polls.ask().await;
    assert_eq!(run_of(&polls.next().await), "c");
    gets_nothing(polls).await;
    server.stop().await;
}

#[tokio::test]
async fn tasks_of_all_groups_come_in_the_order_in_which_they_were_scheduled() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    // Enough runs that each of the two groups has some; the order of one millisecond is undefined between groups.
    let runs: Vec<String> = (0..8).map(|n| format!("run-{n}")).collect();
    run_in_turn(client, &runs).await;
    let mut polls = client.polling("work").await;
    let mut claimed = Vec::new();
    for _ in &runs {
        polls.ask().await;
        claimed.push(run_of(&polls.next().await));
    }
    // spec 04-5
    assert_eq!(claimed, runs);
    gets_nothing(polls).await;
    server.stop().await;
}

/// Runs `work` under each id, no two in one millisecond.
async fn run_in_turn(client: &mut Client, runs: &[String]) {
    let mut last = 0;
    for run in runs {
        let clock = client.clone();
        until(|| {
            let mut client = clock.clone();
            async move { (server_time(&mut client).await > last).then_some(()) }
        })
        .await;
        last = millis(client.run("work", run).await.start_time);
    }
}

/// The server's clock, from a heartbeat.
async fn server_time(client: &mut Client) -> i64 {
    let heartbeat = proto::littlehorse::RegisterTaskWorkerRequest {
        task_worker_id: "clock".to_owned(),
        task_def_id: Some(task_def_id("clock")),
    };
    client.register_task_worker(heartbeat).await.unwrap();
    let group = client.get_task_worker_group(task_def_id("clock")).await;
    millis(group.unwrap().into_inner().task_workers["clock"].latest_heartbeat)
}

#[tokio::test]
async fn who_has_waited_longest_gets_it() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let mut a = Polls::open(client, "work", "a").await;
    let mut b = Polls::open(client, "work", "b").await;
    let mut c = Polls::open(client, "work", "c").await;
    for (number, polls) in [&mut a, &mut b, &mut c].into_iter().enumerate() {
        polls.ask().await;
        server.waiting_polls(number + 1).await;
    }
    // spec 04-6
    client.run("work", "first").await;
    assert_eq!(run_of(&a.next().await), "first");
    // Its next request stands behind those who waited meanwhile.
    a.ask().await;
    server.waiting_polls(3).await;
    client.run("work", "second").await;
    assert_eq!(run_of(&b.next().await), "second");
    client.run("work", "third").await;
    assert_eq!(run_of(&c.next().await), "third");
    client.run("work", "fourth").await;
    assert_eq!(run_of(&a.next().await), "fourth");
    for polls in [a, b, c] {
        gets_nothing(polls).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_broken_stream_takes_its_polls_along() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let mut broken = client.polling("work").await;
    broken.ask().await;
    broken.ask().await;
    let mut other = client.polling("other").await;
    other.ask().await;
    server.waiting_polls(3).await;
    drop(broken);
    server.waiting_polls(1).await;
    client.run("work", "r").await;
    // spec 04-7
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskScheduled);
    assert_eq!(run_of(&client.claim("work").await), "r");
    gets_nothing(other).await;
    server.stop().await;
}

#[tokio::test]
async fn a_half_closed_stream_ends_well_and_gets_nothing_more() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let mut polls = client.polling("work").await;
    polls.ask().await;
    server.waiting_polls(1).await;
    polls.half_close();
    // spec 04-8
    assert_eq!(polls.answer().await.unwrap(), None);
    server.waiting_polls(0).await;
    client.run("work", "r").await;
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskScheduled);
    server.stop().await;
}

#[tokio::test]
async fn a_poll_may_wait_for_a_task_def_that_comes_later() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let mut polls = client.polling("later").await;
    polls.ask().await;
    server.waiting_polls(1).await;
    define_one_task(client, "later").await;
    client.run("later", "r").await;
    // spec 04-9
    assert_eq!(run_of(&polls.next().await), "r");
    server.stop().await;
}

#[tokio::test]
async fn requests_of_one_stream_may_name_different_task_defs() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    for name in ["apples", "pears"] {
        define_one_task(client, name).await;
    }
    let mut polls = client.polling("apples").await;
    // One without a TaskDef waits for ever, and harms nobody.
    polls.ask_for(PollTaskRequest::default()).await;
    polls.ask().await;
    let anonymous = PollTaskRequest {
        task_worker_version: None,
        ..poll_for("pears", "")
    };
    polls.ask_for(anonymous).await;
    polls.ask().await;
    server.waiting_polls(4).await;
    for (spec, run) in [("pears", "p"), ("apples", "a1"), ("apples", "a2")] {
        client.run(spec, run).await;
        assert_eq!(run_of(&polls.next().await), run);
    }
    let attempt = client.task_run("p", "0-1").await.attempts.remove(0);
    assert_eq!(attempt.task_worker_id, "");
    assert_eq!(attempt.task_worker_version.as_deref(), Some(""));
    // All of its polls go with it.
    polls.ask_for(poll_for("pears", "w")).await;
    server.waiting_polls(2).await;
    drop(polls);
    server.waiting_polls(0).await;
    server.stop().await;
}

#[tokio::test]
async fn tenants_do_not_get_each_others_tasks() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let stranger = in_tenant("nobody", tokio_stream::empty());
    let answer = client.poll_task(stranger).await;
    refused(
        answer.map(|_| tonic::Response::new(())),
        Code::PermissionDenied,
        &["Tenant"],
    );
    let tenant = PutTenantRequest {
        id: "acme".to_owned(),
        ..PutTenantRequest::default()
    };
    client.put_tenant(tenant).await.unwrap();
    define_one_task(client, "work").await;
    let def = in_tenant("acme", task_def("work", &[], None));
    client.put_task_def(def).await.unwrap();
    let spec = in_tenant("acme", sequence("work", vec![], vec![a_task("work")]));
    client.put_wf_spec(spec).await.unwrap();
    let mut acme = Polls::open_in(client, "acme", "work", "w").await;
    let mut default = client.polling("work").await;
    acme.ask().await;
    default.ask().await;
    server.waiting_polls(2).await;
    // spec 04-12
    client.run("work", "r").await;
    assert_eq!(run_of(&default.next().await), "r");
    default.ask().await;
    server.waiting_polls(2).await;
    let same_id = in_tenant("acme", run_request("work", "r", &[]));
    client.run_wf(same_id).await.unwrap();
    let theirs = acme.next().await;
    assert_eq!(run_of(&theirs), "r");
    let report = in_tenant("acme", success(&theirs, None));
    client.report_task(report).await.unwrap();
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    gets_nothing(default).await;
    gets_nothing(acme).await;
    server.stop().await;
}

#[tokio::test]
async fn of_two_polls_for_one_task_only_one_gets_it() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    client.run("work", "first").await;
    let mut a = Polls::open(client, "work", "a").await;
    let mut b = Polls::open(client, "work", "b").await;
    tokio::join!(a.ask(), b.ask());
    server.waiting_polls(1).await;
    client.run("work", "second").await;
    // spec 04-11: each has got one, so nobody has got the first task twice.
    let (of_a, of_b) = tokio::join!(a.next(), b.next());
    let both = BTreeSet::from([run_of(&of_a), run_of(&of_b)]);
    assert_eq!(both.len(), 2);
    let first = client.task_run("first", "0-1").await;
    assert_eq!(first.attempts.len(), 1);
    gets_nothing(a).await;
    gets_nothing(b).await;
    server.stop().await;
}

#[tokio::test]
async fn many_workers_share_the_tasks_of_many_runs() {
    const RUNS: usize = 60;
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let three = vec![a_task("work"), a_task("work"), a_task("work")];
    client.define(sequence("three", vec![], three)).await;
    let (claimed, mut tasks) = tokio::sync::mpsc::unbounded_channel::<ScheduledTask>();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let (mut client, claimed) = (client.clone(), claimed.clone());
        workers.spawn(async move {
            let mut polls = Polls::open(&mut client, "work", &format!("w{number}")).await;
            polls.ask().await;
            polls.ask().await;
            loop {
                let task = polls.next().await;
                polls.ask().await;
                client.report(success(&task, None)).await;
                claimed.send(task).unwrap();
            }
        });
    }
    let mut starting = tokio::task::JoinSet::new();
    for number in 0..RUNS {
        let mut client = client.clone();
        starting.spawn(async move { client.run("three", &format!("r{number}")).await });
    }
    starting.join_all().await;
    for number in 0..RUNS {
        let run = client.ended(&format!("r{number}")).await;
        assert_eq!(run.status(), LhStatus::Completed);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..3 * RUNS {
        let task = tasks.recv().await.unwrap();
        let guid = task.task_run_id.clone().unwrap().task_guid;
        assert!(seen.insert((run_of(&task), guid)), "twice: {task:?}");
        assert_eq!(task.attempt_number, 0);
    }
    server.waiting_polls(12).await;
    assert!(tasks.is_empty());
    workers.shutdown().await;
    server.stop().await;
}

#[tokio::test]
async fn the_task_of_a_deleted_run_is_skipped() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    for run in ["gone", "stays"] {
        client.run("work", run).await;
    }
    let id = Some(id("gone"));
    client
        .delete_wf_run(DeleteWfRunRequest { id })
        .await
        .unwrap();
    let mut polls = client.polling("work").await;
    polls.ask().await;
    // spec 04-13
    assert_eq!(run_of(&polls.next().await), "stays");
    polls.ask().await;
    server.waiting_polls(1).await;
    client.run("work", "gone").await;
    assert_eq!(run_of(&polls.next().await), "gone");
    gets_nothing(polls).await;
    server.stop().await;
}

#[tokio::test]
async fn queued_tasks_survive_a_restart() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    define_one_task(client, "work").await;
    let runs: Vec<String> = (0..6).map(|n| format!("run-{n}")).collect();
    run_in_turn(client, &runs).await;
    let claimed = client.claim("work").await;
    assert_eq!(run_of(&claimed), runs[0]);
    let mut waiting = client.polling("other").await;
    waiting.ask().await;
    server.waiting_polls(1).await;
    server.restart().await;
    let broken = waiting.answer().await.unwrap_err();
    assert_eq!(broken.code(), Code::Unavailable);
    // spec 04-10
    let client = &mut server.client.clone();
    let mut polls = client.polling("work").await;
    for run in &runs[1..] {
        polls.ask().await;
        assert_eq!(&run_of(&polls.next().await), run);
    }
    gets_nothing(polls).await;
    // What was claimed before is not handed out again, and can still be reported.
    let task_run = client.task_run(&runs[0], "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskRunning);
    client.report(success(&claimed, None)).await;
    let run = client.wf_run(&runs[0]).await;
    assert_eq!(run.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_has_no_more_than_a_thousand_polls_waiting() {
    let mut server = Fixture::start().await;
    define_one_task(&mut server.client, "work").await;
    let mut polls = server.client.polling("work").await;
    for _ in 0..1100 {
        polls.ask().await;
    }
    server.waiting_polls(1000).await;
    // Each task that comes makes room for one of those that wait in the stream.
    for run in 0..200 {
        server.client.run("work", &format!("r{run}")).await;
        polls.next().await;
    }
    server.waiting_polls(900).await;
    server.stop().await;
}

//! Metric windows and counters (spec 07, sections 6 and 7).

use ironhorse_workflow::Settings;
use ironhorse_workflow::metric::counter;
use ironhorse_workflow::metric::window::{self, Subject};
use proto::ironhorse::v1::MetricRow;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::{
    CountAndTiming, DeleteWfRunRequest, ExponentialBackoffRetryPolicy, MetricWindowType, NopNode,
    PutTaskDefRequest, ReportTaskRun, TaskDef, TaskDefId, TaskNode, TaskStatus, WfRunId,
    metric_window,
};

use crate::world::{TENANT, World};

const MINUTE: i64 = 60_000;

fn id(id: &str) -> WfRunId {
    WfRunId {
        id: id.to_owned(),
        parent_wf_run_id: None,
    }
}

/// All windows of a subject, of all groups, added up.
fn total(world: &World, subject: &Subject, kind: MetricWindowType) -> metric_window::Metric {
    let mut sum = MetricRow::default();
    for (key, row) in world.scan::<MetricRow>(&window::all(TENANT, kind, 0, i64::MAX)) {
        let (_, _, of) = window::parse(&key).unwrap();
        if of == *subject {
            window::merge(&mut sum, &row);
        }
    }
    let public = window::public(TENANT, 0, kind, Some(subject), &sum);
    public.metric.unwrap()
}

fn count(of: Option<CountAndTiming>) -> i32 {
    of.unwrap().count
}

fn world(retention_ms: i64) -> World {
    let settings = Settings {
        metric_retention_ms: retention_ms,
        ..Settings::new(3)
    };
    let mut world = World::with("2026-01-01T12:00:30Z", &settings);
    let def = PutTaskDefRequest {
        name: "work".to_owned(),
        ..PutTaskDefRequest::default()
    };
    let _: TaskDef = world.meta(Meta::PutTaskDef(def)).unwrap();
    let task = Kind::Task(TaskNode {
        task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
            name: "work".to_owned(),
        })),
        retries: 2,
        exponential_backoff: Some(ExponentialBackoffRetryPolicy {
            base_interval_ms: 1000,
            max_delay_ms: 1000,
            multiplier: 1.0,
        }),
        ..TaskNode::default()
    });
    world.define("s", vec![], vec![task]);
    world.define("n", vec![], vec![Kind::Nop(NopNode {})]);
    world
}

fn report(world: &mut World, run: &str, status: TaskStatus, after_ms: i64) {
    let task = world.claim("work").expect("a task");
    world.pass(after_ms);
    let report = ReportTaskRun {
        task_run_id: task.task_run_id,
        status: status.into(),
        attempt_number: task.attempt_number,
        ..ReportTaskRun::default()
    };
    world.core::<()>(run, Core::ReportTask(report)).unwrap();
}

#[test]
fn a_task_that_succeeds_at_last() {
    let mut world = world(i64::MAX);
    world.run("s", "r").unwrap();
    for _ in 0..2 {
        world.pass(5);
        report(&mut world, "r", TaskStatus::TaskFailed, 10);
        world.pass(1000);
    }
    report(&mut world, "r", TaskStatus::TaskSuccess, 20);
    let of_task = Subject::TaskDef("work".to_owned());
    let metric_window::Metric::Task(task) = total(&world, &of_task, MetricWindowType::TaskMetric)
    else {
        panic!("not of a task");
    };
    // spec 07-54
    assert_eq!(count(task.taskattempt_pending_to_scheduled), 3);
    assert_eq!(count(task.taskattempt_scheduled_to_running), 3);
    assert_eq!(count(task.taskattempt_running_to_error), 2);
    assert_eq!(count(task.taskattempt_running_to_success), 1);
    assert_eq!(count(task.taskrun_created_to_completed), 1);
    assert_eq!(count(task.taskrun_created_to_error), 0);
    assert_eq!(count(task.taskrun_created_to_exception), 0);
    let backoff = task.taskattempt_pending_to_scheduled.unwrap();
    assert_eq!(
        (backoff.max_latency_ms, backoff.total_latency_ms),
        (1000, 2000)
    );
    assert_eq!(backoff.min_latency_ms, 1000);
    let failed = task.taskattempt_running_to_error.unwrap();
    assert_eq!(failed.total_latency_ms, 20);
    let all = task.taskrun_created_to_completed.unwrap();
    assert_eq!(all.total_latency_ms, world.now_ms - (world.began_ms));
    let of_spec = Subject::WfSpec("s".to_owned(), 0, 0);
    let metric_window::Metric::Workflow(wf) =
        total(&world, &of_spec, MetricWindowType::WorkflowMetric)
    else {
        panic!("not of a WfSpec");
    };
    assert_eq!((count(wf.started), count(wf.running_to_completed)), (1, 1));
    assert_eq!(wf.started.unwrap().total_latency_ms, 0);
    assert_eq!(count(wf.halted_to_running), 0);
}

#[test]
fn a_window_goes_when_its_time_is_over() {
    let mut world = world(60_000);
    world.run("n", "r").unwrap();
    let windows = |world: &World| {
        let all = window::all(TENANT, MetricWindowType::WorkflowMetric, 0, i64::MAX);
        world.scan::<MetricRow>(&all).len()
    };
    assert_eq!(windows(&world), 1);
    // Half a minute of it was over when the world began.
    world.pass(MINUTE / 2 - 1);
    assert_eq!(windows(&world), 1);
    world.pass(1);
    // spec 07-56
    assert_eq!(windows(&world), 0);
    world.run("n", "q").unwrap();
    assert_eq!(windows(&world), 1);
}

#[test]
fn what_is_counted_is_what_is_there() {
    let mut world = world(i64::MAX);
    let nodes = |world: &World, spec: &str| -> i64 {
        let rows = world.raw(&counter::node_runs(TENANT, Some((spec, None, None))));
        rows.iter()
            .map(|(_, row)| counter::value(row).unwrap())
            .sum()
    };
    let scheduled = |world: &World| -> i64 {
        let rows = world.raw(&counter::scheduled_task_runs(TENANT, "work"));
        rows.iter()
            .map(|(_, row)| counter::value(row).unwrap())
            .sum()
    };
    for run in 0..9 {
        world.run("n", &format!("n-{run}")).unwrap();
    }
    assert_eq!(nodes(&world, "n"), 27);
    for run in 0..4 {
        world.run("s", &format!("s-{run}")).unwrap();
    }
    assert_eq!((nodes(&world, "s"), scheduled(&world)), (8, 4));
    let task = world.claim("work").unwrap();
    assert_eq!(scheduled(&world), 3);
    let run = task.task_run_id.unwrap().wf_run_id.unwrap().id;
    let other = (0..4)
        .map(|n| format!("s-{n}"))
        .find(|id| *id != run)
        .unwrap();
    for gone in [run, other] {
        let delete = Core::DeleteWfRun(DeleteWfRunRequest {
            id: Some(id(&gone)),
        });
        world.core::<()>(&gone, delete).unwrap();
    }
    assert_eq!((nodes(&world, "s"), scheduled(&world)), (4, 2));
    let delete = Core::DeleteWfRun(DeleteWfRunRequest {
        id: Some(id("n-3")),
    });
    world.core::<()>("n-3", delete).unwrap();
    assert_eq!(nodes(&world, "n"), 24);
}

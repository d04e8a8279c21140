//! What no client sees: timers, and commands that are executed twice.

use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{UserTaskRunRow, WfRunRow};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::ut_action_trigger::{Action, UtHook, UtaCancel, UtaTask};
use proto::littlehorse::{
    AssignUserTaskRunRequest, CancelUserTaskRunRequest, CompleteUserTaskRunRequest,
    DeleteWfRunRequest, LhStatus, PutTaskDefRequest, PutUserTaskDefRequest,
    PutUserTaskRunCommentRequest, ResumeWfRunRequest, SaveUserTaskRunProgressRequest,
    StartThreadNode, StopWfRunRequest, TaskDefId, TaskNode, UserTaskNode, UserTaskRun,
    UserTaskRunId, UtActionTrigger, WfRunId,
};

use super::*;
use crate::key::RunKey;
use crate::testing::World;
use crate::value::testing::{int, literal, text};

const AT: UserTaskAt = UserTaskAt {
    thread: 0,
    position: 1,
};

fn task() -> TaskNode {
    TaskNode {
        task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
            name: "work".to_owned(),
        })),
        ..TaskNode::default()
    }
}

fn trigger(hook: UtHook, seconds: i64, action: Action) -> UtActionTrigger {
    UtActionTrigger {
        hook: hook.into(),
        delay_seconds: Some(literal(int(seconds))),
        action: Some(action),
    }
}

fn remind() -> Action {
    Action::Task(UtaTask {
        task: Some(task()),
        mutations: Vec::new(),
    })
}

/// A USER_TASK of user `u` with these triggers.
fn world(actions: Vec<UtActionTrigger>) -> World {
    let mut world = World::new();
    world.define(Meta::PutUserTaskDef(PutUserTaskDefRequest {
        name: "form".to_owned(),
        ..PutUserTaskDefRequest::default()
    }));
    world.define(Meta::PutTaskDef(PutTaskDefRequest {
        name: "work".to_owned(),
        ..PutTaskDefRequest::default()
    }));
    world.define_spec(vec![Kind::UserTask(Box::new(UserTaskNode {
        user_task_def_name: "form".to_owned(),
        user_id: Some(literal(text("u"))),
        actions,
        ..UserTaskNode::default()
    }))]);
    world.run("r");
    world
}

fn id() -> UserTaskRunId {
    UserTaskRunId {
        wf_run_id: Some(WfRunId::root("r")),
        user_task_guid: "0-1".to_owned(),
    }
}

fn row(world: &World) -> UserTaskRunRow {
    world
        .row("r", |run| run.user_task_run(AT))
        .expect("it exists")
}

fn events(world: &World) -> usize {
    row(world).user_task_run.expect("it exists").events.len()
}

fn complete() -> Core {
    Core::CompleteUserTaskRun(CompleteUserTaskRunRequest {
        user_task_run_id: Some(id()),
        ..CompleteUserTaskRunRequest::default()
    })
}

fn cancel() -> Core {
    Core::CancelUserTaskRun(CancelUserTaskRunRequest {
        user_task_run_id: Some(id()),
    })
}

#[test]
fn what_ends_a_task_leaves_no_timer() {
    let delete = Core::DeleteWfRun(DeleteWfRunRequest {
        id: Some(WfRunId::root("r")),
    });
    for end in [complete(), cancel(), delete] {
        let mut world = world(vec![
            trigger(UtHook::OnArrival, 100, remind()),
            trigger(UtHook::OnTaskAssigned, 50, remind()),
        ]);
        assert_eq!(world.timers(), 1, "one for all");
        world.command(end).expect("it ends");
        assert_eq!(world.timers(), 0);
    }
    // The end may be a trigger, too.
    let mut world = world(vec![
        trigger(UtHook::OnArrival, 100, remind()),
        trigger(UtHook::OnArrival, 10, Action::Cancel(UtaCancel {})),
    ]);
    world.pass(10_000);
    assert!(row(&world).cancelled.is_some());
    assert_eq!(world.timers(), 0);
}

#[test]
fn triggers_fire_in_the_order_of_their_times() {
    let mut world = world(vec![
        trigger(UtHook::OnArrival, i64::MAX, remind()),
        trigger(UtHook::OnArrival, 20, remind()),
        trigger(UtHook::OnArrival, i64::MIN, remind()),
        trigger(UtHook::OnArrival, 10, remind()),
    ]);
    for (ms, expected) in [(0, 2), (9_999, 2), (1, 3), (9_999, 3), (1, 4), (1 << 50, 4)] {
        world.pass(ms);
        assert_eq!(events(&world), expected);
    }
    assert_eq!(row(&world).armed.len(), 1, "what is never due waits");
    assert_eq!(world.timers(), 1);
}

#[test]
fn a_reminder_of_a_halted_thread_is_dropped() {
    let mut world = world(vec![trigger(UtHook::OnArrival, 10, remind())]);
    let stop = Core::StopWfRun(StopWfRunRequest {
        wf_run_id: Some(WfRunId::root("r")),
        thread_run_number: 0,
    });
    world.command(stop).expect("it stops");
    assert_eq!(world.timers(), 1);
    world.pass(10_000);
    assert_eq!((events(&world), world.timers()), (1, 0));
}

#[test]
fn a_repeated_command_finds_itself() {
    let mut world = world(Vec::new());
    let assign = Core::AssignUserTaskRun(AssignUserTaskRunRequest {
        user_task_run_id: Some(id()),
        override_claim: true,
        user_id: Some("v".to_owned()),
        user_group: None,
    });
    let save = Core::SaveUserTaskRunProgress(SaveUserTaskRunProgressRequest {
        user_task_run_id: Some(id()),
        user_id: "v".to_owned(),
        ..SaveUserTaskRunProgressRequest::default()
    });
    let comment = Core::PutUserTaskRunComment(PutUserTaskRunCommentRequest {
        user_task_run_id: Some(id()),
        user_id: "v".to_owned(),
        comment: "good".to_owned(),
    });
    for (request, command) in (1..).zip([assign, save, comment.clone()]) {
        let first = world.request(request, command.clone()).expect("accepted");
        let after = events(&world);
        assert_eq!(after as u128, 1 + request);
        assert_eq!(world.request(request, command), Ok(first));
        assert_eq!(events(&world), after);
    }
    // Others come in between, but not without end: a row has room for so many.
    for request in 10..30 {
        world.request(request, comment.clone()).expect("accepted");
        world
            .request(request - 1, comment.clone())
            .expect("accepted");
    }
    let row = row(&world);
    assert_eq!(row.request_ids.len(), 8);
    let answer = world.request(29, comment).expect("accepted");
    let shown = UserTaskRun::decode(answer).expect("it can be read");
    assert_eq!(shown.events, row.user_task_run.expect("it exists").events);
}

#[test]
fn the_task_of_a_stopped_child_ends_with_its_parent() {
    let mut world = World::new();
    world.define(Meta::PutUserTaskDef(PutUserTaskDefRequest {
        name: "form".to_owned(),
        ..PutUserTaskDefRequest::default()
    }));
    let start = Kind::StartThread(StartThreadNode {
        thread_spec_name: "child".to_owned(),
        ..StartThreadNode::default()
    });
    let people = Kind::UserTask(Box::new(UserTaskNode {
        user_task_def_name: "form".to_owned(),
        user_id: Some(literal(text("u"))),
        ..UserTaskNode::default()
    }));
    world.define_threads([("main", vec![start]), ("child", vec![people])]);
    world.run("r");
    let task = |world: &World| {
        let at = UserTaskAt {
            thread: 1,
            position: 1,
        };
        let row: Option<UserTaskRunRow> = world.row("r", |run| run.user_task_run(at));
        let task = row.and_then(|row| row.user_task_run).expect("it exists");
        (task.status(), task.events.len())
    };
    assert_eq!(task(&world), (UserTaskRunStatus::Assigned, 1));
    // Its parent does not wait for a thread that is stopped (spec 03, section 6.3), and completes.
    let stop = Core::StopWfRun(StopWfRunRequest {
        wf_run_id: Some(WfRunId::root("r")),
        thread_run_number: 1,
    });
    world.command(stop).expect("it stops");
    let run: Option<WfRunRow> = world.row("r", RunKey::wf_run);
    let run = run.and_then(|row| row.wf_run).expect("it exists");
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(task(&world), (UserTaskRunStatus::Cancelled, 2));
    let resume = Core::ResumeWfRun(ResumeWfRunRequest {
        wf_run_id: Some(WfRunId::root("r")),
        thread_run_number: 1,
    });
    world.command(resume).expect("it goes on");
    assert_eq!(task(&world), (UserTaskRunStatus::Assigned, 3));
}

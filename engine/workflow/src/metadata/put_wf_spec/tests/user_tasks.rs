//! USER_TASK (spec 06, section 3).

use proto::littlehorse::ut_action_trigger::{Action, UtaReassign, UtaTask};
use proto::littlehorse::{
    TaskDef, TaskDefId, TaskNode, UserTaskNode, UtActionTrigger, VariableAssignment, task_node,
};

use super::*;
use crate::value::testing::{int, literal, null, text, var};
use VariableType::Str;

fn user_task(change: impl FnOnce(&mut UserTaskNode)) -> WfSpec {
    let mut node = UserTaskNode {
        user_task_def_name: "u".to_owned(),
        user_id: Some(literal(text("fred"))),
        ..UserTaskNode::default()
    };
    change(&mut node);
    one(vec![private("s", Str)], Kind::UserTask(Box::new(node)))
}

fn remind(task: &str, delay: Option<VariableAssignment>) -> UtActionTrigger {
    let task = TaskNode {
        task_to_execute: Some(task_node::TaskToExecute::TaskDefId(TaskDefId {
            name: task.to_owned(),
        })),
        // Clients do not know how many inputs there are.
        variables: vec![var("s"), var("s")],
        ..TaskNode::default()
    };
    UtActionTrigger {
        action: Some(Action::Task(UtaTask {
            task: Some(task),
            mutations: Vec::new(),
        })),
        delay_seconds: delay,
        ..UtActionTrigger::default()
    }
}

#[test]
fn somebody_is_to_do_something_that_exists() {
    let known = Known::default()
        .with_user_task("u", 0)
        .with_user_task("u", 3)
        .with_task("t", TaskDef::default());
    let acting = |action| user_task(|node| node.actions = vec![action]);
    let soon = || Some(literal(int(1)));
    // spec 01-47
    refused(
        &known,
        vec![
            (
                user_task(|node| node.user_task_def_name = "nope".to_owned()),
                &["Node 1", "UserTaskDef nope"],
            ),
            (
                user_task(|node| node.user_task_def_version = Some(2)),
                &["Node 1", "UserTaskDef u version 2"],
            ),
            (
                user_task(|node| node.user_id = None),
                &["Node 1", "userGroup or userId must be specified"],
            ),
            (
                user_task(|node| node.user_id = Some(literal(text("  ")))),
                &["Node 1", "UserId can't be empty"],
            ),
            (
                user_task(|node| node.user_group = Some(literal(text("")))),
                &["Node 1", "UserGroup can't be empty"],
            ),
            (
                user_task(|node| node.notes = Some(var("nobody"))),
                &["variable nobody"],
            ),
            (
                acting(UtActionTrigger::default()),
                &["action 0 does nothing"],
            ),
            (
                acting(remind("t", None)),
                &["action 0 has no delay_seconds"],
            ),
            (acting(remind("nope", soon())), &["Node 1", "TaskDef nope"]),
            (acting(remind("t", Some(var("x")))), &["variable x"]),
            (
                acting(UtActionTrigger {
                    action: Some(Action::Reassign(UtaReassign {
                        user_id: Some(var("x")),
                        user_group: None,
                    })),
                    delay_seconds: soon(),
                    ..UtActionTrigger::default()
                }),
                &["variable x"],
            ),
        ],
    );
    accepted(
        &known,
        vec![
            acting(remind("t", soon())),
            user_task(|node| node.user_id = Some(literal(int(7)))),
            user_task(|node| node.user_id = Some(literal(null()))),
            user_task(|node| (node.user_id, node.user_group) = (None, Some(var("s")))),
        ],
    );
    let version = |wf_spec| {
        let made = checked(wf_spec, &known).unwrap();
        match made.thread_specs["main"].nodes["1"].node.clone() {
            Some(Kind::UserTask(node)) => node.user_task_def_version,
            other => panic!("{other:?}"),
        }
    };
    // spec 01-47: the version is pinned.
    assert_eq!(version(user_task(|_| {})), Some(3));
    assert_eq!(
        version(user_task(|node| node.user_task_def_version = Some(0))),
        Some(0)
    );
}

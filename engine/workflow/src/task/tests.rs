//! What takes longer than a test may.

use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{TaskRunRow, WfRunRow};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::{LhStatus, PutTaskDefRequest, TaskDefId, TaskNode, TaskStatus};

use crate::key::{RunKey, TaskGuid};
use crate::testing::World;

#[test]
fn a_task_waits_for_its_worker_for_ever() {
    let mut world = World::new();
    world.define(Meta::PutTaskDef(PutTaskDefRequest {
        name: "work".to_owned(),
        ..PutTaskDefRequest::default()
    }));
    world.define_spec(vec![Kind::Task(TaskNode {
        task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
            name: "work".to_owned(),
        })),
        ..TaskNode::default()
    })]);
    world.run("r");
    world.pass(5 * 60 * 1000);
    let guid = TaskGuid::of_node(0, 1);
    let task: Option<TaskRunRow> = world.row("r", |run| run.task_run(guid));
    let task = task.and_then(|row| row.task_run).expect("it exists");
    // spec 04-2
    assert_eq!(task.status(), TaskStatus::TaskScheduled);
    let run: Option<WfRunRow> = world.row("r", RunKey::wf_run);
    let run = run.and_then(|row| row.wf_run).expect("it exists");
    assert_eq!(run.status(), LhStatus::Running);
}

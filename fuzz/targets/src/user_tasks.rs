//! A workflow for people, and what they do: the part of the templates that is about user tasks.

use std::collections::BTreeMap;

use proto::ironhorse::v1::RunWf;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::ut_action_trigger::{Action, UtHook, UtaCancel, UtaReassign, UtaTask};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    AssignUserTaskRunRequest, CancelUserTaskRunRequest, CompleteUserTaskRunRequest,
    DeleteUserTaskRunCommentRequest, EditUserTaskRunCommentRequest, EntrypointNode, ExitNode,
    PutUserTaskDefRequest, PutUserTaskRunCommentRequest, PutWfSpecRequest, RunWfRequest,
    SaveUserTaskRunProgressRequest, TaskDefId, TaskNode, ThreadSpec, UserTaskField, UserTaskNode,
    UserTaskRunId, UtActionTrigger, VariableType, WfRunId, task_node,
};

use crate::templates::{TASK, edge, int, literal, node};

const FORM: &str = "form";
const PEOPLE: &str = "people";

fn trigger(hook: UtHook, seconds: i64, action: Action) -> UtActionTrigger {
    UtActionTrigger {
        hook: hook.into(),
        delay_seconds: Some(literal(Value::Int(seconds))),
        action: Some(action),
    }
}

/// A form, and a WfSpec of one USER_TASK with triggers of all kinds.
pub(crate) fn definitions() -> [Meta; 2] {
    let field = UserTaskField {
        name: "x".to_owned(),
        r#type: VariableType::Int.into(),
        required: true,
        ..UserTaskField::default()
    };
    let who = |name: &str| Some(literal(Value::Str(name.to_owned())));
    let reminder = TaskNode {
        task_to_execute: Some(task_node::TaskToExecute::TaskDefId(TaskDefId {
            name: TASK.to_owned(),
        })),
        variables: vec![literal(Value::Int(1))],
        ..TaskNode::default()
    };
    let user_task = UserTaskNode {
        user_task_def_name: FORM.to_owned(),
        user_id: who("u"),
        user_group: who("g"),
        notes: who("for {0}"),
        on_cancellation_exception_name: who("cancelled"),
        actions: vec![
            trigger(
                UtHook::OnArrival,
                1,
                Action::Task(UtaTask {
                    task: Some(reminder),
                    mutations: Vec::new(),
                }),
            ),
            trigger(
                UtHook::OnTaskAssigned,
                2,
                Action::Reassign(UtaReassign {
                    user_id: who("v"),
                    user_group: None,
                }),
            ),
            trigger(UtHook::OnArrival, 100, Action::Cancel(UtaCancel {})),
        ],
        ..UserTaskNode::default()
    };
    let nodes = [
        (
            "entry",
            node(Kind::Entrypoint(EntrypointNode {}), vec![edge("task")]),
        ),
        (
            "task",
            node(Kind::UserTask(Box::new(user_task)), vec![edge("exit")]),
        ),
        ("exit", node(Kind::Exit(ExitNode::default()), Vec::new())),
    ];
    let thread = ThreadSpec {
        nodes: nodes.map(|(name, node)| (name.to_owned(), node)).into(),
        ..ThreadSpec::default()
    };
    [
        Meta::PutUserTaskDef(PutUserTaskDefRequest {
            name: FORM.to_owned(),
            fields: vec![field],
            description: None,
        }),
        Meta::PutWfSpec(PutWfSpecRequest {
            name: PEOPLE.to_owned(),
            thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
            entrypoint_thread_name: "main".to_owned(),
            ..PutWfSpecRequest::default()
        }),
    ]
}

/// Everything that can be done with a user task, and the run that has it.
pub(crate) fn commands() -> [Core; 8] {
    let id = || {
        Some(UserTaskRunId {
            wf_run_id: Some(WfRunId::root(PEOPLE)),
            user_task_guid: "0-1".to_owned(),
        })
    };
    let results = || BTreeMap::from([("x".to_owned(), int(7))]);
    let user_id = || "u".to_owned();
    [
        Core::RunWf(RunWf {
            request: Some(RunWfRequest {
                wf_spec_name: PEOPLE.to_owned(),
                ..RunWfRequest::default()
            }),
            id: PEOPLE.to_owned(),
        }),
        Core::AssignUserTaskRun(AssignUserTaskRunRequest {
            user_task_run_id: id(),
            override_claim: true,
            user_group: None,
            user_id: Some("w".to_owned()),
        }),
        Core::SaveUserTaskRunProgress(SaveUserTaskRunProgressRequest {
            user_task_run_id: id(),
            results: results(),
            user_id: user_id(),
            policy: 1,
        }),
        Core::PutUserTaskRunComment(PutUserTaskRunCommentRequest {
            user_task_run_id: id(),
            user_id: user_id(),
            comment: "comment".to_owned(),
        }),
        Core::EditUserTaskRunComment(EditUserTaskRunCommentRequest {
            user_comment_id: 1,
            user_task_run_id: id(),
            user_id: user_id(),
            comment: "edited".to_owned(),
        }),
        Core::DeleteUserTaskRunComment(DeleteUserTaskRunCommentRequest {
            user_task_run_id: id(),
            user_comment_id: 1,
            user_id: user_id(),
        }),
        Core::CompleteUserTaskRun(CompleteUserTaskRunRequest {
            user_task_run_id: id(),
            results: results(),
            user_id: user_id(),
        }),
        Core::CancelUserTaskRun(CancelUserTaskRunRequest {
            user_task_run_id: id(),
        }),
    ]
}

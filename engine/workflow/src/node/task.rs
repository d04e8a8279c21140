//! TASK: a task for a worker (spec 03, section 6.4; spec 04).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::{TaskAttempt, TaskNode, TaskNodeRun, TaskStatus, VariableValue};
use runtime::Rejection;

use super::{At, Done};
use crate::key::TaskGuid;
use crate::run::{Failing, Fault, Unit};
use crate::task;

pub(super) fn initial() -> NodeType {
    NodeType::Task(TaskNodeRun { task_run_id: None })
}

pub(super) fn arrive(unit: &mut Unit<'_, '_>, at: &At<'_>, node: &TaskNode) -> Result<(), Failing> {
    let id = task::create(unit, at, node)?;
    let node_run = unit.node_mut(at.run, at.thread, at.position)?;
    node_run.node_type = Some(NodeType::Task(TaskNodeRun {
        task_run_id: Some(id),
    }));
    Ok(())
}

pub(super) fn poll(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<Option<Done>, Failing> {
    let attempt = last_attempt(unit, at)?;
    match attempt.status() {
        TaskStatus::TaskSuccess => Ok(Some(Done::Next)),
        TaskStatus::TaskScheduled | TaskStatus::TaskRunning | TaskStatus::TaskPending => Ok(None),
        TaskStatus::TaskFailed => Err(Fault::new("TASK_FAILURE", "Task execution failed").into()),
        TaskStatus::TaskTimeout => Err(Fault::new("TIMEOUT", "Task timed out").into()),
        TaskStatus::TaskOutputSerdeError => Err(Fault::new(
            "VAR_MUTATION_ERROR",
            "Task output could not be serialized or deserialized",
        )
        .into()),
        TaskStatus::TaskInputVarSubError => {
            Err(Fault::var_sub("Task input variables could not be computed").into())
        }
        TaskStatus::TaskException => match &attempt.result {
            Some(AttemptResult::Exception(exception)) => Err(Fault {
                name: exception.name.clone(),
                message: exception.message.clone(),
                content: Some(exception.content.clone().unwrap_or_default()),
            }
            .into()),
            _ => Err(Fault::new(
                "TASK_FAILURE",
                "Task reported an exception without saying which",
            )
            .into()),
        },
    }
}

pub(super) fn can_halt(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<bool, Rejection> {
    let guid = TaskGuid::of_node(at.thread, at.position);
    let Some(row) = unit.find_task(at.run, guid)? else {
        return Ok(true);
    };
    let status = row
        .task_run
        .as_ref()
        .map(proto::littlehorse::TaskRun::status);
    Ok(!matches!(
        status,
        Some(TaskStatus::TaskScheduled | TaskStatus::TaskRunning | TaskStatus::TaskPending)
    ))
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    Ok(match &last_attempt(unit, at)?.result {
        Some(AttemptResult::Output(output)) => Some(output.clone()),
        _ => Some(VariableValue::default()),
    })
}

fn last_attempt<'u>(unit: &'u mut Unit<'_, '_>, at: &At<'_>) -> Result<&'u TaskAttempt, Rejection> {
    let guid = TaskGuid::of_node(at.thread, at.position);
    unit.find_task(at.run, guid)?
        .and_then(|row| row.task_run.as_ref())
        .and_then(|task_run| task_run.attempts.last())
        .ok_or_else(|| Rejection::internal(format!("TaskRun {guid} is missing")))
}

//! Making the TaskRun of a TASK node, or of a reminder (spec 04, sections 1.2 and 4).

use std::sync::Arc;

use crate::time::timestamp;
use prost::Message;
use proto::ironhorse::v1::TaskRunRow;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::task_run_source::TaskRunSource as Source;
use proto::littlehorse::{
    NodeRunId, TaskAttempt, TaskDef, TaskNode, TaskNodeReference, TaskRun, TaskRunId,
    TaskRunSource, TaskStatus, VarNameAndVal, VariableAssignment,
};
use runtime::{Rejection, RejectionCode};

use super::queue::dispatch;
use crate::key::TaskGuid;
use crate::node::At;
use crate::run::{Failing, Fault, ThreadScope, Unit};
use crate::spec;
use crate::value;

/// A TaskNode without a timeout has this one, in seconds (spec 04, section 1.2).
pub const DEFAULT_TIMEOUT_SECONDS: i32 = 60;

/// The largest new TaskRun, in bytes: below the limit of a row (spec 04, section 9.4) by what its attempts may add before
/// one has a result. One that could be stored but not claimed would be lost to all workers.
const MAX_NEW_BYTES: usize = index::MAX_ROW_BYTES - (16 << 10);

/// Makes the TaskRun of a TASK node and dispatches its first attempt: to a worker that waits, else to the queue.
pub fn create(unit: &mut Unit<'_, '_>, at: &At<'_>, node: &TaskNode) -> Result<TaskRunId, Failing> {
    let guid = TaskGuid::of_node(at.thread, at.position);
    let source = Source::TaskNode(TaskNodeReference {
        node_run_id: Some(NodeRunId {
            wf_run_id: Some(at.run.id.clone()),
            thread_run_number: at.thread,
            position: at.position,
        }),
    });
    create_for(unit, at, node, guid, source)
}

/// As [`create`], for whatever asks for the task, in the thread of `at`.
pub fn create_for(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &TaskNode,
    guid: TaskGuid,
    source: Source,
) -> Result<TaskRunId, Failing> {
    let task_def = resolve(unit, at, node)?;
    let input_variables = inputs(unit, at, &task_def, &node.variables)?;
    let now = timestamp(unit.now_ms());
    let task_run = TaskRun {
        id: None,
        task_def_id: task_def.id.clone(),
        attempts: vec![TaskAttempt {
            status: TaskStatus::TaskScheduled.into(),
            schedule_time: Some(now),
            ..TaskAttempt::default()
        }],
        total_attempts: node.retries.saturating_add(1),
        input_variables,
        source: Some(TaskRunSource {
            task_run_source: Some(source),
            wf_spec_id: Some(at.spec.id()),
        }),
        scheduled_at: Some(now),
        status: TaskStatus::TaskScheduled.into(),
        timeout_seconds: if node.timeout_seconds == 0 {
            DEFAULT_TIMEOUT_SECONDS
        } else {
            node.timeout_seconds
        },
        exponential_backoff: node.exponential_backoff,
        total_checkpoints: 0,
    };
    let row = TaskRunRow {
        version: 1,
        task_run: Some(task_run),
        timer_due_ms: None,
        queue_sequence: None,
    };
    let size = row.encoded_len();
    if size > MAX_NEW_BYTES {
        return Err(Rejection::new(
            RejectionCode::ResourceExhausted,
            format!(
                "Record too large: TaskRun of {size} bytes, the limit is {MAX_NEW_BYTES} bytes"
            ),
        )
        .into());
    }
    unit.insert_task(at.run, guid, row);
    dispatch(unit, at.run, guid, 0)?;
    Ok(TaskRunId {
        wf_run_id: Some(at.run.id.clone()),
        task_guid: guid.to_string(),
    })
}

fn resolve(unit: &mut Unit<'_, '_>, at: &At<'_>, node: &TaskNode) -> Result<Arc<TaskDef>, Failing> {
    match &node.task_to_execute {
        Some(TaskToExecute::TaskDefId(id)) => {
            spec::task_def(unit.context.global(), unit.tenant.name, &id.name).ok_or_else(|| {
                Fault::new("TASK_ERROR", format!("TaskDef {} was deleted", id.name)).into()
            })
        }
        Some(TaskToExecute::DynamicTask(assignment)) => {
            let scope = ThreadScope::new(unit, at);
            let name = scope
                .outcome(
                    value::evaluate(assignment, &scope).and_then(|value| value::as_text(&value)),
                )
                .map_err(|failing| match failing {
                    Failing::Fault(fault) => Fault::var_sub(format!(
                        "The name of the dynamic task could not be resolved: {}",
                        fault.message
                    ))
                    .into(),
                    rejected @ Failing::Rejected(_) => rejected,
                })?;
            spec::task_def(unit.context.global(), unit.tenant.name, &name).ok_or_else(|| {
                Fault::var_sub(format!(
                    "The dynamic task names TaskDef {name}, which does not exist"
                ))
                .into()
            })
        }
        None => Err(Fault::var_sub("The node names no task").into()),
    }
}

/// One value for each input of the TaskDef, in its order and of its type.
fn inputs(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    task_def: &TaskDef,
    assignments: &[VariableAssignment],
) -> Result<Vec<VarNameAndVal>, Failing> {
    let name = task_def.id.as_ref().map_or("", |id| id.name.as_str());
    if assignments.len() != task_def.input_vars.len() {
        let (expected, given) = (task_def.input_vars.len(), assignments.len());
        return Err(Fault::var_sub(format!(
            "TaskDef {name} takes {expected} inputs, and {given} are given"
        ))
        .into());
    }
    let mut inputs = Vec::with_capacity(assignments.len());
    for (assignment, def) in assignments.iter().zip(&task_def.input_vars) {
        let type_def = value::type_of_variable(def);
        let scope = ThreadScope::new(unit, at);
        let fitted = value::evaluate(assignment, &scope).and_then(|value| {
            value::ingress(&type_def, value, &scope)
                .map_err(|error| value::Fault::var_sub(error.to_string()))
        });
        let fitted = scope.outcome(fitted).map_err(|failing| match failing {
            Failing::Fault(fault) => Fault::var_sub(format!(
                "Input {} of task {name} could not be computed: {}",
                def.name, fault.message
            ))
            .into(),
            rejected @ Failing::Rejected(_) => rejected,
        })?;
        inputs.push(VarNameAndVal {
            var_name: def.name.clone(),
            value: Some(fitted),
            masked: type_def.masked,
        });
    }
    Ok(inputs)
}

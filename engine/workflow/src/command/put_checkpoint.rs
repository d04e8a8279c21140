//! PutCheckpoint: a running attempt saves how far it is (spec 04, section 13).

use crate::settings::Tenant;
use crate::time::timestamp;
use bytes::Bytes;
use index::Family;
use prost::Message;
use proto::ironhorse::v1::CheckpointRow;
use proto::littlehorse::put_checkpoint_response::FlowControlContinue;
use proto::littlehorse::{
    Checkpoint, CheckpointId, PutCheckpointRequest, PutCheckpointResponse, TaskStatus,
};
use runtime::{Context, Rejection};

use super::wf_run_id;
use crate::key::TaskGuid;
use crate::run::{Run, Unit};
use crate::task;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: PutCheckpointRequest,
) -> Result<PutCheckpointResponse, Rejection> {
    let id = command.task_run_id.clone().unwrap_or_default();
    let wf_run_id = wf_run_id("task_run_id.wf_run_id", id.wf_run_id.clone())?;
    let run = Run::new(tenant.name, &wf_run_id);
    let mut unit = Unit::new(context, tenant);
    let mut found = None;
    if let Some(guid) = TaskGuid::parse(&id.task_guid)
        && unit.exists(&run)?
    {
        let row = unit.find_task(&run, guid)?;
        found = row.and_then(|row| Some((guid, row.task_run.clone()?)));
    }
    let Some((guid, task_run)) = found else {
        return Err(Rejection::invalid(format!(
            "TaskRun {wf_run_id}/{} was not found",
            id.task_guid
        )));
    };
    let is_last = task_run.attempts.len() as i32 == command.task_attempt.saturating_add(1);
    let runs = task_run
        .attempts
        .last()
        .is_some_and(|attempt| attempt.status() == TaskStatus::TaskRunning);
    if !is_last || !runs {
        return Ok(PutCheckpointResponse {
            flow_control_continue_type: FlowControlContinue::StopTask.into(),
            created_checkpoint: None,
        });
    }
    let now_ms = unit.now_ms();
    let number = task_run.total_checkpoints;
    let checkpoint = Checkpoint {
        id: None,
        value: command.value,
        created_at: Some(timestamp(now_ms)),
        logs: command.logs,
    };
    let key = run.key.checkpoint(guid, number).finish();
    let row = CheckpointRow {
        version: 1,
        checkpoint: Some(checkpoint.clone()),
    };
    unit.context
        .insert(Family::State, key, Bytes::from(row.encode_to_vec()))?;
    task::checkpoint_put(&mut unit, &run, guid)?;
    unit.finish()?;
    let id = CheckpointId {
        task_run: Some(id),
        checkpoint_number: number,
    };
    Ok(PutCheckpointResponse {
        flow_control_continue_type: FlowControlContinue::ContinueTask.into(),
        created_checkpoint: Some(Checkpoint {
            id: Some(id),
            ..checkpoint
        }),
    })
}

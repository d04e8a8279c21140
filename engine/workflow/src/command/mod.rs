//! The commands of the core groups: one file each.

mod apply_migration_plan;
pub mod delete_wf_run;
mod delete_wf_runs;
pub mod put_checkpoint;
mod put_correlated_event;
pub mod put_external_event;
pub mod register_task_worker;
pub mod report_task;
pub mod rescue_thread_run;
pub mod resume_wf_run;
pub mod run_wf;
mod schedule_wf;
pub mod stop_wf_run;
pub mod user_task_run;

use crate::time::timestamp;
use bytes::Bytes;
use prost::Message;
use proto::id::MAX_ANCESTORS;
use proto::ironhorse::v1::CoreCommand;
use proto::ironhorse::v1::core_command::Command;
use proto::littlehorse::{LhStatus, WfRunId};
use runtime::{Context, Rejection};

use crate::event::correlated;
use crate::run::{Run, Unit, wake_waiters};
use crate::schedule;
use crate::settings::{Settings, Tenant};

pub(crate) use delete_wf_run::{cancel_retention, schedule_retention};

/// Executes a client's command; the answer is the RPC's encoded response.
pub fn execute(
    context: &mut Context<'_>,
    settings: &Settings,
    payload: &Bytes,
) -> Result<Bytes, Rejection> {
    let CoreCommand {
        tenant, command, ..
    } = CoreCommand::decode(payload.clone())
        .map_err(|error| Rejection::internal(format!("command: {error}")))?;
    let tenant = Tenant {
        name: &tenant,
        settings,
    };
    match command.ok_or_else(|| Rejection::internal("command without content"))? {
        Command::RunWf(command) => run_wf::execute(context, tenant, command).map(encode),
        Command::ReportTask(command) => report_task::execute(context, tenant, command).map(encode),
        Command::PutExternalEvent(command) => {
            put_external_event::execute(context, tenant, command).map(encode)
        }
        Command::StopWfRun(command) => stop_wf_run::execute(context, tenant, command).map(encode),
        Command::ResumeWfRun(command) => {
            resume_wf_run::execute(context, tenant, command).map(encode)
        }
        Command::RescueThreadRun(command) => {
            rescue_thread_run::execute(context, tenant, command).map(encode)
        }
        Command::DeleteWfRun(command) => {
            delete_wf_run::execute(context, tenant, command).map(encode)
        }
        Command::RegisterTaskWorker(command) => {
            register_task_worker::execute(context, tenant, command).map(encode)
        }
        Command::PutCorrelatedEvent(command) => {
            put_correlated_event::execute(context, tenant, command).map(encode)
        }
        Command::DeleteCorrelatedEvent(command) => {
            let id = command.id.unwrap_or_default();
            let def = id.external_event_def_id.unwrap_or_default().name;
            correlated::delete(context, tenant, &id.key, &def).map(encode)
        }
        Command::ScheduleWf(command) => schedule_wf::execute(context, tenant, command).map(encode),
        Command::DeleteScheduledWfRun(command) => {
            let id = command.id.unwrap_or_default().id;
            schedule::delete(context, tenant, &id).map(encode)
        }
        Command::ApplyWorkflowMigrationPlan(command) => {
            apply_migration_plan::execute(context, tenant, command).map(encode)
        }
        Command::DeleteWfRuns(command) => {
            delete_wf_runs::execute(context, tenant, &command).map(encode)
        }
        Command::PutCheckpoint(command) => {
            put_checkpoint::execute(context, tenant, command).map(encode)
        }
        Command::AssignUserTaskRun(command) => {
            user_task_run::assign::execute(context, tenant, command).map(encode)
        }
        Command::CompleteUserTaskRun(command) => {
            user_task_run::complete::execute(context, tenant, command).map(encode)
        }
        Command::CancelUserTaskRun(command) => {
            user_task_run::cancel::execute(context, tenant, command).map(encode)
        }
        Command::SaveUserTaskRunProgress(command) => {
            user_task_run::save::execute(context, tenant, command).map(encode)
        }
        Command::PutUserTaskRunComment(command) => {
            user_task_run::comment::put(context, tenant, command).map(encode)
        }
        Command::EditUserTaskRunComment(command) => {
            user_task_run::comment::edit(context, tenant, command).map(encode)
        }
        Command::DeleteUserTaskRunComment(command) => {
            user_task_run::comment::delete(context, tenant, command).map(encode)
        }
    }
}

fn encode<T: Message>(response: T) -> Bytes {
    Bytes::from(response.encode_to_vec())
}

/// A WfRun has ended: its status, its end, and the deletion that its retention policy asks for.
pub(crate) fn wf_run_terminated(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    status: LhStatus,
) -> Result<(), Rejection> {
    let now = timestamp(unit.now_ms());
    let wf_run = unit.wf_run_mut(run)?;
    wf_run.set_status(status);
    wf_run.end_time = Some(now);
    wake_waiters(unit, run)?;
    schedule_retention(unit, run)
}

/// The id of a WfRun in a request. `lhctl` sends a child's id unsplit, as `parent_child` (spec 04, section II.11).
///
/// # Errors
/// The id is missing.
pub fn wf_run_id(field: &str, id: Option<WfRunId>) -> Result<WfRunId, Rejection> {
    match id {
        Some(id) if !id.id.is_empty() => Ok(split_wf_run_id(id)),
        _ => Err(Rejection::invalid(format!(
            "Missing required argument: {field}"
        ))),
    }
}

/// A plain id cannot hold `_`, so an id with one and without a parent is the text form of a child's.
pub fn split_wf_run_id(id: WfRunId) -> WfRunId {
    if id.parent_wf_run_id.is_none() && id.id.contains('_') {
        WfRunId::from_any_text(&id.id)
    } else {
        id
    }
}

/// Refuses an id that could be stored and never be read again.
fn check_ancestors(field: &str, id: &WfRunId) -> Result<(), Rejection> {
    if id.ancestors() <= MAX_ANCESTORS {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{field} is nested too deeply: a WfRun has at most {MAX_ANCESTORS} ancestors"
    )))
}

fn no_such_run(id: &WfRunId) -> Rejection {
    Rejection::not_found(format!("WfRun {id} does not exist"))
}

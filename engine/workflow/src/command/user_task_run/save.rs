//! SaveUserTaskRunProgress (spec 06, section 8.2).

use proto::littlehorse::save_user_task_run_progress_request::SaveUserTaskRunAssignmentPolicy as Policy;
use proto::littlehorse::user_task_event::{Event, UteSaved};
use proto::littlehorse::{SaveUserTaskRunProgressRequest, UserTaskRun};
use runtime::{Context, Rejection};

use super::Target;
use crate::run::Unit;
use crate::settings::Tenant;
use crate::user_task::{self, is_open};

pub(in crate::command) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: SaveUserTaskRunProgressRequest,
) -> Result<UserTaskRun, Rejection> {
    let SaveUserTaskRunProgressRequest {
        user_task_run_id,
        results,
        user_id,
        policy,
    } = command;
    let mut unit = Unit::new(context, tenant);
    let target = Target::find(&mut unit, user_task_run_id)?;
    if target.is_repeat {
        return target.public(&mut unit);
    }
    let user_task = target.get(&mut unit)?;
    let status = user_task.status();
    let is_of_another = user_task.user_id.as_ref().is_some_and(|id| *id != user_id);
    let policy = Policy::try_from(policy);
    if policy == Ok(Policy::FailIfClaimedByOther) && is_of_another {
        return Err(Rejection::precondition(format!(
            "UserTaskRun {} is assigned to another user",
            target.id
        )));
    }
    if !is_open(status) {
        return Err(target.refuse_ended(status, "saved"));
    }
    policy.map_err(|unknown| Rejection::invalid(format!("policy is unknown: {unknown}")))?;
    user_task::get_mut(&mut unit, &target.run, target.at)?
        .results
        .clone_from(&results);
    let event = Event::Saved(UteSaved { user_id, results });
    let public = target.logged(&mut unit, event)?;
    unit.finish()?;
    Ok(public)
}

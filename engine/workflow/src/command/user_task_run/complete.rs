//! CompleteUserTaskRun (spec 06, section 8.3).

use proto::littlehorse::{CompleteUserTaskRunRequest, UserTaskRunStatus};
use runtime::{Context, Rejection};

use super::Target;
use crate::node::At;
use crate::run::{Unit, advance};
use crate::settings::Tenant;
use crate::spec;
use crate::user_task::{self, Arming, Owner, check_results, check_size, is_blank};

pub(in crate::command) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: CompleteUserTaskRunRequest,
) -> Result<(), Rejection> {
    let CompleteUserTaskRunRequest {
        user_task_run_id,
        results,
        user_id,
    } = command;
    let mut unit = Unit::new(context, tenant);
    let target = Target::find(&mut unit, user_task_run_id)?;
    match target.status(&mut unit)? {
        UserTaskRunStatus::Unassigned | UserTaskRunStatus::Assigned => {}
        // Somebody was faster, or asks again.
        UserTaskRunStatus::Done => return Ok(()),
        cancelled @ UserTaskRunStatus::Cancelled => {
            return Err(target.refuse_ended(cancelled, "completed"));
        }
    }
    let (run, here) = (&target.run, target.at);
    let at = At::new(&mut unit, run, here.thread, here.position)?;
    let user_task = target.get(&mut unit)?.clone();
    if !is_blank(&user_id) && user_task.user_id.as_ref() != Some(&user_id) {
        let owner = Owner {
            user_id: Some(user_id),
            user_group: user_task.user_group,
        };
        user_task::assign(&mut unit, &at, owner, Arming::Off)?;
    }
    let def_id = user_task.user_task_def_id.unwrap_or_default();
    let def =
        spec::user_task_def(unit.context.global(), tenant.name, &def_id).ok_or_else(|| {
            Rejection::precondition(format!(
                "UserTaskRun {} cannot be completed: UserTaskDef {def_id} no longer exists",
                target.id
            ))
        })?;
    let results = check_results(&def, user_task.results, results)?;
    user_task::complete(&mut unit, run, here, results)?;
    check_size(&mut unit, run, here)?;
    advance(&mut unit, run)?;
    unit.finish()
}

//! CancelUserTaskRun (spec 06, section 8.4).

use proto::littlehorse::{CancelUserTaskRunRequest, UserTaskRunStatus};
use runtime::{Context, Rejection};

use super::Target;
use crate::node::At;
use crate::run::{Unit, advance};
use crate::settings::Tenant;
use crate::user_task;

pub(in crate::command) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: CancelUserTaskRunRequest,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    let target = Target::find(&mut unit, command.user_task_run_id)?;
    match target.status(&mut unit)? {
        UserTaskRunStatus::Unassigned | UserTaskRunStatus::Assigned => {}
        UserTaskRunStatus::Cancelled => return Ok(()),
        done @ UserTaskRunStatus::Done => return Err(target.refuse_ended(done, "cancelled")),
    }
    let (run, here) = (&target.run, target.at);
    let at = At::new(&mut unit, run, here.thread, here.position)?;
    user_task::cancel(&mut unit, &at)?;
    advance(&mut unit, run)?;
    unit.finish()
}

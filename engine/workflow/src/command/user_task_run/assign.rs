//! AssignUserTaskRun (spec 06, section 8.1).

use proto::littlehorse::AssignUserTaskRunRequest;
use runtime::{Context, Rejection};

use super::{Target, check_text};
use crate::node::At;
use crate::run::{Unit, advance};
use crate::settings::Tenant;
use crate::user_task::{self, Arming, Owner, check_size, is_open};

pub(in crate::command) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: AssignUserTaskRunRequest,
) -> Result<(), Rejection> {
    let AssignUserTaskRunRequest {
        user_task_run_id,
        override_claim,
        user_group,
        user_id,
    } = command;
    check_text(user_id.as_deref(), "UserId")?;
    check_text(user_group.as_deref(), "UserGroup")?;
    if user_id.is_none() && user_group.is_none() {
        return Err(Rejection::invalid(
            "One of user_id and user_group must be provided",
        ));
    }
    let mut unit = Unit::new(context, tenant);
    let target = Target::find(&mut unit, user_task_run_id)?;
    if target.is_repeat {
        return Ok(());
    }
    let user_task = target.get(&mut unit)?;
    let status = user_task.status();
    if !override_claim && let Some(owner) = &user_task.user_id {
        return Err(Rejection::precondition(format!(
            "UserTaskRun {} is already assigned to {owner}",
            target.id
        )));
    }
    if !is_open(status) {
        return Err(target.refuse_ended(status, "reassigned"));
    }
    let (run, here) = (&target.run, target.at);
    let at = At::new(&mut unit, run, here.thread, here.position)?;
    let owner = Owner {
        user_id,
        user_group,
    };
    user_task::assign(&mut unit, &at, owner, Arming::On)?;
    target.changed(&mut unit)?;
    check_size(&mut unit, run, here)?;
    advance(&mut unit, run)?;
    unit.finish()
}

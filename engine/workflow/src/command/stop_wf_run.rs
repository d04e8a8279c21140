//! StopWfRun (spec 03, section 3.3).

use proto::littlehorse::StopWfRunRequest;
use runtime::{Context, Rejection};

use super::{no_such_run, wf_run_id};
use crate::run::{Reason, Run, Unit, advance, halt, is_stopped};
use crate::settings::Tenant;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: StopWfRunRequest,
) -> Result<(), Rejection> {
    let id = wf_run_id("wf_run_id", command.wf_run_id)?;
    let run = Run::new(tenant.name, &id);
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(&run)? {
        return Err(no_such_run(&id));
    }
    let number = command.thread_run_number;
    check_thread(&mut unit, &run, number)?;
    if unit.is_thread_terminated(&run, number)? || is_stopped(&mut unit, &run, number)? {
        return Ok(());
    }
    halt(&mut unit, &run, number, Reason::Manual)?;
    advance(&mut unit, &run)?;
    unit.finish()
}

/// The run has ever had a thread of this number.
pub(super) fn check_thread(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
) -> Result<(), Rejection> {
    let greatest = unit.wf_run(run)?.greatest_threadrun_number;
    if !(0..=greatest).contains(&number) {
        return Err(Rejection::invalid(format!(
            "thread_run_number {number} does not exist: the greatest of the WfRun is {greatest}"
        )));
    }
    Ok(())
}

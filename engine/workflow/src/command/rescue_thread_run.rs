//! RescueThreadRun (spec 03, section 3.5).

use proto::littlehorse::{LhStatus, RescueThreadRunRequest, WfRun};
use runtime::{Context, Rejection};

use super::stop_wf_run::check_thread;
use super::{no_such_run, wf_run_id};
use crate::run::{Failing, Run, Unit, advance, is_being_handled, revive};
use crate::settings::Tenant;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: RescueThreadRunRequest,
) -> Result<WfRun, Rejection> {
    let id = wf_run_id("wf_run_id", command.wf_run_id)?;
    let run = Run::new(tenant.name, &id);
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(&run)? {
        return Err(no_such_run(&id));
    }
    let number = command.thread_run_number;
    check_thread(&mut unit, &run, number)?;
    check(&mut unit, &run, number)?;
    revive(&mut unit, &run, number, command.skip_current_node).map_err(
        |failing| match failing {
            Failing::Fault(fault) => Rejection::precondition(format!(
                "Thread {number} cannot be rescued: {}",
                fault.message
            )),
            Failing::Rejected(rejection) => rejection,
        },
    )?;
    advance(&mut unit, &run)?;
    let public = unit.public_wf_run(&run)?;
    unit.finish()?;
    Ok(public)
}

/// Only a thread in `ERROR` whose failure nobody has dealt with.
fn check(unit: &mut Unit<'_, '_>, run: &Run, number: i32) -> Result<(), Rejection> {
    let status = unit.thread(run, number)?.status();
    if status != LhStatus::Error {
        return Err(Rejection::precondition(format!(
            "Thread {number} cannot be rescued: it is {}, not ERROR",
            status.as_str_name()
        )));
    }
    if is_being_handled(unit, run, number)? {
        return Err(Rejection::precondition(format!(
            "Thread {number} cannot be rescued: its failure is being handled"
        )));
    }
    let mut child = number;
    while let Some(parent) = unit.thread(run, child)?.parent_thread_id {
        if unit
            .thread(run, parent)?
            .handled_failed_children
            .contains(&child)
        {
            return Err(Rejection::precondition(format!(
                "Thread {number} cannot be rescued: thread {parent} has handled the failure of thread {child}"
            )));
        }
        child = parent;
    }
    Ok(())
}

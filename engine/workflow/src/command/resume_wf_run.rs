//! ResumeWfRun (spec 03, section 3.4).

use proto::littlehorse::ResumeWfRunRequest;
use runtime::{Context, Rejection};

use super::stop_wf_run::check_thread;
use super::{no_such_run, wf_run_id};
use crate::run::{Run, Unit, advance, resume};
use crate::settings::Tenant;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: ResumeWfRunRequest,
) -> Result<(), Rejection> {
    let id = wf_run_id("wf_run_id", command.wf_run_id)?;
    let run = Run::new(tenant.name, &id);
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(&run)? {
        return Err(no_such_run(&id));
    }
    check_thread(&mut unit, &run, command.thread_run_number)?;
    resume(&mut unit, &run, command.thread_run_number)?;
    advance(&mut unit, &run)?;
    unit.finish()
}

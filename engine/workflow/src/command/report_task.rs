//! ReportTask: a worker tells how an attempt ended (spec 04, section 9).

use proto::littlehorse::ReportTaskRun;
use runtime::{Context, Rejection, RejectionCode};

use super::wf_run_id;
use crate::key::TaskGuid;
use crate::run::Run;
use crate::settings::Tenant;
use crate::task::{self, Report};

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    mut command: ReportTaskRun,
) -> Result<(), Rejection> {
    let id = command.task_run_id.take().unwrap_or_default();
    let wf_run_id = wf_run_id("task_run_id.wf_run_id", id.wf_run_id)?;
    let attempt_number = command.attempt_number;
    let report = Report::read(command)?;
    // No TaskRun has another guid.
    let guid =
        TaskGuid::parse(&id.task_guid).ok_or_else(|| task::unknown(&wf_run_id, &id.task_guid))?;
    let run = Run::new(tenant.name, &wf_run_id);
    let time_ms = report.time_ms;
    let mark = context.mark();
    match task::report(context, tenant, &run, guid, attempt_number, report) {
        Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
            // A row would become too large: the attempt ends all the same, visibly.
            context.rollback_to(mark);
            let mark = context.mark();
            let report = Report::too_large(time_ms, &rejection.message);
            match task::report(context, tenant, &run, guid, attempt_number, report) {
                // Not even that has room in the TaskRun.
                Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
                    context.rollback_to(mark);
                    task::outgrown(context, tenant, &run, guid, &rejection)
                }
                other => other,
            }
        }
        other => other,
    }
}

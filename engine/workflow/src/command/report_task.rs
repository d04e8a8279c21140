//! ReportTask: a worker tells how an attempt ended (spec 04, section 9).

use proto::littlehorse::ReportTaskRun;
use runtime::{Context, Rejection, RejectionCode};

use super::wf_run_id;
use crate::run::Run;
use crate::task::{self, Report};

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: &str,
    command: ReportTaskRun,
) -> Result<(), Rejection> {
    let id = command.task_run_id.clone().unwrap_or_default();
    let wf_run_id = wf_run_id("task_run_id.wf_run_id", id.wf_run_id)?;
    let run = Run::new(tenant, &wf_run_id);
    let report = Report::read(&command)?;
    let time_ms = report.time_ms;
    let mark = context.mark();
    match task::report(
        context,
        tenant,
        &run,
        &id.task_guid,
        command.attempt_number,
        report,
    ) {
        Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
            // A row would become too large: the attempt ends all the same, visibly.
            context.rollback_to(mark);
            let mark = context.mark();
            let report = Report::too_large(time_ms, &rejection.message);
            match task::report(
                context,
                tenant,
                &run,
                &id.task_guid,
                command.attempt_number,
                report,
            ) {
                // Not even that has room in the TaskRun.
                Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
                    context.rollback_to(mark);
                    task::outgrown(context, tenant, &run, &id.task_guid, &rejection)
                }
                other => other,
            }
        }
        other => other,
    }
}

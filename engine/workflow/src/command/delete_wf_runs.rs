//! What a BulkJob does to the WfRuns that it has found (spec 05, section 11.2).
//!
//! They were found by an index, outside of the command: which of them are still what the job looks for is decided here.

use proto::ironhorse::v1::{DeleteWfRuns, WfRunsDeleted};
use proto::littlehorse::BulkDeleteWfRun;
use runtime::{Context, Rejection};

use super::delete_wf_run::delete;
use crate::run::{Run, Unit};
use crate::settings::Tenant;
use crate::time::timestamp_ms;

/// Rows that one command deletes, about.
const ENOUGH: usize = 2000;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: &DeleteWfRuns,
) -> Result<WfRunsDeleted, Rejection> {
    let wanted = command.wanted.clone().unwrap_or_default();
    let (mut done, mut rows) = (0, 0);
    for id in &command.wf_run_ids {
        if rows >= ENOUGH {
            break;
        }
        let run = Run::new(tenant.name, id);
        if is_wanted(context, tenant, &run, &wanted)? {
            rows += delete(context, tenant, &run, bytes::Bytes::new())?;
        }
        done += 1;
    }
    Ok(WfRunsDeleted { done })
}

/// It may have been rescued since (spec 05, DEV-32), or another have its id.
fn is_wanted(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    wanted: &BulkDeleteWfRun,
) -> Result<bool, Rejection> {
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(run)? {
        return Ok(false);
    }
    let wf_run = unit.wf_run(run)?;
    let started = timestamp_ms(wf_run.start_time.as_ref());
    let spec = wf_run.wf_spec_id.as_ref().map_or("", |id| &id.name);
    Ok(Some(wf_run.status) == wanted.wf_run_status
        && spec == wanted.wf_spec_name
        && started >= timestamp_ms(wanted.earliest_start.as_ref())
        && started <= timestamp_ms(wanted.latest_start.as_ref()))
}

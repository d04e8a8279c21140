//! TaskRuns: made by TASK nodes, taken by workers, reported, timed out, retried (spec 04).

mod attempt;
mod create;
mod queue;

use runtime::{Context, Rejection};

use crate::key::TaskGuid;
use crate::run::{self, Run};
use crate::settings::Tenant;

pub use attempt::{Report, ReportError, checkpoint_put, report, retry_due, timed_out, unknown};
pub use create::{DEFAULT_TIMEOUT_SECONDS, create, create_for};
pub use queue::claim;

/// What happens to a TaskRun would make a row too large, and nobody can be told: its thread fails. A reminder ends alone.
pub(crate) fn outgrown(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    run: &Run,
    guid: TaskGuid,
    why: &Rejection,
) -> Result<(), Rejection> {
    if guid.is_reminder() {
        return attempt::end_outgrown(context, tenant, run, guid);
    }
    run::outgrown(context, tenant, run, guid.thread(), &why.message)
}

#[cfg(test)]
mod tests;

//! TaskRuns: made by TASK nodes, taken by workers, reported, timed out, retried (spec 04).

mod attempt;
mod create;
mod queue;

pub use attempt::{Report, ReportError, checkpoint_put, report, retry_due, timed_out};
pub use create::{DEFAULT_TIMEOUT_SECONDS, create};
pub use queue::claim;

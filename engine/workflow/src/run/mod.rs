//! The life of a WfRun: starting threads, advancing them, failing, halting, resuming, ending (spec 03).
//!
//! Everything works on a [`Unit`]: the rows that one command touches, decoded once and written back at its end.

mod advance;
mod edge;
mod failure;
mod family;
mod halt;
mod handler;
mod limit;
mod migration;
mod rescue;
mod scope;
mod thread;
mod unit;
mod which;

pub use advance::advance;
pub(crate) use advance::advance_one;
pub use failure::{Failing, Fault, is_error_name};
pub(crate) use failure::{final_failure, is_failed, matching, outgrown};
pub(crate) use family::{generated_id, room_for_child, start_run, wake_at_end, wake_waiters};
pub(crate) use halt::{Reason, halt, is_halt_over, is_stopped, resume};
pub(crate) use handler::{INPUT, input as handler_input, interrupt};
pub(crate) use limit::room_for;
pub(crate) use rescue::{is_being_handled, revive};
pub use scope::ThreadScope;
pub use thread::{start_thread, validate_inputs};
pub use unit::Unit;
pub use which::Run;

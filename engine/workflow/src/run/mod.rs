//! The life of a WfRun: starting threads, advancing them, failing, halting, resuming, ending (spec 03).
//!
//! Everything works on a [`Unit`]: the rows that one command touches, decoded once and written back at its end.

mod advance;
mod edge;
mod failure;
mod halt;
mod scope;
mod thread;
mod unit;

pub use advance::advance;
pub(crate) use failure::outgrown;
pub use failure::{Failing, Fault, is_error_name};
pub(crate) use halt::{Reason, halt, is_stopped, resume};
pub use scope::ThreadScope;
pub use thread::{start_thread, validate_inputs};
pub use unit::{Run, Unit};

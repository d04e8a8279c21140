//! The records of the workflow schema: one file each, with its row, its index declarations and its conversions.
//!
//! A row is the public message without its id (the key says it), plus what only the server needs. [`Rows`] is how
//! commands work on them: each row is decoded once a command, changed in place, and written if it was changed.

pub mod correlated_event;
pub mod external_event;
pub mod node_run;
pub mod scheduled_wf_run;
pub mod task_run;
pub mod thread_run;
pub mod user_task_run;
pub mod variable;
pub mod wf_run;
pub mod worker_group;
pub mod workflow_event;

mod rows;
mod schema;

pub use rows::{OfRun, Row, Rows, Written, decode};
pub(crate) use schema::Index;
pub use schema::WorkflowSchema;

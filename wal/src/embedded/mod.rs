//! The log on local disk: one process, one sequence of frames shared by all groups, one `fdatasync` for all that arrived
//! during the last one.
//!
//! ```text
//!   append, commit ─► queue (positions given here) ─► log thread: frames ─► segment ─► fdatasync ─► on_commit
//!                        └► tails: readers see it at once; durability is a prefix
//! ```

mod disk;
mod dropped;
mod frame;
mod open;
mod reader;
mod segments;
mod sync;
mod tail;

#[cfg(test)]
mod tests;

pub use disk::{Directory, Disk, DiskFile};
pub use open::{EmbeddedLog, Options};

//! The log on local disk: one process, one sequence of frames shared by all groups, one `fdatasync` for all that arrived
//! during the last one.
//!
//! ```text
//!   append, commit ─► queue (positions given here) ─► log thread: frames ─► segment ─► fdatasync ─► on_commit
//!                        └► tails: readers see it at once; durability is a prefix
//! ```

mod blocks;
mod body;
mod disk;
mod dropped;
mod frame;
mod inspect;
mod maker;
mod open;
mod options;
mod pin;
mod reader;
mod recover;
mod rule;
mod segments;
mod sync;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

pub use disk::{Directory, Disk, DiskFile};
pub use inspect::{End, Frame, LogFiles, Place};
pub use open::EmbeddedLog;
pub use options::Options;
pub use pin::{Pin, ToCopy};

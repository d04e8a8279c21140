//! Queries on the committed state of all groups: look-ups, and scans merged in one global order, page by page.
//!
//! What it is **not**: it does not know what the rows mean, nor which index answers which search; its callers do.
//!
//! ```text
//!   Search { range, groups, after } ─► one cursor a group ─► merge by key ─► rows, in the order of the keys
//!                                            │
//!                                       Partition: this process's store, or another server's
//! ```
#![deny(missing_docs)]

mod bookmark;
mod merge;
mod partition;

pub use bookmark::{Bookmark, BookmarkError, Digest, Secret};
pub use merge::{Merge, Search};
pub use partition::{Local, Partition, QueryError, Read};

//! Tools for a data directory: verify, back up, restore, look inside. `docs/operations.md` is their manual.

mod ask;
mod backup;
mod compare;
mod fold;
mod inspect;
mod readable;
mod restore;
mod snapshot;
mod target;
mod verify;

use std::fmt::Display;
use std::sync::Arc;

use runtime::Application;
use wal::GroupId;
use workflow::{Metadata, Settings, Workflows};

pub use ask::{HTTP_PORT, status};
pub use backup::{BackedUp, Source, backup};
pub use inspect::{inspect_key, inspect_partitions, inspect_segments, inspect_tables};
pub use restore::{Restored, restore};
pub use verify::{GroupReport, Verified, verify};

pub(crate) use snapshot::{SNAPSHOT_HEADER, SNAPSHOT_PATH, Snapshots, remove_abandoned};

/// What a tool found wrong, or could not do; the text names the file, or the group, table and key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub(crate) String);

impl ToolError {
    fn new(what: impl Display) -> ToolError {
        ToolError(what.to_string())
    }

    /// Of a file or directory.
    fn at(path: &std::path::Path, error: impl Display) -> ToolError {
        ToolError(format!("{}: {error}", path.display()))
    }
}

/// What a tool says on its way.
pub type Progress<'a> = &'a mut dyn FnMut(String);

/// Memory that a tool gives to the stores that it opens, in bytes.
const CACHE_BYTES: usize = 32 << 20;
/// One family's memtable of a store that it writes.
const MEMTABLE_BYTES: usize = 8 << 20;

fn memory() -> index_rocks::Shared {
    index_rocks::Shared::new(CACHE_BYTES, MEMTABLE_BYTES)
}

/// What executes a group's commands.
pub(crate) fn application(id: GroupId, settings: &Settings) -> Arc<dyn Application> {
    if id == GroupId::METADATA {
        Arc::new(Metadata::new(settings.core.groups()))
    } else {
        Arc::new(Workflows::new(settings.clone()))
    }
}

//! The groups' databases of a running server, and the log behind them.

use std::path::PathBuf;
use std::sync::Arc;

use index_rocks::{RocksBase, Shared};
use wal::GroupId;
use wal::embedded::EmbeddedLog;

use crate::DataDir;

/// What checkpoints and backups are made of.
pub(crate) struct Stores {
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) groups: Vec<Stored>,
    pub(crate) shared: Shared,
    /// Where snapshots for backups are.
    pub(crate) snapshots: PathBuf,
}

/// One group's.
pub(crate) struct Stored {
    pub(crate) id: GroupId,
    pub(crate) base: Arc<RocksBase>,
    /// Where its checkpoints are.
    pub(crate) checkpoints: PathBuf,
}

impl Stores {
    pub(crate) fn new(
        dir: &DataDir,
        log: &Arc<EmbeddedLog>,
        bases: &[Arc<RocksBase>],
        shared: Shared,
    ) -> Arc<Stores> {
        let groups = dir
            .group_ids()
            .zip(bases)
            .map(|(id, base)| Stored {
                id,
                base: Arc::clone(base),
                checkpoints: dir.checkpoints(id),
            })
            .collect();
        Arc::new(Stores {
            log: Arc::clone(log),
            groups,
            shared,
            snapshots: dir.snapshots(),
        })
    }
}

//! The base store on RocksDB: one database a group, three column families, no WAL of its own.
//!
//! The log is the WAL. `atomic_flush` keeps the families and the applied position together, so after a crash the base
//! is exactly as it was at some flush, and the log's suffix brings it up to date. Settings: see [`Shared`] and
//! `docs/formats.md`.
#![deny(missing_docs)]

mod checkpoint;
mod shared;
mod ship;

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use index::{Applied, Base, BaseChange, BaseScan, Family, KeyRange, StoreError};
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    FlushOptions, IteratorMode, ReadOptions, ReadTier, WriteBatch, WriteOptions,
};
use wal::Position;

pub use checkpoint::{Checkpoint, checkpoints, remove_unfinished};
pub use shared::Shared;
pub use ship::RocksSink;

/// The applied position's key in the `State` family: below every table, hidden from scans.
const APPLIED: &[u8] = b"\0applied";

/// RocksDB's default.
const LEVELS: usize = 7;

/// See the crate.
pub struct RocksBase {
    db: DB,
    path: PathBuf,
    shared: Shared,
    /// The number of the next checkpoint that is shipped.
    shipments: AtomicU64,
    /// See [`RocksBase::retain_from`].
    retained: AtomicU64,
}

fn family_name(family: Family) -> &'static str {
    match family {
        // RocksDB wants a family of this name.
        Family::State => "default",
        Family::Index => "index",
        Family::Queue => "queue",
    }
}

impl RocksBase {
    /// Opens or creates the database in `path`.
    ///
    /// # Errors
    /// The directory cannot be used; the text names it and says what to do.
    pub fn open(path: &Path, shared: &Shared) -> Result<Arc<RocksBase>, StoreError> {
        ship::remove_abandoned(path)?;
        // Families that are opened without descriptors get default options.
        let families = Family::ALL
            .map(|family| ColumnFamilyDescriptor::new(family_name(family), shared.options(family)));
        let options = shared.options(Family::State);
        let open = || {
            // RocksDB's own threads take the priority of the one that opens it.
            wal::background::step_back();
            DB::open_cf_descriptors(&options, path, families)
        };
        let opened = std::thread::scope(|scope| scope.spawn(open).join());
        let error = match opened {
            Ok(Ok(db)) => return Ok(Arc::new(RocksBase::new(db, path, shared))),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "RocksDB panicked".to_owned(),
        };
        Err(StoreError::Base(format!(
            "{}: {error} (if the directory is damaged: restore a backup, or remove it if the log still begins at its start)",
            path.display()
        )))
    }

    fn new(db: DB, path: &Path, shared: &Shared) -> RocksBase {
        RocksBase {
            db,
            path: path.to_owned(),
            shared: shared.clone(),
            shipments: AtomicU64::new(1),
            retained: AtomicU64::new(u64::MAX),
        }
    }

    fn error(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Base(format!("{}: {error}", self.path.display()))
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, StoreError> {
        self.db
            .cf_handle(family_name(family))
            .ok_or_else(|| self.error(format!("no family {family:?}")))
    }

    /// Compacts a family that has files in level 0 only. RocksDB takes the last level in use for the one where
    /// tombstones meet everything they delete, and compacts nothing below it on account of its age; in level 0 they need
    /// not meet. There are few files then, and small ones.
    fn found_last_level(&self, family: Family) -> Result<(), StoreError> {
        let handle = self.family(family)?;
        let files = |level: usize| -> Result<u64, StoreError> {
            let name = format!("rocksdb.num-files-at-level{level}");
            let value = self.db.property_value_cf(handle, &name);
            let value = value.map_err(|error| self.error(error))?;
            Ok(value
                .and_then(|count| count.trim().parse().ok())
                .unwrap_or(0))
        };
        if files(0)? < 2 {
            return Ok(());
        }
        for level in 1..LEVELS {
            if files(level)? > 0 {
                return Ok(());
            }
        }
        let mut options = CompactOptions::default();
        // Else a file may be moved as it is, with the tombstone of what lies in the next one.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db
            .compact_range_cf_opt(handle, None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    fn write_batch(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db
            .write_opt(batch, &options)
            .map_err(|error| self.error(error))
    }

    fn read_applied(&self, tier: ReadTier) -> Result<Option<Applied>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(tier);
        let state = self.family(Family::State)?;
        let raw = self
            .db
            .get_cf_opt(state, APPLIED, &options)
            .map_err(|error| self.error(error))?;
        let Some(raw) = raw else { return Ok(None) };
        let position: [u8; 8] = raw
            .get(..8)
            .and_then(|raw| raw.try_into().ok())
            .ok_or_else(|| {
                StoreError::Corrupt(format!("{}: applied position", self.path.display()))
            })?;
        Ok(Some(Applied {
            position: Position::from_u64(u64::from_be_bytes(position)),
            commit: Bytes::copy_from_slice(&raw[8..]),
        }))
    }
}

impl Base for RocksBase {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self
            .db
            .get_cf(self.family(family)?, key)
            .map_err(|error| self.error(error))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'_>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        // Bounds let the iterator skip what lies beyond, tombstones above all. A bound is inclusive below, exclusive above.
        match &range.start {
            Bound::Included(key) => options.set_iterate_lower_bound(&key[..]),
            Bound::Excluded(key) => options.set_iterate_lower_bound(after(key)),
            Bound::Unbounded => {}
        }
        match &range.end {
            Bound::Excluded(key) => options.set_iterate_upper_bound(&key[..]),
            Bound::Included(key) => options.set_iterate_upper_bound(after(key)),
            Bound::Unbounded => {}
        }
        let mode = if reverse {
            IteratorMode::End
        } else {
            IteratorMode::Start
        };
        let rows = self.db.iterator_cf_opt(self.family(family)?, options, mode);
        let hidden = family == Family::State;
        Ok(Box::new(rows.filter_map(move |row| match row {
            Ok((key, _)) if hidden && *key == *APPLIED => None,
            Ok((key, value)) => Some(Ok((Bytes::from(key), Bytes::from(value)))),
            Err(error) => Some(Err(self.error(error))),
        })))
    }

    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let [state, index, queue] = Family::ALL.map(|family| self.family(family));
        let handles = [state?, index?, queue?];
        for (family, key, value) in changes {
            let handle = handles[family.slot()];
            match value {
                Some(value) => batch.put_cf(handle, key, value),
                None => batch.delete_cf(handle, key),
            }
        }
        let mut position = BytesMut::with_capacity(8 + applied.commit.len());
        position.put_u64(applied.position.to_u64());
        position.put_slice(&applied.commit);
        batch.put_cf(self.family(Family::State)?, APPLIED, &position);
        self.write_batch(batch)
    }

    fn replace_range(
        &self,
        family: Family,
        range: &KeyRange,
        (key, value): (&Bytes, &Bytes),
    ) -> Result<(), StoreError> {
        let handle = self.family(family)?;
        let mut from = match &range.start {
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => after(key),
            Bound::Unbounded => Vec::new(),
        };
        if family == Family::State {
            from = from.max(after(&Bytes::from_static(APPLIED)));
        }
        let to = match &range.end {
            Bound::Excluded(key) => Some(key.to_vec()),
            Bound::Included(key) => Some(after(key)),
            // RocksDB's ranges have an end.
            Bound::Unbounded => {
                let last = self.db.iterator_cf(handle, IteratorMode::End).next();
                let last = last.transpose().map_err(|error| self.error(error))?;
                last.map(|(key, _)| after(&Bytes::from(key)))
            }
        };
        let mut batch = WriteBatch::default();
        if let Some(to) = to.filter(|to| from < *to) {
            batch.delete_range_cf(handle, from, to);
        }
        batch.put_cf(handle, key, value);
        self.write_batch(batch)
    }

    fn estimated_rows(&self, family: Family) -> Option<u64> {
        let handle = self.family(family).ok()?;
        let name = "rocksdb.estimate-num-keys";
        self.db.property_int_value_cf(handle, name).ok().flatten()
    }

    fn applied(&self) -> Result<Option<Applied>, StoreError> {
        self.read_applied(ReadTier::All)
    }

    fn durable(&self) -> Result<Option<Position>, StoreError> {
        // With the WAL off, this tier skips what is only in the memtable.
        Ok(self
            .read_applied(ReadTier::Persisted)?
            .map(|applied| applied.position))
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families = Family::ALL.map(|family| self.family(family));
        let [state, index, queue] = families;
        self.db
            .flush_cfs_opt(&[state?, index?, queue?], &options)
            .map_err(|error| self.error(error))?;
        for family in Family::ALL {
            self.found_last_level(family)?;
        }
        Ok(())
    }

    fn retained(&self, written: Position) -> Position {
        let bound = Position::from_u64(self.retained.load(Ordering::Acquire));
        written.min(bound)
    }
}

/// The smallest key above `key`.
fn after(key: &Bytes) -> Vec<u8> {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Arc<RocksBase> {
        RocksBase::open(path, &Shared::new(1 << 20, 1 << 20)).unwrap()
    }

    fn applied(position: u64) -> Applied {
        Applied {
            position: Position::from_u64(position),
            commit: Bytes::from(format!("commit {position}")),
        }
    }

    fn write(
        base: &RocksBase,
        family: Family,
        key: &'static str,
        value: &'static str,
        position: u64,
    ) {
        let (key, value) = (Bytes::from(key), Bytes::from(value));
        let mut changes = std::iter::once((family, &key, Some(&value)));
        base.write(&mut changes, &applied(position)).unwrap();
    }

    #[test]
    fn keeps_base_contract() {
        let dir = tempfile::tempdir().unwrap();
        index::testing::base_contract(&*open(dir.path()));
    }

    #[test]
    fn what_is_not_flushed_is_not_durable_and_families_stay_together() {
        let dir = tempfile::tempdir().unwrap();
        let base = open(dir.path());
        write(&base, Family::State, "a", "1", 10);
        assert_eq!(base.durable().unwrap(), None);
        base.flush().unwrap();
        assert_eq!(base.durable().unwrap(), Some(Position::from_u64(10)));
        write(&base, Family::Queue, "q", "2", 20);
        assert_eq!(base.applied().unwrap(), Some(applied(20)));
        assert_eq!(base.durable().unwrap(), Some(Position::from_u64(10)));
        // A crash now, as a copy of the files shows it.
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let crashed = open(copy.path());
        assert_eq!(crashed.applied().unwrap(), Some(applied(10)));
        assert_eq!(
            crashed.get(Family::State, b"a").unwrap(),
            Some(Bytes::from_static(b"1"))
        );
        assert_eq!(crashed.get(Family::Queue, b"q").unwrap(), None);
    }

    fn holds(dir: &Path, marker: &[u8]) -> bool {
        std::fs::read_dir(dir).unwrap().any(|file| {
            // A file may go while we look.
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            bytes.windows(marker.len()).any(|window| window == marker)
        })
    }

    #[test]
    fn deleted_bytes_leave_the_files_of_an_idle_database() {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(1 << 20, 1 << 20)
            .erase_after(std::time::Duration::from_secs(1))
            .uncompressed();
        let base = RocksBase::open(dir.path(), &shared).unwrap();
        // The first round has level 0 only, the second meets a last level.
        for marker in ["marker-7f3a", "marker-e20d"] {
            for family in Family::ALL {
                write(&base, family, "gone", marker, 1);
                write(&base, family, "stays", "other-91bc", 2);
            }
            base.flush().unwrap();
            assert!(holds(dir.path(), marker.as_bytes()));
            let key = Bytes::from_static(b"gone");
            let mut changes = Family::ALL.iter().map(|family| (*family, &key, None));
            base.write(&mut changes, &applied(3)).unwrap();
            base.flush().unwrap();
            let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
            while holds(dir.path(), marker.as_bytes()) {
                let now = std::time::Instant::now();
                assert!(now < deadline, "{marker} is still there");
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        assert!(holds(dir.path(), b"other-91bc"));
    }

    #[test]
    fn a_directory_that_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("CURRENT"), "nonsense\n").unwrap();
        let Err(error) = RocksBase::open(dir.path(), &Shared::new(1 << 20, 1 << 20)) else {
            panic!("it was opened")
        };
        assert!(
            error
                .to_string()
                .contains(&dir.path().display().to_string()),
            "{error}"
        );
    }
}

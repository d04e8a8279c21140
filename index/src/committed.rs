//! What is durable in the log and not yet, or not certainly, in the base.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use wal::Position;

use crate::layer::{Cell, Layer, Source, merge};
use crate::rows::{FrozenRows, Rows};
use crate::{Applied, Base, Family, KeyRange, StoreError};

/// Committed changes: those that gather, and those that are being written to the base.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    gathering: [Rows; 3],
    bytes: usize,
    applied: Option<Applied>,
    frozen: Option<Arc<Frozen>>,
    position: Option<Position>,
}

/// Changes that are being written to the base. They hide the base's rows, so nobody sees how far the writing is.
#[derive(Debug)]
pub(crate) struct Frozen {
    rows: [FrozenRows; 3],
    applied: Applied,
}

impl Committed {
    pub(crate) fn new(position: Option<Position>) -> Committed {
        Committed {
            position,
            ..Committed::default()
        }
    }

    /// What is known of the key here; the base knows of the others.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Option<Cell> {
        let slot = family.slot();
        let cell = self.gathering[slot].get(key);
        cell.or_else(|| self.frozen.as_ref()?.rows[slot].get(key))
            .cloned()
    }

    fn sources<'a>(
        &'a self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
        sources: &mut Vec<Source<'a>>,
    ) {
        sources.extend(self.gathering[family.slot()].source(range, reverse));
        if let Some(frozen) = &self.frozen {
            sources.extend(frozen.rows[family.slot()].source(range, reverse));
        }
    }

    /// At most `limit` rows of a range, in key order (descending if `reverse`): of the sources `above`, newest first, of
    /// what is committed, and of the base.
    pub(crate) fn scan<'a>(
        lock: &'a RwLock<Committed>,
        base: &'a dyn Base,
        above: Vec<Source<'a>>,
        family: Family,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        if limit == 0 || crate::layer::is_empty(range) {
            return Ok(Vec::new());
        }
        let committed = Committed::lock_for_scan(lock, family);
        let mut sources: Vec<Source<'_>> = above;
        committed.sources(family, range, reverse, &mut sources);
        let base = base.scan(family, range, reverse)?;
        sources.push(Box::new(
            base.map(|row| row.map(|(key, value)| (key, Some(value)))),
        ));
        merge(sources, limit, reverse)
    }

    /// A read lock under which [`Committed::sources`] of the family may be called.
    fn lock_for_scan(lock: &RwLock<Committed>, family: Family) -> RwLockReadGuard<'_, Committed> {
        let committed = lock.read();
        if committed.gathering[family.slot()].is_in_order() {
            return committed;
        }
        drop(committed);
        let mut committed = lock.write();
        committed.gathering[family.slot()].put_in_order();
        RwLockWriteGuard::downgrade(committed)
    }

    /// Adds a batch.
    pub(crate) fn add(&mut self, batch: Layer, applied: Applied) {
        for (rows, changed) in self.gathering.iter_mut().zip(batch) {
            for (key, cell) in changed.into_traces() {
                self.bytes = self.bytes.saturating_add_signed(rows.add(key, cell));
            }
        }
        self.position = Some(applied.position);
        self.applied = Some(applied);
    }

    /// Moves what has gathered aside, if it is at least `threshold` bytes and nothing is aside already.
    pub(crate) fn freeze(&mut self, threshold: usize) -> Option<Arc<Frozen>> {
        // Even without rows left, the applied position moves on, so that the log can be trimmed.
        if self.frozen.is_some()
            || (self.bytes < threshold && !(threshold <= 1 && self.applied.is_some()))
        {
            return None;
        }
        let applied = self.applied.take()?;
        self.bytes = 0;
        let frozen = Arc::new(Frozen {
            rows: self.gathering.each_mut().map(Rows::freeze),
            applied,
        });
        self.frozen = Some(Arc::clone(&frozen));
        Some(frozen)
    }

    pub(crate) fn thaw(&mut self) {
        self.frozen = None;
    }
}

/// Committed changes on their way to the base.
pub struct WriteBack {
    base: Arc<dyn Base>,
    frozen: Arc<Frozen>,
}

impl WriteBack {
    pub(crate) fn new(base: Arc<dyn Base>, frozen: Arc<Frozen>) -> WriteBack {
        WriteBack { base, frozen }
    }

    /// How far the base will have come.
    pub fn applied(&self) -> &Applied {
        &self.frozen.applied
    }

    /// Writes them, and makes them durable.
    pub fn run(&self) -> Result<(), StoreError> {
        let mut changes = Family::ALL.into_iter().flat_map(|family| {
            self.frozen.rows[family.slot()]
                .iter()
                .map(move |(key, cell)| (family, key, cell.value.as_ref()))
        });
        self.base.write(&mut changes, &self.frozen.applied)?;
        self.base.flush()
    }
}

/// Read access to the committed state of one store, from any thread. One call sees one moment.
#[derive(Clone)]
pub struct ReadHandle {
    base: Arc<dyn Base>,
    committed: Arc<RwLock<Committed>>,
}

impl ReadHandle {
    pub(crate) fn new(base: Arc<dyn Base>, committed: Arc<RwLock<Committed>>) -> ReadHandle {
        ReadHandle { base, committed }
    }

    /// The value of a key.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let known = self.committed.read().get(family, key);
        match known {
            Some(cell) => Ok(cell.value),
            // What the base gets meanwhile is newer: never older than what was committed when this began.
            None => self.base.get(family, key),
        }
    }

    /// At most `limit` rows of a range, in key order, or descending if `reverse`.
    pub fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        Committed::scan(
            &self.committed,
            &*self.base,
            Vec::new(),
            family,
            range,
            limit,
            reverse,
        )
    }

    /// The position of the last commit record that is visible.
    pub fn applied_position(&self) -> Option<Position> {
        self.committed.read().position
    }
}

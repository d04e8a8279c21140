//! What is durable in the log and not yet, or not certainly, in the base.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use wal::Position;

use crate::indexes::{self, Build, Record};
use crate::layer::{Cell, Layer, Source, merge, overlap};
use crate::rows::{FrozenRows, Rows};
use crate::{Applied, Base, Family, KeyRange, StoreError};

/// Committed changes that the base has not got yet: what a crash would have to replay, and the memory that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Records of the changelog, commit records included.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Bytes of memory, estimated from above: a value that was overwritten stays in its arena until all go together.
    pub memory: usize,
}

impl Gathered {
    fn add(&mut self, family: Family, key: &Bytes, cell: &Cell) {
        let bytes = key.len() + cell.value.as_ref().map_or(0, Bytes::len);
        self.memory += bytes + CELL_BYTES;
        // Index entries are derived: nobody reads them from the log.
        if family != Family::Index {
            self.records += 1;
            self.bytes += bytes as u64;
        }
    }

    /// Whether there is nothing to write to the base.
    pub fn is_empty(&self) -> bool {
        *self == Gathered::default()
    }

    /// Of two stores, or two parts of one.
    pub fn and(self, other: Gathered) -> Gathered {
        Gathered {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
            memory: self.memory + other.memory,
        }
    }
}

/// What a row takes beside its bytes: its place in the map (two handles, a hash and a slot, 96 bytes) with the map's room
/// to grow, and its place in the order of a scan.
const CELL_BYTES: usize = 160;

/// Committed changes: those that gather, and those that are being written to the base.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    gathering: [Rows; 3],
    bytes: usize,
    gathered: Gathered,
    applied: Option<Applied>,
    frozen: Option<Arc<Frozen>>,
    position: Option<Position>,
    /// Indexes that say nothing yet.
    building: Vec<Build>,
}

/// All that a scan goes through: what is committed, the base below it, and other sources above both, newest first.
pub(crate) struct Stack<'a> {
    pub(crate) above: Vec<Source<'a>>,
    pub(crate) committed: &'a RwLock<Committed>,
    pub(crate) base: &'a dyn Base,
}

impl Stack<'_> {
    /// At most `limit` rows of a range, in key order (descending if `reverse`).
    pub(crate) fn scan(
        self,
        family: Family,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let mut rows = Vec::new();
        if limit > 0 && !crate::layer::is_empty(range) {
            self.visit(family, range, reverse, |key, value| {
                rows.push((key, value));
                rows.len() < limit
            })?;
        }
        Ok(rows)
    }

    /// Hands the rows of a range to `take` until it says that it wants no more.
    pub(crate) fn visit(
        self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
        take: impl FnMut(Bytes, Bytes) -> bool,
    ) -> Result<(), StoreError> {
        let committed = Committed::lock_for_scan(self.committed, family);
        let entries;
        let range = if family == Family::Index {
            committed.check_built(range, self.base)?;
            entries = indexes::only_entries(range);
            &entries
        } else {
            range
        };
        let mut sources: Vec<Source<'_>> = self.above;
        committed.sources(family, range, reverse, &mut sources);
        let rows = self.base.scan(family, range, reverse)?;
        sources.push(Box::new(
            rows.map(|row| row.map(|(key, value)| (key, Some(value)))),
        ));
        merge(sources, reverse, take)
    }
}

/// Changes that are being written to the base. They hide the base's rows, so nobody sees how far the writing is.
#[derive(Debug)]
pub(crate) struct Frozen {
    rows: [FrozenRows; 3],
    applied: Applied,
    gathered: Gathered,
}

impl Committed {
    pub(crate) fn new(position: Option<Position>) -> Committed {
        Committed {
            position,
            ..Committed::default()
        }
    }

    /// Adds rows of the `Index` family that no batch has changed, and says which indexes are incomplete from now on.
    pub(crate) fn add_derived(
        &mut self,
        rows: impl IntoIterator<Item = Record>,
        building: &[Build],
        applied: Option<&Applied>,
    ) {
        for (key, value) in rows {
            // Nothing is known of what lies below.
            let cell = Cell {
                value,
                fresh: false,
            };
            self.gathered.add(Family::Index, &key, &cell);
            let grown = self.gathering[Family::Index.slot()].add(key, cell);
            self.bytes = self.bytes.saturating_add_signed(grown);
        }
        self.building = building.to_vec();
        if self.applied.is_none() {
            self.applied = applied.cloned();
        }
    }

    /// # Errors
    /// The range may hold entries of an index that is incomplete.
    fn check_built(&self, range: &KeyRange, base: &dyn Base) -> Result<(), StoreError> {
        for build in &self.building {
            if overlap(range, &KeyRange::prefix(&build.index.prefix)) {
                return Err(StoreError::IndexBuilding {
                    name: build.index.name,
                    done: build.done,
                    total: base.estimated_rows(Family::State).unwrap_or(0),
                });
            }
        }
        Ok(())
    }

    /// The indexes that are incomplete.
    pub(crate) fn building(&self) -> &[Build] {
        &self.building
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
        self.gathered.records += 1;
        self.gathered.bytes += applied.commit.len() as u64;
        for (family, changed) in Family::ALL.into_iter().zip(batch) {
            let rows = &mut self.gathering[family.slot()];
            for (key, cell) in changed.into_traces() {
                self.gathered.add(family, &key, &cell);
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
            gathered: std::mem::take(&mut self.gathered),
        });
        self.frozen = Some(Arc::clone(&frozen));
        Some(frozen)
    }

    pub(crate) fn thaw(&mut self) {
        self.frozen = None;
    }

    /// What gathers, and what is being written to the base.
    pub(crate) fn gathered(&self) -> (Gathered, Gathered) {
        let writing = self.frozen.as_ref().map(|frozen| frozen.gathered);
        (self.gathered, writing.unwrap_or_default())
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

/// Read access to the committed state of one store, from any thread.
///
/// One call sees one moment: a whole number of batches. Two calls may see two, the second never an earlier one. So a scan
/// that goes on behind the last key of a page (`query::Merge`) gives each row that stays where it is exactly once, and no
/// key twice; a row that comes, goes or moves meanwhile may be in it or not; and who looks up the row of an index entry
/// may find it gone or changed, and must look.
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
    ///
    /// # Errors
    /// The base failed; or it is an entry of an index that is being built ([`StoreError::IndexBuilding`]).
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let known = {
            let committed = self.committed.read();
            if family == Family::Index && !committed.building.is_empty() {
                let key = Bytes::copy_from_slice(key);
                let (start, end) = (Bound::Included(key.clone()), Bound::Included(key));
                committed.check_built(&KeyRange { start, end }, &*self.base)?;
            }
            committed.get(family, key)
        };
        match known {
            Some(cell) => Ok(cell.value),
            // What the base gets meanwhile is newer: never older than what was committed when this began.
            None => self.base.get(family, key),
        }
    }

    /// At most `limit` rows of a range, in key order, or descending if `reverse`.
    ///
    /// # Errors
    /// The base failed; or the range holds entries of an index that is being built ([`StoreError::IndexBuilding`]).
    pub fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let stack = Stack {
            above: Vec::new(),
            committed: &self.committed,
            base: &*self.base,
        };
        stack.scan(family, range, limit, reverse)
    }

    /// How far the indexes are that are being built, and about how many rows there are to look at; 0: the base cannot
    /// tell.
    pub fn index_builds(&self) -> (Vec<Build>, u64) {
        let building = self.committed.read().building().to_vec();
        let rows = self.base.estimated_rows(Family::State);
        (building, rows.unwrap_or(0))
    }

    /// The position of the last commit record that is visible.
    pub fn applied_position(&self) -> Option<Position> {
        self.committed.read().position
    }
}

//! The store of one group: an active batch, sealed batches whose commit is under way, committed layers, the base.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use wal::Position;

use crate::arena::Arena;
use crate::changelog::Change;
use crate::committed::{Committed, Gathered, Stack};
use crate::indexes::{self, Indexes};
use crate::layer::{Cell, Layer, Source};
use crate::rows::Rows;
use crate::{
    Applied, Base, EntryChange, Family, KeyRange, ReadHandle, Schema, StoreError, WriteBack,
};

/// The largest row of a store that says nothing else, key and value, in bytes.
pub const MAX_ROW_BYTES: usize = 1_047_000;

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest row, key and value, in bytes.
    pub max_row_bytes: usize,
    /// Committed changes are written to the base when they are about this large, in bytes.
    pub write_back_bytes: usize,
    /// Rows that are looked at in one [`Store::index_piece`], at least 1; it ends earlier when they are large.
    pub index_piece_rows: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_row_bytes: MAX_ROW_BYTES,
            write_back_bytes: 8 << 20,
            index_piece_rows: 1_000,
        }
    }
}

/// A point of the active batch to return to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Savepoint {
    undo: usize,
    bytes: usize,
}

/// A closed batch: what goes into the changelog.
#[derive(Debug)]
pub struct Sealed {
    /// The changed rows, by family and in the order in which they were first written, each with its last value.
    pub changes: Vec<Change>,
}

/// What a store holds in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Committed, and not yet on its way to the base.
    pub gathering: Gathered,
    /// Committed, and being written to the base.
    pub writing: Gathered,
    /// Bytes of keys and values that are not committed yet.
    pub overlays: usize,
}

/// See the module. One writer: the group's thread.
pub struct Store {
    base: Arc<dyn Base>,
    schema: Arc<dyn Schema>,
    options: Options,
    committed: Arc<RwLock<Committed>>,
    /// Batches whose commit is under way, oldest first.
    sealed: VecDeque<Layer>,
    /// Bytes of keys and values of the sealed batches, oldest first.
    sealed_bytes: VecDeque<usize>,
    active: Layer,
    /// Family, place and earlier cell of each write.
    undo: Vec<(Family, usize, Option<Cell>)>,
    active_bytes: usize,
    applied: Option<Applied>,
    arena: Arena,
    indexes: Indexes,
}

/// Bytes of rows and entries after which a piece of an index ends.
const INDEX_PIECE_BYTES: usize = 1 << 20;

impl Store {
    /// The store as its base has it; replay what the base lacks with [`Store::apply`].
    pub fn open(
        base: Arc<dyn Base>,
        schema: Arc<dyn Schema>,
        options: Options,
    ) -> Result<Store, StoreError> {
        let applied = base.applied()?;
        let (indexes, records) = Indexes::open(&*base, &*schema)?;
        let mut committed = Committed::new(applied.as_ref().map(|applied| applied.position));
        if !records.is_empty() || !indexes.is_settled() {
            committed.add_derived(records, &indexes.building, applied.as_ref());
        }
        let committed = Arc::new(RwLock::new(committed));
        Ok(Store {
            base,
            schema,
            options,
            committed,
            sealed: VecDeque::new(),
            sealed_bytes: VecDeque::new(),
            active: Layer::default(),
            undo: Vec::new(),
            active_bytes: 0,
            applied,
            arena: Arena::default(),
            indexes,
        })
    }

    /// Read access to the committed state, from any thread.
    pub fn reader(&self) -> ReadHandle {
        ReadHandle::new(Arc::clone(&self.base), Arc::clone(&self.committed))
    }

    /// The value of a key, with everything that was written, committed or not.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.active[family.slot()].get(key) {
            Some(cell) => Ok(cell.value.clone()),
            None => self.get_below(family, key),
        }
    }

    fn get_below(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        for batch in self.sealed.iter().rev() {
            if let Some(cell) = batch[family.slot()].get(key) {
                return Ok(cell.value.clone());
            }
        }
        let known = self.committed.read().get(family, key);
        match known {
            Some(cell) => Ok(cell.value),
            None => self.base.get(family, key),
        }
    }

    /// At most `limit` rows of a range, in key order (descending if `reverse`), with everything that was written.
    pub fn scan(
        &mut self,
        family: Family,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let slot = family.slot();
        let mut above: Vec<Source<'_>> = Vec::with_capacity(self.sealed.len() + 4);
        let layers = std::iter::once(&mut self.active).chain(self.sealed.iter_mut().rev());
        above.extend(layers.filter_map(|layer| {
            layer[slot].put_in_order();
            layer[slot].source(range, reverse)
        }));
        let stack = Stack {
            above,
            committed: &self.committed,
            base: &*self.base,
        };
        stack.scan(family, range, limit, reverse)
    }

    /// Memory for the keys and values of rows that are about to be written.
    pub fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], and nothing is written.
    pub fn put(&mut self, family: Family, key: Bytes, value: Bytes) -> Result<(), StoreError> {
        let fresh = self.active[family.slot()]
            .get(&key)
            .is_some_and(|cell| cell.fresh);
        self.write(family, key, value, fresh)
    }

    /// Writes a row whose key is known to be absent: nothing is looked up, and if it is deleted before it reaches the
    /// log or the base, it leaves no trace there.
    pub fn insert(&mut self, family: Family, key: Bytes, value: Bytes) -> Result<(), StoreError> {
        debug_assert_eq!(
            self.get(family, &key).ok().flatten(),
            None,
            "an inserted row exists"
        );
        // A tombstone in this batch means that the key exists below.
        let fresh = self.active[family.slot()]
            .get(&key)
            .is_none_or(|cell| cell.fresh);
        self.write(family, key, value, fresh)
    }

    fn write(
        &mut self,
        family: Family,
        key: Bytes,
        value: Bytes,
        fresh: bool,
    ) -> Result<(), StoreError> {
        let size = key.len() + value.len();
        if size > self.options.max_row_bytes {
            return Err(StoreError::TooLarge {
                size,
                limit: self.options.max_row_bytes,
            });
        }
        self.active_bytes += size;
        let value = Some(value);
        self.set(family, key, Cell { value, fresh });
        Ok(())
    }

    /// Deletes a row, if it exists.
    pub fn delete(&mut self, family: Family, key: Bytes) -> Result<(), StoreError> {
        self.active_bytes += key.len();
        let fresh = self.active[family.slot()]
            .get(&key)
            .is_some_and(|cell| cell.fresh);
        self.set(family, key, Cell { value: None, fresh });
        Ok(())
    }

    fn set(&mut self, family: Family, key: Bytes, cell: Cell) {
        let (place, before) = self.active[family.slot()].set(key, cell);
        self.undo.push((family, place, before));
    }

    /// A point of the active batch to return to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            undo: self.undo.len(),
            bytes: self.active_bytes,
        }
    }

    /// Undoes every write since `savepoint`.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        while self.undo.len() > savepoint.undo {
            let Some((family, place, before)) = self.undo.pop() else {
                break;
            };
            self.active[family.slot()].unset(place, before);
        }
        self.active_bytes = savepoint.bytes;
    }

    /// Bytes of keys and values written into the active batch: an upper bound of what it will log.
    pub fn active_bytes(&self) -> usize {
        self.active_bytes
    }

    /// Closes the active batch, derives its index entries, and stacks it below a new one.
    pub fn seal(&mut self) -> Result<Sealed, StoreError> {
        self.undo.clear();
        let bytes = std::mem::take(&mut self.active_bytes);
        let mut batch = std::mem::take(&mut self.active);
        let index = self.derive(&batch[Family::State.slot()])?;
        batch[Family::Index.slot()] = index;
        let mut changes = Vec::with_capacity(batch[0].len() + batch[2].len());
        for family in [Family::State, Family::Queue] {
            changes.extend(batch[family.slot()].traces().map(|(key, cell)| Change {
                family,
                key: key.clone(),
                value: cell.value.clone(),
            }));
        }
        self.sealed.push_back(batch);
        self.sealed_bytes.push_back(bytes);
        Ok(Sealed { changes })
    }

    /// Index entries that come and go with changed rows. What lies below the batch is still as it was.
    fn derive(&self, rows: &Rows) -> Result<Rows, StoreError> {
        let mut entries = Rows::default();
        for (key, cell) in rows.traces() {
            if !self.schema.is_indexed(key) {
                continue;
            }
            let before = if cell.fresh {
                None
            } else {
                self.get_below(Family::State, key)?
            };
            let (before, after) = (before.as_deref(), cell.value.as_deref());
            self.schema
                .index_changes(key, before, after, &mut |key, change| {
                    let (value, fresh) = match change {
                        // Entries follow from rows alone, and no row below has this one.
                        EntryChange::Added(value) => (Some(value), true),
                        EntryChange::Replaced(value) => (Some(value), false),
                        EntryChange::Removed => (None, false),
                    };
                    entries.set(key, Cell { value, fresh });
                });
        }
        Ok(entries)
    }

    /// Whether secondary indexes are to be built or removed: call [`Store::index_piece`] now and then.
    pub fn is_indexing(&self) -> bool {
        !self.indexes.is_settled()
    }

    /// Does a bounded piece of what is left to build and to remove of the secondary indexes: nothing waits for more than
    /// some thousand rows. The entries gather with the committed changes and go to the base with them, as does the cursor;
    /// a crash takes back what was not flushed.
    ///
    /// # Errors
    /// The base failed.
    pub fn index_piece(&mut self) -> Result<(), StoreError> {
        if let Some(prefix) = self.indexes.stale.pop() {
            return self.remove_index(&prefix);
        }
        if self.indexes.building.is_empty() {
            return Ok(());
        }
        let (mut entries, mut last, mut rows, mut bytes) = (Vec::new(), None, 0, 0);
        let (schema, indexes) = (&self.schema, &self.indexes);
        let (most, mut is_full) = (self.options.index_piece_rows, false);
        let stack = Stack {
            above: Vec::new(),
            committed: &self.committed,
            base: &*self.base,
        };
        stack.visit(Family::State, &indexes.rest(), false, |key, value| {
            rows += 1;
            bytes += key.len() + value.len();
            if schema.is_indexed(&key) {
                schema.index_entries(&key, &value, &mut |entry, value| {
                    if indexes.lacks(&entry) {
                        bytes += entry.len() + value.len();
                        entries.push((entry, Some(value)));
                    }
                });
            }
            last = Some(key);
            is_full = rows >= most || bytes >= INDEX_PIECE_BYTES;
            !is_full
        })?;
        let cursor = last.filter(|_| is_full);
        entries.extend(self.indexes.advance(cursor.as_ref(), rows as u64));
        let (building, applied) = (&self.indexes.building, self.applied.as_ref());
        self.committed
            .write()
            .add_derived(entries, building, applied);
        Ok(())
    }

    /// Removes an index at once: one range delete, however many entries there are. If it is declared in another version,
    /// what was written meanwhile of that may go too: it is built from the beginning. What the base records of it is no
    /// longer true then, so that changes in the same moment: a checkpoint may be made before the next write-back.
    fn remove_index(&mut self, prefix: &Bytes) -> Result<(), StoreError> {
        let (key, value) = indexes::stale(prefix);
        let entries = KeyRange::prefix(prefix);
        self.base
            .replace_range(Family::Index, &entries, (&key, &value))?;
        let (removed, building) = (self.indexes.removed(prefix), &self.indexes.building);
        let applied = self.applied.as_ref();
        let mut committed = self.committed.write();
        committed.add_derived([removed], building, applied);
        Ok(())
    }

    /// The oldest sealed batch is durable: readers see it from now on, all of it at once.
    pub fn commit(&mut self, applied: Applied) {
        self.sealed_bytes.pop_front();
        if let Some(batch) = self.sealed.pop_front() {
            self.committed.write().add(batch, applied.clone());
            self.applied = Some(applied);
        }
    }

    /// Drops the active batch and all sealed ones.
    pub fn discard(&mut self) {
        self.active = Layer::default();
        self.undo.clear();
        self.active_bytes = 0;
        self.sealed.clear();
        self.sealed_bytes.clear();
    }

    /// What the store holds in memory.
    pub fn load(&self) -> Load {
        let (gathering, writing) = self.committed.read().gathered();
        Load {
            gathering,
            writing,
            overlays: self.active_bytes + self.sealed_bytes.iter().sum::<usize>(),
        }
    }

    /// Applies a batch that was read from the changelog.
    pub fn apply(&mut self, changes: Vec<Change>, applied: Applied) -> Result<(), StoreError> {
        debug_assert!(self.sealed.is_empty(), "replay under batches of our own");
        for change in changes {
            let cell = Cell {
                value: change.value,
                fresh: false,
            };
            self.active[change.family.slot()].set(change.key, cell);
        }
        let Sealed { .. } = self.seal()?;
        self.commit(applied);
        Ok(())
    }

    /// How far the store has come.
    pub fn applied(&self) -> Option<&Applied> {
        self.applied.as_ref()
    }

    /// How far the base would have come after a crash now.
    pub fn durable(&self) -> Result<Option<Position>, StoreError> {
        self.base.durable()
    }

    /// See [`Base::retained`].
    pub fn retained(&self, written: Position) -> Position {
        self.base.retained(written)
    }

    /// Takes the committed changes to be written to the base, if they are large enough (or `force`) and no other
    /// write-back is under way. They stay readable. Run it on any thread, then call [`Store::finish_write_back`].
    pub fn start_write_back(&mut self, force: bool) -> Option<WriteBack> {
        let threshold = if force {
            1
        } else {
            self.options.write_back_bytes
        };
        let frozen = self.committed.write().freeze(threshold)?;
        Some(WriteBack::new(Arc::clone(&self.base), frozen))
    }

    /// The base has it: its layer goes. (One that failed is not finished: the store cannot go on.) The caller drops
    /// `written` where the time that this takes harms nobody.
    pub fn finish_write_back(&mut self, _written: &WriteBack) {
        self.committed.write().thaw();
    }
}

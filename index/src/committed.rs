//! What is durable in the log and not yet, or not certainly, in the base.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use wal::Position;

use crate::layer::{Cells, Source, merge, source};
use crate::{Applied, Base, Family, KeyRange, Layer, StoreError};

/// Committed changes: those that gather, and those that are being written to the base.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    gathering: Cells,
    bytes: usize,
    applied: Option<Applied>,
    frozen: Option<Arc<Frozen>>,
    position: Option<Position>,
}

/// Changes that are being written to the base. They hide the base's rows, so nobody sees how far the writing is.
#[derive(Debug)]
pub(crate) struct Frozen {
    cells: Cells,
    applied: Applied,
}

impl Committed {
    pub(crate) fn new(position: Option<Position>) -> Committed {
        Committed {
            position,
            ..Committed::default()
        }
    }

    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Option<Option<Bytes>> {
        if let Some(cell) = self.gathering[family.slot()].get(key) {
            return Some(cell.value.clone());
        }
        let cell = self.frozen.as_ref()?.cells[family.slot()].get(key)?;
        Some(cell.value.clone())
    }

    pub(crate) fn sources<'a>(
        &'a self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
        sources: &mut Vec<Source<'a>>,
    ) {
        sources.extend(source(&self.gathering, family, range, reverse));
        if let Some(frozen) = &self.frozen {
            sources.extend(source(&frozen.cells, family, range, reverse));
        }
    }

    /// Adds a batch. A key that is known to be absent below, and is deleted again, vanishes.
    pub(crate) fn add(&mut self, batch: Cells, applied: Applied) {
        for (below, cells) in self.gathering.iter_mut().zip(batch) {
            for (key, cell) in cells {
                let size = key.len() + cell.value.as_ref().map_or(0, Bytes::len);
                match below.entry(key) {
                    Entry::Vacant(vacant) => {
                        self.bytes += size;
                        vacant.insert(cell);
                    }
                    Entry::Occupied(mut occupied) => {
                        let before = occupied.get().value.as_ref().map_or(0, Bytes::len);
                        let key_len = occupied.key().len();
                        self.bytes = self.bytes.saturating_sub(before);
                        if occupied.get().fresh && cell.value.is_none() {
                            self.bytes = self.bytes.saturating_sub(key_len);
                            occupied.remove();
                        } else {
                            self.bytes += size - key_len;
                            let fresh = occupied.get().fresh;
                            *occupied.get_mut() = cell;
                            occupied.get_mut().fresh = fresh;
                        }
                    }
                }
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
            cells: std::mem::take(&mut self.gathering),
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
        let mut layer = Layer::default();
        for (to, from) in layer.iter_mut().zip(&self.frozen.cells) {
            *to = from
                .iter()
                .map(|(key, cell)| (key.clone(), cell.value.clone()))
                .collect();
        }
        self.base.write(&layer, &self.frozen.applied)?;
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
            Some(value) => Ok(value),
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
        if limit == 0 || crate::layer::is_empty(range) {
            return Ok(Vec::new());
        }
        let committed = self.committed.read();
        let mut sources: Vec<Source<'_>> = Vec::with_capacity(3);
        committed.sources(family, range, reverse, &mut sources);
        let base = self.base.scan(family, range, reverse)?;
        sources.push(Box::new(
            base.map(|row| row.map(|(key, value)| (key, Some(value)))),
        ));
        merge(sources, limit, reverse)
    }

    /// The position of the last commit record that is visible.
    pub fn applied_position(&self) -> Option<Position> {
        self.committed.read().position
    }
}

//! A base that counts what scans must step over.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Around, Hooks};
use crate::layer::is_empty;
use crate::{Applied, Base, BaseChange, BaseScan, Family, KeyRange, MemoryBase, StoreError};

/// A [`MemoryBase`] that keeps a tombstone of each deleted row for ever, as a disk does for a while, and counts those that
/// scans step over. Clones share everything.
pub type Graveyard = Around<MemoryBase, Tombstones>;

/// See [`Graveyard`].
#[derive(Debug, Clone, Default)]
pub struct Tombstones {
    dead: Arc<Mutex<[BTreeSet<Bytes>; 3]>>,
    passed: Arc<AtomicUsize>,
}

impl Graveyard {
    /// How many tombstones scans have stepped over since this was last asked.
    pub fn passed(&self) -> usize {
        self.hooks.passed.swap(0, Ordering::SeqCst)
    }

    /// How many tombstones there are.
    pub fn tombstones(&self) -> usize {
        self.hooks.dead.lock().iter().map(BTreeSet::len).sum()
    }
}

impl Hooks for Tombstones {
    fn scan<'a>(
        &'a self,
        base: &'a dyn Base,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'a>, StoreError> {
        let rows = base.scan(family, range, reverse)?;
        let mut left = range.clone();
        let step_over = move |to: Option<&Bytes>| {
            let (mut between, key) = (left.clone(), to.cloned());
            if let Some(key) = key {
                if reverse {
                    between.start = Bound::Excluded(key.clone());
                    left.end = Bound::Excluded(key);
                } else {
                    between.end = Bound::Excluded(key.clone());
                    left.start = Bound::Excluded(key);
                }
            }
            if !is_empty(&between) {
                let dead = self.dead.lock();
                let bounds = (between.start.as_ref(), between.end.as_ref());
                let count = dead[family.slot()].range::<Bytes, _>(bounds).count();
                self.passed.fetch_add(count, Ordering::SeqCst);
            }
        };
        Ok(Box::new(Counting { rows, step_over }))
    }

    fn write(
        &self,
        base: &dyn Base,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut dead = self.dead.lock();
        let mut changes = changes.inspect(|(family, key, value)| {
            let dead = &mut dead[family.slot()];
            if value.is_some() {
                dead.remove(*key);
            } else {
                dead.insert((*key).clone());
            }
        });
        base.write(&mut changes, applied)
    }
}

/// Tells of each row that is reached, and of the end.
struct Counting<'a, F> {
    rows: BaseScan<'a>,
    step_over: F,
}

impl<F: FnMut(Option<&Bytes>)> Iterator for Counting<'_, F> {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next();
        match &row {
            Some(Ok((key, _))) => (self.step_over)(Some(key)),
            Some(Err(_)) => {}
            None => (self.step_over)(None),
        }
        row
    }
}

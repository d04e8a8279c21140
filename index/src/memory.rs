//! A base in memory: ordered maps that can lose what was not flushed.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wal::Position;

use crate::layer::is_empty;
use crate::{Applied, Base, BaseChange, BaseScan, Family, KeyRange, StoreError};

#[derive(Debug, Clone, Default)]
struct State {
    rows: [imbl::OrdMap<Bytes, Bytes>; 3],
    applied: Option<Applied>,
}

/// See the module. Clones share the rows, so that one survives a simulated restart.
#[derive(Debug, Clone, Default)]
pub struct MemoryBase {
    now: Arc<Mutex<State>>,
    durable: Arc<Mutex<State>>,
}

impl MemoryBase {
    /// An empty base.
    pub fn new() -> MemoryBase {
        MemoryBase::default()
    }

    /// Loses everything that was written since the last flush.
    pub fn crash(&self) {
        *self.now.lock() = self.durable.lock().clone();
    }
}

impl Base for MemoryBase {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.now.lock().rows[family.slot()].get(key).cloned())
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'_>, StoreError> {
        if is_empty(range) {
            return Ok(Box::new(std::iter::empty()));
        }
        let rows = self.now.lock().rows[family.slot()].clone();
        Ok(Box::new(Scan {
            rows,
            range: range.clone(),
            reverse,
        }))
    }

    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut now = self.now.lock();
        for (family, key, value) in changes {
            let rows = &mut now.rows[family.slot()];
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        now.applied = Some(applied.clone());
        Ok(())
    }

    fn applied(&self) -> Result<Option<Applied>, StoreError> {
        Ok(self.now.lock().applied.clone())
    }

    fn durable(&self) -> Result<Option<Position>, StoreError> {
        Ok(self
            .durable
            .lock()
            .applied
            .as_ref()
            .map(|applied| applied.position))
    }

    fn flush(&self) -> Result<(), StoreError> {
        *self.durable.lock() = self.now.lock().clone();
        Ok(())
    }
}

/// A scan over the rows as they were when it began.
struct Scan {
    rows: imbl::OrdMap<Bytes, Bytes>,
    range: KeyRange,
    reverse: bool,
}

impl Iterator for Scan {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if is_empty(&self.range) {
            return None;
        }
        let mut rows = self
            .rows
            .range::<_, Bytes>((self.range.start.as_ref(), self.range.end.as_ref()));
        let row = if self.reverse {
            rows.next_back()
        } else {
            rows.next()
        };
        let (key, value) = row.map(|(key, value)| (key.clone(), value.clone()))?;
        if self.reverse {
            self.range.end = std::ops::Bound::Excluded(key.clone());
        } else {
            self.range.start = std::ops::Bound::Excluded(key.clone());
        }
        Some(Ok((key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_base_contract() {
        crate::testing::base_contract(&MemoryBase::new());
    }
}

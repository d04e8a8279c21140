//! A base around another one, for tests and benches that watch, slow down or break some of what it does.

use std::sync::Arc;

use bytes::Bytes;
use wal::Position;

use crate::{Applied, Base, BaseChange, BaseScan, Family, KeyRange, StoreError};

/// What [`Around`] does otherwise than the base in it: by default nothing.
pub trait Hooks: Send + Sync + 'static {
    /// See [`Base::scan`].
    fn scan<'a>(
        &'a self,
        base: &'a dyn Base,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'a>, StoreError> {
        base.scan(family, range, reverse)
    }

    /// See [`Base::write`].
    fn write(
        &self,
        base: &dyn Base,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        base.write(changes, applied)
    }

    /// See [`Base::flush`].
    fn flush(&self, base: &dyn Base) -> Result<(), StoreError> {
        base.flush()
    }
}

/// A base with hooks. Clones share the base.
#[derive(Debug, Clone, Default)]
pub struct Around<B, H> {
    /// The base in it.
    pub base: Arc<B>,
    /// What is done otherwise.
    pub hooks: H,
}

impl<B: Base, H: Hooks> Base for Around<B, H> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.base.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'_>, StoreError> {
        self.hooks.scan(&*self.base, family, range, reverse)
    }

    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        self.hooks.write(&*self.base, changes, applied)
    }

    fn replace_range(
        &self,
        family: Family,
        range: &KeyRange,
        row: (&Bytes, &Bytes),
    ) -> Result<(), StoreError> {
        self.base.replace_range(family, range, row)
    }

    fn estimated_rows(&self, family: Family) -> Option<u64> {
        self.base.estimated_rows(family)
    }

    fn applied(&self) -> Result<Option<Applied>, StoreError> {
        self.base.applied()
    }

    fn durable(&self) -> Result<Option<Position>, StoreError> {
        self.base.durable()
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.hooks.flush(&*self.base)
    }

    fn retained(&self, written: Position) -> Position {
        self.base.retained(written)
    }
}

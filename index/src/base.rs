//! The base store under the layers: what is on disk.

use std::ops::Bound;

use bytes::Bytes;
use wal::Position;

use crate::{Family, StoreError};

/// How far a store has come: stored in the base atomically with the rows that it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The position of the last applied commit record in the changelog.
    pub position: Position,
    /// That commit record's content: input positions, term, recorded inputs. Opaque here.
    pub commit: Bytes,
}

/// Keys from a lower to an upper bound, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Bytes>,
    /// Where it ends.
    pub end: Bound<Bytes>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xFF {
                end.push(last + 1);
                break;
            }
        }
        KeyRange {
            start: Bound::Included(Bytes::copy_from_slice(prefix)),
            end: if end.is_empty() {
                Bound::Unbounded
            } else {
                Bound::Excluded(Bytes::from(end))
            },
        }
    }
}

/// A row on its way to the base: family, key, value; `None` deletes.
pub type BaseChange<'a> = (Family, &'a Bytes, Option<&'a Bytes>);

/// Rows in key order.
pub type BaseScan<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes), StoreError>> + 'a>;

/// An ordered store with three families, one writer and many readers: RocksDB, or a map in memory that can lose what
/// it did not flush.
pub trait Base: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The rows of a range, ascending or (`reverse`) descending. What the scan sees is fixed when this returns.
    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'_>, StoreError>;

    /// Writes all of `changes` (each key at most once) and `applied`, atomically. Not necessarily durable before
    /// [`Base::flush`].
    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError>;

    /// Deletes all rows of a range, which costs little however many there are, and then writes a row (key and value),
    /// atomically. How far the base is written stays as it is; durable with the next [`Base::flush`], and perhaps before.
    /// It may run beside [`Base::write`] on another thread.
    fn replace_range(
        &self,
        family: Family,
        range: &KeyRange,
        row: (&Bytes, &Bytes),
    ) -> Result<(), StoreError>;

    /// About how many rows a family has; `None`: it cannot tell.
    fn estimated_rows(&self, _family: Family) -> Option<u64> {
        None
    }

    /// How far it is written; `None` for an empty store.
    fn applied(&self) -> Result<Option<Applied>, StoreError>;

    /// How far it is durable, that is, what would survive a crash now.
    fn durable(&self) -> Result<Option<Position>, StoreError>;

    /// Makes everything written durable.
    fn flush(&self) -> Result<(), StoreError>;

    /// From which position on the changelog must stay, when everything up to `written` is durable here: not beyond it,
    /// and before it if an older checkpoint is kept.
    fn retained(&self, written: Position) -> Position {
        written
    }
}

//! The log's changes since a checkpoint: the last one of each key. Few are kept in memory, many on disk.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use index::{Applied, Base, BaseScan, Change, Family, KeyRange, StoreError};
use index_rocks::{RocksBase, Shared};
use wal::{GroupId, Position};

/// First byte of a value: the row is there.
const PUT: u8 = 1;
/// The row is gone.
const GONE: u8 = 0;

/// Changes of all groups.
pub(super) struct Changes<'a> {
    path: PathBuf,
    shared: &'a Shared,
    /// More bytes than this are written to a store of their own.
    memory_bytes: usize,
    base: Option<Arc<RocksBase>>,
    pending: [BTreeMap<Bytes, Bytes>; 3],
    bytes: usize,
    writes: u64,
}

fn key_of(group: GroupId, key: &[u8]) -> Bytes {
    let mut full = BytesMut::with_capacity(2 + key.len());
    full.put_u16(group.0);
    full.put_slice(key);
    full.freeze()
}

impl<'a> Changes<'a> {
    /// None yet. More than `memory_bytes` of them go to `path`, a directory that does not exist.
    pub(super) fn new(path: PathBuf, shared: &'a Shared, memory_bytes: usize) -> Changes<'a> {
        Changes {
            path,
            shared,
            memory_bytes,
            base: None,
            pending: Default::default(),
            bytes: 0,
            writes: 0,
        }
    }

    /// A later change of a key replaces an earlier one.
    pub(super) fn add(&mut self, group: GroupId, change: &Change) -> Result<(), StoreError> {
        let value = change.value.as_deref();
        let mut tagged = BytesMut::with_capacity(1 + value.map_or(0, <[u8]>::len));
        tagged.put_u8(if value.is_some() { PUT } else { GONE });
        tagged.put_slice(value.unwrap_or_default());
        let key = key_of(group, &change.key);
        self.bytes += key.len() + tagged.len();
        self.pending[change.family.slot()].insert(key, tagged.freeze());
        if self.bytes > self.memory_bytes {
            self.write()?;
        }
        Ok(())
    }

    /// There are no more: before anything is read.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        if self.base.is_some() {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let base = match &self.base {
            Some(base) => Arc::clone(base),
            None => RocksBase::open(&self.path, self.shared)?,
        };
        self.base = Some(Arc::clone(&base));
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        self.writes += 1;
        let mut changes = Family::ALL.into_iter().flat_map(|family| {
            pending[family.slot()]
                .iter()
                .map(move |(key, value)| (family, key, Some(value)))
        });
        let applied = Applied {
            position: Position::from_u64(self.writes),
            commit: Bytes::new(),
        };
        base.write(&mut changes, &applied)
    }

    /// A group's changes in one family, in key order: `None` for a row that is gone.
    fn scan(&self, group: GroupId, family: Family) -> Result<ChangeScan<'_>, StoreError> {
        let range = KeyRange::prefix(&group.0.to_be_bytes());
        let rows: BaseScan<'_> = if let Some(base) = &self.base {
            base.scan(family, &range, false)?
        } else {
            let rows = self.pending[family.slot()].range((range.start, range.end));
            Box::new(rows.map(|(key, value)| Ok((key.clone(), value.clone()))))
        };
        Ok(Box::new(rows.map(|row| {
            let (key, value) = row?;
            let there = value.first() == Some(&PUT);
            Ok((key.slice(2..), there.then(|| value.slice(1..))))
        })))
    }

    /// The rows of `below`, changed.
    pub(super) fn over<'b>(
        &'b self,
        below: BaseScan<'b>,
        group: GroupId,
        family: Family,
    ) -> Result<Folded<'b>, StoreError> {
        Ok(Folded {
            below: below.peekable(),
            above: self.scan(group, family)?.peekable(),
        })
    }
}

type ChangeScan<'a> = Box<dyn Iterator<Item = Result<(Bytes, Option<Bytes>), StoreError>> + 'a>;

/// Rows in key order: those below, with the changes above.
pub(super) struct Folded<'a> {
    below: Peekable<BaseScan<'a>>,
    above: Peekable<ChangeScan<'a>>,
}

impl Iterator for Folded<'_> {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.below.peek(), self.above.peek()) {
                (Some(Ok((below, _))), Some(Ok((above, _)))) => below.cmp(above),
                // What is left, or an error.
                (Some(_), None) | (Some(Err(_)), _) => std::cmp::Ordering::Less,
                (_, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return None,
            };
            if order.is_lt() {
                return self.below.next();
            }
            if order.is_eq() {
                self.below.next();
            }
            match self.above.next()? {
                Ok((key, Some(value))) => return Some(Ok((key, value))),
                Ok((_, None)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use index::MemoryBase;

    use super::*;

    fn folded(memory_bytes: usize) -> Vec<(Bytes, Bytes)> {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(1 << 20, 1 << 20);
        let mut changes = Changes::new(dir.path().join("c"), &shared, memory_bytes);
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let below = MemoryBase::new();
        let (keys, old) = (["a", "b", "d"].map(bytes), bytes("old"));
        let applied = Applied {
            position: Position::from_u64(1),
            commit: Bytes::new(),
        };
        let mut rows = keys.iter().map(|key| (Family::State, key, Some(&old)));
        below.write(&mut rows, &applied).unwrap();
        for (group, key, value) in [
            (1, "b", Some("1")),
            (0, "a", None),
            (0, "c", Some("2")),
            (0, "c", Some("3")),
            (0, "d", Some("")),
            (0, "e", None),
        ] {
            let change = Change {
                family: Family::State,
                key: bytes(key),
                value: value.map(bytes),
            };
            changes.add(GroupId(group), &change).unwrap();
        }
        changes.finish().unwrap();
        assert_eq!(dir.path().join("c").exists(), memory_bytes == 0);
        let scan = below.scan(Family::State, &KeyRange::prefix(&[]), false);
        let rows = changes.over(scan.unwrap(), GroupId(0), Family::State);
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn the_last_change_of_a_key_counts_and_groups_are_apart() {
        for memory_bytes in [0, 1 << 20] {
            let expected = [("b", "old"), ("c", "3"), ("d", "")];
            assert_eq!(
                folded(memory_bytes),
                expected.map(|(key, value)| (Bytes::from(key), Bytes::from(value)))
            );
        }
    }
}

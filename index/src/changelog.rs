//! A store's changes as records of the log: changed keys, then the commit record.

use bytes::{BufMut, Bytes};
use wal::Record;

use crate::{Arena, Family, StoreError};

/// A changed row: its new value, or `None` for a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The family.
    pub family: Family,
    /// The row's key.
    pub key: Bytes,
    /// Its new value.
    pub value: Option<Bytes>,
}

/// Record key of the commit record: no family has the number 0.
const COMMIT: &[u8] = &[0];
/// Record key of a barrier, by which a new owner finds the end of what its predecessor committed.
const BARRIER: &[u8] = &[0, 0];

/// What a record of the changelog says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A row of the batch changes.
    Change(Change),
    /// The batch is complete.
    Commit(Bytes),
    /// A new owner begins; not a batch.
    Barrier,
}

/// The record of one change: its key is the family's number and the row's key.
pub fn record(change: &Change, time_ms: i64, arena: &mut Arena) -> Record {
    let key = arena.write(1 + change.key.len(), |key| {
        key.put_u8(change.family as u8);
        key.put_slice(&change.key);
    });
    Record {
        key,
        value: change.value.clone(),
        time_ms,
    }
}

/// The commit record: the last one of its batch.
pub fn commit_record(commit: Bytes, time_ms: i64) -> Record {
    Record {
        key: Bytes::from_static(COMMIT),
        value: Some(commit),
        time_ms,
    }
}

/// A barrier.
pub fn barrier_record() -> Record {
    Record {
        key: Bytes::from_static(BARRIER),
        value: Some(Bytes::new()),
        time_ms: 0,
    }
}

/// Reads a record of the changelog.
pub fn decode(record: &Record) -> Result<Entry, StoreError> {
    let bad = |what: &str| StoreError::Corrupt(format!("changelog record: {what}"));
    match (&record.key[..], &record.value) {
        (COMMIT, Some(commit)) => Ok(Entry::Commit(commit.clone())),
        (BARRIER, Some(_)) => Ok(Entry::Barrier),
        (COMMIT | BARRIER, None) => Err(bad("a commit record without content")),
        ([], _) => Err(bad("no key")),
        ([family, ..], value) => match Family::from_u8(*family) {
            Some(Family::Index) => Err(bad("index entries are never logged")),
            Some(family) => Ok(Entry::Change(Change {
                family,
                key: record.key.slice(1..),
                value: value.clone(),
            })),
            None => Err(bad("unknown family")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        for (family, value) in [
            (Family::State, Some(Bytes::from_static(b"v"))),
            (Family::Queue, None),
        ] {
            let change = Change {
                family,
                key: Bytes::from_static(b"\0k"),
                value,
            };
            assert_eq!(
                decode(&record(&change, 3, &mut Arena::default())).unwrap(),
                Entry::Change(change)
            );
        }
        assert_eq!(
            decode(&commit_record(Bytes::from_static(b"c"), 0)).unwrap(),
            Entry::Commit(Bytes::from_static(b"c"))
        );
        assert_eq!(decode(&barrier_record()).unwrap(), Entry::Barrier);
    }

    #[test]
    fn garbage_is_refused() {
        for key in [&b""[..], &[2, b'k'], &[9, b'k'], &[0, 1]] {
            let record = Record {
                key: Bytes::copy_from_slice(key),
                value: Some(Bytes::new()),
                time_ms: 0,
            };
            assert!(decode(&record).is_err(), "{key:?}");
        }
    }
}

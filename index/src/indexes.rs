//! Which secondary indexes a store has, and how one comes to existing rows or goes.
//!
//! Entries are derived, so what is said of them is no part of the changelog either: each replica keeps it beside the
//! entries, in rows of the `Index` family that begin with 0, and builds its indexes itself. Entries and these rows go
//! to the base with the applied position, atomically, so a crash takes back both.
//!
//! A row that is written has its entries of every declared index put right, whether the index is complete or not. What is
//! built adds the entries of rows as they are committed, in the order of the rows. So at each moment an index holds all
//! entries of the rows up to the cursor, and of the others some, but no wrong one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Base, Family, IndexDeclaration, KeyRange, Schema, StoreError};

/// First byte of the rows that say which indexes there are. The one with nothing behind it says that there are such rows.
const RECORDS: u8 = 0;
/// The format of these rows.
const FORMAT: u8 = 1;

/// An index that is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Which.
    pub index: IndexDeclaration,
    /// The entries of all rows up to this key are there; `None`: of no rows yet.
    pub cursor: Option<Bytes>,
    /// Rows of the store that were looked at.
    pub done: u64,
}

impl Build {
    fn new(index: IndexDeclaration) -> Build {
        Build {
            index,
            cursor: None,
            done: 0,
        }
    }
}

/// The indexes of a base, as far as they are not simply there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Indexes {
    /// Indexes whose entries are to be removed: no longer declared, or declared in another version.
    pub stale: Vec<Bytes>,
    /// Indexes that are incomplete; a stale one is built after it was removed.
    pub building: Vec<Build>,
}

/// What is recorded of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Recorded {
    /// It has all entries.
    Complete,
    /// The cursor, and the rows that were looked at.
    Building(Option<Bytes>, u64),
    /// Nobody puts its entries right any more: they are to be removed, whoever declares it.
    Stale,
}

impl Recorded {
    /// `format u8, version u32, state u8`: 0 complete; 1 being built, `done u64, 0` or `done u64, 1, cursor`; 2 stale.
    fn write(&self, version: u32) -> Bytes {
        let mut value = BytesMut::new();
        value.put_u8(FORMAT);
        value.put_u32(version);
        match self {
            Recorded::Complete => value.put_u8(0),
            Recorded::Building(cursor, done) => {
                value.put_u8(1);
                value.put_u64(*done);
                value.put_u8(u8::from(cursor.is_some()));
                value.put_slice(cursor.as_deref().unwrap_or_default());
            }
            Recorded::Stale => value.put_u8(2),
        }
        value.freeze()
    }

    fn read(mut value: Bytes) -> Result<(u32, Recorded), StoreError> {
        let bad = |_| StoreError::Corrupt("what is recorded of an index is cut off".to_owned());
        check_format(value.try_get_u8().map_err(bad)?)?;
        let version = value.try_get_u32().map_err(bad)?;
        let state = match value.try_get_u8().map_err(bad)? {
            0 => Recorded::Complete,
            1 => {
                let done = value.try_get_u64().map_err(bad)?;
                let has_cursor = value.try_get_u8().map_err(bad)? != 0;
                Recorded::Building(has_cursor.then_some(value), done)
            }
            2 => Recorded::Stale,
            other => {
                let what = format!("an index is recorded in state {other}");
                return Err(StoreError::Corrupt(what));
            }
        };
        Ok((version, state))
    }
}

fn check_format(format: u8) -> Result<(), StoreError> {
    if format > FORMAT {
        return Err(StoreError::Corrupt(format!(
            "indexes are recorded in format {format} (this build reads up to {FORMAT}): use a newer ironhorse"
        )));
    }
    Ok(())
}

/// The key under which an index is recorded.
fn record_key(prefix: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + prefix.len());
    key.put_u8(RECORDS);
    key.put_slice(prefix);
    key.freeze()
}

/// A row that says how far an index is; `None` deletes it.
pub(crate) type Record = (Bytes, Option<Bytes>);

fn record(prefix: &[u8], version: u32, state: &Recorded) -> Record {
    (record_key(prefix), Some(state.write(version)))
}

/// The row that says that the entries of an index are to be removed, in whatever version they are.
pub(crate) fn stale(prefix: &[u8]) -> (Bytes, Bytes) {
    (record_key(prefix), Recorded::Stale.write(0))
}

impl Build {
    fn record(&self) -> Record {
        let state = Recorded::Building(self.cursor.clone(), self.done);
        record(&self.index.prefix, self.index.version, &state)
    }
}

/// The range of all entries of all indexes: the family without the rows that speak of them.
pub fn entries() -> KeyRange {
    KeyRange {
        start: std::ops::Bound::Included(Bytes::from_static(&[RECORDS + 1])),
        end: std::ops::Bound::Unbounded,
    }
}

/// What of a range lies among the entries.
pub(crate) fn only_entries(range: &KeyRange) -> KeyRange {
    let mut range = range.clone();
    let begins_before = match &range.start {
        std::ops::Bound::Included(key) | std::ops::Bound::Excluded(key) => {
            key.first().is_none_or(|first| *first == RECORDS)
        }
        std::ops::Bound::Unbounded => true,
    };
    if begins_before {
        range.start = entries().start;
    }
    range
}

impl Indexes {
    /// How the indexes that a schema declares stand in a base.
    ///
    /// # Errors
    /// The base failed, or its records are damaged, or of a newer format.
    pub fn read(base: &dyn Base, schema: &dyn Schema) -> Result<Indexes, StoreError> {
        Ok(Indexes::open(base, schema)?.0)
    }

    /// Also the rows that are to be written with the first change, since it will keep to this schema.
    pub(crate) fn open(
        base: &dyn Base,
        schema: &dyn Schema,
    ) -> Result<(Indexes, Vec<Record>), StoreError> {
        let declared = schema.indexes();
        debug_assert!(
            declared.iter().enumerate().all(|(at, one)| {
                let clashes = |other: &IndexDeclaration| one.prefix.starts_with(&other.prefix);
                let others = declared.iter().enumerate();
                one.prefix.first().is_some_and(|first| *first > RECORDS)
                    && !others.filter(|(n, _)| *n != at).any(|(_, it)| clashes(it))
            }),
            "two indexes share a prefix, or one has none"
        );
        let mut recorded = std::collections::BTreeMap::new();
        let mut are_recorded = false;
        for row in base.scan(Family::Index, &KeyRange::prefix(&[RECORDS]), false)? {
            let (key, value) = row?;
            if key.len() > 1 {
                recorded.insert(key.slice(1..), Recorded::read(value)?);
            } else {
                check_format(value.first().copied().unwrap_or(0))?;
                are_recorded = true;
            }
        }
        let is_empty = base.applied()?.is_none();
        let (mut indexes, mut rows) = (Indexes::default(), Vec::new());
        if !are_recorded {
            rows.push((record_key(&[]), Some(Bytes::from_static(&[FORMAT]))));
        }
        for index in declared {
            match recorded.get(&index.prefix) {
                Some((version, Recorded::Complete)) if *version == index.version => {
                    recorded.remove(&index.prefix);
                }
                Some((version, Recorded::Building(cursor, done))) if *version == index.version => {
                    indexes.building.push(Build {
                        cursor: cursor.clone(),
                        done: *done,
                        ..Build::new(index.clone())
                    });
                    recorded.remove(&index.prefix);
                }
                // It stays recorded as what it was, and is stale; its own record comes when that is removed.
                Some(_) => indexes.building.push(Build::new(index)),
                None if is_empty || (!are_recorded && index.version == 0) => {
                    rows.push(record(&index.prefix, index.version, &Recorded::Complete));
                }
                None => {
                    let build = Build::new(index);
                    rows.push(build.record());
                    indexes.building.push(build);
                }
            }
        }
        for (prefix, (version, _)) in recorded {
            rows.push(record(&prefix, version, &Recorded::Stale));
            indexes.stale.push(prefix);
        }
        Ok((indexes, rows))
    }

    /// The entries of a stale index are gone from the base. Gives the row that says so.
    pub(crate) fn removed(&self, prefix: &Bytes) -> Record {
        let mut building = self.building.iter();
        match building.find(|build| build.index.prefix == *prefix) {
            Some(again) => again.record(),
            None => (record_key(prefix), None),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_settled(&self) -> bool {
        self.stale.is_empty() && self.building.is_empty()
    }

    /// Where the next rows to look at lie: behind the cursor that lags most.
    pub(crate) fn rest(&self) -> KeyRange {
        let cursor = self.building.iter().map(|build| &build.cursor).min();
        KeyRange {
            start: match cursor {
                Some(Some(cursor)) => std::ops::Bound::Excluded(cursor.clone()),
                _ => std::ops::Bound::Unbounded,
            },
            end: std::ops::Bound::Unbounded,
        }
    }

    /// Whether an entry belongs to an index that is being built.
    pub(crate) fn lacks(&self, entry: &[u8]) -> bool {
        let mut building = self.building.iter();
        building.any(|build| entry.starts_with(&build.index.prefix))
    }

    /// The entries of all rows up to `cursor`, some `rows` more, are there now; `None`: of all rows. Gives the rows that
    /// say so.
    pub(crate) fn advance(&mut self, cursor: Option<&Bytes>, rows: u64) -> Vec<Record> {
        let Some(cursor) = cursor else {
            let complete = std::mem::take(&mut self.building);
            let complete = complete.iter().map(|Build { index, .. }| {
                record(&index.prefix, index.version, &Recorded::Complete)
            });
            return complete.collect();
        };
        let mut records = Vec::new();
        for build in &mut self.building {
            if build.cursor.as_ref().is_none_or(|before| before < cursor) {
                build.cursor = Some(cursor.clone());
                build.done += rows;
                records.push(build.record());
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_fixed() {
        let index = IndexDeclaration {
            name: "by size",
            prefix: Bytes::from_static(b"s"),
            version: 3,
        };
        let mut build = Build::new(index);
        assert_eq!(build.record().0[..], [0, b's']);
        let begun = build.record().1.unwrap();
        assert_eq!(begun[..], [1, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        build.cursor = Some(Bytes::from_static(b"key"));
        build.done = 258;
        let half = build.record().1.unwrap();
        let golden = [
            1, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 1, 2, 1, b'k', b'e', b'y',
        ];
        assert_eq!(half[..], golden);
        let [complete, stale] = [Recorded::Complete, Recorded::Stale].map(|state| state.write(3));
        assert_eq!(complete[..], [1, 0, 0, 0, 3, 0]);
        assert_eq!(stale[..], [1, 0, 0, 0, 3, 2]);
        for value in [complete, stale, begun, half] {
            let (version, state) = Recorded::read(value.clone()).unwrap();
            assert_eq!(state.write(version), value);
            let fixed = if value[5] == 1 { 15 } else { 6 };
            for cut in 0..fixed {
                assert!(Recorded::read(value.slice(..cut)).is_err(), "cut at {cut}");
            }
        }
        for bad in [&[2, 0, 0, 0, 0, 0][..], &[1, 0, 0, 0, 0, 3]] {
            assert!(Recorded::read(Bytes::copy_from_slice(bad)).is_err());
        }
    }
}

//! Secondary indexes, which come, change and go with the builds that servers are started with.
//!
//! A server starts each time with one of three builds. All declare an index by value; one none by key, and two of them
//! each another version of it. So replicas build and remove that index in small pieces, among all else that happens to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use index::{Base, Family, IndexDeclaration, KeyRange, ReadHandle, Schema, StoreError};

use super::counters::Counters;

pub const BY_VALUE: &[u8] = b"v";
const BY_KEY: &[u8] = b"k";

/// What a build declares for accounts and rows that come and go: one entry by value, and perhaps one by key that holds
/// the value and the index's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indexes {
    by_key: Option<u8>,
}

/// Of each build.
pub const BUILDS: [Indexes; 3] = [
    Indexes { by_key: None },
    Indexes { by_key: Some(1) },
    Indexes { by_key: Some(2) },
];

/// The index that all builds have.
pub const BY_VALUE_ALONE: Indexes = BUILDS[0];

fn by_key(key: &[u8], value: &[u8], version: u8) -> (Bytes, Bytes) {
    let entry = Bytes::from([BY_KEY, key].concat());
    (entry, Bytes::from([value, &[version]].concat()))
}

impl Schema for Indexes {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        let declare = |name, prefix, version| IndexDeclaration {
            name,
            prefix: Bytes::from_static(prefix),
            version,
        };
        let mut indexes = vec![declare("by value", BY_VALUE, 0)];
        indexes.extend(
            self.by_key
                .map(|version| declare("by key", BY_KEY, u32::from(version))),
        );
        indexes
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        matches!(key.first(), Some(b'a' | b'x'))
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        let entry = Bytes::from([BY_VALUE, value, key].concat());
        emit(entry, Bytes::new());
        if let Some(version) = self.by_key {
            let (entry, value) = by_key(key, value, version);
            emit(entry, value);
        }
    }
}

type Map = BTreeMap<Bytes, Bytes>;

impl Indexes {
    /// The entries by key of all rows of the `State` family.
    fn derived(version: u8, state: &OrdMap<Bytes, Bytes>) -> Map {
        let rows = state
            .iter()
            .filter(|(key, _)| BY_VALUE_ALONE.is_indexed(key));
        rows.map(|(key, value)| by_key(key, value, version))
            .collect()
    }

    /// What a reader sees of the index by key: that it is incomplete, or exactly what follows from the rows.
    pub fn check_reader(self, reader: &ReadHandle, state: &OrdMap<Bytes, Bytes>) {
        let Some(version) = self.by_key else { return };
        match reader.scan(Family::Index, &KeyRange::prefix(BY_KEY), usize::MAX, false) {
            Ok(rows) => assert!(
                rows.into_iter().eq(Indexes::derived(version, state)),
                "the index by key is not what the rows say"
            ),
            Err(error) => is_incomplete(reader, &error),
        }
    }

    /// The same of one row's entry.
    pub fn check_row(self, reader: &ReadHandle, key: &[u8], value: Option<&Bytes>) {
        let Some(version) = self.by_key.filter(|_| self.is_indexed(key)) else {
            return;
        };
        let (entry, expected) = by_key(key, value.map_or(&[][..], |value| value), version);
        match reader.get(Family::Index, &entry) {
            Ok(found) => assert_eq!(found, value.map(|_| expected), "the entry of {key:?}"),
            Err(error) => is_incomplete(reader, &error),
        }
    }
}

fn is_incomplete(reader: &ReadHandle, error: &StoreError) {
    assert!(
        matches!(error, StoreError::IndexBuilding { name: "by key", .. }),
        "{error}"
    );
    assert!(
        !reader.index_builds().0.is_empty(),
        "nothing is being built"
    );
}

/// What a base says of the index by key, whichever build it was written by: entries of rows up to the cursor are there,
/// none is wrong, and none is left of an index that is not there.
pub fn check_base(base: &dyn Base, state: &OrdMap<Bytes, Bytes>) {
    let rows = base
        .scan(Family::Index, &KeyRange::prefix(BY_KEY), false)
        .unwrap();
    let found: Map = rows.map(Result::unwrap).collect();
    for build in BUILDS {
        let indexes = index::Indexes::read(base, &build).unwrap();
        if indexes.stale.iter().any(|prefix| prefix == BY_KEY) {
            // Left by another build, and to be removed.
            continue;
        }
        let Some(version) = build.by_key else {
            assert!(found.is_empty(), "entries of an index that is gone");
            continue;
        };
        let mut expected = Indexes::derived(version, state);
        if let Some(build) = indexes.building.first() {
            assert!(
                found
                    .iter()
                    .all(|(key, value)| expected.get(key) == Some(value)),
                "a wrong entry of an index that is being built"
            );
            let cursor = build.cursor.clone().unwrap_or_default();
            expected.retain(|key, _| key[BY_KEY.len()..] <= cursor[..]);
            assert!(
                expected.keys().all(|key| found.contains_key(key)),
                "an entry is missing before the cursor"
            );
        } else {
            assert_eq!(found, expected, "a complete index");
        }
    }
}

/// How a replica that is opened finds the indexes of its base.
pub fn count(base: &dyn Base, build: &Arc<Indexes>, counters: &mut Counters) {
    let indexes = index::Indexes::read(base, &**build).unwrap();
    if !indexes.stale.is_empty() {
        counters.hit("index: to be removed");
    }
    for build in &indexes.building {
        counters.hit(if build.cursor.is_some() {
            "index: goes on behind its cursor"
        } else {
            "index: to be built"
        });
    }
}

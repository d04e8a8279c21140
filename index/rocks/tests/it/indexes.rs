//! Indexes that come to existing rows and go, on RocksDB, with crashes as a copy of the files shows them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use index::{
    Applied, Base, Family, IndexDeclaration, Indexes, KeyRange, Options, Schema, Store, StoreError,
    entries,
};
use ironhorse_index_rocks::{RocksBase, Shared};
use wal::Position;

const ROWS: u32 = 5_000;

/// Rows by the last letter of their value, in an index of its own for each number.
struct ByLetter(&'static [u8]);

impl Schema for ByLetter {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        let declared = self.0.iter().map(|number| IndexDeclaration {
            name: "by letter",
            prefix: Bytes::copy_from_slice(&[*number]),
            version: 1,
        });
        declared.collect()
    }

    fn is_indexed(&self, _: &[u8]) -> bool {
        true
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        for number in self.0 {
            let entry = [&[*number], &value[value.len() - 1..], key].concat();
            emit(Bytes::from(entry), Bytes::new());
        }
    }
}

fn open(dir: &Path, indexes: &'static [u8]) -> (Arc<RocksBase>, Store) {
    let base = RocksBase::open(dir, &Shared::new(1 << 20, 1 << 20)).unwrap();
    let schema = Arc::new(ByLetter(indexes));
    let store = Store::open(base.clone(), schema, Options::default()).unwrap();
    (base, store)
}

fn copied(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn key(row: u32) -> Bytes {
    Bytes::from(format!("row {row:06}"))
}

fn commit(store: &mut Store, position: u64) {
    store.seal().unwrap();
    store.commit(Applied {
        position: Position::from_u64(position),
        commit: Bytes::new(),
    });
}

fn write_back(store: &mut Store) {
    if let Some(work) = store.start_write_back(true) {
        work.run().unwrap();
        store.finish_write_back(&work);
    }
}

fn count(store: &Store, index: u8) -> Result<usize, StoreError> {
    let range = KeyRange::prefix(&[index]);
    let rows = store
        .reader()
        .scan(Family::Index, &range, usize::MAX, false);
    Ok(rows?.len())
}

fn check_base(base: &RocksBase, indexes: &'static [u8]) {
    let schema = ByLetter(indexes);
    let mut expected = std::collections::BTreeSet::new();
    for row in base
        .scan(Family::State, &KeyRange::prefix(b""), false)
        .unwrap()
    {
        let (key, value) = row.unwrap();
        schema.index_entries(&key, &value, &mut |entry, _| {
            expected.insert(entry);
        });
    }
    let found = base.scan(Family::Index, &entries(), false).unwrap();
    assert!(found.map(|row| row.unwrap().0).eq(expected));
    assert!(Indexes::read(base, &schema).unwrap().is_settled());
}

#[test]
fn an_index_is_built_beside_writes_and_survives_crashes_and_one_goes() {
    let first = tempfile::tempdir().unwrap();
    let (base, mut store) = open(first.path(), &[1]);
    for row in 0..ROWS {
        let value = Bytes::from(format!("value {}", row % 10));
        store.insert(Family::State, key(row), value).unwrap();
    }
    commit(&mut store, 1);
    assert!(!store.is_indexing());
    write_back(&mut store);
    drop((base, store));

    // The second index comes; each life builds three pieces, of which the last is lost.
    let mut dir = first;
    let (mut lives, mut position) = (0, 1);
    loop {
        let (base, mut store) = open(dir.path(), &[1, 2]);
        assert_eq!(count(&store, 1).unwrap(), ROWS as usize);
        if !store.is_indexing() {
            break;
        }
        for piece in 0..3 {
            assert!(matches!(
                count(&store, 2),
                Err(StoreError::IndexBuilding { .. })
            ));
            // A row before the cursor and one behind it change.
            position += 1;
            for row in [lives * 7 + piece, ROWS - 1 - lives * 5 - piece] {
                let value = Bytes::from(format!("changed {position}"));
                store.put(Family::State, key(row), value).unwrap();
            }
            commit(&mut store, position);
            store.index_piece().unwrap();
            if piece == 1 {
                write_back(&mut store);
            }
            if !store.is_indexing() {
                write_back(&mut store);
                break;
            }
        }
        position = base.durable().unwrap().unwrap().to_u64();
        dir = copied(dir.path());
        lives += 1;
        assert!(lives < 10, "it does not end");
    }
    assert!(lives > 2, "it was never interrupted");
    let (base, store) = open(dir.path(), &[1, 2]);
    assert_eq!(count(&store, 2).unwrap(), ROWS as usize);
    check_base(&base, &[1, 2]);
    drop((base, store));

    // The first one goes, and stays away, although the drop is lost once.
    let (base, mut store) = open(dir.path(), &[2]);
    assert!(store.is_indexing());
    store.index_piece().unwrap();
    assert!(!store.is_indexing());
    let crashed = copied(dir.path());
    assert!(
        open(crashed.path(), &[2]).1.is_indexing(),
        "a lost drop is made again"
    );
    write_back(&mut store);
    check_base(&base, &[2]);
    let crashed = copied(dir.path());
    let (base, store) = open(crashed.path(), &[2]);
    assert!(!store.is_indexing());
    check_base(&base, &[2]);
}

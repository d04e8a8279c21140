//! Indexes that come to existing rows, change and go, against a model: rows, and what they derive.
//!
//! Whatever is written, committed, lost in a crash and opened under other declarations meanwhile: an index either says that
//! it is being built, or has exactly the entries that the rows derive; and it is complete after a bounded number of
//! pieces. In the end no entry is left of an index that is not declared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ironhorse_index::{
    Applied, Base, Change, Family, IndexDeclaration, Indexes, KeyRange, MemoryBase, Options,
    ReadHandle, Schema, Store, StoreError, WriteBack, entries,
};
use proptest::prelude::*;
use wal::Position;

type Map = BTreeMap<Bytes, Bytes>;

/// For each index the version in which it is declared, if it is. An entry is the index's number, a letter of the value
/// (moved by the version), and the row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Declared([Option<u32>; 3]);

const NAMES: [&str; 3] = ["one", "two", "three"];

impl Declared {
    fn prefix(index: usize) -> Bytes {
        Bytes::copy_from_slice(&[index as u8 + 1])
    }

    fn derived(self, rows: &Map, index: usize) -> Map {
        let mut found = Map::new();
        for (key, value) in rows.iter().filter(|(key, _)| self.is_indexed(key)) {
            self.index_entries(key, value, &mut |entry, value| {
                if entry.starts_with(&Declared::prefix(index)) {
                    found.insert(entry, value);
                }
            });
        }
        found
    }
}

impl Schema for Declared {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        let declared = self.0.iter().enumerate().filter_map(|(index, version)| {
            Some(IndexDeclaration {
                name: NAMES[index],
                prefix: Declared::prefix(index),
                version: (*version)?,
            })
        });
        declared.collect()
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        !key.starts_with(b"c")
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        for (index, version) in self.0.iter().enumerate() {
            let Some(version) = version else { continue };
            for letter in value.iter().collect::<BTreeSet<_>>() {
                let letter = letter.wrapping_add(*version as u8);
                let entry = [&[index as u8 + 1, letter], key].concat();
                emit(
                    Bytes::from(entry),
                    Bytes::copy_from_slice(&[value.len() as u8]),
                );
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(Bytes, Bytes),
    Delete(Bytes),
    Seal,
    Commit,
    Discard,
    Piece,
    StartWriteBack(bool),
    RunWriteBack,
    FinishWriteBack,
    /// A checkpoint is made: what the base has been told is durable, whoever told it.
    Checkpoint,
    Crash(Declared),
}

fn declared() -> impl Strategy<Value = Declared> {
    prop::array::uniform3(prop::option::weighted(0.8, 1_u32..3)).prop_map(Declared)
}

fn key() -> impl Strategy<Value = Bytes> {
    let letters = prop::sample::select(vec![b'a', b'b', b'c', b'd']);
    prop::collection::vec(letters, 1..3).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(0_u8..3, 0..3).prop_map(Bytes::from)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (key(), value()).prop_map(|(key, value)| Op::Put(key, value)),
        4 => key().prop_map(Op::Delete),
        4 => Just(Op::Seal),
        4 => Just(Op::Commit),
        1 => Just(Op::Discard),
        5 => Just(Op::Piece),
        2 => any::<bool>().prop_map(Op::StartWriteBack),
        2 => Just(Op::RunWriteBack),
        2 => Just(Op::FinishWriteBack),
        2 => Just(Op::Checkpoint),
        2 => declared().prop_map(Op::Crash),
    ]
}

fn open(base: &MemoryBase, declared: Declared) -> Store {
    let options = Options {
        write_back_bytes: 20,
        index_piece_rows: 2,
        ..Options::default()
    };
    Store::open(Arc::new(base.clone()), Arc::new(declared), options).unwrap()
}

fn scan(reader: &ReadHandle, index: usize) -> Result<Map, StoreError> {
    let range = KeyRange::prefix(&Declared::prefix(index));
    let rows = reader.scan(Family::Index, &range, usize::MAX, false)?;
    Ok(rows.into_iter().collect())
}

struct World {
    base: MemoryBase,
    declared: Declared,
    store: Store,
    live: Map,
    sealed: Vec<(Map, Vec<Change>)>,
    committed: Map,
    log: Vec<(Vec<Change>, Applied)>,
    writing: Option<(WriteBack, bool)>,
}

impl World {
    fn new(declared: Declared) -> World {
        let base = MemoryBase::new();
        World {
            store: open(&base, declared),
            base,
            declared,
            live: Map::new(),
            sealed: Vec::new(),
            committed: Map::new(),
            log: Vec::new(),
            writing: None,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Put(key, value) => {
                let (store, family) = (&mut self.store, Family::State);
                if self.live.insert(key.clone(), value.clone()).is_some() {
                    store.put(family, key, value).unwrap();
                } else {
                    store.insert(family, key, value).unwrap();
                }
            }
            Op::Delete(key) => {
                self.live.remove(&key);
                self.store.delete(Family::State, key).unwrap();
            }
            Op::Seal => {
                let changes = self.store.seal().unwrap().changes;
                self.sealed.push((self.live.clone(), changes));
            }
            Op::Commit if !self.sealed.is_empty() => {
                let (rows, changes) = self.sealed.remove(0);
                let position = Position::from_u64(self.log.len() as u64 + 1);
                let commit = Bytes::from(position.to_string());
                let applied = Applied { position, commit };
                self.store.commit(applied.clone());
                self.committed = rows;
                self.log.push((changes, applied));
            }
            Op::Commit => {}
            Op::Discard => {
                self.store.discard();
                self.forget();
            }
            Op::Piece => self.store.index_piece().unwrap(),
            Op::StartWriteBack(force) => {
                if let Some(work) = self.store.start_write_back(force) {
                    self.writing = Some((work, false));
                }
            }
            Op::RunWriteBack => {
                if let Some((work, is_done)) = &mut self.writing
                    && !*is_done
                {
                    work.run().unwrap();
                    *is_done = true;
                }
            }
            Op::FinishWriteBack => {
                if let Some((work, true)) = &self.writing {
                    self.store.finish_write_back(work);
                    self.writing = None;
                }
            }
            Op::Checkpoint => self.base.flush().unwrap(),
            Op::Crash(declared) => {
                self.base.crash();
                self.forget();
                self.writing = None;
                self.declared = declared;
                self.store = open(&self.base, declared);
                let from = self.store.applied().map(|applied| applied.position);
                for (changes, applied) in &self.log {
                    if from.is_none_or(|from| applied.position > from) {
                        self.store.apply(changes.clone(), applied.clone()).unwrap();
                    }
                }
            }
        }
    }

    fn forget(&mut self) {
        self.live = self.committed.clone();
        self.sealed.clear();
    }

    fn check(&self) {
        let reader = self.store.reader();
        let building = reader.index_builds().0;
        for (index, own) in NAMES.into_iter().enumerate() {
            let expected = self.declared.derived(&self.committed, index);
            match scan(&reader, index) {
                // Nothing is said of an index that is not declared.
                Ok(found) => {
                    if self.declared.0[index].is_some() {
                        assert_eq!(found, expected, "index {own}");
                    }
                    for (entry, value) in &found {
                        assert_eq!(
                            reader.get(Family::Index, entry).unwrap().as_ref(),
                            Some(value)
                        );
                    }
                }
                Err(StoreError::IndexBuilding { name, .. }) => {
                    assert_eq!(name, own);
                    assert!(building.iter().any(|build| build.index.name == name));
                    assert!(self.store.is_indexing());
                    let entry = Declared::prefix(index);
                    assert!(reader.get(Family::Index, &entry).is_err(), "a look-up");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// All comes to an end, and nothing is left over.
    fn finish(&mut self) {
        for op in [Op::RunWriteBack, Op::FinishWriteBack] {
            self.apply(op);
        }
        let mut pieces = 0;
        while self.store.is_indexing() {
            self.apply(Op::Piece);
            self.check();
            pieces += 1;
            // Each index removed, and each row looked at twice at most: cursors differ.
            assert!(pieces < 10 + 3 * 20, "it does not end");
        }
        if let Some(work) = self.store.start_write_back(true) {
            work.run().unwrap();
        }
        self.base.crash();
        if self.base.applied().unwrap().is_none() {
            return;
        }
        let mut expected = Map::new();
        for index in 0..NAMES.len() {
            expected.extend(self.declared.derived(&self.committed, index));
        }
        let found = self.base.scan(Family::Index, &entries(), false).unwrap();
        let found: Map = found.map(Result::unwrap).collect();
        assert_eq!(found, expected, "the base");
        let after = Indexes::read(&self.base, &self.declared).unwrap();
        assert!(
            after.is_settled(),
            "what is complete is recorded: {after:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn an_index_says_all_or_that_it_is_being_built(
        first in declared(),
        ops in prop::collection::vec(op(), 1..100),
    ) {
        let mut world = World::new(first);
        for op in ops {
            world.apply(op);
            world.check();
        }
        world.finish();
    }
}

/// A crash after every piece, with the loss of what was not flushed: it goes on from what was flushed last.
#[test]
fn a_build_goes_on_after_a_crash_at_every_piece() {
    const ROWS: usize = 40;
    let mut world = World::new(Declared([Some(1), None, None]));
    for row in 0..ROWS {
        let key = Bytes::from(format!("row {row:03}"));
        world.apply(Op::Put(key, Bytes::from(vec![row as u8 % 3])));
    }
    let write_back = |world: &mut World| {
        world.apply(Op::StartWriteBack(true));
        world.apply(Op::RunWriteBack);
        world.apply(Op::FinishWriteBack);
    };
    let done = |world: &World| {
        let building = world.store.reader().index_builds().0;
        let done = building.iter().map(|build| build.done).min();
        (world.store.is_indexing(), done)
    };
    world.apply(Op::Seal);
    world.apply(Op::Commit);
    write_back(&mut world);
    // One in another version, and a new one.
    let declared = Declared([Some(2), Some(1), None]);
    world.apply(Op::Crash(declared));
    assert!(scan(&world.store.reader(), 0).is_err());
    let mut lives = 0;
    while world.store.is_indexing() {
        let (flushed, lost) = (1 + lives % 2, lives % 3);
        for _ in 0..flushed {
            world.apply(Op::Piece);
        }
        write_back(&mut world);
        let kept = done(&world);
        for _ in 0..lost {
            world.apply(Op::Piece);
        }
        world.check();
        world.apply(Op::Crash(declared));
        assert_eq!(done(&world), kept, "life {lives}");
        world.check();
        lives += 1;
        assert!(lives < ROWS, "it does not end");
    }
    world.finish();
}

/// A store that was written before it was recorded which indexes there are: those of version 0 are there.
#[test]
fn what_an_older_build_wrote_is_complete() {
    let base = MemoryBase::new();
    let (old, new) = (
        Declared([Some(0), None, None]),
        Declared([Some(0), Some(1), None]),
    );
    let rows: Map = [("a", "x"), ("b", "y")]
        .map(|(key, value)| (Bytes::from(key), Bytes::from(value)))
        .into();
    let derived = old.derived(&rows, 0);
    let mut written = rows
        .iter()
        .map(|(key, value)| (Family::State, key, Some(value)))
        .chain(
            derived
                .iter()
                .map(|(key, value)| (Family::Index, key, Some(value))),
        );
    let applied = Applied {
        position: Position::from_u64(7),
        commit: Bytes::new(),
    };
    base.write(&mut written, &applied).unwrap();
    base.flush().unwrap();
    let mut store = open(&base, new);
    assert_eq!(scan(&store.reader(), 0).unwrap(), derived);
    assert!(scan(&store.reader(), 1).is_err());
    while store.is_indexing() {
        store.index_piece().unwrap();
    }
    assert_eq!(scan(&store.reader(), 1).unwrap(), new.derived(&rows, 1));
    // Without a commit it goes to the base all the same, at the position that the base has.
    store.start_write_back(true).unwrap().run().unwrap();
    base.crash();
    assert_eq!(base.applied().unwrap(), Some(applied));
    assert!(Indexes::read(&base, &new).unwrap().is_settled());
    // One that is removed and declared again is built, in version 0 as well.
    let mut store = open(&base, Declared([None; 3]));
    while store.is_indexing() {
        store.index_piece().unwrap();
    }
    store.start_write_back(true).unwrap().run().unwrap();
    let store = open(&base, old);
    assert!(scan(&store.reader(), 0).is_err());
}

//! The store against a model: ordered maps, copied at each step.
//!
//! Whatever is put, inserted, deleted, rolled back, sealed, committed, discarded, written back and lost in a crash: look-ups
//! and scans through all layers say what the model says, a twin that applies the same changelog has the same state, and the
//! index is what the rows derive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ironhorse_index::changelog::{self, Entry};
use ironhorse_index::{
    Applied, Arena, Base, Change, Family, IndexDeclaration, KeyRange, MemoryBase, Options,
    ReadHandle, Savepoint, Schema, Store, WriteBack,
};
use proptest::prelude::*;
use wal::Position;

const LOGGED: [Family; 2] = [Family::State, Family::Queue];

type Map = BTreeMap<Bytes, Bytes>;
type Maps = BTreeMap<Family, Map>;

/// One entry for each byte of the value: byte and key. Only keys with an `a` have any.
struct ByBytes;

impl Schema for ByBytes {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        vec![IndexDeclaration {
            name: "by byte",
            prefix: Bytes::from_static(b"b"),
            version: 0,
        }]
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        key.contains(&b'a')
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        for byte in value.iter().collect::<BTreeSet<_>>() {
            let content = [value.len() as u8];
            emit(
                Bytes::from([&[b'b', *byte], key].concat()),
                Bytes::copy_from_slice(&content),
            );
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(Family, Bytes, Bytes),
    /// Done only if the key is absent, as the store demands.
    Insert(Family, Bytes, Bytes),
    Delete(Family, Bytes),
    Savepoint,
    /// To one of the savepoints of the batch.
    Rollback(prop::sample::Index),
    Seal,
    /// The oldest sealed batch is durable.
    Commit,
    Discard,
    StartWriteBack(bool),
    RunWriteBack,
    FinishWriteBack,
    /// The base loses what it did not flush; everything in memory goes.
    Crash,
    Scan(Family, KeyRange, usize, bool),
}

fn short_key() -> impl Strategy<Value = Bytes> {
    let letters = prop::sample::select(vec![0, b'a', b'b', 0xFF]);
    prop::collection::vec(letters, 0..4).prop_map(Bytes::from)
}

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(LOGGED.to_vec())
}

fn some_value() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(0_u8..4, 0..4).prop_map(Bytes::from)
}

fn bound() -> impl Strategy<Value = Bound<Bytes>> {
    prop_oneof![
        Just(Bound::Unbounded),
        short_key().prop_map(Bound::Included),
        short_key().prop_map(Bound::Excluded),
    ]
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        short_key().prop_map(|prefix| KeyRange::prefix(&prefix)),
        (bound(), bound()).prop_map(|(start, end)| KeyRange { start, end }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (family(), short_key(), some_value()).prop_map(|(f, k, v)| Op::Put(f, k, v)),
        6 => (family(), short_key(), some_value()).prop_map(|(f, k, v)| Op::Insert(f, k, v)),
        6 => (family(), short_key()).prop_map(|(f, k)| Op::Delete(f, k)),
        2 => Just(Op::Savepoint),
        2 => any::<prop::sample::Index>().prop_map(Op::Rollback),
        4 => Just(Op::Seal),
        4 => Just(Op::Commit),
        1 => Just(Op::Discard),
        2 => any::<bool>().prop_map(Op::StartWriteBack),
        2 => Just(Op::RunWriteBack),
        2 => Just(Op::FinishWriteBack),
        1 => Just(Op::Crash),
        6 => (family(), range(), 0_usize..9, any::<bool>())
            .prop_map(|(f, r, l, reverse)| Op::Scan(f, r, l, reverse)),
    ]
}

/// What a scan of an ordered map says.
fn expected(map: &Map, range: &KeyRange, limit: usize, reverse: bool) -> Vec<(Bytes, Bytes)> {
    let inside = |key: &Bytes| {
        (match &range.start {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        }) && match &range.end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        }
    };
    let mut rows: Vec<(Bytes, Bytes)> = map
        .iter()
        .filter(|(key, _)| inside(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if reverse {
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}

fn all(reader: &ReadHandle, family: Family) -> Map {
    let everything = KeyRange {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
    };
    let rows = reader.scan(family, &everything, usize::MAX, false).unwrap();
    rows.into_iter().collect()
}

fn derived(rows: &Map) -> Map {
    let mut entries = Map::new();
    for (key, value) in rows.iter().filter(|(key, _)| ByBytes.is_indexed(key)) {
        ByBytes.index_entries(key, value, &mut |key, value| {
            entries.insert(key, value);
        });
    }
    entries
}

fn open(base: &MemoryBase) -> Store {
    let options = Options {
        write_back_bytes: 20,
        ..Options::default()
    };
    Store::open(Arc::new(base.clone()), Arc::new(ByBytes), options).unwrap()
}

/// The store, and what it should say.
struct Pair {
    base: MemoryBase,
    store: Store,
    /// With everything that was written.
    live: Maps,
    /// With the state, and the bytes that were written.
    savepoints: Vec<(Savepoint, Maps, usize)>,
    /// As of each sealed batch, and its changes.
    sealed: VecDeque<(Maps, Vec<Change>)>,
    committed: Maps,
    log: Vec<(Vec<Change>, Applied)>,
    writing: Option<(WriteBack, bool)>,
}

impl Pair {
    fn new() -> Pair {
        let base = MemoryBase::new();
        let maps: Maps = LOGGED.map(|family| (family, Map::new())).into();
        Pair {
            store: open(&base),
            base,
            live: maps.clone(),
            savepoints: Vec::new(),
            sealed: VecDeque::new(),
            committed: maps,
            log: Vec::new(),
            writing: None,
        }
    }

    fn map(&mut self, family: Family) -> &mut Map {
        self.live.get_mut(&family).unwrap()
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Put(family, key, value) => {
                self.store.put(family, key.clone(), value.clone()).unwrap();
                self.map(family).insert(key, value);
            }
            Op::Insert(family, key, value) => {
                if !self.live[&family].contains_key(&key) {
                    self.store
                        .insert(family, key.clone(), value.clone())
                        .unwrap();
                    self.map(family).insert(key, value);
                }
            }
            Op::Delete(family, key) => {
                self.store.delete(family, key.clone()).unwrap();
                self.map(family).remove(&key);
            }
            Op::Savepoint => {
                let (savepoint, bytes) = (self.store.savepoint(), self.store.active_bytes());
                self.savepoints.push((savepoint, self.live.clone(), bytes));
            }
            Op::Rollback(which) => {
                if !self.savepoints.is_empty() {
                    let at = which.index(self.savepoints.len());
                    let (savepoint, live, bytes) = self.savepoints[at].clone();
                    self.savepoints.truncate(at + 1);
                    self.store.rollback_to(savepoint);
                    assert_eq!(self.store.active_bytes(), bytes);
                    self.live = live;
                }
            }
            Op::Seal => {
                let changes = self.store.seal().unwrap().changes;
                // Each row once, and one family after the other.
                let mut rows: Vec<_> = changes.iter().map(|c| (c.family, &c.key)).collect();
                assert!(rows.is_sorted_by_key(|row| row.0));
                rows.sort();
                rows.dedup();
                assert_eq!(rows.len(), changes.len());
                self.savepoints.clear();
                self.sealed.push_back((self.live.clone(), changes));
            }
            Op::Commit => {
                if let Some((maps, changes)) = self.sealed.pop_front() {
                    let position = Position::from_u64(self.log.len() as u64 + 1);
                    let commit = Bytes::from(format!("{position}"));
                    let applied = Applied { position, commit };
                    self.store.commit(applied.clone());
                    self.committed = maps;
                    self.log.push((changes, applied));
                }
            }
            Op::Discard => {
                self.store.discard();
                self.forget();
            }
            Op::StartWriteBack(force) => {
                if let Some(work) = self.store.start_write_back(force) {
                    assert!(self.writing.is_none(), "two write-backs at once");
                    self.writing = Some((work, false));
                }
            }
            Op::RunWriteBack => {
                if let Some((work, done)) = &mut self.writing
                    && !*done
                {
                    work.run().unwrap();
                    *done = true;
                }
            }
            Op::FinishWriteBack => {
                if let Some((work, true)) = &self.writing {
                    self.store.finish_write_back(work);
                    self.writing = None;
                }
            }
            Op::Crash => {
                self.base.crash();
                self.forget();
                self.writing = None;
                self.store = open(&self.base);
                let from = self.store.applied().map(|applied| applied.position);
                for (changes, applied) in &self.log {
                    if from.is_none_or(|from| applied.position > from) {
                        self.store.apply(changes.clone(), applied.clone()).unwrap();
                    }
                }
            }
            Op::Scan(family, range, limit, reverse) => {
                assert_eq!(
                    self.store.scan(family, &range, limit, reverse).unwrap(),
                    expected(&self.live[&family], &range, limit, reverse),
                );
                assert_eq!(
                    self.store
                        .reader()
                        .scan(family, &range, limit, reverse)
                        .unwrap(),
                    expected(&self.committed[&family], &range, limit, reverse),
                );
            }
        }
    }

    /// Only what is committed is left.
    fn forget(&mut self) {
        self.live = self.committed.clone();
        self.sealed.clear();
        self.savepoints.clear();
    }

    fn check(&self) {
        let reader = self.store.reader();
        for family in LOGGED {
            for (key, value) in &self.live[&family] {
                assert_eq!(self.store.get(family, key).unwrap().as_ref(), Some(value));
            }
            assert_eq!(all(&reader, family), self.committed[&family]);
        }
        assert_eq!(
            all(&reader, Family::Index),
            derived(&self.committed[&Family::State])
        );
        self.check_load();
    }

    /// What the store says to hold is what a crash now would replay.
    fn check_load(&self) {
        let durable = self.base.durable().unwrap();
        let lost = self
            .log
            .iter()
            .filter(|(_, applied)| durable.is_none_or(|d| applied.position > d));
        let (mut records, mut commits, mut rows) = (0, 0, 0);
        for (changes, applied) in lost {
            records += changes.len() as u64 + 1;
            commits += applied.commit.len();
            for change in changes {
                rows += change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
            }
        }
        let load = self.store.load();
        let held = match &self.writing {
            Some((_, true)) => load.gathering,
            _ => load.gathering.and(load.writing),
        };
        assert_eq!(
            (held.records, held.bytes),
            (records, (commits + rows) as u64)
        );
        assert!(held.memory >= rows);
        assert!(load.overlays >= self.store.active_bytes());
    }

    /// State = fold(log), through the records of the log.
    fn check_fold(&self) {
        let mut twin = open(&MemoryBase::new());
        for (changes, applied) in &self.log {
            let changes = changes.iter().map(|change| {
                match changelog::decode(&changelog::record(change, 1, &mut Arena::default()))
                    .unwrap()
                {
                    Entry::Change(change) => change,
                    other => panic!("{other:?}"),
                }
            });
            twin.apply(changes.collect(), applied.clone()).unwrap();
        }
        for family in Family::ALL {
            assert_eq!(
                all(&twin.reader(), family),
                all(&self.store.reader(), family)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_store_is_its_model(ops in prop::collection::vec(op(), 1..120)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op);
            pair.check();
        }
        pair.check_fold();
    }
}

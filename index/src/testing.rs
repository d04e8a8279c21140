//! The contract of [`Base`], for tests of its implementations, and a base that counts what scans must step over.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use wal::Position;

use crate::layer::is_empty;
use crate::{
    Applied, Base, BaseChange, BaseScan, CheckpointSink, Checkpoints, Family, KeyRange, MemoryBase,
    Shipment, StoreError,
};

/// A [`MemoryBase`] that keeps a tombstone of each deleted row for ever, as a disk does for a while, and counts those that
/// scans step over. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Graveyard {
    base: MemoryBase,
    tombstones: Arc<Mutex<[BTreeSet<Bytes>; 3]>>,
    passed: Arc<AtomicUsize>,
}

impl Graveyard {
    /// How many tombstones scans have stepped over since this was last asked.
    pub fn passed(&self) -> usize {
        self.passed.swap(0, Ordering::SeqCst)
    }

    /// How many tombstones there are.
    pub fn tombstones(&self) -> usize {
        self.tombstones.lock().iter().map(BTreeSet::len).sum()
    }
}

impl Base for Graveyard {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.base.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'_>, StoreError> {
        let rows = self.base.scan(family, range, reverse)?;
        let mut left = range.clone();
        let step_over = move |to: Option<&Bytes>| {
            let (mut between, key) = (left.clone(), to.cloned());
            if let Some(key) = key {
                if reverse {
                    between.start = Bound::Excluded(key.clone());
                    left.end = Bound::Excluded(key);
                } else {
                    between.end = Bound::Excluded(key.clone());
                    left.start = Bound::Excluded(key);
                }
            }
            if !is_empty(&between) {
                let tombstones = self.tombstones.lock();
                let bounds = (between.start.as_ref(), between.end.as_ref());
                let count = tombstones[family.slot()].range::<Bytes, _>(bounds).count();
                self.passed.fetch_add(count, Ordering::SeqCst);
            }
        };
        Ok(Box::new(Counting { rows, step_over }))
    }

    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut tombstones = self.tombstones.lock();
        let mut changes = changes.inspect(|(family, key, value)| {
            let tombstones = &mut tombstones[family.slot()];
            if value.is_some() {
                tombstones.remove(*key);
            } else {
                tombstones.insert((*key).clone());
            }
        });
        self.base.write(&mut changes, applied)
    }

    fn delete_range(&self, family: Family, range: &KeyRange) -> Result<(), StoreError> {
        // One tombstone for all.
        self.base.delete_range(family, range)
    }

    fn applied(&self) -> Result<Option<Applied>, StoreError> {
        self.base.applied()
    }

    fn durable(&self) -> Result<Option<Position>, StoreError> {
        self.base.durable()
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.base.flush()
    }
}

/// Tells of each row that is reached, and of the end.
struct Counting<'a, F> {
    rows: BaseScan<'a>,
    step_over: F,
}

impl<F: FnMut(Option<&Bytes>)> Iterator for Counting<'_, F> {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next();
        match &row {
            Some(Ok((key, _))) => (self.step_over)(Some(key)),
            Some(Err(_)) => {}
            None => (self.step_over)(None),
        }
        row
    }
}

fn write(base: &dyn Base, position: u64, rows: &[(Family, &str, Option<&str>)]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|(family, key, value)| {
            let value = value.map(|value| Bytes::from(value.to_owned()));
            (*family, Bytes::from((*key).to_owned()), value)
        })
        .collect();
    let applied = Applied {
        position: Position::from_u64(position),
        commit: Bytes::from(position.to_string()),
    };
    let mut changes = rows
        .iter()
        .map(|(family, key, value)| (*family, key, value.as_ref()));
    assert!(base.write(&mut changes, &applied).is_ok(), "a write fails");
}

fn keys(base: &dyn Base, range: &KeyRange, reverse: bool) -> Vec<String> {
    let rows = base.scan(Family::State, range, reverse);
    let Ok(rows) = rows else {
        return vec!["the scan fails".to_owned()];
    };
    rows.map(|row| {
        row.map_or("a row fails".to_owned(), |(key, _)| {
            String::from_utf8_lossy(&key).into_owned()
        })
    })
    .collect()
}

/// Checks an empty base against the contract.
///
/// # Panics
/// It does not keep it.
pub fn base_contract(base: &dyn Base) {
    use Family::{Index, Queue, State};
    assert_eq!(base.applied().ok(), Some(None));
    assert_eq!(base.durable().ok(), Some(None));
    write(
        base,
        5,
        &[
            (State, "b", Some("1")),
            (State, "d", Some("2")),
            (Index, "b", Some("i")),
            (Queue, "q", Some("q")),
        ],
    );
    assert_eq!(
        base.get(State, b"b").ok().flatten(),
        Some(Bytes::from_static(b"1"))
    );
    assert_eq!(
        base.get(Index, b"b").ok().flatten(),
        Some(Bytes::from_static(b"i")),
        "families are apart"
    );
    assert_eq!(base.get(State, b"q").ok(), Some(None));
    assert_eq!(
        base.applied()
            .ok()
            .flatten()
            .map(|applied| applied.position.to_u64()),
        Some(5)
    );
    write(
        base,
        9,
        &[
            (State, "b", None),
            (State, "a", Some("0")),
            (State, "c", Some("3")),
            (State, "cc", Some("4")),
        ],
    );
    let all = KeyRange {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
    };
    assert_eq!(keys(base, &all, false), ["a", "c", "cc", "d"]);
    assert_eq!(keys(base, &all, true), ["d", "cc", "c", "a"]);
    assert_eq!(keys(base, &KeyRange::prefix(b"c"), false), ["c", "cc"]);
    let key = |text: &'static str| Bytes::from_static(text.as_bytes());
    let inner = KeyRange {
        start: Bound::Excluded(key("a")),
        end: Bound::Included(key("cc")),
    };
    assert_eq!(keys(base, &inner, false), ["c", "cc"]);
    assert_eq!(keys(base, &inner, true), ["cc", "c"]);
    let half = KeyRange {
        start: Bound::Included(key("c")),
        end: Bound::Excluded(key("cc")),
    };
    assert_eq!(keys(base, &half, false), ["c"]);
    // A range goes at once.
    write(base, 10, &[(State, "cd", Some("5"))]);
    assert!(base.delete_range(State, &half).is_ok());
    assert_eq!(keys(base, &all, false), ["a", "cc", "cd", "d"]);
    assert!(base.delete_range(State, &KeyRange::prefix(b"c")).is_ok());
    assert_eq!(keys(base, &all, false), ["a", "d"]);
    assert!(base.delete_range(Index, &all).is_ok());
    assert!(base.delete_range(Queue, &KeyRange::prefix(b"x")).is_ok());
    assert_eq!(base.get(Index, b"b").ok(), Some(None));
    assert!(base.get(Queue, b"q").is_ok_and(|value| value.is_some()));
    let position = base.applied().ok().flatten();
    assert_eq!(position.map(|applied| applied.position.to_u64()), Some(10));
    write(
        base,
        11,
        &[(State, "c", Some("3")), (State, "cc", Some("4"))],
    );
    // A scan sees what was there when it began.
    let begun = base.scan(State, &all, false);
    write(base, 12, &[(State, "z", Some("9"))]);
    assert_eq!(
        begun.map(Iterator::count).ok(),
        Some(4),
        "a scan sees a later write"
    );
    assert!(base.flush().is_ok());
    assert_eq!(
        base.durable().ok().flatten().map(Position::to_u64),
        Some(12)
    );
}

/// Checks that a base can be shipped, also while it is written, to a sink that `fresh` makes.
///
/// # Panics
/// It cannot.
pub fn checkpoint_contract(base: &dyn Checkpoints, fresh: &dyn Fn() -> Box<dyn CheckpointSink>) {
    use Family::{Index, Queue, State};
    let all = KeyRange::prefix(b"");
    for round in 0..3 {
        let source = base.checkpoint();
        let Ok(source) = source else {
            assert!(source.is_ok(), "no checkpoint");
            return;
        };
        let expected: Vec<_> = Family::ALL.map(|family| rows(base, family, &all)).into();
        let applied = base.applied().ok();
        let shipment = Shipment::begin(source, fresh());
        let Ok(mut shipment) = shipment else {
            assert!(shipment.is_ok(), "no shipment");
            return;
        };
        // What is written meanwhile is not in it.
        let more = [
            (State, "k", Some("changed")),
            (State, ["x", "y", "z"][round], Some("")),
            (Index, "i", Some("i")),
            (Queue, "q", Some("q")),
        ];
        write(base, 10 + round as u64, &more);
        while matches!(shipment.step(5), Ok(true)) {}
        let (shipped, total) = shipment.progress();
        assert_eq!(shipped, total);
        let copy = shipment.finish();
        let Ok(copy) = copy else {
            assert!(copy.is_ok(), "the copy does not open: {:?}", copy.err());
            return;
        };
        let found: Vec<_> = Family::ALL.map(|family| rows(&*copy, family, &all)).into();
        assert_eq!(found, expected, "the copy is not what was written");
        assert_eq!(copy.applied().ok(), applied);
        assert_eq!(
            copy.durable().ok(),
            applied.map(|applied| applied.map(|applied| applied.position)),
            "the copy is durable"
        );
    }
    let unfinished = base
        .checkpoint()
        .and_then(|source| Shipment::begin(source, fresh()))
        .and_then(Shipment::finish);
    assert!(unfinished.is_err(), "opened before it was complete");
}

fn rows(base: &dyn Base, family: Family, range: &KeyRange) -> Vec<Option<(Bytes, Bytes)>> {
    let rows = base.scan(family, range, false);
    rows.map(|rows| rows.map(Result::ok).collect())
        .unwrap_or_default()
}

//! The contract of [`Base`], for tests of its implementations, and bases that tests and benches watch.

use std::ops::Bound;

use bytes::Bytes;
use wal::Position;

use crate::{Applied, Base, CheckpointSink, Checkpoints, Family, KeyRange, Shipment};

mod around;
mod graveyard;

pub use around::{Around, Hooks};
pub use graveyard::{Graveyard, Tombstones};

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
    // A range goes at once, and a row comes with that: perhaps where others go.
    let (note, written) = (key("n"), key("!"));
    let row = (&note, &written);
    write(base, 10, &[(State, "cd", Some("5"))]);
    assert!(base.replace_range(State, &half, row).is_ok());
    assert_eq!(keys(base, &all, false), ["a", "cc", "cd", "d", "n"]);
    assert!(
        base.replace_range(State, &KeyRange::prefix(b"c"), row)
            .is_ok()
    );
    assert_eq!(keys(base, &all, false), ["a", "d", "n"]);
    assert!(base.replace_range(Index, &all, row).is_ok());
    assert!(
        base.replace_range(Queue, &KeyRange::prefix(b"x"), row)
            .is_ok()
    );
    assert_eq!(base.get(Index, b"b").ok(), Some(None));
    assert_eq!(base.get(Index, b"n").ok().flatten(), Some(written.clone()));
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
        Some(5),
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

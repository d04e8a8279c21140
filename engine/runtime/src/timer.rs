//! The timer topology: actions due at a time, in order, fired late after downtime, gone with their owner.
//!
//! A timer is a row of the `Queue` family: `TIMERS | due | owner`. `owner` is unique among the timers of one due time,
//! so whoever knows due time and owner can cancel. Everything due before the floor has fired: no scan starts before
//! it, however many tombstones lie there.

use std::ops::Bound;

use bytes::Bytes;
use index::key::KeyWriter;
use index::{Family, KeyRange, Store, StoreError};

/// First byte of a timer's key in the `Queue` family.
pub(crate) const TABLE: u8 = 1;
const HEADER: usize = 1 + 8;

/// A due timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// When it was due, milliseconds since the epoch. It may fire later, never earlier.
    pub due_ms: i64,
    /// Who set it.
    pub owner: Bytes,
    /// What to do.
    pub payload: Bytes,
}

pub(crate) fn key(due_ms: i64, owner: &[u8]) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(TABLE).i64(due_ms).raw(owner);
    key
}

fn parse(key: &Bytes, payload: Bytes) -> Result<Timer, StoreError> {
    let due: [u8; 8] = key
        .get(1..HEADER)
        .and_then(|raw| raw.try_into().ok())
        .ok_or_else(|| StoreError::Corrupt(format!("timer key of {} bytes", key.len())))?;
    Ok(Timer {
        due_ms: (u64::from_be_bytes(due) ^ (1 << 63)) as i64,
        owner: key.slice(HEADER..),
        payload,
    })
}

/// Timers due at or before `until_ms`, oldest first, at most `limit`. Nothing is due before `floor_ms`.
pub(crate) fn due(
    store: &mut Store,
    floor_ms: i64,
    until_ms: i64,
    limit: usize,
) -> Result<Vec<Timer>, StoreError> {
    let end = match until_ms.checked_add(1) {
        Some(after) => Bound::Excluded(key(after, &[]).finish()),
        None => Bound::Excluded(Bytes::from_static(&[TABLE + 1])),
    };
    let range = KeyRange {
        start: Bound::Included(key(floor_ms, &[]).finish()),
        end,
    };
    let rows = store.scan(Family::Queue, &range, limit, false)?;
    rows.into_iter()
        .map(|(key, payload)| parse(&key, payload))
        .collect()
}

/// The due time of the next timer at or after `floor_ms`.
pub(crate) fn next_due(store: &mut Store, floor_ms: i64) -> Result<Option<i64>, StoreError> {
    let range = KeyRange {
        start: Bound::Included(key(floor_ms, &[]).finish()),
        end: Bound::Excluded(Bytes::from_static(&[TABLE + 1])),
    };
    match store.scan(Family::Queue, &range, 1, false)?.pop() {
        Some((key, payload)) => Ok(Some(parse(&key, payload)?.due_ms)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_due_time_then_owner() {
        let mut keys = [
            key(5, b"b"),
            key(-1, b"z"),
            key(5, b"a"),
            key(i64::MAX, b""),
            key(0, b""),
            key(i64::MIN, b"q"),
        ]
        .map(|key| key.finish());
        keys.sort();
        let dues: Vec<_> = keys
            .iter()
            .map(|key| parse(key, Bytes::new()).expect("own key").due_ms)
            .collect();
        assert_eq!(dues, [i64::MIN, -1, 0, 5, 5, i64::MAX]);
    }
}

//! Durable queues: entries that wait for a consumer, first in, first out.
//!
//! An entry is a row of the `Queue` family: `ENTRIES | queue | sequence`. An entry that meets a waiting consumer in the
//! commit that makes it never becomes a row. Sequences rise over the group's life and are kept in the commit record.
//!
//! What is gone leaves tombstones behind for a while, and a scan from the queue's beginning would go through all of them.
//! So a queue has a cursor, a row `CURSORS | queue`: nothing is left below the sequence that is its value. It is written
//! when it has moved by [`CURSOR_STEP`].

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use index::key::{KeyReader, KeyWriter};
use index::{Family, KeyRange, ReadHandle, Store, StoreError};

/// First byte of an entry's key in the `Queue` family.
pub(crate) const TABLE: u8 = 2;

/// First byte of a cursor's key in the `Queue` family.
const CURSORS: u8 = 3;
/// By how much a cursor lags at most, in sequences: as many tombstones a scan may meet.
pub(crate) const CURSOR_STEP: u64 = 1000;

/// An entry of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The queue's name: opaque to the runtime.
    pub queue: Bytes,
    /// Its place: rises within the group.
    pub sequence: u64,
    /// When it was queued, milliseconds since the epoch.
    pub queued_ms: i64,
    /// What waits: opaque to the runtime.
    pub payload: Bytes,
}

impl Entry {
    pub(crate) fn key(&self) -> KeyWriter {
        key(&self.queue, self.sequence)
    }

    pub(crate) fn value(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(8 + self.payload.len());
        value.put_i64(self.queued_ms);
        value.put_slice(&self.payload);
        value.freeze()
    }

    fn parse(key: &Bytes, value: &Bytes) -> Result<Entry, StoreError> {
        let bad = || StoreError::Corrupt("queue entry".to_owned());
        let mut reader = KeyReader::new(key);
        let table = reader.u8().map_err(|_| bad())?;
        let queue = reader.bytes().map_err(|_| bad())?;
        let sequence = reader.u64().map_err(|_| bad())?;
        let time: [u8; 8] = value
            .get(..8)
            .and_then(|raw| raw.try_into().ok())
            .ok_or_else(bad)?;
        if table != TABLE {
            return Err(bad());
        }
        Ok(Entry {
            queue: Bytes::from(queue),
            sequence,
            queued_ms: i64::from_be_bytes(time),
            payload: value.slice(8..),
        })
    }
}

fn key(queue: &[u8], sequence: u64) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(TABLE).bytes(queue).u64(sequence);
    key
}

/// Where a queue's entries from a sequence on are.
fn range(queue: &[u8], from: u64) -> KeyRange {
    KeyRange {
        start: Bound::Included(key(queue, from).finish()),
        end: Bound::Included(key(queue, u64::MAX).finish()),
    }
}

/// The oldest entry of `queue` whose sequence is at least `from`.
pub(crate) fn first(
    store: &mut Store,
    queue: &[u8],
    from: u64,
) -> Result<Option<Entry>, StoreError> {
    let range = range(queue, from);
    match store.scan(Family::Queue, &range, 1, false)?.pop() {
        Some((key, value)) => Ok(Some(Entry::parse(&key, &value)?)),
        None => Ok(None),
    }
}

/// The key of a queue's cursor.
pub(crate) fn cursor_key(queue: &[u8]) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(CURSORS).bytes(queue);
    key
}

fn parse_cursor(value: &[u8]) -> Result<u64, StoreError> {
    let raw = value.try_into();
    raw.map(u64::from_be_bytes)
        .map_err(|_| StoreError::Corrupt("queue cursor".to_owned()))
}

/// The cursors of all queues that have one.
pub(crate) fn cursors(store: &mut Store) -> Result<BTreeMap<Bytes, u64>, StoreError> {
    let rows = store.scan(
        Family::Queue,
        &KeyRange::prefix(&[CURSORS]),
        usize::MAX,
        false,
    )?;
    let cursor = |(key, value): (Bytes, Bytes)| {
        let mut reader = KeyReader::new(&key);
        let queue = reader.u8().and_then(|_| reader.bytes());
        let queue = queue.map_err(|_| StoreError::Corrupt("queue cursor's key".to_owned()))?;
        Ok((Bytes::from(queue), parse_cursor(&value)?))
    };
    rows.into_iter().map(cursor).collect()
}

/// The oldest entry of every queue that has one: one seek a queue, from its cursor.
pub(crate) fn heads(
    store: &mut Store,
    cursors: &BTreeMap<Bytes, u64>,
) -> Result<Vec<Entry>, StoreError> {
    let mut heads = Vec::new();
    let mut start = Bound::Included(Bytes::from_static(&[TABLE]));
    for (queue, cursor) in cursors {
        // Those without a cursor that come before.
        let end = Bound::Excluded(key(queue, 0).finish());
        heads_between(store, start, end, &mut heads)?;
        heads.extend(first(store, queue, *cursor)?);
        start = Bound::Excluded(key(queue, u64::MAX).finish());
    }
    let end = Bound::Excluded(Bytes::from_static(&[TABLE + 1]));
    heads_between(store, start, end, &mut heads)?;
    Ok(heads)
}

fn heads_between(
    store: &mut Store,
    mut start: Bound<Bytes>,
    end: Bound<Bytes>,
    heads: &mut Vec<Entry>,
) -> Result<(), StoreError> {
    loop {
        let range = KeyRange {
            start,
            end: end.clone(),
        };
        let page = store.scan(Family::Queue, &range, 1, false)?;
        let Some((key_bytes, value)) = page.into_iter().next() else {
            return Ok(());
        };
        let entry = Entry::parse(&key_bytes, &value)?;
        start = Bound::Excluded(key(&entry.queue, u64::MAX).finish());
        heads.push(entry);
    }
}

/// How many entries wait in `queue`, counted up to `limit`, as of the committed state.
pub fn backlog(reader: &ReadHandle, queue: &[u8], limit: usize) -> Result<usize, StoreError> {
    let cursor = match reader.get(Family::Queue, &cursor_key(queue))? {
        Some(value) => parse_cursor(&value)?,
        None => 0,
    };
    let range = range(queue, cursor);
    Ok(reader.scan(Family::Queue, &range, limit, false)?.len())
}

//! Durable queues: entries that wait for a consumer, first in, first out.
//!
//! An entry is a row of the `Queue` family: `ENTRIES | queue | sequence`. An entry that meets a waiting consumer in the
//! commit that makes it never becomes a row. Sequences rise over the group's life and are kept in the commit record.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use index::key::{KeyReader, KeyWriter};
use index::{Family, KeyRange, ReadHandle, Store, StoreError};

/// First byte of an entry's key in the `Queue` family.
pub(crate) const TABLE: u8 = 2;

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

fn range(queue: &[u8]) -> KeyRange {
    KeyRange {
        start: Bound::Included(key(queue, 0).finish()),
        end: Bound::Included(key(queue, u64::MAX).finish()),
    }
}

/// The oldest entry of `queue` whose sequence is at least `from`.
pub(crate) fn first(
    store: &mut Store,
    queue: &[u8],
    from: u64,
) -> Result<Option<Entry>, StoreError> {
    let range = KeyRange {
        start: Bound::Included(key(queue, from).finish()),
        end: range(queue).end,
    };
    match store.scan(Family::Queue, &range, 1, false)?.pop() {
        Some((key, value)) => Ok(Some(Entry::parse(&key, &value)?)),
        None => Ok(None),
    }
}

/// The oldest entry of every queue that has one: one seek a queue.
pub(crate) fn heads(store: &mut Store) -> Result<Vec<Entry>, StoreError> {
    let end = Bound::Excluded(Bytes::from_static(&[TABLE + 1]));
    let mut start = Bound::Included(Bytes::from_static(&[TABLE]));
    let mut heads = Vec::new();
    loop {
        let page = store.scan(
            Family::Queue,
            &KeyRange {
                start,
                end: end.clone(),
            },
            1,
            false,
        )?;
        let Some((key_bytes, value)) = page.into_iter().next() else {
            return Ok(heads);
        };
        let entry = Entry::parse(&key_bytes, &value)?;
        start = Bound::Excluded(key(&entry.queue, u64::MAX).finish());
        heads.push(entry);
    }
}

/// How many entries wait in `queue`, counted up to `limit`, as of the committed state.
pub fn backlog(reader: &ReadHandle, queue: &[u8], limit: usize) -> Result<usize, StoreError> {
    Ok(reader
        .scan(Family::Queue, &range(queue), limit, false)?
        .len())
}

//! What has been fetched for one reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wal::{Partition, Position, Record, WalError};

use crate::record;

/// Above this a partition is paused.
const HIGH_BYTES: usize = 8 << 20;
const HIGH_RECORDS: usize = 20_000;

/// Why a reader cannot go on.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// Records were deleted; this is the first offset that is left.
    Truncated(i64),
    /// The text says what is wrong.
    Corrupt(String),
    /// The text says what to do.
    Refused(String),
}

#[derive(Default)]
struct Fetched {
    records: VecDeque<(Position, Record)>,
    bytes: usize,
    end: Option<End>,
    paused: bool,
}

/// See the module.
pub(crate) struct Slot {
    pub(crate) partition: Partition,
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    fetched: Mutex<Fetched>,
    arrived: Condvar,
    /// The offset that is fetched next.
    next: Mutex<i64>,
}

/// Records, whether some are left, and what to do about the partition.
pub(crate) type Taken = (Vec<(Position, Record)>, bool, Flow);

/// What to do about a partition after a change of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Nothing.
    Same,
    /// Too much waits here: fetch no more.
    Pause,
    /// Fetch again.
    Resume,
}

impl Slot {
    pub(crate) fn new(partition: Partition, topic: &Arc<str>, index: i32, next: i64) -> Slot {
        Slot {
            partition,
            topic: Arc::clone(topic),
            index,
            fetched: Mutex::new(Fetched::default()),
            arrived: Condvar::new(),
            next: Mutex::new(next),
        }
    }

    pub(crate) fn next(&self) -> i64 {
        *self.next.lock()
    }

    /// Adds a record. Says whether the reader had none before, and what to do about the partition.
    pub(crate) fn push(&self, offset: i64, record: Record) -> (bool, Flow) {
        let mut next = self.next.lock();
        if offset < *next {
            return (false, Flow::Same);
        }
        *next = offset + 1;
        drop(next);
        let mut fetched = self.fetched.lock();
        let first = fetched.records.is_empty();
        fetched.bytes += record.size();
        fetched
            .records
            .push_back((record::position(offset), record));
        self.arrived.notify_all();
        let full = fetched.bytes > HIGH_BYTES || fetched.records.len() > HIGH_RECORDS;
        if full && !fetched.paused {
            fetched.paused = true;
            return (first, Flow::Pause);
        }
        (first, Flow::Same)
    }

    /// Tells the reader, after what was fetched before, that it cannot go on.
    pub(crate) fn end(&self, end: End) {
        self.fetched.lock().end.get_or_insert(end);
        self.arrived.notify_all();
    }

    /// Waits until there is something to tell.
    ///
    /// # Errors
    /// It is that there is nothing to read.
    pub(crate) fn wait(&self, patience: Duration) -> Result<(), WalError> {
        let until = Instant::now() + patience;
        let mut fetched = self.fetched.lock();
        while fetched.records.is_empty() {
            if let Some(end) = fetched.end.clone() {
                drop(fetched);
                return Err(self.error(end));
            }
            if self.arrived.wait_until(&mut fetched, until).timed_out() {
                break;
            }
        }
        Ok(())
    }

    /// Takes records; says whether some are left, and what to do about the partition.
    pub(crate) fn take(&self, max_records: usize, max_bytes: usize) -> Result<Taken, WalError> {
        let mut fetched = self.fetched.lock();
        if fetched.records.is_empty()
            && let Some(end) = fetched.end.clone()
        {
            drop(fetched);
            return Err(self.error(end));
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < max_records {
            let Some((_, record)) = fetched.records.front() else {
                break;
            };
            let size = record.size();
            if !records.is_empty() && bytes + size > max_bytes {
                break;
            }
            bytes += size;
            records.extend(fetched.records.pop_front());
        }
        fetched.bytes -= bytes;
        let low = fetched.bytes < HIGH_BYTES / 2 && fetched.records.len() < HIGH_RECORDS / 2;
        let flow = if fetched.paused && low {
            fetched.paused = false;
            Flow::Resume
        } else {
            Flow::Same
        };
        Ok((records, !fetched.records.is_empty(), flow))
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.fetched.lock().paused
    }

    pub(crate) fn error(&self, end: End) -> WalError {
        match end {
            End::Truncated(start) => WalError::Truncated {
                partition: self.partition,
                position: Position::from_u64(self.next() as u64),
                start: Position::from_u64(start as u64),
            },
            End::Corrupt(text) => WalError::Corrupt(text),
            End::Refused(text) => WalError::Broker(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wal::GroupId;

    use super::*;

    fn slot() -> Slot {
        let partition = Partition::commands(GroupId(0));
        Slot::new(partition, &Arc::from("c-cmd"), 0, 5)
    }

    fn record(size: usize) -> Record {
        Record {
            key: Bytes::new(),
            value: Some(Bytes::from(vec![0; size])),
            time_ms: 0,
        }
    }

    #[test]
    fn a_slow_reader_pauses_its_partition_and_resumes_it() {
        let slot = slot();
        let mut flows = Vec::new();
        for offset in 5..15 {
            flows.push(slot.push(offset, record(1 << 20)).1);
        }
        let pauses = flows.iter().filter(|flow| **flow == Flow::Pause).count();
        assert_eq!(pauses, 1, "{flows:?}");
        assert!(slot.is_paused());
        let (records, left, flow) = slot.take(100, 2 << 20).unwrap();
        assert_eq!((records.len(), left, flow), (2, true, Flow::Same));
        let (records, left, flow) = slot.take(6, usize::MAX).unwrap();
        assert_eq!((records.len(), left, flow), (6, true, Flow::Resume));
        assert!(!slot.is_paused());
    }

    #[test]
    fn what_was_fetched_comes_before_the_end() {
        let slot = slot();
        assert!(slot.push(7, record(1)).0, "the first one is news");
        assert!(!slot.push(9, record(1)).0);
        assert!(!slot.push(8, record(1)).0, "an old one is dropped");
        slot.end(End::Truncated(30));
        let (records, left, _) = slot.take(10, usize::MAX).unwrap();
        let positions: Vec<u64> = records.iter().map(|(at, _)| at.to_u64()).collect();
        assert_eq!((positions, left), (vec![8, 10], false));
        let error = slot.take(10, usize::MAX).unwrap_err();
        assert!(
            matches!(error, WalError::Truncated { start, .. } if start.to_u64() == 30),
            "{error}"
        );
    }
}

//! What readers need most, in memory: the records of each input partition that nobody has trimmed yet.

use std::collections::{BTreeMap, VecDeque};

use crate::{Partition, Position, Record, Topic};

/// A tail holds at most this many records and bytes; what is older is read from the segments.
const MAX_RECORDS: usize = 1 << 16;
const MAX_BYTES: usize = 32 << 20;

/// The newest records of one partition.
pub(super) struct Tail {
    records: VecDeque<(Position, Record)>,
    bytes: usize,
    /// Everything after this position is in the tail.
    covers: Position,
}

fn size(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

impl Tail {
    /// An empty tail: everything after `covers` will be added.
    pub(super) fn new(covers: Position) -> Tail {
        Tail {
            records: VecDeque::new(),
            bytes: 0,
            covers,
        }
    }

    /// Whether a partition has a tail. The changelog has none: nobody reads it in normal running.
    pub(super) fn is_kept(partition: Partition) -> bool {
        partition.topic != Topic::Changelog
    }

    /// Adds a record.
    pub(super) fn push(&mut self, position: Position, record: Record) {
        self.bytes += size(&record);
        self.records.push_back((position, record));
        while self.records.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((position, record)) = self.records.pop_front() {
            self.bytes -= size(&record);
            self.covers = position;
        }
    }

    /// Drops records up to a position.
    pub(super) fn trim(&mut self, up_to: Position) {
        while self
            .records
            .front()
            .is_some_and(|(position, _)| *position <= up_to)
        {
            self.drop_oldest();
        }
    }

    /// The records after a position, within limits; `None` if some of them are no longer here.
    pub(super) fn after(
        &self,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Option<Vec<(Position, Record)>> {
        if after < self.covers {
            return None;
        }
        let from = self
            .records
            .partition_point(|(position, _)| *position <= after);
        let mut bytes = 0;
        let mut taken = Vec::new();
        for (position, record) in self.records.range(from..).take(max_records) {
            bytes += size(record);
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push((*position, record.clone()));
        }
        Some(taken)
    }
}

/// The tails of all partitions.
pub(super) type Tails = BTreeMap<Partition, Tail>;

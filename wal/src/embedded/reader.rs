//! Reading: from the tail in memory, or, further back, from the segments.

use std::collections::VecDeque;
use std::sync::Arc;

use super::frame::{self, Found};
use super::open::Inner;
use crate::{Partition, Position, Reader, Record, WalError};

/// Reads one partition.
pub(super) struct LogReader {
    inner: Arc<Inner>,
    partition: Partition,
    after: Position,
    /// Records read from a segment and not yet given out.
    read: VecDeque<(Position, Record)>,
}

impl LogReader {
    pub(super) fn new(inner: Arc<Inner>, partition: Partition, after: Position) -> LogReader {
        LogReader {
            inner,
            partition,
            after,
            read: VecDeque::new(),
        }
    }

    /// Reads the partition's records of the first segment that has any after `self.after`.
    fn read_segment(&mut self) -> Result<(), WalError> {
        let parts = self.inner.readable();
        let mut scanned = 0;
        for (index, (id, file, end)) in parts.iter().enumerate() {
            // The next segment's first frame tells that this one lies behind us.
            if parts.get(index + 1).is_some_and(|(next, ..)| {
                self.inner
                    .first_of(*next)
                    .is_some_and(|first| first <= frame::sequence(self.after))
            }) {
                continue;
            }
            let context = format!("reading segment {}", super::segments::name(*id));
            let bytes = file
                .read(*end)
                .map_err(|source| WalError::Io { context, source })?;
            let mut offset = 0;
            while let Found::Frame(header, body, next) = frame::find(&bytes, offset, *id) {
                offset = next;
                scanned = header.sequence;
                if header.sequence < frame::sequence(self.after) {
                    continue;
                }
                let records = frame::records(&header, body).ok_or_else(|| {
                    WalError::Corrupt(format!("frame {} cannot be read", header.sequence))
                })?;
                for (index, (partition, record)) in records.into_iter().enumerate() {
                    let position = frame::position(header.sequence, index);
                    if partition == self.partition && position > self.after {
                        self.read.push_back((position, record));
                    }
                }
            }
            if offset as u64 != *end {
                return Err(WalError::Corrupt(format!(
                    "segment {} is damaged at offset {offset}",
                    super::segments::name(*id)
                )));
            }
            if !self.read.is_empty() {
                return Ok(());
            }
        }
        // Nothing of the partition is in any of them: the next look begins behind them.
        self.after = self
            .after
            .max(frame::position(scanned, frame::MAX_RECORDS - 1));
        Ok(())
    }
}

impl Reader for LogReader {
    fn poll(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Record)>, WalError> {
        if self.read.is_empty() {
            if let Some(records) =
                self.inner
                    .read_tail(self.partition, self.after, max_records, max_bytes)
            {
                if let Some((last, _)) = records.last() {
                    self.after = *last;
                }
                return Ok(records);
            }
            self.read_segment()?;
        }
        let mut bytes = 0;
        let mut taken = Vec::new();
        while taken.len() < max_records
            && let Some((position, record)) = self.read.pop_front()
        {
            bytes += record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len);
            self.after = position;
            taken.push((position, record));
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(taken)
    }
}

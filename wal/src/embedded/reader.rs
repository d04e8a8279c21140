//! Reading: from the tail in memory, or, further back, from the segments.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blocks::Stretch;
use super::disk::DiskFile;
use super::frame::{self, Decoder, Found};
use super::open::Inner;
use super::segments::name;
use crate::{Partition, Position, Reader, Record, WalError};

/// Reads one partition.
///
/// From the segments it reads the blocks in which a frame with records of its partition begins (64 KiB each, and the
/// frame that reaches beyond it), and looks into those frames alone; of version 1, which does not say what is in a frame,
/// into all frames of these blocks.
pub(super) struct LogReader {
    inner: Arc<Inner>,
    partition: Partition,
    after: Position,
    /// Records read from a segment and not yet given out.
    read: VecDeque<(Position, Record)>,
    /// The segment and the block in it that come next: those before are read, and nothing is added to them.
    next: (u64, usize),
    decoder: Decoder,
}

/// A part of a segment that is to be read.
struct Part {
    id: u64,
    file: Arc<dyn DiskFile>,
    stretch: Stretch,
    /// Where it ends.
    to: u64,
    /// Whether nothing will be added to it.
    is_complete: bool,
}

impl LogReader {
    pub(super) fn new(inner: Arc<Inner>, partition: Partition, after: Position) -> LogReader {
        LogReader {
            inner,
            partition,
            after,
            read: VecDeque::new(),
            next: (0, 0),
            decoder: Decoder::default(),
        }
    }

    /// The first part, from `block` of segment `id` on, that may hold records after `self.after`.
    fn next_part(&self, id: u64, block: usize) -> Option<Part> {
        let segments = self.inner.segments.lock();
        segments
            .iter()
            .filter(|segment| segment.id >= id)
            .find_map(|segment| {
                let from = if segment.id == id { block } else { 0 };
                let stretch = segment.blocks.next(self.partition, self.after, from)?;
                // The index may know of frames that are not written yet.
                let to = stretch.to.map_or(segment.end, |to| to.min(segment.end));
                (stretch.from < to).then(|| Part {
                    id: segment.id,
                    file: Arc::clone(&segment.file),
                    stretch,
                    to,
                    is_complete: stretch.to == Some(to),
                })
            })
    }

    /// Reads the partition's records of the first part that has any after `self.after`.
    fn read_segments(&mut self) -> Result<(), WalError> {
        let (mut id, mut block) = self.next;
        while let Some(part) = self.next_part(id, block) {
            self.read_part(&part)?;
            (id, block) = (part.id, part.stretch.block + 1);
            if part.is_complete {
                self.next = (id, block);
            }
            if !self.read.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn read_part(&mut self, part: &Part) -> Result<(), WalError> {
        let (id, from) = (part.id, part.stretch.from);
        let bytes = part
            .file
            .read_at(from, part.to - from)
            .map_err(|source| WalError::Io {
                context: format!("reading segment {} at offset {from}", name(id)),
                source,
            })?;
        let mut offset = 0;
        while offset < bytes.len() {
            let at = from + offset as u64;
            let Found::Frame(frame) = frame::find(&bytes, offset, id) else {
                return Err(WalError::Corrupt(format!(
                    "segment {} is damaged at offset {at}: it was good when the log was opened",
                    name(id)
                )));
            };
            offset = frame.end;
            let sequence = frame.header.sequence;
            if sequence < frame::sequence(self.after) || !frame.may_hold(self.partition) {
                continue;
            }
            let records = self
                .decoder
                .records(&frame, Some(self.partition))
                .ok_or_else(|| {
                    WalError::Corrupt(format!(
                        "segment {}: frame {sequence} at offset {at} has a good checksum and cannot be read: it was written by \
                         a broken version",
                        name(id)
                    ))
                })?;
            let positions = records
                .into_iter()
                .map(|(index, _, record)| (frame::position(sequence, index), record));
            self.read
                .extend(positions.filter(|(position, _)| *position > self.after));
        }
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
            let after = self.after;
            self.read_segments()?;
            // Asked last: segments may be dropped meanwhile.
            let retained = self.inner.check_retained(self.partition, after);
            if retained.is_err() {
                // What was read lies behind a gap: not to be given out by the next poll either.
                self.read.clear();
            }
            retained?;
            if self.read.is_empty() && after < self.inner.recovered {
                // What was there at the start has nothing for us: go on with what came since, durable or not.
                self.after = self.inner.recovered;
                return self.poll(max_records, max_bytes);
            }
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

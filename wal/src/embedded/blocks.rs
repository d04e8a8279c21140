//! Which parts of a segment hold frames of which partition, in memory: a reader of one group passes over the others'.
//!
//! A segment is divided into blocks of 64 KiB, and a frame belongs to the block that it begins in. For each partition one
//! bit a block says whether a frame of it holds records of the partition: 128 bytes for a segment of 64 MiB, whatever is
//! in it.

use std::collections::BTreeMap;

use super::frame::{self, Summary};
use crate::{Partition, Position};

/// What a reader reads at once, plus the frame that reaches beyond it.
pub(super) const BLOCK: u64 = 64 << 10;

/// The index of one segment.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The blocks in which frames begin, with offset and number of the first frame in each.
    starts: Vec<(u64, u64)>,
    held: BTreeMap<Partition, Held>,
}

#[derive(Debug)]
struct Held {
    last: Position,
    /// One bit for each of `starts`.
    bits: Vec<u64>,
}

/// A part of a segment that a reader has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Which of the blocks it is.
    pub(super) block: usize,
    /// Where its first frame begins.
    pub(super) from: u64,
    /// Where the first frame behind it begins, if there is one.
    pub(super) to: Option<u64>,
}

impl Blocks {
    /// Notes a frame at an offset. Frames come in order.
    pub(super) fn note(&mut self, offset: u64, sequence: u64, summary: &Summary) {
        if self
            .starts
            .last()
            .is_none_or(|(start, _)| start / BLOCK != offset / BLOCK)
        {
            self.starts.push((offset, sequence));
        }
        let block = self.starts.len() - 1;
        for (partition, index) in summary {
            let last = frame::position(sequence, *index as usize);
            let held = self.held.entry(*partition).or_insert_with(|| Held {
                last,
                bits: Vec::new(),
            });
            held.last = last;
            if held.bits.len() <= block / 64 {
                held.bits.resize(block / 64 + 1, 0);
            }
            held.bits[block / 64] |= 1 << (block % 64);
        }
    }

    /// The last position of each partition in the segment.
    pub(super) fn last(&self) -> impl Iterator<Item = (Partition, Position)> {
        self.held
            .iter()
            .map(|(partition, held)| (*partition, held.last))
    }

    /// Whether it has records of any partition.
    pub(super) fn has_records(&self) -> bool {
        !self.held.is_empty()
    }

    /// The first block, from number `from` on, that may hold records of a partition after a position.
    pub(super) fn next(
        &self,
        partition: Partition,
        after: Position,
        from: usize,
    ) -> Option<Stretch> {
        let held = self.held.get(&partition).filter(|held| held.last > after)?;
        let sequence = frame::sequence(after);
        // The block that holds the frame of `after`, which may have more records.
        let reached = self
            .starts
            .partition_point(|(_, first)| *first <= sequence)
            .saturating_sub(1);
        let from = from.max(reached);
        let block = (from..self.starts.len()).find(|block| {
            held.bits
                .get(block / 64)
                .is_some_and(|bits| bits >> (block % 64) & 1 == 1)
        })?;
        Some(Stretch {
            block,
            from: self.starts[block].0,
            to: self.starts.get(block + 1).map(|(start, _)| *start),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::GroupId;

    proptest! {
        /// Every frame of a partition after a position lies in a stretch, and every stretch has one.
        #[test]
        fn finds_exactly_the_blocks_of_a_partition(
            frames in prop::collection::vec((1_u64..40, prop::collection::vec(0_u16..4, 0..3)), 1..80),
            after in 0_u64..90,
        ) {
            let mut blocks = Blocks::default();
            let mut offset = 0;
            let mut placed = Vec::new();
            for (n, (size, groups)) in frames.iter().enumerate() {
                let sequence = n as u64 + 1;
                let summary: Summary = groups.iter().map(|group| (Partition::changelog(GroupId(*group)), 0)).collect();
                blocks.note(offset, sequence, &summary);
                placed.push((offset, sequence, groups));
                offset += size * 8192;
            }
            for group in 0..4 {
                let partition = Partition::changelog(GroupId(group));
                let after = frame::position(after, 0);
                let mut expected: Vec<u64> = placed
                    .iter()
                    .filter(|(_, sequence, groups)| groups.contains(&group) && frame::position(*sequence, 0) > after)
                    .map(|(offset, ..)| offset / BLOCK)
                    .collect();
                expected.dedup();
                let mut found = Vec::new();
                let mut from = 0;
                while let Some(stretch) = blocks.next(partition, after, from) {
                    found.push(stretch.from / BLOCK);
                    from = stretch.block + 1;
                }
                // The block that `after` lies in may have only what is behind us.
                let reached = placed.iter().rfind(|(_, sequence, _)| *sequence <= frame::sequence(after)).map(|(offset, ..)| offset / BLOCK);
                if found.first() == reached.as_ref() && expected.first() != reached.as_ref() {
                    found.remove(0);
                }
                prop_assert_eq!(found, expected);
            }
        }
    }
}

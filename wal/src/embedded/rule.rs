//! What is good, what is a crash's unfinished end, and what is damage. The only place that decides it.
//!
//! The log ends at the first bad frame x, unless something proves that x was durable: a valid frame behind it whose
//! `durable` is x or more, or a store that has applied it. Then it was damaged after the fact, which is never repaired by
//! guessing. So is what no crash can leave: frames of another segment or another log, and a file that is too short.

use super::dropped::Dropped;
use super::frame::{self, Found, Frame};
use super::segments::{PAGE, name};

/// The order that frames keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    /// Number of the next frame, unless any will do.
    pub(super) next: Option<u64>,
    /// Run of the frame before, if there is one.
    pub(super) run: Option<u32>,
}

/// Why there is no next frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bad {
    /// Nothing was written here.
    Nothing,
    /// No whole frame: the checksum does not fit, or it is cut off.
    Damage,
    /// What no crash leaves; the text says what.
    Impossible(String),
    /// Written by a newer version; the text says which.
    Newer(String),
}

/// What a bad place means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The log ends here.
    End,
    /// It was damaged after it was durable; the text says why that is certain.
    Damaged(String),
    /// This build cannot read it.
    Incompatible(String),
}

impl Order {
    /// The order of what follows what was dropped.
    pub(super) fn after(dropped: &Dropped) -> Order {
        Order {
            next: match dropped.segment {
                0 => Some(1),
                _ => dropped.last.map(|last| last + 1),
            },
            run: dropped.run,
        }
    }

    /// The frame at an offset of a segment, if it is good and the next one.
    pub(super) fn step<'a>(
        &mut self,
        bytes: &'a [u8],
        offset: usize,
        segment: u64,
    ) -> Result<Frame<'a>, Bad> {
        let frame = match frame::find(bytes, offset, segment) {
            Found::Frame(frame) => frame,
            Found::Nothing => return Err(Bad::Nothing),
            Found::Damage => return Err(Bad::Damage),
            Found::Foreign(other) => {
                return Err(Bad::Impossible(format!(
                    "the frame there belongs to segment {}: files were mixed up",
                    name(other)
                )));
            }
            Found::Newer(version) => {
                return Err(Bad::Newer(format!(
                    "the frame there is of version {version}, and this build reads up to {}",
                    frame::VERSION
                )));
            }
        };
        let (sequence, run) = (frame.header.sequence, frame.header.run);
        if let Some(next) = self.next.filter(|next| *next != sequence) {
            return Err(Bad::Impossible(format!(
                "frame {sequence} is there, and frame {next} should be: the file is from another log or another time"
            )));
        }
        if let Some(before) = self
            .run
            .filter(|before| run != *before && run != before.wrapping_add(1))
        {
            return Err(Bad::Impossible(format!(
                "frame {sequence} is of run {run}, and the one before of run {before}: the file is from another log"
            )));
        }
        if let Some(birth) = frame
            .birth()
            .filter(|birth| birth.size > bytes.len() as u64)
        {
            return Err(Bad::Impossible(format!(
                "the file has {} bytes, and had {} when it was made: it was cut off",
                bytes.len(),
                birth.size
            )));
        }
        self.next = Some(sequence + 1);
        self.run = Some(run);
        Ok(frame)
    }

    /// Number of the frame that is missing at a bad place.
    pub(super) fn missing(&self) -> u64 {
        self.next.unwrap_or(1)
    }

    /// What a bad place means, as far as this one segment tells, beginning with the bytes at the place, and whether a
    /// later one exists.
    pub(super) fn judge(
        &self,
        bad: &Bad,
        bytes: &[u8],
        offset: usize,
        segment: u64,
        is_last: bool,
    ) -> Verdict {
        match bad {
            Bad::Newer(what) => return Verdict::Incompatible(what.clone()),
            Bad::Impossible(what) => return Verdict::Damaged(what.clone()),
            Bad::Nothing | Bad::Damage => {}
        }
        if let Some(what) = self.witness(bytes, offset, segment) {
            return Verdict::Damaged(what);
        }
        if offset == 0 && !is_last {
            return Verdict::Damaged(format!(
                "frame {} is missing, and there is a later segment, which is made when this one has durable frames",
                self.missing()
            ));
        }
        if offset == 0 && (bytes.is_empty() || !bytes.len().is_multiple_of(PAGE)) {
            return Verdict::Damaged(format!(
                "the file has {} bytes, and a segment's are whole pages of {PAGE}: it was cut off",
                bytes.len()
            ));
        }
        Verdict::End
    }

    /// A valid frame at or behind `from` that proves that the missing frame was durable.
    pub(super) fn witness(&self, bytes: &[u8], from: usize, segment: u64) -> Option<String> {
        let missing = self.missing();
        let mut offset = from;
        while let Some(ahead) = frame::next_magic(bytes, offset) {
            offset = ahead + frame::ALIGN;
            // Looked at first: checksums of what clients made look like frames would take long.
            let proves = frame::claimed(bytes, ahead).is_some_and(|header| {
                header.segment == segment
                    && header.durable >= missing
                    && header.sequence > header.durable
            });
            if proves && let Found::Frame(frame) = frame::find(bytes, ahead, segment) {
                return Some(format!(
                    "frame {missing} is missing, and frame {} (segment {}, offset {ahead}) says that it was durable",
                    frame.header.sequence,
                    name(segment),
                ));
            }
        }
        None
    }
}

//! The segment files: one sequence of frames, cut into files of equal size.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::{self, Found, Header};
use crate::{Partition, Position, Record, WalError};

/// Zeros written at a time while a segment is made.
const CHUNK: u64 = 1 << 20;

/// One segment.
pub(super) struct Segment {
    /// Its number, which is in its name and in its frames' checksums.
    pub(super) id: u64,
    /// Its file.
    pub(super) file: Arc<dyn DiskFile>,
    /// Number of its first frame.
    pub(super) first: u64,
    /// The last position of each partition in it.
    pub(super) last: BTreeMap<Partition, Position>,
    /// Bytes of frames in it.
    pub(super) end: u64,
}

impl Segment {
    /// Notes the records of a frame.
    pub(super) fn note(&mut self, sequence: u64, records: &[(Partition, Record)]) {
        for (index, (partition, _)) in records.iter().enumerate() {
            self.last
                .insert(*partition, frame::position(sequence, index));
        }
    }
}

/// The name of a segment's file.
pub(super) fn name(id: u64) -> String {
    format!("{id:016x}.log")
}

/// The number in the name of a segment's file.
pub(super) fn number(name: &str) -> Option<u64> {
    u64::from_str_radix(
        name.strip_suffix(".log").filter(|stem| stem.len() == 16)?,
        16,
    )
    .ok()
}

/// Makes a segment's file: of full size, and written with zeros, so that appending to it later changes no metadata and
/// `fdatasync` is cheap. It is complete once it has its name.
pub(super) fn make(
    disk: &dyn Disk,
    id: u64,
    size: u64,
    zeros: bool,
) -> io::Result<Arc<dyn DiskFile>> {
    let part = format!("{id:016x}.new");
    let file = disk.open(&part, true)?;
    file.set_len(size)?;
    if zeros {
        let chunk = vec![0; CHUNK as usize];
        let mut at = 0;
        while at < size {
            let len = CHUNK.min(size - at);
            file.write_at(at, &chunk[..len as usize])?;
            at += len;
        }
    }
    file.sync()?;
    disk.rename(&part, &name(id))?;
    disk.sync_dir()?;
    Ok(file)
}

/// What recovery found.
pub(super) struct Recovered {
    /// All segments, oldest first; the last one is written on.
    pub(super) segments: Vec<Segment>,
    /// Number of the last frame; 0 for an empty log.
    pub(super) last: u64,
    /// The run that ended.
    pub(super) run: u32,
}

/// Reads the whole log, cuts off what a crash left half written, and makes durable what remains, before anybody acts on
/// it (after a kill it may exist in the page cache only).
///
/// The rule: the log ends at the first bad frame, unless a valid frame behind it says that it was durable: then it was
/// damaged after the fact, which is never repaired by guessing.
pub(super) fn recover(disk: &dyn Disk) -> Result<Recovered, WalError> {
    let io_error = |context: &str| {
        let context = context.to_owned();
        move |source| WalError::Io { context, source }
    };
    let ids = retained(disk)?;
    let mut found = Recovered {
        segments: Vec::new(),
        last: 0,
        run: 0,
    };
    let mut files = ids.into_iter().peekable();
    let mut next = None;
    while let Some(id) = files.next() {
        let (file, bytes) = read(disk, id)?;
        let mut segment = Segment {
            id,
            file,
            first: next.unwrap_or(0),
            last: BTreeMap::new(),
            end: 0,
        };
        let stop = walk(&bytes, &mut segment, &mut next, &mut found)?;
        let missing = next.unwrap_or(1);
        let mut witness =
            witness(&bytes, segment.end as usize, id, missing).map(|found| (found, id));
        // A segment that was filled, or left for the next one after a crash, is followed by one that goes on.
        if stop == Found::Nothing && segment.end > 0 && witness.is_none() && files.peek().is_some()
        {
            found.segments.push(segment);
            continue;
        }
        let later: Vec<u64> = files.by_ref().collect();
        for id in &later {
            if witness.is_none() {
                let (_, bytes) = read(disk, *id)?;
                witness = self::witness(&bytes, 0, *id, missing).map(|found| (found, *id));
            }
        }
        if let Some((witness, at)) = witness {
            return Err(WalError::Corrupt(format!(
                "segment {} is damaged at offset {}: frame {missing} is missing, and frame {} (segment {}) says that it was durable; \
                 restore a backup",
                name(id),
                segment.end,
                witness.sequence,
                name(at),
            )));
        }
        cut(disk, &segment, &bytes, &later).map_err(io_error("cutting off the unfinished end"))?;
        found.segments.push(segment);
    }
    for segment in &found.segments {
        segment
            .file
            .sync()
            .map_err(io_error("fdatasync of what was recovered"))?;
    }
    Ok(found)
}

/// Reads the frames of a segment as far as they are good.
fn walk<'a>(
    bytes: &'a [u8],
    segment: &mut Segment,
    next: &mut Option<u64>,
    found: &mut Recovered,
) -> Result<Found<'a>, WalError> {
    let mut offset = 0;
    loop {
        match frame::find(bytes, offset, segment.id) {
            Found::Frame(header, body, end) if next.is_none_or(|next| header.sequence == next) => {
                let records = frame::records(&header, body).ok_or_else(|| {
                    WalError::Corrupt(format!(
                        "segment {}: frame {} at offset {offset} has a good checksum and cannot be read: it was written by a newer \
                         or broken version",
                        name(segment.id),
                        header.sequence
                    ))
                })?;
                if segment.first == 0 {
                    segment.first = header.sequence;
                }
                segment.note(header.sequence, &records);
                segment.end = end as u64;
                found.last = header.sequence;
                found.run = found.run.max(header.run);
                *next = Some(header.sequence + 1);
                offset = end;
            }
            other => return Ok(other),
        }
    }
}

/// The numbers of the segments that make up the log, oldest first. None may be missing: they are made in order, and
/// removed in order, from the front (noted beforehand) and, at recovery, from the back.
fn retained(disk: &dyn Disk) -> Result<Vec<u64>, WalError> {
    let removed = super::dropped::read(disk)?.segment;
    let names = disk.list().map_err(|source| WalError::Io {
        context: "listing the log's directory".to_owned(),
        source,
    })?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
    // A crash may have come between the note and the removal.
    ids.retain(|id| *id > removed);
    ids.sort_unstable();
    for (expected, found) in (removed + 1..).zip(&ids) {
        if expected != *found {
            return Err(WalError::Corrupt(format!(
                "segment {} is missing, and {} is there; restore a backup",
                name(expected),
                name(*found)
            )));
        }
    }
    if ids.is_empty() && removed > 0 {
        return Err(WalError::Corrupt(format!(
            "segment {} is missing, and every later one; restore a backup",
            name(removed + 1)
        )));
    }
    Ok(ids)
}

fn read(disk: &dyn Disk, id: u64) -> Result<(Arc<dyn DiskFile>, Vec<u8>), WalError> {
    let io_error = |source| WalError::Io {
        context: format!("reading segment {}", name(id)),
        source,
    };
    let file = disk.open(&name(id), false).map_err(io_error)?;
    let bytes = file.read(u64::MAX).map_err(io_error)?;
    Ok((file, bytes))
}

/// A valid frame at or behind `from` that proves that frame `missing` was durable.
fn witness(bytes: &[u8], from: usize, segment: u64, missing: u64) -> Option<Header> {
    let mut offset = from;
    while let Some(ahead) = frame::next_magic(bytes, offset) {
        match frame::find(bytes, ahead, segment) {
            Found::Frame(header, _, _) if header.durable >= missing => return Some(header),
            Found::Frame(_, _, end) => offset = end,
            Found::Nothing | Found::Damage => offset = ahead + frame::ALIGN,
        }
    }
    None
}

/// Nothing of an unfinished end may be taken for a frame later: the rest is zeroed, later segments go.
fn cut(disk: &dyn Disk, segment: &Segment, bytes: &[u8], later: &[u64]) -> io::Result<()> {
    // From the back, so that a crash here leaves no gap.
    for id in later.iter().rev() {
        disk.remove(&name(*id))?;
    }
    if !later.is_empty() {
        disk.sync_dir()?;
    }
    let zeros = vec![0; CHUNK as usize];
    for (at, part) in (segment.end..)
        .step_by(CHUNK as usize)
        .zip(bytes[segment.end as usize..].chunks(CHUNK as usize))
    {
        if part.iter().any(|byte| *byte != 0) {
            segment.file.write_at(at, &zeros[..part.len()])?;
        }
    }
    segment.file.sync()
}

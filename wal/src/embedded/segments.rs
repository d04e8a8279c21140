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
    let mut ids: Vec<u64> = disk
        .list()
        .map_err(io_error("listing the log's directory"))?
        .iter()
        .filter_map(|name| number(name))
        .collect();
    ids.sort_unstable();
    let mut found = Recovered {
        segments: Vec::new(),
        last: 0,
        run: 0,
    };
    let mut files = ids.into_iter().peekable();
    let mut next = None;
    while let Some(id) = files.next() {
        let context = format!("reading segment {}", name(id));
        let file = disk.open(&name(id), false).map_err(io_error(&context))?;
        let bytes = file.read(u64::MAX).map_err(io_error(&context))?;
        let mut segment = Segment {
            id,
            file,
            first: next.unwrap_or(0),
            last: BTreeMap::new(),
            end: 0,
        };
        let stop = walk(&bytes, &mut segment, &mut next, &mut found)?;
        // A segment that was filled is followed by one that goes on.
        let goes_on = stop == Found::Nothing && segment.end > 0 && files.peek().is_some();
        if goes_on {
            found.segments.push(segment);
            continue;
        }
        let later: Vec<u64> = files.by_ref().collect();
        let missing = next.unwrap_or(1);
        if let Some((witness, at)) = witness(disk, &bytes, &segment, &later, missing)? {
            return Err(WalError::Corrupt(format!(
                "segment {} is damaged at offset {}: frame {missing} is missing, and frame {} (segment {}) says that it was durable; \
                 restore a backup",
                name(id),
                segment.end,
                witness.sequence,
                name(at),
            )));
        }
        cut(disk, &segment, bytes.len() as u64, &later)
            .map_err(io_error("cutting off the unfinished end"))?;
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

/// A valid frame behind the end that proves that more was durable: it and the segment it lies in.
fn witness(
    disk: &dyn Disk,
    bytes: &[u8],
    segment: &Segment,
    later: &[u64],
    missing: u64,
) -> Result<Option<(Header, u64)>, WalError> {
    let look = |bytes: &[u8], from: usize, id: u64| -> Option<Header> {
        let mut offset = from;
        while offset + frame::HEADER <= bytes.len() {
            match frame::find(bytes, offset, id) {
                Found::Frame(header, _, _) if header.durable >= missing => return Some(header),
                Found::Frame(_, _, end) => offset = end,
                Found::Nothing | Found::Damage => offset += frame::ALIGN,
            }
        }
        None
    };
    if let Some(header) = look(bytes, segment.end as usize, segment.id) {
        return Ok(Some((header, segment.id)));
    }
    for id in later {
        let context = format!("reading segment {}", name(*id));
        let read = disk
            .open(&name(*id), false)
            .and_then(|file| file.read(u64::MAX));
        let bytes = read.map_err(|source| WalError::Io { context, source })?;
        if let Some(header) = look(&bytes, 0, *id) {
            return Ok(Some((header, *id)));
        }
    }
    Ok(None)
}

/// Nothing of an unfinished end may be taken for a frame later: the rest is zeroed, later segments go.
fn cut(disk: &dyn Disk, segment: &Segment, len: u64, later: &[u64]) -> io::Result<()> {
    for id in later {
        disk.remove(&name(*id))?;
    }
    if !later.is_empty() {
        disk.sync_dir()?;
    }
    let zeros = vec![0; CHUNK as usize];
    let bytes = segment.file.read(len)?;
    let mut at = segment.end;
    while at < len {
        let part = CHUNK.min(len - at);
        if bytes[at as usize..(at + part) as usize]
            .iter()
            .any(|byte| *byte != 0)
        {
            segment.file.write_at(at, &zeros[..part as usize])?;
        }
        at += part;
    }
    segment.file.sync()
}

//! The segment files: one sequence of frames, cut into files of equal size.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::blocks::Blocks;
use super::disk::{Disk, DiskFile};
use crate::WalError;

/// Zeros written at a time.
pub(super) const CHUNK: u64 = 1 << 20;
/// A segment's file is made of whole pages of this size.
pub(super) const PAGE: usize = 4096;
/// No segment file is larger: what is, is none of ours.
pub(super) const MAX_BYTES: u64 = 1 << 30;
/// The name of a file that is not finished ends like this.
const UNFINISHED: &str = ".new";

/// One segment.
pub(super) struct Segment {
    /// Its number, which is in its name and in its frames' checksums.
    pub(super) id: u64,
    /// Its file.
    pub(super) file: Arc<dyn DiskFile>,
    /// When its first frame was written, in milliseconds since the epoch, where that is known.
    pub(super) born_ms: Option<i64>,
    /// Number of its last frame, or of the last one before it.
    pub(super) last: u64,
    /// The run that wrote that frame.
    pub(super) run: u32,
    /// Which partitions are where. It may know of frames beyond `end`.
    pub(super) blocks: Blocks,
    /// Bytes of frames in it, all of them durable.
    pub(super) end: u64,
    /// Bytes of the file.
    pub(super) size: u64,
}

impl Segment {
    /// One that nothing was written to, behind frame `last` of run `run`.
    pub(super) fn empty(
        id: u64,
        file: Arc<dyn DiskFile>,
        size: u64,
        last: u64,
        run: u32,
    ) -> Segment {
        Segment {
            id,
            file,
            born_ms: None,
            last,
            run,
            blocks: Blocks::default(),
            end: 0,
            size,
        }
    }
}

/// The name of a segment's file.
pub(super) fn name(id: u64) -> String {
    format!("{id:016x}.log")
}

/// The number in the name of a segment's file.
pub(super) fn number(name: &str) -> Option<u64> {
    let id = u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()?;
    (self::name(id) == name).then_some(id)
}

/// Whether a file was being made when the process ended: nobody needs it.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(|stem| {
        stem == super::dropped::NAME || number(&format!("{stem}.log")).is_some()
    })
}

/// The longest pause between two pieces of a new segment: the next one has to be there when this one is full.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Makes a segment's file: of full size, with room on the medium, and, if `zeros`, written with zeros, so that appending
/// to it later changes no metadata and `fdatasync` is cheap. It is complete once it has its name; if that fails, or
/// `stop` is set meanwhile, nothing of it stays.
///
/// A file is always a new one: nothing of an old segment is ever in it.
pub(super) fn make(
    disk: &dyn Disk,
    id: u64,
    size: u64,
    zeros: bool,
    stop: &AtomicBool,
) -> io::Result<Arc<dyn DiskFile>> {
    let part = format!("{id:016x}{UNFINISHED}");
    let made = fill(disk, &part, size, zeros, stop).and_then(|file| {
        disk.rename(&part, &name(id))?;
        disk.sync_dir()?;
        Ok(file)
    });
    if made.is_err() {
        // It holds space that others need. What is left here, the next try or the next start removes.
        let _ = disk.remove(&part);
    }
    made
}

fn fill(
    disk: &dyn Disk,
    part: &str,
    size: u64,
    zeros: bool,
    stop: &AtomicBool,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(part, true)?;
    file.set_len(0)?;
    file.reserve(size)?;
    if zeros {
        let chunk = vec![0; CHUNK.min(size) as usize];
        let mut at = 0;
        while at < size {
            if stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = CHUNK.min(size - at);
            file.write_at(at, &chunk[..len as usize])?;
            at += len;
            // In small pieces, and with pauses: the log's own syncs wait for what the disk has before them.
            let started = Instant::now();
            file.sync()?;
            std::thread::sleep((started.elapsed() * 3).min(LONGEST_PAUSE));
        }
    }
    file.sync()?;
    Ok(file)
}

/// All bytes of a segment's file.
pub(super) fn read(file: &dyn DiskFile, id: u64) -> Result<Vec<u8>, WalError> {
    let io_error = |source| WalError::Io {
        context: format!("reading segment {}", name(id)),
        source,
    };
    let size = file.size().map_err(io_error)?;
    if size > MAX_BYTES {
        return Err(WalError::Corrupt(format!(
            "segment {} has {size} bytes: no segment is larger than {MAX_BYTES}",
            name(id)
        )));
    }
    file.read_at(0, size).map_err(io_error)
}

/// The numbers of the segments that make up the log, oldest first, and what was dropped before them. None may be missing:
/// they are made in order, and removed in order, from the front (noted beforehand) and, at recovery, from the back.
pub(super) fn retained(disk: &dyn Disk) -> Result<(Vec<u64>, super::dropped::Dropped), WalError> {
    // In this order: whatever is dropped meanwhile, beside a running process, is then in the note.
    let names = disk.list().map_err(|source| WalError::Io {
        context: "listing the log's directory".to_owned(),
        source,
    })?;
    let (_, dropped) = super::dropped::read(disk)?;
    let removed = dropped.segment;
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
    Ok((ids, dropped))
}

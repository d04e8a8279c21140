//! Opening: reads the whole log, cuts off what a crash left half written, and makes durable what remains, before anybody
//! acts on it (after a kill it may exist in the page cache only).

use std::io;
use std::sync::Arc;

use super::blocks::Blocks;
use super::disk::{Disk, DiskFile};
use super::dropped::Dropped;
use super::frame::{self, Decoder};
use super::rule::{Bad, Order, Verdict};
use super::segments::{self, CHUNK, Segment, name};
use crate::{Position, WalError};

/// This many segments at the end may have bytes that the last process wrote and did not make durable: the one that it
/// wrote to, and the next one, which was ready.
const UNCERTAIN: usize = 2;

/// What recovery found.
pub(super) struct Recovered {
    /// All segments, oldest first; the last one is written on.
    pub(super) segments: Vec<Segment>,
    /// Number of the last frame; 0 for an empty log.
    pub(super) last: u64,
    /// The run that ended, if one wrote anything.
    pub(super) run: Option<u32>,
    /// What is no longer there.
    pub(super) dropped: Dropped,
}

fn io_error(context: &str, id: u64) -> impl Fn(io::Error) -> WalError {
    let context = format!("{context} segment {}", name(id));
    move |source| WalError::Io {
        context: context.clone(),
        source,
    }
}

/// Recovers the log on a disk. Nothing is changed if it is refused.
///
/// # Errors
/// [`WalError::Corrupt`] if it was damaged after the fact (see [`super::rule`]), also if it ends before `durable`, the
/// position up to which a store has applied it; [`WalError::Incompatible`]; [`WalError::Io`].
pub(super) fn recover(disk: &dyn Disk, durable: Position) -> Result<Recovered, WalError> {
    let (ids, dropped) = segments::retained(disk)?;
    let mut files: Vec<(u64, Arc<dyn DiskFile>)> = Vec::new();
    for id in ids {
        let file = disk
            .open(&name(id), false)
            .map_err(io_error("opening", id))?;
        files.push((id, file));
    }
    for (id, file) in files.iter().rev().take(UNCERTAIN) {
        // What was not yet written is; then the cache is read no more, which may hold what a failed sync never wrote.
        file.sync().map_err(io_error("fdatasync of", *id))?;
        file.forget_cache()
            .map_err(io_error("rereading from the medium", *id))?;
    }
    let mut order = Order::after(&dropped);
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    let mut tail = None;
    for (index, (id, file)) in files.iter().enumerate() {
        let bytes = segments::read(file.as_ref(), *id)?;
        let (segment, bad) = walk(&bytes, *id, file, &mut order, &mut decoder)?;
        let offset = segment.end as usize;
        let later = &files[index + 1..];
        let refused = |what: &str| {
            WalError::Corrupt(format!(
                "segment {} is damaged at offset {offset}: {what}; restore a backup",
                name(*id)
            ))
        };
        match order.judge(&bad, &bytes, offset, *id, later.is_empty()) {
            Verdict::Damaged(what) => return Err(refused(&what)),
            Verdict::Incompatible(what) => {
                return Err(WalError::Incompatible(format!(
                    "segment {} at offset {offset}: {what}",
                    name(*id)
                )));
            }
            // A segment that was filled, or left for the next one after a crash, is followed by one that goes on.
            Verdict::End if bad == Bad::Nothing && offset > 0 && !later.is_empty() => {
                found.push(segment);
            }
            Verdict::End => {
                for (id, file) in later {
                    let bytes = segments::read(file.as_ref(), *id)?;
                    if let Some(what) = order.witness(&bytes, 0, *id) {
                        return Err(refused(&what));
                    }
                }
                if frame::sequence(durable) >= order.missing() {
                    return Err(refused(&format!(
                        "frame {} is missing, and a store has applied the log up to frame {}",
                        order.missing(),
                        frame::sequence(durable)
                    )));
                }
                found.push(segment);
                tail = Some((bytes, later));
                break;
            }
        }
    }
    if let (Some((bytes, later)), Some(segment)) = (tail, found.last()) {
        cut(disk, segment, &bytes, later)
            .map_err(io_error("cutting off the end of", segment.id))?;
    }
    // The older ones too: the directory may be a copy that nobody has synced. The zeros of the cut among them: a new frame
    // may end where a stale one begins, and must not become durable before that is gone.
    for segment in &found {
        segment
            .file
            .sync()
            .map_err(io_error("fdatasync of", segment.id))?;
    }
    clean(disk, &dropped)?;
    Ok(Recovered {
        last: order.next.map_or(0, |next| next - 1),
        run: order.run,
        segments: found,
        dropped,
    })
}

/// Reads the frames of a segment as far as they are good.
fn walk(
    bytes: &[u8],
    id: u64,
    file: &Arc<dyn DiskFile>,
    order: &mut Order,
    decoder: &mut Decoder,
) -> Result<(Segment, Bad), WalError> {
    let mut segment = Segment {
        id,
        file: Arc::clone(file),
        born_ms: None,
        last: order.next.map_or(0, |next| next - 1),
        run: order.run.unwrap_or_default(),
        blocks: Blocks::default(),
        end: 0,
        size: bytes.len() as u64,
    };
    loop {
        let offset = segment.end as usize;
        let frame = match order.step(bytes, offset, id) {
            Ok(frame) => frame,
            Err(bad) => return Ok((segment, bad)),
        };
        let partitions = frame.partitions(decoder).ok_or_else(|| {
            WalError::Corrupt(format!(
                "segment {}: frame {} at offset {offset} has a good checksum and cannot be read: it was written by a broken \
                 version",
                name(id),
                frame.header.sequence
            ))
        })?;
        if let Some(birth) = frame.birth() {
            segment.born_ms = Some(birth.time_ms);
        }
        segment
            .blocks
            .note(segment.end, frame.header.sequence, &partitions);
        segment.last = frame.header.sequence;
        segment.run = frame.header.run;
        segment.end = frame.end as u64;
    }
}

/// Nothing of an unfinished end may be taken for a frame later: the rest is zeroed, later segments go. The caller syncs.
fn cut(
    disk: &dyn Disk,
    segment: &Segment,
    bytes: &[u8],
    later: &[(u64, Arc<dyn DiskFile>)],
) -> io::Result<()> {
    // From the back, so that a crash here leaves no gap.
    for (id, _) in later.iter().rev() {
        disk.remove(&name(*id))?;
    }
    if !later.is_empty() {
        disk.sync_dir()?;
    }
    let zeros = vec![0; CHUNK as usize];
    // A last frame's padding may reach beyond a file that was cut off there.
    let rest = bytes.get(segment.end as usize..).unwrap_or_default();
    for (at, part) in (segment.end..)
        .step_by(CHUNK as usize)
        .zip(rest.chunks(CHUNK as usize))
    {
        if part.iter().any(|byte| *byte != 0) {
            segment.file.write_at(at, &zeros[..part.len()])?;
        }
    }
    Ok(())
}

/// Removes what a crash left of files that are dropped already, or were never finished. Other files are not ours.
fn clean(disk: &dyn Disk, dropped: &Dropped) -> Result<(), WalError> {
    let io_error = |source| WalError::Io {
        context: "removing old files of the log".to_owned(),
        source,
    };
    let mut removed = false;
    for file in disk.list().map_err(io_error)? {
        let is_dropped = segments::number(&file).is_some_and(|id| id <= dropped.segment);
        if is_dropped || segments::is_unfinished(&file) {
            disk.remove(&file).map_err(io_error)?;
            removed = true;
        } else if segments::number(&file).is_none() && !OURS.contains(&&*file) {
            tracing::warn!(
                file,
                "there is a file in the log's directory that is none of the log's"
            );
        }
    }
    if removed {
        disk.sync_dir().map_err(io_error)?;
    }
    Ok(())
}

/// The files that are no segments.
const OURS: [&str; 2] = [super::dropped::NAME, "LOCK"];

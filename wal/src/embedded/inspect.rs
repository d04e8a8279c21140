//! The log's files, only looked at: for tools, beside a running server or without one.
//!
//! Nothing is locked, made, cut or zeroed, and the rule that decides about the end ([`super::rule`]) is the one that the
//! next start will follow: what is reported here is what it will find.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFile, ReadOnly};
use super::dropped::{self, Dropped};
use super::frame::{self, Decoder, MAX_RECORDS};
use super::pin::ToCopy;
use super::rule::{Bad, Order, Verdict};
use super::segments;
use crate::{Partition, Position, Record, WalError};

/// How often the files are listed anew when one of them was dropped in between.
const LISTINGS: usize = 10;

/// The files of a log, as they were when this was opened. They stay readable, also if a server drops them meanwhile.
pub struct LogFiles {
    files: Vec<(u64, Arc<dyn DiskFile>)>,
    note: Vec<u8>,
    dropped: Dropped,
}

/// A frame, and where it is.
pub struct Frame<'a> {
    /// Number of the segment.
    pub segment: u64,
    /// Where it begins in the segment's file.
    pub offset: u64,
    /// Bytes that it takes there, with header and padding.
    pub bytes: u64,
    /// Version of its format.
    pub version: u8,
    /// Number of the process's run that wrote it.
    pub run: u32,
    /// Its number: rises by one.
    pub sequence: u64,
    /// Every frame up to this number was durable when this one was written.
    pub durable: u64,
    /// Bytes of its records as they are stored.
    pub stored_bytes: u64,
    /// Bytes of its records before compression.
    pub raw_bytes: u64,
    /// Whether they are compressed.
    pub compressed: bool,
    /// If it is the first frame of its segment: when it was written, in milliseconds since the epoch, where it says so.
    pub born_ms: Option<i64>,
    /// The partitions that it has records of, each with the position of its last one.
    pub partitions: Vec<(Partition, Position)>,
    found: frame::Frame<'a>,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in its file.
    pub offset: u64,
}

/// How a walk over the log's frames ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// At the end of the log, behind which nothing was ever written.
    Clean(Place),
    /// At a frame that is not whole, and of which nothing says that it was durable: a crash's unfinished end, which the
    /// next start cuts off; beside a running server, perhaps a frame that is just being written. By the stated limit of
    /// the rule it may also be damage in the last group that was synced before a crash.
    Torn(Place),
    /// At bytes that were damaged after they were durable: the next start will refuse. The text says why that is certain.
    Damaged(Place, String),
    /// At a frame that this build cannot read.
    Incompatible(Place, String),
    /// Where the visitor wanted no more.
    Stopped(Place),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = segments::name(self.segment);
        write!(f, "segment {name} at offset {}", self.offset)
    }
}

impl Frame<'_> {
    /// The bytes of its records, decompressed. `None` if they cannot be.
    pub fn body(&self) -> Option<Vec<u8>> {
        Decoder::default().body(&self.found)
    }

    /// Its records, in order. `None` if they are not what this format can be: a broken version wrote them.
    pub fn records(&self) -> Option<Vec<(Partition, Position, Record)>> {
        let records = Decoder::default().records(&self.found, None)?;
        let positioned = records.into_iter().map(|(index, partition, record)| {
            (partition, frame::position(self.sequence, index), record)
        });
        Some(positioned.collect())
    }
}

impl LogFiles {
    /// Opens the log in `dir` for reading.
    ///
    /// # Errors
    /// There is no such directory, or no log in it ([`WalError::Io`]); a segment is missing or the note of dropped
    /// segments is damaged ([`WalError::Corrupt`]).
    pub fn open(dir: &Path) -> Result<LogFiles, WalError> {
        LogFiles::on_disk(&ReadOnly(dir.to_owned()))
    }

    /// Opens the log on a disk, of which nothing but [`Disk::list`] and [`Disk::open`] is used.
    ///
    /// # Errors
    /// As [`LogFiles::open`].
    pub fn on_disk(disk: &dyn Disk) -> Result<LogFiles, WalError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match LogFiles::snapshot(disk) {
                // A running server dropped it between the listing and here.
                Err(WalError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound && tries < LISTINGS => {}
                other => return other,
            }
        }
    }

    fn snapshot(disk: &dyn Disk) -> Result<LogFiles, WalError> {
        let (ids, dropped) = segments::retained(disk)?;
        let open = |name: String| {
            disk.open(&name, false).map_err(|source| WalError::Io {
                context: format!("opening {name}"),
                source,
            })
        };
        if ids.is_empty() {
            return Err(WalError::Io {
                context: "looking for the log's segments".to_owned(),
                source: std::io::Error::other("there are none"),
            });
        }
        let files = ids
            .into_iter()
            .map(|id| Ok((id, open(segments::name(id))?)))
            .collect::<Result<Vec<_>, WalError>>()?;
        let note = dropped::read(disk)?;
        if note.1 != dropped {
            return Err(WalError::Io {
                context: format!("reading {}", dropped::NAME),
                source: std::io::ErrorKind::NotFound.into(),
            });
        }
        Ok(LogFiles {
            files,
            note: note.0,
            dropped,
        })
    }

    /// The segments' numbers and the sizes of their files in bytes, oldest first.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn segments(&self) -> Result<Vec<(u64, u64)>, WalError> {
        self.files
            .iter()
            .map(|(id, file)| {
                let size = file.size().map_err(|source| WalError::Io {
                    context: format!("reading the size of segment {}", segments::name(*id)),
                    source,
                })?;
                Ok((*id, size))
            })
            .collect()
    }

    /// Positions up to which records of a partition were dropped with old segments.
    pub fn dropped(&self) -> &BTreeMap<Partition, Position> {
        &self.dropped.positions
    }

    /// Visits every frame in order, up to the first bad place or until `visit` breaks off. One segment is in memory at a
    /// time, and the next one.
    ///
    /// # Errors
    /// [`WalError::Io`]; [`WalError::Corrupt`] for a file that is larger than any segment. Damage is no error: see [`End`].
    pub fn walk(
        &self,
        visit: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>,
    ) -> Result<End, WalError> {
        let mut order = Order::after(&self.dropped);
        let mut decoder = Decoder::default();
        let mut ahead = None;
        for (index, (id, file)) in self.files.iter().enumerate() {
            let mut bytes = match ahead.take() {
                Some(bytes) => bytes,
                None => segments::read(file.as_ref(), *id)?,
            };
            let is_last = index + 1 == self.files.len();
            let mut offset = 0;
            let mut fresh = false;
            loop {
                let place = Place {
                    segment: *id,
                    offset: offset as u64,
                };
                match order.step(&bytes, offset, *id) {
                    Ok(found) => {
                        let Some(frame) = Frame::of(found, place, &mut decoder) else {
                            let what = "the frame there has a good checksum and cannot be read";
                            return Ok(End::Incompatible(place, what.to_owned()));
                        };
                        if visit(&frame).is_break() {
                            return Ok(End::Stopped(place));
                        }
                        offset = found.end;
                        fresh = false;
                    }
                    // A running server may have gone on, here and in the next segment, since this was read. What is
                    // read now, after the next segment, has whatever came before the frames there.
                    Err(_) if !fresh => {
                        if let Some((next, file)) = self.files.get(index + 1) {
                            ahead = Some(segments::read(file.as_ref(), *next)?);
                        }
                        bytes = segments::read(file.as_ref(), *id)?;
                        fresh = true;
                    }
                    Err(bad) => match order.judge(&bad, &bytes, offset, *id, is_last) {
                        Verdict::Damaged(what) => return Ok(End::Damaged(place, what)),
                        Verdict::Incompatible(what) => return Ok(End::Incompatible(place, what)),
                        Verdict::End if bad == Bad::Nothing && offset > 0 && !is_last => {
                            break;
                        }
                        Verdict::End => return self.end(&order, &bad, place, index + 1),
                    },
                }
            }
        }
        // There is at least one segment, and the last one returns.
        Ok(End::Clean(Place {
            segment: self.dropped.segment + 1,
            offset: 0,
        }))
    }

    /// What a bad place is, if no frame of its segment says more.
    fn end(&self, order: &Order, bad: &Bad, place: Place, later: usize) -> Result<End, WalError> {
        for (id, file) in &self.files[later..] {
            let bytes = segments::read(file.as_ref(), *id)?;
            if let Some(what) = order.witness(&bytes, 0, *id) {
                return Ok(End::Damaged(place, what));
            }
        }
        Ok(match bad {
            Bad::Nothing => End::Clean(place),
            _ => End::Torn(place),
        })
    }

    /// What a copy needs that holds every frame up to that of `up_to`, and none behind it; the content of each file is
    /// got with [`LogFiles::read`]. A server has [`super::EmbeddedLog::pin`], which knows what is durable.
    ///
    /// # Errors
    /// As [`LogFiles::walk`]; [`WalError::Corrupt`] if the log is damaged or ends before `up_to`.
    pub fn to_copy(&self, up_to: Position) -> Result<Vec<ToCopy>, WalError> {
        let last = frame::sequence(up_to);
        let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
        let mut reached = self.dropped.last.unwrap_or(0);
        let end = self.walk(&mut |frame| {
            if frame.sequence > last {
                return ControlFlow::Break(());
            }
            ends.insert(frame.segment, frame.offset + frame.bytes);
            reached = frame.sequence;
            ControlFlow::Continue(())
        })?;
        if reached < last {
            return Err(WalError::Corrupt(format!(
                "the log can be read up to frame {reached}, and a copy up to frame {last} was asked for: {end:?}"
            )));
        }
        let mut copies = Vec::new();
        let first = self.dropped.segment + 1;
        if !self.note.is_empty() {
            let size = self.note.len() as u64;
            copies.push(ToCopy {
                name: dropped::NAME.to_owned(),
                bytes: size,
                size,
            });
        }
        for (id, size) in self.segments()? {
            let bytes = ends.get(&id).copied();
            // A log has at least one segment.
            if bytes.is_some() || id == first {
                copies.push(ToCopy {
                    name: segments::name(id),
                    bytes: bytes.unwrap_or(0),
                    size,
                });
            }
        }
        Ok(copies)
    }

    /// Bytes of one of the files that [`LogFiles::to_copy`] names: at most `len` from `offset` on, fewer at its end.
    ///
    /// # Errors
    /// [`WalError::Io`], also if there is no such file.
    pub fn read(&self, name: &str, offset: u64, len: u64) -> Result<Vec<u8>, WalError> {
        if name == dropped::NAME {
            let from = self.note.len().min(offset as usize);
            let to = self.note.len().min(from.saturating_add(len as usize));
            return Ok(self.note[from..to].to_vec());
        }
        let file = self
            .files
            .iter()
            .find(|(id, _)| segments::number(name) == Some(*id))
            .ok_or_else(|| std::io::ErrorKind::NotFound.into());
        file.and_then(|(_, file)| file.read_at(offset, len))
            .map_err(|source| WalError::Io {
                context: format!("reading {name}"),
                source,
            })
    }

    /// The position that ends a frame: for [`LogFiles::to_copy`].
    pub fn position_of(sequence: u64) -> Position {
        frame::position(sequence, MAX_RECORDS - 1)
    }
}

impl<'a> Frame<'a> {
    fn of(found: frame::Frame<'a>, place: Place, decoder: &mut Decoder) -> Option<Frame<'a>> {
        let sequence = found.header.sequence;
        let partitions = found.partitions(decoder)?;
        Some(Frame {
            segment: place.segment,
            offset: place.offset,
            bytes: found.end as u64 - place.offset,
            version: found.version,
            run: found.header.run,
            sequence,
            durable: found.header.durable,
            stored_bytes: found.body.len() as u64,
            raw_bytes: u64::from(found.raw),
            compressed: found.is_compressed(),
            born_ms: found.birth().map(|birth| birth.time_ms),
            partitions: partitions
                .into_iter()
                .map(|(partition, last)| (partition, frame::position(sequence, last as usize)))
                .collect(),
            found,
        })
    }
}

//! What was dropped with old segments: written down before the first of them is removed, so that a reader is told of it,
//! and a segment that is missing for any other reason is noticed.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use super::disk::Disk;
use super::frame::{self, Decoder, Encoder, Found, Header};
use crate::{Partition, Position, Record, WalError};

/// Its name.
pub(super) const NAME: &str = "dropped";

/// More than a note of all partitions that there can be.
const MAX_BYTES: u64 = 16 << 20;

/// What is no longer in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Every segment up to this number; 0 if none.
    pub(super) segment: u64,
    /// Number of the last frame in them, where that is known (version 1 does not tell).
    pub(super) last: Option<u64>,
    /// The run that wrote it.
    pub(super) run: Option<u32>,
    /// Every record of these partitions up to these positions.
    pub(super) positions: BTreeMap<Partition, Position>,
}

/// Reads the note, as bytes and as what they say; nothing was dropped if there is none.
pub(super) fn read(disk: &dyn Disk) -> Result<(Vec<u8>, Dropped), WalError> {
    let io_error = |source| WalError::Io {
        context: format!("reading {NAME}"),
        source,
    };
    let names = disk.list().map_err(io_error)?;
    if !names.iter().any(|name| name == NAME) {
        return Ok((Vec::new(), Dropped::default()));
    }
    let bytes = disk
        .open(NAME, false)
        .and_then(|file| file.read_at(0, MAX_BYTES))
        .map_err(io_error)?;
    if let Found::Newer(version) = frame::find(&bytes, 0, 0) {
        return Err(WalError::Incompatible(format!(
            "the log's file {NAME} is of version {version}, and this build reads up to {}",
            frame::VERSION
        )));
    }
    match parse(&bytes) {
        Some(dropped) => Ok((bytes, dropped)),
        None => Err(WalError::Corrupt(format!(
            "the log's file {NAME} is damaged at offset 0; restore a backup"
        ))),
    }
}

/// A frame of segment 0, whose number is that of the last segment dropped, and which says that all frames in it were
/// durable; a record holds a position in its key.
fn parse(bytes: &[u8]) -> Option<Dropped> {
    let Found::Frame(frame) = frame::find(bytes, 0, 0) else {
        return None;
    };
    let positions = Decoder::default()
        .records(&frame, None)?
        .iter()
        .map(|(_, partition, record)| {
            let raw = record.key[..].try_into().ok()?;
            Some((*partition, Position::from_u64(u64::from_be_bytes(raw))))
        })
        .collect::<Option<_>>()?;
    let known = frame.version > 1;
    Some(Dropped {
        segment: frame.header.sequence,
        last: known.then_some(frame.header.durable),
        run: known.then_some(frame.header.run),
        positions,
    })
}

/// Writes the note, durably.
pub(super) fn write(disk: &dyn Disk, dropped: &Dropped) -> io::Result<()> {
    let records: Vec<_> = dropped
        .positions
        .iter()
        .map(|(partition, position)| {
            let record = Record {
                key: Bytes::copy_from_slice(&position.to_u64().to_be_bytes()),
                value: None,
                time_ms: 0,
            };
            (*partition, record)
        })
        .collect();
    let header = Header {
        segment: 0,
        run: dropped.run.unwrap_or_default(),
        sequence: dropped.segment,
        durable: dropped.last.unwrap_or_default(),
    };
    let mut bytes = Vec::new();
    Encoder::new(usize::MAX).encode(&mut bytes, header, None, &records);
    let part = format!("{NAME}.new");
    let file = disk.open(&part, true)?;
    file.set_len(0)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&part, NAME)?;
    disk.sync_dir()
}

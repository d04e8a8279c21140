//! What was dropped with old segments: written down before the first of them is removed, so that a reader is told of it,
//! and a segment that is missing for any other reason is noticed.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use super::disk::Disk;
use super::frame::{self, Encoder, Found};
use crate::{Partition, Position, Record, WalError};

const NAME: &str = "dropped";

/// What is no longer in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Every segment up to this number; 0 if none.
    pub(super) segment: u64,
    /// Every record of these partitions up to these positions.
    pub(super) positions: BTreeMap<Partition, Position>,
}

/// Reads the note; nothing was dropped if there is none.
pub(super) fn read(disk: &dyn Disk) -> Result<Dropped, WalError> {
    let io_error = |source| WalError::Io {
        context: format!("reading {NAME}"),
        source,
    };
    let names = disk.list().map_err(io_error)?;
    if !names.iter().any(|name| name == NAME) {
        return Ok(Dropped::default());
    }
    let bytes = disk
        .open(NAME, false)
        .and_then(|file| file.read(u64::MAX))
        .map_err(io_error)?;
    parse(&bytes).ok_or_else(|| {
        WalError::Corrupt(format!(
            "the log's file {NAME} is damaged; restore a backup"
        ))
    })
}

/// A frame of segment 0, whose number is that of the last segment dropped; a record holds a position in its key.
fn parse(bytes: &[u8]) -> Option<Dropped> {
    let Found::Frame(header, body, _) = frame::find(bytes, 0, 0) else {
        return None;
    };
    let positions = frame::records(&header, body)?
        .iter()
        .map(|(partition, record)| {
            let raw = record.key[..].try_into().ok()?;
            Some((*partition, Position::from_u64(u64::from_be_bytes(raw))))
        })
        .collect::<Option<_>>()?;
    Some(Dropped {
        segment: header.sequence,
        positions,
    })
}

/// Adds to the note, durably.
pub(super) fn add(disk: &dyn Disk, new: Dropped) -> io::Result<()> {
    let mut all = read(disk).map_err(|error| io::Error::other(error.to_string()))?;
    all.segment = all.segment.max(new.segment);
    all.positions.extend(new.positions);
    let records: Vec<_> = all
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
    let mut bytes = Vec::new();
    Encoder::new(usize::MAX).encode(&mut bytes, 0, 0, all.segment, 0, &records);
    let part = format!("{NAME}.new");
    let file = disk.open(&part, true)?;
    file.set_len(0)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&part, NAME)?;
    disk.sync_dir()
}

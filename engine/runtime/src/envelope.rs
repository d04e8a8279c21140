//! The envelope of a client's command in the log.

use bytes::{BufMut, Bytes, BytesMut};
use wal::{Position, Record};

/// Matches a command with who waits for it, and with itself when it is submitted again after a change of owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A client's command: an envelope around the application's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Whose answer it is.
    pub request_id: RequestId,
    /// The metadata version that the receiving server had shown to anybody when it took the request: the command must
    /// see at least this one.
    pub seen_version: Position,
    /// The application's own.
    pub payload: Bytes,
}

/// Format version, request id, metadata version.
const HEADER: usize = 1 + 16 + 8;
const VERSION: u8 = 1;

impl Command {
    /// The record that carries it. `time_ms` is the receiving server's clock.
    pub fn into_record(self, time_ms: i64) -> Record {
        let mut value = BytesMut::with_capacity(HEADER + self.payload.len());
        value.put_u8(VERSION);
        value.put_u128(self.request_id.0);
        value.put_u64(self.seen_version.to_u64());
        value.put_slice(&self.payload);
        Record {
            key: Bytes::new(),
            value: Some(value.freeze()),
            time_ms,
        }
    }

    /// Reads the envelope; `None` for anything that [`Command::into_record`] did not write.
    pub fn from_record(record: &Record) -> Option<Command> {
        let value = record.value.as_ref()?;
        if value.len() < HEADER || value[0] != VERSION {
            return None;
        }
        let id: [u8; 16] = value[1..17].try_into().ok()?;
        let version: [u8; 8] = value[17..25].try_into().ok()?;
        Some(Command {
            request_id: RequestId(u128::from_be_bytes(id)),
            seen_version: Position::from_u64(u64::from_be_bytes(version)),
            payload: value.slice(HEADER..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_round_trips_and_garbage_is_refused() {
        let command = Command {
            request_id: RequestId(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
            seen_version: Position::from_u64(42),
            payload: Bytes::from_static(b"payload"),
        };
        let record = command.clone().into_record(7);
        assert_eq!(record.time_ms, 7);
        assert_eq!(Command::from_record(&record), Some(command));
        for cut in 0..HEADER {
            let short = Record {
                key: Bytes::new(),
                value: record.value.as_ref().map(|v| v.slice(..cut)),
                time_ms: 0,
            };
            assert_eq!(Command::from_record(&short), None, "cut at {cut}");
        }
    }
}

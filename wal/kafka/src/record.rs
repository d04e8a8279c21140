//! Records as Kafka carries them.

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use wal::{Position, Record, WalError};

/// The header that holds [`Record::time_ms`], 8 bytes, big-endian. Kafka's own timestamp is the time of the send: brokers
/// refuse those that are far off (KIP-1030), and use them to say when a tombstone may go.
const TIME: &str = "t";

pub(crate) fn headers(record: &Record) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(Header {
        key: TIME,
        value: Some(&record.time_ms.to_be_bytes()),
    })
}

/// The record of a message.
///
/// # Errors
/// Somebody else wrote it: it has no time.
pub(crate) fn from_message(message: &BorrowedMessage<'_>) -> Result<Record, WalError> {
    let time = message
        .headers()
        .and_then(|headers| headers.iter().find(|header| header.key == TIME))
        .and_then(|header| header.value)
        .and_then(|value| value.try_into().ok());
    let Some(time) = time else {
        return Err(WalError::Corrupt(format!(
            "{}/{} has at offset {} a record that Ironhorse did not write",
            message.topic(),
            message.partition(),
            message.offset()
        )));
    };
    Ok(Record {
        key: message
            .key()
            .map_or_else(Bytes::new, Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        time_ms: i64::from_be_bytes(time),
    })
}

/// The position of the record at `offset`: positions begin above 0, offsets at 0.
pub(crate) fn position(offset: i64) -> Position {
    Position::from_u64(offset as u64 + 1)
}

/// The offset of the first record after `position`.
pub(crate) fn offset_after(position: Position) -> i64 {
    position.to_u64() as i64
}

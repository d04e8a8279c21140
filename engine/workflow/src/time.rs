//! Times of the API: milliseconds in records, `Timestamp` in messages.

use prost_types::Timestamp;
pub use proto::time::from_millis as timestamp;

/// Milliseconds since the epoch; an unset time is the epoch itself.
pub fn timestamp_ms(time: Option<&Timestamp>) -> i64 {
    time.map_or(0, proto::time::to_millis)
}

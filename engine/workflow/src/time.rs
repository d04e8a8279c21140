//! Times of the API: milliseconds in records, `Timestamp` in messages.

use prost_types::Timestamp;

/// The first and the last millisecond that a `Timestamp` can have: clients refuse messages with others.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

/// The nearest time that a `Timestamp` can have, in milliseconds since the epoch.
pub fn in_range(ms: i64) -> i64 {
    ms.clamp(FIRST_MS, LAST_MS)
}

/// The time so many milliseconds after the epoch, or the nearest one that a `Timestamp` can have.
pub fn timestamp(ms: i64) -> Timestamp {
    proto::time::from_millis(in_range(ms))
}

/// Milliseconds since the epoch; an unset time is the epoch itself.
pub fn timestamp_ms(time: Option<&Timestamp>) -> i64 {
    time.map_or(0, proto::time::to_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_the_nearest_in_it() {
        let text = |ms| timestamp(ms).to_string();
        assert_eq!(text(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(text(i64::MIN), "0001-01-01T00:00:00Z");
        assert_eq!(text(1), "1970-01-01T00:00:00.001Z");
    }
}

//! Times of the API as milliseconds since the epoch: all times that the server makes have that precision (spec 01,
//! section 1.3).

use prost_types::Timestamp;

const MILLIS_PER_SECOND: i64 = 1_000;
const NANOS_PER_MILLI: i32 = 1_000_000;

/// The time `millis` milliseconds after the epoch (before it, when negative). Exact, and always in normal form:
/// the nanoseconds count forward from the second and are below one second.
pub fn from_millis(millis: i64) -> Timestamp {
    Timestamp {
        seconds: millis.div_euclid(MILLIS_PER_SECOND),
        nanos: millis.rem_euclid(MILLIS_PER_SECOND) as i32 * NANOS_PER_MILLI,
    }
}

/// Milliseconds since the epoch, rounded down, so that the order of times is kept on both sides of the epoch.
///
/// Clients can send anything: nanoseconds out of their range are added as they are, and a time that does not fit is the
/// nearest one that does.
pub fn to_millis(time: &Timestamp) -> i64 {
    let millis = i128::from(time.seconds) * i128::from(MILLIS_PER_SECOND)
        + i128::from(time.nanos.div_euclid(NANOS_PER_MILLI));
    i64::try_from(millis).unwrap_or(if millis < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timestamp(seconds: i64, nanos: i32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    #[test]
    fn milliseconds_are_floored() {
        assert_eq!(to_millis(&timestamp(1, 999_999)), 1_000);
        assert_eq!(to_millis(&timestamp(0, 999_999_999)), 999);
        // 0.1 ms before the epoch.
        assert_eq!(to_millis(&timestamp(-1, 999_900_000)), -1);
        assert_eq!(to_millis(&timestamp(-1, 0)), -1_000);
        assert_eq!(from_millis(-1), timestamp(-1, 999_000_000));
        assert_eq!(from_millis(1_500), timestamp(1, 500_000_000));
    }

    #[test]
    fn what_does_not_fit_is_clamped() {
        assert_eq!(to_millis(&timestamp(i64::MAX, i32::MAX)), i64::MAX);
        assert_eq!(to_millis(&timestamp(i64::MIN, i32::MIN)), i64::MIN);
        assert_eq!(to_millis(&timestamp(0, -1)), -1);
        assert_eq!(to_millis(&timestamp(0, i32::MAX)), 2_147);
    }

    proptest! {
        #[test]
        fn millis_round_trip(millis: i64) {
            let time = from_millis(millis);
            prop_assert!((0..1_000_000_000).contains(&time.nanos));
            prop_assert_eq!(to_millis(&time), millis);
        }

        #[test]
        fn order_is_kept(a: (i64, u16), b: (i64, u16)) {
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            let millis = |(s, n): (i64, u16)| to_millis(&timestamp(s, i32::from(n) * 15_000));
            prop_assert!(millis(a) <= millis(b));
        }
    }
}

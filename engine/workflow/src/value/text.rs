//! The string form of values (spec 02, section 1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use proto::littlehorse::VariableValue;
use proto::littlehorse::variable_value::Value;

use super::json;

/// The string form of a value; `None` for NULL.
pub fn string_form(value: &VariableValue) -> Option<String> {
    let value = value.value.as_ref()?;
    Some(match value {
        Value::Int(int) => int.to_string(),
        Value::Double(double) => double_form(*double),
        Value::Bool(bool) => bool.to_string(),
        Value::Str(text) => text.clone(),
        Value::WfRunId(id) => id.to_string(),
        Value::Bytes(bytes) => STANDARD.encode(bytes),
        // Stored JSON is compact already; text that never passed the edge is shown as it is.
        Value::JsonObj(text) | Value::JsonArr(text) => text.clone(),
        Value::UtcTimestamp(time) => timestamp_form(time),
        Value::Struct(_) | Value::Array(_) | Value::Map(_) => json::from_value(value).to_string(),
    })
}

/// The shortest digits that round-trip: plain decimal for magnitudes from 0.001 to below 10^7, scientific beyond.
pub fn double_form(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let magnitude = double.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        // Debug form has a fraction always, and no exponent in this range.
        return format!("{double:?}");
    }
    let scientific = format!("{double:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

/// RFC 3339 in UTC, fraction only if it is not zero. A time outside the calendar is shown as seconds since the epoch.
pub fn timestamp_form(time: &Timestamp) -> String {
    match jiff::Timestamp::new(time.seconds, time.nanos) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{}s{}ns", time.seconds, time.nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{double, int, text};
    use proptest::prelude::*;

    #[test]
    fn doubles() {
        for (double, form) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (22.1, "22.1"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (1e-5, "1.0E-5"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.25e10, "-1.25E10"),
            (1e10, "1.0E10"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_form(double), form);
        }
    }

    #[test]
    fn other_kinds() {
        assert_eq!(string_form(&VariableValue::default()), None);
        assert_eq!(string_form(&int(-3)).as_deref(), Some("-3"));
        assert_eq!(string_form(&text("a")).as_deref(), Some("a"));
        assert_eq!(string_form(&double(2.5)).as_deref(), Some("2.5"));
        let value = |value| VariableValue { value: Some(value) };
        let bytes = value(Value::Bytes(bytes::Bytes::from_static(&[0, 255])));
        assert_eq!(string_form(&bytes).as_deref(), Some("AP8="));
        let time = |seconds, nanos| value(Value::UtcTimestamp(Timestamp { seconds, nanos }));
        assert_eq!(
            string_form(&time(0, 0)).as_deref(),
            Some("1970-01-01T00:00:00Z")
        );
        assert_eq!(
            string_form(&time(1, 500_000_000)).as_deref(),
            Some("1970-01-01T00:00:01.5Z")
        );
        assert!(string_form(&time(i64::MAX, -5)).is_some());
    }

    proptest! {
        #[test]
        fn doubles_round_trip(bits: u64) {
            let double = f64::from_bits(bits);
            let back: f64 = double_form(double).parse().unwrap();
            prop_assert!(back.to_bits() == bits || (back.is_nan() && double.is_nan()));
        }
    }
}

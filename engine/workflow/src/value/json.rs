//! JSON values (spec 02, section 6): strict RFC 8259, order of keys kept, integers apart from other numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::littlehorse::VariableValue;
use proto::littlehorse::variable_value::Value;
use serde_json::{Map, Number, Value as Json};

use super::fault::TypeError;
use super::text;

/// Reads JSON text. A number is an integer only if it was written as one and fits into 64 bits, signed. Of duplicate
/// names the last holds. Nesting is limited to 127 levels.
pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
    let mut json = serde_json::from_str(text)?;
    settle_numbers(&mut json);
    Ok(json)
}

/// Integers beyond the signed range are DOUBLEs.
fn settle_numbers(json: &mut Json) {
    match json {
        Json::Number(number) => {
            if number.as_i64().is_none()
                && let Some(large) = number.as_u64()
                && let Some(double) = Number::from_f64(large as f64)
            {
                *number = double;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(settle_numbers),
        Json::Object(members) => members.values_mut().for_each(settle_numbers),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// The stored form of what a client sent as `json_obj` or `json_arr`: compact text. `None` is NULL, from empty text or
/// the text `null`. An object where an array is declared and the reverse are let through (spec 02, section 4): clients
/// encode tuples so. A scalar is malformed.
pub fn canonical(value: &Value) -> Result<Option<Value>, TypeError> {
    let (text, kind) = match value {
        Value::JsonObj(text) => (text, "JSON_OBJ"),
        Value::JsonArr(text) => (text, "JSON_ARR"),
        other => return Ok(Some(other.clone())),
    };
    let malformed = |reason: String| TypeError::Json { kind, reason };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let json = parse(text).map_err(|error| malformed(error.to_string()))?;
    if json.is_null() {
        return Ok(None);
    }
    if !json.is_object() && !json.is_array() {
        return Err(malformed("the top level is a scalar".to_owned()));
    }
    let compact = json.to_string();
    Ok(Some(match value {
        Value::JsonObj(_) => Value::JsonObj(compact),
        _ => Value::JsonArr(compact),
    }))
}

/// Checks JSON in a task output, at any depth (spec 02, section 4): unlike at the other entries, the top level must be
/// of the kind that the value says.
pub fn check_output(value: &VariableValue) -> Result<(), TypeError> {
    match &value.value {
        Some(json @ (Value::JsonObj(_) | Value::JsonArr(_))) => check_top(json),
        Some(Value::Array(array)) => array.items.iter().try_for_each(check_output),
        Some(Value::Map(map)) => map
            .entries
            .iter()
            .flat_map(|entry| entry.key.iter().chain(&entry.value))
            .try_for_each(check_output),
        Some(Value::Struct(value)) => value
            .r#struct
            .iter()
            .flat_map(|fields| fields.fields.values())
            .filter_map(|field| field.value.as_ref())
            .try_for_each(check_output),
        _ => Ok(()),
    }
}

fn check_top(value: &Value) -> Result<(), TypeError> {
    let Some(canonical) = canonical(value)? else {
        return Ok(());
    };
    let (kind, expected, text) = match &canonical {
        Value::JsonObj(text) => ("JSON_OBJ", '{', text),
        Value::JsonArr(text) => ("JSON_ARR", '[', text),
        _ => return Ok(()),
    };
    if text.starts_with(expected) {
        return Ok(());
    }
    let reason = format!("the top level does not start with {expected}");
    Err(TypeError::Json { kind, reason })
}

/// The content of a JSON value for paths and operators; `None` for other kinds. Malformed text, which can only come
/// from data stored unchecked, and text of the other top level count as empty (spec 02, section 4).
pub(super) fn content(value: &Value) -> Option<Json> {
    match value {
        Value::JsonObj(text) => Some(
            parse(text)
                .ok()
                .filter(|json| json.is_object() || json.is_null())
                .unwrap_or_else(|| Json::Object(Map::new())),
        ),
        Value::JsonArr(text) => Some(
            parse(text)
                .ok()
                .filter(|json| json.is_array() || json.is_null())
                .unwrap_or_else(|| Json::Array(Vec::new())),
        ),
        _ => None,
    }
}

/// The elements of an `ARRAY` or a `JSON_ARR`; `None` for anything else.
pub fn elements(list: &VariableValue) -> Option<Vec<VariableValue>> {
    match list.value.as_ref()? {
        Value::Array(array) => Some(array.items.clone()),
        Value::JsonArr(text) => match parse(text) {
            Ok(Json::Array(items)) => Some(items.into_iter().map(to_value).collect()),
            _ => None,
        },
        _ => None,
    }
}

/// What is read out of JSON (spec 02, section 6, last rule).
pub fn to_value(json: Json) -> VariableValue {
    let value = match json {
        Json::Null => None,
        Json::Bool(bool) => Some(Value::Bool(bool)),
        Json::Number(number) => Some(match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Json::String(text) => Some(Value::Str(text)),
        Json::Array(_) => Some(Value::JsonArr(json.to_string())),
        Json::Object(_) => Some(Value::JsonObj(json.to_string())),
    };
    VariableValue { value }
}

/// The JSON form of a value (spec 02, section 7.2, rule 6). NaN and infinities, which JSON lacks, become their text.
pub fn from_value(value: &Value) -> Json {
    match value {
        Value::JsonObj(_) | Value::JsonArr(_) => content(value).unwrap_or(Json::Null),
        Value::Int(int) => Json::from(*int),
        Value::Double(double) => Number::from_f64(*double)
            .map_or_else(|| Json::String(text::double_form(*double)), Json::Number),
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Str(text) => Json::String(text.clone()),
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Value::WfRunId(id) => Json::String(id.to_string()),
        Value::UtcTimestamp(time) => Json::String(text::timestamp_form(time)),
        Value::Array(array) => array.items.iter().map(from_nullable).collect(),
        Value::Map(map) => {
            let mut members = Map::new();
            for entry in &map.entries {
                let key = entry.key.as_ref().and_then(text::string_form);
                let value = entry.value.as_ref().map_or(Json::Null, from_nullable);
                // The first of duplicate keys holds, as in look-ups.
                members
                    .entry(key.unwrap_or_else(|| "null".to_owned()))
                    .or_insert(value);
            }
            Json::Object(members)
        }
        Value::Struct(value) => {
            let fields = value.r#struct.iter().flat_map(|fields| &fields.fields);
            let json =
                |value: &Option<VariableValue>| value.as_ref().map_or(Json::Null, from_nullable);
            Json::Object(
                fields
                    .map(|(name, field)| (name.clone(), json(&field.value)))
                    .collect(),
            )
        }
    }
}

/// As [`from_value`]; NULL is JSON null.
pub fn from_nullable(value: &VariableValue) -> Json {
    value.value.as_ref().map_or(Json::Null, from_value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{arr, double, int, obj};
    use proptest::prelude::*;

    fn stored(text: &str) -> Result<Option<Value>, TypeError> {
        canonical(&Value::JsonObj(text.to_owned()))
    }

    #[test]
    fn is_strict() {
        for bad in [
            "not-a-json",
            "{'a':1}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "5",
            "\"x\"",
            "{} {}",
            "{\"a\":01}",
            "// c\n{}",
        ] {
            assert!(stored(bad).is_err(), "{bad}");
        }
        assert_eq!(stored(""), Ok(None));
        assert_eq!(stored(" null "), Ok(None));
    }

    #[test]
    fn keeps_order_nulls_and_number_kinds() {
        for (text, expected) in [
            (r#"{ "b" : 1, "a" : null }"#, r#"{"b":1,"a":null}"#),
            (
                r#"{"d":1.0,"e":1e3,"i":1}"#,
                r#"{"d":1.0,"e":1000.0,"i":1}"#,
            ),
            (
                r#"{"b":9223372036854775807,"c":9223372036854775808}"#,
                r#"{"b":9223372036854775807,"c":9.223372036854776e+18}"#,
            ),
            (r#"{"a":1,"a":{"b":1,"b":2}}"#, r#"{"a":{"b":2}}"#),
            (r#"{"x":"<>&='"}"#, r#"{"x":"<>&='"}"#),
            ("[1, 2]", "[1,2]"),
        ] {
            assert_eq!(
                stored(text),
                Ok(Some(Value::JsonObj(expected.to_owned()))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_other_top_level_passes_but_not_in_task_outputs() {
        assert_eq!(check_output(&obj("{}")), Ok(()));
        assert!(check_output(&obj("[]")).is_err());
        assert!(check_output(&arr("{}")).is_err());
        assert!(check_output(&obj("not-a-json")).is_err()); // spec 02-49 (the check; the TaskRun's status is the engine's)
        assert_eq!(
            content(&Value::JsonObj("[1]".to_owned())),
            Some(Json::Object(Map::new()))
        );
    }

    #[test]
    fn deep_nesting_is_refused_not_overflown() {
        assert!(stored(&"[".repeat(100_000)).is_err());
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            ".*".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::vec((".*", inner), 0..5)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_round_trips(json in any_json()) {
            let text = json.to_string();
            prop_assert_eq!(&parse(&text).unwrap(), &json);
            prop_assert_eq!(parse(&text).unwrap().to_string(), text);
            // A value and its JSON form.
            prop_assert_eq!(from_nullable(&to_value(json.clone())), json);
        }

        #[test]
        fn integers_stay_integers(number: i64) {
            prop_assert_eq!(to_value(parse(&number.to_string()).unwrap()), int(number));
            let fraction = number as f64;
            prop_assert_eq!(to_value(parse(&Json::from(fraction).to_string()).unwrap()), double(fraction));
        }
    }
}

//! Conversion of values at run time (spec 02, section 5) and explicit casts (section 3.2).

use bytes::Bytes;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{TypeDefinition, VariableType, VariableValue, WfRunId};
use proto::time;

use super::fault::Fault;
use super::ingress;
use super::scope::StructDefs;
use super::text::string_form;
use super::types::{Type, kind_name, kind_of};

fn refused(value: &VariableValue, to: impl std::fmt::Display) -> Fault {
    Fault::var_sub(format!("Cannot convert {} to {to}", kind_name(value)))
}

/// Does not quote the text: it may come from a masked variable.
fn unparsed(to: &str) -> Fault {
    Fault::var_sub(format!("Cannot parse the STR as {to}"))
}

/// The value as INT (`toInt`). NULL and kinds that have no INT are faults.
pub fn as_int(value: &VariableValue) -> Result<i64, Fault> {
    match &value.value {
        Some(Value::Int(int)) => Ok(*int),
        // `as` truncates, saturates, and makes NaN 0.
        Some(Value::Double(double)) => Ok(*double as i64),
        Some(Value::Str(text)) => text.parse().map_err(|_| unparsed("INT")),
        Some(Value::UtcTimestamp(at)) => Ok(time::to_millis(at)),
        _ => Err(refused(value, "INT")),
    }
}

/// The value as DOUBLE (`toDouble`).
pub fn as_double(value: &VariableValue) -> Result<f64, Fault> {
    match &value.value {
        Some(Value::Int(int)) => Ok(*int as f64),
        Some(Value::Double(double)) => Ok(*double),
        Some(Value::Str(text)) => parse_double(text.trim()).ok_or_else(|| unparsed("DOUBLE")),
        _ => Err(refused(value, "DOUBLE")),
    }
}

/// Of the words that Rust's parser takes, only those of the string form are numbers.
fn parse_double(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    let word = digits.starts_with(|first: char| first.is_ascii_alphabetic());
    if word && digits != "NaN" && digits != "Infinity" {
        return None;
    }
    text.parse().ok()
}

/// The value as BOOL.
pub fn as_bool(value: &VariableValue) -> Result<bool, Fault> {
    match &value.value {
        Some(Value::Bool(bool)) => Ok(*bool),
        Some(Value::Str(text)) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::Str(text)) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        Some(Value::Str(_)) => Err(unparsed("BOOL")),
        _ => Err(refused(value, "BOOL")),
    }
}

/// The value as STR: its string form. Structs, arrays, maps and NULL are faults.
pub fn as_text(value: &VariableValue) -> Result<String, Fault> {
    match &value.value {
        None | Some(Value::Struct(_) | Value::Array(_) | Value::Map(_)) => {
            Err(refused(value, "STR"))
        }
        Some(_) => string_form(value).ok_or_else(|| refused(value, "STR")),
    }
}

/// The value as BYTES: the UTF-8 of its string form.
pub(super) fn as_bytes(value: &VariableValue) -> Result<Bytes, Fault> {
    match &value.value {
        Some(Value::Bytes(bytes)) => Ok(bytes.clone()),
        _ => as_text(value)
            .map(Bytes::from)
            .map_err(|_| refused(value, "BYTES")),
    }
}

/// Converts a value to a primitive type by the table of section 5.2.
pub fn to_primitive(value: VariableValue, to: VariableType) -> Result<VariableValue, Fault> {
    let value = match (to, &value.value) {
        (VariableType::JsonObj, Some(Value::JsonObj(_)))
        | (VariableType::JsonArr, Some(Value::JsonArr(_)))
        | (VariableType::Double, Some(Value::Double(_)))
        | (VariableType::Bool, Some(Value::Bool(_)))
        | (VariableType::Str, Some(Value::Str(_)))
        | (VariableType::Int, Some(Value::Int(_)))
        | (VariableType::Bytes, Some(Value::Bytes(_)))
        | (VariableType::WfRunId, Some(Value::WfRunId(_)))
        | (VariableType::Timestamp, Some(Value::UtcTimestamp(_))) => return Ok(value),
        (VariableType::Int, _) => Value::Int(as_int(&value)?),
        (VariableType::Double, _) => Value::Double(as_double(&value)?),
        (VariableType::Bool, _) => Value::Bool(as_bool(&value)?),
        (VariableType::Str, _) => Value::Str(as_text(&value)?),
        (VariableType::Bytes, _) => Value::Bytes(as_bytes(&value)?),
        (VariableType::WfRunId, Some(Value::Str(text))) => {
            Value::WfRunId(WfRunId::from_any_text(text))
        }
        (VariableType::WfRunId, Some(Value::Int(_) | Value::Double(_))) => {
            Value::WfRunId(WfRunId::root(as_text(&value)?))
        }
        _ => return Err(refused(&value, to.as_str_name())),
    };
    Ok(VariableValue { value: Some(value) })
}

/// Converts a value to the declared type of what it is assigned to. NULL stays NULL.
pub fn coerce(
    expected: &TypeDefinition,
    value: VariableValue,
    structs: &dyn StructDefs,
) -> Result<VariableValue, Fault> {
    match Type::from(expected) {
        _ if value.value.is_none() => Ok(value),
        Type::Primitive(to) => to_primitive(value, to),
        // Structs, arrays, maps: identical types only; the edge's rules then check, stamp and convert the content.
        to => {
            if !Type::of(&value).fits(&to) {
                return Err(Fault::var_sub(format!(
                    "Cannot convert {} to {to}",
                    Type::of(&value)
                )));
            }
            Ok(ingress::stamp(expected, value, structs)?)
        }
    }
}

/// Applies a `target_type`: NULL, structs, arrays and maps pass through unchanged.
pub(super) fn cast(value: VariableValue, target: &TypeDefinition) -> Result<VariableValue, Fault> {
    let Some(source) = &value.value else {
        return Ok(value);
    };
    if matches!(source, Value::Struct(_) | Value::Array(_) | Value::Map(_)) {
        return Ok(value);
    }
    let from = Type::of(&value);
    match Type::from(target) {
        to @ Type::Primitive(kind) => {
            from.check_cast(&to)?;
            to_primitive(value, kind)
        }
        to => Err(Fault::var_sub(format!(
            "Cannot cast from {} to {to}",
            kind_of(source)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::scope::NoStructs;
    use crate::value::testing::{
        arr, array_of, boolean, double, int, list, null, obj, of, prim, text, time, untyped_list,
    };
    use VariableType::{Bool, Double, Int, JsonArr, JsonObj, Str, Timestamp};
    use proptest::prelude::*;

    fn run_id(text: &str) -> VariableValue {
        of(Value::WfRunId(text.parse().unwrap()))
    }

    fn bytes(text: &'static str) -> VariableValue {
        of(Value::Bytes(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn table() {
        // Columns: INT, DOUBLE, STR, BOOL, BYTES, WF_RUN_ID, TIMESTAMP, JSON_OBJ, JSON_ARR; `None` is err.
        let columns = [
            Int,
            Double,
            Str,
            Bool,
            VariableType::Bytes,
            VariableType::WfRunId,
            Timestamp,
            JsonObj,
            JsonArr,
        ];
        let rows: [(VariableValue, [Option<VariableValue>; 9]); 9] = [
            (
                int(7),
                [
                    Some(int(7)),
                    Some(double(7.0)),
                    Some(text("7")),
                    None,
                    Some(bytes("7")),
                    Some(run_id("7")),
                    None,
                    None,
                    None,
                ],
            ),
            (
                double(4.4), // spec 02-5
                [
                    Some(int(4)),
                    Some(double(4.4)),
                    Some(text("4.4")),
                    None,
                    Some(bytes("4.4")),
                    Some(of(Value::WfRunId(WfRunId::root("4.4")))),
                    None,
                    None,
                    None,
                ],
            ),
            (
                text("12"),
                [
                    Some(int(12)),
                    Some(double(12.0)),
                    Some(text("12")),
                    None,
                    Some(bytes("12")),
                    Some(run_id("12")),
                    None,
                    None,
                    None,
                ],
            ),
            (
                boolean(true),
                [
                    None,
                    None,
                    Some(text("true")),
                    Some(boolean(true)),
                    Some(bytes("true")),
                    None,
                    None,
                    None,
                    None,
                ],
            ),
            (
                bytes("a"),
                [
                    None,
                    None,
                    Some(text("YQ==")),
                    None,
                    Some(bytes("a")),
                    None,
                    None,
                    None,
                    None,
                ],
            ),
            (
                run_id("p_c"),
                [
                    None,
                    None,
                    Some(text("p_c")),
                    None,
                    Some(bytes("p_c")),
                    Some(run_id("p_c")),
                    None,
                    None,
                    None,
                ],
            ),
            (
                time(1, 500_000_000),
                [
                    Some(int(1_500)),
                    None,
                    Some(text("1970-01-01T00:00:01.5Z")),
                    None,
                    Some(bytes("1970-01-01T00:00:01.5Z")),
                    None,
                    Some(time(1, 500_000_000)),
                    None,
                    None,
                ],
            ),
            (
                obj("{}"),
                [
                    None,
                    None,
                    Some(text("{}")),
                    None,
                    Some(bytes("{}")),
                    None,
                    None,
                    Some(obj("{}")),
                    None,
                ],
            ),
            (
                arr("[]"),
                [
                    None,
                    None,
                    Some(text("[]")),
                    None,
                    Some(bytes("[]")),
                    None,
                    None,
                    None,
                    Some(arr("[]")),
                ],
            ),
        ];
        for (value, row) in rows {
            for (to, expected) in columns.iter().zip(row) {
                assert_eq!(
                    to_primitive(value.clone(), *to).ok(),
                    expected,
                    "{value:?} to {to:?}"
                );
            }
        }
    }

    #[test]
    fn details() {
        assert_eq!(as_int(&double(-2.7)), Ok(-2)); // spec 02-5
        assert_eq!(as_int(&double(f64::NAN)), Ok(0));
        assert_eq!(as_int(&double(1e300)), Ok(i64::MAX));
        assert_eq!(as_int(&text("+5")), Ok(5));
        for bad in [" 5", "5 ", "5.0", "", "9223372036854775808", "0x1"] {
            assert!(as_int(&text(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            as_int(&text("abc")).unwrap_err().message,
            "Cannot parse the STR as INT"
        );
        assert_eq!(as_double(&text(" 1.5e3 ")), Ok(1500.0));
        assert_eq!(as_double(&text("-Infinity")), Ok(f64::NEG_INFINITY));
        assert!(as_double(&text("NaN")).unwrap().is_nan());
        for bad in ["inf", "infinity", "nan", "", "1,5"] {
            assert!(as_double(&text(bad)).is_err(), "{bad}");
        }
        // spec 02-6
        assert_eq!(as_bool(&text(" TRUE ")), Ok(true));
        assert!(as_bool(&text("yes")).is_err());
        assert!(as_int(&null()).is_err() && as_text(&null()).is_err());
        // spec 01-3
        let three = to_primitive(text("g_p_c"), VariableType::WfRunId).unwrap();
        assert!(
            matches!(&three.value, Some(Value::WfRunId(id)) if id.ancestors() == 2 && id.id == "c")
        );
    }

    #[test]
    fn coercion_and_casts_differ() {
        // A cast only by the table of section 3: a TIMESTAMP has no cast to STR, but is coerced to it.
        assert!(cast(time(0, 0), &prim(Str)).is_err());
        assert!(coerce(&prim(Str), time(0, 0), &NoStructs).is_ok());
        assert_eq!(cast(null(), &prim(Int)), Ok(null()));
        assert_eq!(coerce(&prim(Int), null(), &NoStructs), Ok(null()));
        let ints = list(prim(Int), [int(1)]);
        assert_eq!(cast(ints.clone(), &prim(Int)), Ok(ints.clone()));
        assert!(coerce(&prim(Str), ints.clone(), &NoStructs).is_err());
        assert!(coerce(&array_of(prim(Double)), ints.clone(), &NoStructs).is_err());
        assert_eq!(
            coerce(&array_of(prim(Int)), untyped_list([]), &NoStructs),
            Ok(list(prim(Int), []))
        );
        assert!(
            coerce(&array_of(prim(Int)), text("x"), &NoStructs)
                .unwrap_err()
                .message
                .contains("STR")
        );
    }

    proptest! {
        #[test]
        fn numbers_round_trip_through_text(int: i64, double: f64) {
            prop_assert_eq!(as_int(&text(&int.to_string())), Ok(int));
            let back = as_double(&text(&super::super::text::double_form(double))).unwrap();
            prop_assert_eq!(back.to_bits(), double.to_bits());
        }

        #[test]
        fn what_the_static_table_allows_the_run_time_converts(number: i64, fraction: f64, flag: bool) {
            // `=` and `a` of section 3.1 never fail at run time.
            for value in [int(number), double(fraction), boolean(flag), text("x"), bytes("b"), run_id("a_b"), time(3, 0), obj("{}"), arr("[]")] {
                for to in [Int, Double, Str, Bool, VariableType::Bytes, VariableType::WfRunId, Timestamp, JsonObj, JsonArr] {
                    if Type::of(&value).fits(&Type::Primitive(to)) {
                        let converted = to_primitive(value.clone(), to).unwrap();
                        prop_assert!(Type::of(&converted).same(&Type::Primitive(to)));
                    }
                }
            }
        }
    }
}

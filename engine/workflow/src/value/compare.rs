//! Comparators: the static check (spec 02, section 10.1) and the run time (10.2, 10.3).

use std::cmp::Ordering;

use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{Comparator, VariableType, VariableValue};
use serde_json::Value as Json;

use super::fault::{Fault, TypeError};
use super::json;
use super::text::string_form;
use super::types::{Type, kind_name};

/// Whether two known types may be compared; unknown ones and a NULL right side always may.
pub(super) fn check(comparator: Comparator, lhs: &Type, rhs: &Type) -> Result<(), TypeError> {
    if !lhs.is_known() || matches!(rhs, Type::Unknown | Type::Null) {
        return Ok(());
    }
    let accepted = match comparator {
        Comparator::Equals | Comparator::NotEquals => {
            lhs.same(rhs) || (left_has_magnitude(lhs) && has_magnitude(rhs))
        }
        Comparator::LessThan
        | Comparator::LessThanEq
        | Comparator::GreaterThan
        | Comparator::GreaterThanEq => left_has_magnitude(lhs) && has_magnitude(rhs),
        Comparator::In | Comparator::NotIn => contains(lhs, rhs),
    };
    if accepted {
        return Ok(());
    }
    Err(TypeError::Comparison {
        left: lhs.to_string(),
        comparator: comparator.as_str_name(),
        right: rhs.to_string(),
    })
}

fn has_magnitude(kind: &Type) -> bool {
    use VariableType::{Bool, Double, Int, Str, Timestamp};
    matches!(kind, Type::Primitive(Int | Double | Str | Bool | Timestamp))
}

fn left_has_magnitude(kind: &Type) -> bool {
    has_magnitude(kind) || matches!(kind, Type::Null)
}

/// A container of another item type never contains the left side, since kinds matter.
fn contains(lhs: &Type, container: &Type) -> bool {
    match container {
        Type::Primitive(VariableType::JsonArr) => true,
        Type::Primitive(VariableType::JsonObj | VariableType::Str) => {
            matches!(lhs, Type::Primitive(_) | Type::Null)
        }
        Type::Array(item) | Type::Map(item, _) => {
            lhs.same(item) || lhs.same(&Type::STR) || matches!(lhs, Type::Null) || !item.is_known()
        }
        Type::Struct(_) => lhs.same(&Type::STR) || matches!(lhs, Type::Null),
        _ => false,
    }
}

/// Whether `lhs COMPARATOR rhs` holds.
///
/// # Errors
/// The kinds cannot be compared. NULL can, with everything, but not be searched in.
pub(super) fn compare(
    comparator: Comparator,
    lhs: &VariableValue,
    rhs: &VariableValue,
) -> Result<bool, Fault> {
    match comparator {
        Comparator::Equals => equal(lhs, rhs),
        Comparator::NotEquals => equal(lhs, rhs).map(|equal| !equal),
        Comparator::LessThan => order(lhs, rhs).map(Ordering::is_lt),
        Comparator::LessThanEq => order(lhs, rhs).map(Ordering::is_le),
        Comparator::GreaterThan => order(lhs, rhs).map(Ordering::is_gt),
        Comparator::GreaterThanEq => order(lhs, rhs).map(Ordering::is_ge),
        Comparator::In => is_in(lhs, rhs),
        Comparator::NotIn => is_in(lhs, rhs).map(|found| !found),
    }
}

fn failed(lhs: &VariableValue, rhs: &VariableValue) -> Fault {
    Fault::var_sub(format!(
        "Comparing failed: cannot compare {} with {}",
        kind_name(lhs),
        kind_name(rhs)
    ))
}

fn equal(lhs: &VariableValue, rhs: &VariableValue) -> Result<bool, Fault> {
    match (&lhs.value, &rhs.value) {
        (None, _) | (_, None) => Ok(lhs.value.is_none() && rhs.value.is_none()),
        (Some(Value::Str(a)), Some(Value::Str(b))) => Ok(a == b),
        (Some(Value::Struct(_)), Some(Value::Struct(_)))
        | (Some(Value::Bytes(_)), Some(Value::Bytes(_)))
        | (Some(Value::Array(_)), Some(Value::Array(_)))
        | (Some(Value::Map(_)), Some(Value::Map(_))) => Ok(same_content(lhs, rhs)),
        _ => order(lhs, rhs).map(Ordering::is_eq),
    }
}

fn order(lhs: &VariableValue, rhs: &VariableValue) -> Result<Ordering, Fault> {
    match (&lhs.value, &rhs.value) {
        (None, None) => Ok(Ordering::Equal),
        (None, Some(_)) => Ok(Ordering::Less),
        (Some(_), None) => Ok(Ordering::Greater),
        (Some(Value::Int(a)), Some(Value::Int(b))) => Ok(a.cmp(b)),
        (Some(Value::Double(a)), Some(Value::Double(b))) => Ok(order_doubles(*a, *b)),
        (Some(Value::Str(a)), Some(Value::Str(b))) => Ok(a.encode_utf16().cmp(b.encode_utf16())),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => Ok(a.cmp(b)),
        (Some(Value::WfRunId(a)), Some(Value::WfRunId(b))) => Ok(a.to_string().cmp(&b.to_string())),
        (Some(Value::UtcTimestamp(a)), Some(Value::UtcTimestamp(b))) => {
            Ok((a.seconds, a.nanos).cmp(&(b.seconds, b.nanos)))
        }
        _ => Err(failed(lhs, rhs)),
    }
}

/// NaN equals itself and is the greatest.
fn order_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Same kind and same content. Stamps, masks and versions do not count, nor does the order of map entries.
pub(super) fn same_content(a: &VariableValue, b: &VariableValue) -> bool {
    let null = VariableValue::default();
    let same = |a: Option<&VariableValue>, b: Option<&VariableValue>| {
        same_content(a.unwrap_or(&null), b.unwrap_or(&null))
    };
    match (&a.value, &b.value) {
        (Some(Value::Double(a)), Some(Value::Double(b))) => order_doubles(*a, *b).is_eq(),
        (Some(x @ Value::JsonObj(_)), Some(y @ Value::JsonObj(_)))
        | (Some(x @ Value::JsonArr(_)), Some(y @ Value::JsonArr(_))) => {
            json::content(x) == json::content(y)
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.items.len() == b.items.len()
                && a.items
                    .iter()
                    .zip(&b.items)
                    .all(|(a, b)| same_content(a, b))
        }
        (Some(Value::Map(a)), Some(Value::Map(b))) => {
            a.entries.len() == b.entries.len()
                && a.entries.iter().all(|x| {
                    b.entries.iter().any(|y| {
                        same(x.key.as_ref(), y.key.as_ref())
                            && same(x.value.as_ref(), y.value.as_ref())
                    })
                })
        }
        (Some(Value::Struct(a)), Some(Value::Struct(b))) => {
            let name = |id: &Option<proto::littlehorse::StructDefId>| {
                id.as_ref().map(|id| id.name.clone())
            };
            let (x, y) = (a.r#struct.as_ref(), b.r#struct.as_ref());
            let count = |fields: Option<&proto::littlehorse::InlineStruct>| {
                fields.map_or(0, |fields| fields.fields.len())
            };
            name(&a.struct_def_id) == name(&b.struct_def_id)
                && count(x) == count(y)
                && x.iter()
                    .flat_map(|fields| &fields.fields)
                    .all(|(field, value)| {
                        let other = y.and_then(|fields| fields.fields.get(field));
                        other.is_some_and(|other| same(value.value.as_ref(), other.value.as_ref()))
                    })
        }
        (a, b) => a == b,
    }
}

fn is_in(lhs: &VariableValue, container: &VariableValue) -> Result<bool, Fault> {
    match &container.value {
        Some(Value::Str(text)) => match &lhs.value {
            None => Err(failed(lhs, container)),
            Some(Value::Str(part)) => Ok(text.contains(part.as_str())),
            Some(_) => Ok(string_form(lhs).is_some_and(|part| text.contains(&part))),
        },
        Some(json @ Value::JsonObj(_)) => {
            let key = match &lhs.value {
                None | Some(Value::JsonObj(_) | Value::Struct(_) | Value::Map(_)) => {
                    return Ok(false);
                }
                Some(_) => string_form(lhs).unwrap_or_default(),
            };
            Ok(json::content(json).is_some_and(|json| json.get(&key).is_some()))
        }
        Some(json @ Value::JsonArr(_)) => {
            let wanted = json::from_nullable(lhs);
            let items = json::content(json);
            Ok(items
                .as_ref()
                .and_then(Json::as_array)
                .is_some_and(|items| items.iter().any(|item| same_json(item, &wanted))))
        }
        Some(Value::Array(array)) => Ok(array.items.iter().any(|item| same_content(item, lhs))),
        Some(Value::Map(map)) => {
            let null = VariableValue::default();
            Ok(map
                .entries
                .iter()
                .any(|entry| same_content(entry.key.as_ref().unwrap_or(&null), lhs)))
        }
        Some(Value::Struct(value)) => {
            let key = string_form(lhs).unwrap_or_default();
            Ok(value
                .r#struct
                .as_ref()
                .is_some_and(|fields| fields.fields.contains_key(&key)))
        }
        _ => Err(failed(lhs, container)),
    }
}

/// Deep equality; numbers by their value, integers and fractions alike.
fn same_json(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => {
            x == y || (x.is_f64() != y.is_f64() && x.as_f64() == y.as_f64())
        }
        (Json::Array(x), Json::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same_json(x, y))
        }
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same_json(x, y)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{
        arr, array_of, boolean, dict, double, int, list, map_of, null, obj, of, prim, text, time,
        untyped_list,
    };
    use Comparator::{
        Equals, GreaterThan, GreaterThanEq, In, LessThan, LessThanEq, NotEquals, NotIn,
    };
    use VariableType::{Bool, Double, Int, JsonArr, JsonObj, Str, Timestamp, WfRunId};

    #[test]
    fn equality_and_order() {
        for (lhs, comparator, rhs, expected) in [
            // spec 02-32
            (int(2), Equals, int(2), Some(true)),
            (text("hi"), Equals, text("hi"), Some(true)),
            (double(1.0), Equals, double(2.0), Some(false)),
            (int(1), Equals, double(1.0), None),
            (int(2), NotEquals, text("2"), None),
            (boolean(false), Equals, text("false"), None),
            (int(2), Equals, obj("{}"), None),
            (obj("{}"), Equals, obj("{}"), None),
            (obj("{}"), NotEquals, obj("{}"), None),
            (arr("[0]"), Equals, arr("[0]"), None),
            // spec 02-33
            (null(), NotEquals, null(), Some(false)),
            (null(), LessThan, int(5), Some(true)),
            (int(5), GreaterThan, null(), Some(true)),
            (obj("{}"), Equals, null(), Some(false)),
            (double(f64::NAN), Equals, double(f64::NAN), Some(true)),
            (
                double(f64::NAN),
                GreaterThan,
                double(f64::INFINITY),
                Some(true),
            ),
            (double(0.0), Equals, double(-0.0), Some(true)),
            (boolean(false), LessThan, boolean(true), Some(true)),
            (text("B"), LessThan, text("a"), Some(true)),
            // Code units: a surrogate pair is below U+FF5E.
            (text("\u{1F600}"), LessThan, text("\u{FF5E}"), Some(true)),
            (time(1, 0), GreaterThanEq, time(0, 5), Some(true)),
            (time(1, 0), Equals, time(1, 0), Some(true)),
            (
                untyped_list([int(1)]),
                Equals,
                list(prim(Int), [int(1)]),
                Some(true),
            ),
            (
                untyped_list([int(1)]),
                LessThanEq,
                untyped_list([int(1)]),
                None,
            ),
            (
                dict(None, [(text("a"), int(1)), (text("b"), int(2))]),
                Equals,
                dict(None, [(text("b"), int(2)), (text("a"), int(1))]),
                Some(true),
            ),
        ] {
            assert_eq!(
                compare(comparator, &lhs, &rhs).ok(),
                expected,
                "{lhs:?} {comparator:?} {rhs:?}"
            );
        }
    }

    #[test]
    fn structs_by_content() {
        let car = |version, masked, brand: &str| {
            let field = proto::littlehorse::StructField {
                value: Some(text(brand)),
                masked,
            };
            of(Value::Struct(proto::littlehorse::Struct {
                struct_def_id: Some(proto::littlehorse::StructDefId {
                    name: "car".to_owned(),
                    version,
                }),
                r#struct: Some(proto::littlehorse::InlineStruct {
                    fields: [("brand".to_owned(), field)].into(),
                }),
            }))
        };
        assert_eq!(
            compare(Equals, &car(0, false, "a"), &car(1, true, "a")),
            Ok(true)
        ); // spec 02-35
        assert_eq!(
            compare(Equals, &car(0, false, "a"), &car(0, false, "b")),
            Ok(false)
        );
        assert!(compare(LessThan, &car(0, false, "a"), &car(0, false, "b")).is_err());
        assert_eq!(compare(In, &text("brand"), &car(0, false, "a")), Ok(true));
        assert_eq!(compare(In, &text("year"), &car(0, false, "a")), Ok(false));
    }

    #[test]
    fn membership() {
        for (lhs, container, expected) in [
            // spec 02-34
            (text("o"), text("one"), Some(true)),
            (int(2), text("2"), Some(true)),
            (int(0), arr("[0]"), Some(true)),
            (text("hi"), obj(r#"{"hi":2}"#), Some(true)),
            (arr("[0]"), arr("[0]"), Some(false)),
            (obj(r#"{"a":1}"#), obj(r#"{"a":1}"#), Some(false)),
            (int(2), obj(r#"{"hi":2}"#), Some(false)),
            (int(1), double(1.0), None),
            (text(""), text("x"), Some(true)),
            (null(), text("x"), None),
            (null(), obj("{}"), Some(false)),
            (null(), arr("[null]"), Some(true)),
            (int(1), arr("[1.0]"), Some(true)),
            (obj(r#"{"a":1}"#), arr(r#"[{"a":1.0}]"#), Some(true)),
            (obj(r#"{"a":1}"#), arr(r#"[{"a":1,"b":2}]"#), Some(false)),
            (int(2), list(prim(Double), [double(2.0)]), Some(false)),
            (int(2), list(prim(Int), [int(2)]), Some(true)), // spec 02-62 (run time)
            (text("k"), dict(None, [(text("k"), int(1))]), Some(true)), // spec 02-62 (run time)
            (int(1), null(), None),
        ] {
            assert_eq!(
                compare(In, &lhs, &container).ok(),
                expected,
                "{lhs:?} IN {container:?}"
            );
            assert_eq!(
                compare(NotIn, &lhs, &container).ok(),
                expected.map(|found| !found)
            );
        }
    }

    #[test]
    fn static_check() {
        let accepted = |lhs: &Type, comparator, rhs: &Type| check(comparator, lhs, rhs).is_ok();
        let kind = Type::Primitive;
        let ints = Type::from(&array_of(prim(Int)));
        let map = Type::from(&map_of(prim(Str), prim(Int)));
        for (lhs, comparator, rhs, expected) in [
            (kind(Bool), Equals, kind(Timestamp), true),
            (kind(Bool), Equals, kind(JsonObj), false),
            (kind(JsonObj), Equals, kind(JsonObj), true),
            (kind(WfRunId), LessThan, kind(WfRunId), false),
            (kind(Int), LessThan, kind(Double), true),
            (kind(JsonObj), LessThan, kind(Int), false), // spec 01-48
            (Type::Null, LessThan, kind(Int), true),
            (Type::Unknown, LessThan, kind(JsonObj), true),
            (kind(JsonObj), LessThan, Type::Null, true),
            (ints.clone(), Equals, ints.clone(), true),
            (kind(Int), In, ints.clone(), true), // spec 01-48 02-62 (static)
            (kind(Int), In, Type::from(&array_of(prim(Str))), false), // spec 01-48
            (kind(Str), In, map.clone(), true),  // spec 02-62 (static)
            (kind(Int), In, map, false),
            (kind(Str), In, kind(Str), true), // spec 02-62 (static)
            (kind(Int), In, kind(JsonObj), true),
            (ints.clone(), In, kind(Str), false),
            (ints, In, kind(JsonArr), true),
            (kind(Int), In, kind(Double), false),
        ] {
            assert_eq!(
                accepted(&lhs, comparator, &rhs),
                expected,
                "{lhs} {comparator:?} {rhs}"
            );
        }
    }
}

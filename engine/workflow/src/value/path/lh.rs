//! LHPath: steps into structs, arrays, maps and JSON (spec 02, section 7.3).

use proto::littlehorse::lh_path::Selector;
use proto::littlehorse::lh_path::selector::SelectorType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    InlineStruct, LhPath, Map, StructField, VariableType, VariableValue, map,
};
use serde_json::Value as Json;

use super::json::{self, Segment};
use crate::value::convert::to_primitive;
use crate::value::evaluate::evaluate;
use crate::value::fault::{Fault, TypeError};
use crate::value::json::{content, from_nullable, to_value};
use crate::value::scope::{Scope, TypeScope};
use crate::value::structs;
use crate::value::text::string_form;
use crate::value::types::{Type, kind_name};
use crate::value::typing;

/// The steps of a path, computed ones evaluated.
pub(in crate::value) fn steps(path: &LhPath, scope: &dyn Scope) -> Result<Vec<Segment>, Fault> {
    path.path
        .iter()
        .map(|selector| step(selector, scope))
        .collect()
}

fn step(selector: &Selector, scope: &dyn Scope) -> Result<Segment, Fault> {
    match &selector.selector_type {
        Some(SelectorType::Key(key)) => Ok(Segment::Key(key.clone())),
        Some(SelectorType::Index(index)) => Ok(Segment::Index((*index).into())),
        Some(SelectorType::Dynamic(assignment)) => {
            let value = evaluate(assignment, scope)?;
            match value.value {
                Some(Value::Int(index)) => Ok(Segment::Index(index)),
                Some(
                    Value::Double(_)
                    | Value::Bool(_)
                    | Value::Str(_)
                    | Value::WfRunId(_)
                    | Value::UtcTimestamp(_),
                ) => Ok(Segment::Key(string_form(&value).unwrap_or_default())),
                _ => Err(Fault::var_sub(format!(
                    "A {} cannot select a part of a value",
                    kind_name(&value)
                ))),
            }
        }
        None => Err(Fault::var_sub("A step of an lh_path is empty")),
    }
}

/// The part of a value that the steps lead to.
pub(in crate::value) fn read(
    mut value: VariableValue,
    steps: &[Segment],
    scope: &dyn Scope,
) -> Result<VariableValue, Fault> {
    for (done, step) in steps.iter().enumerate() {
        let Some(current) = value.value else {
            return Err(cannot_get(step, "NULL"));
        };
        value = match (current, step) {
            (Value::Struct(value), Segment::Key(key)) => structs::field(value, key, scope),
            (Value::Array(mut array), Segment::Index(index)) => {
                let position = item_position(*index, array.items.len())?;
                array.items.swap_remove(position)
            }
            (Value::Map(mut map), step) => match entry_position(&map, step) {
                Some(position) => map.entries.swap_remove(position).value.unwrap_or_default(),
                // Absent: NULL, and the path ends.
                None => return Ok(VariableValue::default()),
            },
            (json @ (Value::JsonObj(_) | Value::JsonArr(_)), _) => {
                let mut document = content(&json).unwrap_or(Json::Null);
                return Ok(to_value(json::take(&mut document, &steps[done..])));
            }
            (other, step) => {
                return Err(cannot_get(
                    step,
                    kind_name(&VariableValue { value: Some(other) }),
                ));
            }
        };
    }
    Ok(value)
}

/// Puts `new` where the steps lead. An absent field or map entry is created, anything else missing is a fault.
pub(in crate::value) fn write(
    value: &mut VariableValue,
    steps: &[Segment],
    new: VariableValue,
) -> Result<(), Fault> {
    let Some((step, rest)) = steps.split_first() else {
        *value = new;
        return Ok(());
    };
    match (&mut value.value, step) {
        (Some(Value::Struct(value)), Segment::Key(key)) => {
            let fields = value.r#struct.get_or_insert_with(InlineStruct::default);
            let field = fields
                .fields
                .entry(key.clone())
                .or_insert_with(StructField::default);
            write(field.value.get_or_insert_default(), rest, new)
        }
        (Some(Value::Array(array)), Segment::Index(index)) => {
            let position = item_position(*index, array.items.len())?;
            write(&mut array.items[position], rest, new)
        }
        (Some(Value::Map(map)), step) => {
            let position = if let Some(position) = entry_position(map, step) {
                position
            } else {
                let key = entry_key(map, step).ok_or_else(|| cannot_get(step, "MAP"))?;
                map.entries.push(map::Entry {
                    key: Some(key),
                    value: None,
                });
                map.entries.len() - 1
            };
            write(
                map.entries[position].value.get_or_insert_default(),
                rest,
                new,
            )
        }
        (Some(json @ (Value::JsonObj(_) | Value::JsonArr(_))), _) => {
            let mut document = content(json).unwrap_or(Json::Null);
            json::write(&mut document, steps, from_nullable(&new))?;
            match json {
                Value::JsonObj(text) | Value::JsonArr(text) => *text = document.to_string(),
                _ => {}
            }
            Ok(())
        }
        (_, step) => Err(cannot_get(step, kind_name(value))),
    }
}

fn cannot_get(step: &Segment, kind: &str) -> Fault {
    let step = match step {
        Segment::Key(key) => format!("key '{key}'"),
        Segment::Index(index) => format!("index {index}"),
    };
    Fault::var_sub(format!("Cannot 'get' {step} from a {kind}"))
}

fn item_position(index: i64, length: usize) -> Result<usize, Fault> {
    if index < 0 {
        return Err(Fault::var_sub(format!(
            "Array index cannot be negative: {index}"
        )));
    }
    usize::try_from(index)
        .ok()
        .filter(|index| *index < length)
        .ok_or_else(|| {
            Fault::var_sub(format!(
                "Array index {index} is out of bounds: there are {length} items"
            ))
        })
}

/// The selector as a key of the map's key type; `None` if it cannot be one.
fn entry_key(map: &Map, step: &Segment) -> Option<VariableValue> {
    let value = Some(match step {
        Segment::Key(key) => Value::Str(key.clone()),
        Segment::Index(index) => Value::Int(*index),
    });
    let key = VariableValue { value };
    let declared = map
        .map_type
        .as_ref()
        .and_then(|types| types.key_type.as_deref());
    match declared.map(Type::from) {
        Some(Type::Primitive(VariableType::Timestamp)) => {
            let text = string_form(&key)?;
            let time: jiff::Timestamp = text.parse().ok()?;
            let time = prost_types::Timestamp {
                seconds: time.as_second(),
                nanos: time.subsec_nanosecond(),
            };
            Some(VariableValue {
                value: Some(Value::UtcTimestamp(time)),
            })
        }
        Some(Type::Primitive(kind)) => to_primitive(key, kind).ok(),
        _ => Some(key),
    }
}

fn entry_position(map: &Map, step: &Segment) -> Option<usize> {
    let key = entry_key(map, step)?;
    map.entries
        .iter()
        .position(|entry| entry.key.as_ref() == Some(&key))
}

/// The type at the end of a path into a value of type `base`.
pub(in crate::value) fn type_at(
    base: Type,
    path: &LhPath,
    scope: &dyn TypeScope,
) -> Result<Type, TypeError> {
    let mut current = base;
    for selector in &path.path {
        let step = match &selector.selector_type {
            Some(SelectorType::Key(key)) => Some(Segment::Key(key.clone())),
            Some(SelectorType::Index(index)) => Some(Segment::Index((*index).into())),
            Some(SelectorType::Dynamic(assignment)) => {
                typing::assignment_type(assignment, scope)?;
                None
            }
            None => return Err(TypeError::Path("a step of an lh_path is empty".to_owned())),
        };
        current = match (current, step) {
            (Type::Unknown, _) => return Ok(Type::Unknown),
            (json, _) if json.is_json() => return Ok(Type::Unknown),
            (Type::Struct(id), Some(Segment::Key(field))) => {
                let def = structs::find(&id, scope)?;
                let Some(def) = def.fields.get(&field) else {
                    return Err(TypeError::UnknownField {
                        field,
                        name: id.name,
                    });
                };
                def.field_type.as_ref().map_or(Type::JSON_OBJ, Type::from)
            }
            (Type::Struct(_), None) => return Ok(Type::Unknown),
            (Type::Array(element), Some(Segment::Index(_)) | None) => *element,
            (Type::Map(_, value), Some(Segment::Key(_)) | None) => *value,
            (Type::Map(key, value), Some(Segment::Index(_))) if key.same(&Type::INT) => *value,
            (kind @ Type::Array(_), Some(Segment::Key(_))) => {
                return Err(TypeError::Path(format!(
                    "expected an index into {kind}, not a key"
                )));
            }
            (kind @ Type::Struct(_), Some(Segment::Index(_))) => {
                return Err(TypeError::Path(format!(
                    "expected a field of {kind}, not an index"
                )));
            }
            (kind @ Type::Map(..), Some(Segment::Index(_))) => {
                return Err(TypeError::Path(format!(
                    "expected a key of {kind}, not an index"
                )));
            }
            (kind @ (Type::Primitive(_) | Type::Null), _) => {
                return Err(TypeError::Path(format!("cannot 'get' a part of a {kind}")));
            }
        };
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{
        Thread, arr, array_of, dict, double, int, list, literal, map_of, null, obj, prim, text,
        time,
    };
    use VariableType::{Bool, Double, Int, Str, Timestamp};
    use proto::littlehorse::TypeDefinition;

    fn path(selectors: Vec<SelectorType>) -> LhPath {
        LhPath {
            path: selectors
                .into_iter()
                .map(|selector| Selector {
                    selector_type: Some(selector),
                })
                .collect(),
        }
    }

    fn key(key: &str) -> SelectorType {
        SelectorType::Key(key.to_owned())
    }

    fn reading(value: VariableValue, selectors: Vec<SelectorType>) -> Result<VariableValue, Fault> {
        let scope = Thread::default();
        read(value, &steps(&path(selectors), &scope)?, &scope)
    }

    #[test]
    fn arrays() {
        let ints = list(prim(Int), [int(1), int(2)]);
        assert_eq!(reading(ints.clone(), vec![]), Ok(ints.clone()));
        assert_eq!(
            reading(ints.clone(), vec![SelectorType::Index(1)]),
            Ok(int(2))
        );
        let negative = reading(ints.clone(), vec![SelectorType::Index(-1)]).unwrap_err();
        assert!(negative.message.contains("index cannot be negative"));
        assert!(reading(ints.clone(), vec![SelectorType::Index(2)]).is_err());
        assert!(reading(ints.clone(), vec![key("a")]).is_err());
        let dynamic = SelectorType::Dynamic(literal(int(0)));
        assert_eq!(reading(ints, vec![dynamic]), Ok(int(1)));
    }

    #[test]
    fn maps_by_typed_key() {
        let map = |kind, key: VariableValue| dict(Some((prim(kind), prim(Int))), [(key, int(7))]);
        assert_eq!(
            reading(map(Str, text("a b.c")), vec![key("a b.c")]),
            Ok(int(7))
        );
        assert_eq!(reading(map(Int, int(5)), vec![key("5")]), Ok(int(7)));
        assert_eq!(
            reading(map(Int, int(5)), vec![SelectorType::Index(5)]),
            Ok(int(7))
        );
        assert_eq!(reading(map(Int, int(5)), vec![key("x")]), Ok(null()));
        assert_eq!(
            reading(map(Double, double(1.0)), vec![key("1")]),
            Ok(int(7))
        );
        assert_eq!(
            reading(
                map(Timestamp, time(0, 0)),
                vec![key("1970-01-01T00:00:00Z")]
            ),
            Ok(int(7))
        );
        assert_eq!(
            reading(
                map(Bool, crate::value::testing::boolean(true)),
                vec![key("TRUE")]
            ),
            Ok(int(7))
        );
        // spec 02-29 (the path): absent is NULL and ends the path
        assert_eq!(
            reading(map(Str, text("a")), vec![key("b"), key("deeper")]),
            Ok(null())
        );
    }

    #[test]
    fn json_and_others() {
        let json = obj(r#"{"a b":{"x.y":[1,{"z":null}]}}"#);
        assert_eq!(
            reading(
                json.clone(),
                vec![key("a b"), key("x.y"), SelectorType::Index(-2)]
            ),
            Ok(int(1))
        );
        assert_eq!(
            reading(json.clone(), vec![key("nope"), key("x")]),
            Ok(null())
        );
        assert_eq!(
            reading(json, vec![key("a b"), key("x.y")]),
            Ok(arr(r#"[1,{"z":null}]"#))
        );
        for value in [null(), int(1), text("x")] {
            assert!(
                reading(value, vec![key("a")])
                    .unwrap_err()
                    .message
                    .contains("Cannot 'get'")
            );
        }
    }

    #[test]
    fn writing() {
        let mut nested = dict(
            Some((prim(Str), array_of(prim(Int)))),
            [(text("a"), list(prim(Int), [int(1)]))],
        );
        write(
            &mut nested,
            &[Segment::Key("a".into()), Segment::Index(0)],
            int(9),
        )
        .unwrap();
        write(
            &mut nested,
            &[Segment::Key("b".into())],
            list(prim(Int), []),
        )
        .unwrap();
        let expected = [
            (text("a"), list(prim(Int), [int(9)])),
            (text("b"), list(prim(Int), [])),
        ];
        assert_eq!(
            nested,
            dict(Some((prim(Str), array_of(prim(Int)))), expected)
        );
        assert!(
            write(
                &mut nested,
                &[Segment::Key("a".into()), Segment::Index(1)],
                int(9)
            )
            .is_err()
        );
        let mut json = obj("{}");
        write(&mut json, &[Segment::Key("x".into())], double(1.0)).unwrap();
        assert_eq!(json, obj(r#"{"x":1.0}"#));
        assert!(write(&mut int(1), &[Segment::Key("x".into())], int(1)).is_err());
    }

    #[test]
    fn types() {
        let scope = Thread::default();
        let at =
            |base: TypeDefinition, selectors| type_at(Type::from(&base), &path(selectors), &scope);
        assert!(
            at(array_of(prim(Int)), vec![SelectorType::Index(0)])
                .unwrap()
                .same(&Type::INT)
        );
        assert!(
            at(map_of(prim(Str), prim(Int)), vec![key("a")])
                .unwrap()
                .same(&Type::INT)
        );
        assert!(
            at(map_of(prim(Int), prim(Str)), vec![SelectorType::Index(4)])
                .unwrap()
                .same(&Type::STR)
        );
        assert!(
            at(TypeDefinition::default(), vec![key("a"), key("b")])
                .unwrap()
                .same(&Type::Unknown)
        );
        assert!(at(array_of(prim(Int)), vec![key("a")]).is_err());
        assert!(at(map_of(prim(Str), prim(Int)), vec![SelectorType::Index(0)]).is_err());
        assert!(at(prim(Str), vec![key("a")]).is_err());
    }
}

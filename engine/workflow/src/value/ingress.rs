//! Values from outside (spec 02, section 4): checked against the declared type, stamped with it, converted to it.

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Array, InlineArrayDef, InlineMapDef, Map, TypeDefinition, VariableType, VariableValue,
};

use super::convert::to_primitive;
use super::fault::TypeError;
use super::json;
use super::scope::StructDefs;
use super::structs;
use super::types::{Type, kind_of};

/// Checks a value against the type declared for it and returns what is to be stored: stamped, in the declared kind at
/// every depth, JSON in its compact form.
///
/// # Errors
/// The value is not assignable to the type without a cast, is malformed JSON, or breaks its StructDef.
pub fn ingress(
    expected: &TypeDefinition,
    value: VariableValue,
    structs: &dyn StructDefs,
) -> Result<VariableValue, TypeError> {
    stamp(expected, value, structs)
}

/// A value from outside for which no type is declared: only its JSON is checked and brought to the stored form.
pub fn ingress_untyped(value: VariableValue) -> Result<VariableValue, TypeError> {
    let value = match value.value {
        Some(json @ (Value::JsonObj(_) | Value::JsonArr(_))) => json::canonical(&json)?,
        Some(Value::Array(mut array)) => {
            for item in &mut array.items {
                *item = ingress_untyped(std::mem::take(item))?;
            }
            Some(Value::Array(array))
        }
        Some(Value::Map(mut map)) => {
            for part in map
                .entries
                .iter_mut()
                .flat_map(|entry| entry.key.iter_mut().chain(&mut entry.value))
            {
                *part = ingress_untyped(std::mem::take(part))?;
            }
            Some(Value::Map(map))
        }
        Some(Value::Struct(mut value)) => {
            for field in value
                .r#struct
                .iter_mut()
                .flat_map(|fields| fields.fields.values_mut())
            {
                field.value = field.value.take().map(ingress_untyped).transpose()?;
            }
            Some(Value::Struct(value))
        }
        other => other,
    };
    Ok(VariableValue { value })
}

/// The same error, one level further out: the path is built only when something is wrong.
fn below(error: TypeError, step: std::fmt::Arguments<'_>) -> TypeError {
    match error {
        TypeError::Mismatch {
            expected,
            actual,
            at,
        } => {
            let rest = at.strip_prefix(" at ").unwrap_or_default();
            TypeError::Mismatch {
                expected,
                actual,
                at: format!(" at {step}{rest}"),
            }
        }
        other => other,
    }
}

/// The rules of section 4, also for values of unknown content that meet a declared type inside the server.
pub(super) fn stamp(
    expected: &TypeDefinition,
    value: VariableValue,
    structs: &dyn StructDefs,
) -> Result<VariableValue, TypeError> {
    let Some(content) = value.value else {
        return Ok(value);
    };
    let mismatch = |actual: &dyn std::fmt::Display| TypeError::Mismatch {
        expected: Type::from(expected).to_string(),
        actual: actual.to_string(),
        at: String::new(),
    };
    let stored = match (&expected.defined_type, content) {
        (Some(DefinedType::InlineArrayDef(def)), Value::Array(array)) => {
            Value::Array(stamp_array(def, array, structs)?)
        }
        (Some(DefinedType::InlineMapDef(def)), Value::Map(map)) => {
            Value::Map(stamp_map(def, map, structs)?)
        }
        (Some(DefinedType::StructDefId(id)), Value::Struct(value)) => Value::Struct(
            structs::stamp(id, value, structs, &|definition, value, field| {
                stamp(definition, value, structs)
                    .map_err(|error| below(error, format_args!(".{field}")))
            })?,
        ),
        (
            Some(
                DefinedType::InlineArrayDef(_)
                | DefinedType::InlineMapDef(_)
                | DefinedType::StructDefId(_),
            ),
            other,
        ) => {
            return Err(mismatch(&kind_of(&other)));
        }
        (_, json @ (Value::JsonObj(_) | Value::JsonArr(_))) => {
            if !matches!(
                (Type::from(expected), &json),
                (Type::Primitive(VariableType::JsonObj), Value::JsonObj(_))
                    | (Type::Primitive(VariableType::JsonArr), Value::JsonArr(_))
            ) {
                return Err(mismatch(&kind_of(&json)));
            }
            return Ok(VariableValue {
                value: json::canonical(&json)?,
            });
        }
        (_, primitive) => {
            let value = VariableValue {
                value: Some(primitive),
            };
            let (from, to) = (Type::of(&value), Type::from(expected));
            let Type::Primitive(kind) = to else {
                return Err(mismatch(&from));
            };
            if !from.fits(&to) {
                return Err(mismatch(&from));
            }
            return to_primitive(value, kind).map_err(|_| mismatch(&from));
        }
    };
    Ok(VariableValue {
        value: Some(stored),
    })
}

fn stamp_array(
    def: &InlineArrayDef,
    array: Array,
    structs: &dyn StructDefs,
) -> Result<Array, TypeError> {
    let element = def.array_type.as_deref().cloned().unwrap_or_default();
    let mut items = array.items;
    for (index, item) in items.iter_mut().enumerate() {
        *item = stamp(&element, std::mem::take(item), structs)
            .map_err(|error| below(error, format_args!("[{index}]")))?;
    }
    Ok(Array {
        items,
        element_type: Some(element),
    })
}

fn stamp_map(def: &InlineMapDef, map: Map, structs: &dyn StructDefs) -> Result<Map, TypeError> {
    let key_type = def.key_type.as_deref().cloned().unwrap_or_default();
    let value_type = def.value_type.as_deref().cloned().unwrap_or_default();
    let mut entries = map.entries;
    for (index, entry) in entries.iter_mut().enumerate() {
        let fit = |definition, part: Option<VariableValue>| {
            let fitted = part
                .map(|part| stamp(definition, part, structs))
                .transpose();
            fitted.map_err(|error| below(error, format_args!("[entry {index}]")))
        };
        entry.key = fit(&key_type, entry.key.take())?;
        entry.value = fit(&value_type, entry.value.take())?;
    }
    Ok(Map {
        entries,
        map_type: Some(InlineMapDef {
            key_type: Some(Box::new(key_type)),
            value_type: Some(Box::new(value_type)),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::scope::NoStructs;
    use crate::value::testing::{
        arr, array_of, boolean, dict, double, int, list, map_of, null, obj, prim, text, time,
        untyped_list,
    };
    use VariableType::{Bool, Double, Int, JsonArr, JsonObj, Str};

    fn taken(expected: &TypeDefinition, value: VariableValue) -> Result<VariableValue, TypeError> {
        ingress(expected, value, &NoStructs)
    }

    #[test]
    fn primitives_are_converted_to_the_declared_kind() {
        assert_eq!(taken(&prim(Double), int(3)), Ok(double(3.0))); // spec 02-48
        assert_eq!(taken(&prim(Str), int(3)), Ok(text("3"))); // spec 02-1 (the conversion)
        assert_eq!(taken(&prim(Str), boolean(true)), Ok(text("true")));
        assert_eq!(taken(&prim(Int), null()), Ok(null()));
        assert!(
            taken(&prim(Int), double(1.0))
                .unwrap_err()
                .to_string()
                .contains("DOUBLE")
        ); // spec 02-7 (the check)
        assert!(taken(&prim(Int), text("1")).is_err());
        assert!(taken(&prim(Str), time(0, 0)).is_err());
        assert!(taken(&prim(Bool), text("true")).is_err());
        assert!(taken(&prim(JsonArr), obj("{}")).is_err());
        assert!(taken(&prim(Str), obj("{}")).is_err());
    }

    #[test]
    fn json_is_checked_and_compacted() {
        assert_eq!(
            taken(&prim(JsonObj), obj("{ \"a\": 1.0 }")),
            Ok(obj("{\"a\":1.0}"))
        );
        assert_eq!(taken(&prim(JsonObj), obj("[1, 2]")), Ok(obj("[1,2]")));
        assert_eq!(taken(&prim(JsonObj), obj("null")), Ok(null()));
        assert!(taken(&prim(JsonArr), arr("[1,]")).is_err());
        assert_eq!(
            ingress_untyped(untyped_list([arr("[ ]")])),
            Ok(untyped_list([arr("[]")]))
        );
        assert!(ingress_untyped(obj("x")).is_err());
    }

    #[test]
    fn arrays_are_restamped_and_checked_at_every_depth() {
        // spec 02-47
        assert!(taken(&array_of(prim(Int)), untyped_list([int(1), text("x")])).is_err());
        assert_eq!(
            taken(&array_of(prim(Int)), list(prim(Str), [int(1)])),
            Ok(list(prim(Int), [int(1)]))
        );
        assert_eq!(
            taken(&array_of(prim(Double)), untyped_list([int(1), null()])),
            Ok(list(prim(Double), [double(1.0), null()]))
        );
        let nested = array_of(array_of(prim(Int)));
        let error = taken(
            &nested,
            untyped_list([untyped_list([int(1)]), untyped_list([text("x")])]),
        )
        .unwrap_err();
        assert!(error.to_string().contains("[1][0]"), "{error}");
        assert!(taken(&array_of(prim(Int)), arr("[1]")).is_err());
        assert!(taken(&prim(Int), untyped_list([])).is_err());
    }

    #[test]
    fn maps_keep_order_nulls_and_duplicates() {
        let declared = map_of(prim(Str), prim(Double));
        let sent = dict(
            None,
            [
                (text("b"), int(1)),
                (null(), null()),
                (text("b"), double(2.0)),
            ],
        );
        let stored = dict(
            Some((prim(Str), prim(Double))),
            [
                (text("b"), double(1.0)),
                (null(), null()),
                (text("b"), double(2.0)),
            ], // spec 02-30 (the check)
        );
        assert_eq!(taken(&declared, sent), Ok(stored));
        assert!(taken(&declared, dict(None, [(text("b"), text("x"))])).is_err());
        assert!(
            taken(
                &map_of(prim(Int), prim(Int)),
                dict(None, [(text("b"), int(1))])
            )
            .is_err()
        );
    }
}

//! Operators at run time (spec 02, section 9.3). Operands come by value and are changed in place.

use prost::Message;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Array, Map, TypeDefinition, VariableMutationType, VariableType, VariableValue,
};
use serde_json::Value as Json;

use super::compare::same_content;
use super::convert::{as_bool, as_bytes, as_double, as_int, as_text, coerce, to_primitive};
use super::fault::Fault;
use super::json;
use super::limits::Spent;
use super::scope::StructDefs;
use super::text::string_form;
use super::types::{Type, kind_name, kind_of};

/// The type that arithmetic works in, and that ASSIGN converts to (spec 02, section 9.2).
pub(super) enum Working<'a> {
    /// In an expression: the kind of the left side, but DOUBLE if it is INT and the right side DOUBLE.
    Operands {
        /// Arithmetic in DOUBLE.
        double: bool,
    },
    /// Below a path: the kind of the leaf.
    Leaf,
    /// The declared type of the variable.
    Declared(&'a TypeDefinition),
}

impl Working<'_> {
    /// For an expression.
    pub(super) fn of_operands(lhs: &VariableValue, rhs: &VariableValue) -> Self {
        let double = matches!(
            (&lhs.value, &rhs.value),
            (Some(Value::Double(_)), _) | (Some(Value::Int(_)), Some(Value::Double(_)))
        );
        Working::Operands { double }
    }

    fn is_double(&self, lhs: &VariableValue) -> bool {
        match self {
            Working::Operands { double } => *double,
            Working::Leaf => matches!(lhs.value, Some(Value::Double(_))),
            Working::Declared(declared) => Type::from(*declared).same(&Type::DOUBLE),
        }
    }
}

/// `lhs OP rhs`.
///
/// # Errors
/// The operator does not take these operands, a conversion fails, an INT overflows, a division by zero.
pub(super) fn operate(
    operation: VariableMutationType,
    lhs: VariableValue,
    rhs: VariableValue,
    working: &Working<'_>,
    structs: &dyn StructDefs,
) -> Result<VariableValue, Fault> {
    use VariableMutationType as Op;
    if matches!(operation, Op::Add | Op::Extend) {
        // The only ones that make more than they are given.
        let mut spent = Spent::default();
        spent.add(bytes_of(&lhs))?;
        spent.add(bytes_of(&rhs))?;
    }
    let value = match operation {
        Op::Assign => return assign(&lhs, rhs, working, structs),
        Op::And => Value::Bool(logic(&lhs)? && logic(&rhs)?),
        Op::Or => Value::Bool(logic(&lhs)? || logic(&rhs)?),
        Op::Add | Op::Subtract | Op::Multiply | Op::Divide => {
            arithmetic(operation, lhs, &rhs, working)?
        }
        Op::Pow => power(&lhs, &rhs)?,
        Op::Extend => extend(lhs, rhs, structs)?,
        Op::RemoveIfPresent => remove_if_present(lhs, rhs, structs)?,
        Op::RemoveIndex => remove_index(lhs, &rhs)?,
        Op::RemoveKey => remove_key(lhs, &rhs)?,
    };
    Ok(VariableValue { value: Some(value) })
}

/// The size of what ADD and EXTEND put together.
fn bytes_of(value: &VariableValue) -> usize {
    match &value.value {
        Some(Value::Int(_) | Value::Double(_) | Value::Bool(_)) | None => 0,
        Some(Value::Str(text) | Value::JsonArr(text) | Value::JsonObj(text)) => text.len(),
        Some(_) => value.encoded_len(),
    }
}

fn unsupported(operation: VariableMutationType, lhs: &str, rhs: &VariableValue) -> Fault {
    let (operation, rhs) = (operation.as_str_name(), kind_name(rhs));
    let hint = if lhs == "NULL" {
        " (the left side is null: VALUE_NOT_SET)"
    } else {
        ""
    };
    let hint = if rhs == "NULL" {
        " (the right side is null: VALUE_NOT_SET)"
    } else {
        hint
    };
    Fault::var_sub(format!(
        "Operation {operation} is not supported for {lhs} and {rhs}{hint}"
    ))
}

fn present(
    operation: VariableMutationType,
    lhs: VariableValue,
    rhs: &VariableValue,
) -> Result<Value, Fault> {
    lhs.value.ok_or_else(|| unsupported(operation, "NULL", rhs))
}

fn logic(side: &VariableValue) -> Result<bool, Fault> {
    as_bool(side).map_err(|fault| fault.within("Operand of AND or OR"))
}

fn assign(
    lhs: &VariableValue,
    rhs: VariableValue,
    working: &Working<'_>,
    structs: &dyn StructDefs,
) -> Result<VariableValue, Fault> {
    if let Working::Declared(declared) = working {
        return coerce(declared, rhs, structs);
    }
    if rhs.value.is_none() {
        return Ok(rhs);
    }
    match Type::of(lhs) {
        Type::Primitive(kind) => to_primitive(rhs, kind),
        Type::Null | Type::Unknown => Err(unsupported(VariableMutationType::Assign, "NULL", &rhs)),
        target @ Type::Struct(_) => coerce(&target.definition().unwrap_or_default(), rhs, structs),
        target => {
            let actual = Type::of(&rhs);
            if actual.fits(&target) {
                return Ok(rhs);
            }
            Err(Fault::var_sub(format!(
                "Cannot convert {actual} to {target}"
            )))
        }
    }
}

fn arithmetic(
    operation: VariableMutationType,
    lhs: VariableValue,
    rhs: &VariableValue,
    working: &Working<'_>,
) -> Result<Value, Fault> {
    use VariableMutationType as Op;
    let double = working.is_double(&lhs);
    let left = present(operation, lhs, rhs)?;
    if matches!(
        rhs.value,
        None | Some(Value::Struct(_) | Value::Array(_) | Value::Map(_))
    ) {
        return Err(unsupported(operation, kind_of(&left), rhs));
    }
    let left = if double && !matches!(left, Value::Double(_)) {
        Value::Double(as_double(&VariableValue { value: Some(left) })?)
    } else {
        left
    };
    let divide = operation == Op::Divide && matches!(left, Value::Int(_) | Value::Double(_));
    if divide && as_double(rhs)? == 0.0 {
        return Err(Fault::var_sub("Cannot divide by zero"));
    }
    match (left, operation, &rhs.value) {
        (Value::Double(a), _, _) => Ok(Value::Double(in_double(operation, a, as_double(rhs)?))),
        (Value::Int(a), _, Some(Value::Double(b))) => {
            let result = in_double(operation, a as f64, *b).trunc();
            // Exactly the doubles that an INT can hold.
            if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&result) {
                return Err(overflow(operation));
            }
            Ok(Value::Int(result as i64))
        }
        (Value::Int(a), _, _) => {
            let b = as_int(rhs)?;
            let result = match operation {
                Op::Add => a.checked_add(b),
                Op::Subtract => a.checked_sub(b),
                Op::Multiply => a.checked_mul(b),
                _ => a.checked_div(b),
            };
            result.map(Value::Int).ok_or_else(|| overflow(operation))
        }
        (Value::Str(mut text), Op::Add, _) => {
            text.push_str(&as_text(rhs)?);
            Ok(Value::Str(text))
        }
        (json @ Value::JsonArr(_), Op::Add, _) => {
            let mut items = items_of(&json);
            items.push(json::from_nullable(rhs));
            Ok(json_arr(items))
        }
        (left, ..) => Err(unsupported(operation, kind_of(&left), rhs)),
    }
}

fn in_double(operation: VariableMutationType, a: f64, b: f64) -> f64 {
    match operation {
        VariableMutationType::Add => a + b,
        VariableMutationType::Subtract => a - b,
        VariableMutationType::Multiply => a * b,
        _ => a / b,
    }
}

fn overflow(operation: VariableMutationType) -> Fault {
    Fault::var_sub(format!(
        "Overflow: the result of {} is out of range for an INT",
        operation.as_str_name()
    ))
}

fn power(lhs: &VariableValue, rhs: &VariableValue) -> Result<Value, Fault> {
    match (&lhs.value, &rhs.value) {
        (Some(Value::Int(base)), Some(Value::Int(exponent))) => {
            int_power(*base, *exponent).map(Value::Int)
        }
        (Some(Value::Int(_) | Value::Double(_)), Some(Value::Int(_) | Value::Double(_))) => {
            let result = as_double(lhs)?.powf(as_double(rhs)?);
            if !result.is_finite() {
                return Err(Fault::var_sub("The result of POW is not finite"));
            }
            Ok(Value::Double(result))
        }
        _ => Err(unsupported(VariableMutationType::Pow, kind_name(lhs), rhs)),
    }
}

fn int_power(base: i64, exponent: i64) -> Result<i64, Fault> {
    match base {
        0 if exponent < 0 => return Err(Fault::var_sub("The result of POW is not finite")),
        1 => return Ok(1),
        -1 => return Ok(if exponent % 2 == 0 { 1 } else { -1 }),
        _ if exponent < 0 => return Ok(0),
        0 => return Ok(i64::from(exponent == 0)),
        _ => {}
    }
    let result = u32::try_from(exponent)
        .ok()
        .and_then(|exponent| base.checked_pow(exponent));
    result.ok_or_else(|| overflow(VariableMutationType::Pow))
}

fn items_of(json: &Value) -> Vec<Json> {
    match json::content(json) {
        Some(Json::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn json_arr(items: Vec<Json>) -> Value {
    Value::JsonArr(Json::Array(items).to_string())
}

fn extend(
    lhs: VariableValue,
    rhs: VariableValue,
    structs: &dyn StructDefs,
) -> Result<Value, Fault> {
    const OPERATION: VariableMutationType = VariableMutationType::Extend;
    let left = present(OPERATION, lhs, &rhs)?;
    if rhs.value.is_none() {
        return Err(unsupported(OPERATION, kind_of(&left), &rhs));
    }
    match (left, &rhs.value) {
        (Value::Str(mut text), _) => {
            text.push_str(&as_text(&rhs)?);
            Ok(Value::Str(text))
        }
        (Value::Bytes(bytes), _) => Ok(Value::Bytes([bytes, as_bytes(&rhs)?].concat().into())),
        (json @ Value::JsonArr(_), Some(more @ Value::JsonArr(_))) => {
            let mut items = items_of(&json);
            items.append(&mut items_of(more));
            Ok(json_arr(items))
        }
        (Value::Array(array), _) => extend_array(array, rhs, structs).map(Value::Array),
        (Value::Map(map), Some(Value::Map(_))) => extend_map(map, rhs, structs).map(Value::Map),
        (left, _) => Err(unsupported(OPERATION, kind_of(&left), &rhs)),
    }
}

fn extend_array(
    mut array: Array,
    rhs: VariableValue,
    structs: &dyn StructDefs,
) -> Result<Array, Fault> {
    let element = element_of(&array);
    let concatenated = match Type::of(&rhs) {
        // An empty array that nobody typed is taken as one of this type, unless it can be an item.
        Type::Array(other) => match &element {
            Some(element) => {
                let element = Type::from(element);
                element.same(&other) || (!other.is_known() && !matches!(element, Type::Array(_)))
            }
            None => !other.is_known(),
        },
        _ => false,
    };
    let mut append = |item: VariableValue| -> Result<(), Fault> {
        array.items.push(match &element {
            Some(element) => coerce(element, item, structs)?,
            None => item,
        });
        Ok(())
    };
    match rhs.value {
        Some(Value::Array(more)) if concatenated => more.items.into_iter().try_for_each(append)?,
        item => append(VariableValue { value: item })?,
    }
    Ok(array)
}

/// The declared type of the items, or that of the first one.
fn element_of(array: &Array) -> Option<TypeDefinition> {
    array
        .element_type
        .clone()
        .or_else(|| Type::of(array.items.first()?).definition())
}

fn extend_map(mut map: Map, rhs: VariableValue, structs: &dyn StructDefs) -> Result<Map, Fault> {
    let Some(Value::Map(more)) = rhs.value else {
        return Ok(map);
    };
    let (key_type, value_type) = match map.map_type.clone() {
        Some(types) => (types.key_type, types.value_type),
        None => (None, None),
    };
    let fit = |declared: &Option<Box<TypeDefinition>>, part: Option<VariableValue>| match declared {
        Some(declared) => coerce(declared, part.unwrap_or_default(), structs),
        None => Ok(part.unwrap_or_default()),
    };
    for mut entry in more.entries {
        let key = fit(&key_type, entry.key.take())?;
        let value = fit(&value_type, entry.value.take())?;
        let existing = map.entries.iter_mut().find(|entry| {
            let null = VariableValue::default();
            same_content(entry.key.as_ref().unwrap_or(&null), &key)
        });
        if let Some(existing) = existing {
            existing.value = Some(value);
        } else {
            entry.key = Some(key);
            entry.value = Some(value);
            map.entries.push(entry);
        }
    }
    Ok(map)
}

fn remove_if_present(
    lhs: VariableValue,
    rhs: VariableValue,
    structs: &dyn StructDefs,
) -> Result<Value, Fault> {
    const OPERATION: VariableMutationType = VariableMutationType::RemoveIfPresent;
    match present(OPERATION, lhs, &rhs)? {
        json @ Value::JsonArr(_) => {
            let unwanted = json::from_nullable(&rhs);
            let mut items = items_of(&json);
            items.retain(|item| *item != unwanted);
            Ok(json_arr(items))
        }
        Value::Array(mut array) => {
            let unwanted = match element_of(&array) {
                Some(element) => coerce(&element, rhs, structs)?,
                None => rhs,
            };
            array.items.retain(|item| !same_content(item, &unwanted));
            Ok(Value::Array(array))
        }
        other => Err(unsupported(OPERATION, kind_of(&other), &rhs)),
    }
}

fn remove_index(lhs: VariableValue, rhs: &VariableValue) -> Result<Value, Fault> {
    const OPERATION: VariableMutationType = VariableMutationType::RemoveIndex;
    let position = |length: usize| -> Result<usize, Fault> {
        let index = as_int(rhs)?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < length)
            .ok_or_else(|| {
                Fault::var_sub(format!(
                    "Index {index} is out of bounds: there are {length} items"
                ))
            })
    };
    match present(OPERATION, lhs, rhs)? {
        json @ Value::JsonArr(_) => {
            let mut items = items_of(&json);
            items.remove(position(items.len())?);
            Ok(json_arr(items))
        }
        Value::Array(mut array) => {
            array.items.remove(position(array.items.len())?);
            Ok(Value::Array(array))
        }
        other => Err(unsupported(OPERATION, kind_of(&other), rhs)),
    }
}

fn remove_key(lhs: VariableValue, rhs: &VariableValue) -> Result<Value, Fault> {
    const OPERATION: VariableMutationType = VariableMutationType::RemoveKey;
    match present(OPERATION, lhs, rhs)? {
        json @ Value::JsonObj(_) => {
            let key = string_form(rhs).ok_or_else(|| unsupported(OPERATION, "JSON_OBJ", rhs))?;
            let mut document = json::content(&json).unwrap_or(Json::Null);
            if let Json::Object(members) = &mut document {
                members.shift_remove(&key);
            }
            Ok(Value::JsonObj(document.to_string()))
        }
        Value::Map(mut map) => {
            let null = VariableValue::default();
            // An automatic conversion to the key type, as the static check allows; else the key is not there.
            let declared = map
                .map_type
                .as_ref()
                .and_then(|types| types.key_type.as_deref())
                .map(Type::from);
            let key = match declared {
                Some(Type::Primitive(VariableType::Double))
                    if matches!(rhs.value, Some(Value::Int(_))) =>
                {
                    to_primitive(rhs.clone(), VariableType::Double)?
                }
                Some(Type::Primitive(VariableType::Str)) if rhs.value.is_some() => {
                    to_primitive(rhs.clone(), VariableType::Str)?
                }
                _ => rhs.clone(),
            };
            map.entries
                .retain(|entry| !same_content(entry.key.as_ref().unwrap_or(&null), &key));
            Ok(Value::Map(map))
        }
        other => Err(unsupported(OPERATION, kind_of(&other), rhs)),
    }
}

#[cfg(test)]
#[path = "operate_tests.rs"]
mod tests;

//! Static result types of the operators (spec 02, section 9.1).

use proto::littlehorse::{VariableMutationType, VariableType};

use super::fault::TypeError;
use super::types::Type;

/// The type of `lhs OP rhs`; unknown if an operand is. INT with DOUBLE counts as INT, though the value is a DOUBLE
/// (spec 02, section 9.1, notes): it fits variables of both types.
pub(super) fn operation_type(
    operation: VariableMutationType,
    lhs: &Type,
    rhs: &Type,
) -> Result<Type, TypeError> {
    use VariableMutationType as Op;
    use VariableType::{Bytes, Double, Int, JsonArr, JsonObj, Str};
    if !lhs.is_known() || !rhs.is_known() {
        return Ok(Type::Unknown);
    }
    let logical = |kind: &Type| kind.same(&Type::BOOL) || kind.same(&Type::STR);
    let fine = match (operation, lhs) {
        (Op::Assign, _) => {
            rhs.check_fits(lhs)?;
            true
        }
        (Op::And | Op::Or, _) => {
            if logical(lhs) && logical(rhs) {
                return Ok(Type::BOOL);
            }
            false
        }
        (Op::Add | Op::Subtract | Op::Multiply | Op::Divide, Type::Primitive(Int | Double)) => {
            rhs.is_number()
        }
        (Op::Pow, Type::Primitive(Int)) if rhs.same(&Type::DOUBLE) => return Ok(Type::DOUBLE),
        (Op::Pow, Type::Primitive(Int | Double)) => rhs.is_number(),
        (Op::Add | Op::Extend, Type::Primitive(Str)) => rhs.is_scalar(),
        // Others have no place in JSON at run time, NULL included (section 9.3).
        (Op::Add, Type::Primitive(JsonArr)) => matches!(rhs, Type::Primitive(_)),
        (Op::Extend, Type::Primitive(Bytes | JsonArr)) => rhs.same(lhs),
        (Op::RemoveIfPresent, Type::Primitive(JsonArr)) => rhs.is_scalar(),
        (Op::RemoveIndex, Type::Primitive(JsonArr) | Type::Array(_)) => rhs.is_number(),
        (Op::RemoveKey, Type::Primitive(JsonObj)) => rhs.is_scalar(),
        (Op::Extend, Type::Array(element)) => {
            !matches!(rhs, Type::Null) && (rhs.fits(element) || rhs.fits(lhs))
        }
        (Op::RemoveIfPresent, Type::Array(element)) => rhs.same(element) || !element.is_known(),
        (Op::Extend, Type::Map(..)) => matches!(rhs, Type::Map(..)) && rhs.fits(lhs),
        (Op::RemoveKey, Type::Map(key, _)) => rhs.fits(key),
        _ => false,
    };
    if fine {
        return Ok(lhs.clone());
    }
    Err(TypeError::Operation {
        operation: operation.as_str_name().to_lowercase(),
        left: lhs.to_string().to_lowercase(),
        right: rhs.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{array_of, map_of, prim};
    use VariableMutationType as Op;
    use VariableType::{Bool, Bytes, Double, Int, JsonArr, JsonObj, Str, Timestamp, WfRunId};

    fn kind(kind: VariableType) -> Type {
        Type::Primitive(kind)
    }

    fn result(operation: Op, lhs: &Type, rhs: &Type) -> Option<String> {
        operation_type(operation, lhs, rhs)
            .ok()
            .map(|kind| kind.to_string())
    }

    #[test]
    fn table() {
        let ints = Type::from(&array_of(prim(Int)));
        let map = Type::from(&map_of(prim(Str), prim(Int)));
        for (operation, lhs, rhs, expected) in [
            (Op::Add, kind(Int), kind(Double), Some("INT")),
            (Op::Divide, kind(Double), kind(Int), Some("DOUBLE")),
            (Op::Multiply, kind(Int), kind(Str), None),
            (Op::Pow, kind(Int), kind(Int), Some("INT")),
            (Op::Pow, kind(Int), kind(Double), Some("DOUBLE")),
            (Op::Pow, kind(Double), kind(Int), Some("DOUBLE")),
            (Op::Add, kind(Str), kind(Timestamp), Some("STR")),
            (Op::Add, kind(Str), kind(JsonObj), None),
            (Op::Subtract, kind(Str), kind(Str), None),
            (Op::Extend, kind(Str), kind(WfRunId), Some("STR")),
            (Op::Add, kind(Bool), kind(Bool), None),
            (Op::Extend, kind(Bytes), kind(Bytes), Some("BYTES")),
            (Op::Extend, kind(Bytes), kind(Str), None),
            (Op::Add, kind(JsonArr), kind(JsonObj), Some("JSON_ARR")),
            (Op::Extend, kind(JsonArr), kind(JsonArr), Some("JSON_ARR")),
            (Op::Extend, kind(JsonArr), kind(Int), None),
            (
                Op::RemoveIfPresent,
                kind(JsonArr),
                kind(Str),
                Some("JSON_ARR"),
            ),
            (Op::RemoveIfPresent, kind(JsonArr), kind(JsonArr), None),
            (
                Op::RemoveIndex,
                kind(JsonArr),
                kind(Double),
                Some("JSON_ARR"),
            ),
            (Op::RemoveKey, kind(JsonObj), kind(Str), Some("JSON_OBJ")),
            (Op::RemoveKey, kind(JsonArr), kind(Str), None),
            (Op::Extend, ints.clone(), kind(Int), Some("Array<INT>")),
            (Op::Extend, ints.clone(), ints.clone(), Some("Array<INT>")),
            (Op::Extend, ints.clone(), kind(Str), None),
            (Op::Extend, ints.clone(), Type::Null, None),
            (Op::RemoveIfPresent, ints.clone(), kind(Double), None),
            (Op::RemoveIndex, ints.clone(), kind(Int), Some("Array<INT>")),
            (Op::Extend, map.clone(), map.clone(), Some("Map<STR, INT>")),
            (Op::RemoveKey, map.clone(), kind(Str), Some("Map<STR, INT>")),
            (Op::RemoveKey, map.clone(), kind(JsonObj), None),
            (Op::Add, map, kind(Int), None),
            (Op::And, kind(Bool), kind(Str), Some("BOOL")),
            (Op::And, kind(Int), kind(Bool), None),
            (Op::Or, Type::Null, kind(Bool), None),
            (Op::Assign, kind(Double), kind(Int), Some("DOUBLE")),
            (Op::Assign, kind(Int), kind(Double), None),
            (Op::Assign, kind(Int), Type::Null, Some("INT")),
            (Op::Multiply, kind(Int), Type::Null, None),
            (Op::Multiply, kind(Str), Type::Unknown, Some("UNKNOWN")),
            (Op::Multiply, Type::Unknown, ints, Some("UNKNOWN")),
        ] {
            assert_eq!(
                result(operation, &lhs, &rhs).as_deref(),
                expected,
                "{lhs} {operation:?} {rhs}"
            );
        }
        let error = operation_type(Op::Multiply, &kind(Str), &kind(Int))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot multiply to a str"), "{error}"); // spec 02-24
    }
}

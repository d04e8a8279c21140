//! Types in working form, and the one table of what converts to what (spec 02, section 3).

use std::fmt;

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    InlineArrayDef, InlineMapDef, StructDefId, TypeDefinition, VariableType, VariableValue,
};

use super::fault::TypeError;

/// A type as checks see it. Masks play no part; structs are told apart by name, whatever their version.
#[derive(Clone, Debug)]
pub enum Type {
    /// Known only at run time: passes every check.
    Unknown,
    /// Type of the literal NULL, which fits everywhere.
    Null,
    /// One of the nine primitive types.
    Primitive(VariableType),
    /// A StructDef.
    Struct(StructDefId),
    /// A typed array.
    Array(Box<Type>),
    /// A typed map: key and value.
    Map(Box<Type>, Box<Type>),
}

/// How a source type gets to a target type: a cell of the table of section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// `=`: nothing to do.
    Same,
    /// `a`: without being asked for.
    Automatic,
    /// `c`: only with a `target_type`.
    Cast,
    /// `-`: not at all.
    Never,
}

impl Type {
    /// `INT` and the like.
    pub const INT: Type = Type::Primitive(VariableType::Int);
    /// A double.
    pub const DOUBLE: Type = Type::Primitive(VariableType::Double);
    /// A text.
    pub const STR: Type = Type::Primitive(VariableType::Str);
    /// A truth value.
    pub const BOOL: Type = Type::Primitive(VariableType::Bool);
    /// A JSON array.
    pub const JSON_ARR: Type = Type::Primitive(VariableType::JsonArr);
    /// A JSON object.
    pub const JSON_OBJ: Type = Type::Primitive(VariableType::JsonObj);

    /// The type of a value (spec 02, section 1). Items whose type nobody declared take that of the first one.
    pub fn of(value: &VariableValue) -> Type {
        let Some(value) = &value.value else {
            return Type::Null;
        };
        let element = |declared: Option<&TypeDefinition>, first: Option<&VariableValue>| match (
            declared, first,
        ) {
            (Some(declared), _) => Type::from(declared),
            (None, Some(first)) => match Type::of(first) {
                Type::Null => Type::Unknown,
                known => known,
            },
            (None, None) => Type::Unknown,
        };
        match value {
            Value::Struct(value) => Type::Struct(value.struct_def_id.clone().unwrap_or_default()),
            Value::Array(array) => Type::Array(Box::new(element(
                array.element_type.as_ref(),
                array.items.first(),
            ))),
            Value::Map(map) => {
                let (first, declared) = (map.entries.first(), map.map_type.as_ref());
                let key = element(
                    declared.and_then(|types| types.key_type.as_deref()),
                    first.and_then(|entry| entry.key.as_ref()),
                );
                let value = element(
                    declared.and_then(|types| types.value_type.as_deref()),
                    first.and_then(|entry| entry.value.as_ref()),
                );
                Type::Map(Box::new(key), Box::new(value))
            }
            Value::JsonObj(_) => Type::JSON_OBJ,
            Value::JsonArr(_) => Type::JSON_ARR,
            Value::Double(_) => Type::DOUBLE,
            Value::Bool(_) => Type::BOOL,
            Value::Str(_) => Type::STR,
            Value::Int(_) => Type::INT,
            Value::Bytes(_) => Type::Primitive(VariableType::Bytes),
            Value::WfRunId(_) => Type::Primitive(VariableType::WfRunId),
            Value::UtcTimestamp(_) => Type::Primitive(VariableType::Timestamp),
        }
    }

    /// The same type: masks and versions of structs do not count, and an unknown part equals only an unknown part.
    pub fn same(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Unknown, Type::Unknown) | (Type::Null, Type::Null) => true,
            (Type::Primitive(a), Type::Primitive(b)) => a == b,
            (Type::Struct(a), Type::Struct(b)) => a.name == b.name,
            (Type::Array(a), Type::Array(b)) => a.same(b),
            (Type::Map(a, x), Type::Map(b, y)) => a.same(b) && x.same(y),
            _ => false,
        }
    }

    /// The cell of the table: source `self`, target `to`.
    pub fn conversion(&self, to: &Type) -> Conversion {
        use VariableType::{Bool, Bytes, Double, Int, Str, WfRunId};
        match (self, to) {
            (Type::Unknown | Type::Null, _) | (_, Type::Unknown | Type::Null) => {
                Conversion::Automatic
            }
            (Type::Primitive(from), Type::Primitive(to)) => match (from, to) {
                (from, to) if from == to => Conversion::Same,
                (Int, Double) | (Int | Double | Bool | Bytes | WfRunId, Str) => {
                    Conversion::Automatic
                }
                (Double, Int) | (Str, Int | Double | Bool | Bytes | WfRunId) => Conversion::Cast,
                _ => Conversion::Never,
            },
            (Type::Array(from), Type::Array(_)) if matches!(**from, Type::Unknown) => {
                Conversion::Automatic
            }
            (Type::Map(key, value), Type::Map(..))
                if matches!((&**key, &**value), (Type::Unknown, Type::Unknown)) =>
            {
                Conversion::Automatic
            }
            (from, to) if from.same(to) => Conversion::Same,
            _ => Conversion::Never,
        }
    }

    /// Whether a value of this type may be given where `to` is declared, without a cast.
    pub fn fits(&self, to: &Type) -> bool {
        matches!(
            self.conversion(to),
            Conversion::Same | Conversion::Automatic
        )
    }

    /// [`Type::fits`] with the error that clients know.
    pub fn check_fits(&self, to: &Type) -> Result<(), TypeError> {
        if self.fits(to) {
            return Ok(());
        }
        Err(TypeError::Assign {
            from: self.to_string(),
            to: to.to_string(),
        })
    }

    /// Whether `target_type` may be `to` (spec 02, section 3.2): primitives only.
    pub fn check_cast(&self, to: &Type) -> Result<(), TypeError> {
        let primitive =
            |kind: &Type| matches!(kind, Type::Primitive(_) | Type::Unknown | Type::Null);
        let legal = matches!(to, Type::Primitive(_))
            && primitive(self)
            && self.conversion(to) != Conversion::Never;
        if legal {
            return Ok(());
        }
        Err(TypeError::Cast {
            from: self.to_string(),
            to: to.to_string(),
        })
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(
            self,
            Type::Primitive(VariableType::Int | VariableType::Double)
        )
    }

    /// INT, DOUBLE, STR, BOOL, WF_RUN_ID, TIMESTAMP: `prim` of section 9.1.
    pub(super) fn is_scalar(&self) -> bool {
        use VariableType::{Bool, Double, Int, Str, Timestamp, WfRunId};
        matches!(
            self,
            Type::Primitive(Int | Double | Str | Bool | WfRunId | Timestamp)
        )
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(
            self,
            Type::Primitive(VariableType::JsonObj | VariableType::JsonArr)
        )
    }

    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Type::Unknown)
    }

    /// The declared form; `None` for what no declaration can say.
    pub fn definition(&self) -> Option<TypeDefinition> {
        let defined = match self {
            Type::Unknown | Type::Null => return None,
            Type::Primitive(kind) => DefinedType::PrimitiveType((*kind).into()),
            Type::Struct(id) => DefinedType::StructDefId(id.clone()),
            Type::Array(element) => DefinedType::InlineArrayDef(Box::new(InlineArrayDef {
                array_type: element.definition().map(Box::new),
            })),
            Type::Map(key, value) => DefinedType::InlineMapDef(Box::new(InlineMapDef {
                key_type: key.definition().map(Box::new),
                value_type: value.definition().map(Box::new),
            })),
        };
        Some(TypeDefinition {
            defined_type: Some(defined),
            masked: false,
        })
    }
}

impl From<&TypeDefinition> for Type {
    /// No case set is JSON_OBJ (spec 02, section 2), and so is an inline struct, which no stored definition has.
    fn from(definition: &TypeDefinition) -> Type {
        let part = |part: &Option<Box<TypeDefinition>>| {
            Box::new(part.as_deref().map_or(Type::JSON_OBJ, Type::from))
        };
        match &definition.defined_type {
            Some(DefinedType::PrimitiveType(kind)) => {
                Type::Primitive(VariableType::try_from(*kind).unwrap_or(VariableType::JsonObj))
            }
            Some(DefinedType::StructDefId(id)) => Type::Struct(id.clone()),
            Some(DefinedType::InlineArrayDef(def)) => Type::Array(part(&def.array_type)),
            Some(DefinedType::InlineMapDef(def)) => {
                Type::Map(part(&def.key_type), part(&def.value_type))
            }
            Some(DefinedType::InlineStructDef(_)) | None => Type::JSON_OBJ,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Unknown => f.write_str("UNKNOWN"),
            Type::Null => f.write_str("NULL"),
            Type::Primitive(kind) => f.write_str(kind.as_str_name()),
            Type::Struct(id) => write!(f, "Struct<{}>", id.name),
            Type::Array(element) => write!(f, "Array<{element}>"),
            Type::Map(key, value) => write!(f, "Map<{key}, {value}>"),
        }
    }
}

/// The name of a declared type, for messages.
pub fn type_name(definition: &TypeDefinition) -> String {
    Type::from(definition).to_string()
}

/// The name of a value's kind, for messages: `NULL`, `INT`, `STRUCT` and so on.
pub fn kind_name(value: &VariableValue) -> &'static str {
    value.value.as_ref().map_or("NULL", kind_of)
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::JsonObj(_) => "JSON_OBJ",
        Value::JsonArr(_) => "JSON_ARR",
        Value::Double(_) => "DOUBLE",
        Value::Bool(_) => "BOOL",
        Value::Str(_) => "STR",
        Value::Int(_) => "INT",
        Value::Bytes(_) => "BYTES",
        Value::WfRunId(_) => "WF_RUN_ID",
        Value::UtcTimestamp(_) => "TIMESTAMP",
        Value::Struct(_) => "STRUCT",
        Value::Array(_) => "ARRAY",
        Value::Map(_) => "MAP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{array_of, int, list, map_of, null, prim, untyped_list};
    use VariableType::{Bool, Bytes, Double, Int, JsonArr, JsonObj, Str, Timestamp, WfRunId};

    const ALL: [VariableType; 9] = [
        Int, Double, Str, Bool, Bytes, JsonObj, JsonArr, WfRunId, Timestamp,
    ];

    #[test]
    fn table_of_primitives() {
        // Rows and columns in the order of ALL; the table of section 3.1.
        let rows = [
            "=aa------",
            "c=a------",
            "cc=cc--c-",
            "--a=-----",
            "--a-=----",
            "-----=---",
            "------=--",
            "--a----=-",
            "--------=",
        ];
        for (from, row) in ALL.iter().zip(rows) {
            for (to, cell) in ALL.iter().zip(row.chars()) {
                let expected = match cell {
                    '=' => Conversion::Same,
                    'a' => Conversion::Automatic,
                    'c' => Conversion::Cast,
                    _ => Conversion::Never,
                };
                let (from, to) = (Type::Primitive(*from), Type::Primitive(*to));
                assert_eq!(from.conversion(&to), expected, "{from} to {to}");
                assert!(Type::Null.fits(&to) && Type::Unknown.fits(&to));
            }
        }
    }

    #[test]
    fn collections_and_structs() {
        let def = |name: &str, version| {
            Type::Struct(StructDefId {
                name: name.to_owned(),
                version,
            })
        };
        assert!(def("car", 0).fits(&def("car", 3)));
        assert!(!def("car", 0).fits(&def("bike", 0)));
        let ints = Type::from(&array_of(prim(Int)));
        let doubles = Type::from(&array_of(prim(Double)));
        assert!(
            ints.fits(&ints)
                && !ints.fits(&doubles)
                && !ints.fits(&Type::JSON_ARR)
                && !Type::JSON_ARR.fits(&ints)
        );
        assert!(Type::of(&untyped_list([])).fits(&doubles));
        assert!(Type::of(&untyped_list([int(1)])).same(&ints));
        assert!(Type::of(&list(prim(Double), [int(1)])).same(&doubles));
        let map = Type::from(&map_of(prim(Str), prim(Int)));
        assert!(map.fits(&map) && !map.fits(&Type::from(&map_of(prim(Str), prim(Double)))));
        assert!(Type::of(&null()).fits(&map));
    }

    #[test]
    fn casts() {
        let cannot = |from: &Type, to: &Type| from.check_cast(to).unwrap_err().to_string();
        // spec 02-4 01-38
        assert_eq!(
            cannot(&Type::DOUBLE, &Type::BOOL),
            "Cannot cast from DOUBLE to BOOL. This conversion is not supported."
        );
        assert_eq!(
            cannot(&Type::INT, &Type::BOOL),
            "Cannot cast from INT to BOOL. This conversion is not supported."
        );
        assert!(Type::STR.check_cast(&Type::BOOL).is_ok());
        assert!(Type::Unknown.check_cast(&Type::BOOL).is_ok());
        assert!(
            Type::STR
                .check_cast(&Type::from(&array_of(prim(Int))))
                .is_err()
        );
        assert_eq!(
            Type::STR.check_fits(&Type::INT).unwrap_err().to_string(),
            "Cannot assign STR to INT without explicit casting."
        );
    }

    #[test]
    fn masks_do_not_count_and_unset_is_json() {
        let masked = TypeDefinition {
            masked: true,
            ..prim(Int)
        };
        assert!(Type::from(&masked).same(&Type::INT));
        assert!(Type::from(&TypeDefinition::default()).same(&Type::JSON_OBJ));
        assert_eq!(
            type_name(&map_of(prim(Str), array_of(prim(Int)))),
            "Map<STR, Array<INT>>"
        );
        for kind in ALL {
            let kind = Type::Primitive(kind);
            assert!(Type::from(&kind.definition().unwrap()).same(&kind));
        }
    }
}

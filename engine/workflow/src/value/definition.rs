//! Type definitions as they are stored (spec 02, section 2).

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{TypeDefinition, VariableDef, VariableType};

use super::fault::TypeError;
use super::ingress;
use super::scope::StructDefs;
use super::structs;
use super::types::Type;

/// Brings a definition to its stored form: the case always set, StructDefs existing and pinned, at every depth.
///
/// # Errors
/// An inline struct, an unknown StructDef, a map key that is no plain scalar, a number that is no type.
pub fn settle(definition: &mut TypeDefinition, structs: &dyn StructDefs) -> Result<(), TypeError> {
    match &mut definition.defined_type {
        None => {
            definition.defined_type =
                Some(DefinedType::PrimitiveType(VariableType::JsonObj.into()));
        }
        Some(DefinedType::PrimitiveType(kind)) => {
            if VariableType::try_from(*kind).is_err() {
                return Err(TypeError::Definition(format!(
                    "there is no primitive type {kind}"
                )));
            }
        }
        Some(DefinedType::StructDefId(id)) => structs::pin(id, structs)?,
        Some(DefinedType::InlineArrayDef(def)) => {
            settle(def.array_type.get_or_insert_default(), structs)?;
        }
        Some(DefinedType::InlineMapDef(def)) => {
            let key = def.key_type.get_or_insert_default();
            settle(key, structs)?;
            let key = Type::from(&**key);
            if !key.is_scalar() {
                return Err(TypeError::Definition(format!(
                    "the key type of a map must be primitive, but is {key}"
                )));
            }
            settle(def.value_type.get_or_insert_default(), structs)?;
        }
        Some(DefinedType::InlineStructDef(_)) => {
            return Err(TypeError::Definition(
                "inline_struct_def is not supported".to_owned(),
            ));
        }
    }
    Ok(())
}

/// The declared type of a variable or task input. The deprecated `type`, with its `masked_value`, wins.
pub fn type_of_variable(variable: &VariableDef) -> TypeDefinition {
    match variable.r#type {
        Some(kind) => TypeDefinition {
            defined_type: Some(DefinedType::PrimitiveType(kind)),
            masked: variable.masked_value.unwrap_or(false),
        },
        None => variable.type_def.clone().unwrap_or_default(),
    }
}

/// Brings the declaration of a variable or task input to its stored form: only `type_def`, settled; a default value of
/// the declared type.
///
/// # Errors
/// As [`settle`] and [`ingress()`].
pub fn settle_variable(
    variable: &mut VariableDef,
    structs: &dyn StructDefs,
) -> Result<(), TypeError> {
    let mut definition = type_of_variable(variable);
    settle(&mut definition, structs)?;
    if let Some(default) = variable.default_value.take() {
        variable.default_value = Some(ingress::ingress(&definition, default, structs)?);
    }
    variable.r#type = None;
    variable.masked_value = None;
    variable.type_def = Some(definition);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::scope::NoStructs;
    use crate::value::testing::{array_of, double, int, map_of, prim, text};
    use VariableType::{Bytes, Double, Int, JsonObj, Str};
    use proto::littlehorse::InlineStructDef;

    #[test]
    fn unset_is_json_at_every_depth() {
        let mut definition = array_of(TypeDefinition::default());
        settle(&mut definition, &NoStructs).unwrap();
        assert_eq!(definition, array_of(prim(JsonObj)));
    }

    #[test]
    fn refuses_bad_definitions() {
        for bad in [
            map_of(prim(Bytes), prim(Int)),
            map_of(TypeDefinition::default(), prim(Int)),
            array_of(map_of(array_of(prim(Int)), prim(Int))),
            TypeDefinition {
                defined_type: Some(DefinedType::InlineStructDef(InlineStructDef::default())),
                masked: false,
            },
            TypeDefinition {
                defined_type: Some(DefinedType::PrimitiveType(77)),
                masked: false,
            },
        ] {
            assert!(settle(&mut bad.clone(), &NoStructs).is_err(), "{bad:?}");
        }
        assert!(settle(&mut map_of(prim(Str), array_of(prim(Int))), &NoStructs).is_ok());
    }

    #[test]
    fn the_deprecated_form_wins_and_disappears() {
        let mut old = VariableDef {
            r#type: Some(Double.into()),
            masked_value: Some(true),
            type_def: Some(prim(Str)),
            default_value: Some(int(3)),
            name: "x".to_owned(),
        };
        settle_variable(&mut old, &NoStructs).unwrap();
        assert_eq!(
            old.type_def,
            Some(TypeDefinition {
                masked: true,
                ..prim(Double)
            })
        );
        assert_eq!((old.r#type, old.masked_value), (None, None));
        assert_eq!(old.default_value, Some(double(3.0)));

        let mut wrong = VariableDef {
            type_def: Some(prim(Int)),
            default_value: Some(text("x")),
            ..VariableDef::default()
        };
        assert!(settle_variable(&mut wrong, &NoStructs).is_err());
    }
}

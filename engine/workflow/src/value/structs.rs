//! Struct values against their StructDef (spec 02, section 12.2).

use std::sync::Arc;

use proto::littlehorse::{
    InlineStruct, InlineStructDef, Struct, StructDefId, StructField, StructFieldDef,
    TypeDefinition, VariableValue,
};

use super::fault::TypeError;
use super::scope::StructDefs;

/// A field must be given if it has no default and is not nullable.
pub fn is_required(field: &StructFieldDef) -> bool {
    field.default_value.is_none() && !field.is_nullable
}

/// The fields of a StructDef, or the error that names it.
pub(super) fn find(
    id: &StructDefId,
    structs: &dyn StructDefs,
) -> Result<Arc<InlineStructDef>, TypeError> {
    structs
        .struct_def(&id.name, id.version)
        .ok_or_else(|| unknown(id))
}

fn unknown(id: &StructDefId) -> TypeError {
    if id.version < 0 {
        return TypeError::UnknownStruct(id.name.clone());
    }
    TypeError::UnknownStruct(format!("{} version {}", id.name, id.version))
}

/// Replaces version -1 by the latest, and checks that the StructDef exists.
pub fn pin(id: &mut StructDefId, structs: &dyn StructDefs) -> Result<(), TypeError> {
    if id.version < 0 {
        id.version = structs
            .latest_version(&id.name)
            .ok_or_else(|| unknown(id))?;
    }
    find(id, structs).map(|_| ())
}

/// Checks a struct against the declared StructDef, converts its fields by `convert` (type, value, name), and stamps id
/// and masks. Unknown fields are kept; absent ones stay absent.
pub(super) fn stamp(
    expected: &StructDefId,
    value: Struct,
    structs: &dyn StructDefs,
    convert: &dyn Fn(&TypeDefinition, VariableValue, &str) -> Result<VariableValue, TypeError>,
) -> Result<Struct, TypeError> {
    let error = |reason: String| TypeError::Struct {
        name: expected.name.clone(),
        reason,
    };
    let name = value.struct_def_id.map(|id| id.name).unwrap_or_default();
    if name != expected.name {
        return Err(error(format!("the value is a Struct {name}")));
    }
    let def = find(expected, structs)?;
    let mut fields = value.r#struct.unwrap_or_default().fields;
    for (name, field_def) in &def.fields {
        let Some(field) = fields.get_mut(name) else {
            if is_required(field_def) {
                return Err(error(format!("required field '{name}' is missing")));
            }
            continue;
        };
        let field_type = field_def.field_type.clone().unwrap_or_default();
        let value = field.value.take().unwrap_or_default();
        if value.value.is_none() && !field_def.is_nullable {
            return Err(error(format!("field '{name}' is null, but not nullable")));
        }
        let value = convert(&field_type, value, name)?;
        *field = StructField {
            value: Some(value),
            masked: field_type.masked,
        };
    }
    for (name, field) in &mut fields {
        // A client's own flag counts for nothing.
        if !def.fields.contains_key(name) {
            field.masked = false;
        }
    }
    Ok(Struct {
        struct_def_id: Some(expected.clone()),
        r#struct: Some(InlineStruct { fields }),
    })
}

/// The value of a field: as stored, else its default, else NULL (spec 02, section 7.3).
pub(super) fn field(value: Struct, name: &str, structs: &dyn StructDefs) -> VariableValue {
    let stored = value
        .r#struct
        .and_then(|mut fields| fields.fields.remove(name));
    if let Some(field) = stored {
        return field.value.unwrap_or_default();
    }
    let def = value
        .struct_def_id
        .and_then(|id| structs.struct_def(&id.name, id.version));
    def.and_then(|def| def.fields.get(name)?.default_value.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ingress;
    use crate::value::testing::{Thread, int, null, of, prim, text};
    use proto::littlehorse::VariableType::{Int, Str};
    use proto::littlehorse::type_definition::DefinedType;
    use proto::littlehorse::variable_value::Value;

    fn cars() -> Thread {
        let field = |kind, default_value, is_nullable, masked| StructFieldDef {
            field_type: Some(TypeDefinition {
                masked,
                ..prim(kind)
            }),
            default_value,
            is_nullable,
            description: None,
        };
        let fields = [
            ("brand".to_owned(), field(Str, None, false, false)),
            ("plate".to_owned(), field(Str, None, true, true)),
            ("wheels".to_owned(), field(Int, Some(int(4)), false, false)),
        ];
        let mut thread = Thread::default();
        thread.structs.insert(
            ("car".to_owned(), 2),
            Arc::new(InlineStructDef {
                fields: fields.into(),
            }),
        );
        thread
    }

    fn car(fields: &[(&str, VariableValue, bool)]) -> VariableValue {
        let fields = fields.iter().map(|(name, value, masked)| {
            (
                (*name).to_owned(),
                StructField {
                    value: Some(value.clone()),
                    masked: *masked,
                },
            )
        });
        of(Value::Struct(Struct {
            struct_def_id: Some(StructDefId {
                name: "car".to_owned(),
                version: -1,
            }),
            r#struct: Some(InlineStruct {
                fields: fields.collect(),
            }),
        }))
    }

    fn taken(value: VariableValue) -> Result<VariableValue, TypeError> {
        let id = DefinedType::StructDefId(StructDefId {
            name: "car".to_owned(),
            version: 2,
        });
        ingress(
            &TypeDefinition {
                defined_type: Some(id),
                masked: false,
            },
            value,
            &cars(),
        )
    }

    #[test]
    fn checks_fields_and_stamps() {
        let Ok(VariableValue {
            value: Some(Value::Struct(stored)),
        }) = taken(car(&[
            ("brand", int(5), true), // spec 02-55 (the client's flag)
            ("plate", text("ABC"), false),
            ("extra", text("kept"), true),
        ]))
        else {
            panic!("a struct")
        };
        assert_eq!(
            stored.struct_def_id,
            Some(StructDefId {
                name: "car".to_owned(),
                version: 2
            })
        );
        let fields = stored.r#struct.clone().unwrap().fields;
        assert_eq!(
            fields["brand"],
            StructField {
                value: Some(text("5")),
                masked: false
            }
        );
        assert_eq!(
            fields["plate"],
            StructField {
                value: Some(text("ABC")),
                masked: true
            }
        );
        assert_eq!(
            fields["extra"],
            StructField {
                value: Some(text("kept")),
                masked: false
            }
        );
        assert!(!fields.contains_key("wheels"));
        assert_eq!(field(stored.clone(), "wheels", &cars()), int(4));
        assert_eq!(field(stored, "nothing", &cars()), null());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        // spec 02-56
        assert!(taken(car(&[])).unwrap_err().to_string().contains("'brand'"));
        assert!(taken(text("x")).is_err());
        assert!(
            taken(car(&[("brand", null(), false)]))
                .unwrap_err()
                .to_string()
                .contains("nullable")
        );
        assert!(
            taken(car(&[
                ("brand", text("a"), false),
                ("plate", null(), false)
            ]))
            .is_ok()
        );
        assert!(
            taken(car(&[
                ("brand", text("a"), false),
                ("wheels", text("four"), false)
            ]))
            .is_err()
        );
        let mut id = StructDefId {
            name: "car".to_owned(),
            version: -1,
        };
        pin(&mut id, &cars()).unwrap();
        assert_eq!(id.version, 2);
        let mut missing = StructDefId {
            name: "nope".to_owned(),
            version: 0,
        };
        // spec 01-6 (the message)
        let message = pin(&mut missing, &cars()).unwrap_err().to_string();
        assert!(
            message.contains("Refers to non-existent StructDef nope version 0"),
            "{message}"
        );
    }
}

//! Masking for reads by clients (spec 02, section 14). Logic, workers and storage see the real values.

use proto::littlehorse::VariableValue;
use proto::littlehorse::variable_value::Value;

/// What is shown in place of a masked value.
pub const MASK: &str = "*****";

/// The value that is shown in place of a masked one, whatever that is.
pub fn hidden() -> VariableValue {
    VariableValue {
        value: Some(Value::Str(MASK.to_owned())),
    }
}

/// Hides the masked fields of structs, at any depth.
pub fn hide_fields(value: &mut VariableValue) {
    match &mut value.value {
        Some(Value::Struct(value)) => {
            for field in value
                .r#struct
                .iter_mut()
                .flat_map(|fields| fields.fields.values_mut())
            {
                if field.masked {
                    field.value = Some(hidden());
                } else if let Some(value) = &mut field.value {
                    hide_fields(value);
                }
            }
        }
        Some(Value::Array(array)) => array.items.iter_mut().for_each(hide_fields),
        Some(Value::Map(map)) => map
            .entries
            .iter_mut()
            .flat_map(|entry| entry.key.iter_mut().chain(&mut entry.value))
            .for_each(hide_fields),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{int, of, text, untyped_list};
    use proto::littlehorse::{InlineStruct, Struct, StructField};

    #[test]
    fn only_masked_fields_are_hidden() {
        let person = |secret: VariableValue| {
            let field = |value, masked| StructField {
                value: Some(value),
                masked,
            };
            let fields = [
                ("age".to_owned(), field(int(5), false)),
                ("secret".to_owned(), field(secret, true)),
            ];
            of(Value::Struct(Struct {
                struct_def_id: None,
                r#struct: Some(InlineStruct {
                    fields: fields.into(),
                }),
            }))
        };
        let mut list = untyped_list([person(text("x")), person(VariableValue::default())]);
        hide_fields(&mut list);
        assert_eq!(list, untyped_list([person(hidden()), person(hidden())])); // spec 02-55 (the read)
    }
}

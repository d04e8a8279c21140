//! PutStructDef, DeleteStructDef and the rules of evolution (spec 01, section 8).

use std::collections::BTreeSet;

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    DeleteStructDefRequest, InlineStructDef, PutStructDefRequest, StructDef,
    StructDefCompatibilityType, StructDefId, StructFieldDef, TypeDefinition, VariableType,
};
use runtime::{Context, Rejection};

use super::definitions::Stored;
use super::{check_name, last, store};
use crate::key;
use crate::time::timestamp;
use crate::value::{self, StructDefs, is_required};

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutStructDefRequest,
) -> Result<StructDef, Rejection> {
    check_name("StructDef name", &request.name)?;
    let allowed = request.allowed_updates();
    let mut schema = request.struct_def.unwrap_or_default();
    let definitions = Stored::new(context, tenant);
    validate_schema(&mut schema, &definitions)?;
    definitions.close()?;
    let range = key::versions(key::STRUCT_DEFS, tenant, &request.name);
    let latest: Option<StructDef> = last(context, &range)?;
    let version = match latest {
        None => 0,
        Some(latest) => {
            let old = latest.struct_def.clone().unwrap_or_default();
            // Absent and empty are equal: one client always sends a description, another never does.
            let text = |description: &Option<String>| description.clone().unwrap_or_default();
            if old == schema && text(&latest.description) == text(&request.description) {
                return Ok(latest);
            }
            let mut incompatible = incompatible_fields(&old, &schema, allowed);
            if allowed == StructDefCompatibilityType::NoSchemaUpdates {
                let removed = old.fields.keys();
                incompatible.extend(removed.filter(|name| !schema.fields.contains_key(*name)));
            }
            if !incompatible.is_empty() {
                return Err(refusal(&incompatible, allowed));
            }
            latest.id.unwrap_or_default().version + 1
        }
    };
    let def = StructDef {
        id: Some(StructDefId {
            name: request.name.clone(),
            version,
        }),
        description: request.description,
        created_at: Some(timestamp(context.now_ms())),
        struct_def: Some(schema),
    };
    let key = key::versioned(key::STRUCT_DEFS, tenant, &request.name, version);
    store(context, key, &def)?;
    Ok(def)
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteStructDefRequest,
) -> Result<(), Rejection> {
    let id = request.id.unwrap_or_default();
    let key = key::versioned(key::STRUCT_DEFS, tenant, &id.name, id.version);
    super::delete(context, key, &format!("StructDef {id}"))
}

/// Checks the fields (section 8.2), and brings them to their stored form.
///
/// # Errors
/// `INVALID_ARGUMENT`, naming the field.
pub fn validate_schema(
    schema: &mut InlineStructDef,
    structs: &dyn StructDefs,
) -> Result<(), Rejection> {
    for (name, field) in &mut schema.fields {
        check_field(name, field, structs).map_err(|why| {
            Rejection::invalid(format!("Invalid StructDef field '{name}': {why}"))
        })?;
    }
    Ok(())
}

fn check_field(
    name: &str,
    field: &mut StructFieldDef,
    structs: &dyn StructDefs,
) -> Result<(), String> {
    check_field_name(name)?;
    let field_type = field.field_type.get_or_insert_default();
    value::settle(field_type, structs).map_err(|error| error.to_string())?;
    if let Some(kind) = json_in(field_type) {
        return Err(format!("Forbidden JSON type: {}", kind.as_str_name()));
    }
    if let Some(default) = field.default_value.take() {
        if default.value.is_none() && !field.is_nullable {
            return Err("null default value for a field that is not nullable".to_owned());
        }
        let stored = value::ingress(field_type, default, structs);
        field.default_value = Some(stored.map_err(|error| format!("default value: {error}"))?);
    }
    Ok(())
}

fn check_field_name(name: &str) -> Result<(), &'static str> {
    match name.chars().next() {
        Some(first) if first.is_ascii_uppercase() => Err("first letter must be lowercase"),
        Some(first) if first.is_ascii_alphabetic() => Ok(()),
        _ => Err("first character must be a letter"),
    }?;
    if name.contains('_') {
        return Err("it cannot include underscores");
    }
    if !name.chars().all(|symbol| symbol.is_ascii_alphanumeric()) {
        return Err("it cannot include special characters");
    }
    Ok(())
}

/// The first JSON type in a settled definition, at any depth.
fn json_in(definition: &TypeDefinition) -> Option<VariableType> {
    let inner = |part: &Option<Box<TypeDefinition>>| part.as_deref().and_then(json_in);
    match &definition.defined_type {
        Some(DefinedType::PrimitiveType(kind)) => VariableType::try_from(*kind)
            .ok()
            .filter(|kind| matches!(kind, VariableType::JsonObj | VariableType::JsonArr)),
        Some(DefinedType::InlineArrayDef(def)) => inner(&def.array_type),
        Some(DefinedType::InlineMapDef(def)) => {
            inner(&def.key_type).or_else(|| inner(&def.value_type))
        }
        _ => None,
    }
}

/// The fields that forbid `new` to replace `old` (section 8.3). A field that is only gone is not among them under
/// `NO_SCHEMA_UPDATES`: workers ask so about classes that lack a field (section 8.4).
pub fn incompatible_fields<'a>(
    old: &'a InlineStructDef,
    new: &'a InlineStructDef,
    allowed: StructDefCompatibilityType,
) -> BTreeSet<&'a String> {
    let mut incompatible = BTreeSet::new();
    if allowed == StructDefCompatibilityType::NoSchemaUpdates {
        let changed = |name: &String, field: &StructFieldDef| old.fields.get(name) != Some(field);
        incompatible.extend(
            new.fields
                .iter()
                .filter(|(name, field)| changed(name, field))
                .map(|(name, _)| name),
        );
        return incompatible;
    }
    for (name, before) in &old.fields {
        match new.fields.get(name) {
            Some(after)
                if is_required(after) == is_required(before)
                    && after.field_type == before.field_type => {}
            None if !is_required(before) => {}
            _ => drop(incompatible.insert(name)),
        }
    }
    for (name, after) in &new.fields {
        if is_required(after) && !old.fields.get(name).is_some_and(is_required) {
            incompatible.insert(name);
        }
    }
    incompatible
}

fn refusal(fields: &BTreeSet<&String>, allowed: StructDefCompatibilityType) -> Rejection {
    let mut names: Vec<&str> = fields.iter().map(|name| name.as_str()).collect();
    names.sort_by_key(|name| (bucket(name), *name));
    Rejection::invalid(format!(
        "Incompatible StructDef evolution on field(s): [{}] using {} compatibility type",
        names.join(", "),
        allowed.as_str_name()
    ))
}

/// Clients' tests compare the message with the names in the order of a small hash table (section 8.1).
fn bucket(name: &str) -> u32 {
    let hash = name.encode_utf16().fold(0_u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    });
    (hash ^ (hash >> 16)) & 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_names_is_that_of_a_hash_table() {
        let names: Vec<String> = ["isSold", "model", "year"].map(str::to_owned).into();
        let message = refusal(
            &names.iter().collect(),
            StructDefCompatibilityType::NoSchemaUpdates,
        )
        .message;
        assert!(message.contains("[year, isSold, model]"), "{message}");
    }
}

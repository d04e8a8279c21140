//! StructDef version -1 in what is put again: it means the version that the stored definition is pinned to, so that an
//! unchanged client can register again after the StructDef got a new version (spec 01, section 4).

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{ReturnType, TypeDefinition};

/// Pins `settled`, which was `asked` in the request, as `stored` is.
pub(super) fn keep(
    settled: &mut TypeDefinition,
    asked: &TypeDefinition,
    stored: Option<&TypeDefinition>,
) {
    let Some(stored) = stored else {
        return;
    };
    let inner = |settled: &mut Option<Box<TypeDefinition>>,
                 asked: &Option<Box<TypeDefinition>>,
                 stored: &Option<Box<TypeDefinition>>| {
        if let (Some(settled), Some(asked)) = (settled, asked) {
            keep(settled, asked, stored.as_deref());
        }
    };
    match (
        &mut settled.defined_type,
        &asked.defined_type,
        &stored.defined_type,
    ) {
        (
            Some(DefinedType::StructDefId(settled)),
            Some(DefinedType::StructDefId(asked)),
            Some(DefinedType::StructDefId(stored)),
        ) if asked.version < 0 && asked.name == stored.name => {
            settled.version = stored.version;
        }
        (
            Some(DefinedType::InlineArrayDef(settled)),
            Some(DefinedType::InlineArrayDef(asked)),
            Some(DefinedType::InlineArrayDef(stored)),
        ) => inner(
            &mut settled.array_type,
            &asked.array_type,
            &stored.array_type,
        ),
        (
            Some(DefinedType::InlineMapDef(settled)),
            Some(DefinedType::InlineMapDef(asked)),
            Some(DefinedType::InlineMapDef(stored)),
        ) => {
            inner(&mut settled.key_type, &asked.key_type, &stored.key_type);
            inner(
                &mut settled.value_type,
                &asked.value_type,
                &stored.value_type,
            );
        }
        _ => {}
    }
}

/// As [`keep`], for what is returned or carried.
pub(super) fn keep_return(
    settled: &mut ReturnType,
    asked: Option<&ReturnType>,
    stored: Option<&ReturnType>,
) {
    let asked = asked.and_then(|asked| asked.return_type.as_ref());
    let stored = stored.and_then(|stored| stored.return_type.as_ref());
    if let (Some(settled), Some(asked)) = (&mut settled.return_type, asked) {
        keep(settled, asked, stored);
    }
}

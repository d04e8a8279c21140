//! StructDefs, WorkflowEventDefs, UserTaskDefs and migration plans (spec 01, sections 6 to 8 and 11.1).

mod plans;
mod references;
mod structs;

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    InlineStructDef, PutStructDefRequest, StructDef, StructDefCompatibilityType, StructDefId,
    StructFieldDef, TypeDefinition, VariableType, VariableValue,
};

use crate::support::*;

type Fields<'a> = &'a [(&'a str, StructFieldDef)];

fn field(kind: TypeDefinition) -> StructFieldDef {
    StructFieldDef {
        field_type: Some(kind),
        ..StructFieldDef::default()
    }
}

fn plain(kind: VariableType) -> StructFieldDef {
    field(type_of(kind))
}

fn defaulting(kind: VariableType, default: VariableValue) -> StructFieldDef {
    StructFieldDef {
        default_value: Some(default),
        ..plain(kind)
    }
}

fn nullable(field: StructFieldDef) -> StructFieldDef {
    StructFieldDef {
        is_nullable: true,
        ..field
    }
}

fn schema(fields: Fields<'_>) -> InlineStructDef {
    let fields = fields.iter().cloned();
    InlineStructDef {
        fields: fields
            .map(|(name, field)| (name.to_owned(), field))
            .collect(),
    }
}

fn put(name: &str, fields: Fields<'_>, allowed: StructDefCompatibilityType) -> PutStructDefRequest {
    PutStructDefRequest {
        name: name.to_owned(),
        struct_def: Some(schema(fields)),
        allowed_updates: allowed.into(),
        ..PutStructDefRequest::default()
    }
}

fn struct_id(name: &str, version: i32) -> StructDefId {
    StructDefId {
        name: name.to_owned(),
        version,
    }
}

fn struct_type(name: &str, version: i32) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::StructDefId(struct_id(name, version))),
        ..TypeDefinition::default()
    }
}

fn version(def: &StructDef) -> i32 {
    def.id.as_ref().unwrap().version
}

async fn made(client: &mut Client, request: PutStructDefRequest) -> StructDef {
    client.put_struct_def(request).await.unwrap().into_inner()
}

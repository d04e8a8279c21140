//! PutUserTaskDef and DeleteUserTaskDef: a version for each change (spec 01, section 7; spec 06, section 2).

use std::collections::BTreeSet;

use proto::littlehorse::{
    DeleteUserTaskDefRequest, PutUserTaskDefRequest, UserTaskDef, UserTaskDefId, VariableType,
};
use runtime::{Context, Rejection};

use super::{check_name, find, last, store};
use crate::key;
use crate::time::timestamp;

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutUserTaskDefRequest,
) -> Result<UserTaskDef, Rejection> {
    check_name("UserTaskDef name", &request.name)?;
    check_fields(&request)?;
    let PutUserTaskDefRequest {
        name,
        fields,
        description,
    } = request;
    let latest: Option<UserTaskDef> =
        last(context, &key::versions(key::USER_TASK_DEFS, tenant, &name))?;
    if let Some(latest) = latest
        && latest.fields == fields
        && latest.description == description
    {
        return Ok(latest);
    }
    // A number is never given twice, since runs may still name it.
    let mark = key::named(key::USER_TASK_DEF_MARKS, tenant, &name);
    let highest: Option<UserTaskDefId> = find(context, &mark)?;
    let version = highest.map_or(0, |highest| highest.version + 1);
    let def = UserTaskDef {
        name: name.clone(),
        version,
        description,
        fields,
        created_at: Some(timestamp(context.now_ms())),
    };
    store(
        context,
        key::versioned(key::USER_TASK_DEFS, tenant, &name, version),
        &def,
    )?;
    store(context, mark, &UserTaskDefId { name, version })?;
    Ok(def)
}

/// D1 of spec 06: a result map with two fields of one name could never be completed.
fn check_fields(request: &PutUserTaskDefRequest) -> Result<(), Rejection> {
    let mut names = BTreeSet::new();
    for (position, field) in request.fields.iter().enumerate() {
        let refuse = |why: &str| {
            Err(Rejection::invalid(format!(
                "UserTaskField {position} ({}) {why}",
                field.name
            )))
        };
        if field.name.is_empty() {
            return refuse("has no name");
        }
        if !names.insert(field.name.as_str()) {
            return refuse("has the name of an earlier one");
        }
        if VariableType::try_from(field.r#type).is_err() {
            return refuse("has a type that does not exist");
        }
    }
    Ok(())
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteUserTaskDefRequest,
) -> Result<(), Rejection> {
    let id = request.id.unwrap_or_default();
    let key = key::versioned(key::USER_TASK_DEFS, tenant, &id.name, id.version);
    super::delete(context, key, &format!("UserTaskDef {id}"))
}

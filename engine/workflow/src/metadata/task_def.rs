//! PutTaskDef and DeleteTaskDef: immutable and unversioned (spec 01, section 4).

use bytes::Bytes;
use index::Family;
use prost::Message;
use proto::ironhorse::v1::GroupMessage;
use proto::ironhorse::v1::group_message::Message as Content;
use proto::littlehorse::{DeleteTaskDefRequest, PutTaskDefRequest, TaskDef, TaskDefId};
use runtime::{Context, Rejection, Route};

use super::{check_name, find, store};
use crate::key;
use crate::time::timestamp;
use crate::value;

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutTaskDefRequest,
) -> Result<TaskDef, Rejection> {
    check_name("TaskDef name", &request.name)?;
    let mut input_vars = request.input_vars;
    for var_def in &mut input_vars {
        value::settle_variable(var_def, &value::NoStructs)
            .map_err(|why| Rejection::invalid(format!("Input {}: {why}", var_def.name)))?;
    }
    let mut return_type = request.return_type.unwrap_or_default();
    if let Some(type_def) = &mut return_type.return_type {
        value::settle(type_def, &value::NoStructs)
            .map_err(|why| Rejection::invalid(format!("Return type: {why}")))?;
    }
    let key = key::named(key::TASK_DEFS, tenant, &request.name);
    let new = TaskDef {
        id: Some(TaskDefId {
            name: request.name.clone(),
        }),
        description: request.description,
        input_vars,
        return_type: Some(return_type),
        created_at: Some(timestamp(context.now_ms())),
    };
    if let Some(stored) = find::<TaskDef>(context, &key)? {
        if (TaskDef {
            created_at: stored.created_at,
            ..new
        }) == stored
        {
            return Ok(stored);
        }
        return Err(Rejection::already_exists(format!(
            "TaskDef [{}] already exists and is immutable.",
            request.name
        )));
    }
    store(context, key, &new)?;
    Ok(new)
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    core: Route,
    request: DeleteTaskDefRequest,
) -> Result<(), Rejection> {
    let name = request.id.unwrap_or_default().name;
    let key = key::named(key::TASK_DEFS, tenant, &name);
    if context.get(Family::State, &key)?.is_none() {
        return Err(Rejection::not_found(format!(
            "TaskDef {name} does not exist"
        )));
    }
    context.delete(Family::State, key)?;
    let group = core.group_of(name.as_bytes());
    let gone = GroupMessage {
        version: 1,
        tenant: tenant.to_owned(),
        message: Some(Content::TaskDefDeleted(TaskDefId { name })),
    };
    context.send(group, Bytes::from(gone.encode_to_vec()));
    Ok(())
}

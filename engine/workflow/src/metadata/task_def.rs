//! PutTaskDef and DeleteTaskDef: immutable and unversioned (spec 01, section 4).

use bytes::Bytes;
use prost::Message;
use proto::ironhorse::v1::GroupMessage;
use proto::ironhorse::v1::group_message::Message as Content;
use proto::littlehorse::{
    DeleteTaskDefRequest, PutTaskDefRequest, ReturnType, TaskDef, TaskDefId, VariableDef,
};
use runtime::{Context, Rejection, Route};

use super::definitions::Stored;
use super::{check_name, find, pins, store};
use crate::key;
use crate::time::timestamp;
use crate::value::{self, StructDefs};

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutTaskDefRequest,
) -> Result<TaskDef, Rejection> {
    check_name("TaskDef name", &request.name)?;
    let key = key::named(key::TASK_DEFS, tenant, &request.name);
    let stored = find::<TaskDef>(context, &key)?;
    let created_at = Some(timestamp(context.now_ms()));
    let definitions = Stored::new(context, tenant);
    let (input_vars, return_type) = settle(&request, stored.as_ref(), &definitions)?;
    definitions.close()?;
    let new = TaskDef {
        id: Some(TaskDefId {
            name: request.name.clone(),
        }),
        description: request.description,
        input_vars,
        return_type: Some(return_type),
        created_at,
    };
    if let Some(stored) = stored {
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

/// Inputs and return type in their stored form; -1 is the pin of what is stored already, else the latest.
fn settle(
    request: &PutTaskDefRequest,
    stored: Option<&TaskDef>,
    structs: &dyn StructDefs,
) -> Result<(Vec<VariableDef>, ReturnType), Rejection> {
    let mut input_vars = request.input_vars.clone();
    for (position, var_def) in input_vars.iter_mut().enumerate() {
        let refuse =
            |why: value::TypeError, name: &str| Rejection::invalid(format!("Input {name}: {why}"));
        let name = var_def.name.clone();
        value::settle_variable(var_def, structs).map_err(|why| refuse(why, &name))?;
        let before = stored.and_then(|stored| stored.input_vars.get(position)?.type_def.as_ref());
        let asked = &request.input_vars[position];
        if let (Some(settled), Some(asked)) = (&mut var_def.type_def, &asked.type_def) {
            pins::keep(settled, asked, before);
        }
        if let (Some(kept), Some(default)) = (&var_def.type_def, &asked.default_value) {
            // Stamped with the pin.
            var_def.default_value = Some(
                value::ingress(kept, default.clone(), structs).map_err(|why| refuse(why, &name))?,
            );
        }
    }
    let mut return_type = request.return_type.clone().unwrap_or_default();
    if let Some(type_def) = &mut return_type.return_type {
        value::settle(type_def, structs)
            .map_err(|why| Rejection::invalid(format!("Return type: {why}")))?;
    }
    pins::keep_return(
        &mut return_type,
        request.return_type.as_ref(),
        stored.and_then(|stored| stored.return_type.as_ref()),
    );
    Ok((input_vars, return_type))
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    core: Route,
    request: DeleteTaskDefRequest,
) -> Result<(), Rejection> {
    let name = request.id.unwrap_or_default().name;
    let key = key::named(key::TASK_DEFS, tenant, &name);
    super::delete(context, key, &format!("TaskDef {name}"))?;
    let group = core.group_of(name.as_bytes());
    let gone = GroupMessage {
        version: 1,
        tenant: tenant.to_owned(),
        message: Some(Content::TaskDefDeleted(TaskDefId { name })),
    };
    context.send(group, Bytes::from(gone.encode_to_vec()));
    Ok(())
}

//! PutWorkflowEventDef and DeleteWorkflowEventDef: immutable and unversioned (spec 01, section 6).

use proto::littlehorse::{
    DeleteWorkflowEventDefRequest, PutWorkflowEventDefRequest, WorkflowEventDef, WorkflowEventDefId,
};
use runtime::{Context, Rejection};

use super::definitions::Stored;
use super::{check_free_name, find, pins, store};
use crate::key;
use crate::time::timestamp;
use crate::value;

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutWorkflowEventDefRequest,
) -> Result<WorkflowEventDef, Rejection> {
    check_free_name("WorkflowEventDef name", &request.name)?;
    let key = key::named(key::WORKFLOW_EVENT_DEFS, tenant, &request.name);
    let stored = find::<WorkflowEventDef>(context, &key)?;
    // Absent is void, as empty.
    let mut content_type = request.content_type.clone().unwrap_or_default();
    if let Some(type_def) = &mut content_type.return_type {
        let definitions = Stored::new(context, tenant);
        value::settle(type_def, &definitions)
            .map_err(|why| Rejection::invalid(format!("content_type: {why}")))?;
        definitions.close()?;
    }
    if let Some(stored) = stored {
        pins::keep_return(
            &mut content_type,
            request.content_type.as_ref(),
            stored.content_type.as_ref(),
        );
        if stored.content_type.as_ref() == Some(&content_type) {
            return Ok(stored);
        }
        return Err(Rejection::already_exists(format!(
            "WorkflowEventDef [{}] already exists with another content type.",
            request.name
        )));
    }
    let def = WorkflowEventDef {
        id: Some(WorkflowEventDefId { name: request.name }),
        created_at: Some(timestamp(context.now_ms())),
        content_type: Some(content_type),
    };
    store(context, key, &def)?;
    Ok(def)
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteWorkflowEventDefRequest,
) -> Result<(), Rejection> {
    let name = request.id.unwrap_or_default().name;
    let key = key::named(key::WORKFLOW_EVENT_DEFS, tenant, &name);
    super::delete(context, key, &format!("WorkflowEventDef {name}"))
}

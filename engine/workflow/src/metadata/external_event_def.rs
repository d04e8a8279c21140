//! PutExternalEventDef and DeleteExternalEventDef: mutable and unversioned (spec 01, section 5).

use proto::littlehorse::{
    DeleteExternalEventDefRequest, ExternalEventDef, ExternalEventDefId, PutExternalEventDefRequest,
};
use runtime::{Context, Rejection};

use super::definitions::Stored;
use super::{check_name, store};
use crate::key;
use crate::time::timestamp;
use crate::value;

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutExternalEventDefRequest,
) -> Result<ExternalEventDef, Rejection> {
    check_name("ExternalEventDef name", &request.name)?;
    let mut type_information = request.content_type;
    if let Some(type_def) = type_information
        .as_mut()
        .and_then(|info| info.return_type.as_mut())
    {
        let definitions = Stored::new(context, tenant);
        value::settle(type_def, &definitions)
            .map_err(|why| Rejection::invalid(format!("content_type: {why}")))?;
        definitions.close()?;
    }
    let key = key::named(key::EXTERNAL_EVENT_DEFS, tenant, &request.name);
    let def = ExternalEventDef {
        id: Some(ExternalEventDefId { name: request.name }),
        created_at: Some(timestamp(context.now_ms())),
        retention_policy: Some(request.retention_policy.unwrap_or_default()),
        type_information,
        correlated_event_config: request.correlated_event_config,
    };
    store(context, key, &def)?;
    Ok(def)
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteExternalEventDefRequest,
) -> Result<(), Rejection> {
    let name = request.id.unwrap_or_default().name;
    let key = key::named(key::EXTERNAL_EVENT_DEFS, tenant, &name);
    super::delete(context, key, &format!("ExternalEventDef {name}"))
}

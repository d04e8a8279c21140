//! PutCorrelatedEvent (spec 05, section 5.1).

use proto::ironhorse::v1::CorrelatedEventRow;
use proto::ironhorse::v1::ExpireCorrelatedEvent;
use proto::ironhorse::v1::timer_action::Action;
use proto::littlehorse::{CorrelatedEvent, PutCorrelatedEventRequest};
use runtime::{Context, Rejection};

use super::put_external_event::checked_content;
use crate::event::correlated;
use crate::event::waiter::FORBIDDEN;
use crate::record::correlated_event;
use crate::settings::Tenant;
use crate::time::timestamp;
use crate::{key, spec, timer};

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    request: PutCorrelatedEventRequest,
) -> Result<CorrelatedEvent, Rejection> {
    let key = request.key;
    if key.contains(FORBIDDEN) {
        return Err(Rejection::invalid(format!(
            "key {key:?} must not contain '/' or '~'"
        )));
    }
    let def = request.external_event_def_id.unwrap_or_default().name;
    let settings = spec::external_event_def(context.global(), tenant.name, &def)
        .ok_or_else(|| Rejection::invalid(format!("ExternalEventDef {def} not found")))?;
    let Some(config) = &settings.correlated_event_config else {
        return Err(Rejection::invalid(format!(
            "Correlated events are not enabled for ExternalEventDef {def}"
        )));
    };
    let content = request.content.unwrap_or_default();
    let is_void = settings
        .type_information
        .as_ref()
        .is_some_and(|info| info.return_type.is_none());
    if is_void && content.value.is_some() {
        return Err(Rejection::invalid(format!(
            "Invalid type for the content of ExternalEvent {def}: it takes no content"
        )));
    }
    let content = checked_content(context.global(), tenant, &settings, &def, content)?;
    let id = correlated_event::id(&key, &def);
    let request_id = context.request_id().0.to_be_bytes();
    if let Some(row) = correlated::find(context, tenant, &key, &def)? {
        // The same command once more, after a change of owner: it meets its own effect.
        if row.request_id[..] == request_id {
            return Ok(correlated_event::public(id, row));
        }
        return Err(Rejection::already_exists(format!(
            "CorrelatedEvent {key} of ExternalEventDef {def} already exists"
        )));
    }
    let now_ms = context.now_ms();
    let mut event = CorrelatedEvent {
        id: None,
        created_at: Some(timestamp(now_ms)),
        content: Some(content),
        external_events: Vec::new(),
    };
    let is_kept = correlated::match_all(context, tenant, (&key, &def), &mut event)?;
    let mut row = CorrelatedEventRow {
        version: 1,
        correlated_event: Some(event),
        ttl_due_ms: None,
        request_id: request_id.to_vec().into(),
    };
    if is_kept {
        if let Some(seconds) = config.ttl_seconds {
            let due_ms = now_ms.saturating_add(seconds.saturating_mul(1000));
            let owner = key::correlated_event(tenant.name, &key, &def);
            let payload = timer::payload(Action::ExpireCorrelatedEvent(ExpireCorrelatedEvent {}));
            row.ttl_due_ms = Some(context.set_timer(due_ms, &owner, payload)?);
        }
        correlated::store(context, tenant, (&key, &def), &row)?;
    }
    Ok(correlated_event::public(id, row))
}

//! The side of the key: CorrelatedEvents, and who waits for them.

use bytes::Bytes;
use index::{Family, KeyRange};
use prost::Message;
use proto::ironhorse::v1::group_message::Message as Content;
use proto::ironhorse::v1::{
    CorrelatedDelivery, CorrelatedEventRow, CorrelationWaiter, CorrelationWaiterRow, GroupMessage,
};
use proto::littlehorse::{CorrelatedEvent, ExternalEventId};
use runtime::{Context, Rejection};

use super::waiter::delivered_id;
use crate::key;
use crate::record::decode;
use crate::run::generated_id;
use crate::settings::Tenant;
use crate::spec;

/// Waiters that are read at once.
const PAGE: usize = 256;

/// The stored event, if there is one.
pub(crate) fn find(
    context: &Context<'_>,
    tenant: Tenant<'_>,
    key: &str,
    def: &str,
) -> Result<Option<CorrelatedEventRow>, Rejection> {
    let key = key::correlated_event(tenant.name, key, def);
    let value = context.get(Family::State, &key)?;
    value.map(|value| decode(&value)).transpose()
}

/// Stores an event, or what has become of it.
pub(crate) fn store(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    (key, def): (&str, &str),
    row: &CorrelatedEventRow,
) -> Result<(), Rejection> {
    let key = key::correlated_event(tenant.name, key, def);
    let value = context.encoded(row);
    Ok(context.put(Family::State, key, value)?)
}

/// Removes an event, if it is there, with its timer.
pub(crate) fn delete(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    key: &str,
    def: &str,
) -> Result<(), Rejection> {
    if let Some(row) = find(context, tenant, key, def)? {
        let key = key::correlated_event(tenant.name, key, def);
        if let Some(due_ms) = row.ttl_due_ms {
            context.cancel_timer(due_ms, &key)?;
        }
        context.delete(Family::State, key)?;
    }
    Ok(())
}

/// The event has been kept for as long as its definition asks for, if it is still that one (spec 05, DEV-13).
pub(crate) fn expired(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    (key, def): (&str, &str),
    due_ms: i64,
) -> Result<(), Rejection> {
    let row = find(context, tenant, key, def)?;
    if row.is_some_and(|row| row.ttl_due_ms == Some(due_ms)) {
        delete(context, tenant, key, def)?;
    }
    Ok(())
}

/// A NodeRun waits for a key: it gets the event that is there, or stands by.
pub(crate) fn wait(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    waiter: CorrelationWaiter,
) -> Result<(), Rejection> {
    let (key, def) = (waiter.key.clone(), waiter.external_event_def.clone());
    let Some(mut row) = find(context, tenant, &key, &def)? else {
        let at = place_of(tenant, &waiter);
        let row = CorrelationWaiterRow {
            version: 1,
            waiter: Some(waiter),
        };
        let value = context.encoded(&row);
        return Ok(context.put(Family::State, at, value)?);
    };
    let event = row.correlated_event.get_or_insert_default();
    let id = send(context, tenant, event, waiter)?;
    event.external_events.push(id);
    if is_deleted_when_matched(context, tenant, &def) {
        delete(context, tenant, &key, &def)
    } else {
        store(context, tenant, (&key, &def), &row)
    }
}

/// A NodeRun no longer waits (spec 05, DEV-11: nothing else happens).
pub(crate) fn withdraw(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    waiter: &CorrelationWaiter,
) -> Result<(), Rejection> {
    Ok(context.delete(Family::State, place_of(tenant, waiter))?)
}

/// A new event is matched with everybody who waits for it. Says whether it is to be kept.
pub(crate) fn match_all(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    (key, def): (&str, &str),
    event: &mut CorrelatedEvent,
) -> Result<bool, Rejection> {
    let range = KeyRange::prefix(&key::correlation_waiters(tenant.name, key, def).finish());
    loop {
        let page = context.scan(Family::State, &range, PAGE, false)?;
        let is_last = page.len() < PAGE;
        for (at, value) in page {
            let row: CorrelationWaiterRow = decode(&value)?;
            let id = send(context, tenant, event, row.waiter.unwrap_or_default())?;
            event.external_events.push(id);
            context.delete(Family::State, at)?;
        }
        if is_last {
            break;
        }
    }
    let is_spent = !event.external_events.is_empty();
    Ok(!(is_spent && is_deleted_when_matched(context, tenant, def)))
}

fn place_of(tenant: Tenant<'_>, waiter: &CorrelationWaiter) -> Bytes {
    let node_run = waiter.node_run_id.clone().unwrap_or_default();
    let wf_run_id = node_run.wf_run_id.unwrap_or_default();
    key::correlation_waiters(tenant.name, &waiter.key, &waiter.external_event_def)
        .str(&wf_run_id.to_string())
        .i32(node_run.thread_run_number)
        .i32(node_run.position)
        .finish()
}

/// As its definition says now; without one, or if it is no longer for CorrelatedEvents, no (spec 05, DEV-3).
fn is_deleted_when_matched(context: &Context<'_>, tenant: Tenant<'_>, def: &str) -> bool {
    spec::external_event_def(context.global(), tenant.name, def)
        .and_then(|def| def.correlated_event_config)
        .is_some_and(|config| config.delete_after_first_correlation)
}

/// Sends the event to who waits for it: the id of the ExternalEvent that it becomes there.
fn send(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    event: &CorrelatedEvent,
    waiter: CorrelationWaiter,
) -> Result<ExternalEventId, Rejection> {
    let guid = generated_id(context)?;
    let id = delivered_id(&waiter, &guid);
    let route = id.wf_run_id.as_ref().map_or("", |run| run.root_id());
    let to = tenant.settings.core.group_of(route.as_bytes());
    let message = GroupMessage {
        version: 1,
        tenant: tenant.name.to_owned(),
        message: Some(Content::CorrelatedDelivery(CorrelatedDelivery {
            waiter: Some(waiter),
            guid,
            content: event.content.clone(),
            matched_ms: context.now_ms(),
        })),
    };
    context.send(to, Bytes::from(message.encode_to_vec()));
    Ok(id)
}

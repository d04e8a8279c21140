//! The side of the WfRun: NodeRuns that wait under a key, and what comes for them.

use bytes::Bytes;
use prost::Message;
use proto::ironhorse::v1::group_message::Message as Content;
use proto::ironhorse::v1::{CorrelatedDelivery, CorrelationWaiter, GroupMessage, NodeRunRow};
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{ExternalEvent, NodeRunId, WfRunId};
use runtime::{Context, Rejection, RejectionCode};

use crate::command::put_external_event::{Incoming, react, store};
use crate::node::At;
use crate::record::external_event;
use crate::run::{self, Run, Unit};
use crate::settings::Tenant;
use crate::spec;
use crate::time::{timestamp, timestamp_ms};

/// A CorrelatedEvent's key has neither of these (spec 05, section 5.1); who waits for one that does waits in vain.
pub(crate) const FORBIDDEN: [char; 2] = ['/', '~'];

/// The NodeRun waits for a CorrelatedEvent with this key.
pub(crate) fn wait(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    def: &str,
    key: &str,
) -> Result<(), Rejection> {
    if key.contains(FORBIDDEN) {
        return Ok(());
    }
    let waiter = CorrelationWaiter {
        key: key.to_owned(),
        external_event_def: def.to_owned(),
        node_run_id: Some(NodeRunId {
            wf_run_id: Some(at.run.id.clone()),
            thread_run_number: at.thread,
            position: at.position,
        }),
        incarnation: incarnation(unit, at.run)?,
    };
    send(unit.context, unit.tenant, Content::CorrelationWait(waiter));
    unit.node_row_mut(at.run, at.thread, at.position)?
        .correlated = true;
    Ok(())
}

/// The NodeRun can no longer claim an event: nothing is spent on it (spec 05, DEV-10).
pub(crate) fn withdraw(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    position: i32,
) -> Result<(), Rejection> {
    let is_known = unit
        .find_node_row(run, thread, position)?
        .is_some_and(|row| row.correlated);
    if is_known {
        let row = unit.node_row_mut(run, thread, position)?;
        let waiter = waiter_of(row, &run.id, thread, position);
        row.correlated = false;
        if let Some(waiter) = waiter {
            send(
                unit.context,
                unit.tenant,
                Content::CorrelationWithdraw(waiter),
            );
        }
    }
    Ok(())
}

/// Like [`withdraw`], for a NodeRun whose row goes.
pub(crate) fn withdraw_deleted(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    row: &NodeRunRow,
    (wf_run_id, thread, position): (&WfRunId, i32, i32),
) {
    if row.correlated
        && let Some(waiter) = waiter_of(row, wf_run_id, thread, position)
    {
        send(context, tenant, Content::CorrelationWithdraw(waiter));
    }
}

fn waiter_of(
    row: &NodeRunRow,
    wf_run_id: &WfRunId,
    thread: i32,
    position: i32,
) -> Option<CorrelationWaiter> {
    let Some(NodeType::ExternalEvent(part)) = &row.node_run.as_ref()?.node_type else {
        return None;
    };
    Some(CorrelationWaiter {
        key: part.correlation_key.clone()?,
        external_event_def: part.external_event_def_id.clone().unwrap_or_default().name,
        node_run_id: Some(NodeRunId {
            wf_run_id: Some(wf_run_id.clone()),
            thread_run_number: thread,
            position,
        }),
        incarnation: Bytes::new(),
    })
}

fn send(context: &mut Context<'_>, tenant: Tenant<'_>, message: Content) {
    let route = match &message {
        Content::CorrelationWait(waiter) | Content::CorrelationWithdraw(waiter) => {
            waiter.key.as_bytes()
        }
        _ => return,
    };
    let to = tenant.settings.core.group_of(route);
    let message = GroupMessage {
        version: 1,
        tenant: tenant.name.to_owned(),
        message: Some(message),
    };
    context.send(to, Bytes::from(message.encode_to_vec()));
}

/// Tells the WfRun from others that have, or had, its id.
fn incarnation(unit: &mut Unit<'_, '_>, run: &Run) -> Result<Bytes, Rejection> {
    let row = unit.wf_run_row(run)?;
    let started = row.wf_run.as_ref().and_then(|run| run.start_time.as_ref());
    let mut bytes = row.request_id.to_vec();
    bytes.extend_from_slice(&timestamp_ms(started).to_be_bytes());
    Ok(Bytes::from(bytes))
}

/// A CorrelatedEvent was matched with a NodeRun: its ExternalEvent comes to the WfRun. Nothing if the run is gone (spec
/// 05, DEV-12).
pub(crate) fn deliver(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    delivery: CorrelatedDelivery,
) -> Result<(), Rejection> {
    let waiter = delivery.waiter.clone().unwrap_or_default();
    let node_run = waiter.node_run_id.unwrap_or_default();
    let wf_run_id = node_run.wf_run_id.unwrap_or_default();
    let run = Run::new(tenant.name, &wf_run_id);
    let mark = context.mark();
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(&run)? || incarnation(&mut unit, &run)? != waiter.incarnation {
        return Ok(());
    }
    let def = &waiter.external_event_def;
    let (thread, position) = (node_run.thread_run_number, node_run.position);
    let incoming = Incoming {
        def,
        guid: &delivery.guid,
        event: ExternalEvent {
            id: None,
            created_at: Some(timestamp(delivery.matched_ms)),
            content: Some(delivery.content.unwrap_or_default()),
            thread_run_number: Some(thread),
            node_run_position: Some(position),
            claimed: false,
        },
        correlated: true,
    };
    let settings = spec::external_event_def(unit.context.global(), tenant.name, def);
    let delivered = store(&mut unit, &run, incoming, settings.as_deref())
        .and_then(|()| react(&mut unit, &run, def, &delivery.guid))
        .and_then(|()| unit.finish());
    match delivered {
        Err(rejection) if rejection.code == RejectionCode::ResourceExhausted => {
            context.rollback_to(mark);
            run::outgrown(context, tenant, &run, thread, &rejection.message)
        }
        other => other,
    }
}

/// The id that [`deliver`] gives what it stores.
pub(crate) fn delivered_id(
    waiter: &CorrelationWaiter,
    guid: &str,
) -> proto::littlehorse::ExternalEventId {
    let node_run = waiter.node_run_id.clone().unwrap_or_default();
    let wf_run_id = node_run.wf_run_id.unwrap_or_default();
    external_event::id(wf_run_id, &waiter.external_event_def, guid)
}

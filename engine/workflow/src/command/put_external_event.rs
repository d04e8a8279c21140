//! PutExternalEvent (spec 05, section 3.2).

use crate::time::{timestamp, timestamp_ms};
use bytes::Bytes;
use index::Family;
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{DeleteEvent, ExternalEventRow, PutExternalEvent};
use proto::littlehorse::ExternalEvent;
use proto::littlehorse::external_event_retention_policy::ExtEvtGcPolicy;
use runtime::{Context, Rejection};

use super::{check_ancestors, wf_run_id};
use crate::node::external_event::interrupt_threads;
use crate::record::external_event;
use crate::run::{Run, Unit, advance};
use crate::{spec, timer, value};

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: &str,
    command: PutExternalEvent,
) -> Result<ExternalEvent, Rejection> {
    let PutExternalEvent { request, guid } = command;
    let request = request.unwrap_or_default();
    let wf_run_id = wf_run_id("wf_run_id", request.wf_run_id)?;
    check_ancestors("wf_run_id", &wf_run_id)?;
    let mut part = Some(&wf_run_id);
    while let Some(id) = part {
        if !proto::name::is_hostname(&id.id) {
            return Err(Rejection::invalid(format!(
                "wf_run_id {:?} is not a valid WfRunId",
                id.id
            )));
        }
        part = id.parent_wf_run_id.as_deref();
    }
    if guid.contains('/') {
        return Err(Rejection::invalid(format!(
            "guid {guid:?} must not contain '/'"
        )));
    }
    let def_name = request.external_event_def_id.unwrap_or_default().name;
    let def = spec::external_event_def(context.global(), tenant, &def_name)
        .ok_or_else(|| Rejection::invalid(format!("No ExternalEventDef named {def_name}")))?;
    let run = Run::new(tenant, &wf_run_id);
    let request_id = context.request_id().0.to_be_bytes();
    let mut unit = Unit::new(context, tenant);
    if let Some(row) = unit.find_event(&run, &def_name, &guid)? {
        // The same command once more, after a change of owner: it meets its own effect.
        if row.request_id[..] == request_id {
            return Ok(external_event::public(
                external_event::id(wf_run_id, &def_name, &guid),
                row.clone(),
            ));
        }
        return Err(Rejection::already_exists(format!(
            "ExternalEvent {def_name} with guid {guid} already exists"
        )));
    }
    let content = request.content.unwrap_or_default();
    let declared = def
        .type_information
        .as_ref()
        .and_then(|info| info.return_type.as_ref());
    let content = match declared {
        Some(type_def) => {
            let structs = spec::Structs::new(unit.context.global(), tenant);
            value::ingress(type_def, content, &structs).map_err(|error| {
                Rejection::invalid(format!(
                    "Invalid type for the content of ExternalEvent {def_name}: {error}"
                ))
            })?
        }
        None => value::ingress_untyped(content).map_err(|error| {
            Rejection::invalid(format!(
                "Invalid content of ExternalEvent {def_name}: {error}"
            ))
        })?,
    };
    let now_ms = unit.now_ms();
    let arrival = unit.context.next_number()?;
    let mut row = ExternalEventRow {
        version: 1,
        external_event: Some(ExternalEvent {
            id: None,
            created_at: Some(timestamp(now_ms)),
            content: Some(content),
            thread_run_number: request.thread_run_number,
            node_run_position: request.node_run_position,
            claimed: false,
        }),
        arrival,
        retention_due_ms: None,
        request_id: request_id.to_vec().into(),
    };
    let policy = def
        .retention_policy
        .as_ref()
        .and_then(|policy| policy.ext_evt_gc_policy);
    if let Some(ExtEvtGcPolicy::SecondsAfterPut(seconds)) = policy {
        let due_ms = now_ms.saturating_add(seconds.saturating_mul(1000));
        let owner = run.key.external_event(&def_name, &guid);
        let payload = timer::payload(Action::DeleteEvent(DeleteEvent {}));
        row.retention_due_ms = Some(unit.context.set_timer(due_ms, &owner, payload)?);
    }
    unit.insert_event(&run, &def_name, &guid, row);
    let mark = run.key.unclaimed_event(&def_name, now_ms, arrival);
    unit.context
        .insert(Family::State, mark.finish(), Bytes::from(guid.clone()))?;
    if unit.exists(&run)? {
        interrupt_threads(&mut unit, &run, &def_name, &guid)?;
        advance(&mut unit, &run)?;
    }
    let stored = unit
        .find_event(&run, &def_name, &guid)?
        .cloned()
        .unwrap_or_default();
    unit.finish()?;
    Ok(external_event::public(
        external_event::id(wf_run_id, &def_name, &guid),
        stored,
    ))
}

/// An unclaimed event has been kept for long enough (spec 05, section 3.7).
pub(crate) fn retention_due(
    context: &mut Context<'_>,
    tenant: &str,
    run: &Run,
    def: &str,
    guid: &str,
    due_ms: i64,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    let Some(row) = unit.find_event(run, def, guid)? else {
        return Ok(());
    };
    let event = row.external_event.clone().unwrap_or_default();
    if event.claimed || row.retention_due_ms != Some(due_ms) {
        return Ok(());
    }
    let mark = run
        .key
        .unclaimed_event(def, timestamp_ms(event.created_at.as_ref()), row.arrival);
    unit.context.delete(Family::State, mark.finish())?;
    unit.delete_event(run, def, guid);
    unit.finish()
}

//! PutExternalEvent (spec 05, section 3.2).

use bytes::Bytes;
use index::{Family, GlobalView};
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{DeleteEvent, ExternalEventRow, PutExternalEvent};
use proto::littlehorse::external_event_retention_policy::ExtEvtGcPolicy;
use proto::littlehorse::{ExternalEvent, ExternalEventDef, VariableValue};
use runtime::{Context, Rejection};

use super::{check_ancestors, wf_run_id};
use crate::node::external_event::interrupt_threads;
use crate::record::external_event;
use crate::run::{Run, Unit, advance};
use crate::settings::Tenant;
use crate::time::{timestamp, timestamp_ms};
use crate::{spec, timer, value};

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
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
    let def = spec::external_event_def(context.global(), tenant.name, &def_name)
        .ok_or_else(|| Rejection::invalid(format!("No ExternalEventDef named {def_name}")))?;
    let run = Run::new(tenant.name, &wf_run_id);
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
    let content = checked_content(unit.context.global(), tenant, &def, &def_name, content)?;
    let incoming = Incoming {
        def: &def_name,
        guid: &guid,
        event: ExternalEvent {
            id: None,
            created_at: Some(timestamp(unit.now_ms())),
            content: Some(content),
            thread_run_number: request.thread_run_number,
            node_run_position: request.node_run_position,
            claimed: false,
        },
        correlated: false,
    };
    store(&mut unit, &run, incoming, Some(&def))?;
    if unit.exists(&run)? {
        react(&mut unit, &run, &def_name, &guid)?;
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

/// What an event brings, checked against its definition and as it is to be stored (spec 05, section 3.3).
pub(super) fn checked_content(
    global: &GlobalView,
    tenant: Tenant<'_>,
    def: &ExternalEventDef,
    def_name: &str,
    content: VariableValue,
) -> Result<VariableValue, Rejection> {
    let declared = def
        .type_information
        .as_ref()
        .and_then(|info| info.return_type.as_ref());
    match declared {
        Some(type_def) => {
            let structs = spec::Structs::new(global, tenant.name);
            value::ingress(type_def, content, &structs).map_err(|error| {
                Rejection::invalid(format!(
                    "Invalid type for the content of ExternalEvent {def_name}: {error}"
                ))
            })
        }
        None => value::ingress_untyped(content).map_err(|error| {
            Rejection::invalid(format!(
                "Invalid content of ExternalEvent {def_name}: {error}"
            ))
        }),
    }
}

/// An event that has come.
pub(crate) struct Incoming<'a> {
    /// Its definition's name.
    pub def: &'a str,
    /// Its id among those of the run and definition.
    pub guid: &'a str,
    /// Itself, unclaimed.
    pub event: ExternalEvent,
    /// Whether it is what a CorrelatedEvent has become.
    pub correlated: bool,
}

/// Stores a new event, with the timer that its definition asks for. Nobody has noticed yet.
pub(crate) fn store(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    incoming: Incoming<'_>,
    settings: Option<&ExternalEventDef>,
) -> Result<(), Rejection> {
    let Incoming {
        def,
        guid,
        event,
        correlated,
    } = incoming;
    let created_ms = timestamp_ms(event.created_at.as_ref());
    let arrival = unit.context.next_number()?;
    let request_id = unit.context.request_id().0.to_be_bytes();
    let mut row = ExternalEventRow {
        version: 1,
        external_event: Some(event),
        arrival,
        retention_due_ms: None,
        request_id: request_id.to_vec().into(),
        correlated,
    };
    let policy = settings
        .and_then(|def| def.retention_policy.as_ref())
        .and_then(|policy| policy.ext_evt_gc_policy);
    if let Some(ExtEvtGcPolicy::SecondsAfterPut(seconds)) = policy {
        let due_ms = created_ms.saturating_add(seconds.saturating_mul(1000));
        let owner = run.key.external_event(def, guid);
        let payload = timer::payload(Action::DeleteEvent(DeleteEvent {}));
        row.retention_due_ms = Some(unit.context.set_timer(due_ms, &owner, payload)?);
    }
    unit.insert_event(run, def, guid, row);
    let mark = run.key.unclaimed_event(def, created_ms, arrival);
    let guid = Bytes::from(guid.to_owned());
    Ok(unit.context.insert(Family::State, mark.finish(), guid)?)
}

/// The run notices a new event.
pub(crate) fn react(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    def: &str,
    guid: &str,
) -> Result<(), Rejection> {
    interrupt_threads(unit, run, def, guid)?;
    advance(unit, run)
}

/// An unclaimed event has been kept for long enough (spec 05, section 3.7).
pub(crate) fn retention_due(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
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

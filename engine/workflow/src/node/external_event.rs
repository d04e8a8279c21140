//! EXTERNAL_EVENT: waits for an event from outside (spec 03, section 6.5; spec 05, sections 3.5 and 4).

use crate::time::timestamp_ms;
use index::Family;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{ExternalEventNode, ExternalEventNodeRun, VariableValue};
use runtime::Rejection;

use super::{At, Done};
use crate::event::waiter;
use crate::record::external_event;
use crate::record::wf_run::is_terminated;
use crate::run::{Failing, Fault, Run, ThreadScope, Unit, interrupt};
use crate::timer;
use crate::value;

/// Unclaimed events that are read at a time while looking for one that fits.
const PAGE: usize = 64;

pub(super) fn initial(node: &ExternalEventNode) -> NodeType {
    NodeType::ExternalEvent(ExternalEventNodeRun {
        external_event_def_id: node.external_event_def_id.clone(),
        mask_correlation_key: node.mask_correlation_key,
        ..ExternalEventNodeRun::default()
    })
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &ExternalEventNode,
) -> Result<(), Failing> {
    if let Some(timeout) = &node.timeout_seconds {
        let scope = ThreadScope::new(unit, at);
        let seconds = match scope.outcome(value::evaluate(timeout, &scope)) {
            Ok(VariableValue {
                value: Some(Value::Int(seconds)),
            }) => seconds,
            Ok(other) => {
                let kind = value::kind_name(&other);
                return Err(cannot("timeout", format!("it is a {kind}, not an INT")).into());
            }
            Err(Failing::Fault(fault)) => return Err(cannot("timeout", fault.message).into()),
            Err(rejected) => return Err(rejected),
        };
        let due_ms = unit.now_ms().saturating_add(seconds.saturating_mul(1000));
        timer::set_for_node(unit, at, due_ms)?;
    }
    if let Some(key) = &node.correlation_key {
        let scope = ThreadScope::new(unit, at);
        let key = match scope.outcome(value::evaluate(key, &scope)) {
            Ok(VariableValue {
                value: Some(Value::Str(key)),
            }) => key,
            Ok(other) => {
                let kind = value::kind_name(&other);
                return Err(cannot("correlation id", format!("it is a {kind}, not a STR")).into());
            }
            Err(Failing::Fault(fault)) => {
                return Err(cannot("correlation id", fault.message).into());
            }
            Err(rejected) => return Err(rejected),
        };
        node_part(unit, at)?.correlation_key = Some(key.clone());
        let def = node
            .external_event_def_id
            .as_ref()
            .map_or("", |id| &id.name);
        waiter::wait(unit, at, def, &key)?;
    }
    Ok(())
}

fn cannot(what: &str, why: String) -> Fault {
    Fault::new(
        "VAR_ERROR",
        format!("The {what} of the external event could not be determined: {why}"),
    )
}

pub(super) fn poll(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &ExternalEventNode,
) -> Result<Option<Done>, Failing> {
    let def = node
        .external_event_def_id
        .as_ref()
        .map_or("", |id| id.name.as_str());
    let part = node_part(unit, at)?;
    if part.external_event_id.is_some() {
        return Ok(Some(Done::Next));
    }
    let timed_out = part.timed_out;
    let row = unit.node_row_mut(at.run, at.thread, at.position)?;
    // An event that came in time counts, even if the thread was halted when the time was over.
    let deadline = if timed_out { row.timer_due_ms } else { None };
    match find(unit, at, def, deadline)? {
        Some(guid) => {
            claim(unit, at, def, &guid)?;
            Ok(Some(Done::Next))
        }
        None if timed_out => Err(Fault::new(
            "TIMEOUT",
            format!("ExternalEvent {def} did not arrive in time"),
        )
        .into()),
        None => Ok(None),
    }
}

/// The oldest unclaimed event that this NodeRun may take: its guid.
fn find(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    def: &str,
    deadline: Option<i64>,
) -> Result<Option<String>, Rejection> {
    let mut range = at.run.key.unclaimed_events(def);
    loop {
        let page = unit.context.scan(Family::State, &range, PAGE, false)?;
        for (_, guid) in &page {
            let guid = String::from_utf8_lossy(guid).into_owned();
            let Some(event) = unit
                .find_event(at.run, def, &guid)?
                .and_then(|row| row.external_event.as_ref())
            else {
                continue;
            };
            let fits = event
                .thread_run_number
                .is_none_or(|thread| thread == at.thread)
                && event
                    .node_run_position
                    .is_none_or(|position| position == at.position)
                && deadline
                    .is_none_or(|deadline| timestamp_ms(event.created_at.as_ref()) <= deadline);
            if fits {
                return Ok(Some(guid));
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => {
                range.start = std::ops::Bound::Excluded(last.clone());
            }
            _ => return Ok(None),
        }
    }
}

fn claim(unit: &mut Unit<'_, '_>, at: &At<'_>, def: &str, guid: &str) -> Result<(), Rejection> {
    timer::cancel_for_node(unit, at)?;
    mark_claimed(unit, at.run, def, guid)?;
    let row = unit.find_event(at.run, def, guid)?;
    if row.is_some_and(|row| row.correlated) {
        // Matched: whoever matched them has forgotten the waiter.
        unit.node_row_mut(at.run, at.thread, at.position)?
            .correlated = false;
    } else {
        waiter::withdraw(unit, at.run, at.thread, at.position)?;
    }
    let mut created = None;
    if let Some(event) = unit
        .find_event_mut(at.run, def, guid)?
        .and_then(|row| row.external_event.as_mut())
    {
        event.thread_run_number = Some(at.thread);
        event.node_run_position = Some(at.position);
        created = event.created_at;
    }
    let id = external_event::id(at.run.id.clone(), def, guid);
    let part = node_part(unit, at)?;
    part.event_time = created;
    part.external_event_id = Some(id);
    Ok(())
}

/// An event is taken: nobody else gets it, and it is kept with the run.
fn mark_claimed(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    def: &str,
    guid: &str,
) -> Result<(), Rejection> {
    let Some(row) = unit.find_event_mut(run, def, guid)? else {
        return Err(Rejection::internal("an unclaimed ExternalEvent is missing"));
    };
    let arrival = row.arrival;
    let retention = row.retention_due_ms.take();
    let Some(event) = &mut row.external_event else {
        return Err(Rejection::internal("an ExternalEvent's row is empty"));
    };
    event.claimed = true;
    let created_ms = timestamp_ms(event.created_at.as_ref());
    let mark = run.key.unclaimed_event(def, created_ms, arrival);
    unit.context.delete(Family::State, mark.finish())?;
    if let Some(due_ms) = retention {
        unit.context
            .cancel_timer(due_ms, &run.key.external_event(def, guid))?;
    }
    Ok(())
}

/// A new event interrupts every living thread that has a handler for it, lower numbers first (spec 03, section 8.5).
pub(crate) fn interrupt_threads(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    def: &str,
    guid: &str,
) -> Result<(), Rejection> {
    let only = unit
        .find_event(run, def, guid)?
        .and_then(|row| row.external_event.as_ref()?.thread_run_number);
    let mut claimed = false;
    for number in unit.active_threads(run)? {
        let thread = unit.thread(run, number)?;
        if is_terminated(thread.status()) || only.is_some_and(|only| only != number) {
            continue;
        }
        let name = thread.thread_spec_name.clone();
        let spec = unit.spec(run, number)?;
        let handler = spec.thread(&name)?.interrupt_defs.iter().find(|interrupt| {
            interrupt
                .external_event_def_id
                .as_ref()
                .is_some_and(|id| id.name == def)
        });
        let Some(handler) = handler else { continue };
        if !claimed {
            mark_claimed(unit, run, def, guid)?;
            if let Some(event) = unit
                .find_event_mut(run, def, guid)?
                .and_then(|row| row.external_event.as_mut())
            {
                event.thread_run_number = Some(number);
            }
            claimed = true;
        }
        let event = external_event::id(run.id.clone(), def, guid);
        interrupt(unit, run, number, event, &handler.handler_spec_name)?;
    }
    Ok(())
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    let Some(id) = node_part(unit, at)?.external_event_id.clone() else {
        return Ok(None);
    };
    let def = id.external_event_def_id.unwrap_or_default().name;
    let row = unit.find_event(at.run, &def, &id.guid)?;
    let event = row.and_then(|row| row.external_event.as_ref());
    // An event that is gone leaves nothing to read.
    Ok(Some(
        event
            .and_then(|event| event.content.clone())
            .unwrap_or_default(),
    ))
}

/// The timeout has come. The due time stays in the row, for events that came before it.
pub fn due(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Rejection> {
    node_part(unit, at)?.timed_out = true;
    Ok(())
}

fn node_part<'r>(
    unit: &'r mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<&'r mut ExternalEventNodeRun, Rejection> {
    match &mut unit.node_mut(at.run, at.thread, at.position)?.node_type {
        Some(NodeType::ExternalEvent(part)) => Ok(part),
        _ => Err(Rejection::internal(
            "an EXTERNAL_EVENT node's NodeRun is something else",
        )),
    }
}

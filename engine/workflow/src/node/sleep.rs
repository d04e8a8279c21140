//! SLEEP: waits for a time (spec 03, section 6.6).

use crate::time::{in_range, timestamp, timestamp_ms};
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::sleep_node::SleepLength;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{SleepNode, SleepNodeRun, VariableAssignment};
use runtime::Rejection;

use super::{At, Done};
use crate::run::{Failing, Fault, ThreadScope, Unit};
use crate::timer;
use crate::value;

pub(super) fn initial() -> NodeType {
    NodeType::Sleep(SleepNodeRun {
        maturation_time: None,
        matured: false,
    })
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &SleepNode,
) -> Result<(), Failing> {
    let due_ms = in_range(maturation_ms(unit, at, node)?);
    set(unit, at, due_ms)?;
    Ok(())
}

pub(super) fn poll(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &SleepNode,
) -> Result<Option<Done>, Failing> {
    let Some(NodeType::Sleep(sleep)) = &unit.node(at.run, at.thread, at.position)?.node_type else {
        return Err(Rejection::internal("a SLEEP node's NodeRun is something else").into());
    };
    if sleep.matured {
        return Ok(Some(Done::Next));
    }
    let current = timestamp_ms(sleep.maturation_time.as_ref());
    // A variable that tells the time may have been changed meanwhile; a length in seconds is fixed on arrival.
    if !matches!(node.sleep_length, Some(SleepLength::RawSeconds(_))) {
        let due_ms = in_range(maturation_ms(unit, at, node)?);
        if due_ms != current {
            set(unit, at, due_ms)?;
        }
    }
    Ok(None)
}

/// The timer has fired. It was cancelled if the wake-up time was moved, so this is the one.
pub fn due(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Rejection> {
    let row = unit.node_row_mut(at.run, at.thread, at.position)?;
    row.timer_due_ms = None;
    if let Some(NodeType::Sleep(sleep)) = row
        .node_run
        .as_mut()
        .and_then(|node| node.node_type.as_mut())
    {
        sleep.matured = true;
    }
    Ok(())
}

fn set(unit: &mut Unit<'_, '_>, at: &At<'_>, due_ms: i64) -> Result<(), Rejection> {
    timer::set_for_node(unit, at, due_ms)?;
    let node_run = unit.node_mut(at.run, at.thread, at.position)?;
    node_run.node_type = Some(NodeType::Sleep(SleepNodeRun {
        maturation_time: Some(timestamp(due_ms)),
        matured: false,
    }));
    Ok(())
}

fn maturation_ms(unit: &mut Unit<'_, '_>, at: &At<'_>, node: &SleepNode) -> Result<i64, Failing> {
    let now = unit.now_ms();
    match &node.sleep_length {
        Some(SleepLength::RawSeconds(seconds)) => {
            let seconds = value::as_int(&resolve(unit, at, seconds)?).map_err(explain)?;
            Ok(now.saturating_add(seconds.saturating_mul(1000)))
        }
        Some(SleepLength::Timestamp(time)) => match resolve(unit, at, time)?.value {
            Some(Value::UtcTimestamp(time)) => Ok(timestamp_ms(Some(&time))),
            other => Ok(
                value::as_int(&proto::littlehorse::VariableValue { value: other })
                    .map_err(explain)?,
            ),
        },
        Some(SleepLength::IsoDate(date)) => {
            let text = value::as_text(&resolve(unit, at, date)?).map_err(explain)?;
            // Neither the text nor jiff's error, which quotes it, is told: it may come from a masked variable.
            let time: jiff::Timestamp = text.parse().map_err(|_| {
                Fault::var_sub(format!(
                    "{NO_TIME}: the text is no ISO-8601 instant like 2030-01-31T10:00:00Z"
                ))
            })?;
            Ok(time.as_millisecond())
        }
        None => Err(Fault::var_sub(format!("{NO_TIME}: the node has no length")).into()),
    }
}

const NO_TIME: &str = "The maturation time of the sleep could not be calculated";

fn explain(fault: value::Fault) -> Failing {
    Fault::var_sub(format!("{NO_TIME}: {}", fault.message)).into()
}

fn resolve(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    assignment: &VariableAssignment,
) -> Result<proto::littlehorse::VariableValue, Failing> {
    let scope = ThreadScope::new(unit, at);
    scope
        .outcome(value::evaluate(assignment, &scope))
        .map_err(|failing| match failing {
            Failing::Fault(fault) => Fault::var_sub(format!("{NO_TIME}: {}", fault.message)).into(),
            rejected @ Failing::Rejected(_) => rejected,
        })
}

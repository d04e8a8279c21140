//! THROW_EVENT: tells the world, as a WorkflowEvent (spec 03, section 6.11; spec 05, section 6.1).

use index::Family;
use proto::ironhorse::v1::WorkflowEventRow;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    NodeRunId, ThrowEventNode, ThrowEventNodeRun, VariableValue, WorkflowEvent,
};
use runtime::Rejection;

use super::At;
use crate::key::{Row, RunRow};
use crate::record::workflow_event;
use crate::run::{Failing, Run, ThreadScope, Unit};
use crate::time::timestamp;
use crate::{spec, value};

pub(super) fn initial() -> NodeType {
    NodeType::ThrowEvent(ThrowEventNodeRun::default())
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &ThrowEventNode,
) -> Result<(), Failing> {
    let def = node.event_def_id.clone().unwrap_or_default().name;
    let content = match &node.content {
        None => VariableValue::default(),
        Some(content) => {
            let scope = ThreadScope::new(unit, at);
            scope
                .outcome(value::evaluate(content, &scope))
                .map_err(|failing| {
                    failing.explained(&format!("The content of {def} could not be computed"))
                })?
        }
    };
    let content = stamped(unit, &def, content);
    let number = next_number(unit, at.run, &def)?;
    let sequence = unit.context.next_number().map_err(Rejection::from)?;
    let row = WorkflowEventRow {
        version: 1,
        workflow_event: Some(WorkflowEvent {
            id: None,
            content: Some(content),
            created_at: Some(timestamp(unit.now_ms())),
            node_run_id: Some(NodeRunId {
                wf_run_id: Some(at.run.id.clone()),
                thread_run_number: at.thread,
                position: at.position,
            }),
        }),
        sequence,
    };
    store(unit, at.run, &def, number, &row)?;
    unit.context
        .notify(workflow_event::topic(&at.run.key).clone());
    unit.node_mut(at.run, at.thread, at.position)?.node_type =
        Some(NodeType::ThrowEvent(ThrowEventNodeRun {
            workflow_event_id: Some(workflow_event::id(at.run.id.clone(), &def, number)),
        }));
    Ok(())
}

fn store(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    def: &str,
    number: i32,
    row: &WorkflowEventRow,
) -> Result<(), Rejection> {
    let key = unit.context.bytes(&run.key.workflow_event(def, number));
    let value = unit.context.encoded(row);
    Ok(unit.context.insert(Family::State, key, value)?)
}

/// The declared element types of arrays and maps are written onto the value. It is not checked.
fn stamped(unit: &mut Unit<'_, '_>, def: &str, content: VariableValue) -> VariableValue {
    let global = unit.context.global();
    let def = spec::workflow_event_def(global, unit.tenant.name, def);
    let declared = def
        .as_ref()
        .and_then(|def| def.content_type.as_ref()?.return_type.as_ref());
    match declared {
        Some(type_def)
            if matches!(
                type_def.defined_type,
                Some(DefinedType::InlineArrayDef(_) | DefinedType::InlineMapDef(_))
            ) =>
        {
            let structs = spec::Structs::new(global, unit.tenant.name);
            value::ingress(type_def, content.clone(), &structs).unwrap_or(content)
        }
        _ => content,
    }
}

/// One more than the highest number of this definition's events in the run.
fn next_number(unit: &mut Unit<'_, '_>, run: &Run, def: &str) -> Result<i32, Rejection> {
    let thrown = run.key.workflow_events(def);
    let Some((key, _)) = unit.context.scan(Family::State, &thrown, 1, true)?.pop() else {
        return Ok(0);
    };
    match RunRow::parse(&key).map_err(|error| Rejection::internal(error.to_string()))? {
        Some(RunRow {
            row: Row::WorkflowEvent { number, .. },
            ..
        }) => Ok(number + 1),
        _ => Err(Rejection::internal("a WorkflowEvent's key is of no kind")),
    }
}

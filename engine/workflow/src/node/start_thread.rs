//! START_THREAD: starts a child thread (spec 03, section 6.8).

use std::collections::BTreeMap;

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    StartThreadNode, StartThreadRun, ThreadType, VariableAssignment, VariableValue,
};
use runtime::Rejection;

use super::At;
use crate::run::{Failing, Fault, ThreadScope, Unit, room_for, start_thread, validate_inputs};
use crate::value;

pub(super) fn initial(node: &StartThreadNode) -> NodeType {
    NodeType::StartThread(StartThreadRun {
        child_thread_id: None,
        thread_spec_name: node.thread_spec_name.clone(),
    })
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &StartThreadNode,
) -> Result<(), Failing> {
    room_for(unit, at.run, 1)??;
    let inputs = inputs(unit, at, &node.variables)?;
    let child = start_child(unit, at, &node.thread_spec_name, inputs)?;
    let node_run = unit.node_mut(at.run, at.thread, at.position)?;
    node_run.node_type = Some(NodeType::StartThread(StartThreadRun {
        child_thread_id: Some(child),
        thread_spec_name: node.thread_spec_name.clone(),
    }));
    Ok(())
}

/// The values that a child is to be started with.
pub(super) fn inputs(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    assignments: &BTreeMap<String, VariableAssignment>,
) -> Result<BTreeMap<String, VariableValue>, Failing> {
    let mut inputs = BTreeMap::new();
    for (name, assignment) in assignments {
        let scope = ThreadScope::new(unit, at);
        let value = scope
            .outcome(value::evaluate(assignment, &scope))
            .map_err(|failing| {
                failing.explained(&format!(
                    "Input {name} of the child thread could not be computed"
                ))
            })?;
        inputs.insert(name.clone(), value);
    }
    Ok(inputs)
}

/// Starts a child of the node's thread, if the child's declarations take the values.
pub(super) fn start_child(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    thread_spec: &str,
    inputs: BTreeMap<String, VariableValue>,
) -> Result<i32, Failing> {
    let fitted = {
        let scope = ThreadScope::new(unit, at);
        validate_inputs(at.spec.thread(thread_spec)?, inputs, &scope)
    };
    let fitted = fitted.map_err(|why| {
        Fault::var_sub(format!("Thread {thread_spec} could not be started: {why}"))
    })?;
    Ok(start_thread(
        unit,
        at.run,
        &at.spec,
        thread_spec,
        Some(at.thread),
        ThreadType::Child,
        fitted,
    )?)
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    match &unit.node(at.run, at.thread, at.position)?.node_type {
        Some(NodeType::StartThread(part)) => Ok(part.child_thread_id.map(|child| VariableValue {
            value: Some(Value::Int(i64::from(child))),
        })),
        _ => Err(Rejection::internal(
            "a START_THREAD node's NodeRun is something else",
        )),
    }
}

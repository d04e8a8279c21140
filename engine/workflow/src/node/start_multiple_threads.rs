//! START_MULTIPLE_THREADS: starts one child thread per element of a list (spec 03, section 6.8).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{StartMultipleThreadsNode, StartMultipleThreadsRun, VariableValue};
use runtime::Rejection;

use super::At;
use super::start_thread::{inputs, start_child};
use crate::run::{Failing, Fault, INPUT, ThreadScope, Unit, room_for};
use crate::value;

pub(super) fn initial(node: &StartMultipleThreadsNode) -> NodeType {
    NodeType::StartMultipleThreads(StartMultipleThreadsRun {
        thread_spec_name: node.thread_spec_name.clone(),
        child_thread_ids: Vec::new(),
    })
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &StartMultipleThreadsNode,
) -> Result<(), Failing> {
    let elements = elements(unit, at, node)?;
    room_for(unit, at.run, elements.len())??;
    let thread = at.spec.thread(&node.thread_spec_name)?;
    let declares_input = thread
        .variable_defs
        .iter()
        .any(|def| def.var_def.as_ref().is_some_and(|def| def.name == INPUT));
    for element in elements {
        let mut inputs = inputs(unit, at, &node.variables)?;
        if declares_input {
            inputs.insert(INPUT.to_owned(), element);
        }
        let child = start_child(unit, at, &node.thread_spec_name, inputs)?;
        part(unit, at)?.child_thread_ids.push(child);
    }
    Ok(())
}

fn elements(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &StartMultipleThreadsNode,
) -> Result<Vec<VariableValue>, Failing> {
    let iterable = match &node.iterable {
        Some(iterable) => {
            let scope = ThreadScope::new(unit, at);
            scope
                .outcome(value::evaluate(iterable, &scope))
                .map_err(|failing| failing.explained("The list could not be computed"))?
        }
        None => VariableValue::default(),
    };
    value::json::elements(&iterable).ok_or_else(|| {
        let kind = value::kind_name(&iterable);
        Fault::var_sub(format!("The list is a {kind}: neither ARRAY nor JSON_ARR")).into()
    })
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    let numbers = &part(unit, at)?.child_thread_ids;
    let numbers: Vec<String> = numbers.iter().map(i32::to_string).collect();
    Ok(Some(VariableValue {
        value: Some(Value::JsonArr(format!("[{}]", numbers.join(",")))),
    }))
}

fn part<'r>(
    unit: &'r mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<&'r mut StartMultipleThreadsRun, Rejection> {
    match &mut unit.node_mut(at.run, at.thread, at.position)?.node_type {
        Some(NodeType::StartMultipleThreads(part)) => Ok(part),
        _ => Err(Rejection::internal(
            "a START_MULTIPLE_THREADS node's NodeRun is something else",
        )),
    }
}

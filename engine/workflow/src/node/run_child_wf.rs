//! RUN_CHILD_WF: starts a WfRun below this one and does not wait for it (spec 03, section 10.2).

use proto::id::MAX_ANCESTORS;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    NodeRunId, RunChildWfNode, RunChildWfNodeRun, VariableAssignment, VariableValue, WfRunId,
};
use runtime::Rejection;

use super::At;
use super::start_thread::inputs;
use crate::run::{
    Failing, Fault, Run, ThreadScope, Unit, advance_one, generated_id, room_for_child, start_run,
    validate_inputs,
};
use crate::{spec, value};

pub(super) fn initial() -> NodeType {
    NodeType::RunChildWf(RunChildWfNodeRun::default())
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &RunChildWfNode,
) -> Result<(), Failing> {
    let inputs = inputs(unit, at, &node.inputs)?;
    part(unit, at)?.inputs.clone_from(&inputs);
    let name = match &node.wf_spec {
        Some(ChildName::WfSpecName(name)) => name.clone(),
        Some(ChildName::WfSpecVar(name)) => text(unit, at, name, "name of the child's WfSpec")?,
        None => return Err(Rejection::internal("a RUN_CHILD_WF node without a WfSpec").into()),
    };
    let major = (node.major_version >= 0).then_some(node.major_version);
    let spec = spec::wf_spec(unit.context.global(), unit.tenant.name, &name, major, None)
        .ok_or_else(
            // The whole message is what clients compare with.
            || Fault::new("CHILD_FAILURE", format!("Couldn't find WfSpec {name}")),
        )?;
    let fitted = {
        let scope = ThreadScope::new(unit, at);
        let thread = spec.thread(&spec.wf_spec.entrypoint_thread_name)?;
        validate_inputs(thread, inputs, &scope)
    };
    let fitted = fitted.map_err(|why| {
        Fault::var_sub(format!(
            "A WfRun of WfSpec {name} could not be started: {why}"
        ))
    })?;
    let id = match &node.child_id {
        Some(id) => Some(text(unit, at, id, "id of the child")?),
        None => None,
    };
    let run = free(unit, at, id)?;
    room_for_child(unit)?;
    let part = part(unit, at)?;
    part.wf_spec_id = Some(spec.id());
    part.child_wf_run_id = Some(run.id.clone());
    let request_id = unit.wf_run_row(at.run)?.request_id.clone();
    let triggered_by = NodeRunId {
        wf_run_id: Some(at.run.id.clone()),
        thread_run_number: at.thread,
        position: at.position,
    };
    start_run(unit, &run, &spec, fitted, Some(triggered_by), request_id)?;
    advance_one(unit, &run)?;
    Ok(())
}

fn text(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    assignment: &VariableAssignment,
    what: &str,
) -> Result<String, Failing> {
    let scope = ThreadScope::new(unit, at);
    let value = value::evaluate(assignment, &scope).and_then(|value| value::as_text(&value));
    scope
        .outcome(value)
        .map_err(|failing| failing.explained(&format!("The {what} could not be computed")))
}

/// The child's id and place: the id that the node gives it, or one of its own.
fn free(unit: &mut Unit<'_, '_>, at: &At<'_>, id: Option<String>) -> Result<Run, Failing> {
    let id = match id {
        Some(id) => id,
        None => generated_id(unit.context)?,
    };
    if !proto::name::is_hostname(&id) {
        return Err(
            Fault::var_sub(format!("The id of the child is not a valid id: {id:?}")).into(),
        );
    }
    let id = WfRunId {
        id,
        parent_wf_run_id: Some(Box::new(at.run.id.clone())),
    };
    if id.ancestors() > MAX_ANCESTORS {
        let message = format!("A WfRun has at most {MAX_ANCESTORS} ancestors");
        return Err(Fault::new("CHILD_FAILURE", message).into());
    }
    let run = Run::new(unit.tenant.name, &id);
    if unit.is_taken(&run)? {
        return Err(Fault::new("CHILD_FAILURE", format!("WfRun {id} already exists")).into());
    }
    Ok(run)
}

pub(super) fn output(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<VariableValue>, Rejection> {
    Ok(part(unit, at)?
        .child_wf_run_id
        .clone()
        .map(|id| VariableValue {
            value: Some(Value::WfRunId(id)),
        }))
}

fn part<'r>(
    unit: &'r mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<&'r mut RunChildWfNodeRun, Rejection> {
    match &mut unit.node_mut(at.run, at.thread, at.position)?.node_type {
        Some(NodeType::RunChildWf(part)) => Ok(part),
        _ => Err(Rejection::internal(
            "a RUN_CHILD_WF node's NodeRun is something else",
        )),
    }
}

//! Choosing the edge out of a completed node, and its mutations (spec 03, section 5.5; spec 02, section 11).

use proto::littlehorse::VariableValue;
use proto::littlehorse::edge::EdgeCondition;

use super::failure::{Failing, Fault};
use super::scope::ThreadScope;
use super::unit::Unit;
use crate::node::At;
use crate::value;

/// The sink of the first edge whose condition holds. Its mutations are applied if `mutate`: all of them or none.
pub(super) fn choose(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    mutate: bool,
) -> Result<String, Failing> {
    let node = at.spec.node(&at.thread_spec, &at.node_name)?;
    for edge in &node.outgoing_edges {
        let sink = &edge.sink_node_name;
        let scope = ThreadScope::new(unit, at);
        let holds = match &edge.edge_condition {
            None => true,
            Some(EdgeCondition::LegacyCondition(condition)) => {
                scope.outcome(value::legacy_condition(condition, &scope))?
            }
            Some(EdgeCondition::Condition(condition)) => {
                scope.outcome(value::condition(condition, &scope))?
            }
        };
        if !holds {
            continue;
        }
        if !mutate {
            return Ok(sink.clone());
        }
        let writes = scope
            .outcome(value::mutations(&edge.variable_mutations, &scope))
            .map_err(|failing| failing.explained(&format!("On the edge to node {sink}")))?;
        for (name, value) in writes {
            assign(unit, at, &name, value)?;
        }
        return Ok(sink.clone());
    }
    Err(Fault::var_sub(format!(
        "No edge out of node {} has a condition that holds",
        at.node_name
    ))
    .into())
}

/// Writes a variable where it is declared: see [`owner`](super::scope::owner).
fn assign(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    name: &str,
    value: VariableValue,
) -> Result<(), Failing> {
    let owner = super::scope::owner(unit, at.run, at.thread, name)?;
    let Some(owner) = owner else {
        return Err(Fault::var_sub(format!("Variable {name} is not in scope")).into());
    };
    if let Some(row) = unit.find_variable_mut(owner.run(at.run), owner.thread, name)?
        && let Some(variable) = &mut row.variable
    {
        variable.value = Some(value);
    }
    Ok(())
}

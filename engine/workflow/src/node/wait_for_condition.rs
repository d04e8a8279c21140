//! WAIT_FOR_CONDITION: waits until a condition holds, looked at whenever the WfRun moves (spec 03, section 6.10).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::wait_for_condition_node::NodeCondition;
use proto::littlehorse::{WaitForConditionNode, WaitForConditionRun};

use super::{At, Done};
use crate::run::{Failing, Fault, ThreadScope, Unit};
use crate::value;

pub(super) fn initial() -> NodeType {
    NodeType::WaitForCondition(WaitForConditionRun {})
}

pub(super) fn poll(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &WaitForConditionNode,
) -> Result<Option<Done>, Failing> {
    let scope = ThreadScope::new(unit, at);
    let holds = match &node.node_condition {
        Some(NodeCondition::LegacyCondition(condition)) => {
            value::legacy_condition(condition, &scope)
        }
        Some(NodeCondition::Condition(condition)) => value::condition(condition, &scope),
        None => return Err(Fault::var_sub("The node has no condition").into()),
    };
    Ok(scope.outcome(holds)?.then_some(Done::Next))
}

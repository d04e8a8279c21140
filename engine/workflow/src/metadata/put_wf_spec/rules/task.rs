//! TASK, and the reminders of USER_TASK (section 10.5).

use proto::littlehorse::TaskNode;
use proto::littlehorse::task_node::TaskToExecute;

use super::super::super::definitions::Definitions;
use super::super::rule::{Findings, Place, Rule};

/// `is_reminder`: the number of inputs is not checked, since clients do not know it (spec 06, D5).
pub(super) fn check(
    place: Place<'_>,
    task: &TaskNode,
    is_reminder: bool,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    match &task.task_to_execute {
        None => findings.add(place, &Rule::TaskIsNamed),
        Some(TaskToExecute::DynamicTask(_)) => {}
        Some(TaskToExecute::TaskDefId(id)) => match definitions.task_def(&id.name) {
            None => findings.add(place, &Rule::TaskDefExists(id.name.clone())),
            Some(task_def) => {
                let (expected, given) = (task_def.input_vars.len(), task.variables.len());
                if expected != given && !is_reminder {
                    findings.add(
                        place,
                        &Rule::TaskInputsAreComplete {
                            task_def: id.name.clone(),
                            expected,
                            given,
                        },
                    );
                }
            }
        },
    }
    if task.retries < 0 {
        findings.add(place, &Rule::RetriesAreNotNegative);
    }
    if task.timeout_seconds < 0 {
        findings.add(place, &Rule::TimeoutIsNotNegative);
    }
    if let Some(policy) = &task.exponential_backoff {
        if policy.base_interval_ms <= 0 {
            findings.add(place, &Rule::BackoffBaseIsPositive);
        }
        if policy.multiplier.is_nan() || policy.multiplier < 1.0 {
            findings.add(place, &Rule::BackoffGrows);
        }
        if policy.max_delay_ms < i64::from(policy.base_interval_ms) {
            findings.add(place, &Rule::BackoffMaxIsAboveBase);
        }
    }
}

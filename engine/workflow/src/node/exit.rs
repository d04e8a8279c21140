//! EXIT: the end of a thread (spec 03, section 6.3).

use proto::littlehorse::exit_node::Result as ExitResult;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{ExitNode, ExitRun, LhStatus, VariableValue};

use super::{At, Done};
use crate::record::wf_run::is_terminated;
use crate::run::{Failing, Fault, ThreadScope, Unit, is_halt_over};
use crate::value;

pub(super) fn initial() -> NodeType {
    NodeType::Exit(ExitRun {})
}

pub(super) fn poll(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &ExitNode,
) -> Result<Option<Done>, Failing> {
    if let Some(ExitResult::FailureDef(failure)) = &node.result {
        let mut fault = Fault::new(&failure.failure_name, &failure.message);
        fault.content = Some(VariableValue::default());
        if let Some(content) = &failure.content {
            let scope = ThreadScope::new(unit, at);
            match scope.outcome(value::evaluate(content, &scope)) {
                Ok(content) => fault.content = Some(content),
                Err(Failing::Fault(problem)) => {
                    // The failure is thrown all the same.
                    fault.message = format!(
                        "{} (its content could not be resolved: {})",
                        fault.message, problem.message
                    );
                }
                Err(rejected) => return Err(rejected),
            }
        }
        return Err(fault.into());
    }
    let thread = unit.thread(at.run, at.thread)?;
    let children = thread.child_thread_ids.clone();
    let handled = thread.handled_failed_children.clone();
    let mut failed = Vec::new();
    for child in children {
        let status = unit.thread(at.run, child)?.status();
        // One that goes on in its next step is running.
        let rests = status == LhStatus::Halted && !is_halt_over(unit, at.run, child)?;
        if !is_terminated(status) && !rests {
            return Ok(None);
        }
        if matches!(status, LhStatus::Error | LhStatus::Exception) && !handled.contains(&child) {
            failed.push(child.to_string());
        }
    }
    if !failed.is_empty() {
        return Err(Fault::new(
            "CHILD_FAILURE",
            format!("Child threads failed: {}", failed.join(", ")),
        )
        .into());
    }
    let output = match &node.result {
        Some(ExitResult::ReturnContent(content)) => {
            let scope = ThreadScope::new(unit, at);
            let value = scope
                .outcome(value::evaluate(content, &scope))
                .map_err(|failing| match failing {
                    Failing::Fault(fault) => Fault::new(
                        "VAR_ERROR",
                        format!(
                            "The thread's output could not be resolved: {}",
                            fault.message
                        ),
                    )
                    .into(),
                    rejected @ Failing::Rejected(_) => rejected,
                })?;
            Some(value)
        }
        _ => None,
    };
    Ok(Some(Done::Exit(output)))
}

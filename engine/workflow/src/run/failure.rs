//! How a node fails, and what that does to its thread and run (spec 03, section 7).

use crate::time::timestamp;
use proto::littlehorse::{Failure, LhStatus, VariableValue};
use runtime::{Context, Rejection};

use super::advance::advance;
use super::halt::{Reason, halt};
use super::unit::{Run, Unit};
use crate::command::wf_run_terminated;
use crate::value;

/// A node cannot complete: the workflow's own failure, which handlers, rescue and operators can see.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// `Failure.failure_name`: one of the technical errors, or a business exception's name.
    pub name: String,
    /// For people.
    pub message: String,
    /// Content of a business exception.
    pub content: Option<VariableValue>,
}

impl Fault {
    /// A failure without content.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault {
            name: name.into(),
            message: message.into(),
            content: None,
        }
    }

    /// `VAR_SUB_ERROR`: something could not be evaluated.
    pub fn var_sub(message: impl Into<String>) -> Fault {
        Fault::new("VAR_SUB_ERROR", message)
    }

    fn status(&self) -> LhStatus {
        if is_error_name(&self.name) {
            LhStatus::Error
        } else {
            LhStatus::Exception
        }
    }
}

impl From<value::Fault> for Fault {
    fn from(fault: value::Fault) -> Fault {
        Fault::new(fault.name, fault.message)
    }
}

/// Either the node fails, or the whole command does.
#[derive(Debug)]
pub enum Failing {
    /// The node fails; the command goes on.
    Fault(Fault),
    /// The command fails and changes nothing.
    Rejected(Rejection),
}

impl From<Fault> for Failing {
    fn from(fault: Fault) -> Failing {
        Failing::Fault(fault)
    }
}

impl From<value::Fault> for Failing {
    fn from(fault: value::Fault) -> Failing {
        Failing::Fault(fault.into())
    }
}

impl From<Rejection> for Failing {
    fn from(rejection: Rejection) -> Failing {
        Failing::Rejected(rejection)
    }
}

/// The technical errors: exactly these names make a failure an `ERROR` (spec 03, section 7.1).
pub fn is_error_name(name: &str) -> bool {
    matches!(
        name,
        "CHILD_FAILURE"
            | "VAR_SUB_ERROR"
            | "VAR_MUTATION_ERROR"
            | "USER_TASK_CANCELLED"
            | "TIMEOUT"
            | "TASK_FAILURE"
            | "VAR_ERROR"
            | "TASK_ERROR"
            | "INTERNAL_ERROR"
    )
}

/// The current node of a thread fails, and with it the thread: no handler can be declared yet.
pub(super) fn fail_node(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    fault: Fault,
) -> Result<(), Rejection> {
    let now = timestamp(unit.now_ms());
    let status = fault.status();
    let position = unit.thread(run, thread)?.current_node_position;
    let node = unit.node_mut(run, thread, position)?;
    node.failures.push(Failure {
        failure_name: fault.name.clone(),
        message: fault.message.clone(),
        content: fault.content.clone(),
        was_properly_handled: false,
        failure_handler_threadrun_id: None,
    });
    node.set_status(status);
    node.error_message = Some(fault.message.clone());
    node.end_time = Some(now);
    fail_thread(unit, run, thread, status, fault.message)
}

/// A thread ends in a failure that nobody handles: its children are halted, and thread 0 takes the run with it.
fn fail_thread(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    status: LhStatus,
    message: String,
) -> Result<(), Rejection> {
    let now = timestamp(unit.now_ms());
    let children = unit.thread(run, thread)?.child_thread_ids.clone();
    for child in children {
        halt(unit, run, child, Reason::ParentHalted { parent: thread })?;
    }
    let row = unit.thread_mut(run, thread)?;
    row.set_status(status);
    row.error_message = Some(message);
    row.end_time = Some(now);
    if thread == 0 {
        wf_run_terminated(unit, run, status)?;
    }
    Ok(())
}

/// What a claim, a report or a timer brings would make a row too large: there is no caller to be told, so the thread
/// fails (spec 03, D36).
pub(crate) fn outgrown(
    context: &mut Context<'_>,
    tenant: &str,
    run: &Run,
    thread: i32,
    why: &str,
) -> Result<(), Rejection> {
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(run)? || unit.is_thread_terminated(run, thread)? {
        return Ok(());
    }
    let message = format!("The WfRun cannot go on: {why}");
    fail_node(
        &mut unit,
        run,
        thread,
        Fault::new("INTERNAL_ERROR", message),
    )?;
    advance(&mut unit, run)?;
    unit.finish()
}

/// A run that loops without ever waiting (spec 03, section 5.6): thread 0 fails, all others are halted.
pub(super) fn fail_tight_loop(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    if unit.is_thread_terminated(run, 0)? {
        return Ok(());
    }
    let message = "The WfRun advanced 512 times without waiting for anything: it loops endlessly";
    fail_node(unit, run, 0, Fault::new("INTERNAL_ERROR", message))
}

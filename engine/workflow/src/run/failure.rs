//! How a node fails, and what that does to its thread and run (spec 03, section 7).

use crate::settings::Tenant;
use crate::time::timestamp;
use proto::littlehorse::failure_handler_def::{FailureToCatch, LhFailureType};
use proto::littlehorse::{
    Failure, FailureHandlerDef, LhStatus, PendingFailureHandler, ThreadType, VariableValue,
};
use runtime::{Context, Rejection};

use super::advance::advance;
use super::halt::{Reason, halt};
use super::unit::Unit;
use super::which::Run;
use crate::command::wf_run_terminated;
use crate::event::waiter;
use crate::node::At;
use crate::{user_task, value};

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

impl Failing {
    /// With what could not be done because of it, if it is a fault.
    pub(crate) fn explained(self, what: &str) -> Failing {
        match self {
            Failing::Fault(fault) => Failing::Fault(Fault {
                message: format!("{what}: {}", fault.message),
                ..fault
            }),
            rejected @ Failing::Rejected(_) => rejected,
        }
    }
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

/// The first handler that takes a failure of this name (spec 03, section 7.3).
pub(crate) fn matching<'h>(
    handlers: &'h [FailureHandlerDef],
    name: &str,
) -> Option<&'h FailureHandlerDef> {
    handlers
        .iter()
        .find(|handler| match &handler.failure_to_catch {
            None => true,
            Some(FailureToCatch::AnyFailureOfType(kind)) => {
                is_error_name(name) == (*kind == LhFailureType::FailureTypeError as i32)
            }
            Some(FailureToCatch::SpecificFailure(specific)) => match specific.as_str() {
                "VAR_ERROR" => {
                    matches!(name, "VAR_ERROR" | "VAR_SUB_ERROR" | "VAR_MUTATION_ERROR")
                }
                "TASK_ERROR" => matches!(name, "TASK_ERROR" | "TASK_FAILURE" | "TIMEOUT"),
                specific => specific == name,
            },
        })
}

/// Whether the failing node's own handlers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handlers {
    /// They are, unless the node has failed before.
    Asked,
    /// The thread fails whatever they say.
    Skipped,
}

/// The current node of a thread fails: a handler of the node takes it, or the thread fails (spec 03, section 7.2).
pub(super) fn fail_node(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    fault: Fault,
    handlers: Handlers,
) -> Result<(), Rejection> {
    let position = unit.thread(run, thread)?.current_node_position;
    let failures = record(unit, run, thread, position, &fault)?;
    if handlers == Handlers::Asked && failures == 1 {
        let at = At::new(unit, run, thread, position)?;
        if let Some(handler) = matching(&at.node()?.failure_handlers, &fault.name) {
            let handler_spec_name = handler.handler_spec_name.clone();
            unit.wf_run_mut(run)?
                .pending_failures
                .push(PendingFailureHandler {
                    failed_thread_run: thread,
                    handler_spec_name,
                });
            return halt(unit, run, thread, Reason::PendingFailure { position });
        }
    }
    fail_thread(unit, run, thread, &fault)
}

/// Notes a failure on a NodeRun. Returns how many it has now.
fn record(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    position: i32,
    fault: &Fault,
) -> Result<usize, Rejection> {
    waiter::withdraw(unit, run, thread, position)?;
    let now = timestamp(unit.now_ms());
    let node = unit.node_mut(run, thread, position)?;
    node.failures.push(Failure {
        failure_name: fault.name.clone(),
        message: fault.message.clone(),
        content: fault.content.clone(),
        was_properly_handled: false,
        failure_handler_threadrun_id: None,
    });
    node.set_status(fault.status());
    node.error_message = Some(fault.message.clone());
    node.end_time = Some(now);
    let failures = node.failures.len();
    user_task::abandoned(unit, run, thread)?;
    Ok(failures)
}

/// A thread ends in a failure that nobody handles: its children are halted, and what it was there for fails too (spec 03,
/// sections 7.2 and 7.5).
fn fail_thread(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    fault: &Fault,
) -> Result<(), Rejection> {
    let mut thread = thread;
    let mut fault = fault.clone();
    // A handler takes the thread that it serves with it, which may be a handler too.
    loop {
        end_in_failure(unit, run, thread, &fault)?;
        if thread == 0 {
            return wf_run_terminated(unit, run, fault.status());
        }
        let row = unit.thread(run, thread)?;
        let Some(served) = row.parent_thread_id else {
            return Ok(());
        };
        match row.r#type() {
            ThreadType::FailureHandler if row.failure_being_handled.is_some() => {}
            ThreadType::Interrupt => {
                fault.message = format!("Interrupt thread with id {thread} failed!");
                if !unit.is_thread_terminated(run, served)? {
                    let position = unit.thread(run, served)?.current_node_position;
                    record(unit, run, served, position, &fault)?;
                }
            }
            // An ordinary child's parent looks at it when it waits for it; who waits for a thread looks at its handler.
            _ => return Ok(()),
        }
        if unit.is_thread_terminated(run, served)? {
            return Ok(());
        }
        thread = served;
    }
}

fn end_in_failure(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    fault: &Fault,
) -> Result<(), Rejection> {
    let now = timestamp(unit.now_ms());
    let row = unit.thread_mut(run, thread)?;
    row.set_status(fault.status());
    row.error_message = Some(fault.message.clone());
    row.end_time = Some(now);
    let children = row.child_thread_ids.clone();
    for child in children {
        halt(unit, run, child, Reason::ParentHalted { parent: thread })?;
    }
    Ok(())
}

/// The failure that ended a thread: its node's last one, or that of the handler that failed at it (spec 03, D10).
pub(crate) fn final_failure(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
) -> Result<Fault, Rejection> {
    let mut thread = thread;
    loop {
        let position = unit.thread(run, thread)?.current_node_position;
        let failure = unit.node(run, thread, position)?.failures.last().cloned();
        let Some(failure) = failure else {
            return Err(Rejection::internal("a failed thread without a failure"));
        };
        match failure.failure_handler_threadrun_id {
            Some(handler) if is_failed(unit.thread(run, handler)?.status()) => thread = handler,
            _ => {
                return Ok(Fault {
                    name: failure.failure_name,
                    message: failure.message,
                    content: failure.content,
                });
            }
        }
    }
}

/// Whether a thread has ended in a failure.
pub(crate) fn is_failed(status: LhStatus) -> bool {
    matches!(status, LhStatus::Error | LhStatus::Exception)
}

/// What a claim, a report or a timer brings would make a row too large: there is no caller to be told, so the thread
/// fails (spec 03, D36).
pub(crate) fn outgrown(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
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
        Handlers::Skipped,
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
    let fault = Fault::new("INTERNAL_ERROR", message);
    fail_node(unit, run, 0, fault, Handlers::Skipped)
}

//! Threads that serve another one: interrupt handlers and failure handlers (spec 03, sections 7.4 and 8.5).

use std::collections::BTreeMap;

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::thread_halt_reason::Reason as HaltReason;
use proto::littlehorse::{
    ExternalEventId, FailureBeingHandled, HandlingFailureHaltReason, Interrupted, LhStatus,
    PendingFailureHandler, PendingInterrupt, ThreadHaltReason, ThreadType, VariableValue,
};
use runtime::Rejection;

use super::failure::{Handlers, fail_node, is_failed};
use super::halt::{Reason, halt};
use super::limit;
use super::thread::start_thread;
use super::unit::Unit;
use super::which::Run;
use crate::record::wf_run::is_terminated;
use crate::spec::Spec;

/// The variable by which a handler is given the event's or failure's content.
pub(crate) const INPUT: &str = "INPUT";

/// An event interrupts a thread: its handler starts once the thread is halted.
pub(crate) fn interrupt(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    event: ExternalEventId,
    handler_spec_name: &str,
) -> Result<(), Rejection> {
    unit.wf_run_mut(run)?
        .pending_interrupts
        .push(PendingInterrupt {
            external_event_id: Some(event.clone()),
            handler_spec_name: handler_spec_name.to_owned(),
            interrupted_thread_id: thread,
        });
    halt(unit, run, thread, Reason::PendingInterrupt { event })
}

/// Starts the handlers whose threads have finished halting, oldest first; drops those of threads that have ended. Says
/// whether anything happened.
pub(super) fn start_pending(unit: &mut Unit<'_, '_>, run: &Run) -> Result<bool, Rejection> {
    let wf_run = unit.wf_run(run)?;
    if wf_run.pending_interrupts.is_empty() && wf_run.pending_failures.is_empty() {
        return Ok(false);
    }
    let interrupts = wf_run.pending_interrupts.clone();
    let failures = wf_run.pending_failures.clone();
    let mut moved = false;
    for pending in interrupts {
        let thread = pending.interrupted_thread_id;
        let status = unit.thread(run, thread)?.status();
        if status == LhStatus::Halted || is_terminated(status) {
            moved = true;
            unit.wf_run_mut(run)?
                .pending_interrupts
                .retain(|other| *other != pending);
            if status == LhStatus::Halted {
                start_interrupt(unit, run, pending)?;
            }
        }
    }
    for pending in failures {
        let thread = pending.failed_thread_run;
        let status = unit.thread(run, thread)?.status();
        if status == LhStatus::Halted || is_terminated(status) {
            moved = true;
            unit.wf_run_mut(run)?
                .pending_failures
                .retain(|other| *other != pending);
            if status == LhStatus::Halted {
                start_failure_handler(unit, run, pending)?;
            }
        }
    }
    Ok(moved)
}

fn start_interrupt(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    pending: PendingInterrupt,
) -> Result<(), Rejection> {
    let PendingInterrupt {
        external_event_id,
        handler_spec_name,
        interrupted_thread_id: thread,
    } = pending;
    let event = external_event_id.clone().unwrap_or_default();
    let def = event.external_event_def_id.unwrap_or_default().name;
    // An event that was deleted meanwhile has no content any more.
    let content = unit
        .find_event(run, &def, &event.guid)?
        .and_then(|row| row.external_event.as_ref()?.content.clone())
        .unwrap_or_default();
    let kind = ThreadType::Interrupt;
    let Some(handler) = start(unit, run, thread, &handler_spec_name, kind, content)? else {
        return Ok(());
    };
    unit.thread_mut(run, handler)?
        .interrupt_trigger_id
        .clone_from(&external_event_id);
    replace_reason(
        unit,
        run,
        thread,
        |reason| {
            matches!(reason, HaltReason::PendingInterrupt(pending)
                if pending.external_event_id == external_event_id)
        },
        HaltReason::Interrupted(Interrupted {
            interrupt_thread_id: handler,
        }),
    )
}

fn start_failure_handler(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    pending: PendingFailureHandler,
) -> Result<(), Rejection> {
    let PendingFailureHandler {
        failed_thread_run: thread,
        handler_spec_name,
    } = pending;
    let position = unit.thread(run, thread)?.current_node_position;
    let failures = &unit.node(run, thread, position)?.failures;
    let number = failures.len().saturating_sub(1);
    let content = failures
        .last()
        .and_then(|failure| failure.content.clone())
        .unwrap_or_default();
    let kind = ThreadType::FailureHandler;
    let Some(handler) = start(unit, run, thread, &handler_spec_name, kind, content)? else {
        return Ok(());
    };
    unit.thread_mut(run, handler)?.failure_being_handled = Some(FailureBeingHandled {
        thread_run_number: thread,
        node_run_position: position,
        failure_number: number as i32,
    });
    let node = unit.node_mut(run, thread, position)?;
    node.failure_handler_ids.push(handler);
    if let Some(failure) = node.failures.last_mut() {
        failure.failure_handler_threadrun_id = Some(handler);
    }
    replace_reason(
        unit,
        run,
        thread,
        |reason| matches!(reason, HaltReason::PendingFailure(_)),
        HaltReason::HandlingFailure(HandlingFailureHaltReason {
            handler_thread_id: handler,
        }),
    )
}

/// Starts a handler of a thread; returns its number. Nothing if there is no room for it: then the thread has failed.
fn start(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    handler: &str,
    kind: ThreadType,
    content: VariableValue,
) -> Result<Option<i32>, Rejection> {
    if let Err(fault) = limit::room_for(unit, run, 1)? {
        fail_node(unit, run, thread, fault, Handlers::Skipped)?;
        return Ok(None);
    }
    let spec = unit.spec(run, thread)?;
    let inputs = input(&spec, handler, content)?;
    start_thread(unit, run, &spec, handler, Some(thread), kind, inputs).map(Some)
}

/// What a handler is given: the content, if it declares any variable. It is not checked against the declared type.
pub(crate) fn input(
    spec: &Spec,
    handler: &str,
    content: VariableValue,
) -> Result<BTreeMap<String, VariableValue>, Rejection> {
    let mut inputs = BTreeMap::new();
    if !spec.thread(handler)?.variable_defs.is_empty() {
        inputs.insert(INPUT.to_owned(), content);
    }
    Ok(inputs)
}

fn replace_reason(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    is_it: impl Fn(&HaltReason) -> bool,
    by: HaltReason,
) -> Result<(), Rejection> {
    let reasons = &mut unit.thread_mut(run, thread)?.halt_reasons;
    let found = reasons
        .iter_mut()
        .find(|reason| reason.reason.as_ref().is_some_and(&is_it));
    match found {
        Some(reason) => reason.reason = Some(by),
        None => reasons.push(ThreadHaltReason { reason: Some(by) }),
    }
    Ok(())
}

/// A thread has completed: if it handled a failure, that counts as handled from now on.
pub(super) fn completed(unit: &mut Unit<'_, '_>, run: &Run, thread: i32) -> Result<(), Rejection> {
    let Some(FailureBeingHandled {
        thread_run_number: served,
        node_run_position: position,
        failure_number: number,
    }) = unit.thread(run, thread)?.failure_being_handled
    else {
        return Ok(());
    };
    let node = unit.node_mut(run, served, position)?;
    if let Some(failure) = node.failures.get_mut(number as usize) {
        failure.was_properly_handled = true;
    }
    let Some(NodeType::WaitForThreads(waits)) = &node.node_type else {
        return Ok(());
    };
    let waited: Vec<i32> = waits
        .threads
        .iter()
        .map(|wait| wait.thread_run_number)
        .collect();
    for waited in waited {
        if is_failed(unit.thread(run, waited)?.status()) {
            unit.thread_mut(run, served)?
                .handled_failed_children
                .push(waited);
        }
    }
    Ok(())
}

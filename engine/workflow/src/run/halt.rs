//! Halting threads, and letting them go on (spec 03, section 8).

use proto::littlehorse::thread_halt_reason::Reason as HaltReason;
use proto::littlehorse::{
    ExternalEventId, HaltedByParentNodeHaltReason, HandlingFailureHaltReason, Interrupted,
    LhStatus, ManualHalt, ParentHalted, PendingFailureHandlerHaltReason,
    PendingInterruptHaltReason, ThreadHaltReason, ThreadRun, ThreadType,
};
use runtime::Rejection;

use super::unit::Unit;
use super::which::Run;
use crate::event::waiter;
use crate::node;
use crate::record::wf_run::is_terminated;
use crate::user_task;

/// Why a thread is to halt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    /// `StopWfRun`.
    Manual,
    /// The parent halts or failed.
    ParentHalted { parent: i32 },
    /// An event interrupts it; its handler has not started yet.
    PendingInterrupt { event: ExternalEventId },
    /// Its node failed; the handler has not started yet.
    PendingFailure { position: i32 },
    /// Whoever waited for it needs it no longer: it stays halted for good.
    HaltedByParent { waiting: i32, position: i32 },
}

impl Reason {
    fn record(&self) -> ThreadHaltReason {
        let reason = match self {
            Reason::Manual => HaltReason::ManualHalt(ManualHalt {
                meaning_of_life: false,
            }),
            Reason::ParentHalted { parent } => HaltReason::ParentHalted(ParentHalted {
                parent_thread_id: *parent,
            }),
            Reason::PendingInterrupt { event } => {
                HaltReason::PendingInterrupt(PendingInterruptHaltReason {
                    external_event_id: Some(event.clone()),
                })
            }
            Reason::PendingFailure { position } => {
                HaltReason::PendingFailure(PendingFailureHandlerHaltReason {
                    node_run_position: *position,
                })
            }
            Reason::HaltedByParent { waiting, position } => {
                HaltReason::HaltedByParent(HaltedByParentNodeHaltReason {
                    parent_thread_run_number: *waiting,
                    waiting_node_run_position: *position,
                })
            }
        };
        ThreadHaltReason {
            reason: Some(reason),
        }
    }
}

/// Halts a thread and its descendants: at once, or as soon as the running task has ended (spec 03, section 8.2).
pub(crate) fn halt(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
    reason: Reason,
) -> Result<(), Rejection> {
    let is_over = matches!(reason, Reason::HaltedByParent { .. });
    let spread = Spread {
        is_manual: reason == Reason::Manual,
        for_good: match reason {
            Reason::HaltedByParent { .. } => true,
            // The parent has ended, unless it is only halted itself.
            Reason::ParentHalted { parent } => unit.is_thread_terminated(run, parent)?,
            _ => false,
        },
    };
    halt_below(unit, run, number, &reason, spread)?;
    if is_over {
        abandon(unit, run, number)?;
    }
    show_in_run(unit, run)
}

/// A thread and its descendants never run again: no event is spent on what they wait for.
fn abandon(unit: &mut Unit<'_, '_>, run: &Run, number: i32) -> Result<(), Rejection> {
    let thread = unit.thread(run, number)?;
    let position = thread.current_node_position;
    let children = thread.child_thread_ids.clone();
    waiter::withdraw(unit, run, number, position)?;
    for child in children {
        abandon(unit, run, child)?;
    }
    Ok(())
}

/// What a halt is for all threads below, too.
#[derive(Debug, Clone, Copy)]
struct Spread {
    /// By `StopWfRun`.
    is_manual: bool,
    /// They will not go on, unless a rescue revives the parent.
    for_good: bool,
}

/// A manual halt reaches the living descendants of threads that have ended, too (spec 03, D12).
fn halt_below(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
    reason: &Reason,
    spread: Spread,
) -> Result<(), Rejection> {
    if unit.is_thread_terminated(run, number)? {
        if spread.is_manual {
            for child in unit.thread(run, number)?.child_thread_ids.clone() {
                halt_below(unit, run, child, reason, spread)?;
            }
        }
        return Ok(());
    }
    let thread = unit.thread_mut(run, number)?;
    thread.halt_reasons.push(reason.record());
    if thread.status() != LhStatus::Halted {
        thread.set_status(LhStatus::Halting);
    }
    let children = thread.child_thread_ids.clone();
    if spread.for_good {
        user_task::abandoned(unit, run, number)?;
    }
    let below = Reason::ParentHalted { parent: number };
    for child in children {
        // A handler that runs already goes on beside the next one.
        let goes_on = matches!(reason, Reason::PendingInterrupt { .. })
            && unit.thread(run, child)?.r#type() == ThreadType::Interrupt;
        if !goes_on {
            halt_below(unit, run, child, &below, spread)?;
        }
    }
    finish_halting(unit, run, number)?;
    Ok(())
}

/// Lifts the manual halt of a thread, if it has one. It goes on in the next advance, once no other reason is left.
pub(crate) fn resume(unit: &mut Unit<'_, '_>, run: &Run, number: i32) -> Result<(), Rejection> {
    let is_manual =
        |reason: &ThreadHaltReason| matches!(reason.reason, Some(HaltReason::ManualHalt(_)));
    if unit.thread(run, number)?.halt_reasons.iter().any(is_manual) {
        unit.thread_mut(run, number)?
            .halt_reasons
            .retain(|reason| !is_manual(reason));
        show_in_run(unit, run)?;
    }
    Ok(())
}

/// Whether a thread has been stopped by `StopWfRun`.
pub(crate) fn is_stopped(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
) -> Result<bool, Rejection> {
    let reasons = &unit.thread(run, number)?.halt_reasons;
    Ok(reasons
        .iter()
        .any(|reason| matches!(reason.reason, Some(HaltReason::ManualHalt(_)))))
}

/// `HALTING` becomes `HALTED` when the current node is quiet and every child is halted or has ended. Says whether it did.
pub(super) fn finish_halting(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
) -> Result<bool, Rejection> {
    let thread = unit.thread(run, number)?;
    if thread.status() != LhStatus::Halting {
        return Ok(false);
    }
    let position = thread.current_node_position;
    let children = thread.child_thread_ids.clone();
    let at = node::At::new(unit, run, number, position)?;
    match unit.node(run, number, position)?.status() {
        LhStatus::Running | LhStatus::Halting | LhStatus::Starting => {
            let status = if node::can_halt(unit, &at)? {
                LhStatus::Halted
            } else {
                LhStatus::Halting
            };
            unit.node_mut(run, number, position)?.set_status(status);
            if status == LhStatus::Halting {
                return Ok(false);
            }
        }
        LhStatus::Halted | LhStatus::Completed | LhStatus::Error | LhStatus::Exception => {}
    }
    for child in children {
        let status = unit.thread(run, child)?.status();
        if status != LhStatus::Halted && !is_terminated(status) {
            return Ok(false);
        }
    }
    unit.thread_mut(run, number)?.set_status(LhStatus::Halted);
    show_in_run(unit, run)?;
    Ok(true)
}

/// A halted (or still halting) thread goes on if no reason is left (spec 03, section 8.4). Says whether it does.
pub(super) fn leave_halt(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
) -> Result<bool, Rejection> {
    let reasons = unit.thread(run, number)?.halt_reasons.clone();
    let mut left = Vec::with_capacity(reasons.len());
    for reason in &reasons {
        if !is_resolved(unit, run, number, reason)? {
            left.push(reason.clone());
        }
    }
    let goes_on = left.is_empty();
    if left.len() != reasons.len() || goes_on {
        let thread = unit.thread_mut(run, number)?;
        thread.halt_reasons = left;
        if goes_on {
            thread.set_status(LhStatus::Running);
            let position = thread.current_node_position;
            let node = unit.node_mut(run, number, position)?;
            if matches!(node.status(), LhStatus::Halted | LhStatus::Halting) {
                node.set_status(LhStatus::Running);
            }
            user_task::resumed(unit, run, number)?;
            show_in_run(unit, run)?;
        }
    }
    Ok(goes_on)
}

/// Whether a halted thread will go on in its next step.
pub(crate) fn is_halt_over(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
) -> Result<bool, Rejection> {
    for reason in unit.thread(run, number)?.halt_reasons.clone() {
        if !is_resolved(unit, run, number, &reason)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_resolved(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
    reason: &ThreadHaltReason,
) -> Result<bool, Rejection> {
    Ok(match &reason.reason {
        Some(HaltReason::ParentHalted(halted)) => {
            let kind = unit.thread(run, number)?.r#type();
            let parent = unit.thread(run, halted.parent_thread_id)?;
            match parent.status() {
                LhStatus::Running | LhStatus::Completed => true,
                LhStatus::Halted => waits_for_handlers_only(parent, kind),
                _ => false,
            }
        }
        Some(HaltReason::Interrupted(Interrupted {
            interrupt_thread_id: handler,
        })) => unit.thread(run, *handler)?.status() == LhStatus::Completed,
        Some(HaltReason::HandlingFailure(HandlingFailureHaltReason {
            handler_thread_id: handler,
        })) => is_terminated(unit.thread(run, *handler)?.status()),
        _ => false,
    })
}

/// A handler goes on although its parent is halted, if the parent is so on behalf of handlers: else both wait for each
/// other. A failure handler lets interrupts go first (spec 03, D7).
fn waits_for_handlers_only(parent: &ThreadRun, handler: ThreadType) -> bool {
    parent
        .halt_reasons
        .iter()
        .all(|reason| match (&reason.reason, handler) {
            (Some(HaltReason::HandlingFailure(_)), _) => {
                matches!(handler, ThreadType::Interrupt | ThreadType::FailureHandler)
            }
            (
                Some(
                    HaltReason::Interrupted(_)
                    | HaltReason::PendingInterrupt(_)
                    | HaltReason::PendingFailure(_),
                ),
                ThreadType::Interrupt,
            ) => true,
            _ => false,
        })
}

/// The run shows what `StopWfRun` did to thread 0, and nothing else of its halts (spec 03, D1).
fn show_in_run(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    let before = unit.wf_run(run)?.status();
    if is_terminated(before) {
        return Ok(());
    }
    let stopped = is_stopped(unit, run, 0)?;
    let after = match unit.thread(run, 0)?.status() {
        status @ (LhStatus::Halting | LhStatus::Halted) if stopped => status,
        _ => LhStatus::Running,
    };
    if after != before {
        unit.wf_run_mut(run)?.set_status(after);
    }
    Ok(())
}

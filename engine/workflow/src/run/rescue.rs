//! Letting a failed thread run again (spec 03, section 3.5).

use proto::littlehorse::node::Node as Type;
use proto::littlehorse::{LhStatus, NodeRunId, ThreadType};
use runtime::Rejection;

use super::advance::activate;
use super::edge;
use super::failure::Failing;
use super::family::wake;
use super::unit::Unit;
use super::which::Run;
use crate::command::cancel_retention;
use crate::node::{self, At};
use crate::record::wf_run::is_terminated;

/// Whether a handler that somebody who waits for the thread has started is at work.
pub(crate) fn is_being_handled(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
) -> Result<bool, Rejection> {
    for child in unit.thread(run, number)?.child_thread_ids.clone() {
        let child = unit.thread(run, child)?;
        if child.r#type() == ThreadType::FailureHandler
            && child.failure_being_handled.is_none()
            && !is_terminated(child.status())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A failed thread runs its node again, or the one behind it; so do the parents that failed because of it.
pub(crate) fn revive(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
    skip_current_node: bool,
) -> Result<(), Failing> {
    let (mut number, mut skip) = (number, skip_current_node);
    loop {
        let position = unit.thread(run, number)?.current_node_position;
        let at = At::new(unit, run, number, position)?;
        let target = if skip {
            edge::choose(unit, &at, false)?
        } else {
            at.node_name.clone()
        };
        let thread = unit.thread_mut(run, number)?;
        thread.set_status(LhStatus::Running);
        thread.end_time = None;
        thread.error_message = None;
        thread.halt_reasons.clear();
        let parent = thread.parent_thread_id;
        if number == 0 {
            let wf_run = unit.wf_run_mut(run)?;
            wf_run.set_status(LhStatus::Running);
            wf_run.end_time = None;
            cancel_retention(unit, run)?;
        }
        activate(unit, run, number, position + 1, &target)?;
        let next = At::new(unit, run, number, position + 1)?;
        node::arrive(unit, &next)?;
        match parent {
            Some(parent) if failed_by_child(unit, run, parent)? => {
                (number, skip) = (parent, false);
            }
            Some(_) => return Ok(()),
            None => return revive_waiting(unit, run),
        }
    }
}

/// The parent's thread that failed because it waited for this run waits again (spec 03, section 3.5 and D28).
fn revive_waiting(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Failing> {
    let trigger = unit.wf_run(run)?.parent_trigger.clone();
    let Some(NodeRunId {
        wf_run_id: Some(waiting),
        thread_run_number,
        position,
    }) = trigger.and_then(|trigger| trigger.waiting_node_run)
    else {
        return Ok(());
    };
    let waiting = Run::new(unit.tenant.name, &waiting);
    if !unit.exists(&waiting)? {
        return Ok(());
    }
    let is_there = unit
        .find_thread(&waiting, thread_run_number)?
        .is_some_and(|thread| thread.current_node_position == position);
    if is_there && failed_by_child(unit, &waiting, thread_run_number)? {
        revive(unit, &waiting, thread_run_number, false)?;
        wake(unit, &waiting);
    }
    Ok(())
}

/// Whether a thread is in `ERROR` because of a child, where it waited for it.
fn failed_by_child(unit: &mut Unit<'_, '_>, run: &Run, number: i32) -> Result<bool, Rejection> {
    let thread = unit.thread(run, number)?;
    if thread.status() != LhStatus::Error {
        return Ok(false);
    }
    let position = thread.current_node_position;
    let at = At::new(unit, run, number, position)?;
    let waits = matches!(
        at.node()?.node,
        Some(Type::WaitForThreads(_) | Type::WaitForChildWf(_) | Type::Exit(_))
    );
    let failures = &unit.node(run, number, position)?.failures;
    let failure = failures.last();
    Ok(waits && failure.is_some_and(|failure| failure.failure_name == "CHILD_FAILURE"))
}

//! The advance algorithm: a run moves until nothing moves (spec 03, section 5).

use crate::time::timestamp;
use proto::littlehorse::{LhStatus, NodeRun};
use runtime::Rejection;

use super::edge;
use super::failure::{Failing, Handlers, fail_node, fail_tight_loop};
use super::family::{next_woken, wake_waiters};
use super::halt::{finish_halting, leave_halt};
use super::migration::{self, Migrated};
use super::unit::Unit;
use super::which::Run;
use super::{handler, limit};
use crate::command::wf_run_terminated;
use crate::node::{self, At};
use crate::record::wf_run::is_terminated;
use crate::user_task;

/// Passes of one unit of work; the next one is taken for an endless loop (spec 03, section 5.6).
const MAX_PASSES: u32 = 512;
/// A pass in which a thread ends is begun anew and not counted, but so many of them are an endless loop too.
const MAX_ENDINGS: u32 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing to do for now.
    Idle,
    /// It moved.
    Moved,
    /// It moved to a task: nothing but its worker moves it on.
    MovedToTask,
    /// The thread has ended: the others get their turn first.
    Ended,
}

/// Moves every thread of a run, by one node a pass and lower numbers first, until none can move; then the runs that waited
/// for what has ended in it.
pub fn advance(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    advance_one(unit, run)?;
    while let Some(woken) = next_woken(unit)? {
        advance_one(unit, &woken)?;
    }
    Ok(())
}

/// Moves a run, and leaves those that it has woken to whoever began: one of them may be on its way here.
pub(crate) fn advance_one(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    if run_passes(unit, run)? > 0 && is_terminated(unit.wf_run(run)?.status()) {
        wake_waiters(unit, run)?;
    }
    node::show_waited(unit, run)?;
    limit::archive_expired(unit, run)
}

/// Says how many threads have ended.
fn run_passes(unit: &mut Unit<'_, '_>, run: &Run) -> Result<u32, Rejection> {
    let (mut passes, mut endings) = (0, 0);
    'passes: loop {
        limit::archive_under_pressure(unit, run)?;
        if passes == MAX_PASSES || endings == MAX_ENDINGS {
            fail_tight_loop(unit, run)?;
            return Ok(endings + 1);
        }
        passes += 1;
        let mut moved = handler::start_pending(unit, run)?;
        let mut threads = unit.active_threads(run)?;
        let mut at = 0;
        while let Some(thread) = threads.get(at).copied() {
            at += 1;
            let greatest = unit.wf_run(run)?.greatest_threadrun_number;
            match step(unit, run, thread)? {
                Step::Idle => {}
                // No other thread has to see that it moved, so a pass that finds nothing to do is saved.
                Step::MovedToTask if threads.len() == 1 => return Ok(endings),
                Step::Moved | Step::MovedToTask => moved = true,
                Step::Ended => {
                    passes -= 1;
                    endings += 1;
                    continue 'passes;
                }
            }
            // Those that it has started get their turn in this pass.
            threads.extend(greatest + 1..=unit.wf_run(run)?.greatest_threadrun_number);
        }
        migration::end(unit, run)?;
        if !moved {
            return Ok(endings);
        }
    }
}

fn step(unit: &mut Unit<'_, '_>, run: &Run, number: i32) -> Result<Step, Rejection> {
    let thread = unit.thread(run, number)?;
    let position = thread.current_node_position;
    match thread.status() {
        LhStatus::Completed | LhStatus::Error | LhStatus::Exception | LhStatus::Starting => {
            Ok(Step::Idle)
        }
        LhStatus::Halted => Ok(if leave_halt(unit, run, number)? {
            Step::Moved
        } else {
            Step::Idle
        }),
        LhStatus::Halting => {
            let over = leave_halt(unit, run, number)? || finish_halting(unit, run, number)?;
            Ok(if over { Step::Moved } else { Step::Idle })
        }
        LhStatus::Running => match run_node(unit, run, number, position) {
            Ok(step) => Ok(step),
            Err(Failing::Rejected(rejection)) => Err(rejection),
            Err(Failing::Fault(fault)) => {
                fail_node(unit, run, number, fault, Handlers::Asked)?;
                // Its node's handler may have it.
                Ok(if unit.is_thread_terminated(run, number)? {
                    Step::Ended
                } else {
                    Step::Moved
                })
            }
        },
    }
}

/// One step of a running thread: its node completes, or its failure has been handled, and the next one begins.
fn run_node(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    position: i32,
) -> Result<Step, Failing> {
    let at = At::new(unit, run, thread, position)?;
    let failure = unit.node(run, thread, position)?.failures.last();
    let has_failed = failure.is_some();
    match failure.map(|failure| failure.was_properly_handled) {
        Some(false) => return Ok(Step::Idle),
        Some(true) => {}
        None => match complete(unit, run, &at)? {
            Some(Step::Moved) => {}
            Some(other) => return Ok(other),
            None if migration::is_under_way(unit, run)? => {
                return Ok(match migration::from_waiting(unit, &at)? {
                    Migrated::No => Step::Idle,
                    Migrated::Moved => Step::Moved,
                    Migrated::Failed => Step::Ended,
                });
            }
            None => return Ok(Step::Idle),
        },
    }
    let sink = edge::choose(unit, &at, !has_failed)?;
    if migration::is_under_way(unit, run)? {
        match migration::on_entering(unit, &at, &sink)? {
            Migrated::No => {}
            Migrated::Moved => return Ok(Step::Moved),
            Migrated::Failed => return Ok(Step::Ended),
        }
    }
    activate(unit, run, thread, position + 1, &sink).map_err(Failing::Rejected)?;
    let next = At::new(unit, run, thread, position + 1)?;
    node::arrive(unit, &next)?;
    Ok(if next.is_task()? {
        Step::MovedToTask
    } else {
        Step::Moved
    })
}

/// Completes a node whose work is done, and the thread if it is its EXIT. Nothing if it has to wait.
fn complete(unit: &mut Unit<'_, '_>, run: &Run, at: &At<'_>) -> Result<Option<Step>, Failing> {
    let (thread, position) = (at.thread, at.position);
    let Some(output) = node::poll(unit, at)? else {
        return Ok(None);
    };
    let now = timestamp(unit.now_ms());
    let node_run = unit.node_mut(run, thread, position)?;
    node_run.set_status(LhStatus::Completed);
    node_run.end_time = Some(now);
    if let node::Done::Exit(output) = output {
        let row = unit.thread_mut(run, thread)?;
        row.set_status(LhStatus::Completed);
        row.end_time = Some(now);
        row.output = output;
        handler::completed(unit, run, thread)?;
        user_task::parent_ended(unit, run, thread)?;
        if thread == 0 && !is_terminated(unit.wf_run(run)?.status()) {
            wf_run_terminated(unit, run, LhStatus::Completed)?;
        }
        return Ok(Some(Step::Ended));
    }
    if at.spec.output_is_read(&at.thread_spec, &at.node_name) {
        unit.set_output(run, thread, &at.node_name, position)?;
    }
    Ok(Some(Step::Moved))
}

/// A node becomes the thread's current one. Its arrival action comes next.
pub(super) fn activate(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    number: i32,
    position: i32,
    node_name: &str,
) -> Result<(), Rejection> {
    let now = timestamp(unit.now_ms());
    let spec = unit.spec(run, number)?;
    let thread = unit.thread_mut(run, number)?;
    thread.current_node_position = position;
    let node_run = NodeRun {
        id: None,
        wf_spec_id: thread.wf_spec_id.clone(),
        status: LhStatus::Running.into(),
        arrival_time: Some(now),
        thread_spec_name: thread.thread_spec_name.clone(),
        node_name: node_name.to_owned(),
        ..NodeRun::default()
    };
    let node_type = node::initial(spec.node(&node_run.thread_spec_name, node_name)?);
    unit.insert_node(
        run,
        number,
        position,
        NodeRun {
            node_type: Some(node_type),
            ..node_run
        },
    );
    Ok(())
}

//! Several WfRuns of one family in one unit: starting one, and waking those that wait for one (spec 03, section 10).

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::ironhorse::v1::WfRunRow;
use proto::littlehorse::wf_run::ParentTriggerReference;
use proto::littlehorse::{LhStatus, NodeRunId, ThreadType, VariableValue, WfRun, WfRunId};
use runtime::{Context, Rejection};

use super::failure::Fault;
use super::thread::start_thread;
use super::unit::Unit;
use super::which::Run;
use crate::spec::Spec;
use crate::time::timestamp;

/// Children that one unit may start: a WfSpec that runs itself would not end.
const MAX_CHILDREN: u32 = 256;

/// Starts a WfRun whose id is free. Its first thread runs in the next advance.
///
/// `inputs` are what [`super::validate_inputs`] gave; `request_id` is that of the command, so that a repeated one finds
/// itself.
pub(crate) fn start_run(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    spec: &Spec,
    inputs: BTreeMap<String, VariableValue>,
    triggered_by: Option<NodeRunId>,
    request_id: Bytes,
) -> Result<(), Rejection> {
    let wf_run = WfRun {
        id: None,
        wf_spec_id: Some(spec.id()),
        status: LhStatus::Running.into(),
        start_time: Some(timestamp(unit.now_ms())),
        parent_trigger: triggered_by.map(|node_run| ParentTriggerReference {
            triggering_node_run: Some(node_run),
            waiting_node_run: None,
        }),
        ..WfRun::default()
    };
    let row = WfRunRow {
        version: 1,
        wf_run: Some(wf_run),
        request_id,
        spec_created_ms: spec.created_ms(),
        ..WfRunRow::default()
    };
    unit.insert_wf_run(run, row);
    let entrypoint = &spec.wf_spec.entrypoint_thread_name;
    start_thread(
        unit,
        run,
        spec,
        entrypoint,
        None,
        ThreadType::Entrypoint,
        inputs,
    )?;
    Ok(())
}

/// Whether the unit may start one more child; the fault of the node that wants to if not.
pub(crate) fn room_for_child(unit: &mut Unit<'_, '_>) -> Result<(), Fault> {
    if unit.children == MAX_CHILDREN {
        return Err(Fault::new(
            "INTERNAL_ERROR",
            format!("More than {MAX_CHILDREN} child WfRuns would be started in one step"),
        ));
    }
    unit.children += 1;
    Ok(())
}

/// Lets `waiter` be advanced whenever `run`, of the same family, ends.
pub(crate) fn wake_at_end(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    waiter: &WfRunId,
) -> Result<(), Rejection> {
    if !unit.wf_run_row(run)?.waiters.contains(waiter) {
        unit.wf_run_row_mut(run)?.waiters.push(waiter.clone());
    }
    Ok(())
}

/// A WfRun has ended, or one of its threads has after it, or it is gone: its parent and those that wait for it are to be
/// advanced.
pub(crate) fn wake_waiters(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    let waiters = unit.wf_run_row(run)?.waiters.clone();
    let parent = run.id.parent_wf_run_id.as_deref().cloned();
    for id in parent.into_iter().chain(waiters) {
        let run = Run::new(unit.tenant.name, &id);
        wake(unit, &run);
    }
    Ok(())
}

/// A run is to be advanced before the unit ends.
pub(super) fn wake(unit: &mut Unit<'_, '_>, run: &Run) {
    if !unit.woken.iter().any(|known| known.key == run.key) {
        unit.woken.push(run.clone());
    }
}

/// The next of those that were woken, if it is there.
pub(super) fn next_woken(unit: &mut Unit<'_, '_>) -> Result<Option<Run>, Rejection> {
    while let Some(run) = unit.woken.pop() {
        if unit.exists(&run)? {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// An id for something that the engine makes: 32 hex digits that look random, never given twice in a cluster. A group
/// never gives a number twice, and each half is a permutation of what goes in.
pub(crate) fn generated_id(context: &mut Context<'_>) -> Result<String, Rejection> {
    let time_and_group = (context.now_ms() as u64) << 16 | u64::from(context.group().0);
    let number = context.next_number()?;
    Ok(format!(
        "{:016x}{:016x}",
        mixed(time_and_group),
        mixed(number)
    ))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a permutation.
fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

//! How many threads a WfRun has, and how it gets rid of those that have ended (spec 03, sections 11.1 and 11.2).

use proto::littlehorse::LhStatus;
use proto::littlehorse::thread_retention_policy::ThreadGcPolicy;
use runtime::Rejection;

use super::failure::Fault;
use super::unit::Unit;
use super::which::Run;
use crate::time::timestamp_ms;

/// Whether so many more threads may start; the fault of the node that wants them if not.
pub(crate) fn room_for(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    more: usize,
) -> Result<Result<(), Fault>, Rejection> {
    let active = unit.active_thread_count(run)?;
    let would_be = i64::from(active) + more as i64;
    let limit = unit.tenant.settings.max_thread_runs;
    if would_be <= i64::from(limit) {
        return Ok(Ok(()));
    }
    Ok(Err(Fault::new(
        "INTERNAL_ERROR",
        format!(
            "WfRun would have {would_be} ThreadRuns, exceeding the maximum number of ThreadRuns per WfRun: \
             {limit}. Reduce the number of spawned ThreadRuns or increase LHS_X_MAX_THREAD_RUNS_PER_WF_RUN."
        ),
    )))
}

/// Archives completed threads, whatever their policy says, if there are nearly as many threads as there may be.
pub(super) fn archive_under_pressure(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    let pressure = i64::from(unit.tenant.settings.max_thread_runs) * 9 / 10;
    if i64::from(unit.active_thread_count(run)?) >= pressure {
        archive(unit, run, |_, _| true)?;
    }
    Ok(())
}

/// Archives completed threads that have been kept for as long as their policy asks for.
pub(super) fn archive_expired(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    if unit.wf_run(run)?.greatest_threadrun_number == 0 {
        return Ok(());
    }
    let now_ms = unit.now_ms();
    archive(unit, run, |keep_seconds, ended_ms| {
        let until_ms = |seconds: i64| ended_ms.saturating_add(seconds.saturating_mul(1000));
        keep_seconds.is_some_and(|seconds| until_ms(seconds) <= now_ms)
    })
}

fn archive(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    is_due: impl Fn(Option<i64>, i64) -> bool,
) -> Result<(), Rejection> {
    for number in unit.active_threads(run)? {
        let thread = unit.thread(run, number)?;
        if number == 0 || thread.status() != LhStatus::Completed {
            continue;
        }
        let ended_ms = timestamp_ms(thread.end_time.as_ref());
        let name = thread.thread_spec_name.clone();
        let spec = unit.spec(run, number)?;
        let policy = &spec.thread(&name)?.retention_policy;
        let keep_seconds = policy
            .as_ref()
            .and_then(|policy| policy.thread_gc_policy)
            .map(|ThreadGcPolicy::SecondsAfterThreadTermination(seconds)| seconds);
        if is_due(keep_seconds, ended_ms) {
            unit.archive_thread(run, number)?;
        }
    }
    Ok(())
}

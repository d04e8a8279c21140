//! WAIT_FOR_THREADS: waits for other threads, all or the first of them (spec 03, section 6.9).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::wait_for_threads_node::ThreadsToWaitForOneOf as Which;
use proto::littlehorse::wait_for_threads_run::{WaitForThread, WaitingThreadStatus};
use proto::littlehorse::{
    LhStatus, ThreadType, VariableValue, WaitForThreadsNode, WaitForThreadsRun,
    WaitForThreadsStrategy,
};
use runtime::Rejection;

use super::{At, Done};
use crate::record::wf_run::is_terminated;
use crate::run::{
    Failing, Fault, Reason, Run, ThreadScope, Unit, final_failure, halt, handler_input,
    is_error_name, is_failed, matching, room_for, start_thread,
};
use crate::value;

pub(super) fn initial() -> NodeType {
    NodeType::WaitForThreads(WaitForThreadsRun::default())
}

pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &WaitForThreadsNode,
) -> Result<(), Failing> {
    let mut waits = Vec::new();
    for number in numbers(unit, at, node)? {
        let number = number?;
        let thread = match i32::try_from(number) {
            Ok(number) => unit.find_thread(at.run, number)?,
            Err(_) => None,
        };
        let Some(thread) = thread else {
            return Err(Fault::var_sub(format!("Thread {number} does not exist")).into());
        };
        let (number, status) = (thread.number, thread.status);
        if is_self_or_ancestor(unit, at, number)? {
            return Err(Fault::var_sub(format!(
                "Thread {number} cannot be waited for: it is the waiting thread or an ancestor of it"
            ))
            .into());
        }
        waits.push(WaitForThread {
            thread_end_time: None,
            thread_status: status,
            thread_run_number: number,
            waiting_status: WaitingThreadStatus::ThreadInProgress.into(),
            failure_handler_thread_run_id: None,
        });
    }
    *part(unit, at.run, at.thread, at.position)? = waits;
    Ok(())
}

/// The numbers of the threads to wait for.
fn numbers(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &WaitForThreadsNode,
) -> Result<Vec<Result<i64, Fault>>, Failing> {
    let explain =
        |failing: Failing| failing.explained("The threads to wait for could not be computed");
    let no_number = |what: String| Fault::var_sub(format!("{what} is no thread's number"));
    match &node.threads_to_wait_for {
        Some(Which::Threads(threads)) => {
            let mut numbers = Vec::with_capacity(threads.threads.len());
            for thread in &threads.threads {
                let assignment = thread.thread_run_number.clone().unwrap_or_default();
                let scope = ThreadScope::new(unit, at);
                let number = scope
                    .outcome(value::evaluate(&assignment, &scope))
                    .map_err(explain)?;
                numbers.push(match number.value {
                    Some(Value::Int(number)) => Ok(number),
                    _ => Err(no_number(format!("A {}", value::kind_name(&number)))),
                });
            }
            Ok(numbers)
        }
        Some(Which::ThreadList(list)) => {
            let scope = ThreadScope::new(unit, at);
            let list = scope
                .outcome(value::evaluate(list, &scope))
                .map_err(explain)?;
            list_numbers(&list).map_err(|what| no_number(what).into())
        }
        None => Ok(Vec::new()),
    }
}

fn list_numbers(list: &VariableValue) -> Result<Vec<Result<i64, Fault>>, String> {
    let elements =
        value::json::elements(list).ok_or_else(|| format!("The {}", value::kind_name(list)))?;
    let number = |element: VariableValue| match element.value {
        Some(Value::Int(number)) => Ok(number),
        _ => Err(Fault::var_sub(format!(
            "An element of the list of threads is a {}, not a number",
            value::kind_name(&element)
        ))),
    };
    Ok(elements.into_iter().map(number).collect())
}

fn is_self_or_ancestor(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    number: i32,
) -> Result<bool, Rejection> {
    let mut next = Some(at.thread);
    while let Some(thread) = next {
        if thread == number {
            return Ok(true);
        }
        next = unit.thread(at.run, thread)?.parent_thread_id;
    }
    Ok(false)
}

pub(super) fn poll(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &WaitForThreadsNode,
) -> Result<Option<Done>, Failing> {
    unit.note_waiting(at.run, at.thread, at.position);
    let mut waits = read(unit, at.run, at.thread, at.position)?;
    let updated = update(unit, at, node, &mut waits);
    write(unit, at.run, at.thread, at.position, &waits)?;
    updated?;
    decide(unit, at, node.strategy(), &waits)
}

/// Looks at every thread that is not finished, in order, and starts the handlers of those that failed.
fn update(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    node: &WaitForThreadsNode,
    waits: &mut [WaitForThread],
) -> Result<(), Failing> {
    use WaitingThreadStatus::{
        ThreadCompletedOrFailureHandled, ThreadHandlingFailure, ThreadInProgress,
        ThreadUnsuccessful,
    };
    for wait in waits {
        let child = wait.thread_run_number;
        let status = match wait.waiting_status() {
            ThreadInProgress => match unit.thread(at.run, child)?.status() {
                LhStatus::Completed => ThreadCompletedOrFailureHandled,
                status if is_failed(status) => {
                    let failure = final_failure(unit, at.run, child)?;
                    match matching(&node.per_thread_failure_handlers, &failure.name) {
                        Some(handler) => {
                            let name = &handler.handler_spec_name;
                            let started = start_handler(unit, at, child, name, failure)?;
                            wait.failure_handler_thread_run_id = Some(started);
                            ThreadHandlingFailure
                        }
                        None => ThreadUnsuccessful,
                    }
                }
                _ => continue,
            },
            ThreadHandlingFailure => {
                let handler = wait.failure_handler_thread_run_id.unwrap_or_default();
                match unit.thread(at.run, handler)?.status() {
                    LhStatus::Completed => {
                        let own = unit.thread_mut(at.run, at.thread)?;
                        own.handled_failed_children.push(child);
                        ThreadCompletedOrFailureHandled
                    }
                    status if is_failed(status) => ThreadUnsuccessful,
                    _ => continue,
                }
            }
            _ => continue,
        };
        wait.set_waiting_status(status);
    }
    Ok(())
}

/// The handler is a child of the failed thread, so that it sees that one's variables.
fn start_handler(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    failed: i32,
    handler: &str,
    failure: Fault,
) -> Result<i32, Failing> {
    room_for(unit, at.run, 1)??;
    let inputs = handler_input(&at.spec, handler, failure.content.unwrap_or_default())?;
    let fitted = {
        let scope = ThreadScope::new(unit, at);
        crate::run::validate_inputs(at.spec.thread(handler)?, inputs, &scope)
    };
    let fitted = fitted.map_err(|why| {
        Fault::new(
            "CHILD_FAILURE",
            format!("The failure handler of thread {failed} could not be started: {why}"),
        )
    })?;
    let kind = ThreadType::FailureHandler;
    Ok(start_thread(
        unit,
        at.run,
        &at.spec,
        handler,
        Some(failed),
        kind,
        fitted,
    )?)
}

fn decide(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    strategy: WaitForThreadsStrategy,
    waits: &[WaitForThread],
) -> Result<Option<Done>, Failing> {
    use WaitingThreadStatus::{ThreadCompletedOrFailureHandled, ThreadUnsuccessful};
    let is = |wait: &&WaitForThread, status| wait.waiting_status() == status;
    let unsuccessful = waits.iter().find(|wait| is(wait, ThreadUnsuccessful));
    let finished = waits
        .iter()
        .find(|wait| is(wait, ThreadCompletedOrFailureHandled));
    match strategy {
        WaitForThreadsStrategy::WaitForAll => match unsuccessful {
            Some(wait) => Err(propagated(unit, at, wait)?.into()),
            None if waits
                .iter()
                .all(|wait| is(&wait, ThreadCompletedOrFailureHandled)) =>
            {
                Ok(Some(Done::Next))
            }
            None => Ok(None),
        },
        WaitForThreadsStrategy::WaitForAny => {
            if finished.is_some() {
                stop_others(unit, at, waits)?;
                return Ok(Some(Done::Next));
            }
            if waits.iter().all(|wait| is(&wait, ThreadUnsuccessful)) {
                return Err(none_completed(waits).into());
            }
            Ok(None)
        }
        WaitForThreadsStrategy::WaitForFirst => {
            let first = waits.iter().find(|wait| {
                is(wait, ThreadCompletedOrFailureHandled) || is(wait, ThreadUnsuccessful)
            });
            match first {
                Some(wait) => {
                    stop_others(unit, at, waits)?;
                    if is(&wait, ThreadUnsuccessful) {
                        return Err(propagated(unit, at, wait)?.into());
                    }
                    Ok(Some(Done::Next))
                }
                None if waits.is_empty() => Err(none_completed(waits).into()),
                None => Ok(None),
            }
        }
    }
}

fn none_completed(waits: &[WaitForThread]) -> Fault {
    let numbers: Vec<String> = waits
        .iter()
        .map(|wait| wait.thread_run_number.to_string())
        .collect();
    Fault::new(
        "CHILD_FAILURE",
        format!(
            "None of the threads waited for has completed: [{}]",
            numbers.join(", ")
        ),
    )
}

/// What the waiting node fails with: a business exception goes on as it is, a technical error becomes `CHILD_FAILURE`.
fn propagated(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    wait: &WaitForThread,
) -> Result<Fault, Rejection> {
    let child = wait.thread_run_number;
    let failure = final_failure(
        unit,
        at.run,
        wait.failure_handler_thread_run_id.unwrap_or(child),
    )?;
    if is_error_name(&failure.name) {
        return Ok(Fault::new(
            "CHILD_FAILURE",
            format!(
                "Child thread {child} failed with {}: {}",
                failure.name, failure.message
            ),
        ));
    }
    Ok(failure)
}

/// The strategy has decided: threads still in progress stay halted for good, and EXIT does not complain of those that
/// failed.
fn stop_others(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    waits: &[WaitForThread],
) -> Result<(), Rejection> {
    for (place, wait) in waits.iter().enumerate() {
        let child = wait.thread_run_number;
        if wait.waiting_status() == WaitingThreadStatus::ThreadInProgress {
            let reason = Reason::HaltedByParent {
                waiting: at.thread,
                position: at.position,
            };
            halt(unit, at.run, child, reason)?;
            if let Some(wait) = part(unit, at.run, at.thread, at.position)?.get_mut(place) {
                wait.set_waiting_status(WaitingThreadStatus::ThreadStopped);
            }
        } else if is_failed(unit.thread(at.run, child)?.status()) {
            unit.thread_mut(at.run, at.thread)?
                .handled_failed_children
                .push(child);
        }
    }
    Ok(())
}

/// At the end of a unit, what the NodeRuns that it looked at show of the threads that they wait for.
pub(crate) fn show_waited(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    for (thread, position) in unit.take_waiting(run) {
        let mut waits = read(unit, run, thread, position)?;
        for wait in &mut waits {
            let waited = unit.thread(run, wait.thread_run_number)?;
            let status = waited.status();
            wait.thread_end_time = waited.end_time.filter(|_| is_terminated(status));
            wait.set_thread_status(status);
        }
        write(unit, run, thread, position, &waits)?;
    }
    Ok(())
}

fn read(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    position: i32,
) -> Result<Vec<WaitForThread>, Rejection> {
    match &unit.node(run, thread, position)?.node_type {
        Some(NodeType::WaitForThreads(part)) => Ok(part.threads.clone()),
        _ => Err(not_waiting()),
    }
}

/// A row that stays as it is is not written again.
fn write(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    position: i32,
    waits: &[WaitForThread],
) -> Result<(), Rejection> {
    if read(unit, run, thread, position)? != waits {
        *part(unit, run, thread, position)? = waits.to_vec();
    }
    Ok(())
}

fn not_waiting() -> Rejection {
    Rejection::internal("a WAIT_FOR_THREADS node's NodeRun is something else")
}

fn part<'r>(
    unit: &'r mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    position: i32,
) -> Result<&'r mut Vec<WaitForThread>, Rejection> {
    match &mut unit.node_mut(run, thread, position)?.node_type {
        Some(NodeType::WaitForThreads(part)) => Ok(&mut part.threads),
        _ => Err(not_waiting()),
    }
}

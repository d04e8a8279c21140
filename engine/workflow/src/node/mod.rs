//! The node types: one file each, with the same shape. `arrive` is what entering the node does, `poll` says whether its
//! processing is complete, `can_halt` whether it may be halted now, `output` what others read from it.

mod entrypoint;
mod exit;
pub mod external_event;
mod nop;
mod run_child_wf;
pub mod sleep;
mod start_multiple_threads;
mod start_thread;
mod task;
mod throw_event;
mod user_task;
mod wait_for_child_wf;
mod wait_for_condition;
mod wait_for_threads;

use std::sync::Arc;

use proto::littlehorse::node::Node as Type;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{Node, VariableValue};
use runtime::Rejection;

use crate::run::{Failing, Run, Unit};
use crate::spec::Spec;

pub(crate) use wait_for_threads::show_waited;

/// A NodeRun, and where it stands in its spec.
#[derive(Debug)]
pub struct At<'a> {
    /// The WfRun.
    pub run: &'a Run,
    /// The ThreadRun's number.
    pub thread: i32,
    /// The NodeRun's position.
    pub position: i32,
    /// The spec that the NodeRun belongs to.
    pub spec: Arc<Spec>,
    /// The thread's name in the spec.
    pub thread_spec: String,
    /// The node's name in the thread.
    pub node_name: String,
}

impl<'a> At<'a> {
    /// Of a NodeRun that exists.
    pub fn new(
        unit: &mut Unit<'_, '_>,
        run: &'a Run,
        thread: i32,
        position: i32,
    ) -> Result<At<'a>, Rejection> {
        let node_run = unit.node(run, thread, position)?;
        let thread_spec = node_run.thread_spec_name.clone();
        let node_name = node_run.node_name.clone();
        let spec_id = node_run.wf_spec_id.clone().unwrap_or_default();
        Ok(At {
            run,
            thread,
            position,
            spec: unit.spec_by_id(run, &spec_id)?,
            thread_spec,
            node_name,
        })
    }

    /// The node.
    pub fn node(&self) -> Result<&Node, Rejection> {
        self.spec.node(&self.thread_spec, &self.node_name)
    }

    /// Whether it is a task for a worker.
    pub fn is_task(&self) -> Result<bool, Rejection> {
        Ok(matches!(self.node_type()?, Type::Task(_)))
    }

    fn node_type(&self) -> Result<&Type, Rejection> {
        self.node()?
            .node
            .as_ref()
            .ok_or_else(|| Rejection::internal("a node without a type was registered"))
    }
}

/// How a node completes.
#[derive(Debug)]
pub enum Done {
    /// The thread goes on.
    Next,
    /// The thread ends, with this output.
    Exit(Option<VariableValue>),
}

/// Entering the node. The NodeRun exists already.
pub fn arrive(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<(), Failing> {
    match at.node_type()? {
        Type::Entrypoint(_) | Type::Nop(_) | Type::Exit(_) | Type::WaitForCondition(_) => Ok(()),
        Type::Task(node) => task::arrive(unit, at, node),
        Type::Sleep(node) => sleep::arrive(unit, at, node),
        Type::ExternalEvent(node) => external_event::arrive(unit, at, node),
        Type::StartThread(node) => start_thread::arrive(unit, at, node),
        Type::StartMultipleThreads(node) => start_multiple_threads::arrive(unit, at, node),
        Type::WaitForThreads(node) => wait_for_threads::arrive(unit, at, node),
        Type::ThrowEvent(node) => throw_event::arrive(unit, at, node),
        Type::RunChildWf(node) => run_child_wf::arrive(unit, at, node),
        Type::WaitForChildWf(node) => wait_for_child_wf::arrive(unit, at, node),
        Type::UserTask(node) => user_task::arrive(unit, at, node),
    }
}

/// Whether the node's processing is complete.
pub fn poll(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<Option<Done>, Failing> {
    match at.node_type()? {
        Type::Entrypoint(_) => Ok(Some(entrypoint::poll())),
        Type::Nop(_) => Ok(Some(nop::poll())),
        Type::Exit(node) => exit::poll(unit, at, node),
        Type::Task(_) => task::poll(unit, at),
        Type::Sleep(node) => sleep::poll(unit, at, node),
        Type::ExternalEvent(node) => external_event::poll(unit, at, node),
        // What they do, they do on arrival.
        Type::StartThread(_)
        | Type::StartMultipleThreads(_)
        | Type::ThrowEvent(_)
        | Type::RunChildWf(_) => Ok(Some(Done::Next)),
        Type::WaitForChildWf(_) => wait_for_child_wf::poll(unit, at),
        Type::WaitForThreads(node) => wait_for_threads::poll(unit, at, node),
        Type::WaitForCondition(node) => wait_for_condition::poll(unit, at, node),
        Type::UserTask(_) => user_task::poll(unit, at),
    }
}

/// Whether a node that is being processed can be halted now. Only a task cannot.
pub fn can_halt(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<bool, Rejection> {
    match at.node_type()? {
        Type::Task(_) => task::can_halt(unit, at),
        _ => Ok(true),
    }
}

/// What the completed node gave, if its kind gives anything.
pub fn output(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<Option<VariableValue>, Rejection> {
    match at.node_type()? {
        Type::Task(_) => task::output(unit, at),
        Type::ExternalEvent(_) => external_event::output(unit, at),
        Type::StartThread(_) => start_thread::output(unit, at),
        Type::StartMultipleThreads(_) => start_multiple_threads::output(unit, at),
        Type::RunChildWf(_) => run_child_wf::output(unit, at),
        Type::WaitForChildWf(_) => wait_for_child_wf::output(unit, at),
        Type::UserTask(_) => user_task::output(unit, at),
        _ => Ok(None),
    }
}

/// The NodeRun's part that is the node type's own, before it arrives.
pub fn initial(node: &Node) -> NodeType {
    match &node.node {
        Some(Type::Task(_)) => task::initial(),
        Some(Type::Sleep(_)) => sleep::initial(),
        Some(Type::ExternalEvent(node)) => external_event::initial(node),
        Some(Type::Exit(_)) => exit::initial(),
        Some(Type::StartThread(node)) => start_thread::initial(node),
        Some(Type::StartMultipleThreads(node)) => start_multiple_threads::initial(node),
        Some(Type::WaitForThreads(_)) => wait_for_threads::initial(),
        Some(Type::WaitForCondition(_)) => wait_for_condition::initial(),
        Some(Type::ThrowEvent(_)) => throw_event::initial(),
        Some(Type::RunChildWf(_)) => run_child_wf::initial(),
        Some(Type::WaitForChildWf(_)) => wait_for_child_wf::initial(),
        Some(Type::UserTask(_)) => user_task::initial(),
        // There is no variant for NOP: it shows as an entrypoint (spec 03, section 6.1).
        _ => entrypoint::initial(),
    }
}

//! WfRuns of several threads (spec 03).

mod children;
mod event_targets;
mod failures;
mod interrupts;
mod rescue;
mod spawn;
mod waits;

use proto::littlehorse::failure_handler_def::{FailureToCatch, LhFailureType};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::wait_for_threads_node::{
    ThreadToWaitFor, ThreadsToWaitFor, ThreadsToWaitForOneOf,
};
use proto::littlehorse::{
    ExternalEventDefId, FailureHandlerDef, InterruptDef, NodeRun, NodeRunId, PutWfSpecRequest,
    StartMultipleThreadsNode, StartThreadNode, ThreadSpec, VariableAssignment, WaitForThreadsNode,
    WaitForThreadsStrategy, WfRun,
};

use crate::support::*;

/// A WfSpec whose entrypoint has these nodes; add other threads with [`Spec::thread`].
struct Spec(PutWfSpecRequest);

impl Spec {
    fn new(name: &str, vars: Vec<proto::littlehorse::ThreadVarDef>, kinds: Vec<Kind>) -> Spec {
        Spec(sequence(name, vars, kinds))
    }

    fn thread(
        mut self,
        name: &str,
        vars: Vec<proto::littlehorse::ThreadVarDef>,
        kinds: Vec<Kind>,
    ) -> Spec {
        let mut spec = sequence(name, vars, kinds);
        let thread = spec.thread_specs.remove("main").expect("one thread");
        self.0.thread_specs.insert(name.to_owned(), thread);
        self
    }

    /// Changes a thread.
    fn with(mut self, name: &str, change: impl FnOnce(&mut ThreadSpec)) -> Spec {
        change(self.0.thread_specs.get_mut(name).expect("that thread"));
        self
    }

    /// A handler of a node of the entrypoint.
    fn handler(self, node: &str, catch: Option<FailureToCatch>, handler: &str) -> Spec {
        self.with("main", |thread| {
            thread
                .nodes
                .get_mut(node)
                .expect("that node")
                .failure_handlers
                .push(handled_by(catch, handler));
        })
    }

    /// A handler of an event that interrupts a thread.
    fn interrupt(self, thread: &str, event: &str, handler: &str) -> Spec {
        self.with(thread, |thread| {
            thread.interrupt_defs.push(InterruptDef {
                external_event_def_id: Some(ExternalEventDefId {
                    name: event.to_owned(),
                }),
                handler_spec_name: handler.to_owned(),
            });
        })
    }

    async fn put(self, client: &mut Client) {
        client.define(self.0).await;
    }
}

fn handled_by(catch: Option<FailureToCatch>, handler: &str) -> FailureHandlerDef {
    FailureHandlerDef {
        handler_spec_name: handler.to_owned(),
        failure_to_catch: catch,
    }
}

fn any_error() -> FailureToCatch {
    FailureToCatch::AnyFailureOfType(LhFailureType::FailureTypeError as i32)
}

fn any_exception() -> FailureToCatch {
    FailureToCatch::AnyFailureOfType(LhFailureType::FailureTypeException as i32)
}

fn exactly(name: &str) -> FailureToCatch {
    FailureToCatch::SpecificFailure(name.to_owned())
}

fn start(thread: &str) -> Kind {
    Kind::StartThread(StartThreadNode {
        thread_spec_name: thread.to_owned(),
        ..StartThreadNode::default()
    })
}

fn start_each(thread: &str, list: VariableAssignment) -> Kind {
    Kind::StartMultipleThreads(StartMultipleThreadsNode {
        thread_spec_name: thread.to_owned(),
        iterable: Some(list),
        ..StartMultipleThreadsNode::default()
    })
}

fn wait_node(
    numbers: &[i64],
    strategy: WaitForThreadsStrategy,
    handlers: Vec<FailureHandlerDef>,
) -> Kind {
    let threads = numbers
        .iter()
        .map(|number| ThreadToWaitFor {
            thread_run_number: Some(literal(int(*number))),
        })
        .collect();
    Kind::WaitForThreads(WaitForThreadsNode {
        threads_to_wait_for: Some(ThreadsToWaitForOneOf::Threads(ThreadsToWaitFor { threads })),
        per_thread_failure_handlers: handlers,
        strategy: strategy.into(),
    })
}

fn wait_all(numbers: &[i64]) -> Kind {
    wait_node(numbers, WaitForThreadsStrategy::WaitForAll, vec![])
}

async fn node_of(client: &mut Client, run: &str, thread: i32, position: i32) -> NodeRun {
    let id = NodeRunId {
        wf_run_id: Some(id(run)),
        thread_run_number: thread,
        position,
    };
    client.get_node_run(id).await.unwrap().into_inner()
}

/// The statuses of all threads, by number.
fn statuses(run: &WfRun) -> Vec<proto::littlehorse::LhStatus> {
    run.thread_runs
        .iter()
        .map(proto::littlehorse::ThreadRun::status)
        .collect()
}

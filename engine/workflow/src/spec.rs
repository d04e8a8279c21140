//! Metadata as the core groups see it: decoded once per version, and looked up by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use index::GlobalView;
use prost::Message;
use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::node::Node as NodeKind;
use proto::littlehorse::wait_for_condition_node::NodeCondition;
use proto::littlehorse::wait_for_threads_node::ThreadsToWaitForOneOf;
use proto::littlehorse::{
    ExternalEventDef, Node, TaskDef, ThreadSpec, ThreadVarDef, VariableAssignment, WfSpec,
    WfSpecId, exit_node, sleep_node, task_node,
};
use runtime::Rejection;

use crate::key;
use crate::time::timestamp_ms;
use crate::value::Used;

/// A WfSpec with what execution needs to know about it.
#[derive(Debug)]
pub struct Spec {
    /// As stored.
    pub wf_spec: WfSpec,
    threads: BTreeMap<String, Thread>,
}

/// What execution needs to know about a thread.
#[derive(Debug, Default)]
struct Thread {
    entrypoint: String,
    /// Nodes whose output is read somewhere in the thread.
    outputs_read: BTreeSet<String>,
}

impl Spec {
    fn new(wf_spec: WfSpec) -> Spec {
        let threads = wf_spec
            .thread_specs
            .iter()
            .map(|(name, thread)| (name.clone(), Thread::of(thread)))
            .collect();
        Spec { wf_spec, threads }
    }

    /// Its id.
    pub fn id(&self) -> WfSpecId {
        self.wf_spec.id.clone().unwrap_or_default()
    }

    /// When it was created, milliseconds since the epoch.
    pub fn created_ms(&self) -> i64 {
        timestamp_ms(self.wf_spec.created_at.as_ref())
    }

    /// A thread.
    ///
    /// # Errors
    /// `INTERNAL`: registration checks every name.
    pub fn thread(&self, name: &str) -> Result<&ThreadSpec, Rejection> {
        self.wf_spec
            .thread_specs
            .get(name)
            .ok_or_else(|| missing(&self.wf_spec, &format!("thread {name}")))
    }

    /// A node of a thread.
    ///
    /// # Errors
    /// `INTERNAL`: registration checks every name.
    pub fn node(&self, thread: &str, node: &str) -> Result<&Node, Rejection> {
        self.thread(thread)?
            .nodes
            .get(node)
            .ok_or_else(|| missing(&self.wf_spec, &format!("node {node} of thread {thread}")))
    }

    /// The name of a thread's ENTRYPOINT node.
    pub fn entrypoint(&self, thread: &str) -> Result<&str, Rejection> {
        self.threads
            .get(thread)
            .map(|thread| thread.entrypoint.as_str())
            .ok_or_else(|| missing(&self.wf_spec, &format!("thread {thread}")))
    }

    /// Whether the output of a node is read anywhere in its thread, so that it must be found again.
    pub fn output_is_read(&self, thread: &str, node: &str) -> bool {
        self.threads
            .get(thread)
            .is_some_and(|thread| thread.outputs_read.contains(node))
    }

    /// The definition of a variable of a thread.
    pub fn variable(&self, thread: &str, name: &str) -> Option<&ThreadVarDef> {
        let defs = &self.wf_spec.thread_specs.get(thread)?.variable_defs;
        defs.iter()
            .find(|def| def.var_def.as_ref().is_some_and(|def| def.name == name))
    }
}

impl Thread {
    fn of(thread: &ThreadSpec) -> Thread {
        let entrypoint = thread.nodes.iter().find_map(|(name, node)| {
            matches!(
                node.node,
                Some(proto::littlehorse::node::Node::Entrypoint(_))
            )
            .then(|| name.clone())
        });
        Thread {
            entrypoint: entrypoint.unwrap_or_default(),
            outputs_read: used_by(thread).nodes,
        }
    }
}

fn missing(wf_spec: &WfSpec, what: &str) -> Rejection {
    let name = wf_spec.id.as_ref().map_or("", |id| id.name.as_str());
    Rejection::internal(format!("WfSpec {name} has no {what}"))
}

fn decode<T: Message + Default>(raw: &[u8]) -> Option<T> {
    T::decode(raw).ok()
}

/// The WfSpec that a run is on: by its exact id and its time of creation, since after a deletion another one may have the
/// same id. A deleted one too.
pub fn wf_spec_of_run(
    view: &GlobalView,
    tenant: &str,
    id: &WfSpecId,
    created_ms: i64,
) -> Option<Arc<Spec>> {
    let find = |key: &[u8]| view.get_decoded(key, |raw| decode(raw).map(Spec::new));
    let (major, revision) = (id.major_version, id.revision);
    find(&key::wf_spec(tenant, &id.name, major, revision))
        .filter(|spec| spec.created_ms() == created_ms)
        .or_else(|| {
            let key = key::retired_wf_spec(tenant, &id.name, major, revision, created_ms);
            find(&key)
        })
}

/// The WfSpec that a request means: exactly that version, or the latest revision of a major version, or the latest. A
/// revision without a major version is ignored (spec 01, section 2.4).
pub fn wf_spec(
    view: &GlobalView,
    tenant: &str,
    name: &str,
    major: Option<i32>,
    revision: Option<i32>,
) -> Option<Arc<Spec>> {
    let key = match (major, revision) {
        (Some(major), Some(revision)) => key::wf_spec(tenant, name, major, revision),
        _ => view.last_key(&key::wf_spec_versions(tenant, name, major))?,
    };
    view.get_decoded(&key, |raw| decode(raw).map(Spec::new))
}

/// A TaskDef.
pub fn task_def(view: &GlobalView, tenant: &str, name: &str) -> Option<Arc<TaskDef>> {
    view.get_decoded(&key::named(key::TASK_DEFS, tenant, name), decode)
}

/// An ExternalEventDef.
pub fn external_event_def(
    view: &GlobalView,
    tenant: &str,
    name: &str,
) -> Option<Arc<ExternalEventDef>> {
    view.get_decoded(&key::named(key::EXTERNAL_EVENT_DEFS, tenant, name), decode)
}

/// The variables and node outputs that a thread refers to, anywhere (spec 01, section 10.2).
pub fn used_by(thread: &ThreadSpec) -> Used {
    let mut used = Used::default();
    for node in thread.nodes.values() {
        for edge in &node.outgoing_edges {
            match &edge.edge_condition {
                Some(EdgeCondition::Condition(condition)) => used.assignment(condition),
                Some(EdgeCondition::LegacyCondition(condition)) => used.legacy_condition(condition),
                None => {}
            }
            for mutation in &edge.variable_mutations {
                used.mutation(mutation);
            }
        }
        if let Some(NodeKind::WaitForCondition(wait)) = &node.node
            && let Some(NodeCondition::LegacyCondition(condition)) = &wait.node_condition
        {
            used.legacy_condition(condition);
        }
        for assignment in assignments_of(node) {
            used.assignment(assignment);
        }
    }
    used
}

/// What a node evaluates, for the node types that this version runs.
fn assignments_of(node: &Node) -> Vec<&VariableAssignment> {
    match &node.node {
        Some(NodeKind::Task(task)) => {
            let name = match &task.task_to_execute {
                Some(task_node::TaskToExecute::DynamicTask(name)) => Some(name),
                _ => None,
            };
            name.into_iter().chain(&task.variables).collect()
        }
        Some(NodeKind::ExternalEvent(event)) => event
            .timeout_seconds
            .iter()
            .chain(&event.correlation_key)
            .collect(),
        Some(NodeKind::Sleep(sleep)) => match &sleep.sleep_length {
            Some(
                sleep_node::SleepLength::RawSeconds(length)
                | sleep_node::SleepLength::Timestamp(length)
                | sleep_node::SleepLength::IsoDate(length),
            ) => vec![length],
            None => Vec::new(),
        },
        Some(NodeKind::Exit(exit)) => match &exit.result {
            Some(exit_node::Result::ReturnContent(content)) => vec![content],
            Some(exit_node::Result::FailureDef(failure)) => failure.content.iter().collect(),
            None => Vec::new(),
        },
        Some(NodeKind::StartThread(start)) => start.variables.values().collect(),
        Some(NodeKind::StartMultipleThreads(start)) => {
            start.variables.values().chain(&start.iterable).collect()
        }
        Some(NodeKind::WaitForThreads(wait)) => match &wait.threads_to_wait_for {
            Some(ThreadsToWaitForOneOf::Threads(threads)) => threads
                .threads
                .iter()
                .flat_map(|thread| &thread.thread_run_number)
                .collect(),
            Some(ThreadsToWaitForOneOf::ThreadList(list)) => vec![list],
            None => Vec::new(),
        },
        Some(NodeKind::WaitForCondition(wait)) => match &wait.node_condition {
            Some(NodeCondition::Condition(condition)) => vec![condition],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

//! Metadata as the core groups see it: decoded once per version, and looked up by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use index::GlobalView;
use prost::Message;
use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::node::Node as NodeKind;
use proto::littlehorse::wait_for_condition_node::NodeCondition;
use proto::littlehorse::{
    ExternalEventDef, InlineStructDef, Node, StructDef, TaskDef, ThreadSpec, ThreadVarDef,
    UserTaskDef, UserTaskDefId, WfRunVariableAccessLevel, WfSpec, WfSpecId, WorkflowEventDef,
    WorkflowMigrationPlan,
};
use runtime::Rejection;

use crate::time::timestamp_ms;
use crate::value::path::json::JsonPath;
use crate::value::{StructDefs, Used};
use crate::{assignments, key};

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
    /// Its JSONPaths, parsed once for all runs.
    json_paths: BTreeMap<String, Arc<JsonPath>>,
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

    /// A JSONPath that a thread uses, parsed.
    pub fn json_path(&self, thread: &str, text: &str) -> Option<Arc<JsonPath>> {
        self.threads.get(thread)?.json_paths.get(text).cloned()
    }

    /// Whether a variable is one of the parent WfRun.
    pub fn inherits(&self, name: &str) -> bool {
        let threads = self.wf_spec.thread_specs.keys();
        let mut defs = threads.filter_map(|thread| self.variable(thread, name));
        defs.any(|def| def.access_level() == WfRunVariableAccessLevel::InheritedVar)
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
        let used = used_by(thread);
        let parsed = used.json_paths.into_iter().filter_map(|text| {
            let path = JsonPath::parse(&text).ok()?;
            Some((text, Arc::new(path)))
        });
        Thread {
            entrypoint: entrypoint.unwrap_or_default(),
            outputs_read: used.nodes,
            json_paths: parsed.collect(),
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

/// A WorkflowMigrationPlan.
pub fn migration_plan(
    view: &GlobalView,
    tenant: &str,
    name: &str,
) -> Option<Arc<WorkflowMigrationPlan>> {
    view.get_decoded(&key::named(key::MIGRATION_PLANS, tenant, name), decode)
}

/// The version that a plan migrates to.
pub fn destination(plan: &WorkflowMigrationPlan) -> WfSpecId {
    WfSpecId {
        name: plan.old_wf_spec.clone().unwrap_or_default().name,
        major_version: plan.major_version,
        revision: plan.revision,
    }
}

/// A TaskDef.
pub fn task_def(view: &GlobalView, tenant: &str, name: &str) -> Option<Arc<TaskDef>> {
    view.get_decoded(&key::named(key::TASK_DEFS, tenant, name), decode)
}

/// A WorkflowEventDef.
pub fn workflow_event_def(
    view: &GlobalView,
    tenant: &str,
    name: &str,
) -> Option<Arc<WorkflowEventDef>> {
    view.get_decoded(&key::named(key::WORKFLOW_EVENT_DEFS, tenant, name), decode)
}

/// An ExternalEventDef.
pub fn external_event_def(
    view: &GlobalView,
    tenant: &str,
    name: &str,
) -> Option<Arc<ExternalEventDef>> {
    view.get_decoded(&key::named(key::EXTERNAL_EVENT_DEFS, tenant, name), decode)
}

/// One version of a UserTaskDef.
pub fn user_task_def(
    view: &GlobalView,
    tenant: &str,
    id: &UserTaskDefId,
) -> Option<Arc<UserTaskDef>> {
    let key = key::versioned(key::USER_TASK_DEFS, tenant, &id.name, id.version);
    view.get_decoded(&key, decode)
}

/// The StructDefs of a tenant.
#[derive(Clone, Copy)]
pub struct Structs<'a> {
    view: &'a GlobalView,
    tenant: &'a str,
}

impl<'a> Structs<'a> {
    /// As of this version of the metadata.
    pub fn new(view: &'a GlobalView, tenant: &'a str) -> Structs<'a> {
        Structs { view, tenant }
    }
}

impl StructDefs for Structs<'_> {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        let version = if version < 0 {
            self.latest_version(name)?
        } else {
            version
        };
        let key = key::versioned(key::STRUCT_DEFS, self.tenant, name, version);
        self.view.get_decoded(&key, |raw| {
            let found: StructDef = decode(raw)?;
            Some(found.struct_def.unwrap_or_default())
        })
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        let last = self
            .view
            .last_key(&key::versions(key::STRUCT_DEFS, self.tenant, name))?;
        let found: StructDef = decode(&self.view.get(&last)?)?;
        Some(found.id?.version)
    }
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
        if let Some(NodeKind::WaitForCondition(wait)) = &node.node {
            match &wait.node_condition {
                Some(NodeCondition::Condition(condition)) => used.assignment(condition),
                Some(NodeCondition::LegacyCondition(condition)) => used.legacy_condition(condition),
                None => {}
            }
        }
        assignments::of_node(node, &mut |_, assignment| used.assignment(assignment));
    }
    used
}

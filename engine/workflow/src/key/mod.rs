//! Where the rows of the workflow schema live. Format: `docs/formats.md`, "Rows".
//!
//! The family of one WfRun is adjacent: `RUNS | tenant | root id | (CHILD | id)* | kind | …`, so that a run is read,
//! and deleted, in one place. Numbers are big-endian: order is numeric.

mod guid;
mod place;
mod row;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use index::KeyRange;
use index::key::KeyWriter;
use proto::littlehorse::{QuotaId, WfRunId};

pub use guid::{TaskGuid, UserTaskAt};
pub use place::{EventAt, NodeAt, OutputAt, Place, ThreadAt, VariableAt, WfRunAt};
pub use row::{Row, RunRow};
pub(crate) use row::{kind_of, task_run_of_root, tenant_of_run};

/// First byte of the rows of WfRuns.
pub const RUNS: u8 = 0x10;
/// First byte of the rows of TaskDefs' workers.
pub const WORKER_GROUPS: u8 = 0x20;
/// CorrelatedEvents: tenant, key, definition's name.
pub const CORRELATED_EVENTS: u8 = 0x21;
/// NodeRuns that wait for a CorrelatedEvent: tenant, key, definition's name, WfRun, thread, position.
pub const CORRELATION_WAITERS: u8 = 0x22;
/// ScheduledWfRuns: tenant, id.
pub const SCHEDULES: u8 = 0x23;
/// Metrics of one minute: tenant, kind, start, WfSpec or TaskDef.
pub const METRICS: u8 = 0x26;
/// How many there are of something: tenant, what, of which definition.
pub const COUNTERS: u8 = 0x27;
/// First byte of the metadata rows, in the metadata group.
pub const TENANTS: u8 = 0x40;
/// Principals.
pub const PRINCIPALS: u8 = 0x41;
/// Whether the cluster was bootstrapped.
pub const BOOTSTRAP: u8 = 0x42;
/// TaskDefs: tenant, name.
pub const TASK_DEFS: u8 = 0x48;
/// ExternalEventDefs: tenant, name.
pub const EXTERNAL_EVENT_DEFS: u8 = 0x49;
/// WfSpecs: tenant, name, major version, revision.
pub const WF_SPECS: u8 = 0x4A;
/// Deleted WfSpecs, kept for the WfRuns that still run on them.
pub const RETIRED_WF_SPECS: u8 = 0x4B;
/// WorkflowEventDefs: tenant, name.
pub const WORKFLOW_EVENT_DEFS: u8 = 0x4C;
/// StructDefs: tenant, name, version.
pub const STRUCT_DEFS: u8 = 0x4D;
/// UserTaskDefs: tenant, name, version.
pub const USER_TASK_DEFS: u8 = 0x4E;
/// The highest version that a UserTaskDef ever had: tenant, name. Deletions do not lower it.
pub const USER_TASK_DEF_MARKS: u8 = 0x4F;
/// WorkflowMigrationPlans: tenant, name.
pub const MIGRATION_PLANS: u8 = 0x50;
/// BulkJobs: tenant, id.
pub const BULK_JOBS: u8 = 0x51;
/// Quotas: tenant, and 1 and the principal's id, or 0 for the tenant's own.
pub const QUOTAS: u8 = 0x52;

/// Before each id of a child WfRun; above every kind, so that a run's own rows come first.
pub(crate) const CHILD: u8 = 0xF0;

/// What a row of a WfRun is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The WfRun itself.
    WfRun = 0x01,
    /// An active ThreadRun: number.
    ThreadRun = 0x02,
    /// An archived ThreadRun: number.
    InactiveThreadRun = 0x03,
    /// A variable: thread number, name.
    Variable = 0x10,
    /// A NodeRun: thread number, position.
    NodeRun = 0x11,
    /// A TaskRun: 0 and thread, position; or 1 and thread, position, event number for a reminder.
    TaskRun = 0x12,
    /// A checkpoint: the TaskRun's part, checkpoint number.
    Checkpoint = 0x13,
    /// Which NodeRun holds the latest output of a node: thread number, node name.
    NodeOutput = 0x14,
    /// An ExternalEvent: definition's name, guid.
    ExternalEvent = 0x15,
    /// An ExternalEvent that nobody has claimed yet: definition's name, time, order of arrival. Value: guid.
    UnclaimedEvent = 0x16,
    /// A WorkflowEvent: definition's name, number.
    WorkflowEvent = 0x17,
    /// An EXTERNAL_EVENT NodeRun, for its index: thread number, position.
    EventNode = 0x18,
    /// A UserTaskRun: thread number, position.
    UserTaskRun = 0x1C,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::WfRun,
        Kind::ThreadRun,
        Kind::InactiveThreadRun,
        Kind::Variable,
        Kind::NodeRun,
        Kind::TaskRun,
        Kind::Checkpoint,
        Kind::NodeOutput,
        Kind::ExternalEvent,
        Kind::UnclaimedEvent,
        Kind::WorkflowEvent,
        Kind::EventNode,
        Kind::UserTaskRun,
    ];

    fn from_u8(raw: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == raw)
    }
}

/// The key prefix of one WfRun's rows.
#[derive(Debug, Clone, Eq, PartialOrd, Ord)]
pub struct RunKey {
    prefix: Bytes,
}

impl PartialEq for RunKey {
    fn eq(&self, other: &RunKey) -> bool {
        // Mostly it is the same one.
        (self.prefix.as_ptr() == other.prefix.as_ptr() && self.prefix.len() == other.prefix.len())
            || self.prefix == other.prefix
    }
}

impl RunKey {
    /// Of the run with this id (its whole chain of parents counts).
    pub fn new(tenant: &str, id: &WfRunId) -> RunKey {
        let mut chain = vec![id];
        while let Some(parent) = chain[chain.len() - 1].parent_wf_run_id.as_deref() {
            chain.push(parent);
        }
        let mut writer = KeyWriter::new();
        writer.u8(RUNS).str(tenant);
        for (depth, id) in chain.iter().rev().enumerate() {
            if depth > 0 {
                writer.u8(CHILD);
            }
            writer.str(&id.id);
        }
        RunKey {
            prefix: writer.finish(),
        }
    }

    /// The prefix itself: the run's own rows, then its children's.
    pub fn as_bytes(&self) -> &Bytes {
        &self.prefix
    }

    fn row(&self, kind: Kind) -> KeyWriter {
        let mut writer = KeyWriter::from_prefix(&self.prefix);
        writer.u8(kind as u8);
        writer
    }

    /// All rows of one kind.
    pub fn all(&self, kind: Kind) -> KeyRange {
        KeyRange::prefix(&self.row(kind).finish())
    }

    /// All rows of one kind and thread.
    pub fn of_thread(&self, kind: Kind, thread: i32) -> KeyRange {
        KeyRange::prefix(&self.row(kind).i32(thread).finish())
    }

    /// All rows of the run itself, without its children's.
    pub fn own_rows(&self) -> KeyRange {
        KeyRange {
            start: std::ops::Bound::Included(self.prefix.clone()),
            end: std::ops::Bound::Excluded(KeyWriter::from_prefix(&self.prefix).u8(CHILD).finish()),
        }
    }

    /// The WfRun.
    pub fn wf_run(&self) -> KeyWriter {
        self.row(Kind::WfRun)
    }

    /// An active ThreadRun.
    pub fn thread_run(&self, number: i32) -> KeyWriter {
        let mut key = self.row(Kind::ThreadRun);
        key.i32(number);
        key
    }

    /// An archived ThreadRun.
    pub fn inactive_thread_run(&self, number: i32) -> KeyWriter {
        let mut key = self.row(Kind::InactiveThreadRun);
        key.i32(number);
        key
    }

    /// A variable.
    pub fn variable(&self, thread: i32, name: &str) -> KeyWriter {
        let mut key = self.row(Kind::Variable);
        key.i32(thread).str(name);
        key
    }

    /// A NodeRun.
    pub fn node_run(&self, thread: i32, position: i32) -> KeyWriter {
        let mut key = self.row(Kind::NodeRun);
        key.i32(thread).i32(position);
        key
    }

    /// See [`Kind::EventNode`].
    pub fn event_node(&self, thread: i32, position: i32) -> KeyWriter {
        let mut key = self.row(Kind::EventNode);
        key.i32(thread).i32(position);
        key
    }

    /// A TaskRun.
    pub fn task_run(&self, guid: TaskGuid) -> KeyWriter {
        let mut key = self.row(Kind::TaskRun);
        guid.write(&mut key);
        key
    }

    /// A checkpoint.
    pub fn checkpoint(&self, guid: TaskGuid, number: i32) -> KeyWriter {
        let mut key = self.row(Kind::Checkpoint);
        guid.write(&mut key);
        key.i32(number);
        key
    }

    /// The latest output of a node.
    pub fn node_output(&self, thread: i32, node: &str) -> KeyWriter {
        let mut key = self.row(Kind::NodeOutput);
        key.i32(thread).str(node);
        key
    }

    /// An ExternalEvent.
    pub fn external_event(&self, def: &str, guid: &str) -> KeyWriter {
        let mut key = self.row(Kind::ExternalEvent);
        key.str(def).str(guid);
        key
    }

    /// The mark of an unclaimed ExternalEvent.
    pub fn unclaimed_event(&self, def: &str, created_ms: i64, arrival: u64) -> KeyWriter {
        let mut key = self.row(Kind::UnclaimedEvent);
        key.str(def).i64(created_ms).u64(arrival);
        key
    }

    /// A WorkflowEvent.
    pub fn workflow_event(&self, def: &str, number: i32) -> KeyWriter {
        let mut key = self.row(Kind::WorkflowEvent);
        key.str(def).i32(number);
        key
    }

    /// The WorkflowEvents of one definition, by number.
    pub fn workflow_events(&self, def: &str) -> KeyRange {
        KeyRange::prefix(&self.row(Kind::WorkflowEvent).str(def).finish())
    }

    /// A UserTaskRun.
    pub fn user_task_run(&self, at: UserTaskAt) -> KeyWriter {
        let mut key = self.row(Kind::UserTaskRun);
        key.i32(at.thread).i32(at.position);
        key
    }

    /// The unclaimed ExternalEvents of one definition, oldest first.
    pub fn unclaimed_events(&self, def: &str) -> KeyRange {
        KeyRange::prefix(&self.row(Kind::UnclaimedEvent).str(def).finish())
    }
}

/// A tenant-scoped definition that has no versions, such as a TaskDef; also the workers of a TaskDef.
pub fn named(table: u8, tenant: &str, name: &str) -> Bytes {
    KeyWriter::new().u8(table).str(tenant).str(name).finish()
}

/// A quota.
pub fn quota(id: &QuotaId) -> Bytes {
    let mut key = quotas(id.tenant.as_ref().map_or("", |tenant| &tenant.id));
    match &id.principal {
        None => key.u8(0),
        Some(principal) => key.u8(1).str(&principal.id),
    };
    key.finish()
}

/// The quotas of a tenant.
pub fn quotas(tenant: &str) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(QUOTAS).str(tenant);
    key
}

/// A CorrelatedEvent.
pub fn correlated_event(tenant: &str, key: &str, def: &str) -> Bytes {
    let mut writer = KeyWriter::new();
    writer.u8(CORRELATED_EVENTS).str(tenant).str(key).str(def);
    writer.finish()
}

/// Those who wait for a CorrelatedEvent.
pub fn correlation_waiters(tenant: &str, key: &str, def: &str) -> KeyWriter {
    let mut writer = KeyWriter::new();
    writer.u8(CORRELATION_WAITERS).str(tenant).str(key).str(def);
    writer
}

/// All definitions of a tenant in a table whose name begins with `prefix`.
pub fn named_prefix(table: u8, tenant: &str, prefix: &str) -> KeyRange {
    KeyRange::prefix(
        &KeyWriter::new()
            .u8(table)
            .str(tenant)
            .open_str(prefix)
            .finish(),
    )
}

/// One version of a definition whose versions have one number: StructDef, UserTaskDef.
pub fn versioned(table: u8, tenant: &str, name: &str, version: i32) -> Bytes {
    let mut key = KeyWriter::new();
    key.u8(table).str(tenant).str(name).i32(version).finish()
}

/// All versions of such a definition, ascending.
pub fn versions(table: u8, tenant: &str, name: &str) -> KeyRange {
    KeyRange::prefix(&KeyWriter::new().u8(table).str(tenant).str(name).finish())
}

/// A cluster-scoped object.
pub fn global(table: u8, id: &str) -> Bytes {
    KeyWriter::new().u8(table).str(id).finish()
}

/// One version of a WfSpec.
pub fn wf_spec(tenant: &str, name: &str, major: i32, revision: i32) -> Bytes {
    version_of_wf_spec(WF_SPECS, tenant, name, major, revision).finish()
}

/// A deleted version of a WfSpec. Its number may be taken again, and that one deleted too: its time of creation tells them
/// apart.
pub fn retired_wf_spec(
    tenant: &str,
    name: &str,
    major: i32,
    revision: i32,
    created_ms: i64,
) -> Bytes {
    version_of_wf_spec(RETIRED_WF_SPECS, tenant, name, major, revision)
        .i64(created_ms)
        .finish()
}

/// The deleted WfSpecs that had a number, oldest first.
pub fn retired_wf_specs(tenant: &str, name: &str, major: i32, revision: i32) -> KeyRange {
    let number = version_of_wf_spec(RETIRED_WF_SPECS, tenant, name, major, revision);
    KeyRange::prefix(&number.finish())
}

fn version_of_wf_spec(table: u8, tenant: &str, name: &str, major: i32, revision: i32) -> KeyWriter {
    let mut key = KeyWriter::new();
    key.u8(table).str(tenant).str(name).i32(major).i32(revision);
    key
}

/// All versions of a WfSpec, ascending; of one major version if given.
pub fn wf_spec_versions(tenant: &str, name: &str, major: Option<i32>) -> KeyRange {
    let mut versions = KeyWriter::new();
    versions.u8(WF_SPECS).str(tenant).str(name);
    if let Some(major) = major {
        versions.i32(major);
    }
    KeyRange::prefix(&versions.finish())
}

/// The queue of one TaskDef's tasks.
pub fn task_queue(tenant: &str, task_def: &str) -> Bytes {
    KeyWriter::new().str(tenant).str(task_def).finish()
}

/// What decides the group of everything about a WfRun and its descendants: the id of the root run.
pub fn route_of_run(id: &WfRunId) -> &str {
    let mut root = id;
    while let Some(parent) = root.parent_wf_run_id.as_deref() {
        root = parent;
    }
    &root.id
}

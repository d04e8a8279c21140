//! Where the rows of the workflow schema live. Format: `docs/formats.md`, "Rows".
//!
//! The family of one WfRun is adjacent: `RUNS | tenant | root id | (CHILD | id)* | kind | …`, so that a run is read,
//! and deleted, in one place. Numbers are big-endian: order is numeric.

use bytes::Bytes;
use index::KeyRange;
use index::key::{KeyError, KeyReader, KeyWriter};
use proto::littlehorse::WfRunId;

/// First byte of the rows of WfRuns.
pub const RUNS: u8 = 0x10;
/// First byte of the rows of TaskDefs' workers.
pub const WORKER_GROUPS: u8 = 0x20;
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
}

impl Kind {
    const ALL: [Kind; 10] = [
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
    ];

    fn from_u8(raw: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == raw)
    }
}

/// The key prefix of one WfRun's rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    prefix: Bytes,
}

impl RunKey {
    /// Of the run with this id (its whole chain of parents counts).
    pub fn new(tenant: &str, id: &WfRunId) -> RunKey {
        let mut chain = vec![id];
        while let Some(parent) = chain[chain.len() - 1].parent_wf_run_id.as_deref() {
            chain.push(parent);
        }
        let mut writer = KeyWriter::new().u8(RUNS).str(tenant);
        for (depth, id) in chain.iter().rev().enumerate() {
            if depth > 0 {
                writer = writer.u8(CHILD);
            }
            writer = writer.str(&id.id);
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
        KeyWriter::from_prefix(&self.prefix).u8(kind as u8)
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
    pub fn wf_run(&self) -> Bytes {
        self.row(Kind::WfRun).finish()
    }

    /// An active ThreadRun.
    pub fn thread_run(&self, number: i32) -> Bytes {
        self.row(Kind::ThreadRun).i32(number).finish()
    }

    /// An archived ThreadRun.
    pub fn inactive_thread_run(&self, number: i32) -> Bytes {
        self.row(Kind::InactiveThreadRun).i32(number).finish()
    }

    /// A variable.
    pub fn variable(&self, thread: i32, name: &str) -> Bytes {
        self.row(Kind::Variable).i32(thread).str(name).finish()
    }

    /// A NodeRun.
    pub fn node_run(&self, thread: i32, position: i32) -> Bytes {
        self.row(Kind::NodeRun).i32(thread).i32(position).finish()
    }

    /// A TaskRun; `None` for a guid that no TaskRun can have.
    pub fn task_run(&self, guid: &str) -> Option<Bytes> {
        Some(
            TaskGuid::parse(guid)?
                .write(self.row(Kind::TaskRun))
                .finish(),
        )
    }

    /// A checkpoint; `None` for a guid that no TaskRun can have.
    pub fn checkpoint(&self, guid: &str, number: i32) -> Option<Bytes> {
        Some(
            TaskGuid::parse(guid)?
                .write(self.row(Kind::Checkpoint))
                .i32(number)
                .finish(),
        )
    }

    /// The latest output of a node.
    pub fn node_output(&self, thread: i32, node: &str) -> Bytes {
        self.row(Kind::NodeOutput).i32(thread).str(node).finish()
    }

    /// An ExternalEvent.
    pub fn external_event(&self, def: &str, guid: &str) -> Bytes {
        self.row(Kind::ExternalEvent).str(def).str(guid).finish()
    }

    /// The mark of an unclaimed ExternalEvent.
    pub fn unclaimed_event(&self, def: &str, created_ms: i64, arrival: u64) -> Bytes {
        self.row(Kind::UnclaimedEvent)
            .str(def)
            .i64(created_ms)
            .u64(arrival)
            .finish()
    }

    /// The unclaimed ExternalEvents of one definition, oldest first.
    pub fn unclaimed_events(&self, def: &str) -> KeyRange {
        KeyRange::prefix(&self.row(Kind::UnclaimedEvent).str(def).finish())
    }
}

/// `TaskRunId.task_guid`: `<thread>-<position>`, or `ut-<thread>-<position>-<n>` for a reminder (spec 04, section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskGuid {
    thread: i32,
    position: i32,
    reminder: Option<i32>,
}

impl TaskGuid {
    /// Of the TaskRun of a TASK node.
    pub fn of_node(thread: i32, position: i32) -> TaskGuid {
        TaskGuid {
            thread,
            position,
            reminder: None,
        }
    }

    /// Reads the text form; only the canonical one is accepted, so that one TaskRun has one key.
    pub fn parse(text: &str) -> Option<TaskGuid> {
        let (numbers, is_reminder) = match text.strip_prefix("ut-") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut parts = numbers.split('-').map(|part| part.parse::<i32>().ok());
        let guid = TaskGuid {
            thread: parts.next()??,
            position: parts.next()??,
            reminder: if is_reminder {
                Some(parts.next()??)
            } else {
                None
            },
        };
        (parts.next().is_none() && guid.to_string() == text).then_some(guid)
    }

    fn write(self, writer: KeyWriter) -> KeyWriter {
        match self.reminder {
            None => writer.u8(0).i32(self.thread).i32(self.position),
            Some(n) => writer.u8(1).i32(self.thread).i32(self.position).i32(n),
        }
    }

    fn read(reader: &mut KeyReader<'_>) -> Result<TaskGuid, KeyError> {
        let is_reminder = reader.u8()? == 1;
        Ok(TaskGuid {
            thread: reader.i32()?,
            position: reader.i32()?,
            reminder: if is_reminder {
                Some(reader.i32()?)
            } else {
                None
            },
        })
    }
}

impl std::fmt::Display for TaskGuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reminder {
            None => write!(f, "{}-{}", self.thread, self.position),
            Some(n) => write!(f, "ut-{}-{}-{n}", self.thread, self.position),
        }
    }
}

/// What a key of a WfRun's row says.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Whose it is.
    pub tenant: String,
    /// Which run.
    pub wf_run_id: WfRunId,
    /// Which row.
    pub row: Row,
}

/// The part of a row's key behind the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// See [`Kind::WfRun`].
    WfRun,
    /// See [`Kind::ThreadRun`] and [`Kind::InactiveThreadRun`].
    ThreadRun {
        /// Its number.
        number: i32,
        /// Whether it is archived.
        archived: bool,
    },
    /// See [`Kind::Variable`].
    Variable {
        /// Its thread.
        thread: i32,
        /// Its name.
        name: String,
    },
    /// See [`Kind::NodeRun`].
    NodeRun {
        /// Its thread.
        thread: i32,
        /// Its position.
        position: i32,
    },
    /// See [`Kind::TaskRun`].
    TaskRun {
        /// `TaskRunId.task_guid`.
        guid: String,
    },
    /// See [`Kind::Checkpoint`].
    Checkpoint {
        /// `TaskRunId.task_guid`.
        guid: String,
        /// `CheckpointId.checkpoint_number`.
        number: i32,
    },
    /// See [`Kind::NodeOutput`].
    NodeOutput,
    /// See [`Kind::ExternalEvent`].
    ExternalEvent {
        /// Its definition's name.
        def: String,
        /// Its guid.
        guid: String,
    },
    /// See [`Kind::UnclaimedEvent`].
    UnclaimedEvent,
}

impl RunRow {
    /// Reads the key of a WfRun's row; `None` for a key of something else.
    pub fn parse(key: &[u8]) -> Result<Option<RunRow>, KeyError> {
        let mut reader = KeyReader::new(key);
        if reader.u8()? != RUNS {
            return Ok(None);
        }
        let tenant = reader.str()?;
        let mut wf_run_id = WfRunId {
            id: reader.str()?,
            parent_wf_run_id: None,
        };
        let mut kind = reader.u8()?;
        while kind == CHILD {
            wf_run_id = WfRunId {
                id: reader.str()?,
                parent_wf_run_id: Some(Box::new(wf_run_id)),
            };
            kind = reader.u8()?;
        }
        let Some(kind) = Kind::from_u8(kind) else {
            return Ok(None);
        };
        let row = match kind {
            Kind::WfRun => Row::WfRun,
            Kind::ThreadRun => Row::ThreadRun {
                number: reader.i32()?,
                archived: false,
            },
            Kind::InactiveThreadRun => Row::ThreadRun {
                number: reader.i32()?,
                archived: true,
            },
            Kind::Variable => Row::Variable {
                thread: reader.i32()?,
                name: reader.str()?,
            },
            Kind::NodeRun => Row::NodeRun {
                thread: reader.i32()?,
                position: reader.i32()?,
            },
            Kind::TaskRun => Row::TaskRun {
                guid: TaskGuid::read(&mut reader)?.to_string(),
            },
            Kind::Checkpoint => Row::Checkpoint {
                guid: TaskGuid::read(&mut reader)?.to_string(),
                number: reader.i32()?,
            },
            Kind::NodeOutput => Row::NodeOutput,
            Kind::ExternalEvent => Row::ExternalEvent {
                def: reader.str()?,
                guid: reader.str()?,
            },
            Kind::UnclaimedEvent => Row::UnclaimedEvent,
        };
        Ok(Some(RunRow {
            tenant,
            wf_run_id,
            row,
        }))
    }
}

/// A tenant-scoped definition that has no versions: TaskDef, ExternalEventDef; also the workers of a TaskDef.
pub fn named(table: u8, tenant: &str, name: &str) -> Bytes {
    KeyWriter::new().u8(table).str(tenant).str(name).finish()
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

/// A cluster-scoped object.
pub fn global(table: u8, id: &str) -> Bytes {
    KeyWriter::new().u8(table).str(id).finish()
}

/// One version of a WfSpec, live or retired.
pub fn wf_spec(table: u8, tenant: &str, name: &str, major: i32, revision: i32) -> Bytes {
    KeyWriter::new()
        .u8(table)
        .str(tenant)
        .str(name)
        .i32(major)
        .i32(revision)
        .finish()
}

/// All versions of a WfSpec, ascending; of one major version if given.
pub fn wf_spec_versions(tenant: &str, name: &str, major: Option<i32>) -> KeyRange {
    let writer = KeyWriter::new().u8(WF_SPECS).str(tenant).str(name);
    KeyRange::prefix(&match major {
        Some(major) => writer.i32(major).finish(),
        None => writer.finish(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(chain: &[&str]) -> WfRunId {
        let mut id = WfRunId {
            id: chain[0].to_owned(),
            parent_wf_run_id: None,
        };
        for part in &chain[1..] {
            id = WfRunId {
                id: (*part).to_owned(),
                parent_wf_run_id: Some(Box::new(id)),
            };
        }
        id
    }

    #[test]
    fn keys_say_what_they_are() {
        for chain in [
            &["root"][..],
            &["root", "child"],
            &["root", "child", "grandchild"],
        ] {
            let run = RunKey::new("tenant", &id(chain));
            let rows = [
                (run.wf_run(), Row::WfRun),
                (
                    run.thread_run(3),
                    Row::ThreadRun {
                        number: 3,
                        archived: false,
                    },
                ),
                (
                    run.inactive_thread_run(4),
                    Row::ThreadRun {
                        number: 4,
                        archived: true,
                    },
                ),
                (
                    run.variable(1, "x\0y"),
                    Row::Variable {
                        thread: 1,
                        name: "x\0y".to_owned(),
                    },
                ),
                (
                    run.node_run(0, 12),
                    Row::NodeRun {
                        thread: 0,
                        position: 12,
                    },
                ),
                (
                    run.task_run("0-12").expect("a guid"),
                    Row::TaskRun {
                        guid: "0-12".to_owned(),
                    },
                ),
                (
                    run.task_run("ut-0-12-3").expect("a guid"),
                    Row::TaskRun {
                        guid: "ut-0-12-3".to_owned(),
                    },
                ),
                (
                    run.checkpoint("0-12", 7).expect("a guid"),
                    Row::Checkpoint {
                        guid: "0-12".to_owned(),
                        number: 7,
                    },
                ),
                (
                    run.external_event("def", "g"),
                    Row::ExternalEvent {
                        def: "def".to_owned(),
                        guid: "g".to_owned(),
                    },
                ),
            ];
            for (key, row) in rows {
                let parsed = RunRow::parse(&key).expect("own key").expect("a run's row");
                assert_eq!(
                    parsed,
                    RunRow {
                        tenant: "tenant".to_owned(),
                        wf_run_id: id(chain),
                        row
                    }
                );
            }
        }
    }

    #[test]
    fn own_rows_leave_children_out_and_positions_order_numerically() {
        let run = RunKey::new("t", &id(&["root"]));
        let child = RunKey::new("t", &id(&["root", "child"]));
        let end = match run.own_rows().end {
            std::ops::Bound::Excluded(end) => end,
            other => panic!("{other:?}"),
        };
        assert!(run.unclaimed_event("z", i64::MAX, u64::MAX) < end);
        assert!(child.wf_run() > end);
        assert!(run.node_run(0, 9) < run.node_run(0, 10));
        assert!(run.task_run("0-9") < run.task_run("0-10"));
        assert!(
            run.task_run("9-9") < run.task_run("ut-0-1-0"),
            "reminders come last"
        );
    }

    #[test]
    fn only_canonical_guids_have_keys() {
        for bad in [
            "",
            "0",
            "0-",
            "-0",
            "0-1-2",
            "00-1",
            "0-01",
            "+0-1",
            "ut-0-1",
            "ut-0-1-2-3",
            "x-1",
            "0-1 ",
            "99999999999-1",
        ] {
            assert_eq!(TaskGuid::parse(bad), None, "{bad:?}");
        }
        assert_eq!(TaskGuid::parse("2-17"), Some(TaskGuid::of_node(2, 17)));
    }
}

//! Keys read back.

use index::key::{KeyError, KeyReader};
use proto::littlehorse::WfRunId;

use super::{CHILD, Kind, RUNS, TaskGuid, UserTaskAt};

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
        guid: TaskGuid,
    },
    /// See [`Kind::Checkpoint`].
    Checkpoint {
        /// `TaskRunId.task_guid`.
        guid: TaskGuid,
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
    /// See [`Kind::WorkflowEvent`].
    WorkflowEvent {
        /// Its definition's name.
        def: String,
        /// `WorkflowEventId.number`.
        number: i32,
    },
    /// See [`Kind::EventNode`].
    EventNode {
        /// Its thread.
        thread: i32,
        /// Its position.
        position: i32,
    },
    /// See [`Kind::UserTaskRun`].
    UserTaskRun {
        /// `UserTaskRunId.user_task_guid`.
        at: UserTaskAt,
    },
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
                guid: TaskGuid::read(&mut reader)?,
            },
            Kind::Checkpoint => Row::Checkpoint {
                guid: TaskGuid::read(&mut reader)?,
                number: reader.i32()?,
            },
            Kind::NodeOutput => Row::NodeOutput,
            Kind::ExternalEvent => Row::ExternalEvent {
                def: reader.str()?,
                guid: reader.str()?,
            },
            Kind::UnclaimedEvent => Row::UnclaimedEvent,
            Kind::WorkflowEvent => Row::WorkflowEvent {
                def: reader.str()?,
                number: reader.i32()?,
            },
            Kind::EventNode => Row::EventNode {
                thread: reader.i32()?,
                position: reader.i32()?,
            },
            Kind::UserTaskRun => Row::UserTaskRun {
                at: UserTaskAt::read(&mut reader)?,
            },
        };
        // Two keys that say the same would share their index entries. (The rest of these two is not read.)
        if !matches!(row, Row::NodeOutput | Row::UnclaimedEvent) && !reader.rest().is_empty() {
            return Err(reader.malformed());
        }
        Ok(Some(RunRow {
            tenant,
            wf_run_id,
            row,
        }))
    }
}

/// The kind byte of a run's row: behind the tenant, the root's id and the children's.
pub(crate) fn kind_of(key: &[u8]) -> Option<u8> {
    let mut at = 1;
    for _ in 0..2 {
        at = end_of_string(key, at)?;
    }
    while *key.get(at)? == CHILD {
        at = end_of_string(key, at + 1)?;
    }
    key.get(at).copied()
}

/// The tenant of a run's row, as it stands in the key.
pub(crate) fn tenant_of_run(key: &[u8]) -> Option<&[u8]> {
    key.get(1..end_of_string(key, 1)?)
}

/// If this is the key of a TaskRun of a WfRun without a parent: tenant and id as they stand in the key, and the TaskRun.
pub(crate) fn task_run_of_root(key: &[u8]) -> Option<(&[u8], &[u8], TaskGuid)> {
    if key.first() != Some(&RUNS) {
        return None;
    }
    let tenant_end = end_of_string(key, 1)?;
    let run_end = end_of_string(key, tenant_end)?;
    let (kind, rest) = key.get(run_end..)?.split_first()?;
    if *kind != Kind::TaskRun as u8 {
        return None;
    }
    let mut reader = KeyReader::new(rest);
    let guid = TaskGuid::read(&mut reader).ok()?;
    if !reader.rest().is_empty() {
        return None;
    }
    Some((key.get(1..tenant_end)?, key.get(tenant_end..run_end)?, guid))
}

/// Strings end in 00 01; a zero inside is 00 FF.
fn end_of_string(key: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr(0, key.get(at..)?)?;
        if *key.get(at + 1)? == 1 {
            return Some(at + 2);
        }
        at += 2;
    }
}

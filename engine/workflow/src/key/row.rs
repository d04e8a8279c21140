//! Keys read back.

use index::key::{KeyError, KeyReader};
use proto::littlehorse::WfRunId;

use super::{CHILD, Kind, RUNS, TaskGuid};

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

//! UserTaskRun: work for a person (spec 06).

use bytes::Bytes;
use index::KeyRange;
use index::key::{KeyError, KeyReader, KeyWriter};
use proto::ironhorse::v1::UserTaskRunRow;
use proto::littlehorse::{NodeRunId, UserTaskRun, UserTaskRunId, WfRunId};

use super::schema::Index;
use super::{OfRun, Row};
use crate::key::UserTaskAt;
use crate::time::timestamp_ms;

impl Row for UserTaskRunRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl OfRun for UserTaskRunRow {
    type Place = UserTaskAt;
}

/// Its id.
pub fn id(wf_run_id: WfRunId, at: UserTaskAt) -> UserTaskRunId {
    UserTaskRunId {
        wf_run_id: Some(wf_run_id),
        user_task_guid: at.to_string(),
    }
}

/// The public message, with its ids.
pub fn public(wf_run_id: WfRunId, at: UserTaskAt, row: UserTaskRunRow) -> UserTaskRun {
    let node_run_id = NodeRunId {
        wf_run_id: Some(wf_run_id.clone()),
        thread_run_number: at.thread,
        position: at.position,
    };
    UserTaskRun {
        id: Some(id(wf_run_id, at)),
        node_run_id: Some(node_run_id),
        ..row.user_task_run.unwrap_or_default()
    }
}

/// What a search asks for; at least one of them (spec 07, section 4.5).
#[derive(Debug, Clone, Copy, Default)]
pub struct Criteria<'a> {
    /// `UserTaskRun.status`.
    pub status: Option<i32>,
    /// The UserTaskDef's name, in any version.
    pub user_task_def: Option<&'a str>,
    /// `UserTaskRun.user_id`.
    pub user_id: Option<&'a str>,
    /// `UserTaskRun.user_group`.
    pub user_group: Option<&'a str>,
}

/// All UserTaskRuns that meet the criteria, by time of creation: there are entries for each set of criteria, which begin
/// with a byte that says which ones.
pub fn index_range(tenant: &str, criteria: Criteria<'_>) -> KeyRange {
    KeyRange::prefix(&index_prefix(tenant, criteria).finish())
}

fn index_prefix(tenant: &str, criteria: Criteria<'_>) -> KeyWriter {
    let Criteria {
        status,
        user_task_def,
        user_id,
        user_group,
    } = criteria;
    let texts = [user_task_def, user_id, user_group];
    let mut set = u8::from(status.is_some());
    for (bit, text) in texts.iter().enumerate() {
        set |= u8::from(text.is_some()) << (bit + 1);
    }
    let mut key = Index::UserTaskRun.prefix(tenant);
    key.u8(set);
    if let Some(status) = status {
        key.i32(status);
    }
    for text in texts.into_iter().flatten() {
        key.str(text);
    }
    key
}

/// The id that an index entry ends in, behind its criteria.
///
/// # Errors
/// The bytes are no such entry's.
pub fn id_in_entry(behind_criteria: &[u8]) -> Result<UserTaskRunId, KeyError> {
    let mut rest = KeyReader::new(behind_criteria);
    rest.i64()?;
    let wf_run_id = WfRunId::from_any_text(&rest.str()?);
    let at = UserTaskAt {
        thread: rest.i32()?,
        position: rest.i32()?,
    };
    Ok(id(wf_run_id, at))
}

pub(super) fn index_entries(
    tenant: &str,
    wf_run_id: &WfRunId,
    at: UserTaskAt,
    row: &UserTaskRunRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let Some(user_task) = &row.user_task_run else {
        return;
    };
    let run = wf_run_id.to_string();
    let scheduled = timestamp_ms(user_task.scheduled_time.as_ref());
    let def = user_task.user_task_def_id.as_ref();
    // One for each set of criteria that it can meet, but for none at all.
    for set in 1..16_u8 {
        let has = |bit: u8| set & bit != 0;
        let texts = [
            (2, def.map(|def| def.name.as_str())),
            (4, user_task.user_id.as_deref()),
            (8, user_task.user_group.as_deref()),
        ];
        if texts.iter().any(|(bit, text)| has(*bit) && text.is_none()) {
            continue;
        }
        let [user_task_def, user_id, user_group] =
            texts.map(|(bit, text)| text.filter(|_| has(bit)));
        let criteria = Criteria {
            status: has(1).then_some(user_task.status),
            user_task_def,
            user_id,
            user_group,
        };
        let mut key = index_prefix(tenant, criteria);
        key.i64(scheduled).str(&run).i32(at.thread).i32(at.position);
        emit(key.finish(), Bytes::new());
    }
}

//! Text forms of ids, and bookmarks: what clients send back to us.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use bytes::Bytes;
use proto::littlehorse as lh;
use query::{Bookmark, BookmarkError, Digest, Secret};
use workflow::key::{RunKey, RunRow, TaskGuid};

use crate::Input;

/// What is read is written so that it is read as the same.
fn same<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        let written = id.to_string();
        assert_eq!(
            written.parse::<T>().ok(),
            Some(id),
            "{text:?} is written as {written:?}"
        );
    }
}

/// One text.
pub(crate) fn ids(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    same::<lh::WfRunId>(text);
    same::<lh::WfSpecId>(text);
    same::<lh::TaskDefId>(text);
    same::<lh::ExternalEventDefId>(text);
    same::<lh::WorkflowEventDefId>(text);
    same::<lh::UserTaskDefId>(text);
    same::<lh::StructDefId>(text);
    same::<lh::PrincipalId>(text);
    same::<lh::TenantId>(text);
    same::<lh::QuotaId>(text);
    same::<lh::TaskWorkerGroupId>(text);
    same::<lh::NodeRunId>(text);
    same::<lh::VariableId>(text);
    same::<lh::TaskRunId>(text);
    same::<lh::CheckpointId>(text);
    same::<lh::UserTaskRunId>(text);
    same::<lh::ExternalEventId>(text);
    same::<lh::WorkflowEventId>(text);
    same::<lh::InactiveThreadRunId>(text);
    same::<lh::CorrelatedEventId>(text);
    let id = lh::WfRunId::from_any_text(text);
    assert!(id.to_string().len() <= text.len(), "an id grows");
    let key = RunKey::new(text, &id);
    let row = RunRow::parse(&key.wf_run());
    assert!(
        matches!(&row, Ok(Some(row)) if row.wf_run_id == id && row.tenant == text),
        "{text:?}: the key of {id:?} says {row:?}"
    );
    if let Some(guid) = TaskGuid::parse(text) {
        assert_eq!(guid.to_string(), text);
        assert!(matches!(
            RunRow::parse(&key.task_run(guid)),
            Ok(Some(RunRow { row: workflow::key::Row::TaskRun { guid: read }, .. })) if read == guid
        ));
    }
    if proto::name::is_hostname(text) || proto::name::is_tenant_id(text) {
        assert!(text.is_ascii(), "{text:?} is no name");
    }
}

/// What a search is bound to, and the rest is what a client sends as its bookmark.
pub(crate) fn bookmarks(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let digest = Digest::of(&[input.part()]);
    let sent = input.rest();
    let secret = Secret::new([7; 32]);
    match Bookmark::open(sent, digest, &secret) {
        Ok(None) => assert!(sent.is_empty()),
        Ok(Some(bookmark)) => assert_eq!(bookmark.seal(digest, &secret), sent),
        Err(BookmarkError::Invalid | BookmarkError::OtherSearch) => {}
    }
    let bookmark = Bookmark {
        after: Bytes::copy_from_slice(sent),
    };
    let sealed = bookmark.seal(digest, &secret);
    assert_eq!(Bookmark::open(&sealed, digest, &secret), Ok(Some(bookmark)));
}

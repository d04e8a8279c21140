//! ExternalEvent: something from outside for one WfRun (spec 05, section 3).

use crate::time::timestamp_ms;
use bytes::Bytes;
use index::KeyRange;
use index::key::KeyWriter;
use proto::ironhorse::v1::ExternalEventRow;
use proto::littlehorse::{ExternalEvent, ExternalEventDefId, ExternalEventId, WfRunId};

use super::schema::Index;
use super::{OfRun, Row};
use crate::key::EventAt;

impl Row for ExternalEventRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl OfRun for ExternalEventRow {
    type Place = EventAt;
}

/// Its id.
pub fn id(wf_run_id: WfRunId, def: &str, guid: &str) -> ExternalEventId {
    ExternalEventId {
        wf_run_id: Some(wf_run_id),
        external_event_def_id: Some(ExternalEventDefId {
            name: def.to_owned(),
        }),
        guid: guid.to_owned(),
    }
}

/// The public message.
pub fn public(id: ExternalEventId, row: ExternalEventRow) -> ExternalEvent {
    ExternalEvent {
        id: Some(id),
        ..row.external_event.unwrap_or_default()
    }
}

/// All ExternalEvents of a definition, claimed or not if given, by time of arrival.
pub fn index_range(tenant: &str, def: &str, claimed: Option<bool>) -> KeyRange {
    KeyRange::prefix(&index_prefix(tenant, def, claimed).finish())
}

fn index_prefix(tenant: &str, def: &str, claimed: Option<bool>) -> KeyWriter {
    let index = match claimed {
        None => Index::ExternalEventByDef,
        Some(_) => Index::ExternalEventByDefClaimed,
    };
    let mut key = index.prefix(tenant);
    key.str(def);
    if let Some(claimed) = claimed {
        key.u8(u8::from(claimed));
    }
    key
}

pub(super) fn index_entries(
    tenant: &str,
    wf_run_id: &WfRunId,
    def: &str,
    guid: &str,
    row: &ExternalEventRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let Some(event) = &row.external_event else {
        return;
    };
    let run = wf_run_id.to_string();
    let created = timestamp_ms(event.created_at.as_ref());
    for claimed in [None, Some(event.claimed)] {
        let mut key = index_prefix(tenant, def, claimed);
        emit(key.i64(created).str(&run).str(guid).finish(), Bytes::new());
    }
}

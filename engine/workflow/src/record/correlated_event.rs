//! CorrelatedEvent: something from outside for whichever WfRuns wait for its key (spec 05, section 5).

use bytes::Bytes;
use index::KeyRange;
use index::key::{KeyReader, KeyWriter};
use proto::ironhorse::v1::{CorrelatedEventRow, CorrelationWaiterRow};
use proto::littlehorse::{CorrelatedEvent, CorrelatedEventId, ExternalEventDefId};

use super::Row;
use super::schema::Index;
use crate::key::CORRELATED_EVENTS;
use crate::time::timestamp_ms;

impl Row for CorrelatedEventRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl Row for CorrelationWaiterRow {
    fn version(&self) -> u32 {
        self.version
    }
}

/// Its id.
pub fn id(key: &str, def: &str) -> CorrelatedEventId {
    CorrelatedEventId {
        key: key.to_owned(),
        external_event_def_id: Some(ExternalEventDefId {
            name: def.to_owned(),
        }),
    }
}

/// The public message.
pub fn public(id: CorrelatedEventId, row: CorrelatedEventRow) -> CorrelatedEvent {
    CorrelatedEvent {
        id: Some(id),
        ..row.correlated_event.unwrap_or_default()
    }
}

/// All CorrelatedEvents of a definition, matched or not if given, by time of arrival.
pub fn index_range(tenant: &str, def: &str, matched: Option<bool>) -> KeyRange {
    KeyRange::prefix(&index_prefix(tenant, def, matched).finish())
}

fn index_prefix(tenant: &str, def: &str, matched: Option<bool>) -> KeyWriter {
    let index = match matched {
        None => Index::CorrelatedEventByDef,
        Some(_) => Index::CorrelatedEventByDefMatched,
    };
    let mut key = index.prefix(tenant);
    key.str(def);
    if let Some(matched) = matched {
        key.u8(u8::from(matched));
    }
    key
}

/// Tenant, key and definition of a row's key.
pub(crate) fn parse(key: &[u8]) -> Option<(String, String, String)> {
    let mut reader = KeyReader::new(key);
    if reader.u8().ok()? != CORRELATED_EVENTS {
        return None;
    }
    let parts = (reader.str().ok()?, reader.str().ok()?, reader.str().ok()?);
    reader.rest().is_empty().then_some(parts)
}

pub(super) fn index_entries(
    key: &[u8],
    row: &CorrelatedEventRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let (Some((tenant, key, def)), Some(event)) = (parse(key), &row.correlated_event) else {
        return;
    };
    let created = timestamp_ms(event.created_at.as_ref());
    for matched in [None, Some(!event.external_events.is_empty())] {
        let mut entry = index_prefix(&tenant, &def, matched);
        emit(entry.i64(created).str(&key).finish(), Bytes::new());
    }
}

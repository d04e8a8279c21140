//! What is counted and timed (spec 07, sections 6 and 7).
//!
//! Commands note each event; at the end of a batch the notes are added to rows of the group, a row for each minute and
//! definition ([`window`]) and one for each thing that is counted ([`counter`]). Who asks adds up what the groups have.

pub mod counter;
pub mod window;

use std::collections::BTreeMap;

use bytes::Bytes;
use runtime::{Context, Note, Rejection};

use crate::key::{COUNTERS, METRICS};
use crate::settings::Settings;

/// Adds what a batch has noted to the stored rows.
pub(crate) fn close(
    context: &mut Context<'_>,
    settings: &Settings,
    notes: Vec<Note>,
) -> Result<(), Rejection> {
    let mut rows: BTreeMap<Bytes, Vec<(u8, i64)>> = BTreeMap::new();
    for note in notes {
        // The last byte says which number of the row.
        let Some((field, row)) = note.key.split_last() else {
            continue;
        };
        if let Some(known) = rows.get_mut(row) {
            known.push((*field, note.value));
        } else {
            rows.insert(note.key.slice(..row.len()), vec![(*field, note.value)]);
        }
    }
    for (key, values) in rows {
        match key.first() {
            Some(&METRICS) => window::add(context, settings, key, &values)?,
            Some(&COUNTERS) => counter::add(context, key, &values)?,
            _ => return Err(Rejection::internal("a note of no kind")),
        }
    }
    Ok(())
}

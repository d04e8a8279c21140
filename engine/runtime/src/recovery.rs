//! Becoming the owner of a group: fence, barrier, replay.

use std::sync::mpsc;
use std::time::Duration;

use index::{Applied, Store, changelog};
use wal::{GroupId, Log, Outcome, Partition, Position, Transaction, WalError, Writer, WriterId};

use crate::EngineError;

/// How many records of the changelog are read at a time.
const READ_RECORDS: usize = 4096;
const READ_BYTES: usize = 4 << 20;
/// How often a barrier is tried again when its commit was aborted or its outcome is unknown.
const BARRIER_TRIES: usize = 10;

/// What a replay came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub batches: u64,
    pub records: u64,
}

/// Opens the group's writer, which fences every earlier owner, commits a barrier, and applies the changelog up to it:
/// the store is then the fold of all committed changes. Returns the writer and the term (the barrier's position).
pub(crate) fn take_over(
    log: &dyn Log,
    id: GroupId,
    store: &mut Store,
) -> Result<(Box<dyn Writer>, Position, Replayed), EngineError> {
    let writer_id = WriterId(format!("group.{id}"));
    for _ in 0..BARRIER_TRIES {
        let mut writer = log.open_writer(&writer_id)?;
        let (sender, receiver) = mpsc::channel();
        let barrier = Transaction {
            records: vec![(Partition::changelog(id), changelog::barrier_record())],
        };
        writer.commit(
            barrier,
            Box::new(move |outcome| {
                // The receiver is waiting below.
                let _ = sender.send(outcome);
            }),
        )?;
        match receiver.recv().map_err(|_| WalError::Closed)? {
            Outcome::Committed(term) => {
                let replayed = replay(log, id, store, term)?;
                return Ok((writer, term, replayed));
            }
            Outcome::Fenced => return Err(WalError::Fenced(writer_id.0).into()),
            Outcome::Aborted | Outcome::Unknown => {
                tracing::warn!(group = %id, "the barrier's commit did not end well; opening the writer anew");
            }
        }
    }
    Err(EngineError::Start(format!(
        "group {id}: no barrier could be committed in {BARRIER_TRIES} tries"
    )))
}

/// Applies whole batches of the changelog from the store's applied position up to `until`.
fn replay(
    log: &dyn Log,
    id: GroupId,
    store: &mut Store,
    until: Position,
) -> Result<Replayed, EngineError> {
    let after = store
        .applied()
        .map_or(Position::START, |applied| applied.position);
    let mut reader = log.open_reader(Partition::changelog(id), after)?;
    let mut replayed = Replayed::default();
    let mut batch = Vec::new();
    loop {
        let records = reader.poll(READ_RECORDS, READ_BYTES)?;
        if records.is_empty() {
            // Committed, but not visible yet: markers on Kafka, a delay in tests.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        for (position, record) in records {
            match changelog::decode(&record)? {
                changelog::Entry::Change(change) => batch.push(change),
                changelog::Entry::Commit(commit) => {
                    replayed.batches += 1;
                    replayed.records += batch.len() as u64;
                    store.apply(std::mem::take(&mut batch), Applied { position, commit })?;
                }
                changelog::Entry::Barrier => {}
            }
            if position >= until {
                return Ok(replayed);
            }
        }
    }
}

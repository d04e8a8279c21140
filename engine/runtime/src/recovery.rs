//! Becoming the owner of a group: fence, barrier, replay.

use std::sync::mpsc;
use std::time::Duration;

use index::changelog::{self, Change};
use index::{Applied, Store};
use wal::{
    GroupId, Log, Outcome, Partition, Position, Reader, Transaction, WalError, Writer, WriterId,
};

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
    let mut changelog = Changelog::open(log, id, store)?;
    while changelog.position < until {
        if !changelog.apply(store)? {
            // Committed, but not visible yet: markers on Kafka, a delay in tests.
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
    Ok(changelog.replayed)
}

/// Applies every whole batch that the log shows now, from the store's applied position on, without becoming the owner:
/// for tools and tests that look at a group that nobody runs.
///
/// # Errors
/// The log does not reach back far enough, or is damaged; the store refused a change.
pub fn fold(log: &dyn Log, id: GroupId, store: &mut Store) -> Result<(), EngineError> {
    let mut changelog = Changelog::open(log, id, store)?;
    while changelog.apply(store)? {}
    Ok(())
}

/// A group's changelog, read from a store's applied position on.
struct Changelog {
    reader: Box<dyn Reader>,
    /// Changes of a batch whose commit record has not come yet.
    batch: Vec<Change>,
    position: Position,
    replayed: Replayed,
}

impl Changelog {
    fn open(log: &dyn Log, id: GroupId, store: &Store) -> Result<Changelog, EngineError> {
        let after = store
            .applied()
            .map_or(Position::START, |applied| applied.position);
        Ok(Changelog {
            reader: log.open_reader(Partition::changelog(id), after)?,
            batch: Vec::new(),
            position: after,
            replayed: Replayed::default(),
        })
    }

    /// Reads some records and applies the batches that are whole. Says whether there were any.
    fn apply(&mut self, store: &mut Store) -> Result<bool, EngineError> {
        let records = self.reader.poll(READ_RECORDS, READ_BYTES)?;
        let any = !records.is_empty();
        for (position, record) in records {
            match changelog::decode(&record)? {
                changelog::Entry::Change(change) => self.batch.push(change),
                changelog::Entry::Commit(commit) => {
                    self.replayed.batches += 1;
                    self.replayed.records += self.batch.len() as u64;
                    let batch = std::mem::take(&mut self.batch);
                    store.apply(batch, Applied { position, commit })?;
                }
                changelog::Entry::Barrier => {}
            }
            self.position = position;
        }
        Ok(any)
    }
}

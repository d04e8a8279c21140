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

/// What was applied from a changelog.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Whole batches.
    pub batches: u64,
    /// Records of these batches: changed rows and commit records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// The transactional writer of a group: the same name wherever the group runs.
pub fn writer_id(group: GroupId) -> WriterId {
    WriterId(format!("group.{group}"))
}

/// Becoming the owner, as a step function: the writer is open, so every earlier owner is fenced; a barrier is on its way;
/// the changelog is applied up to it.
pub(crate) struct Fencing {
    id: GroupId,
    writer: Box<dyn Writer>,
    barrier: mpsc::Receiver<Outcome>,
    term: Option<Position>,
    tries: usize,
}

impl Fencing {
    /// Opens the group's writer and starts to commit a barrier.
    pub(crate) fn begin(log: &dyn Log, id: GroupId) -> Result<Fencing, EngineError> {
        let (writer, barrier) = Fencing::open(log, id)?;
        Ok(Fencing {
            id,
            writer,
            barrier,
            term: None,
            tries: 1,
        })
    }

    fn open(
        log: &dyn Log,
        id: GroupId,
    ) -> Result<(Box<dyn Writer>, mpsc::Receiver<Outcome>), EngineError> {
        let mut writer = log.open_writer(&writer_id(id))?;
        let (sender, receiver) = mpsc::channel();
        let barrier = Transaction {
            records: vec![(Partition::changelog(id), changelog::barrier_record())],
        };
        writer.commit(
            barrier,
            Box::new(move |outcome| {
                // Nobody listens any more if the take-over was given up.
                let _ = sender.send(outcome);
            }),
        )?;
        Ok((writer, receiver))
    }

    /// Goes as far as it can without waiting. Says whether the store holds all committed changes.
    ///
    /// # Errors
    /// Another owner has opened the writer meanwhile ([`WalError::Fenced`]); the log or the store failed.
    pub(crate) fn step(
        &mut self,
        log: &dyn Log,
        changelog: &mut Changelog,
        store: &mut Store,
    ) -> Result<bool, EngineError> {
        if self.term.is_none() {
            match self.barrier.try_recv() {
                Ok(outcome) => self.hear(log, outcome)?,
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => return Err(WalError::Closed.into()),
            }
        }
        let Some(term) = self.term else {
            // What lies before the barrier may be applied while that is on its way, if it is durable.
            if !log.shows_undurable() {
                changelog.apply(store)?;
            }
            return Ok(false);
        };
        changelog.apply(store)?;
        if changelog.barrier > term {
            return Err(WalError::Fenced(writer_id(self.id).0).into());
        }
        Ok(changelog.position >= term)
    }

    fn hear(&mut self, log: &dyn Log, outcome: Outcome) -> Result<(), EngineError> {
        match outcome {
            Outcome::Committed(term) => {
                self.term = Some(term);
                return Ok(());
            }
            Outcome::Fenced => return Err(WalError::Fenced(writer_id(self.id).0).into()),
            Outcome::Aborted | Outcome::Unknown => {}
        }
        if self.tries >= BARRIER_TRIES {
            return Err(EngineError::Start(format!(
                "group {}: no barrier could be committed in {BARRIER_TRIES} tries",
                self.id
            )));
        }
        tracing::warn!(group = %self.id, "the barrier's commit did not end well; opening the writer anew");
        self.tries += 1;
        (self.writer, self.barrier) = Fencing::open(log, self.id)?;
        Ok(())
    }

    /// The writer and the term (the barrier's position), once [`Fencing::step`] said so.
    pub(crate) fn finish(self) -> Option<(Box<dyn Writer>, Position)> {
        Some((self.writer, self.term?))
    }

    /// Steps until it is done.
    pub(crate) fn run(
        mut self,
        log: &dyn Log,
        changelog: &mut Changelog,
        store: &mut Store,
    ) -> Result<(Box<dyn Writer>, Position), EngineError> {
        while self.term.is_none() {
            let outcome = self.barrier.recv().map_err(|_| WalError::Closed)?;
            self.hear(log, outcome)?;
        }
        while !self.step(log, changelog, store)? {
            // Committed, but perhaps not visible yet: markers on Kafka, a delay in tests.
            if !changelog.moved {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        self.finish().ok_or(EngineError::Log(WalError::Closed))
    }
}

/// Starting anew from what is committed, as a step function: for the owner of a group whose commit did not end well (its
/// store has dropped what was under way), and for one that begins.
pub struct Recovery {
    fencing: Fencing,
    changelog: Changelog,
}

impl Recovery {
    /// Opens the group's writer, which fences every earlier owner, and starts to commit a barrier.
    ///
    /// # Errors
    /// [`EngineError::BaseTooOld`], and nobody is fenced; the log failed.
    pub fn begin(log: &dyn Log, id: GroupId, store: &Store) -> Result<Recovery, EngineError> {
        let changelog = Changelog::open(log, id, store)?;
        let fencing = Fencing::begin(log, id)?;
        Ok(Recovery { fencing, changelog })
    }

    /// Goes as far as it can without waiting. Says whether the store holds all committed changes.
    ///
    /// # Errors
    /// Another owner has opened the writer meanwhile ([`WalError::Fenced`]); the log or the store failed.
    pub fn step(&mut self, log: &dyn Log, store: &mut Store) -> Result<bool, EngineError> {
        self.fencing.step(log, &mut self.changelog, store)
    }

    /// The writer and the term (the barrier's position), once [`Recovery::step`] said that it is done.
    pub fn finish(self) -> Option<(Box<dyn Writer>, Position)> {
        self.fencing.finish()
    }
}

/// A [`Recovery`] to its end. Returns the writer, the term (the barrier's position) and what was applied.
pub(crate) fn take_over(
    log: &dyn Log,
    id: GroupId,
    store: &mut Store,
) -> Result<(Box<dyn Writer>, Position, Replayed), EngineError> {
    let mut recovery = Recovery::begin(log, id, store)?;
    let (writer, term) = recovery.fencing.run(log, &mut recovery.changelog, store)?;
    Ok((writer, term, recovery.changelog.replayed))
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
pub(crate) struct Changelog {
    id: GroupId,
    reader: Box<dyn Reader>,
    /// Changes of a batch whose commit record has not come yet, and their bytes.
    batch: Vec<Change>,
    batch_bytes: usize,
    /// Of the last record read.
    pub(crate) position: Position,
    pub(crate) replayed: Replayed,
    /// The last barrier read.
    barrier: Position,
    /// Whether the last [`Changelog::apply`] found records.
    moved: bool,
}

impl Changelog {
    /// # Errors
    /// [`EngineError::BaseTooOld`]: the log has dropped what the store lacks.
    pub(crate) fn open(
        log: &dyn Log,
        id: GroupId,
        store: &Store,
    ) -> Result<Changelog, EngineError> {
        let after = store
            .applied()
            .map_or(Position::START, |applied| applied.position);
        Ok(Changelog {
            id,
            reader: log
                .open_reader(Partition::changelog(id), after)
                .map_err(|error| too_old(id, store, error))?,
            batch: Vec::new(),
            batch_bytes: 0,
            position: after,
            replayed: Replayed::default(),
            barrier: Position::START,
            moved: false,
        })
    }

    /// Reads some records and applies the batches that are whole. Says whether there were any.
    pub(crate) fn apply(&mut self, store: &mut Store) -> Result<bool, EngineError> {
        let records = self
            .reader
            .poll(READ_RECORDS, READ_BYTES)
            .map_err(|error| too_old(self.id, store, error))?;
        self.moved = !records.is_empty();
        for (position, record) in records {
            self.batch_bytes += record.size();
            match changelog::decode(&record)? {
                changelog::Entry::Change(change) => self.batch.push(change),
                changelog::Entry::Commit(commit) => {
                    self.replayed.batches += 1;
                    self.replayed.records += self.batch.len() as u64 + 1;
                    self.replayed.bytes += std::mem::take(&mut self.batch_bytes) as u64;
                    let batch = std::mem::take(&mut self.batch);
                    store.apply(batch, Applied { position, commit })?;
                }
                changelog::Entry::Barrier => {
                    // Transactions are whole or absent, so no barrier is ever inside a batch.
                    if !self.batch.is_empty() {
                        let what = format!(
                            "the changelog of group {} has a batch without commit record before position {position}",
                            self.id
                        );
                        return Err(index::StoreError::Corrupt(what).into());
                    }
                    self.batch_bytes = 0;
                    self.barrier = position;
                }
            }
            self.position = position;
        }
        Ok(self.moved)
    }
}

fn too_old(group: GroupId, store: &Store, error: WalError) -> EngineError {
    match error {
        WalError::Truncated { start, .. } => EngineError::BaseTooOld {
            group,
            base: store
                .applied()
                .map_or(Position::START, |applied| applied.position),
            start,
        },
        other => other.into(),
    }
}

//! A log in memory, for tests and simulation: deterministic, and unkind when told to be.
//!
//! Positions have gaps. A test can hold commits back, decide how one ends (with both truths of an unknown outcome), delay
//! what readers of a partition see, let the writers' process die, and cut the power, which loses the plain appends that no
//! commit has made durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    Append, AppendError, Backlog, Log, Notify, OnCommit, Outcome, Partition, Position, Reader,
    Record, Transaction, WalError, Writer, WriterId,
};

/// Each record takes this much of the position space, so that nobody may count.
const GAP: u64 = 3;
const MAX_TRANSACTION: usize = 16 << 20;
const MAX_RECORD: usize = 4 << 20;

/// How a held commit is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It happened, and the writer is told so.
    Committed,
    /// It did not happen, and the writer is told so.
    Aborted,
    /// It did not happen: somebody fenced the writer.
    Fenced,
    /// It happened, but the writer cannot know.
    UnknownCommitted,
    /// It did not happen, but the writer cannot know.
    UnknownAborted,
}

struct Held {
    writer: WriterId,
    epoch: u64,
    transaction: Transaction,
    on_commit: OnCommit,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<Partition, VecDeque<(Position, Record)>>,
    starts: BTreeMap<Partition, Position>,
    notify: BTreeMap<Partition, Notify>,
    epochs: BTreeMap<WriterId, u64>,
    /// Writers of which a commit did not end well: every later one ends the same way.
    broken: BTreeMap<WriterId, Outcome>,
    held: VecDeque<Held>,
    /// Readers of these partitions see nothing after the position.
    held_back: BTreeMap<Partition, Position>,
    next: u64,
    /// What `next` was when last something was made durable: a commit takes everything before it along.
    durable: u64,
    hold: bool,
    refuse_appends: Option<AppendError>,
    bytes: u64,
}

/// See the module. Clones are the same log, so that it survives a simulated restart.
#[derive(Clone, Default)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
}

impl State {
    fn put(&mut self, partition: Partition, record: Record) -> Position {
        self.next += GAP;
        let position = Position::from_u64(self.next);
        self.bytes += record.size() as u64;
        self.partitions
            .entry(partition)
            .or_default()
            .push_back((position, record));
        position
    }

    fn apply(&mut self, transaction: Transaction) -> (Position, Vec<Notify>) {
        let mut last = Position::from_u64(self.next);
        let mut notify = Vec::new();
        for (partition, record) in transaction.records {
            last = self.put(partition, record);
            notify.extend(self.notify.get(&partition).cloned());
        }
        self.durable = self.next;
        (last, notify)
    }

    /// The records of a partition that a reader which stands at `after` may see.
    fn readable(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Iterator<Item = &(Position, Record)> {
        let until = self.held_back.get(&partition).copied();
        let records = self.partitions.get(&partition);
        let from = records.map_or(0, |records| {
            records.partition_point(|(position, _)| *position <= after)
        });
        records
            .into_iter()
            .flat_map(move |records| records.range(from..))
            .take_while(move |(position, _)| until.is_none_or(|until| *position <= until))
    }

    fn check_retained(&self, partition: Partition, after: Position) -> Result<(), WalError> {
        match self.starts.get(&partition).copied() {
            Some(start) if after < start => Err(WalError::Truncated {
                partition,
                position: after,
                start,
            }),
            _ => Ok(()),
        }
    }

    /// Why a writer may not commit any more.
    fn verdict(&self, writer: &WriterId, epoch: u64) -> Option<Outcome> {
        if self.epochs.get(writer) == Some(&epoch) {
            self.broken.get(writer).copied()
        } else {
            Some(Outcome::Fenced)
        }
    }
}

impl MemoryLog {
    /// An empty log that commits at once.
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    /// From now on commits wait for [`MemoryLog::release`].
    pub fn hold_commits(&self) {
        self.state.lock().hold = true;
    }

    /// Commits end at once again; those that are held stay held.
    pub fn commit_at_once(&self) {
        self.state.lock().hold = false;
    }

    /// How many commits are held.
    pub fn held(&self) -> usize {
        self.state.lock().held.len()
    }

    /// Ends the oldest held commit. Says whether there was one.
    pub fn release(&self, ending: Ending) -> bool {
        self.end(|_| true, ending)
    }

    /// Ends the oldest held commit of one writer. Says whether there was one.
    pub fn release_of(&self, writer: &WriterId, ending: Ending) -> bool {
        self.end(|held| held.writer == *writer, ending)
    }

    fn end(&self, which: impl Fn(&Held) -> bool, ending: Ending) -> bool {
        let mut state = self.state.lock();
        let Some(place) = state.held.iter().position(which) else {
            return false;
        };
        let Some(held) = state.held.remove(place) else {
            return false;
        };
        let verdict = state.verdict(&held.writer, held.epoch);
        let (outcome, notify) = verdict.map_or_else(
            || {
                let happens = matches!(ending, Ending::Committed | Ending::UnknownCommitted);
                let (position, notify) = if happens {
                    state.apply(held.transaction)
                } else {
                    (Position::START, Vec::new())
                };
                let outcome = match ending {
                    Ending::Committed => Outcome::Committed(position),
                    Ending::Aborted => Outcome::Aborted,
                    Ending::Fenced => Outcome::Fenced,
                    Ending::UnknownCommitted | Ending::UnknownAborted => Outcome::Unknown,
                };
                if ending != Ending::Committed {
                    state.broken.insert(held.writer, outcome);
                }
                (outcome, notify)
            },
            |verdict| (verdict, Vec::new()),
        );
        drop(state);
        for notify in notify {
            notify();
        }
        (held.on_commit)(outcome);
        true
    }

    /// From now on readers of `partition` see nothing new, as behind somebody's open transaction.
    pub fn hold_back(&self, partition: Partition) {
        let mut state = self.state.lock();
        let last = state
            .partitions
            .get(&partition)
            .and_then(VecDeque::back)
            .map_or(Position::START, |(position, _)| *position);
        state.held_back.entry(partition).or_insert(last);
    }

    /// Readers of `partition` see everything again. Says whether it was held back.
    pub fn let_through(&self, partition: Partition) -> bool {
        let mut state = self.state.lock();
        let held_back = state.held_back.remove(&partition).is_some();
        let notify = state.notify.get(&partition).cloned();
        drop(state);
        if let Some(notify) = notify {
            notify();
        }
        held_back
    }

    /// The power fails: held commits are forgotten, and so are the plain appends since the last commit, whose positions
    /// are given again to other records. Says how many records are lost.
    pub fn power_cut(&self) -> usize {
        let mut state = self.state.lock();
        state.held.clear();
        state.held_back.clear();
        let durable = Position::from_u64(state.durable);
        let mut lost = 0;
        for records in state.partitions.values_mut() {
            let kept = records.partition_point(|(position, _)| *position <= durable);
            lost += records.len() - kept;
            records.truncate(kept);
        }
        state.next = state.durable;
        lost
    }

    /// Forgets all held commits, as the death of the process would; nobody is told.
    pub fn crash(&self) {
        self.state.lock().held.clear();
    }

    /// Plain appends fail like this, or succeed again.
    pub fn refuse_appends(&self, error: Option<AppendError>) {
        self.state.lock().refuse_appends = error;
    }

    /// The records of a partition after one position and up to another, held back or not: what a test's oracle sees.
    pub fn between(
        &self,
        partition: Partition,
        after: Position,
        until: Position,
    ) -> Vec<(Position, Record)> {
        let state = self.state.lock();
        let Some(records) = state.partitions.get(&partition) else {
            return Vec::new();
        };
        let from = records.partition_point(|(position, _)| *position <= after);
        records
            .range(from..)
            .take_while(|(position, _)| *position <= until)
            .cloned()
            .collect()
    }

    /// Every record of a partition, for comparisons in tests.
    pub fn records(&self, partition: Partition) -> Vec<(Position, Record)> {
        self.state
            .lock()
            .partitions
            .get(&partition)
            .map(|records| records.iter().cloned().collect())
            .unwrap_or_default()
    }
}

impl Log for MemoryLog {
    fn append(&self, to: Partition, record: Record) -> Result<Append, AppendError> {
        let size = record.size();
        if size > MAX_RECORD {
            return Err(AppendError::TooLarge {
                size,
                limit: MAX_RECORD,
            });
        }
        let mut state = self.state.lock();
        if let Some(error) = &state.refuse_appends {
            return Err(error.clone());
        }
        let position = state.put(to, record);
        let notify = state.notify.get(&to).cloned();
        drop(state);
        if let Some(notify) = notify {
            notify();
        }
        Ok(Append::Done(position))
    }

    fn open_writer(&self, id: &WriterId) -> Result<Box<dyn Writer>, WalError> {
        let mut state = self.state.lock();
        let epoch = state.epochs.get(id).copied().unwrap_or(0) + 1;
        state.epochs.insert(id.clone(), epoch);
        state.broken.remove(id);
        // What the earlier writer left undecided did not happen.
        let (left, held) = std::mem::take(&mut state.held)
            .into_iter()
            .partition(|held| held.writer == *id);
        state.held = held;
        drop(state);
        let left: VecDeque<Held> = left;
        for held in left {
            (held.on_commit)(Outcome::Fenced);
        }
        Ok(Box::new(MemoryWriter {
            state: Arc::clone(&self.state),
            id: id.clone(),
            epoch,
        }))
    }

    fn open_reader(
        &self,
        partition: Partition,
        after: Position,
    ) -> Result<Box<dyn Reader>, WalError> {
        self.state.lock().check_retained(partition, after)?;
        Ok(Box::new(MemoryReader {
            state: Arc::clone(&self.state),
            partition,
            after,
        }))
    }

    fn subscribe(&self, partition: Partition, notify: Notify) {
        self.state.lock().notify.insert(partition, notify);
    }

    fn trim(&self, partition: Partition, up_to: Position) {
        let mut state = self.state.lock();
        if let Some(records) = state.partitions.get_mut(&partition) {
            while records
                .front()
                .is_some_and(|(position, _)| *position <= up_to)
            {
                records.pop_front();
            }
        }
        let start = state.starts.entry(partition).or_insert(Position::START);
        *start = up_to.max(*start);
    }

    fn max_transaction_bytes(&self) -> usize {
        MAX_TRANSACTION
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD
    }

    fn bytes_written(&self) -> u64 {
        self.state.lock().bytes
    }

    fn backlog(&self, partition: Partition, after: Position) -> Option<Backlog> {
        let state = self.state.lock();
        let mut backlog = Backlog::default();
        for (_, record) in state.readable(partition, after) {
            backlog.records += 1;
            backlog.bytes += record.size() as u64;
        }
        Some(backlog)
    }
}

struct MemoryWriter {
    state: Arc<Mutex<State>>,
    id: WriterId,
    epoch: u64,
}

impl Writer for MemoryWriter {
    fn commit(&mut self, transaction: Transaction, on_commit: OnCommit) -> Result<(), WalError> {
        let size = transaction
            .records
            .iter()
            .map(|(_, record)| record.size())
            .sum();
        if size > MAX_TRANSACTION {
            return Err(WalError::TooLarge {
                what: "transaction",
                size,
                limit: MAX_TRANSACTION,
            });
        }
        let mut state = self.state.lock();
        if let Some(verdict) = state.verdict(&self.id, self.epoch) {
            drop(state);
            on_commit(verdict);
            return Ok(());
        }
        if state.hold {
            state.held.push_back(Held {
                writer: self.id.clone(),
                epoch: self.epoch,
                transaction,
                on_commit,
            });
            return Ok(());
        }
        let (position, notify) = state.apply(transaction);
        drop(state);
        for notify in notify {
            notify();
        }
        on_commit(Outcome::Committed(position));
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        4
    }
}

struct MemoryReader {
    state: Arc<Mutex<State>>,
    partition: Partition,
    after: Position,
}

impl Reader for MemoryReader {
    fn poll(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Record)>, WalError> {
        let state = self.state.lock();
        // What was dropped under a reader is never passed over in silence.
        state.check_retained(self.partition, self.after)?;
        let mut bytes = 0;
        let mut taken = Vec::new();
        for (position, record) in state.readable(self.partition, self.after).take(max_records) {
            bytes += record.size();
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push((*position, record.clone()));
        }
        if let Some((last, _)) = taken.last() {
            self.after = *last;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;

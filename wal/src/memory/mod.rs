//! A log in memory, for tests and simulation: deterministic, and unkind when told to be.
//!
//! Positions have gaps. A test can hold commits back and decide how one ends (with both truths of an unknown outcome), hold
//! syncs back, delay what readers see, hold a partition's stable offset, fence, and crash, which loses what was not synced.

mod handles;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use self::handles::{MemoryReader, MemoryWriter};
use crate::{
    Append, AppendError, Log, Notify, OnCommit, Outcome, Partition, Position, Reader, Record,
    Transaction, WalError, Writer, WriterId,
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

/// What was written and not yet synced: an append or a transaction.
struct Unsynced {
    /// Where the position counter stood before it.
    before: u64,
    told: Option<(OnCommit, Outcome)>,
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
    next: u64,
    hold: bool,
    hold_syncs: bool,
    unsynced: VecDeque<Unsynced>,
    /// How many polls of its partition a new record stays hidden for.
    delay: usize,
    /// Hidden records of each partition, in order, with the polls that are left.
    hidden: BTreeMap<Partition, VecDeque<(Position, usize)>>,
    /// Readers of these partitions see nothing behind these positions.
    stable: BTreeMap<Partition, Position>,
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
        self.bytes +=
            (record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)) as u64;
        self.partitions
            .entry(partition)
            .or_default()
            .push_back((position, record));
        if self.delay > 0 {
            let hidden = self.hidden.entry(partition).or_default();
            hidden.push_back((position, self.delay));
        }
        position
    }

    /// One poll of a partition has come: what it may see.
    fn visible(&mut self, partition: Partition) -> impl Fn(Position) -> bool + use<> {
        let stable = self.stable.get(&partition).copied();
        let mut first_hidden = None;
        if let Some(hidden) = self.hidden.get_mut(&partition) {
            for (_, polls) in hidden.iter_mut() {
                *polls = polls.saturating_sub(1);
            }
            while hidden.front().is_some_and(|(_, polls)| *polls == 0) {
                hidden.pop_front();
            }
            first_hidden = hidden.front().map(|(position, _)| *position);
        }
        move |position| {
            stable.is_none_or(|stable| position <= stable)
                && first_hidden.is_none_or(|hidden| position < hidden)
        }
    }

    /// Everything that was written becomes durable; returns who is to be told what, in order.
    fn sync(&mut self) -> Vec<(OnCommit, Outcome)> {
        let unsynced = std::mem::take(&mut self.unsynced);
        unsynced
            .into_iter()
            .filter_map(|frame| frame.told)
            .collect()
    }

    fn apply(&mut self, transaction: Transaction) -> (Position, Vec<Notify>) {
        let mut last = Position::from_u64(self.next);
        let mut notify = Vec::new();
        for (partition, record) in transaction.records {
            last = self.put(partition, record);
            notify.extend(self.notify.get(&partition).cloned());
        }
        (last, notify)
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
        let mut state = self.state.lock();
        let Some(held) = state.held.pop_front() else {
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

    /// From now on what is written is seen at once, and is durable, and commits are told, after [`MemoryLog::sync`]: as on
    /// the embedded log.
    pub fn hold_syncs(&self) {
        self.state.lock().hold_syncs = true;
    }

    /// Makes durable what was written, and tells the outcomes in order. Returns how many frames that were. Later ones are
    /// held again, until [`MemoryLog::sync_at_once`].
    pub fn sync(&self) -> usize {
        let mut state = self.state.lock();
        let frames = state.unsynced.len();
        let told = state.sync();
        drop(state);
        for (on_commit, outcome) in told {
            on_commit(outcome);
        }
        frames
    }

    /// Syncs, and no longer holds syncs back.
    pub fn sync_at_once(&self) {
        self.state.lock().hold_syncs = false;
        self.sync();
    }

    /// The death of the process: nobody is told anything, held commits are forgotten, what was not synced is lost, and
    /// the writers that were open are dead.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// As [`MemoryLog::crash`], but the first `frames` appends and transactions that were not synced have reached the
    /// medium by themselves. Positions of what is lost are given again.
    pub fn crash_keeping(&self, frames: usize) {
        let mut state = self.state.lock();
        state.held.clear();
        if let Some(lost) = state.unsynced.get(frames) {
            let cut = lost.before;
            state.next = cut;
            for records in state.partitions.values_mut() {
                while records
                    .back()
                    .is_some_and(|(position, _)| position.to_u64() > cut)
                {
                    records.pop_back();
                }
            }
        }
        state.unsynced.clear();
        state.hidden.clear();
        state.broken.clear();
        for epoch in state.epochs.values_mut() {
            *epoch += 1;
        }
    }

    /// From now on a record is hidden from readers for the first `polls` polls of its partition after it was written
    /// (also if its commit is acknowledged already); 0 ends that for new records.
    pub fn delay_visibility(&self, polls: usize) {
        self.state.lock().delay = polls;
    }

    /// Readers of `partition` see nothing of what comes from now on, until [`MemoryLog::release_stable_offset`]: somebody's
    /// transaction is open.
    pub fn hold_stable_offset(&self, partition: Partition) {
        let mut state = self.state.lock();
        let now = Position::from_u64(state.next);
        state.stable.insert(partition, now);
    }

    /// Readers see everything again; subscribers are told.
    pub fn release_stable_offset(&self, partition: Partition) {
        let mut state = self.state.lock();
        state.stable.remove(&partition);
        let notify = state.notify.get(&partition).cloned();
        drop(state);
        if let Some(notify) = notify {
            notify();
        }
    }

    /// Somebody else opens the writer `id`: the present one is fenced, and its held commits end so.
    pub fn fence(&self, id: &WriterId) {
        // The other one is not heard of again.
        let _ = self.open_writer(id);
    }

    /// Plain appends fail like this, or succeed again.
    pub fn refuse_appends(&self, error: Option<AppendError>) {
        self.state.lock().refuse_appends = error;
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
        let size = record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len);
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
        let before = state.next;
        let position = state.put(to, record);
        if state.hold_syncs {
            state.unsynced.push_back(Unsynced { before, told: None });
        }
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
        // What was written is decided: it stays.
        let told = state.sync();
        drop(state);
        for (on_commit, outcome) in told {
            on_commit(outcome);
        }
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
        let start = self
            .state
            .lock()
            .starts
            .get(&partition)
            .copied()
            .unwrap_or(Position::START);
        if after < start {
            return Err(WalError::Truncated {
                partition,
                position: after,
                start,
            });
        }
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
}

#[cfg(test)]
mod tests;

//! A log in memory, for tests and simulation: deterministic, and unkind when told to be.
//!
//! Positions have gaps. A test can hold commits back and decide how one ends (with both truths of an unknown outcome), hold
//! syncs back (all, or those of plain appends), delay what readers see, hold a partition's stable offset, fence, and crash,
//! which loses what was not synced.

mod handles;
mod state;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use self::handles::{MemoryReader, MemoryWriter};
use self::state::{Held, State, Syncs, Unsynced};
use crate::{
    Append, AppendError, Backlog, Log, Notify, Outcome, Partition, Position, Reader, Record,
    WalError, Writer, WriterId,
};

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

/// See the module. Clones are the same log, so that it survives a simulated restart.
#[derive(Clone, Default)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
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
        let place = state.held.iter().position(which);
        let Some(held) = place.and_then(|place| state.held.remove(place)) else {
            return false;
        };
        if let Some(verdict) = state.verdict(&held.writer, held.epoch) {
            drop(state);
            (held.on_commit)(verdict);
            return true;
        }
        let outcome = match ending {
            Ending::Committed => None,
            Ending::Aborted => Some(Outcome::Aborted),
            Ending::Fenced => Some(Outcome::Fenced),
            Ending::UnknownCommitted | Ending::UnknownAborted => Some(Outcome::Unknown),
        };
        if let Some(outcome) = outcome {
            state.broken.insert(held.writer, outcome);
        }
        if matches!(ending, Ending::Committed | Ending::UnknownCommitted) {
            let ended = state.commit(held.transaction, outcome, held.on_commit);
            drop(state);
            ended.tell();
        } else {
            drop(state);
            (held.on_commit)(outcome.unwrap_or(Outcome::Aborted));
        }
        true
    }

    /// From now on what is written is seen at once, and is durable, and commits are told, after [`MemoryLog::sync`]: as on
    /// the embedded log.
    pub fn hold_syncs(&self) {
        self.state.lock().syncs = Syncs::WhenTold;
    }

    /// From now on a plain append is seen at once, and becomes durable with the next commit, which is durable at once and
    /// takes everything before it along; until [`MemoryLog::sync_at_once`].
    pub fn sync_with_commits(&self) {
        self.state.lock().syncs = Syncs::WithCommits;
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
        self.state.lock().syncs = Syncs::AtOnce;
        self.sync();
    }

    /// The death of the process: nobody is told anything, held commits are forgotten, what was not synced is lost, and
    /// the writers that were open are dead. Says how many records are lost.
    pub fn crash(&self) -> usize {
        self.crash_keeping(0)
    }

    /// As [`MemoryLog::crash`], but the first `frames` appends and transactions that were not synced have reached the
    /// medium by themselves. Positions of what is lost are given again.
    pub fn crash_keeping(&self, frames: usize) -> usize {
        let mut state = self.state.lock();
        state.held.clear();
        let lost = state
            .unsynced
            .get(frames)
            .map(|first| first.before)
            .map_or(0, |cut| state.cut(cut));
        state.unsynced.clear();
        state.hidden.clear();
        state.broken.clear();
        for epoch in state.epochs.values_mut() {
            *epoch += 1;
        }
        lost
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

    /// Readers see everything again; subscribers are told. Says whether it was held.
    pub fn release_stable_offset(&self, partition: Partition) -> bool {
        let mut state = self.state.lock();
        let held = state.stable.remove(&partition).is_some();
        let notify = state.notify.get(&partition).cloned();
        drop(state);
        if let Some(notify) = notify {
            notify();
        }
        held
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

    /// The records of a partition after one position and up to another, visible or not: what a test's oracle sees.
    pub fn between(
        &self,
        partition: Partition,
        after: Position,
        until: Position,
    ) -> Vec<(Position, Record)> {
        self.state
            .lock()
            .after(partition, after)
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
        let before = state.next;
        let position = state.put(to, record);
        if state.syncs != Syncs::AtOnce {
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

    fn shows_undurable(&self) -> bool {
        self.state.lock().syncs == Syncs::WhenTold
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

#[cfg(test)]
mod tests;

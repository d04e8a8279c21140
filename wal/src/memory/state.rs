//! What the log in memory holds.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    AppendError, Notify, OnCommit, Outcome, Partition, Position, Record, Transaction, WalError,
    WriterId,
};

/// Each record takes this much of the position space, so that nobody may count.
const GAP: u64 = 3;

pub(super) struct Held {
    pub(super) writer: WriterId,
    pub(super) epoch: u64,
    pub(super) transaction: Transaction,
    pub(super) on_commit: OnCommit,
}

/// What was written and not yet synced: an append or a transaction.
pub(super) struct Unsynced {
    /// Where the position counter stood before it.
    pub(super) before: u64,
    pub(super) told: Option<(OnCommit, Outcome)>,
}

/// When what was written becomes durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Syncs {
    /// At once.
    #[default]
    AtOnce,
    /// A commit at once, with everything before it; plain appends with the next commit.
    WithCommits,
    /// When a test says so.
    WhenTold,
}

/// Who is to be told of a commit, once the lock is free.
pub(super) struct Ended {
    notify: Vec<Notify>,
    told: Vec<(OnCommit, Outcome)>,
}

impl Ended {
    pub(super) fn tell(self) {
        for notify in self.notify {
            notify();
        }
        for (on_commit, outcome) in self.told {
            on_commit(outcome);
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) partitions: BTreeMap<Partition, VecDeque<(Position, Record)>>,
    pub(super) starts: BTreeMap<Partition, Position>,
    pub(super) notify: BTreeMap<Partition, Notify>,
    pub(super) epochs: BTreeMap<WriterId, u64>,
    /// Writers of which a commit did not end well: every later one ends the same way.
    pub(super) broken: BTreeMap<WriterId, Outcome>,
    pub(super) held: VecDeque<Held>,
    pub(super) next: u64,
    pub(super) hold: bool,
    pub(super) syncs: Syncs,
    pub(super) unsynced: VecDeque<Unsynced>,
    /// How many polls of its partition a new record stays hidden for.
    pub(super) delay: usize,
    /// Hidden records of each partition, in order, with the polls that are left.
    pub(super) hidden: BTreeMap<Partition, VecDeque<(Position, usize)>>,
    /// Readers of these partitions see nothing behind these positions.
    pub(super) stable: BTreeMap<Partition, Position>,
    pub(super) refuse_appends: Option<AppendError>,
    pub(super) bytes: u64,
}

impl State {
    pub(super) fn put(&mut self, partition: Partition, record: Record) -> Position {
        self.next += GAP;
        let position = Position::from_u64(self.next);
        self.bytes += record.size() as u64;
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

    /// One poll of a partition has come: some of what is hidden may be seen from now on.
    pub(super) fn polled(&mut self, partition: Partition) {
        if let Some(hidden) = self.hidden.get_mut(&partition) {
            for (_, polls) in hidden.iter_mut() {
                *polls = polls.saturating_sub(1);
            }
            while hidden.front().is_some_and(|(_, polls)| *polls == 0) {
                hidden.pop_front();
            }
        }
    }

    /// The records of a partition behind a position.
    pub(super) fn after(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Iterator<Item = &(Position, Record)> {
        let records = self.partitions.get(&partition);
        let from = records.map_or(0, |records| {
            records.partition_point(|(position, _)| *position <= after)
        });
        records
            .into_iter()
            .flat_map(move |records| records.range(from..))
    }

    /// Those of them that a reader may see.
    pub(super) fn readable(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Iterator<Item = &(Position, Record)> {
        let stable = self.stable.get(&partition).copied();
        let hidden = self.hidden.get(&partition).and_then(VecDeque::front);
        let hidden = hidden.map(|(position, _)| *position);
        self.after(partition, after)
            .take_while(move |(position, _)| {
                stable.is_none_or(|stable| *position <= stable)
                    && hidden.is_none_or(|hidden| *position < hidden)
            })
    }

    /// Refuses a reader that stands before what was dropped.
    pub(super) fn check_retained(
        &self,
        partition: Partition,
        after: Position,
    ) -> Result<(), WalError> {
        match self.starts.get(&partition).copied() {
            Some(start) if after < start => Err(WalError::Truncated {
                partition,
                position: after,
                start,
            }),
            _ => Ok(()),
        }
    }

    /// Everything that was written becomes durable; returns who is to be told what, in order.
    pub(super) fn sync(&mut self) -> Vec<(OnCommit, Outcome)> {
        let unsynced = std::mem::take(&mut self.unsynced);
        unsynced
            .into_iter()
            .filter_map(|frame| frame.told)
            .collect()
    }

    /// A transaction happens, and ends as `outcome` (`None`: committed) for its writer, who is told when it is durable.
    pub(super) fn commit(
        &mut self,
        transaction: Transaction,
        outcome: Option<Outcome>,
        on_commit: OnCommit,
    ) -> Ended {
        let before = self.next;
        let mut last = Position::from_u64(before);
        let mut notify = Vec::new();
        for (partition, record) in transaction.records {
            last = self.put(partition, record);
            notify.extend(self.notify.get(&partition).cloned());
        }
        let outcome = outcome.unwrap_or(Outcome::Committed(last));
        let told = Some((on_commit, outcome));
        self.unsynced.push_back(Unsynced { before, told });
        let told = if self.syncs == Syncs::WhenTold {
            Vec::new()
        } else {
            self.sync()
        };
        Ended { notify, told }
    }

    /// Everything behind this place of the position space is lost. Says how many records that were.
    pub(super) fn cut(&mut self, cut: u64) -> usize {
        self.next = cut;
        let cut = Position::from_u64(cut);
        let mut lost = 0;
        for records in self.partitions.values_mut() {
            let kept = records.partition_point(|(position, _)| *position <= cut);
            lost += records.len() - kept;
            records.truncate(kept);
        }
        for stable in self.stable.values_mut() {
            *stable = cut.min(*stable);
        }
        lost
    }

    /// Why a writer may not commit any more.
    pub(super) fn verdict(&self, writer: &WriterId, epoch: u64) -> Option<Outcome> {
        if self.epochs.get(writer) == Some(&epoch) {
            self.broken.get(writer).copied()
        } else {
            Some(Outcome::Fenced)
        }
    }
}

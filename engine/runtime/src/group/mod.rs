//! A partition group as a step function: (inputs, time) → (transaction, outputs).

mod execute;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use index::{Applied, Change, Family, GlobalStore, Store, StoreError, WriteBack, changelog};
use prost::Message;
use wal::{GroupId, Partition, Position, Record, Transaction};

use self::execute::Run;
use crate::commit::CommitRecord;
use crate::context::Effects;
use crate::{
    Application, Command, Notices, Rejection, Replies, RequestId, SubmitError, Waiter, Waiting,
    queue, timer,
};

/// How much one batch takes. Every queue and loop of a group has a limit here.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Commands and messages executed in one batch.
    pub batch_inputs: usize,
    /// A batch is sealed early once its changes are this large, in bytes.
    pub batch_bytes: usize,
    /// An input that would let the batch's transaction outgrow this, in bytes, is refused. The log has the last word:
    /// see [`wal::Log::max_transaction_bytes`].
    pub transaction_bytes: usize,
    /// Timers fired in one batch.
    pub batch_timers: usize,
    /// Consumers served from queues in one batch.
    pub batch_claims: usize,
    /// Entries that a consumer may find void before it has to stand in line again.
    pub void_entries: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            batch_inputs: 128,
            batch_bytes: 1 << 20,
            transaction_bytes: 12 << 20,
            batch_timers: 256,
            batch_claims: 256,
            void_entries: 1000,
        }
    }
}

impl Limits {
    /// No more than a log takes whose transactions have at most so many bytes. A part of them is for the commit record and
    /// for what frames the records.
    pub(crate) fn within(mut self, transaction_bytes: usize) -> Limits {
        self.transaction_bytes = self.transaction_bytes.min(transaction_bytes / 8 * 7);
        self
    }
}

/// A consumer that comes to claim from a queue of this group.
#[derive(Debug, Clone)]
pub struct Nudge {
    /// Who.
    pub waiter: Waiter,
}

/// Inputs for a group, in the order in which they were read.
#[derive(Debug, Default)]
pub struct Batch {
    /// From other groups.
    pub messages: Vec<(Position, Record)>,
    /// From clients.
    pub commands: Vec<(Position, Record)>,
    /// Consumers that come to claim.
    pub claims: Vec<Nudge>,
}

/// A batch whose commit is under way.
pub(crate) struct InFlight {
    commit: Bytes,
    pub(crate) effects: Effects,
    replies: Vec<(RequestId, Result<Bytes, Rejection>)>,
    changes: Vec<Change>,
}

/// What may leave the process, now that the commit is durable.
#[derive(Default)]
pub struct Released {
    /// Answers to commands.
    pub replies: Vec<(RequestId, Result<Bytes, Rejection>)>,
    /// Entries for consumers.
    pub deliveries: Vec<(Waiter, Bytes)>,
    /// Topics of which those who listen are told.
    pub notices: Vec<Bytes>,
}

impl Released {
    pub(crate) fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.deliveries.is_empty() && self.notices.is_empty()
    }

    /// Gives everything to whoever it is for.
    pub(crate) fn hand_out(self, group: GroupId, notices: &Notices, replies: &Replies) {
        for (waiter, payload) in self.deliveries {
            waiter.consumer.deliver(payload);
        }
        if !self.notices.is_empty() {
            notices.notify(group, self.notices);
        }
        for (id, answer) in self.replies {
            replies.answer(id, answer.map_err(SubmitError::Rejected));
        }
    }
}

/// One partition group: state, in-memory heads and the batches under way. No threads, no clock, no I/O but the store's.
pub struct Group {
    id: GroupId,
    app: Arc<dyn Application>,
    store: Store,
    waiting: Arc<Waiting>,
    global: Arc<GlobalStore>,
    limits: Limits,
    inbox_messages: VecDeque<(Position, Record)>,
    inbox_commands: VecDeque<(Position, Record)>,
    inbox_claims: VecDeque<Waiter>,
    in_flight: VecDeque<InFlight>,
    /// As of the last sealed batch.
    state: CommitRecord,
    /// Nothing was committed in this term yet. Its first batch is committed at once, also without inputs: the log can
    /// forget the barrier only when a commit lies behind it, and a group that rests makes no other.
    begins: bool,
    /// For each queue seen, a sequence below which nothing is left: no scan starts before it.
    cursors: BTreeMap<Bytes, u64>,
    /// The cursors that are rows, as of the last sealed batch.
    kept_cursors: BTreeMap<Bytes, u64>,
    /// Queues with committed entries.
    backlogged: BTreeSet<Bytes>,
    next_due_ms: Option<i64>,
    seen_version: Position,
    recorded_takes: Option<VecDeque<Option<Waiter>>>,
}

impl Group {
    /// A group on a store that holds all committed changes. `term` is the position of the owner's barrier record.
    pub fn open(
        id: GroupId,
        app: Arc<dyn Application>,
        store: Store,
        waiting: Arc<Waiting>,
        global: Arc<GlobalStore>,
        limits: Limits,
        term: Position,
    ) -> Result<Group, StoreError> {
        let mut group = Group {
            id,
            app,
            store,
            waiting,
            global,
            limits,
            inbox_messages: VecDeque::new(),
            inbox_commands: VecDeque::new(),
            inbox_claims: VecDeque::new(),
            in_flight: VecDeque::new(),
            state: CommitRecord::default(),
            begins: false,
            cursors: BTreeMap::new(),
            kept_cursors: BTreeMap::new(),
            backlogged: BTreeSet::new(),
            next_due_ms: None,
            seen_version: Position::START,
            recorded_takes: None,
        };
        group.reload(term)?;
        Ok(group)
    }

    /// Rebuilds everything in memory from the committed state.
    fn reload(&mut self, term: Position) -> Result<(), StoreError> {
        self.state = match self.store.applied() {
            Some(applied) => CommitRecord::read(&applied.commit)?,
            None => CommitRecord::default(),
        };
        self.state.version = CommitRecord::VERSION;
        self.begins = self.state.term != term.to_u64();
        self.state.term = term.to_u64();
        self.state.recorded.clear();
        self.next_due_ms = timer::next_due(&mut self.store, self.state.timer_floor_ms)?;
        for queue in std::mem::take(&mut self.backlogged) {
            self.waiting.set_backlog(self.id, &queue, None);
        }
        self.kept_cursors = queue::cursors(&mut self.store)?;
        self.cursors.clone_from(&self.kept_cursors);
        for head in queue::heads(&mut self.store, &self.kept_cursors)? {
            self.cursors.insert(head.queue.clone(), head.sequence);
            self.backlogged.insert(head.queue.clone());
            self.waiting
                .set_backlog(self.id, &head.queue, Some(head.queued_ms));
        }
        self.seen_version = Position::START;
        if self.id == GroupId::METADATA {
            self.global.load(&self.store.reader())?;
        }
        Ok(())
    }

    /// The group's number.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Read access to the committed state.
    pub fn reader(&self) -> index::ReadHandle {
        self.store.reader()
    }

    /// Positions after which inputs are to be read: client commands, messages.
    pub fn input_positions(&self) -> (Position, Position) {
        (
            Position::from_u64(self.state.commands),
            Position::from_u64(self.state.messages),
        )
    }

    /// Takes inputs in. They wait here until a [`Group::step`] has room for them.
    pub fn push(&mut self, batch: Batch) {
        self.inbox_messages.extend(batch.messages);
        self.inbox_commands.extend(batch.commands);
        self.inbox_claims
            .extend(batch.claims.into_iter().map(|nudge| nudge.waiter));
    }

    /// For executing a batch again as it is recorded: from now on [`crate::Context::take_waiter`] answers what it answered
    /// then ([`crate::Event::Taken`]), in order, whoever waits now.
    pub fn answer_takes(&mut self, recorded: VecDeque<Option<Waiter>>) {
        self.recorded_takes = Some(recorded);
    }

    /// Inputs taken in and not yet executed.
    pub fn queued(&self) -> usize {
        self.inbox_messages.len() + self.inbox_commands.len()
    }

    /// Whether a step at this time would find something to do.
    pub fn has_work(&self, now_ms: i64) -> bool {
        self.begins
            || !self.inbox_commands.is_empty()
            || !self.inbox_messages.is_empty()
            || !self.inbox_claims.is_empty()
            || self.next_due_ms.is_some_and(|due| due <= now_ms)
    }

    /// When the next timer is due, milliseconds since the epoch.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.next_due_ms
    }

    /// Batches whose commit is under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Executes one batch of what is waiting: messages first, then commands, claims, due timers. Gives the transaction
    /// to commit, or nothing if nothing was there and it is not the first of the term. The next step runs on top of it.
    ///
    /// # Errors
    /// The store failed: the group cannot go on.
    pub fn step(&mut self, now_ms: i64) -> Result<Option<Transaction>, StoreError> {
        let mut run = Run {
            effects: Effects::default(),
            replies: Vec::new(),
            clock_ms: self.state.clock_ms,
            inputs: 0,
            begins: self.begins,
        };
        let before = self.state.clone();
        self.run_messages(&mut run);
        self.run_commands(&mut run);
        self.run_claims(&mut run, now_ms)?;
        self.run_timers(&mut run, now_ms)?;
        self.close(&mut run);
        if !run.is_batch() {
            self.state = before;
            return Ok(None);
        }
        self.begins = false;
        self.seal(run).map(Some)
    }

    fn seal(&mut self, run: Run) -> Result<Transaction, StoreError> {
        self.state.clock_ms = run.clock_ms;
        self.state.batch = self.state.batch.checked_add(1).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "the commit record of group {} has the number {}, behind which there is none",
                self.id, self.state.batch
            ))
        })?;
        self.state.recorded.clone_from(&run.effects.recorded);
        let commit = Bytes::from(self.state.encode_to_vec());
        self.state.recorded.clear();
        self.keep_cursors(&run.effects)?;
        let sealed = self.store.seal()?;
        let time_ms = self.state.clock_ms;
        let own = Partition::changelog(self.id);
        let mut records: Vec<(Partition, Record)> =
            Vec::with_capacity(sealed.changes.len() + run.effects.messages.len() + 1);
        let arena = self.store.arena();
        let changes = sealed.changes.iter();
        records.extend(changes.map(|change| (own, changelog::record(change, time_ms, arena))));
        records.extend(run.effects.messages.iter().map(|(to, payload)| {
            let record = Record {
                key: Bytes::new(),
                value: Some(payload.clone()),
                time_ms,
            };
            (Partition::messages(*to), record)
        }));
        records.push((own, changelog::commit_record(commit.clone(), time_ms)));
        let keep_changes = self.id == GroupId::METADATA;
        self.in_flight.push_back(InFlight {
            commit,
            effects: run.effects,
            replies: run.replies,
            changes: if keep_changes {
                sealed.changes
            } else {
                Vec::new()
            },
        });
        Ok(Transaction { records })
    }

    /// Writes the cursors of queues that have moved far. A function of the state and the batch: where the scan for a head
    /// begins depends on what has been committed, what it finds does not.
    fn keep_cursors(&mut self, effects: &Effects) -> Result<(), StoreError> {
        for (queue, claimed) in &effects.queues {
            let kept = self.kept_cursors.get(queue).copied().unwrap_or(0);
            if self.state.next_sequence < kept.saturating_add(queue::CURSOR_STEP) {
                continue;
            }
            let mut gone = *claimed;
            if effects.dequeued.contains(queue) {
                let floor = self.cursors.get(queue).copied().unwrap_or(kept).max(gone);
                let head = queue::first(&mut self.store, queue, floor)?;
                gone = head.map_or(self.state.next_sequence, |head| head.sequence);
            }
            if gone >= kept.saturating_add(queue::CURSOR_STEP) {
                let key = queue::cursor_key(queue).finish();
                let value = Bytes::copy_from_slice(&gone.to_be_bytes());
                self.store.put(Family::Queue, key, value)?;
                self.kept_cursors.insert(queue.clone(), gone);
            }
        }
        Ok(())
    }

    /// The oldest commit under way is durable, with its commit record at `position`.
    pub fn committed(&mut self, position: Position) -> Result<Released, StoreError> {
        let Some(batch) = self.in_flight.pop_front() else {
            return Ok(Released::default());
        };
        self.store.commit(Applied {
            position,
            commit: batch.commit,
        });
        if self.id == GroupId::METADATA {
            self.global.publish(&batch.changes, position);
        }
        for (queue, from) in &batch.effects.queues {
            let floor = self.cursors.get(queue).copied().unwrap_or(0).max(*from);
            if let Some(head) = queue::first(&mut self.store, queue, floor)? {
                self.cursors.insert(queue.clone(), head.sequence);
                self.backlogged.insert(queue.clone());
                self.waiting
                    .set_backlog(self.id, queue, Some(head.queued_ms));
            } else {
                self.cursors.insert(queue.clone(), floor);
                self.backlogged.remove(queue);
                self.waiting.set_backlog(self.id, queue, None);
            }
        }
        Ok(Released {
            replies: batch.replies,
            deliveries: batch.effects.deliveries,
            notices: batch.effects.notices,
        })
    }

    /// A commit did not happen, or may not have: forgets all batches under way and all inputs taken in. Returns the
    /// requests that have no answer. The caller opens the writer anew, restores, and calls [`Group::restored`].
    pub fn discard(&mut self) -> Vec<RequestId> {
        self.store.discard();
        let mut unanswered = Vec::new();
        for batch in self.in_flight.drain(..) {
            unanswered.extend(batch.replies.into_iter().map(|(id, _)| id));
            for (waiter, _) in batch.effects.deliveries {
                self.waiting.put_back(waiter);
            }
        }
        unanswered.extend(
            self.inbox_commands
                .drain(..)
                .filter_map(|(_, record)| Some(Command::from_record(&record)?.request_id)),
        );
        self.inbox_messages.clear();
        for waiter in self.inbox_claims.drain(..) {
            self.waiting.put_back(waiter);
        }
        unanswered
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The group is no longer this server's. Like [`Group::discard`]; and its queues are forgotten here, so that consumers
    /// are not sent where nobody serves them.
    pub fn give_up(&mut self) -> Vec<RequestId> {
        self.waiting.detach(self.id);
        self.discard()
    }

    /// The store to restore into, between [`Group::discard`] and [`Group::restored`].
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The store holds all committed changes again.
    pub fn restored(&mut self, term: Position) -> Result<(), StoreError> {
        self.reload(term)
    }

    /// What the store holds in memory.
    pub fn load(&self) -> index::Load {
        self.store.load()
    }

    /// Whether secondary indexes are to be built or removed.
    pub fn is_indexing(&self) -> bool {
        self.store.is_indexing()
    }

    /// See [`Store::index_piece`].
    pub fn index_piece(&mut self) -> Result<(), StoreError> {
        self.store.index_piece()
    }

    /// Committed changes to be written to the base store, if they are many enough (or `force`).
    pub fn start_write_back(&mut self, force: bool) -> Option<WriteBack> {
        self.store.start_write_back(force)
    }

    /// The base store has them.
    pub fn finish_write_back(&mut self, write_back: &WriteBack) {
        self.store.finish_write_back(write_back);
    }
}

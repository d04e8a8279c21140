//! What a processor may see and do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use index::{Family, GlobalView, KeyRange, Savepoint, Store, StoreError};
use prost::Message;
use wal::{GroupId, Position};

use crate::commit::{Event, Recorded, Taken};
use crate::group::InFlight;
use crate::queue::Entry;
use crate::{RequestId, Waiter, Waiting, queue, timer};

/// What a batch does beside changing rows. Released after the commit, or undone.
#[derive(Default)]
pub(crate) struct Effects {
    /// Messages to other groups, part of the transaction.
    pub messages: Vec<(GroupId, Bytes)>,
    /// Entries claimed for consumers, to be handed over after the commit.
    pub deliveries: Vec<(Waiter, Bytes)>,
    /// For the commit record.
    pub recorded: Vec<Recorded>,
    /// Queues whose oldest entry may have changed, with a sequence below which nothing is left.
    pub queues: BTreeMap<Bytes, u64>,
    /// Queues that lost entries to others than consumers.
    pub dequeued: BTreeSet<Bytes>,
    /// What inputs have noted for the end of the batch.
    pub notes: Vec<Note>,
    /// Topics of which those who listen are to be told after the commit.
    pub notices: Vec<Bytes>,
    /// Consumers taken by the command that runs, not yet delivered to.
    pub taken: Vec<Waiter>,
}

/// A point to return to within one input.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    store: Savepoint,
    messages: usize,
    deliveries: usize,
    notices: usize,
    notes: usize,
}

/// A number for the end of the batch: see [`Context::note`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub key: Bytes,
    /// How much.
    pub value: i64,
}

/// State, record time and effects for one input. See [`crate::Application`] for the rules.
pub struct Context<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) effects: &'a mut Effects,
    pub(crate) waiting: &'a Waiting,
    pub(crate) global: &'a GlobalView,
    pub(crate) backlogged: &'a BTreeSet<Bytes>,
    pub(crate) cursors: &'a BTreeMap<Bytes, u64>,
    pub(crate) in_flight: &'a VecDeque<InFlight>,
    pub(crate) recorded_takes: &'a mut Option<VecDeque<Option<Waiter>>>,
    pub(crate) now_ms: i64,
    pub(crate) timer_floor_ms: i64,
    pub(crate) next_sequence: &'a mut u64,
    pub(crate) next_due_ms: &'a mut Option<i64>,
    pub(crate) group: GroupId,
    pub(crate) request_id: RequestId,
}

impl Context<'_> {
    /// The record time: the receiving server's clock, clamped to rise; a fired timer's is the tick that fired it.
    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The group that runs.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The id of the request that runs (zero for messages, timers and claims). Ids that look random are derived from it.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The metadata, as of the version recorded for this input.
    pub fn global(&self) -> &GlobalView {
        self.global
    }

    /// The value of a key, with all writes of the batch so far. Not of [`Family::Index`]: which indexes are complete is
    /// another thing on each replica.
    pub fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.store.get(family, key)
    }

    /// At most `limit` rows of a range, in key order, or descending if `reverse`. Not of [`Family::Index`], as
    /// [`Context::get`].
    pub fn scan(
        &mut self,
        family: Family,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.store.scan(family, range, limit, reverse)
    }

    /// A copy of some bytes, in memory that is cheap for rows.
    pub fn bytes(&mut self, bytes: &[u8]) -> Bytes {
        self.store.arena().copy(bytes)
    }

    /// A message, encoded in memory that is cheap for rows.
    pub fn encoded(&mut self, message: &impl Message) -> Bytes {
        let len = message.encoded_len();
        self.store
            .arena()
            .write(len, |buffer| message.encode_raw(buffer))
    }

    /// Writes a row.
    pub fn put(&mut self, family: Family, key: Bytes, value: Bytes) -> Result<(), StoreError> {
        self.store.put(family, key, value)
    }

    /// Writes a row that does not exist yet: cheaper than [`Context::put`].
    pub fn insert(&mut self, family: Family, key: Bytes, value: Bytes) -> Result<(), StoreError> {
        self.store.insert(family, key, value)
    }

    /// Deletes a row, if it exists.
    pub fn delete(&mut self, family: Family, key: Bytes) -> Result<(), StoreError> {
        self.store.delete(family, key)
    }

    /// Sends a message to another group (or this one), in the same transaction. It is executed exactly once.
    pub fn send(&mut self, to: GroupId, payload: Bytes) {
        self.effects.messages.push((to, payload));
    }

    /// Notes something for [`crate::Application::close`], which is given what all inputs of the batch have noted: sums and
    /// counts are then written once a batch, not once an input.
    pub fn note(&mut self, key: Bytes, value: i64) {
        self.effects.notes.push(Note { key, value });
    }

    /// Tells those who listen to `topic` ([`crate::Notices`]) after the commit, that something has happened.
    pub fn notify(&mut self, topic: Bytes) {
        self.effects.notices.push(topic);
    }

    /// Sets a timer; returns the due time under which [`Context::cancel_timer`] finds it (a time already past is moved
    /// up to the oldest that can still fire).
    pub fn set_timer(
        &mut self,
        due_ms: i64,
        owner: &[u8],
        payload: Bytes,
    ) -> Result<i64, StoreError> {
        self.add_timer(due_ms, owner, payload, Store::put)
    }

    /// Like [`Context::set_timer`], for an owner that certainly has no timer at this due time.
    pub fn insert_timer(
        &mut self,
        due_ms: i64,
        owner: &[u8],
        payload: Bytes,
    ) -> Result<i64, StoreError> {
        self.add_timer(due_ms, owner, payload, Store::insert)
    }

    fn add_timer(
        &mut self,
        due_ms: i64,
        owner: &[u8],
        payload: Bytes,
        write: fn(&mut Store, Family, Bytes, Bytes) -> Result<(), StoreError>,
    ) -> Result<i64, StoreError> {
        let due_ms = due_ms.max(self.timer_floor_ms);
        let key = self.bytes(&timer::key(due_ms, owner));
        write(self.store, Family::Queue, key, payload)?;
        if self.next_due_ms.is_none_or(|next| due_ms < next) {
            *self.next_due_ms = Some(due_ms);
        }
        Ok(due_ms)
    }

    /// Removes a timer; nothing happens if it has fired.
    pub fn cancel_timer(&mut self, due_ms: i64, owner: &[u8]) -> Result<(), StoreError> {
        let key = self.bytes(&timer::key(due_ms, owner));
        self.store.delete(Family::Queue, key)
    }

    /// The consumer that has waited longest at `queue`, unless earlier entries of this group wait for one too. What it
    /// is then given with [`Context::deliver`] counts as claimed in this commit.
    pub fn take_waiter(&mut self, queue: &Bytes) -> Option<Waiter> {
        let waiter = if let Some(recorded) = self.recorded_takes {
            recorded.pop_front().flatten()
        } else if self.is_behind(queue) {
            None
        } else {
            self.waiting.take(queue)
        };
        let consumer = waiter.as_ref().map(|waiter| waiter.identity.clone());
        self.effects.recorded.push(Recorded {
            event: Some(Event::Taken(Taken { consumer })),
        });
        if let Some(waiter) = &waiter {
            self.effects.taken.push(waiter.clone());
        }
        waiter
    }

    /// Whether earlier entries of this group wait in `queue`.
    fn is_behind(&mut self, queue: &Bytes) -> bool {
        self.backlogged.contains(queue)
            || self.effects.queues.contains_key(queue)
            || self.is_queued_in_flight(queue)
    }

    /// Whether a batch whose commit is under way has left an entry in `queue`, which nobody has been told of yet.
    fn is_queued_in_flight(&mut self, queue: &Bytes) -> bool {
        let from = self.in_flight.iter();
        let from = from.filter_map(|batch| batch.effects.queues.get(queue));
        let Some(from) = from.max() else { return false };
        let floor = self.cursors.get(queue).copied().unwrap_or(0).max(*from);
        // If the store fails here, it fails the batch when it is sealed; until then nobody is served out of turn.
        queue::first(self.store, queue, floor).map_or(true, |first| first.is_some())
    }

    /// Hands `payload` to a consumer, after the commit, at most once.
    pub fn deliver(&mut self, waiter: Waiter, payload: Bytes) {
        self.effects
            .taken
            .retain(|taken| taken.ticket != waiter.ticket);
        self.effects.deliveries.push((waiter, payload));
    }

    /// Appends an entry to a queue: the next free consumer gets it.
    pub fn enqueue(&mut self, queue: Bytes, payload: Bytes) -> Result<u64, StoreError> {
        let sequence = self.next_number()?;
        let entry = Entry {
            queue,
            sequence,
            queued_ms: self.now_ms,
            payload,
        };
        let key = self.bytes(&entry.key());
        self.store.insert(Family::Queue, key, entry.value())?;
        self.effects.queues.entry(entry.queue).or_insert(0);
        Ok(sequence)
    }

    /// Removes an entry from a queue, if it is still there.
    pub fn dequeue(&mut self, queue: Bytes, sequence: u64) -> Result<(), StoreError> {
        let entry = Entry {
            queue,
            sequence,
            queued_ms: 0,
            payload: Bytes::new(),
        };
        let key = self.bytes(&entry.key());
        self.store.delete(Family::Queue, key)?;
        self.effects.dequeued.insert(entry.queue.clone());
        self.effects.queues.entry(entry.queue).or_insert(0);
        Ok(())
    }

    /// A number that this group has never given before, rising: also the next queue entry's place.
    ///
    /// # Errors
    /// They are used up, which only a damaged commit record can bring about.
    pub fn next_number(&mut self) -> Result<u64, StoreError> {
        let number = *self.next_sequence;
        *self.next_sequence = number.checked_add(1).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "the commit record of group {} says that {number} is the next number, behind which there is none",
                self.group
            ))
        })?;
        Ok(number)
    }

    /// A point to which this input can be rolled back by [`Context::rollback_to`].
    pub fn mark(&mut self) -> Mark {
        Mark {
            store: self.store.savepoint(),
            messages: self.effects.messages.len(),
            deliveries: self.effects.deliveries.len(),
            notices: self.effects.notices.len(),
            notes: self.effects.notes.len(),
        }
    }

    /// Undoes every write and effect since `mark`. Consumers that were taken since wait again.
    pub fn rollback_to(&mut self, mark: Mark) {
        self.store.rollback_to(mark.store);
        self.effects.messages.truncate(mark.messages);
        self.effects.notices.truncate(mark.notices);
        self.effects.notes.truncate(mark.notes);
        for (waiter, _) in self.effects.deliveries.drain(mark.deliveries..) {
            self.waiting.put_back(waiter);
        }
        for waiter in self.effects.taken.drain(..) {
            self.waiting.put_back(waiter);
        }
    }

    /// The metadata version that this input sees.
    pub fn global_version(&self) -> Position {
        self.global.version()
    }
}

//! Consumers that wait at a queue, on this server, and the groups that have something for them.
//!
//! A consumer takes from whichever group has an entry; an entry goes to the consumer that has waited longest. A
//! consumer stands here **or** on its way to one group, never twice: so it gets at most one entry for each time that it
//! waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wal::GroupId;

use crate::Nudge;

/// The receiving end of a consumer: a stream to a client.
pub trait Consumer: Send + Sync {
    /// Whether anybody is still there. A consumer that is gone is never handed an entry.
    fn is_open(&self) -> bool;

    /// Hands over what was claimed for it, once. Must not block. If it cannot be sent, it is lost: at most once.
    fn deliver(&self, payload: Bytes);
}

/// A consumer that waits for one entry of one queue.
#[derive(Clone)]
pub struct Waiter {
    /// The queue's name.
    pub queue: Bytes,
    /// Who it is, for the record: opaque to the runtime.
    pub identity: Bytes,
    /// Where the entry goes.
    pub consumer: Arc<dyn Consumer>,
    /// Its place among those who wait; 0 until it has one.
    pub ticket: u64,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter")
            .field("queue", &self.queue)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct QueueState {
    waiters: BTreeMap<u64, Waiter>,
    /// Groups with committed entries, by the time of their oldest one.
    backlog: BTreeMap<GroupId, i64>,
}

type NudgeFn = Arc<dyn Fn(Nudge) + Send + Sync>;

#[derive(Default)]
struct State {
    queues: BTreeMap<Bytes, QueueState>,
    groups: BTreeMap<GroupId, NudgeFn>,
    next_ticket: u64,
}

/// All consumers that wait on this server.
#[derive(Default)]
pub struct Waiting {
    state: Mutex<State>,
}

impl Waiting {
    /// Nobody waits.
    pub fn new() -> Waiting {
        Waiting::default()
    }

    /// Where `group` is told of consumers that come to claim.
    pub fn attach(&self, group: GroupId, nudge: Arc<dyn Fn(Nudge) + Send + Sync>) {
        self.state.lock().groups.insert(group, nudge);
    }

    /// This server no longer owns `group`: no consumer is sent there any more.
    pub(crate) fn detach(&self, group: GroupId) {
        let mut state = self.state.lock();
        state.groups.remove(&group);
        state.queues.retain(|_, at| {
            at.backlog.remove(&group);
            !at.waiters.is_empty() || !at.backlog.is_empty()
        });
    }

    /// A consumer begins to wait for one entry. Returns its ticket, for [`Waiting::withdraw`].
    pub fn wait(&self, mut waiter: Waiter) -> u64 {
        let mut state = self.state.lock();
        state.next_ticket += 1;
        waiter.ticket = state.next_ticket;
        let ticket = waiter.ticket;
        let nudge = state.place(waiter);
        drop(state);
        send(nudge);
        ticket
    }

    /// A consumer stops waiting. One that is on its way to a group is not found here: its [`Consumer::is_open`] decides.
    pub fn withdraw(&self, queue: &Bytes, ticket: u64) {
        let mut state = self.state.lock();
        if let Some(at) = state.queues.get_mut(queue) {
            at.waiters.remove(&ticket);
            if at.waiters.is_empty() && at.backlog.is_empty() {
                state.queues.remove(queue);
            }
        }
    }

    /// A consumer is gone, with all its places at `queue`.
    pub fn withdraw_all(&self, queue: &Bytes, consumer: &Arc<dyn Consumer>) {
        let mut state = self.state.lock();
        if let Some(at) = state.queues.get_mut(queue) {
            at.waiters
                .retain(|_, waiter| !Arc::ptr_eq(&waiter.consumer, consumer));
            if at.waiters.is_empty() && at.backlog.is_empty() {
                state.queues.remove(queue);
            }
        }
    }

    /// How many consumers wait, over all queues.
    pub fn total(&self) -> usize {
        self.state
            .lock()
            .queues
            .values()
            .map(|at| at.waiters.len())
            .sum()
    }

    /// Takes the consumer that has waited longest, for an entry that is about to be made.
    pub(crate) fn take(&self, queue: &Bytes) -> Option<Waiter> {
        let mut state = self.state.lock();
        let at = state.queues.get_mut(queue)?;
        while let Some((_, waiter)) = at.waiters.pop_first() {
            if waiter.consumer.is_open() {
                return Some(waiter);
            }
        }
        None
    }

    /// Puts a consumer back in its old place: what it was taken for did not happen.
    pub(crate) fn put_back(&self, waiter: Waiter) {
        if !waiter.consumer.is_open() {
            self.pass_on(&waiter.queue);
            return;
        }
        let nudge = self.state.lock().place(waiter);
        send(nudge);
    }

    /// A consumer was gone when its turn came: the entry that it was sent to is for the next one that stands in line.
    pub(crate) fn pass_on(&self, queue: &Bytes) {
        let mut state = self.state.lock();
        let next = state.queues.get_mut(queue);
        let next = next.and_then(|at| at.waiters.pop_first());
        let nudge = next.and_then(|(_, waiter)| state.place(waiter));
        drop(state);
        send(nudge);
    }

    /// Says whether `group` has committed entries in `queue`, and since when the oldest waits.
    pub(crate) fn set_backlog(&self, group: GroupId, queue: &Bytes, oldest_ms: Option<i64>) {
        let mut state = self.state.lock();
        let nudge = if let Some(oldest) = oldest_ms {
            let at = state.queues.entry(queue.clone()).or_default();
            at.backlog.insert(group, oldest);
            match at.waiters.pop_first() {
                Some((_, waiter)) => state.place(waiter),
                None => None,
            }
        } else {
            if let Some(at) = state.queues.get_mut(queue) {
                at.backlog.remove(&group);
                if at.waiters.is_empty() && at.backlog.is_empty() {
                    state.queues.remove(queue);
                }
            }
            None
        };
        drop(state);
        send(nudge);
    }

    /// How many consumers wait at `queue`.
    pub fn count(&self, queue: &Bytes) -> usize {
        self.state
            .lock()
            .queues
            .get(queue)
            .map_or(0, |at| at.waiters.len())
    }
}

impl State {
    /// Sends the waiter to the group whose entry is oldest, or lets it stand.
    fn place(&mut self, waiter: Waiter) -> Option<(NudgeFn, Nudge)> {
        let at = self.queues.entry(waiter.queue.clone()).or_default();
        let oldest = at
            .backlog
            .iter()
            .min_by_key(|(group, since)| (**since, **group))
            .map(|(group, _)| *group);
        if let Some(group) = oldest
            && let Some(nudge) = self.groups.get(&group)
        {
            return Some((Arc::clone(nudge), Nudge { waiter }));
        }
        at.waiters.insert(waiter.ticket, waiter);
        None
    }
}

/// Outside the lock: the group's side may take it.
fn send(nudge: Option<(NudgeFn, Nudge)>) {
    if let Some((to, nudge)) = nudge {
        to(nudge);
    }
}

//! Determinism: each batch of the log is executed again from what its commit record says, by a group of its own, and must
//! give the same records, bit by bit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use index::{Applied, Change, GlobalStore, MemoryBase, Options, Store};
use ironhorse_runtime::{
    Application, Batch, CommitRecord, Consumer, Event, Group, Limits, Nudge, Recorded, Waiter,
    Waiting,
};
use prost::Message;
use wal::{GroupId, Partition, Position, Record};

use super::app::Bank;
use super::indexes::BY_VALUE_ALONE;
use super::server::LIMITS;

/// A consumer of the replay: there for one batch.
struct Once(AtomicBool);

impl Consumer for Once {
    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn deliver(&self, _payload: Bytes) {}
}

pub struct Replay {
    group: Group,
    clock_ms: i64,
}

/// A batch as the log has it.
pub struct Logged<'a> {
    pub position: Position,
    pub raw: &'a Bytes,
    pub commit: &'a CommitRecord,
    /// The changelog's records, the commit record last.
    pub records: &'a [Record],
    pub changes: &'a [Change],
    pub commands: &'a [(Position, Record)],
    pub messages: &'a [(Position, Record)],
    /// How many timers fired in it.
    pub fired: usize,
}

/// The queue that an identity of the simulation waits at.
fn queue_of(identity: &Bytes) -> Bytes {
    identity.slice(..2)
}

impl Replay {
    pub fn new(id: GroupId) -> Replay {
        let store = Store::open(
            Arc::new(MemoryBase::new()),
            Arc::new(BY_VALUE_ALONE),
            Options::default(),
        )
        .unwrap();
        let limits = Limits {
            batch_bytes: LIMITS.bytes,
            batch_timers: LIMITS.timers,
            void_entries: LIMITS.void,
            ..Limits::default()
        };
        let app: Arc<dyn Application> = Arc::new(Bank);
        let global = Arc::new(GlobalStore::new());
        let group = Group::open(
            id,
            app,
            store,
            Arc::new(Waiting::new()),
            global,
            limits,
            Position::START,
        );
        Replay {
            group: group.unwrap(),
            clock_ms: 0,
        }
    }

    pub fn check(&mut self, logged: &Logged<'_>) {
        let commit = logged.commit;
        self.group
            .restored(Position::from_u64(commit.term))
            .unwrap();
        let consumer: Arc<Once> = Arc::new(Once(AtomicBool::new(true)));
        let waiter = |identity: &Bytes, queue: Bytes, ticket| Waiter {
            queue,
            identity: identity.clone(),
            consumer: consumer.clone(),
            ticket,
        };
        let mut batch = Batch {
            messages: logged.messages.to_vec(),
            commands: logged.commands.to_vec(),
            claims: Vec::new(),
        };
        let mut taken = VecDeque::new();
        let mut tick = None;
        for recorded in &commit.recorded {
            match recorded.event.as_ref().unwrap() {
                Event::Taken(who) => {
                    let who = who.consumer.as_ref();
                    taken.push_back(who.map(|who| waiter(who, queue_of(who), u64::MAX)));
                }
                Event::Claim(claim) => {
                    // One consumer may have found several entries void.
                    let again = batch
                        .claims
                        .last()
                        .is_some_and(|nudge: &Nudge| nudge.waiter.identity == claim.consumer);
                    if !again {
                        let waiter = waiter(&claim.consumer, claim.queue.clone(), u64::MAX);
                        batch.claims.push(Nudge { waiter });
                    }
                }
                Event::Tick(at) => tick = Some(at.now_ms),
                Event::Commands(_) | Event::Messages(_) | Event::Global(_) => {}
            }
        }
        self.group.answer_takes(taken);
        // Without a tick the owner's clock is seen only where a claim moves the group's clock.
        let inputs = logged.commands.iter().chain(logged.messages);
        let heard = inputs.fold(self.clock_ms, |clock, (_, record)| {
            clock.max(record.time_ms)
        });
        let now = tick.unwrap_or(if commit.clock_ms > heard {
            commit.clock_ms
        } else {
            i64::MIN
        });
        self.group.push(batch);
        let transaction = self.group.step(now).unwrap().expect("a batch");
        let own = Partition::changelog(self.group.id());
        let mut again: Vec<Record> = transaction
            .records
            .into_iter()
            .filter(|(partition, _)| *partition == own)
            .map(|(_, record)| record)
            .collect();
        if logged.fired == 0
            && let Some(last) = again.last_mut()
        {
            // Whether an owner looks for due timers in vain depends on whether it remembers one that was cancelled. The
            // model knows that there was none, and where the floor is.
            let looked = |recorded: &Recorded| matches!(recorded.event, Some(Event::Tick(_)));
            let mut record = CommitRecord::read(last.value.as_ref().unwrap()).unwrap();
            record.timer_floor_ms = commit.timer_floor_ms;
            record.recorded.retain(|recorded| !looked(recorded));
            let ticks = commit.recorded.iter().filter(|recorded| looked(recorded));
            record.recorded.extend(ticks.cloned());
            last.value = Some(Bytes::from(record.encode_to_vec()));
        }
        assert_eq!(
            again, logged.records,
            "the same inputs gave another batch at position {}",
            logged.position
        );
        consumer.0.store(false, Ordering::Relaxed);
        self.group.discard();
        self.clock_ms = commit.clock_ms;
        let applied = Applied {
            position: logged.position,
            commit: logged.raw.clone(),
        };
        self.group
            .store_mut()
            .apply(logged.changes.to_vec(), applied)
            .unwrap();
    }
}

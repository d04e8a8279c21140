//! What owners, standbys and those in between do.

use std::collections::VecDeque;
use std::sync::Arc;

use index::changelog::{self, Entry};
use index::{Family, GlobalStore, Schema, Store};
use ironhorse_runtime::{Application, Batch, EngineError, Group, Recovery, Standby};
use parking_lot::Mutex;
use wal::{GroupId, Log, Outcome, Partition, Position, WalError, Writer};

use super::app::{Bank, GROUPS};
use super::indexes::{self, BUILDS};
use super::server::{LIMITS, Owner, Replica, limits, options};
use super::world::{SERVERS, World};

fn id(group: usize) -> GroupId {
    GroupId(group as u16)
}

impl World {
    fn replica(&mut self, server: usize, group: usize) -> Replica {
        std::mem::replace(&mut self.servers[server].replicas[group], Replica::Absent)
    }

    fn set(&mut self, server: usize, group: usize, replica: Replica) {
        self.servers[server].replicas[group] = replica;
        self.touched.push((server, group));
    }

    /// Follows the group from the server's own base, if the log reaches back to it.
    pub fn open_standby(&mut self, server: usize, group: usize) {
        let build = Arc::new(self.servers[server].build);
        let schema: Arc<dyn Schema> = build.clone();
        let base = self.servers[server].disks[group].clone();
        indexes::count(&*base, &build, &mut self.counters);
        let opened = Standby::open(
            id(group),
            Arc::new(self.log.clone()),
            base,
            schema,
            options(),
        );
        match opened {
            Ok(standby) => {
                let writing = None;
                self.set(server, group, Replica::Standby { standby, writing });
            }
            Err(EngineError::BaseTooOld { .. }) => {
                self.counters.hit("recovery: base too old, refused");
                self.set(server, group, Replica::Absent);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A standby reads on; whoever is becoming the owner goes on with that.
    pub fn follow(&mut self, server: usize, group: usize) {
        match &mut self.servers[server].replicas[group] {
            Replica::Standby { standby, .. } => match standby.step(self.now_ms) {
                Ok(more) => {
                    let progress = standby.progress();
                    let lag = progress.lag.expect("this log can tell");
                    assert!(more || lag.records == 0, "at the end, with a lag");
                    if more {
                        self.counters.hit("standby: applies");
                    }
                    self.touched.push((server, group));
                }
                Err(EngineError::BaseTooOld { .. }) => {
                    self.counters.hit("standby: the log was dropped under it");
                    self.set(server, group, Replica::Absent);
                }
                Err(error) => panic!("{error}"),
            },
            Replica::TakingOver { .. } | Replica::Recovering { .. } => {
                self.become_owner(server, group);
            }
            _ => {}
        }
    }

    /// If nobody is or becomes the owner, as far as anybody can tell, a standby takes over.
    pub fn elect(&mut self, group: usize) {
        let owned = self.servers.iter().any(|server| {
            matches!(
                server.replicas[group],
                Replica::Owner(_) | Replica::TakingOver { .. } | Replica::Recovering { .. }
            )
        });
        if !owned {
            self.begin_take_over(group, "take-over: after a failure");
        }
    }

    /// A standby takes over from an owner that is alive, and that does not know.
    pub fn usurp(&mut self, group: usize) {
        self.begin_take_over(group, "take-over: from a live owner");
    }

    fn begin_take_over(&mut self, group: usize, why: &'static str) {
        let first = self.chance.below(SERVERS as u64) as usize;
        for n in 0..SERVERS {
            let server = (first + n) % SERVERS;
            if !matches!(
                self.servers[server].replicas[group],
                Replica::Standby { .. }
            ) {
                continue;
            }
            let Replica::Standby { standby, writing } = self.replica(server, group) else {
                return;
            };
            if let Some(work) = writing {
                // A write-back that has begun is ended first: the base has one writer.
                self.servers[server].replicas[group] = Replica::Standby {
                    standby,
                    writing: Some(work),
                };
                self.end_write_back(server, group);
                return;
            }
            let position = standby
                .applied()
                .map_or(Position::START, |applied| applied.position);
            let (from, _) = self.oracle.groups[group].at(position);
            self.oracle.fence(group);
            match standby.take_over() {
                Ok(take_over) => {
                    self.counters.hit(why);
                    self.set(server, group, Replica::TakingOver { take_over, from });
                }
                Err(error) => panic!("{error}"),
            }
            return;
        }
    }

    /// One step of a take-over or of a recovery.
    pub fn become_owner(&mut self, server: usize, group: usize) {
        match self.replica(server, group) {
            Replica::TakingOver {
                mut take_over,
                from,
            } => match take_over.step() {
                Ok(false) => {
                    self.counters.hit("take-over: waits for its barrier");
                    self.set(server, group, Replica::TakingOver { take_over, from });
                }
                Ok(true) => {
                    let owned = take_over.finish().expect("done");
                    let until = self.committed_before(group, owned.term);
                    assert_eq!(
                        owned.replayed.batches as usize,
                        until - from,
                        "replayed more or less than the lag"
                    );
                    self.counters.hit(if until > from {
                        "take-over: done, with a lag"
                    } else {
                        "take-over: done, without lag"
                    });
                    let group_ = self.open_group(server, group, owned.store, owned.term);
                    self.own(server, group, group_, owned.writer, owned.term);
                }
                Err(error) => self.lost(server, group, error, "take-over: fenced meanwhile"),
            },
            Replica::Recovering {
                group: mut owner,
                mut recovery,
            } => match recovery.step(&self.log, owner.store_mut()) {
                Ok(false) => {
                    self.counters.hit("recovery: waits for its barrier");
                    let group_ = owner;
                    self.servers[server].replicas[group] = Replica::Recovering {
                        group: group_,
                        recovery,
                    };
                }
                Ok(true) => {
                    let (writer, term) = recovery.finish().expect("done");
                    owner.restored(term).expect("the store works");
                    self.counters.hit("recovery: done");
                    self.own(server, group, owner, writer, term);
                }
                Err(error) => {
                    self.hand_back(server, group, &mut owner);
                    self.lost(server, group, error, "recovery: fenced meanwhile");
                }
            },
            other => self.servers[server].replicas[group] = other,
        }
    }

    fn open_group(&mut self, server: usize, group: usize, store: Store, term: Position) -> Group {
        // Consumers are sent here as soon as the group says that it has entries.
        self.servers[server].attach(group);
        let app: Arc<dyn Application> = Arc::new(Bank);
        let waiting = Arc::clone(&self.servers[server].waiting);
        let global = Arc::new(GlobalStore::new());
        Group::open(id(group), app, store, waiting, global, limits(), term)
            .expect("the store works")
    }

    fn own(
        &mut self,
        server: usize,
        group: usize,
        owner: Group,
        writer: Box<dyn Writer>,
        term: Position,
    ) {
        let build = self.servers[server].build;
        let place = self
            .oracle
            .check_store(group, &owner.reader(), build, true, &[]);
        assert_eq!(
            place,
            self.committed_before(group, term),
            "an owner begins without what was committed before its term"
        );
        let (commands, messages) = owner.input_positions();
        let reader = |partition, after| self.log.open_reader(partition, after);
        let readers = (
            reader(Partition::commands(id(group)), commands),
            reader(Partition::messages(id(group)), messages),
        );
        let (Ok(commands), Ok(messages)) = readers else {
            // A newer owner has come so far already that the log has dropped the inputs.
            self.counters
                .hit("take-over: inputs dropped by a newer owner");
            let mut owner = owner;
            self.hand_back(server, group, &mut owner);
            drop(owner);
            self.open_standby(server, group);
            return;
        };
        let owner = Owner {
            group: owner,
            writer,
            commands,
            messages,
            outcomes: Arc::new(Mutex::new(VecDeque::new())),
            under_way: VecDeque::new(),
            writing: None,
        };
        self.set(server, group, Replica::Owner(owner));
    }

    /// Somebody else is the owner now, or the log has gone on without this server.
    fn lost(&mut self, server: usize, group: usize, error: EngineError, fenced: &'static str) {
        match error {
            EngineError::Log(WalError::Fenced(_)) => self.counters.hit(fenced),
            EngineError::BaseTooOld { .. } => self.counters.hit("recovery: the log was dropped"),
            EngineError::Start(_) => self
                .counters
                .hit("take-over: no barrier could be committed"),
            EngineError::Log(WalError::Closed) => {
                self.counters.hit("take-over: the barrier was lost");
            }
            other => panic!("{other}"),
        }
        self.open_standby(server, group);
    }

    /// Consumers that were sent to a group here stand in line again.
    fn hand_back(&mut self, server: usize, group: usize, owner: &mut Group) {
        let claims = self.servers[server].take_nudges(group);
        owner.push(Batch {
            claims,
            ..Batch::default()
        });
        owner.give_up();
        assert!(
            self.servers[server].nudges[group].lock().is_empty(),
            "a consumer was sent to a group that was given up"
        );
    }

    /// An owner goes on with the indexes that are to be built.
    fn index_piece(&mut self, server: usize, group: usize) {
        if let Replica::Owner(owner) = &mut self.servers[server].replicas[group]
            && owner.group.is_indexing()
        {
            owner.group.index_piece().expect("the store works");
            self.counters.hit(if owner.group.is_indexing() {
                "index: a piece of an owner's"
            } else {
                "index: an owner's is complete"
            });
            self.touched.push((server, group));
        }
    }

    /// Reads inputs, starts a commit, goes on with indexes.
    pub fn drive(&mut self, server: usize, group: usize) {
        self.work(server, group);
        if !self.faults || self.chance.one_in(4) {
            self.index_piece(server, group);
        }
    }

    fn work(&mut self, server: usize, group: usize) {
        let now_ms = self.now_ms + self.servers[server].skew_ms;
        let claims = self.servers[server].take_nudges(group);
        let Replica::Owner(owner) = &mut self.servers[server].replicas[group] else {
            return;
        };
        owner.group.push(Batch {
            claims,
            ..Batch::default()
        });
        if owner.group.in_flight() >= owner.writer.max_in_flight() {
            self.counters.hit("owner: no room for a commit");
            return;
        }
        if owner.group.queued() < LIMITS.inbox {
            let polled = (
                owner.messages.poll(LIMITS.poll, usize::MAX),
                owner.commands.poll(LIMITS.poll, usize::MAX),
            );
            let (Ok(messages), Ok(commands)) = polled else {
                self.counters.hit("owner: inputs dropped by a newer owner");
                self.give_up(server, group);
                return;
            };
            owner.group.push(Batch {
                messages,
                commands,
                claims: Vec::new(),
            });
        }
        assert!(
            owner.group.queued() < LIMITS.inbox + 2 * LIMITS.poll,
            "the inbox is bounded"
        );
        if let Some(transaction) = owner.group.step(now_ms).expect("the store works") {
            let own = Partition::changelog(id(group));
            let records = transaction.records.iter();
            let changed: Vec<(Family, bytes::Bytes)> = records
                .filter(|(partition, _)| *partition == own)
                .filter_map(|(_, record)| match changelog::decode(record).unwrap() {
                    Entry::Change(change) => Some((change.family, change.key)),
                    _ => None,
                })
                .collect();
            if owner.group.has_work(i64::MIN) {
                self.counters.hit("owner: a batch reached a limit");
            }
            owner.under_way.push_back(changed);
            let outcomes = Arc::clone(&owner.outcomes);
            owner
                .writer
                .commit(
                    transaction,
                    Box::new(move |outcome| outcomes.lock().push_back(outcome)),
                )
                .expect("the transaction is small");
            assert!(owner.group.in_flight() <= owner.writer.max_in_flight());
            if owner.group.in_flight() > 1 {
                self.counters.hit("owner: a batch on top of one under way");
            }
        }
        self.touched.push((server, group));
    }

    /// Hears how its oldest commits have ended.
    pub fn hear(&mut self, server: usize, group: usize) {
        loop {
            let Replica::Owner(owner) = &mut self.servers[server].replicas[group] else {
                return;
            };
            let Some(outcome) = owner.outcomes.lock().pop_front() else {
                return;
            };
            self.touched.push((server, group));
            match outcome {
                Outcome::Committed(position) => self.release(server, group, position),
                Outcome::Fenced => {
                    self.counters.hit("owner: finds itself fenced");
                    self.give_up(server, group);
                }
                Outcome::Aborted | Outcome::Unknown => self.start_anew(server, group),
            }
        }
    }

    /// A commit is durable: answers and entries leave.
    fn release(&mut self, server: usize, group: usize, position: Position) {
        let Replica::Owner(owner) = &mut self.servers[server].replicas[group] else {
            return;
        };
        let released = owner.group.committed(position).expect("the store works");
        owner.under_way.pop_front();
        let reader = owner.group.reader();
        assert_eq!(reader.applied_position(), Some(position));
        self.oracle.groups[group].at(position);
        for (request, answer) in released.replies {
            if let Ok(answer) = &answer {
                self.oracle.check_answer(group, request.0, answer);
                let row = super::app::by_id(b'r', request.0);
                let read = reader.get(Family::State, &row).expect("the store works");
                assert_eq!(read.as_ref(), Some(answer), "a client reads its own write");
                self.counters.hit("client: answered");
            }
            self.clients.hear(request.0, answer.map_err(|_| ()));
        }
        for (waiter, payload) in released.deliveries {
            let entry = u128::from_be_bytes(payload[..16].try_into().unwrap());
            self.oracle.check_delivery(group, entry, &waiter.identity);
            waiter.consumer.deliver(payload);
            self.counters.hit("consumer: got an entry");
        }
    }

    fn give_up(&mut self, server: usize, group: usize) {
        if let Replica::Owner(mut owner) = self.replica(server, group) {
            self.hand_back(server, group, &mut owner.group);
            // A write-back that has not run is forgotten with the rest.
            drop(owner);
            self.open_standby(server, group);
        }
    }

    /// A commit did not end well.
    fn start_anew(&mut self, server: usize, group: usize) {
        // The base has one writer, and this group stays: what it has begun to write ends first.
        self.end_write_back(server, group);
        let Replica::Owner(mut owner) = self.replica(server, group) else {
            return;
        };
        owner.group.discard();
        self.oracle.fence(group);
        match Recovery::begin(&self.log, id(group), owner.group.store_mut()) {
            Ok(recovery) => {
                self.counters.hit("recovery: begun");
                let group_ = owner.group;
                self.servers[server].replicas[group] = Replica::Recovering {
                    group: group_,
                    recovery,
                };
            }
            Err(error) => {
                self.hand_back(server, group, &mut owner.group);
                self.lost(server, group, error, "recovery: fenced meanwhile");
            }
        }
    }

    /// A server starts, or is running already.
    pub fn restart(&mut self, server: usize) {
        if !self.servers[server].up {
            self.servers[server].up = true;
            self.counters.hit("server: start");
            if self.faults && self.chance.one_in(2) {
                self.servers[server].build = BUILDS[self.chance.below(3) as usize];
            }
            for group in 0..usize::from(GROUPS) {
                self.open_standby(server, group);
            }
        }
    }
}

//! A server of the simulation: its disks, its consumers, and what it is to each group.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use index::testing::{Around, Hooks};
use index::{Base, Family, MemoryBase, Options, Shipment, StoreError, WriteBack};
use ironhorse_runtime::{
    Consumer, Group, Limits, Nudge, Recovery, Standby, TakeOver, Waiter, Waiting,
};
use parking_lot::Mutex;
use wal::{Outcome, Reader, Writer};

use super::app::{GROUPS, queue_name};
use super::indexes::{BUILDS, Indexes};

/// Small, so that each is reached.
pub struct Bounds {
    pub inputs: usize,
    pub bytes: usize,
    pub timers: usize,
    pub claims: usize,
    pub void: usize,
    /// Inputs that a group holds before it stops reading, and what it reads at a time from each.
    pub inbox: usize,
    pub poll: usize,
}

pub const LIMITS: Bounds = Bounds {
    inputs: 6,
    bytes: 500,
    timers: 3,
    claims: 2,
    void: 2,
    inbox: 12,
    poll: 5,
};

pub fn limits() -> Limits {
    Limits {
        transaction_bytes: Limits::default().transaction_bytes,
        batch_inputs: LIMITS.inputs,
        batch_bytes: LIMITS.bytes,
        batch_timers: LIMITS.timers,
        batch_claims: LIMITS.claims,
        void_entries: LIMITS.void,
    }
}

pub fn options() -> Options {
    Options {
        write_back_bytes: 600,
        index_piece_rows: 3,
        ..Options::default()
    }
}

/// The next flush can fail.
#[derive(Default)]
pub struct Fails(pub AtomicBool);

pub type Disk = Around<MemoryBase, Fails>;

impl Hooks for Fails {
    fn flush(&self, base: &dyn Base) -> Result<(), StoreError> {
        if self.0.swap(false, Ordering::Relaxed) {
            return Err(StoreError::Base("the disk is gone".to_owned()));
        }
        base.flush()
    }
}

/// A consumer that comes once.
pub struct Visitor(pub AtomicBool);

impl Consumer for Visitor {
    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn deliver(&self, _payload: Bytes) {}
}

/// A group that this server owns, or believes to own.
pub struct Owner {
    pub group: Group,
    pub writer: Box<dyn Writer>,
    pub commands: Box<dyn Reader>,
    pub messages: Box<dyn Reader>,
    pub outcomes: Arc<Mutex<VecDeque<Outcome>>>,
    /// Rows that the batches under way change, oldest first.
    pub under_way: VecDeque<Vec<(Family, Bytes)>>,
    pub writing: Option<WriteBack>,
}

/// What a server is to a group.
pub enum Replica {
    /// Nothing: it has no base that the log reaches back to.
    Absent,
    Shipping {
        shipment: Shipment,
        target: MemoryBase,
    },
    Standby {
        standby: Standby,
        writing: Option<WriteBack>,
    },
    TakingOver {
        take_over: TakeOver,
        /// The number of the batch that it had come to.
        from: usize,
    },
    Owner(Owner),
    Recovering {
        group: Group,
        recovery: Recovery,
    },
}

pub struct Server {
    pub up: bool,
    /// What the build declares that it was started with.
    pub build: Indexes,
    pub waiting: Arc<Waiting>,
    pub replicas: Vec<Replica>,
    pub disks: Vec<Arc<Disk>>,
    pub nudges: Vec<Arc<Mutex<Vec<Nudge>>>>,
    pub visitors: VecDeque<(u8, u64, Arc<Visitor>)>,
    pub skew_ms: i64,
}

impl Server {
    pub fn new(skew_ms: i64) -> Server {
        Server {
            up: false,
            build: BUILDS[0],
            waiting: Arc::new(Waiting::new()),
            replicas: (0..GROUPS).map(|_| Replica::Absent).collect(),
            disks: (0..GROUPS).map(|_| Arc::new(Disk::default())).collect(),
            nudges: (0..GROUPS).map(|_| Arc::default()).collect(),
            visitors: VecDeque::new(),
            skew_ms,
        }
    }

    /// The process dies: what is in memory is gone, and what was not flushed.
    pub fn crash(&mut self) {
        self.up = false;
        for (replica, disk) in self.replicas.iter_mut().zip(&self.disks) {
            *replica = Replica::Absent;
            disk.base.crash();
            disk.hooks.0.store(false, Ordering::Relaxed);
        }
        self.waiting = Arc::new(Waiting::new());
        self.nudges = (0..GROUPS).map(|_| Arc::default()).collect();
        self.visitors.clear();
    }

    /// Consumers that were sent to a group, for it to serve.
    pub fn take_nudges(&self, group: usize) -> Vec<Nudge> {
        std::mem::take(&mut *self.nudges[group].lock())
    }

    /// The server becomes the owner: consumers are sent to it from now on.
    pub fn attach(&self, group: usize) {
        let nudges = Arc::clone(&self.nudges[group]);
        self.waiting.attach(
            wal::GroupId(group as u16),
            Arc::new(move |nudge| nudges.lock().push(nudge)),
        );
    }

    /// A consumer comes. Its identity begins with the queue's name, and is never used again.
    pub fn visit(&mut self, queue: u8, visit: u64) {
        let name = queue_name(queue);
        let identity = [&name[..], &visit.to_be_bytes()].concat();
        let consumer = Arc::new(Visitor(AtomicBool::new(true)));
        let ticket = self.waiting.wait(Waiter {
            queue: name,
            identity: Bytes::from(identity),
            consumer: consumer.clone(),
            ticket: 0,
        });
        self.visitors.push_back((queue, ticket, consumer));
        if self.visitors.len() > 8 {
            self.leave();
        }
    }

    /// The consumer that came first leaves, wherever it is now.
    pub fn leave(&mut self) {
        if let Some((queue, ticket, consumer)) = self.visitors.pop_front() {
            consumer.0.store(false, Ordering::Relaxed);
            self.waiting.withdraw(&queue_name(queue), ticket);
        }
    }
}

//! What all parts of one log share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::BaseConsumer;
use wal::{Notify, Partition, Position, WalError};

use crate::Options;
use crate::context::{Context, Trouble};
use crate::topics::Topics;

/// See the module.
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) topics: Topics,
    pub(crate) trouble: Arc<Trouble>,
    pub(crate) subscribers: Subscribers,
    /// Bytes of keys and values that were sent.
    pub(crate) written: AtomicU64,
    /// Asks for the ends of partitions and for metadata.
    pub(crate) asker: BaseConsumer<Context>,
    closed: AtomicBool,
    /// What may be deleted, by partition.
    trims: Mutex<BTreeMap<Partition, Position>>,
    woken: Condvar,
    /// A writer could be opened once: the brokers can do transactions.
    pub(crate) had_writer: AtomicBool,
}

impl Inner {
    pub(crate) fn new(
        options: Options,
        topics: Topics,
        trouble: Arc<Trouble>,
        asker: BaseConsumer<Context>,
    ) -> Inner {
        Inner {
            options,
            topics,
            trouble,
            subscribers: Subscribers::default(),
            written: AtomicU64::new(0),
            asker,
            closed: AtomicBool::new(false),
            trims: Mutex::new(BTreeMap::new()),
            woken: Condvar::new(),
            had_writer: AtomicBool::new(false),
        }
    }

    pub(crate) fn context(&self) -> Context {
        Context::new(&self.trouble)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Ends every wait.
    pub(crate) fn close(&self) {
        let _trims = self.trims.lock();
        self.closed.store(true, Ordering::Relaxed);
        self.woken.notify_all();
    }

    /// Remembers that records up to `up_to` may go.
    pub(crate) fn may_go(&self, partition: Partition, up_to: Position) {
        let mut trims = self.trims.lock();
        let at = trims.entry(partition).or_insert(Position::START);
        if up_to > *at {
            *at = up_to;
            self.woken.notify_all();
        }
    }

    /// What may go, after at most `pause`.
    pub(crate) fn wait_for_trims(&self, pause: Duration) -> BTreeMap<Partition, Position> {
        let mut trims = self.trims.lock();
        if trims.is_empty() && !self.is_closed() {
            self.woken.wait_for(&mut trims, pause);
        }
        std::mem::take(&mut *trims)
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The log was closed.
    pub(crate) fn pause(&self, backoff: &mut Backoff) -> Result<(), WalError> {
        let until = std::time::Instant::now() + backoff.next();
        let mut trims = self.trims.lock();
        while !self.is_closed() {
            if self.woken.wait_until(&mut trims, until).timed_out() {
                return Ok(());
            }
        }
        Err(WalError::Closed)
    }
}

/// How long to wait between attempts: 50 ms, then twice as long each time, up to 1 s.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        self.attempts += 1;
        Duration::from_millis((25_u64 << self.attempts.min(6)).min(1000))
    }

    /// Whether this attempt is worth a line in the log: not each one is.
    pub(crate) fn is_news(&self) -> bool {
        self.attempts == 3 || self.attempts % 20 == 19
    }
}

/// Who wants to know of new records.
#[derive(Default)]
pub(crate) struct Subscribers(Mutex<BTreeMap<Partition, Notify>>);

impl Subscribers {
    pub(crate) fn set(&self, partition: Partition, notify: Notify) {
        self.0.lock().insert(partition, notify);
    }

    pub(crate) fn tell(&self, partition: Partition) {
        let notify = self.0.lock().get(&partition).map(Arc::clone);
        if let Some(notify) = notify {
            notify();
        }
    }
}

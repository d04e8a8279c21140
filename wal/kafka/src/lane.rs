//! One transactional producer, and what became of its transaction's records.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use wal::{Outcome, Transaction};

use crate::context::Context;
use crate::inner::Inner;
use crate::record;
use crate::refusal::is_fenced;

/// Records of the transaction under way.
#[derive(Debug, Default)]
struct Sent {
    /// Not acknowledged yet.
    pending: usize,
    /// Offset of the last one, once it is acknowledged.
    last: Option<i64>,
    failed: Option<KafkaError>,
}

pub(crate) struct LaneContext {
    context: Context,
    sent: Mutex<Sent>,
    acknowledged: Condvar,
}

impl ClientContext for LaneContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.context.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

/// Marks the last record of a transaction.
const LAST: usize = 1;

impl ProducerContext for LaneContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: usize) {
        let mut sent = self.sent.lock();
        sent.pending = sent.pending.saturating_sub(1);
        match result {
            Ok(message) if mark == LAST => sent.last = Some(message.offset()),
            Ok(_) => {}
            Err((error, _)) => sent.failed = Some(error.clone()),
        }
        if sent.pending == 0 || sent.failed.is_some() {
            self.acknowledged.notify_all();
        }
    }
}

/// A transaction did not get to its commit.
enum Failed {
    /// Another owner.
    Fenced,
    /// The text is for the log.
    Other(String),
}

/// See the module.
pub(crate) struct Lane {
    inner: Arc<Inner>,
    pub(crate) producer: ThreadedProducer<LaneContext>,
    /// It has an epoch.
    ready: bool,
}

impl Lane {
    /// Connects, but is nobody yet.
    pub(crate) fn create(inner: &Arc<Inner>, id: &str) -> Result<Lane, KafkaError> {
        let context = LaneContext {
            context: inner.context(),
            sent: Mutex::new(Sent::default()),
            acknowledged: Condvar::new(),
        };
        Ok(Lane {
            inner: Arc::clone(inner),
            producer: inner
                .options
                .transactional(id)
                .create_with_context(context)?,
            ready: false,
        })
    }

    /// Sends `transaction` and commits it.
    pub(crate) fn commit(&self, transaction: &Transaction) -> Outcome {
        let deadline = Instant::now() + self.inner.options.commit_timeout;
        let errors = self.errors();
        let sent = self.send(transaction).and_then(|()| self.wait(deadline));
        match sent {
            Ok(offset) => self.end(offset, deadline, errors),
            Err(Failed::Fenced) => Outcome::Fenced,
            // It has no commit, and never will: whoever opens the writer next ends it.
            Err(Failed::Other(why)) => {
                tracing::warn!(why, "a transaction was given up before its commit");
                Outcome::Aborted
            }
        }
    }

    fn send(&self, transaction: &Transaction) -> Result<(), Failed> {
        *self.producer.context().sent.lock() = Sent {
            pending: transaction.records.len(),
            ..Sent::default()
        };
        self.producer
            .begin_transaction()
            .map_err(|error| self.failed(&error))?;
        let last = transaction.records.len().saturating_sub(1);
        let mut bytes = 0;
        for (n, (partition, record)) in transaction.records.iter().enumerate() {
            let Some((topic, index)) = self.inner.topics.place(*partition) else {
                return Err(Failed::Other(self.inner.topics.unknown(*partition)));
            };
            let mark = if n == last { LAST } else { 0 };
            let message = BaseRecord::with_opaque_to(topic, mark)
                .partition(index)
                .key(&*record.key)
                .headers(record::headers(record));
            let mut message = match &record.value {
                Some(value) => message.payload(&**value),
                None => message,
            };
            bytes += record.size() as u64;
            while let Err((error, back)) = self.producer.send(message) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) {
                    return Err(self.failed(&error));
                }
                // The polling thread makes room.
                std::thread::park_timeout(Duration::from_millis(1));
                message = back;
            }
        }
        self.inner.written.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until all records are acknowledged; the offset of the last one.
    fn wait(&self, deadline: Instant) -> Result<i64, Failed> {
        let context = self.producer.context();
        let mut sent = context.sent.lock();
        while sent.pending > 0 && sent.failed.is_none() {
            if self.inner.is_closed() {
                return Err(Failed::Other("the log was closed".to_owned()));
            }
            let slice = Instant::now() + Duration::from_millis(100);
            context
                .acknowledged
                .wait_until(&mut sent, slice.min(deadline));
            if Instant::now() >= deadline && sent.pending > 0 {
                return Err(Failed::Other(
                    "the brokers did not acknowledge its records in time".to_owned(),
                ));
            }
        }
        if let Some(error) = sent.failed.clone() {
            drop(sent);
            return Err(self.failed(&error));
        }
        let last = sent.last;
        drop(sent);
        // The event that holds the records is freed just after its callback; before that `commit_transaction` would wait
        // for 100 ms (rust-rdkafka#777).
        let patience = Instant::now() + Duration::from_millis(20);
        while self.producer.in_flight_count() > 0 && Instant::now() < patience {
            std::thread::yield_now();
        }
        Ok(last.unwrap_or(-1))
    }

    fn end(&self, offset: i64, deadline: Instant, errors: u64) -> Outcome {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let disturbed = self.errors() != errors;
            match self
                .producer
                .commit_transaction(left.max(Duration::from_millis(1)))
            {
                // A retry that met itself has no offset: it is committed, only where is not known.
                Ok(()) if offset < 0 => return Outcome::Unknown,
                Ok(()) => return Outcome::Committed(record::position(offset)),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !left.is_zero() && !self.inner.is_closed() => {}
                // With an undisturbed connection the first answer is the only one: it was refused, not repeated.
                Err(error) if !disturbed && self.is_fenced(&error) => return Outcome::Fenced,
                Err(error) => {
                    tracing::warn!(%error, "the outcome of a commit is not known");
                    return Outcome::Unknown;
                }
            }
        }
    }

    /// Errors of its connections so far. If they rise while a transaction runs, a delayed request may still reach the
    /// coordinator, and would be taken for one of the next transaction (until librdkafka has KIP-890's second part).
    pub(crate) fn errors(&self) -> u64 {
        self.producer.context().context.errors()
    }

    /// Fences every earlier producer of this id.
    pub(crate) fn init(&mut self, patience: Duration) -> Result<(), KafkaError> {
        if !self.ready {
            self.producer.init_transactions(patience)?;
            self.ready = true;
        }
        Ok(())
    }

    fn is_fenced(&self, error: &KafkaError) -> bool {
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        error.rdkafka_error_code().is_some_and(is_fenced) || fatal.is_some_and(is_fenced)
    }

    fn failed(&self, error: &KafkaError) -> Failed {
        if self.is_fenced(error) {
            Failed::Fenced
        } else {
            Failed::Other(error.to_string())
        }
    }
}

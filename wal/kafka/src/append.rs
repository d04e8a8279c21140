//! Plain appends: one idempotent producer for all partitions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;
use wal::{Append, AppendError, Partition, Position, Record};

use crate::context::Context;
use crate::inner::Inner;
use crate::options::MAX_RECORD;
use crate::record;
use crate::refusal::advice;

type Fate = Result<Position, AppendError>;

/// Who waits for a record's fate.
pub(crate) struct Waiter {
    partition: Partition,
    sender: oneshot::Sender<Fate>,
}

/// Of the producer.
pub(crate) struct AppendContext {
    inner: Arc<Inner>,
    context: Context,
}

impl ClientContext for AppendContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.context.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for AppendContext {
    type DeliveryOpaque = Box<Waiter>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiter: Box<Waiter>) {
        let Waiter { partition, sender } = *waiter;
        let fate = match result {
            Ok(message) if message.offset() >= 0 => {
                self.inner.trouble.down.store(false, Ordering::Relaxed);
                self.inner.subscribers.tell(partition);
                Ok(record::position(message.offset()))
            }
            // A retry met itself: it is there, only where is not known.
            Ok(_) => Err(AppendError::Unknown(
                "it was appended, at a position that the broker does not say".to_owned(),
            )),
            Err((error, _)) => Err(self.failed(error)),
        };
        // Nobody waits any more if the caller went away.
        let _ = sender.send(fate);
    }
}

impl AppendContext {
    fn failed(&self, error: &KafkaError) -> AppendError {
        if let Some(advice) = advice(error, &self.inner.options.cluster) {
            return AppendError::Unavailable(advice);
        }
        match error.rdkafka_error_code() {
            // It never left the queue.
            Some(Code::PurgeQueue) => AppendError::Unavailable(error.to_string()),
            Some(Code::MessageTimedOut) => {
                self.inner.trouble.suspect.store(true, Ordering::Relaxed);
                AppendError::Unknown("the brokers did not acknowledge it in time".to_owned())
            }
            _ => AppendError::Unknown(error.to_string()),
        }
    }
}

/// See the module.
pub(crate) struct Appender {
    inner: Arc<Inner>,
    producer: Mutex<Arc<ThreadedProducer<AppendContext>>>,
}

impl Appender {
    pub(crate) fn open(inner: &Arc<Inner>) -> Result<Appender, KafkaError> {
        Ok(Appender {
            inner: Arc::clone(inner),
            producer: Mutex::new(Arc::new(create(inner)?)),
        })
    }

    pub(crate) fn append(&self, to: Partition, record: &Record) -> Result<Append, AppendError> {
        let size = record.size();
        if size > MAX_RECORD {
            return Err(AppendError::TooLarge {
                size,
                limit: MAX_RECORD,
            });
        }
        if self.inner.is_closed() {
            return Err(AppendError::Unavailable("the log is closed".to_owned()));
        }
        if self.inner.trouble.down.load(Ordering::Relaxed) {
            return Err(AppendError::Unavailable(
                "no Kafka broker can be reached".to_owned(),
            ));
        }
        let Some((topic, index)) = self.inner.topics.place(to) else {
            return Err(AppendError::Unavailable(self.inner.topics.unknown(to)));
        };
        let (sender, fate) = oneshot::channel();
        let waiter = Waiter {
            partition: to,
            sender,
        };
        let message = BaseRecord::with_opaque_to(topic, Box::new(waiter))
            .partition(index)
            .key(&*record.key)
            .headers(record::headers(record));
        let message = match &record.value {
            Some(value) => message.payload(&**value),
            None => message,
        };
        let producer = self.producer()?;
        producer
            .send(message)
            .map_err(|(error, _)| match error.rdkafka_error_code() {
                Some(Code::QueueFull) => AppendError::Full,
                _ => AppendError::Unavailable(error.to_string()),
            })?;
        self.inner.written.fetch_add(size as u64, Ordering::Relaxed);
        Ok(Append::Pending(Box::pin(async move {
            let gone = AppendError::Unknown("the log was closed meanwhile".to_owned());
            fate.await.unwrap_or(Err(gone))
        })))
    }

    /// The producer; a new one if the last one has come to a state from which it does not get out.
    fn producer(&self) -> Result<Arc<ThreadedProducer<AppendContext>>, AppendError> {
        let mut producer = self.producer.lock();
        if let Some((_, reason)) = producer.client().fatal_error() {
            tracing::warn!(reason, "the producer of commands ended; making a new one");
            let new =
                create(&self.inner).map_err(|error| AppendError::Unavailable(error.to_string()))?;
            let old = std::mem::replace(&mut *producer, Arc::new(new));
            drop_aside(old);
        }
        Ok(Arc::clone(&producer))
    }

    /// What is queued is sent, or ends as unknown after at most `patience`.
    pub(crate) fn flush(&self, patience: std::time::Duration) {
        let producer = Arc::clone(&self.producer.lock());
        if producer.flush(patience).is_err() {
            tracing::warn!("some appends were not acknowledged when the log was closed");
        }
    }
}

fn create(inner: &Arc<Inner>) -> Result<ThreadedProducer<AppendContext>, KafkaError> {
    let context = AppendContext {
        inner: Arc::clone(inner),
        context: inner.context(),
    };
    inner.options.appender().create_with_context(context)
}

/// Dropping a client takes 100 ms and more: on a thread that nobody waits for.
pub(crate) fn drop_aside<T: Send + 'static>(client: T) {
    let thread = std::thread::Builder::new().name("kafka-drop".to_owned());
    // Without a thread it is dropped here, by the closure that could not be started.
    if let Err(error) = thread.spawn(move || drop(client)) {
        tracing::warn!(%error, "no thread to drop a client of Kafka on");
    }
}

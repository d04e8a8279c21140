//! The log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::admin::AdminClient;
use rdkafka::error::KafkaError;
use wal::{
    Append, AppendError, Log, Notify, Partition, Position, Reader, Record, Topic, WalError, Writer,
    WriterId,
};

use crate::append::Appender;
use crate::context::{Context, Trouble};
use crate::fetch::Fetchers;
use crate::inner::Inner;
use crate::lane::Lane;
use crate::options::{MAX_RECORD, MAX_TRANSACTION};
use crate::setup::{self, Checked};
use crate::topics::{Topics, is_name};
use crate::{Options, reader, upkeep, writer};

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

/// The log of one cluster on Apache Kafka.
pub struct KafkaLog {
    inner: Arc<Inner>,
    appender: Appender,
    fetchers: Fetchers,
    /// Clients that are connected, for writers that will be opened.
    warm: Mutex<BTreeMap<WriterId, Vec<Lane>>>,
}

impl KafkaLog {
    /// Connects, makes topics that are missing, and checks those that are there.
    ///
    /// # Errors
    /// [`WalError::Broker`]: nobody answers, the brokers refuse us, or a topic is not as it must be; the text says what
    /// to do.
    pub fn open(options: Options) -> Result<Arc<KafkaLog>, WalError> {
        if !is_name(&options.cluster) {
            return Err(WalError::Broker(format!(
                "{:?} cannot be the id of a cluster: it needs 1 to 100 letters, digits, \".\", \"_\" and \"-\"",
                options.cluster
            )));
        }
        let broken = |error: KafkaError| WalError::Broker(format!("settings of Kafka: {error}"));
        let trouble = Arc::new(Trouble::default());
        let topics = Topics::new(&options.cluster, options.groups.max(1));
        let asker = options
            .admin()
            .create_with_context(Context::new(&trouble))
            .map_err(broken)?;
        let admin: AdminClient<Context> = options
            .admin()
            .create_with_context(Context::new(&trouble))
            .map_err(broken)?;
        let inner = Arc::new(Inner::new(options, topics, trouble, asker));
        let Checked { created } = setup::check(&inner, &admin)?;
        if created > 0 {
            tracing::info!(cluster = inner.options.cluster, created, "made topics");
        }
        let appender = Appender::open(&inner).map_err(broken)?;
        let shared = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("kafka-upkeep".to_owned())
            .spawn(move || upkeep::run(&shared, &admin))
            .map_err(|source| WalError::Io {
                context: "a thread for upkeep".to_owned(),
                source,
            })?;
        Ok(Arc::new(KafkaLog {
            inner,
            appender,
            fetchers: Fetchers::default(),
            warm: Mutex::new(BTreeMap::new()),
        }))
    }

    /// Connects for a writer that will be opened, without being it: opening it then takes milliseconds instead of half a
    /// second.
    ///
    /// # Errors
    /// librdkafka refuses its settings.
    pub fn warm(&self, id: &WriterId) -> Result<(), WalError> {
        let lanes = writer::prepare(&self.inner, id)
            .map_err(|error| WalError::Broker(format!("settings of Kafka: {error}")))?;
        self.warm.lock().insert(id.clone(), lanes);
        Ok(())
    }

    /// How many transactions had to wait for the markers of the one before them: counted if librdkafka's `debug` contains
    /// `eos`.
    pub fn concurrent_transactions(&self) -> u64 {
        self.inner.trouble.concurrent.load(Ordering::Relaxed)
    }

    /// Sends what is queued, for at most 5 s, and ends every wait with [`WalError::Closed`].
    pub fn close(&self) {
        if !self.inner.is_closed() {
            self.appender.flush(CLOSE);
            self.inner.close();
        }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Log for KafkaLog {
    fn append(&self, to: Partition, record: Record) -> Result<Append, AppendError> {
        self.appender.append(to, &record)
    }

    fn open_writer(&self, id: &WriterId) -> Result<Box<dyn Writer>, WalError> {
        let warm = self.warm.lock().remove(id);
        let writer = writer::open(&self.inner, id, warm)?;
        Ok(Box::new(writer))
    }

    fn open_reader(
        &self,
        partition: Partition,
        after: Position,
    ) -> Result<Box<dyn Reader>, WalError> {
        let reader = reader::open(&self.inner, &self.fetchers, partition, after)?;
        Ok(Box::new(reader))
    }

    fn subscribe(&self, partition: Partition, notify: Notify) {
        self.inner.subscribers.set(partition, notify);
    }

    /// Inputs are deleted; changelogs are compacted, and stay.
    fn trim(&self, partition: Partition, up_to: Position) {
        if up_to > Position::START && matches!(partition.topic, Topic::Commands | Topic::Messages) {
            self.inner.may_go(partition, up_to);
        }
    }

    fn max_transaction_bytes(&self) -> usize {
        MAX_TRANSACTION
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD
    }

    fn bytes_written(&self) -> u64 {
        self.inner.written.load(Ordering::Relaxed)
    }
}

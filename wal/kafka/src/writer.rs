//! Transactional writers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;
use wal::{OnCommit, Outcome, Transaction, WalError, Writer, WriterId};

use crate::append::drop_aside;
use crate::inner::{Backoff, Inner};
use crate::lane::Lane;
use crate::options::MAX_TRANSACTION;
use crate::refusal::{advice, is_fenced};

/// How long one attempt to become a writer may take. librdkafka goes on by itself meanwhile.
const INIT: Duration = Duration::from_secs(5);
/// After so long without success a new client is tried.
const STALE: Duration = Duration::from_secs(30);

/// A writer; its commits run on a thread of its own.
pub(crate) struct KafkaWriter {
    jobs: mpsc::Sender<(Transaction, OnCommit)>,
}

/// Creates the clients of a writer, which connect meanwhile.
pub(crate) fn prepare(inner: &Arc<Inner>, id: &WriterId) -> Result<Vec<Lane>, KafkaError> {
    inner
        .topics
        .transactional_ids(id, inner.options.alternate)
        .iter()
        .map(|id| Lane::create(inner, id))
        .collect()
}

/// Fences every earlier writer of this id, and returns when all it did is decided. Waits for brokers as long as it takes.
///
/// # Errors
/// The brokers refuse; another writer was opened meanwhile; the log was closed.
pub(crate) fn open(
    inner: &Arc<Inner>,
    id: &WriterId,
    warm: Option<Vec<Lane>>,
) -> Result<KafkaWriter, WalError> {
    let broken = |error: KafkaError| WalError::Broker(format!("writer {}: {error}", id.0));
    let mut lanes = match warm {
        Some(lanes) => lanes,
        None => prepare(inner, id).map_err(broken)?,
    };
    let mut backoff = Backoff::default();
    let began = Instant::now();
    let mut since = Instant::now();
    while let Err(error) = init(&mut lanes) {
        let code = error.rdkafka_error_code();
        if let Some(advice) = advice(&error, &inner.options.cluster) {
            return Err(WalError::Broker(advice));
        }
        if inner.is_closed() {
            return Err(WalError::Closed);
        }
        if code.is_some_and(is_fenced) {
            return Err(WalError::Fenced(id.0.clone()));
        }
        let first = !inner.had_writer.load(Ordering::Relaxed);
        if first && began.elapsed() > 2 * inner.options.open_timeout {
            return Err(WalError::Broker(format!(
                "Kafka cannot begin transactions ({error}): with fewer than three brokers set \
                 transaction.state.log.replication.factor and transaction.state.log.min.isr to what there are"
            )));
        }
        if backoff.is_news() {
            tracing::warn!(writer = id.0, %error, "cannot open the writer yet; trying on");
        }
        let fatal = |lane: &Lane| lane.producer.client().fatal_error().is_some();
        let retriable = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
        if !retriable || since.elapsed() > STALE || lanes.iter().any(fatal) {
            drop_aside(std::mem::replace(
                &mut lanes,
                prepare(inner, id).map_err(broken)?,
            ));
            since = Instant::now();
        }
        inner.pause(&mut backoff)?;
    }
    inner.had_writer.store(true, Ordering::Relaxed);
    let (jobs, queue) = mpsc::channel();
    let thread = Thread {
        inner: Arc::clone(inner),
        lanes,
        next: 0,
        ended: None,
    };
    std::thread::Builder::new()
        .name(format!("kafka-{}", id.0))
        .spawn(move || thread.run(&queue))
        .map_err(|source| WalError::Io {
            context: "a thread for a writer".to_owned(),
            source,
        })?;
    Ok(KafkaWriter { jobs })
}

/// All lanes at once: each may have to wait for half a second.
fn init(lanes: &mut [Lane]) -> Result<(), KafkaError> {
    std::thread::scope(|scope| {
        let attempts: Vec<_> = lanes
            .iter_mut()
            .map(|lane| scope.spawn(|| lane.init(INIT)))
            .collect();
        let mut end = Ok(());
        for attempt in attempts {
            let result = attempt
                .join()
                .unwrap_or(Err(KafkaError::Global(Code::Fail)));
            end = end.and(result);
        }
        end
    })
}

impl Writer for KafkaWriter {
    fn commit(&mut self, transaction: Transaction, on_commit: OnCommit) -> Result<(), WalError> {
        let size = transaction.records.iter().map(|(_, r)| r.size()).sum();
        if size > MAX_TRANSACTION {
            return Err(WalError::TooLarge {
                what: "transaction",
                size,
                limit: MAX_TRANSACTION,
            });
        }
        self.jobs
            .send((transaction, on_commit))
            .map_err(|_| WalError::Closed)
    }

    fn max_in_flight(&self) -> usize {
        1
    }
}

struct Thread {
    inner: Arc<Inner>,
    lanes: Vec<Lane>,
    /// Which lane is used next.
    next: usize,
    /// Every later commit ends like this.
    ended: Option<Outcome>,
}

impl Thread {
    fn run(mut self, queue: &mpsc::Receiver<(Transaction, OnCommit)>) {
        while let Ok((transaction, on_commit)) = queue.recv() {
            let outcome = self.commit(&transaction);
            on_commit(outcome);
        }
        // The writer was dropped; its clients go here, and nobody waits for this thread.
    }

    fn commit(&mut self, transaction: &Transaction) -> Outcome {
        if let Some(ended) = self.ended {
            return ended;
        }
        let lane = &self.lanes[self.next];
        let errors = lane.errors();
        let outcome = lane.commit(transaction);
        match outcome {
            Outcome::Committed(_) => {
                if lane.errors() != errors {
                    tracing::info!(
                        "a connection broke during a commit; the writer has to be opened anew"
                    );
                    self.ended = Some(Outcome::Aborted);
                }
                for (partition, _) in &transaction.records {
                    self.inner.subscribers.tell(*partition);
                }
            }
            other => self.ended = Some(other),
        }
        self.next = (self.next + 1) % self.lanes.len();
        outcome
    }
}

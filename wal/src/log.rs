//! The trait family. One contract, kept by every implementation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{AppendError, Partition, Position, Record, WalError};

/// Names a transactional writer. Opening a writer fences every earlier one with the same id, and decides what it left
/// undone. One per partition group, stable over restarts and moves (never per process or thread).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub String);

/// How a commit ended. After anything but [`Outcome::Committed`] the caller drops its overlays, opens the writer anew
/// and reads the changelog up to a barrier record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Durable. The position is that of the transaction's **last** record (the commit record).
    Committed(Position),
    /// Nothing of it will ever be seen.
    Aborted,
    /// A newer writer owns the id; nothing of it will ever be seen.
    Fenced,
    /// It may or may not have happened: never guess, read the changelog.
    Unknown,
}

/// Told the outcome of one commit, once, on the log's own thread: hand the news over and return, never block.
pub type OnCommit = Box<dyn FnOnce(Outcome) + Send>;

/// Told that a partition has something new to read. Called on the log's or an appender's thread: never block.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// Records for any partitions that become visible together or not at all, in this order within each partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What is written. A changelog batch ends in its commit record.
    pub records: Vec<(Partition, Record)>,
}

/// The fate of a plain append: its position, once it is known.
///
/// On a log in this process it is known at once. Awaiting it does not wait for durability: whoever acts on a record
/// does so in a transaction, and the log keeps a prefix, so a durable transaction implies durable inputs.
pub enum Append {
    /// Appended, at this position.
    Done(Position),
    /// On its way.
    Pending(Pin<Box<dyn Future<Output = Result<Position, AppendError>> + Send>>),
}

impl std::fmt::Debug for Append {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Append::Done(position) => f.debug_tuple("Done").field(position).finish(),
            Append::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// A partitioned, transactional, ordered log.
pub trait Log: Send + Sync + 'static {
    /// Appends one record outside any transaction. Returns at once; bounded (see [`AppendError::Full`]). The record
    /// may be seen by readers before it is durable, but nothing leaves the process on account of it: see [`Append`].
    fn append(&self, to: Partition, record: Record) -> Result<Append, AppendError>;

    /// Opens the transactional writer `id`: fences every earlier one with this id, and returns only when everything
    /// that was committed under it is decided and visible.
    fn open_writer(&self, id: &WriterId) -> Result<Box<dyn Writer>, WalError>;

    /// Reads `partition` after position `after` (exclusive; [`Position::START`] for all that is retained).
    ///
    /// # Errors
    /// [`WalError::Truncated`] if records after `after` have been dropped already.
    fn open_reader(
        &self,
        partition: Partition,
        after: Position,
    ) -> Result<Box<dyn Reader>, WalError>;

    /// Calls `notify` whenever `partition` may have new records for a reader. Replaces an earlier subscription.
    fn subscribe(&self, partition: Partition, notify: Notify);

    /// Says that records of `partition` up to and including `up_to` will not be read again (applied durably, or
    /// consumed by a durable commit). They may be dropped, now or later, or kept.
    fn trim(&self, partition: Partition, up_to: Position);

    /// The largest transaction, in bytes of keys and values, that [`Writer::commit`] accepts.
    fn max_transaction_bytes(&self) -> usize;

    /// The largest record, in bytes of key and value.
    fn max_record_bytes(&self) -> usize;

    /// Bytes written to the log's medium since it was opened: for benchmarks and metrics. 0 where it is not known.
    fn bytes_written(&self) -> u64;

    /// Whether readers may see records that are not durable yet (see [`Reader`]): then nothing that outlives the process
    /// may be made of them without a commit of one's own.
    fn shows_undurable(&self) -> bool {
        false
    }

    /// How much a reader of `partition` that stands at `after` still has to read: for progress and metrics only.
    /// Positions are opaque, so only the log can tell. An estimate, never too low by more than what is appended
    /// meanwhile; `None` where it is not known.
    fn backlog(&self, _partition: Partition, _after: Position) -> Option<Backlog> {
        None
    }
}

/// What a reader still has to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// A transactional writer.
pub trait Writer: Send {
    /// Starts to commit `transaction`. `on_commit` is called once with the outcome; outcomes come in the order of the
    /// calls. At most [`Writer::max_in_flight`] commits may be under way. After an outcome other than
    /// [`Outcome::Committed`] every later commit of this writer ends the same way without having happened.
    ///
    /// # Errors
    /// [`WalError::TooLarge`] (nothing was started; `on_commit` is not called).
    fn commit(&mut self, transaction: Transaction, on_commit: OnCommit) -> Result<(), WalError>;

    /// How many commits may be under way at once: 1 on Kafka, more where durability is a prefix of one sequence.
    fn max_in_flight(&self) -> usize;
}

/// Reads one partition: ordered, committed records only.
///
/// On a log in this process, where durability is a prefix, records that are written but not yet durable may be seen.
/// What is done on their account cannot become durable without them.
pub trait Reader: Send {
    /// The next records, at most `max_records` and about `max_bytes` (at least one record if there is one); empty when
    /// there is nothing new. Never blocks for new records.
    ///
    /// # Errors
    /// [`WalError::Truncated`] if records that this reader has not seen have been dropped.
    fn poll(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Record)>, WalError>;
}

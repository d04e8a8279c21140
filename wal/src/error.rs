//! What can go wrong in the log, by what the caller can do about it.

use crate::{Partition, Position};

/// An operation on the log failed.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// Another writer with the same id was opened later; this one is dead.
    #[error(
        "fenced: a newer writer with id {0} exists: another server runs this group now; run one server for each data directory or cluster id"
    )]
    Fenced(String),
    /// The position lies before what the log still holds: take a checkpoint instead of replaying.
    #[error(
        "position {position} of {partition:?} is no longer retained (the log starts at {start})"
    )]
    Truncated {
        /// The partition that was read.
        partition: Partition,
        /// The position asked for.
        position: Position,
        /// The oldest position that can still be read after.
        start: Position,
    },
    /// Bytes that were once durable are damaged. Never repaired by guessing.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
    /// The directory is used by another process.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// The directory was written by something that this build cannot read.
    #[error("{0}")]
    Incompatible(String),
    /// The record or transaction is over the log's limit.
    #[error("{what} of {size} bytes is over the log's limit of {limit} bytes")]
    TooLarge {
        /// "record" or "transaction".
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Brokers refuse, cannot be reached, or are not set up as they must be; the text says what to do.
    #[error("{0}")]
    Broker(String),
    /// The log was closed, or its thread has ended.
    #[error("the log is closed")]
    Closed,
    /// The operating system refused.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the file's name.
        context: String,
        /// The refusal.
        source: std::io::Error,
    },
}

/// A plain append was not accepted, or its fate is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The bounded queue in front of the log is full: refuse the client (`RESOURCE_EXHAUSTED`). Nothing was appended.
    #[error("the log's queue is full")]
    Full,
    /// The record is over the log's limit. Nothing was appended.
    #[error("record of {size} bytes is over the log's limit of {limit} bytes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The log takes no writes at present (disk full, shutting down, broker away). Nothing was appended.
    #[error("the log takes no writes: {0}")]
    Unavailable(String),
    /// It may or may not have been appended.
    #[error("outcome of the append is unknown: {0}")]
    Unknown(String),
}

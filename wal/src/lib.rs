//! The log: a partitioned, transactional, ordered record log.
//!
//! It is the write-ahead log of everything above it. What it is **not**: a queue with consumers' offsets (a reader
//! keeps its own position, inside the state that it derives), nor a store (nothing is looked up by key).
//!
//! ```text
//!   append(record) ──────────────┐            plain: client commands, heartbeats
//!   Writer::commit(transaction) ─┤            atomic over any partitions, fenced by the writer's id
//!                                ▼
//!          partition ▏r1 ▏r2 ▏   ▏r5 ▏…       positions rise, and have gaps
//!                                │
//!   Reader::poll ◄───────────────┘            committed records only, in order
//! ```
//!
//! Three implementations keep one contract (`contract` runs it on each): the [`memory`] log for tests and simulation,
//! the [`embedded`] log on local disk, and Kafka (in a crate of its own, so that nothing else links librdkafka).
#![deny(missing_docs)]

pub mod background;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod embedded;
mod error;
mod log;
pub mod memory;
mod position;
mod record;

pub use error::{AppendError, WalError};
pub use log::{
    Append, Backlog, Log, Notify, OnCommit, Outcome, Reader, Transaction, Writer, WriterId,
};
pub use position::Position;
pub use record::{GroupId, Partition, Record, Topic};

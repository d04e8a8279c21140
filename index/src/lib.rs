//! The replicated state store: what a log's records amount to, kept on disk and read fast.
//!
//! What it is **not**: a write-ahead log (that is [`wal`]), nor a general key-value store (one writer, one changelog).
//!
//! ```text
//!   get/scan ─► active batch (savepoint per command)      written by the group's thread
//!                 ▼ seal: last value per key → changelog records, index entries derived
//!               sealed batches, commit in flight          dropped if the commit fails
//!                 ▼ commit: durable in the log
//!               committed layer, in memory                first level that readers see
//!                 ▼ write-back: coalesced, in the background
//!               base store: RocksDB, or a map in memory   with the applied position, atomically
//! ```
//!
//! Nothing reaches the base before its log transaction is durable, so a crash costs the replay of a bounded suffix and
//! state is never wiped.
#![deny(missing_docs)]

mod arena;
mod base;
pub mod changelog;
mod checkpoint;
mod committed;
mod error;
mod family;
mod global;
mod indexes;
pub mod key;
mod layer;
mod memory;
mod rows;
mod schema;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use arena::Arena;
pub use base::{Applied, Base, BaseChange, BaseScan, KeyRange};
pub use changelog::Change;
pub use checkpoint::{
    CheckpointFile, CheckpointSink, CheckpointSource, Checkpoints, Manifest, Shipment,
};
pub use committed::{Gathered, ReadHandle, WriteBack};
pub use error::StoreError;
pub use family::Family;
pub use global::{GlobalStore, GlobalView};
pub use indexes::{Build, Indexes, entries};
pub use memory::{MemoryBase, MemorySink};
pub use schema::{EntryChange, IndexDeclaration, NoIndexes, Schema, changes_of_entries};
pub use store::{Load, MAX_ROW_BYTES, Options, Savepoint, Sealed, Store};

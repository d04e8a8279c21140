//! The log on Apache Kafka.
//!
//! What it is: the [`wal::Log`] of a cluster, on the brokers' transactions. What it is **not**: a user of consumer groups
//! (who owns a group is decided above, positions lie in the state), nor an owner of threads that anybody waits for.
//!
//! ```text
//!   append ────────► one idempotent producer ─────────────┐
//!   Writer::commit ► a thread a writer, two producers ────┤ lz4, acks=all
//!                    in turn: begin, send, commit         ▼
//!                                     C-cmd C-msg C-log …: a topic a kind, a partition a group
//!   Reader::poll ◄── slot ◄── a thread a consumer ◄───────┘ committed records only
//! ```
//!
//! The facts about Kafka and librdkafka that shape it are named where they are used; `docs/architecture.md` and
//! `docs/formats.md` have the rest.
#![deny(missing_docs)]

mod append;
mod context;
mod fetch;
mod inner;
mod lane;
mod log;
mod options;
mod reader;
mod record;
mod refusal;
mod setup;
mod slot;
#[cfg(feature = "testing")]
pub mod testing;
mod topics;
mod upkeep;
mod writer;

pub use log::KafkaLog;
pub use options::{Options, Sasl, Security, Tls};

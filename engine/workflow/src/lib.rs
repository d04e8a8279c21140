//! Workflows as one typed schema and one command set, on the runtime of partition groups.
//!
//! What it is **not**: a server (no gRPC, no clock, no I/O), nor a query layer (it says where rows are, others read
//! them). Everything here is a pure function of a command, the state and the record time.
//!
//! ```text
//!   command (CoreCommand) ─► command/*      one file a command
//!                              ▼
//!                            run::Unit      the rows it touches, decoded once
//!                              ▼
//!                            run::advance   threads move until none can ─► node/*  one file a node type
//!                              │                                        ─► task/*  TaskRuns and their queue
//!                              │                                        ─► user_task/*  work for people
//!                              ▼
//!                            rows, timers, queue entries, deliveries
//! ```
#![deny(missing_docs)]

pub mod app;
mod assignments;
pub mod command;
mod event;
pub mod key;
pub mod metadata;
pub mod metric;
pub mod node;
pub mod record;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod spec;
pub mod task;
#[cfg(test)]
mod testing;
pub mod time;
pub mod timer;
mod user_task;
pub mod value;

pub use app::Workflows;
pub use metadata::Metadata;
pub use settings::Settings;

//! Tests of the runtime with a small application: numbered counters, a queue and timers.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod app;
mod commits;
mod cursors;
mod embedded;
mod indexes;
mod inputs;
mod numbers;
mod queues;
mod recoveries;
mod simulation;
mod standby;
mod timers;
mod write_backs;

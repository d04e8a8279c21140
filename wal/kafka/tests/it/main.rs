//! The log on real brokers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod contract;
mod faults;
mod outcomes;
mod owner;
mod refusals;
mod scram;

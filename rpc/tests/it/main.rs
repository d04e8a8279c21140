//! The server as its clients see it: over gRPC, on a real log and RocksDB.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod advance;
mod bad_input;
mod crash;
mod data_dir;
mod definitions;
mod halts;
mod lists;
mod runs;
mod searches;
mod service;
mod support;
mod too_large;
mod wf_spec_rules;
mod wf_specs;

//! The server as its clients see it: over gRPC, on a real log and RocksDB.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod access;
mod advance;
mod bad_input;
mod bulk_jobs;
mod checkpoints;
mod correlated_events;
mod crash;
mod data_dir;
mod definitions;
mod erasure;
mod event_timeouts;
mod events;
mod execution;
mod halts;
mod idle_streams;
mod lists;
mod metrics;
mod migrations;
mod outgrown;
mod polls;
mod reports;
mod retention;
mod retries;
mod runs;
mod schedules;
mod schemas;
mod searches;
mod service;
mod sleeps;
mod support;
mod task_inputs;
mod threads;
mod too_large;
mod tools;
mod user_tasks;
mod variables;
mod wf_spec_rules;
mod wf_specs;
mod workers;
mod workflow_events;

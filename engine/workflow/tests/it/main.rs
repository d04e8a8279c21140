//! The engine of workflows on a simulated clock: what takes minutes or years elsewhere takes none here.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod injected;
mod limits;
mod metrics;
mod schedules;
mod world;

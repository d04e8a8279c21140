//! The server as its clients see it: over gRPC, on a real log and RocksDB.
#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod advance;
mod crash;
mod definitions;
mod halts;
mod runs;
mod support;
mod wf_specs;

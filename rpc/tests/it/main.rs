//! The server as its clients see it: over gRPC, on a real log and RocksDB.
#![allow(missing_docs, reason = "tests")]

mod advance;
mod halts;
mod runs;
mod support;

//! Tests of stores on RocksDB.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod indexes;

//! Tests of the ledger, as a command that is killed and in this process.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod crash;
mod process;
mod session;
mod shipped;

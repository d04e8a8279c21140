//! Tests of the store as a whole.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod indexes;
mod model;

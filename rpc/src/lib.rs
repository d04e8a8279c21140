//! The server: the public gRPC API over the engine and the query layer, the HTTP endpoints, the data directory.
//!
//! What it is **not**: semantics. An RPC here takes the call's context, checks the cheapest things, submits a command or
//! runs a query, and answers.
#![deny(missing_docs)]

mod coalesce;
mod config;
mod data_dir;
mod http;
mod kept;
mod server;
mod service;
mod stores;
pub mod tools;
mod upkeep;

pub use config::{Config, LogFormat};
pub use data_dir::{DataDir, DataDirError};
pub use server::{Server, ServerError};

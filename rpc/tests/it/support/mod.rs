//! A server in a temporary directory, short ways to define workflows, and workers.

mod calls;
mod define;
mod expressions;
mod http;
mod polls;
mod process;
mod raw;
mod search;
mod server;

pub use calls::*;
pub use define::*;
pub use expressions::*;
pub use polls::*;
pub use process::*;
pub use raw::*;
pub use search::*;
pub use server::*;

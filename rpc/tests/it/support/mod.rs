//! A server in a temporary directory, short ways to define workflows, and workers.

mod calls;
mod define;
mod polls;
mod process;
mod server;

pub use calls::*;
pub use define::*;
pub use polls::*;
pub use process::*;
pub use server::*;

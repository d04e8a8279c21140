//! The binary `ironhorse`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

// Messages are decoded on one thread and dropped on another: the system's allocator spent a fifth of all time on that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}

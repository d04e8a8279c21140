//! The command line.

mod client;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A workflow-orchestration database: one binary, speaking LittleHorse's gRPC API 1.3.
#[derive(Debug, Parser)]
#[command(name = "ironhorse", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a server.
    Server(server::Flags),
    /// Says how a server is doing.
    Status(client::StatusFlags),
    /// Prints an object.
    Get(client::GetFlags),
}

pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Server(flags) => server::run(flags),
        Command::Status(flags) => client::status(flags),
        Command::Get(flags) => client::get(flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ironhorse: {message}");
            ExitCode::FAILURE
        }
    }
}

//! The command line.

mod backup;
mod client;
mod inspect;
mod server;
mod verify;

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
    /// Checks that a data directory is what its log says.
    Verify(verify::Flags),
    /// Copies a data directory, also of a running server, to a directory of backups.
    Backup(backup::BackupFlags),
    /// Makes a data directory from a backup.
    Restore(backup::RestoreFlags),
    /// Shows what is in a data directory.
    Inspect(inspect::Flags),
}

pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Server(flags) => server::run(flags),
        Command::Status(flags) => client::status(flags),
        Command::Get(flags) => client::get(flags),
        Command::Verify(flags) => verify::run(flags),
        Command::Backup(flags) => backup::backup(flags),
        Command::Restore(flags) => backup::restore(flags),
        Command::Inspect(flags) => inspect::run(flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ironhorse: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error what a tool is doing.
fn progress(what: String) {
    eprintln!("{what}");
}

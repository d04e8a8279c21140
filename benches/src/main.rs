//! `ironhorse-bench`: how fast the server is, beside what gRPC and the disk of this machine can do in the same run.

mod bulk;
mod ceiling;
mod disk;
mod echo;
mod load;
mod report;
mod state;
mod stats;
mod suite;
mod timers;
mod under_test;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use load::Plan;
use under_test::UnderTest;

/// What can go wrong is said in words: a benchmark has no use for more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BenchError(String);

impl BenchError {
    fn new(what: &str, error: impl std::fmt::Display) -> BenchError {
        BenchError(format!("{what}: {error}"))
    }
}

#[derive(Debug, Parser)]
#[command(name = "ironhorse-bench", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a bare tonic echo does on this machine, and how many fdatasync a second the disk does.
    Ceiling(Place),
    /// One load against one server.
    Run(RunFlags),
    /// Everything: the ceiling, start-up, WfRuns of 1 and of 10 tasks, and latencies at half load.
    All(AllFlags),
    /// How long a server takes to serve again after SIGKILL under load, with much state.
    Reopen(ReopenFlags),
    /// The load on a store with many finished WfRuns, beside the same on an empty one.
    Full(FullFlags),
    /// RunWf while a bulk job deletes many finished WfRuns, beside RunWf without one.
    BulkDelete(BulkFlags),
    /// RunWf while many timers fire that are due in one millisecond, beside RunWf without them.
    Timers(TimersFlags),
    /// The echo server of `ceiling`.
    #[command(hide = true)]
    Echo,
}

#[derive(Debug, Clone, clap::Args)]
struct Place {
    /// Where data directories are made, and removed afterwards: on the disk to be measured.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also writes the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RunFlags {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    load: LoadFlags,
    /// A running server; without one, a fresh one is started and stopped.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// Partition groups of the fresh server.
    #[arg(long, default_value_t = 1)]
    groups: u16,
    /// Sequential tasks of each WfRun.
    #[arg(long, default_value_t = 10)]
    tasks: u32,
    /// Open loop: WfRuns started a second, whatever becomes of them. Without it a closed loop.
    #[arg(long, value_name = "WFRUNS_PER_S")]
    rate: Option<f64>,
    /// Connections of the generator.
    #[arg(long, default_value_t = 4)]
    connections: usize,
}

#[derive(Debug, clap::Args)]
struct ReopenFlags {
    #[command(flatten)]
    place: Place,
    /// State on disk before the first kill, in GiB.
    #[arg(long, default_value_t = 1.0)]
    gib: f64,
    /// Partition groups.
    #[arg(long, default_value_t = 4)]
    groups: u16,
    /// Kills.
    #[arg(long, default_value_t = 5)]
    kills: usize,
    /// Bytes of each task's input and output while the state is made.
    #[arg(long, default_value_t = 10_000)]
    payload: usize,
}

#[derive(Debug, clap::Args)]
struct FullFlags {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    load: LoadFlags,
    /// Finished WfRuns (of one task) in the full store.
    #[arg(long, default_value_t = 1_000_000)]
    wf_runs: u64,
}

#[derive(Debug, clap::Args)]
struct BulkFlags {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    load: LoadFlags,
    /// Finished WfRuns (of one task) to delete, at least.
    #[arg(long, default_value_t = 100_000)]
    wf_runs: u64,
    /// WfRuns started a second meanwhile.
    #[arg(long, default_value_t = 1000.0, value_name = "WFRUNS_PER_S")]
    rate: f64,
    /// Partition groups.
    #[arg(long, default_value_t = 1)]
    groups: u16,
}

#[derive(Debug, clap::Args)]
struct TimersFlags {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    load: LoadFlags,
    /// Sleeping WfRuns, one timer each.
    #[arg(long, default_value_t = 1_000_000)]
    timers: u64,
    /// Seconds from now until they are due: enough to start them all.
    #[arg(long, default_value_t = 150)]
    after: u64,
    /// The server is killed before they are due, and started after.
    #[arg(long)]
    overdue: bool,
    /// WfRuns started a second meanwhile.
    #[arg(long, default_value_t = 1000.0, value_name = "WFRUNS_PER_S")]
    rate: f64,
    /// Partition groups.
    #[arg(long, default_value_t = 1)]
    groups: u16,
}

#[derive(Debug, clap::Args)]
struct AllFlags {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    load: LoadFlags,
    /// Rounds of ceiling and loads; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, Clone, clap::Args)]
struct LoadFlags {
    /// WfRuns under way in a closed loop, and tasks that workers wait for.
    #[arg(long, default_value_t = 512)]
    in_flight: usize,
    /// Poll streams on each connection.
    #[arg(long, default_value_t = 8)]
    streams: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before them.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Bytes of each task's input and output.
    #[arg(long, default_value_t = 100)]
    payload: usize,
}

impl LoadFlags {
    fn plan(&self, connections: usize, tasks: u32, rate: Option<f64>) -> Plan {
        Plan {
            connections,
            streams: self.streams,
            in_flight: self.in_flight,
            tasks,
            rate,
            warm_up: Duration::from_secs(self.warm_up),
            measured: Duration::from_secs(self.seconds),
            payload: self.payload,
            first: 0,
        }
    }
}

impl Place {
    fn scratch(&self) -> Result<tempfile::TempDir, BenchError> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => std::env::temp_dir(),
        };
        tempfile::Builder::new()
            .prefix("ironhorse-bench-")
            .tempdir_in(&dir)
            .map_err(|error| BenchError::new(&format!("no directory in {}", dir.display()), error))
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&BenchError::new("no runtime", error)),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &BenchError) -> ExitCode {
    report::progress(&format!("ironhorse-bench: {error}"));
    ExitCode::FAILURE
}

async fn run(command: Command) -> Result<(), BenchError> {
    match command {
        Command::Echo => echo::serve().await,
        Command::Ceiling(place) => {
            let scratch = place.scratch()?;
            let ceiling = ceiling::measure().await?;
            let disk = disk::measure(scratch.path())?;
            report::ceiling(&ceiling, &disk);
            report::json(
                place.json.as_deref(),
                &serde_json::json!({ "ceiling": ceiling, "disk": disk }),
            )
        }
        Command::Run(flags) => {
            let scratch = flags.place.scratch()?;
            let server = match &flags.server {
                Some(address) => UnderTest::running(address),
                None => UnderTest::start(scratch.path(), flags.groups).await?,
            };
            let plan = flags.load.plan(flags.connections, flags.tasks, flags.rate);
            let load = load::run(&server, &plan).await;
            server.stop().await?;
            let load = load?;
            report::loads(&[("load", &load)], None);
            report::json(flags.place.json.as_deref(), &load)
        }
        Command::All(flags) => suite::run(&flags).await,
        Command::Reopen(flags) => state::reopen(&flags).await,
        Command::Full(flags) => state::full(&flags).await,
        Command::BulkDelete(flags) => bulk::run(&flags).await,
        Command::Timers(flags) => timers::run(&flags).await,
    }
}

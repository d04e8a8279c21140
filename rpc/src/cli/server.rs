//! `ironhorse server`.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;

use ironhorse_rpc::{Config, LogFormat, Server};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Debug, clap::Args, Serialize)]
pub(crate) struct Flags {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Where gRPC is served [default: 0.0.0.0:2023].
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Where the HTTP endpoints are served [default: 0.0.0.0:1822].
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    /// Number of partition groups of a new data directory [default: 2].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<u16>,
    /// The address that workers are told to poll.
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise: Option<String>,
    /// Kafka brokers, separated by commas, for the log; without it the log is embedded.
    #[arg(long, value_name = "HOST:PORT", requires = "cluster_id")]
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka: Option<String>,
    /// Begins the names of all topics on Kafka.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    /// Replicas of each partition on Kafka [default: 3].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka_replication: Option<u16>,
    /// How log lines look.
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    /// A TOML file with the same keys, in `snake_case`.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

pub(crate) fn run(flags: Flags) -> Result<(), String> {
    let config =
        Config::load(flags.config.as_deref(), &flags).map_err(|error| error.to_string())?;
    logs(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(grpc_threads(config.groups))
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(serve(&config))
}

/// Threads for gRPC: what the groups' own threads leave, and at least half of the cores. More of them only wake each
/// other.
fn grpc_threads(groups: Option<u16>) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    let groups = usize::from(groups.unwrap_or(2));
    cores.saturating_sub(groups).max(cores / 2).max(1)
}

fn logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}

async fn serve(config: &Config) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let server = Server::start(config)
        .await
        .map_err(|error| error.to_string())?;
    tracing::info!(grpc = %server.addr(), http = ?server.http_addr(), "serving");
    let port = server.addr().port();
    tracing::info!(
        "next: pip install littlehorse-client==1.3.0 && LHC_API_PORT={port} python examples/quickstart/quickstart.py"
    );
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        why = server.failed() => {
            // Not in good order: the failed group's state is whatever the log says at the next start.
            return Err(why);
        }
    }
    server.stop().await.map_err(|error| error.to_string())?;
    tracing::info!("stopped");
    Ok(())
}

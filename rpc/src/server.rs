//! A running server: data directory, log, stores, engine, gRPC and HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use index::Base;
use index_rocks::{RocksBase, Shared};
use prost::Message;
use proto::ironhorse::v1::MetadataCommand;
use proto::ironhorse::v1::metadata_command::Command;
use proto::littlehorse::LhHostInfo;
use proto::littlehorse::little_horse_server::SERVICE_NAME;
use query::Secret;
use runtime::{Bounds, Clock, Engine, EngineError, EngineOptions, GroupSetup, Health, Outlet};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use wal::embedded::{EmbeddedLog, Options};
use wal::{GroupId, Position, WalError};
use workflow::Settings;

use crate::coalesce::Coalescing;
use crate::http::{Endpoints, Running};
use crate::kept::{Kept, kafka_options, open_kafka};
use crate::service::{Front, Quotas, RequestIds, Service};
use crate::stores::Stores;
use crate::tools::application;
use crate::upkeep::{Schedule, Upkeep};
use crate::{Config, DataDir};

/// The server cannot start; the text says why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(String);

/// How long open calls may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        // A clock before 1970 counts as 1970.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64)
    }
}

/// Hands out what a commit released in one task, so that what goes to one connection goes in one write.
#[derive(Debug)]
struct OnRuntime(tokio::runtime::Handle);

impl Outlet for OnRuntime {
    fn hand_out(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn(async move { work() });
    }
}

/// A running server.
pub struct Server {
    /// Locked as long as this exists.
    dir: DataDir,
    engine: Arc<Engine>,
    kept: Kept,
    addr: SocketAddr,
    http: Option<Endpoints>,
    stopping: watch::Sender<bool>,
    bulk_jobs: JoinHandle<()>,
    grpc: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Server {
    /// Starts a server, and returns when it serves.
    pub async fn start(config: &Config) -> Result<Server, ServerError> {
        let fail = |error: &dyn std::fmt::Display| ServerError(error.to_string());
        let kafka = kafka_options(config).map_err(ServerError)?;
        let cluster = kafka.as_ref().map(|kafka| kafka.cluster.as_str());
        let dir =
            DataDir::open_on(&config.data_dir, config.groups, cluster).map_err(|e| fail(&e))?;
        tracing::info!(dir = %dir.path().display(), groups = dir.groups(), "opening the data directory");
        let (stopping, is_stopping) = watch::channel(false);
        let http = Endpoints::start(config.http, dir.path().to_owned(), is_stopping.clone()).await;
        let (engine, kept) = tokio::task::spawn_blocking({
            let (dir, half) = (dir.clone(), config.memory_mib.max(16) << 19);
            let schedule = Schedule {
                age: Duration::from_secs(config.checkpoint_age_seconds),
                log_bytes: config.checkpoint_log_mib << 20,
            };
            let options = EngineOptions {
                bounds: Bounds {
                    memory_bytes: half,
                    ..Bounds::default()
                },
                outlet: Arc::new(OnRuntime(tokio::runtime::Handle::current())),
                ..EngineOptions::default()
            };
            let settings = settings(config, dir.groups())?;
            let mut shared = Shared::new(half, 16 << 20)
                .erase_after(Duration::from_secs(config.erase_after_seconds));
            let mut log = Options {
                segment_age: Duration::from_secs(config.log_segment_age_seconds),
                ..Options::default()
            };
            if !config.compression {
                shared = shared.uncompressed();
                log.compress_bytes = usize::MAX;
            }
            move || open_engine(&dir, &shared, log, schedule, kafka, &settings, &options)
        })
        .await
        .map_err(|e| fail(&e))??;
        let engine = Arc::new(engine);
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            ServerError(format!(
                "cannot listen on {}: {error} (choose another with --listen)",
                config.listen
            ))
        })?;
        let addr = listener.local_addr().map_err(|e| fail(&e))?;
        let advertised = advertised(config, addr)?;
        let service = Arc::new(Service {
            engine: Arc::clone(&engine),
            ids: RequestIds::new().map_err(|e| fail(&e))?,
            secret: Secret::new(dir.secret()),
            advertised: advertised.clone(),
            time_zone: config.time_zone.clone(),
            quotas: Quotas::default(),
            stopping: is_stopping.clone(),
        });
        let ids = RequestIds::new().map_err(|e| fail(&e))?;
        bootstrap(&engine, &ids).await?;
        let bulk_jobs = tokio::spawn(Arc::clone(&service).run_bulk_jobs());
        let grpc = serve(service, listener, is_stopping)
            .await
            .map_err(|e| fail(&e))?;
        if let Some(http) = &http {
            http.ready(Running {
                engine: Arc::clone(&engine),
                advertised,
                snapshots: kept.snapshots(&dir),
            });
            if let Err(error) = announce(&dir, http.addr()) {
                tracing::warn!(%error, "`ironhorse backup` needs --server: the data directory cannot say where HTTP is");
            }
        }
        Ok(Server {
            dir,
            engine,
            kept,
            addr,
            http,
            stopping,
            bulk_jobs,
            grpc,
        })
    }

    /// Where gRPC is served.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where HTTP is served, if its port was free.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Endpoints::addr)
    }

    /// Waits until a group fails: the server cannot go on then.
    pub async fn failed(&self) -> String {
        loop {
            for (id, health) in self.engine.health() {
                if let Health::Failed(why) = health {
                    return format!("group {id} failed: {why}");
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stops in good order: no new calls, open ones end, everything committed is written back.
    pub async fn stop(self) -> Result<(), ServerError> {
        // The receivers are gone if the tasks have ended: then there is nobody to tell.
        let _ = self.stopping.send(true);
        if let Err(error) = self.bulk_jobs.await {
            tracing::warn!(%error, "the task of the BulkJobs ended badly");
        }
        match tokio::time::timeout(DRAIN, self.grpc).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the gRPC server ended badly"),
            Ok(Err(error)) => tracing::warn!(%error, "the gRPC server's task ended badly"),
            Err(_) => tracing::warn!("some calls were still open and are broken off"),
        }
        let (engine, kept) = (self.engine, Arc::new(self.kept));
        let mut stopped = tokio::task::spawn_blocking(move || engine.stop());
        let log = Arc::clone(&kept);
        let closing = move || log.close_log();
        let mut closed = Ok(());
        if tokio::time::timeout(DRAIN, &mut stopped).await.is_err() {
            // The disk is full, or the brokers are away: commits wait. Nobody was told that they are done.
            tracing::warn!("some commits cannot be finished and are given up");
            closed = tokio::task::spawn_blocking(closing.clone()).await;
            closed = closed.and(stopped.await);
        }
        closed = closed.and(tokio::task::spawn_blocking(closing).await);
        closed = closed.and(tokio::task::spawn_blocking(move || drop(kept)).await);
        if let Some(http) = self.http {
            http.stop().await;
        }
        if let Err(error) = self.dir.tidy() {
            tracing::warn!(%error, "temporary files stay in the data directory");
        }
        drop(self.dir);
        closed.map_err(|error| ServerError(error.to_string()))
    }
}

/// What the deterministic code is told.
fn settings(config: &Config, groups: u16) -> Result<Settings, ServerError> {
    let max_thread_runs = config.max_thread_runs_per_wf_run;
    if max_thread_runs < 1 {
        return Err(ServerError(format!(
            "max_thread_runs_per_wf_run is {max_thread_runs}, and must be at least 1"
        )));
    }
    if !workflow::schedule::is_time_zone(&config.time_zone) {
        return Err(ServerError(format!(
            "time_zone {:?} is not in the IANA time zone database",
            config.time_zone
        )));
    }
    Ok(Settings {
        max_thread_runs,
        metric_retention_ms: config.metric_retention_ms,
        ..Settings::new(groups)
    })
}

/// Recovers the log, opens the stores side by side, takes the groups over.
fn open_engine(
    dir: &DataDir,
    shared: &Shared,
    log: Options,
    schedule: Schedule,
    kafka: Option<wal_kafka::Options>,
    settings: &Settings,
    options: &EngineOptions,
) -> Result<(Engine, Kept), ServerError> {
    let fail = |error: &dyn std::fmt::Display| ServerError(error.to_string());
    dir.tidy().map_err(|e| fail(&e))?;
    let ids: Vec<GroupId> = dir.group_ids().collect();
    let bases = std::thread::scope(|scope| {
        let opening: Vec<_> = ids
            .iter()
            .map(|id| {
                scope.spawn(move || {
                    RocksBase::open(&dir.group(*id), shared).map_err(|error| error.to_string())
                })
            })
            .collect();
        opening
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("opening a store panicked".to_owned()))
            })
            .collect::<Result<Vec<_>, String>>()
    })
    .map_err(ServerError)?;
    let (log, kept): (Arc<dyn wal::Log>, Kept) = if let Some(mut kafka) = kafka {
        kafka.groups = dir.groups();
        let log = open_kafka(kafka, ids.iter().copied()).map_err(|error| fail(&error))?;
        (Arc::clone(&log) as Arc<dyn wal::Log>, Kept::Kafka(log))
    } else {
        let log = open_log(dir, ids.iter().copied().zip(&bases), log)?;
        let stores = Stores::new(dir, &log, &bases, shared.clone());
        let upkeep = Upkeep::start(Arc::clone(&stores), schedule)
            .map_err(|error| ServerError(format!("checkpoints: {error}")))?;
        let kept = Kept::Embedded {
            stores,
            _upkeep: upkeep,
        };
        (log, kept)
    };
    let mut setups = ids.into_iter().zip(bases).map(|(id, base)| {
        let app = application(id, settings);
        let base: Arc<dyn Base> = base;
        GroupSetup { id, app, base }
    });
    let metadata = setups
        .next()
        .ok_or_else(|| ServerError("no metadata group".to_owned()))?;
    let engine = Engine::start(
        log,
        Arc::new(SystemClock),
        metadata,
        setups.collect(),
        options,
    );
    let engine = engine.map_err(|error| match error {
        EngineError::BaseTooOld { group, .. }
        | EngineError::Log(WalError::Truncated {
            partition: wal::Partition { group, .. },
            ..
        }) => ServerError(format!(
            "the store {} is older than the log reaches back: {RESTORE}",
            dir.group(group).display()
        )),
        other => fail(&other),
    })?;
    Ok((engine, kept))
}

/// Tells tools on this machine where the HTTP endpoints are.
fn announce(dir: &DataDir, http: SocketAddr) -> std::io::Result<()> {
    let text = serde_json::json!({"http": http.to_string()}).to_string();
    std::fs::write(DataDir::server(dir.path()), text)
}

/// What to do when log and stores do not belong together.
pub(crate) const RESTORE: &str = "restore the whole data directory from one backup";

/// Recovers the log. A store is never ahead of it, unless the log was lost or damaged: then it lacks what was
/// acknowledged.
fn open_log<'a>(
    dir: &DataDir,
    bases: impl Iterator<Item = (GroupId, &'a Arc<RocksBase>)>,
    options: Options,
) -> Result<Arc<EmbeddedLog>, ServerError> {
    let mut ahead = None;
    for (id, base) in bases {
        let applied = base
            .applied()
            .map_err(|error| ServerError(error.to_string()))?;
        ahead = ahead.max(applied.map(|applied| (applied.position, id)));
    }
    let options = Options {
        durable: ahead.map_or(Position::START, |(position, _)| position),
        ..options
    };
    EmbeddedLog::open(&dir.log(), options).map_err(|error| {
        ServerError(match (&error, ahead) {
            (WalError::Corrupt(_), Some((position, id))) => format!(
                "the log {}: {error}. The store {} is at position {position}: {RESTORE}",
                dir.log().display(),
                dir.group(id).display()
            ),
            _ => error.to_string(),
        })
    })
}

/// Creates what a fresh cluster needs (spec 08, section 6); nothing happens later.
async fn bootstrap(engine: &Engine, ids: &RequestIds) -> Result<(), ServerError> {
    let command = MetadataCommand {
        version: 1,
        tenant: String::new(),
        principal: String::new(),
        command: Some(Command::Bootstrap(proto::ironhorse::v1::Bootstrap {})),
    };
    let payload = bytes::Bytes::from(command.encode_to_vec());
    engine
        .submit(GroupId::METADATA, ids.next(), payload)
        .await
        .map(|_| ())
        .map_err(|error| ServerError(format!("bootstrap: {error}")))
}

/// The address that workers are told to poll.
fn advertised(config: &Config, addr: SocketAddr) -> Result<LhHostInfo, ServerError> {
    let bad = |text: &str| ServerError(format!("--advertise {text:?} is not HOST:PORT"));
    match &config.advertise {
        None => {
            let host = if addr.ip().is_loopback() {
                addr.ip().to_string()
            } else {
                "localhost".to_owned()
            };
            Ok(LhHostInfo {
                host,
                port: i32::from(addr.port()),
            })
        }
        Some(text) => {
            let (host, port) = text.rsplit_once(':').ok_or_else(|| bad(text))?;
            let port: u16 = port.parse().map_err(|_| bad(text))?;
            Ok(LhHostInfo {
                host: host.to_owned(),
                port: i32::from(port),
            })
        }
    }
}

async fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<Result<(), tonic::transport::Error>>, Box<dyn std::error::Error + Send + Sync>>
{
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status(SERVICE_NAME, tonic_health::ServingStatus::Serving)
        .await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut others = Routes::new(health);
    others = others
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let server = tonic::transport::Server::builder()
        // One client process may keep all its polls on one connection.
        .max_concurrent_streams(u32::MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .http2_max_pending_accept_reset_streams(Some(10_000));
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .map(|stream| stream.map(Coalescing::new));
    let stop = async move {
        // The sender is kept by the server; without it there is nothing to wait for.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        for service in ["", SERVICE_NAME] {
            reporter
                .set_service_status(service, tonic_health::ServingStatus::NotServing)
                .await;
        }
    };
    Ok(tokio::spawn(server.serve_with_incoming_shutdown(
        Front::new(service, others),
        incoming,
        stop,
    )))
}

//! The HTTP endpoints (spec 08, section 12).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use proto::littlehorse::LhHostInfo;
use runtime::{Engine, Health};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::tools::{SNAPSHOT_HEADER, SNAPSHOT_PATH, Snapshots};

/// How long open calls may go on at the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// Newer versions of Prometheus insist on it.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there is to tell once the server runs.
pub(crate) struct Running {
    pub engine: Arc<Engine>,
    /// Where clients reach the server.
    pub advertised: LhHostInfo,
    /// For backups, where there are any.
    pub snapshots: Option<Arc<Snapshots>>,
}

#[derive(Clone)]
struct Shared {
    running: Arc<OnceLock<Running>>,
    dir: PathBuf,
    stopping: watch::Receiver<bool>,
    recorder: Arc<PrometheusRecorder>,
}

/// The running endpoints. They end when this is dropped.
pub(crate) struct Endpoints {
    addr: SocketAddr,
    running: Arc<OnceLock<Running>>,
    ending: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Endpoints {
    /// Serves on `addr`, alive but not ready; if the address is taken, warns and goes on without.
    pub(crate) async fn start(
        addr: SocketAddr,
        dir: PathBuf,
        stopping: watch::Receiver<bool>,
    ) -> Option<Endpoints> {
        let listener = match tokio::net::TcpListener::bind(addr).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%addr, %error, "no HTTP endpoints: the address cannot be used (choose another with --http)");
                return None;
            }
        };
        let addr = listener.local_addr().ok()?;
        let running = Arc::new(OnceLock::new());
        let router = router(Shared {
            running: Arc::clone(&running),
            dir,
            stopping,
            recorder: Arc::new(PrometheusBuilder::new().build_recorder()),
        });
        let (ending, mut end) = watch::channel(false);
        let task = tokio::spawn(async move {
            let end = async move {
                // Without a sender it is over as well.
                let _ = end.wait_for(|end| *end).await;
            };
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let served = axum::serve(listener, service).with_graceful_shutdown(end);
            if let Err(error) = served.await {
                tracing::warn!(%error, "the HTTP endpoints ended badly");
            }
        });
        Some(Endpoints {
            addr,
            running,
            ending,
            task,
        })
    }

    /// The server answers requests from now on.
    pub(crate) fn ready(&self, running: Running) {
        // Once a start.
        let _ = self.running.set(running);
    }

    /// Where they are.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends them: the last thing of a stop, so that the server counts as alive while it stops in good order.
    pub(crate) async fn stop(self) {
        // The receiver is gone if the task has ended.
        let _ = self.ending.send(true);
        if tokio::time::timeout(PATIENCE, self.task).await.is_err() {
            tracing::warn!("a call over HTTP was still open and is broken off");
        }
    }
}

fn router(shared: Shared) -> axum::Router {
    axum::Router::new()
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .route("/status", get(status))
        .route("/diskUsage", get(disk_usage))
        .route("/standby-status", get(async || axum::Json(json!({}))))
        .route("/metrics", get(metrics))
        .route(SNAPSHOT_PATH, post(snapshot))
        .with_state(shared)
}

fn state(shared: &Shared) -> &'static str {
    if *shared.stopping.borrow() {
        return "PENDING_SHUTDOWN";
    }
    let Some(running) = shared.running.get() else {
        return "CREATED";
    };
    let health = running.engine.health();
    if health.iter().all(|(_, health)| *health == Health::Running) {
        "RUNNING"
    } else {
        "ERROR"
    }
}

fn check(good: bool, state: &str) -> Response {
    if good {
        "OK!".into_response()
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, state.to_owned()).into_response()
    }
}

async fn liveness(State(shared): State<Shared>) -> Response {
    let state = state(&shared);
    check(state != "ERROR", state)
}

async fn readiness(State(shared): State<Shared>) -> Response {
    let state = state(&shared);
    check(state == "RUNNING", state)
}

async fn status(State(shared): State<Shared>) -> Response {
    let running = shared.running.get();
    let groups: Vec<_> = running
        .iter()
        .flat_map(|running| running.engine.route().all())
        .map(|id| json!({"partition": id.0, "processingLag": 0}))
        .collect();
    let advertised = running.map(|running| running.advertised.clone());
    let LhHostInfo { host, port } = advertised.unwrap_or_default();
    axum::Json(json!({
        "host": host,
        "port": port,
        "instanceId": 0,
        "coreState": state(&shared),
        "restorations": [],
        "indexBuilds": index_builds(running),
        "coreActiveTasks": groups,
        "repartitionActiveTasks": groups,
        "timerActiveTasks": groups,
        "coreStandbyTasks": [],
        "repartitionStandbyTasks": [],
        "timerStandbyTasks": [],
    }))
    .into_response()
}

/// The indexes that are being built: searches that need them are refused as unavailable meanwhile.
fn index_builds(running: Option<&Running>) -> Vec<serde_json::Value> {
    let mut builds = Vec::new();
    let engine = running.map(|running| &running.engine);
    for (id, reader) in engine.iter().flat_map(|engine| engine.readers()) {
        let (building, rows) = reader.index_builds();
        builds.extend(building.iter().map(|build| {
            json!({"partition": id.to_string(), "index": build.index.name, "rows": build.done, "ofRows": rows})
        }));
    }
    builds
}

async fn disk_usage(State(shared): State<Shared>) -> Response {
    let bytes = tokio::task::spawn_blocking(move || size_of(&shared.dir))
        .await
        .unwrap_or(0);
    axum::Json(json!({"diskUsageBytes": bytes})).into_response()
}

/// Files may come and go meanwhile: what cannot be read counts as nothing.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Makes a snapshot for a backup, for a process on this machine: the answer says where in the data directory it is. A page
/// in a browser cannot send the header.
async fn snapshot(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() || !headers.contains_key(SNAPSHOT_HEADER) {
        let why = "only for `ironhorse backup` on this machine";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let Some(running) = shared.running.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server is starting").into_response();
    };
    let Some(snapshots) = running.snapshots.as_ref().map(Arc::clone) else {
        let why = "no backups of a server on Kafka: the brokers keep its log";
        return (StatusCode::NOT_IMPLEMENTED, why).into_response();
    };
    let taken = tokio::task::spawn_blocking(move || snapshots.take()).await;
    match taken.map_err(|error| error.to_string()).flatten() {
        Ok(path) => path.display().to_string().into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    if let Some(Running { engine, .. }) = shared.running.get() {
        metrics::with_local_recorder(&*shared.recorder, || {
            metrics::counter!("ironhorse_log_bytes_total").absolute(engine.log_bytes());
            metrics::gauge!("ironhorse_waiting_polls").set(engine.waiting().total() as f64);
            for (id, health) in engine.health() {
                let up = if health == Health::Running { 1.0 } else { 0.0 };
                metrics::gauge!("ironhorse_group_running", "group" => id.to_string()).set(up);
            }
            for (id, reader) in engine.readers() {
                let building = reader.index_builds().0.len() as f64;
                metrics::gauge!("ironhorse_indexes_building", "group" => id.to_string())
                    .set(building);
            }
        });
    }
    (
        [(header::CONTENT_TYPE, PROMETHEUS)],
        shared.recorder.handle().render(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(addr: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_starting_server_is_alive_and_not_ready_and_a_stopping_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let (stop, stopping) = watch::channel(false);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoints = Endpoints::start(any, dir.path().to_owned(), stopping).await;
        let endpoints = endpoints.unwrap();
        let addr = endpoints.addr();
        for expected in ["CREATED", "PENDING_SHUTDOWN"] {
            // spec 07-58 (the rest: rpc/tests/it/service.rs)
            let live = get(addr, "/liveness").await;
            assert!(
                live.starts_with("HTTP/1.1 200") && live.ends_with("OK!"),
                "{live}"
            );
            let ready = get(addr, "/readiness").await;
            assert!(
                ready.starts_with("HTTP/1.1 500") && ready.ends_with(expected),
                "{ready}"
            );
            let status = get(addr, "/status").await;
            assert!(
                status.contains(&format!("\"coreState\":\"{expected}\"")),
                "{status}"
            );
            assert!(get(addr, "/metrics").await.starts_with("HTTP/1.1 200"));
            stop.send(true).unwrap();
        }
        endpoints.stop().await;
        assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    }
}

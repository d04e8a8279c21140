//! The HTTP endpoints (spec 08, section 12).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use runtime::{Engine, Health};
use serde_json::json;
use tokio::sync::watch;

#[derive(Clone)]
struct Shared {
    engine: Arc<Engine>,
    dir: PathBuf,
    stopping: watch::Receiver<bool>,
    recorder: Arc<PrometheusRecorder>,
}

/// Serves on `addr`; if it is taken, warns and goes on without.
pub(crate) async fn start(
    addr: SocketAddr,
    engine: Arc<Engine>,
    dir: PathBuf,
    stopping: watch::Receiver<bool>,
) -> Option<SocketAddr> {
    let listener = match tokio::net::TcpListener::bind(addr).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%addr, %error, "no HTTP endpoints: the address cannot be used (choose another with --http)");
            return None;
        }
    };
    let local = listener.local_addr().ok()?;
    let mut until = stopping.clone();
    let recorder = Arc::new(PrometheusBuilder::new().build_recorder());
    let router = axum::Router::new()
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .route("/status", get(status))
        .route("/diskUsage", get(disk_usage))
        .route("/standby-status", get(async || axum::Json(json!({}))))
        .route("/metrics", get(metrics))
        .with_state(Shared {
            engine,
            dir,
            stopping,
            recorder,
        });
    tokio::spawn(async move {
        let stop = async move {
            let _ = until.wait_for(|stopping| *stopping).await;
        };
        if let Err(error) = axum::serve(listener, router)
            .with_graceful_shutdown(stop)
            .await
        {
            tracing::warn!(%error, "the HTTP endpoints ended badly");
        }
    });
    Some(local)
}

fn state(shared: &Shared) -> &'static str {
    if *shared.stopping.borrow() {
        return "PENDING_SHUTDOWN";
    }
    if shared
        .engine
        .health()
        .iter()
        .all(|(_, health)| *health == Health::Running)
    {
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
    let groups: Vec<_> = shared
        .engine
        .route()
        .all()
        .map(|id| json!({"partition": id.0, "processingLag": 0}))
        .collect();
    axum::Json(json!({
        "instanceId": 0,
        "coreState": state(&shared),
        "restorations": [],
        "coreActiveTasks": groups,
        "repartitionActiveTasks": groups,
        "timerActiveTasks": groups,
        "coreStandbyTasks": [],
        "repartitionStandbyTasks": [],
        "timerStandbyTasks": [],
    }))
    .into_response()
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

async fn metrics(State(shared): State<Shared>) -> Response {
    metrics::with_local_recorder(&*shared.recorder, || {
        metrics::counter!("ironhorse_log_bytes_total").absolute(shared.engine.log_bytes());
        metrics::gauge!("ironhorse_waiting_polls").set(shared.engine.waiting().total() as f64);
        for (id, health) in shared.engine.health() {
            let up = if health == Health::Running { 1.0 } else { 0.0 };
            metrics::gauge!("ironhorse_group_running", "group" => id.to_string()).set(up);
        }
    });
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        shared.recorder.handle().render(),
    )
        .into_response()
}

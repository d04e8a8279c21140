//! What gRPC alone can do on this machine: one unary call and one message each way on a stream are what a TaskRun
//! costs at least, so the ceiling is `C = 1 / (1/unary + 1/stream)`.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::echo::api::Payload;
use crate::echo::api::echo_client::EchoClient;
use crate::{BenchError, report};

const PAYLOAD: usize = 100;
const CONNECTIONS: [usize; 3] = [1, 4, 16];
const CALLS: [usize; 4] = [1, 4, 16, 64];
const TRIAL: Duration = Duration::from_millis(700);
const FINAL: Duration = Duration::from_secs(3);

/// The best choice and what it reached.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Best {
    pub connections: usize,
    pub calls: usize,
    pub per_second: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Ceiling {
    pub unary: Best,
    pub stream: Best,
    /// TaskRuns a second that gRPC alone would allow.
    pub ceiling: f64,
}

impl Ceiling {
    fn of(unary: Best, stream: Best) -> Ceiling {
        Ceiling {
            unary,
            stream,
            ceiling: 1.0 / (1.0 / unary.per_second + 1.0 / stream.per_second),
        }
    }
}

/// Tries all choices, then measures the best ones.
pub(crate) async fn measure() -> Result<Ceiling, BenchError> {
    let mut server = EchoProcess::start().await?;
    let unary = best(&server, false).await?;
    let stream = best(&server, true).await?;
    let ceiling = again(&server, unary, stream).await;
    server.stop().await;
    ceiling
}

/// Measures known choices once more.
pub(crate) async fn remeasure(known: &Ceiling) -> Result<Ceiling, BenchError> {
    let mut server = EchoProcess::start().await?;
    let ceiling = again(&server, known.unary, known.stream).await;
    server.stop().await;
    ceiling
}

async fn again(server: &EchoProcess, unary: Best, stream: Best) -> Result<Ceiling, BenchError> {
    let unary = trial(server, false, unary.connections, unary.calls, FINAL).await?;
    let stream = trial(server, true, stream.connections, stream.calls, FINAL).await?;
    Ok(Ceiling::of(unary, stream))
}

async fn best(server: &EchoProcess, stream: bool) -> Result<Best, BenchError> {
    let mut best: Option<Best> = None;
    for connections in CONNECTIONS {
        for calls in CALLS {
            let found = trial(server, stream, connections, calls, TRIAL).await?;
            let kind = if stream { "stream" } else { "unary" };
            report::progress(&format!(
                "{kind}: {connections:>2} connections x {calls:>2} calls: {:>7.0}/s",
                found.per_second
            ));
            if best.is_none_or(|known| known.per_second < found.per_second) {
                best = Some(found);
            }
        }
    }
    best.ok_or_else(|| BenchError("nothing was tried".to_owned()))
}

async fn trial(
    server: &EchoProcess,
    stream: bool,
    connections: usize,
    calls: usize,
    time: Duration,
) -> Result<Best, BenchError> {
    let count = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for channel in connect(&server.address, connections).await? {
        for _ in 0..calls {
            let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
            callers.push(if stream {
                tokio::spawn(streaming(channel.clone(), count, stop))
            } else {
                tokio::spawn(calling(channel.clone(), count, stop))
            });
        }
    }
    tokio::time::sleep(time / 4).await;
    let (before, start) = (count.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let done = count.load(Ordering::Relaxed) - before;
    let per_second = done as f64 / start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller
            .await
            .map_err(|error| BenchError::new("echo", error))??;
    }
    Ok(Best {
        connections,
        calls,
        per_second,
    })
}

fn payload() -> Payload {
    Payload {
        data: Bytes::from(vec![b'x'; PAYLOAD]),
    }
}

async fn calling(
    channel: Channel,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<(), BenchError> {
    let mut client = EchoClient::new(channel);
    while !stop.load(Ordering::Relaxed) {
        client
            .unary(payload())
            .await
            .map_err(|status| BenchError::new("echo", status))?;
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// One stream with one message on its way, as with a worker that polls.
async fn streaming(
    channel: Channel,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<(), BenchError> {
    let fail = |error: &dyn std::fmt::Display| BenchError::new("echo stream", error);
    let mut client = EchoClient::new(channel);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(payload()).await.map_err(|error| fail(&error))?;
    let mut echoed = client
        .stream(ReceiverStream::new(receiver))
        .await
        .map_err(|error| fail(&error))?
        .into_inner();
    while let Some(message) = echoed.message().await.map_err(|error| fail(&error))? {
        count.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        sender.send(message).await.map_err(|error| fail(&error))?;
    }
    Ok(())
}

/// Connections to a server.
pub(crate) async fn connect(address: &str, count: usize) -> Result<Vec<Channel>, BenchError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| BenchError::new(address, error))?
        .tcp_nodelay(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let mut channels = Vec::with_capacity(count);
    for _ in 0..count {
        let channel = endpoint.connect().await;
        channels.push(channel.map_err(|error| BenchError::new(address, error))?);
    }
    Ok(channels)
}

struct EchoProcess {
    child: Child,
    address: String,
}

impl EchoProcess {
    async fn start() -> Result<EchoProcess, BenchError> {
        let fail = |error: &dyn std::fmt::Display| BenchError::new("echo process", error);
        let program = std::env::current_exe().map_err(|error| fail(&error))?;
        let mut child = Command::new(program)
            .arg("echo")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| fail(&error))?;
        let output = child.stdout.take().ok_or_else(|| fail(&"no output"))?;
        let address = BufReader::new(output)
            .lines()
            .next_line()
            .await
            .map_err(|error| fail(&error))?
            .ok_or_else(|| fail(&"it ended"))?;
        Ok(EchoProcess { child, address })
    }

    async fn stop(&mut self) {
        // It ends by itself when its input does, or is killed when this value goes.
        drop(self.child.stdin.take());
        let _ = tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await;
    }
}

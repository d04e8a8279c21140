//! The server under test: a process of its own, and what the system says of it.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use proto::littlehorse::little_horse_client::LittleHorseClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::BenchError;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct UnderTest {
    pub address: String,
    process: Option<Process>,
    /// From start to the first answer.
    pub started_in: Duration,
}

struct Process {
    child: Child,
    pid: u32,
    http: String,
    data: PathBuf,
}

/// What a server has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub cpu: Duration,
    pub log_bytes: u64,
    /// Written to tables by RocksDB's threads: flushes and compactions.
    pub store_bytes: u64,
    /// Written to the disk that the data directory is on, by whomever: also the zeros of new log segments, and whole
    /// blocks for parts of them. (A process's own `write_bytes` counts whole folios of the page cache, up to MiB.)
    pub disk_bytes: u64,
    pub peak_bytes: u64,
    pub resident_bytes: u64,
}

fn free_port() -> Result<u16, BenchError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| BenchError::new("no free port", error))
}

fn program() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(|error| BenchError::new("own path", error))?;
    let program = own.with_file_name("ironhorse");
    if program.is_file() {
        Ok(program)
    } else {
        Err(BenchError(format!(
            "there is no {}: build it first (make build)",
            program.display()
        )))
    }
}

impl UnderTest {
    /// A server that somebody else has started: no figures of the process.
    pub(crate) fn running(address: &str) -> UnderTest {
        UnderTest {
            address: address.to_owned(),
            process: None,
            started_in: Duration::ZERO,
        }
    }

    /// Starts a server in a new directory below `scratch`.
    pub(crate) async fn start(scratch: &Path, groups: u16) -> Result<UnderTest, BenchError> {
        let data = tempfile::Builder::new()
            .prefix("data-")
            .tempdir_in(scratch)
            .map_err(|error| BenchError::new("data directory", error))?
            .keep();
        UnderTest::start_on(&data, groups).await
    }

    /// Starts a server on a directory that may have data.
    pub(crate) async fn start_on(data: &Path, groups: u16) -> Result<UnderTest, BenchError> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let http = format!("127.0.0.1:{}", free_port()?);
        let start = Instant::now();
        let child = Command::new(program()?)
            .arg("server")
            .arg("--data-dir")
            .arg(data)
            .args(["--listen", &address, "--http", &http])
            .args(["--groups", &groups.to_string()])
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| BenchError::new("server", error))?;
        let pid = child
            .id()
            .ok_or_else(|| BenchError("the server ended at once".to_owned()))?;
        let mut server = UnderTest {
            address,
            process: Some(Process {
                child,
                pid,
                http,
                data: data.to_owned(),
            }),
            started_in: Duration::ZERO,
        };
        server.wait_until_it_answers(start).await?;
        server.started_in = start.elapsed();
        Ok(server)
    }

    async fn wait_until_it_answers(&self, start: Instant) -> Result<(), BenchError> {
        loop {
            let connected = LittleHorseClient::connect(format!("http://{}", self.address)).await;
            let error = match connected {
                Ok(mut client) => match client.get_server_version(()).await {
                    Ok(_) => return Ok(()),
                    Err(status) => status.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if start.elapsed() > PATIENCE {
                return Err(BenchError::new("the server does not answer", error));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What the process has used so far; nothing of one that was not started here.
    pub(crate) async fn used(&self) -> Result<Used, BenchError> {
        let Some(process) = &self.process else {
            return Ok(Used::default());
        };
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid))
            .map_err(|error| BenchError::new("the server is gone", error))?;
        let kib = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Ok(Used {
            cpu: cpu_of(process.pid)?,
            log_bytes: log_bytes(&process.http).await?,
            store_bytes: written_by_rocksdb(process.pid)?,
            disk_bytes: written_to_disk(&process.data)?,
            peak_bytes: kib("VmHWM:") << 10,
            resident_bytes: kib("VmRSS:") << 10,
        })
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) -> Result<(), BenchError> {
        if let Some(process) = &mut self.process {
            let killed = process.child.kill().await;
            killed.map_err(|error| BenchError::new("SIGKILL", error))?;
        }
        Ok(())
    }

    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        if let Some(pid) = rustix::process::Pid::from_raw(process.pid as i32) {
            // If it is gone already, waiting for it says so.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let status = tokio::time::timeout(PATIENCE, process.child.wait())
            .await
            .map_err(|_| BenchError("the server does not stop".to_owned()))?
            .map_err(|error| BenchError::new("server", error))?;
        if status.success() {
            Ok(())
        } else {
            Err(BenchError::new("the server ended badly", status))
        }
    }
}

/// User and system time of a process.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration, BenchError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| BenchError::new("process statistics", error))?;
    // The name, in parentheses, may contain spaces; fields 14 and 15 of proc(5) are 12th and 13th after it.
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Bytes that the disk of a directory has taken; 0 where that is not known.
fn written_to_disk(dir: &Path) -> Result<u64, BenchError> {
    let fail = |error| BenchError::new(&dir.display().to_string(), error);
    let device = std::fs::metadata(dir).map_err(fail)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
    // Field 7: sectors of 512 bytes (Documentation/block/stat.rst).
    Ok(stat
        .ok()
        .and_then(|stat| stat.split_whitespace().nth(6)?.parse::<u64>().ok())
        .map_or(0, |sectors| sectors * 512))
}

/// Bytes that a thread has made dirty on disk.
fn written(file: &str) -> Result<u64, BenchError> {
    let io = std::fs::read_to_string(file).map_err(|error| BenchError::new(file, error))?;
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok())
        .ok_or_else(|| BenchError::new(file, "no write_bytes"))
}

fn written_by_rocksdb(pid: u32) -> Result<u64, BenchError> {
    let tasks = format!("/proc/{pid}/task");
    let fail = |error| BenchError::new(&tasks, error);
    let mut sum = 0;
    for task in std::fs::read_dir(&tasks).map_err(fail)? {
        let task = task.map_err(fail)?.path();
        // Some threads live short: what is gone meanwhile is none of RocksDB's.
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.starts_with("rocksdb") {
            sum += written(&task.join("io").display().to_string())?;
        }
    }
    Ok(sum)
}

/// The size of everything written to the log, from the server's metrics.
async fn log_bytes(http: &str) -> Result<u64, BenchError> {
    let fail = |error: &dyn std::fmt::Display| BenchError::new("metrics", error);
    let mut stream = tokio::net::TcpStream::connect(http)
        .await
        .map_err(|error| fail(&error))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| fail(&error))?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|error| fail(&error))?;
    answer
        .lines()
        .find_map(|line| line.strip_prefix("ironhorse_log_bytes_total"))
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| fail(&"there is no ironhorse_log_bytes_total"))
}

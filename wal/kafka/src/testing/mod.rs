//! Real brokers for tests and benches: Apache Kafka in KRaft mode, on free ports, in a temporary directory.
//!
//! A watchdog ends them and removes their directory when the process that started them ends, however it ends.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that fails fails its test"
)]

mod node;
mod proxy;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use node::{Node, Ports};
pub use proxy::{Ends, Proxy};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::Options;

/// How long brokers may take to start, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(2);

/// A user who may do everything, for SASL/SCRAM-SHA-256.
pub const USER: (&str, &str) = ("alice", "alice-secret");
/// A user who may do nothing.
pub const STRANGER: (&str, &str) = ("mallory", "mallory-secret");

/// Running brokers.
pub struct Brokers {
    dir: PathBuf,
    nodes: Vec<Node>,
    /// Ends everything when its standard input ends.
    watchdog: Child,
}

impl Brokers {
    /// Starts `count` brokers, which replicate to each other.
    ///
    /// # Errors
    /// Java or the jars cannot be had; the text says why.
    pub fn start(count: usize) -> Result<Brokers, String> {
        let jars = jars()?;
        let dir = tempfile::Builder::new()
            .prefix("ironhorse-kafka-")
            .tempdir()
            .map_err(|error| error.to_string())?
            .keep();
        let watchdog = Command::new("bash")
            .args(["-c", include_str!("watchdog.sh"), "watchdog"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group_of_its_own()
            .spawn()
            .map_err(|error| format!("no watchdog: {error}"))?;
        let ports: Vec<Ports> = free_ports(count);
        let voters = ports
            .iter()
            .enumerate()
            .fold(String::new(), |mut voters, (n, at)| {
                let comma = if n == 0 { "" } else { "," };
                write!(voters, "{comma}{}@127.0.0.1:{}", n + 1, at.controller).expect("a string");
                voters
            });
        let nodes: Vec<Node> = ports
            .into_iter()
            .enumerate()
            .map(|(n, ports)| Node::new(&dir, &jars, n + 1, ports))
            .collect();
        let brokers = Brokers {
            dir,
            nodes,
            watchdog,
        };
        for node in &brokers.nodes {
            node.configure(&voters, count)?;
        }
        brokers.nodes[0].format(USER, STRANGER)?;
        for node in &brokers.nodes[1..] {
            node.format_like(&brokers.nodes[0])?;
        }
        for node in &brokers.nodes {
            node.start();
        }
        brokers.wait(count)?;
        Ok(brokers)
    }

    /// `HOST:PORT` of all, without authentication.
    pub fn bootstrap(&self) -> String {
        let hosts: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.ports.plain))
            .collect();
        hosts.join(",")
    }

    /// `HOST:PORT` of the first one's listener for SASL/SCRAM.
    pub fn scram(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[0].ports.scram)
    }

    /// A proxy in front of the first one, and its `HOST:PORT`: clients that begin there never go around it.
    pub fn proxy(&self) -> (Proxy, String) {
        let ports = &self.nodes[0].ports;
        let proxy = Proxy::start(ports.proxy, ports.proxied).expect("a proxy");
        (proxy, format!("127.0.0.1:{}", ports.proxy))
    }

    /// Where the brokers keep their logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills broker `n` (from 0) with SIGKILL.
    pub fn kill(&self, n: usize) {
        self.nodes[n].kill();
    }

    /// Starts broker `n` again, and does not wait for it.
    pub fn restart(&self, n: usize) {
        self.nodes[n].start();
    }

    /// Stops broker `n` with SIGSTOP.
    pub fn pause(&self, n: usize) {
        self.nodes[n].pause();
    }

    /// Lets broker `n` go on with SIGCONT.
    pub fn go_on(&self, n: usize) {
        self.nodes[n].go_on();
    }

    /// Waits until `count` brokers are part of the cluster.
    ///
    /// # Errors
    /// It takes too long; the text has the end of their logs.
    pub fn wait(&self, count: usize) -> Result<(), String> {
        let asker: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("reconnect.backoff.max.ms", "200")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
            .create()
            .map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = asker.fetch_metadata(None, Duration::from_millis(500));
            if answer.is_ok_and(|metadata| metadata.brokers().len() >= count) {
                return Ok(());
            }
            if Instant::now() > deadline || self.nodes.iter().any(Node::has_ended) {
                let ends: Vec<String> = self.nodes.iter().map(Node::end_of_log).collect();
                return Err(format!("the brokers do not start: {}", ends.join("\n")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        for node in &self.nodes {
            node.kill();
        }
        // It removes the directory, too. If it cannot be waited for, it has ended.
        let _ = self.watchdog.wait();
    }
}

/// One broker for all tests of the process, which must not harm it. `None`, after it was said loudly, if none can be had.
pub fn shared_broker() -> Option<&'static Brokers> {
    static SHARED: OnceLock<Result<Brokers, String>> = OnceLock::new();
    match SHARED.get_or_init(|| Brokers::start(1)) {
        Ok(brokers) => Some(brokers),
        Err(why) => skip(why),
    }
}

/// The `HOST:PORT` of that broker, or of the one that `IRONHORSE_TEST_KAFKA` names.
pub fn shared() -> Option<String> {
    if let Ok(running) = std::env::var("IRONHORSE_TEST_KAFKA") {
        return Some(running);
    }
    shared_broker().map(Brokers::bootstrap)
}

/// Brokers of the test's own, to be killed. `None`, after it was said loudly, if none can be had.
pub fn own(count: usize) -> Option<Brokers> {
    match Brokers::start(count) {
        Ok(brokers) => Some(brokers),
        Err(why) => skip(&why),
    }
}

/// Says that a test does not run; where everything must run (`CI=true`) that is a failure.
fn skip<T>(why: &str) -> Option<T> {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} has no Kafka broker: {why}"
    );
    // Not by a macro: the test harness would swallow it. If there is no standard error, nobody listens.
    let _ = writeln!(
        std::io::stderr(),
        "\n*** SKIPPED: {test}: no Kafka broker can be had: {why} ***\n"
    );
    None
}

/// Options of a fresh cluster on these brokers, with `replication` replicas (all but one of them in sync).
pub fn options(bootstrap: &str, groups: u16, replication: u16) -> Options {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_millis());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let cluster = format!("test-{}-{now}-{number}", std::process::id());
    Options {
        replication,
        min_in_sync: (replication - 1).max(1),
        open_timeout: Duration::from_mins(1),
        ..Options::new(bootstrap, &cluster, groups)
    }
}

fn jars() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka");
    let output = Command::new(&script)
        .output()
        .map_err(|error| format!("{}: {error}", script.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

fn free_ports(count: usize) -> Vec<Ports> {
    // All are held until all are known, so that they differ.
    let sockets: Vec<std::net::TcpListener> = (0..count * 5)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let port = |n: usize| sockets[n].local_addr().expect("an address").port();
    (0..count)
        .map(|n| Ports {
            plain: port(5 * n),
            scram: port(5 * n + 1),
            controller: port(5 * n + 2),
            proxied: port(5 * n + 3),
            proxy: port(5 * n + 4),
        })
        .collect()
}

/// A child that is not ended by a signal to the test's process group.
trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_of_its_own(&mut self) -> &mut Command {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

//! One broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::OwnGroup;

/// 16 bytes, in base64.
const CLUSTER: &str = "aXJvbmhvcnNlLXRlc3RzMQ";

pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) scram: u16,
    pub(super) controller: u16,
    /// What a proxy passes on to; clients are told the proxy's port.
    pub(super) proxied: u16,
    pub(super) proxy: u16,
}

/// See the module.
pub(super) struct Node {
    dir: PathBuf,
    jars: PathBuf,
    /// From 1.
    id: usize,
    pub(super) ports: Ports,
    process: Mutex<Option<Child>>,
}

impl Node {
    pub(super) fn new(dir: &Path, jars: &Path, id: usize, ports: Ports) -> Node {
        Node {
            dir: dir.to_owned(),
            jars: jars.to_owned(),
            id,
            ports,
            process: Mutex::new(None),
        }
    }

    fn config(&self) -> PathBuf {
        self.dir.join(format!("config/{}.properties", self.id))
    }

    fn data(&self) -> PathBuf {
        self.dir.join(format!("data-{}", self.id))
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.id))
    }

    pub(super) fn configure(&self, voters: &str, count: usize) -> Result<(), String> {
        let Ports {
            plain,
            scram,
            controller,
            proxied,
            proxy,
        } = self.ports;
        let (id, data) = (self.id, self.data());
        let data = data.display();
        let replication = count.min(3);
        let in_sync = (replication - 1).max(1);
        let text = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             controller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{scram},\
             PROXIED://127.0.0.1:{proxied},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{scram},\
             PROXIED://127.0.0.1:{proxy}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT,\
             PROXIED:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             sasl.enabled.mechanisms=SCRAM-SHA-256\n\
             listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS;User:alice\n\
             log.dirs={data}\n\
             log.index.size.max.bytes=1048576\n\
             offsets.topic.num.partitions=1\n\
             offsets.topic.replication.factor={replication}\n\
             transaction.state.log.num.partitions=4\n\
             transaction.state.log.replication.factor={replication}\n\
             transaction.state.log.min.isr={in_sync}\n\
             broker.session.timeout.ms=3000\n\
             broker.heartbeat.interval.ms=500\n\
             replica.lag.time.max.ms=3000\n\
             num.network.threads=2\n\
             num.io.threads=4\n\
             log.cleaner.dedupe.buffer.size=8388608\n"
        );
        fs::create_dir_all(self.dir.join("config"))
            .and_then(|()| fs::write(self.config(), text))
            .map_err(|error| error.to_string())
    }

    /// Java with small heaps and without the compiler that takes long to pay off.
    fn java(&self, class: &str) -> String {
        let log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
        format!(
            "exec java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData {log} -cp '{}/*' {class}",
            self.jars.display()
        )
    }

    pub(super) fn format(&self, user: (&str, &str), other: (&str, &str)) -> Result<(), String> {
        let scram = |(name, password): (&str, &str)| {
            format!("--add-scram 'SCRAM-SHA-256=[name={name},password={password}]'")
        };
        let command = format!(
            "{} format --cluster-id {CLUSTER} --config '{}' {} {}",
            self.java("kafka.tools.StorageTool"),
            self.config().display(),
            scram(user),
            scram(other)
        );
        let output = Command::new("bash")
            .args(["-c", &command])
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(format!(
            "formatting a broker's directory: {}",
            String::from_utf8_lossy(&text)
        ))
    }

    /// As `first`, without another second of Java.
    pub(super) fn format_like(&self, first: &Node) -> Result<(), String> {
        let copy = || -> std::io::Result<()> {
            fs::create_dir_all(self.data())?;
            for entry in fs::read_dir(first.data())? {
                let entry = entry?;
                let to = self.data().join(entry.file_name());
                if entry.file_name() == "meta.properties" {
                    let text = fs::read_to_string(entry.path())?;
                    // The directory's own id is drawn by the broker when it starts.
                    let lines = text.lines().filter(|line| {
                        !line.starts_with("node.id=") && !line.starts_with("directory.id=")
                    });
                    let own = format!("node.id={}", self.id);
                    let text: Vec<&str> = lines.chain([own.as_str()]).collect();
                    let text = text.join("\n");
                    fs::write(to, text)?;
                } else {
                    fs::copy(entry.path(), to)?;
                }
            }
            Ok(())
        };
        copy().map_err(|error| error.to_string())
    }

    pub(super) fn start(&self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("a log file");
        let command = format!(
            "echo $$ >'{}/{}.pid'; {} '{}'",
            self.dir.display(),
            self.id,
            self.java("kafka.Kafka"),
            self.config().display()
        );
        let errors = log.try_clone().expect("a log file");
        let child = Command::new("bash")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group_of_its_own()
            .spawn()
            .expect("a broker's process");
        let before = self.process.lock().replace(child);
        assert!(before.is_none(), "broker {} runs already", self.id);
    }

    pub(super) fn kill(&self) {
        if let Some(mut child) = self.process.lock().take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it was started and has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        let mut process = self.process.lock();
        process
            .as_mut()
            .is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock();
        let child = process.as_ref().expect("a running broker");
        let pid = Pid::from_raw(child.id() as i32).expect("a process id");
        kill_process(pid, signal).expect("a signal");
    }

    pub(super) fn end_of_log(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

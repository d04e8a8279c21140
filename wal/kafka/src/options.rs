//! Settings, and what they are in librdkafka's words.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// How a log on Kafka is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `HOST:PORT` of one or more brokers, separated by commas.
    pub bootstrap: String,
    /// Begins the name of each topic and transactional id: one for each cluster of Ironhorse on these brokers. At most 100
    /// letters, digits, `.`, `_` and `-`.
    pub cluster: String,
    /// Partition groups, at least 1. Fixed when the topics are made.
    pub groups: u16,
    /// Replicas of each partition: asked for when topics are made, and the least that is accepted.
    pub replication: u16,
    /// `min.insync.replicas` of each topic: as above.
    pub min_in_sync: u16,
    /// Whether missing topics are made.
    pub create_topics: bool,
    /// How long a deleted key's tombstone stays in a changelog: a store that slept longer must be thrown away.
    pub tombstones: Duration,
    /// How the brokers know this client.
    pub security: Security,
    /// How long the brokers may take to answer when the log is opened.
    pub open_timeout: Duration,
    /// How long one commit may take before its outcome counts as unknown, at most 60 s. A dead owner's open transaction
    /// holds readers for 1.5 times this, if nobody takes over.
    pub commit_timeout: Duration,
    /// Whether a writer uses two transactional ids in turn, so that a transaction does not wait for the markers of the
    /// one before it (`docs/performance.md` has what it is worth).
    pub alternate: bool,
    /// Settings of librdkafka that win over ours; for operators who know what they do.
    pub properties: BTreeMap<String, String>,
}

impl Options {
    /// The defaults for a cluster of three brokers or more.
    pub fn new(bootstrap: &str, cluster: &str, groups: u16) -> Options {
        Options {
            bootstrap: bootstrap.to_owned(),
            cluster: cluster.to_owned(),
            groups,
            replication: 3,
            min_in_sync: 2,
            create_topics: true,
            tombstones: Duration::from_hours(7 * 24),
            security: Security::default(),
            open_timeout: Duration::from_secs(15),
            commit_timeout: Duration::from_secs(10),
            alternate: true,
            properties: BTreeMap::new(),
        }
    }
}

/// How brokers and clients know each other.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Encrypt, and check the brokers' certificates.
    pub tls: Option<Tls>,
    /// Say who we are by name and password.
    pub sasl: Option<Sasl>,
}

/// TLS to the brokers. Files are PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whom to trust; unset: what the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate, for brokers that ask for one.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The key's password.
    pub key_password: Option<String>,
}

/// SASL to the brokers.
#[derive(Clone)]
pub struct Sasl {
    /// `SCRAM-SHA-256`, `SCRAM-SHA-512` or `PLAIN`.
    pub mechanism: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The largest record, in bytes of key and value: as much as the embedded log takes.
pub(crate) const MAX_RECORD: usize = 4 << 20;
/// The largest transaction, in bytes of keys and values.
pub(crate) const MAX_TRANSACTION: usize = 8 << 20;
/// `max.message.bytes` of the topics: the largest record, with headers and framing.
pub(crate) const MAX_MESSAGE: usize = MAX_RECORD + (64 << 10);
/// An append that is not acknowledged by then has an unknown fate.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

impl Options {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let Security { tls, sasl } = &self.security;
        let protocol = match (tls, sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "ironhorse")
            .set("security.protocol", protocol)
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.fast.interval.ms", "100")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.nagle.disable", "true")
            .set("socket.connection.setup.timeout.ms", "5000");
        if let Some(tls) = tls {
            let files = [
                ("ssl.ca.location", &tls.ca),
                ("ssl.certificate.location", &tls.certificate),
                ("ssl.key.location", &tls.key),
            ];
            for (key, file) in files {
                if let Some(file) = file {
                    config.set(key, file.to_string_lossy());
                }
            }
            if let Some(password) = &tls.key_password {
                config.set("ssl.key.password", password);
            }
        }
        if let Some(sasl) = sasl {
            config
                .set("sasl.mechanism", &sasl.mechanism)
                .set("sasl.username", &sasl.user)
                .set("sasl.password", &sasl.password);
        }
        config
    }

    fn finish(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.properties {
            config.set(key, value);
            if key == "debug" {
                config.set_log_level(RDKafkaLogLevel::Debug);
            }
        }
        config
    }

    /// Of clients that look and manage.
    pub(crate) fn admin(&self) -> ClientConfig {
        let mut config = self.client();
        // Ends of partitions are then those that readers of committed records see. No group is ever joined.
        config
            .set("group.id", format!("{}.unused", self.cluster))
            .set("isolation.level", "read_committed");
        self.finish(config)
    }

    /// Of readers.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", format!("{}.unused", self.cluster))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.min.bytes", "1")
            .set("fetch.max.bytes", "8388608")
            .set("fetch.message.max.bytes", "4194304")
            .set("queued.max.messages.kbytes", "16384")
            .set("queued.min.messages", "1000")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "100")
            .set("check.crcs", "true");
        self.finish(config)
    }

    fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            .set("retry.backoff.ms", "10")
            .set("retry.backoff.max.ms", "500")
            .set("message.max.bytes", MAX_MESSAGE.to_string())
            .set("queue.buffering.max.messages", "100000");
        config
    }

    /// Of the producer of plain appends.
    pub(crate) fn appender(&self) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("message.timeout.ms", APPEND_TIMEOUT.as_millis().to_string())
            .set("queue.buffering.max.kbytes", "16384");
        self.finish(config)
    }

    /// Of a transactional producer.
    pub(crate) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        let commit = self.commit_timeout.as_millis();
        // Longer than ours: the coordinator's own time-out fences the producer, as another owner would.
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", (commit * 3 / 2).to_string())
            .set("message.timeout.ms", commit.to_string())
            .set("queue.buffering.max.kbytes", "32768");
        self.finish(config)
    }
}

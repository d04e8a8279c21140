//! Settings of a server: defaults, then a TOML file, then the environment (`IRONHORSE_*`), then flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Settings of a server. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where the HTTP endpoints are served.
    pub http: SocketAddr,
    /// Number of partition groups. Fixed when the data directory is made; unset: what it was made with, or 2.
    pub groups: Option<u16>,
    /// `HOST:PORT` that workers are told to poll; unset: `localhost` and the port of `listen`.
    pub advertise: Option<String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What all stores of the process together may take, in MiB, at least 16: one half for RocksDB's block cache and
    /// memtables, one for committed changes and overlays. The rest of the process needs about 100 MiB more.
    pub memory_mib: usize,
    /// What was deleted leaves RocksDB's files within 1.4 times this, in seconds. Every file is rewritten that often.
    pub erase_after_seconds: u64,
    /// A checkpoint of each group is made when the log has grown by this many MiB since the last one.
    pub checkpoint_log_mib: u64,
    /// A checkpoint of each group is made when the last one is this many seconds old. None is kept longer than twice this.
    pub checkpoint_age_seconds: u64,
    /// Active ThreadRuns of one WfRun, of any status; `LHS_X_MAX_THREAD_RUNS_PER_WF_RUN` is the same.
    pub max_thread_runs_per_wf_run: i32,
    /// How long the metrics of a minute are kept, in milliseconds; `LHS_X_METRIC_RETENTION_MS` is the same.
    pub metric_retention_ms: i64,
    /// In which cron expressions are meant: a name of the IANA time zone database, such as `Europe/Berlin`. Schedules
    /// keep the one that they were made with.
    pub time_zone: String,
    /// A segment of the log takes no more when its first record is this many seconds old, so that it can be removed.
    pub log_segment_age_seconds: u64,
    /// Whether tables and the log are compressed. Off for tests that look for bytes in files; what is there stays readable.
    pub compression: bool,
    /// `HOST:PORT` of Kafka brokers, separated by commas; unset: the embedded log.
    pub kafka: Option<String>,
    /// Begins the names of all topics: one for each cluster of Ironhorse on these brokers. Needed with `kafka`.
    pub cluster_id: Option<String>,
    /// Replicas of each partition; all but one must have a record before it is acknowledged.
    pub kafka_replication: u16,
    /// Encrypt connections to the brokers.
    pub kafka_tls: bool,
    /// Whom to trust then (PEM); unset: what the system trusts.
    pub kafka_tls_ca: Option<PathBuf>,
    /// Our certificate (PEM), for brokers that ask for one.
    pub kafka_tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub kafka_tls_key: Option<PathBuf>,
    /// How we say who we are: `SCRAM-SHA-256`, `SCRAM-SHA-512` or `PLAIN`.
    pub kafka_mechanism: String,
    /// Who we are; unset: nobody asks.
    pub kafka_user: Option<String>,
    /// The user's password.
    pub kafka_password: Option<String>,
}

/// What LittleHorse calls [`Config::max_thread_runs_per_wf_run`].
const MAX_THREAD_RUNS: &str = "LHS_X_MAX_THREAD_RUNS_PER_WF_RUN";
/// What LittleHorse calls [`Config::metric_retention_ms`].
const METRIC_RETENTION: &str = "LHS_X_METRIC_RETENTION_MS";

/// A variable of the environment that goes by LittleHorse's name.
fn known_as(theirs: &'static str, ours: &'static str) -> Env {
    Env::raw().only(&[theirs]).map(move |_| ours.into())
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: PathBuf::from("ironhorse-data"),
            listen: SocketAddr::from(([0, 0, 0, 0], 2023)),
            http: SocketAddr::from(([0, 0, 0, 0], crate::tools::HTTP_PORT)),
            groups: None,
            advertise: None,
            log_format: LogFormat::Text,
            memory_mib: 256,
            erase_after_seconds: 24 * 3600,
            checkpoint_log_mib: 256,
            checkpoint_age_seconds: 1800,
            max_thread_runs_per_wf_run: 65,
            metric_retention_ms: 14 * 24 * 3600 * 1000,
            time_zone: "UTC".to_owned(),
            log_segment_age_seconds: 3600,
            compression: true,
            kafka: None,
            cluster_id: None,
            kafka_replication: 3,
            kafka_tls: false,
            kafka_tls_ca: None,
            kafka_tls_certificate: None,
            kafka_tls_key: None,
            kafka_mechanism: "SCRAM-SHA-512".to_owned(),
            kafka_user: None,
            kafka_password: None,
        }
    }
}

impl Config {
    /// Puts the sources together; later ones win. `flags` holds what was said on the command line.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, or a value does not fit; the text names it.
    pub fn load(
        file: Option<&std::path::Path>,
        flags: impl Serialize,
    ) -> Result<Config, Box<figment::Error>> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        figment
            // `IRONHORSE_TEST_…` belongs to the tests.
            .merge(Env::prefixed("IRONHORSE_").filter(|key| !key.starts_with("test_")))
            .merge(known_as(MAX_THREAD_RUNS, "max_thread_runs_per_wf_run"))
            .merge(known_as(METRIC_RETENTION, "metric_retention_ms"))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        listen: Option<SocketAddr>,
    }

    #[test]
    fn later_sources_win_and_unknown_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ironhorse.toml");
        std::fs::write(&file, "groups = 4\nlisten = \"127.0.0.1:1\"\n").unwrap();
        let none = Flags { listen: None };
        let config = Config::load(Some(&file), &none).unwrap();
        assert_eq!((config.groups, config.listen.port()), (Some(4), 1));
        let flags = Flags {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 2))),
        };
        assert_eq!(Config::load(Some(&file), flags).unwrap().listen.port(), 2);
        std::fs::write(&file, "gruops = 4\n").unwrap();
        let error = Config::load(Some(&file), &none).unwrap_err().to_string();
        assert!(
            error.contains("gruops") && error.contains("groups"),
            "{error}"
        );
        assert!(Config::load(Some(&dir.path().join("missing.toml")), none).is_err());
    }
}

//! What keeps the log of a running server, and what it needs beside.

use std::sync::Arc;

use runtime::writer_id;
use wal::{GroupId, WalError};
use wal_kafka::{KafkaLog, Options, Sasl, Security, Tls};

use crate::stores::Stores;
use crate::tools::Snapshots;
use crate::upkeep::Upkeep;
use crate::{Config, DataDir};

/// See the module.
pub(crate) enum Kept {
    /// The embedded log; checkpoints, so that it need not be kept for ever.
    Embedded {
        /// What checkpoints and backups are made of.
        stores: Arc<Stores>,
        /// Makes checkpoints until it is dropped.
        _upkeep: Upkeep,
    },
    /// Kafka compacts, and keeps what is needed to make any store anew.
    Kafka(Arc<KafkaLog>),
}

impl Kept {
    /// Ends every wait for the log.
    pub(crate) fn close_log(&self) {
        match self {
            Kept::Embedded { stores, .. } => stores.log.close(),
            Kept::Kafka(log) => log.close(),
        }
    }

    /// What backups are made with.
    pub(crate) fn snapshots(&self, dir: &DataDir) -> Option<Arc<Snapshots>> {
        match self {
            Kept::Embedded { stores, .. } => {
                Some(Arc::new(Snapshots::new(dir, Arc::clone(stores))))
            }
            Kept::Kafka(_) => None,
        }
    }
}

/// How the log on Kafka is opened, if that is what is asked for.
///
/// # Errors
/// Only one half was said; the text names the other.
pub(crate) fn kafka_options(config: &Config) -> Result<Option<Options>, String> {
    let (brokers, cluster) = match (&config.kafka, &config.cluster_id) {
        (None, None) => return Ok(None),
        (Some(brokers), Some(cluster)) => (brokers, cluster),
        (Some(_), None) => return Err("--kafka needs --cluster-id NAME".to_owned()),
        (None, Some(_)) => return Err("--cluster-id needs --kafka HOST:PORT".to_owned()),
    };
    let tls = config.kafka_tls.then(|| Tls {
        ca: config.kafka_tls_ca.clone(),
        certificate: config.kafka_tls_certificate.clone(),
        key: config.kafka_tls_key.clone(),
        key_password: None,
    });
    let sasl = match (&config.kafka_user, &config.kafka_password) {
        (None, None) => None,
        (Some(user), Some(password)) => Some(Sasl {
            mechanism: config.kafka_mechanism.clone(),
            user: user.clone(),
            password: password.clone(),
        }),
        _ => return Err("kafka_user and kafka_password go together".to_owned()),
    };
    Ok(Some(Options {
        replication: config.kafka_replication,
        min_in_sync: config.kafka_replication.saturating_sub(1).max(1),
        security: Security { tls, sasl },
        // The data directory knows the number of groups.
        ..Options::new(brokers, cluster, 0)
    }))
}

/// Opens the log on Kafka, and connects for the writers of all groups.
pub(crate) fn open_kafka(
    options: Options,
    groups: impl Iterator<Item = GroupId>,
) -> Result<Arc<KafkaLog>, WalError> {
    let log = KafkaLog::open(options)?;
    for group in groups {
        log.warm(&writer_id(group))?;
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_refused() {
        let with = |kafka: Option<&str>, cluster: Option<&str>, user: Option<&str>| {
            kafka_options(&Config {
                kafka: kafka.map(str::to_owned),
                cluster_id: cluster.map(str::to_owned),
                kafka_user: user.map(str::to_owned),
                ..Config::default()
            })
        };
        assert!(with(None, None, None).unwrap().is_none());
        for (asked, word) in [
            (with(Some("b:1"), None, None), "--cluster-id"),
            (with(None, Some("c"), None), "--kafka"),
            (with(Some("b:1"), Some("c"), Some("u")), "kafka_password"),
        ] {
            assert!(asked.unwrap_err().contains(word));
        }
        let options = with(Some("b:1"), Some("c"), None).unwrap().unwrap();
        assert_eq!((options.replication, options.min_in_sync), (3, 2));
    }
}

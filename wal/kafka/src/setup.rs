//! Making and checking the topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use wal::WalError;

use crate::Options;
use crate::context::Context;
use crate::inner::{Backoff, Inner};
use crate::options::MAX_MESSAGE;
use crate::refusal::advice;
use crate::topics::{Policy, Wanted};

/// What was done.
pub(crate) struct Checked {
    /// Topics that were made.
    pub(crate) created: usize,
}

/// A topic as it is.
struct Found {
    partitions: i32,
    /// The least of all partitions.
    replicas: usize,
    /// Each partition has one.
    leaders: bool,
}

/// See [`crate::KafkaLog::open`].
pub(crate) fn check(inner: &Inner, admin: &AdminClient<Context>) -> Result<Checked, WalError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| WalError::Io {
            context: "a runtime to talk to Kafka".to_owned(),
            source,
        })?;
    let options = &inner.options;
    let deadline = Instant::now() + options.open_timeout;
    let wanted = inner.topics.wanted();
    let found = topics(inner, deadline)?;
    let missing: Vec<&Wanted> = wanted
        .iter()
        .filter(|topic| !found.contains_key(&*topic.name))
        .collect();
    if !missing.is_empty() {
        if !options.create_topics {
            let names: Vec<&str> = missing.iter().map(|topic| &*topic.name).collect();
            return Err(WalError::Broker(format!(
                "the topics {} are missing, and making them was forbidden: make them (docs/operations.md)",
                names.join(", ")
            )));
        }
        runtime.block_on(create(inner, admin, &missing))?;
    }
    let found = wait_for_leaders(inner, &wanted, deadline)?;
    for topic in &wanted {
        shape(options, topic, &found[&*topic.name])?;
    }
    runtime.block_on(configs(inner, admin, &wanted))?;
    Ok(Checked {
        created: missing.len(),
    })
}

/// What there is, by name.
fn topics(inner: &Inner, deadline: Instant) -> Result<BTreeMap<String, Found>, WalError> {
    let mut backoff = Backoff::default();
    loop {
        // In slices: a refusal is told beside, and no answer comes then.
        match inner.asker.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(metadata) => return Ok(found(&metadata)),
            Err(error) => {
                // Errors of connections wait in the consumer's queue; nothing is assigned to it, so no record comes.
                while inner.asker.poll(Duration::ZERO).is_some() {}
                let refused = inner.trouble.refused();
                if refused.is_some() || Instant::now() >= deadline {
                    return Err(unreachable(inner, &error));
                }
            }
        }
        inner.pause(&mut backoff)?;
    }
}

fn unreachable(inner: &Inner, error: &KafkaError) -> WalError {
    let at = &inner.options.bootstrap;
    let reason = inner.trouble.reason().unwrap_or_else(|| error.to_string());
    let lower = reason.to_lowercase();
    WalError::Broker(if lower.contains("authenticat") || lower.contains("sasl") {
        format!(
            "Kafka at {at} does not let us in ({reason}): check user, password and mechanism of SASL, and that the port is \
             one of its SASL listeners"
        )
    } else if lower.contains("ssl") || lower.contains("certificate") {
        format!(
            "no TLS with Kafka at {at} ({reason}): check the certificate authority, and that the port is one of its TLS \
             listeners"
        )
    } else {
        format!(
            "no Kafka broker answers at {at} within {:?} ({reason}): check the address, that the brokers run, and that what \
             they say in advertised.listeners can be reached from here",
            inner.options.open_timeout
        )
    })
}

fn found(metadata: &Metadata) -> BTreeMap<String, Found> {
    let of = |topic: &rdkafka::metadata::MetadataTopic| {
        let partitions = topic.partitions();
        Found {
            partitions: partitions.len() as i32,
            replicas: partitions
                .iter()
                .map(|partition| partition.replicas().len())
                .min()
                .unwrap_or(0),
            leaders: partitions
                .iter()
                .all(|partition| partition.leader() >= 0 && partition.error().is_none()),
        }
    };
    metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none_or(|error| !error.is_error()))
        .map(|topic| (topic.name().to_owned(), of(topic)))
        .collect()
}

async fn create(
    inner: &Inner,
    admin: &AdminClient<Context>,
    missing: &[&Wanted],
) -> Result<(), WalError> {
    let options = &inner.options;
    let settings: Vec<Vec<(&str, String)>> = missing
        .iter()
        .map(|topic| settings(options, topic.policy))
        .collect();
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&settings)
        .map(|(topic, settings)| {
            let replication = TopicReplication::Fixed(i32::from(options.replication));
            let new = NewTopic::new(&topic.name, topic.partitions, replication);
            settings
                .iter()
                .fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let request = AdminOptions::new()
        .request_timeout(Some(options.open_timeout))
        .operation_timeout(Some(options.open_timeout));
    let results = admin.create_topics(&new, &request).await.map_err(|error| {
        WalError::Broker(
            advice(&error, &options.cluster)
                .unwrap_or_else(|| format!("the topics cannot be made: {error}")),
        )
    })?;
    for result in results {
        match result {
            // Another server was faster.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, Code::InvalidReplicationFactor)) => {
                return Err(WalError::Broker(format!(
                    "the topic {name} cannot be made with {} replicas: there are fewer brokers; start more, or ask for fewer \
                     (replication 1 on one broker is for trying out only)",
                    options.replication
                )));
            }
            Err((name, code)) => {
                let error = KafkaError::AdminOp(code);
                let text = advice(&KafkaError::Global(code), &options.cluster)
                    .unwrap_or_else(|| error.to_string());
                return Err(WalError::Broker(format!(
                    "the topic {name} cannot be made: {text}"
                )));
            }
        }
    }
    Ok(())
}

fn wait_for_leaders(
    inner: &Inner,
    wanted: &[Wanted],
    deadline: Instant,
) -> Result<BTreeMap<String, Found>, WalError> {
    let mut backoff = Backoff::default();
    loop {
        let found = topics(inner, deadline)?;
        let ready = |topic: &&Wanted| found.get(&*topic.name).is_some_and(|found| found.leaders);
        let waiting: Vec<&Wanted> = wanted.iter().filter(|topic| !ready(topic)).collect();
        let Some(first) = waiting.first() else {
            return Ok(found);
        };
        if Instant::now() >= deadline {
            return Err(WalError::Broker(format!(
                "the topic {} has partitions without a leader: are all brokers up, and may we describe topics that begin \
                 with \"{}-\"?",
                first.name, inner.options.cluster
            )));
        }
        inner.pause(&mut backoff)?;
    }
}

/// How a topic is made.
fn settings(options: &Options, policy: Policy) -> Vec<(&'static str, String)> {
    let mut settings = required(options, policy);
    settings.push(("message.timestamp.type", "CreateTime".to_owned()));
    if policy == Policy::Compact {
        settings.extend([
            (
                "delete.retention.ms",
                options.tombstones.as_millis().to_string(),
            ),
            ("max.compaction.lag.ms", "86400000".to_owned()),
            ("segment.ms", "3600000".to_owned()),
            ("min.cleanable.dirty.ratio", "0.2".to_owned()),
        ]);
    }
    settings
}

/// What must not be otherwise.
fn required(options: &Options, policy: Policy) -> Vec<(&'static str, String)> {
    let mut required = match policy {
        Policy::Keep => vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
        ],
        Policy::Compact => vec![("cleanup.policy", "compact".to_owned())],
    };
    required.extend([
        ("min.insync.replicas", options.min_in_sync.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("max.message.bytes", MAX_MESSAGE.to_string()),
    ]);
    required
}

fn shape(options: &Options, wanted: &Wanted, found: &Found) -> Result<(), WalError> {
    let name = &wanted.name;
    if found.partitions != wanted.partitions {
        return Err(WalError::Broker(if wanted.partitions == 1 {
            format!(
                "the topic {name} has {} partitions, and must have 1: delete it if it is empty, or use another cluster id",
                found.partitions
            )
        } else {
            format!(
                "the topic {name} has {} partitions, and this server has {} groups: the number of groups never changes \
                 under existing data; start with --groups {}, or use another cluster id",
                found.partitions, wanted.partitions, found.partitions
            )
        }));
    }
    if found.replicas < usize::from(options.replication) {
        return Err(WalError::Broker(format!(
            "the topic {name} has {} replicas, and {} are asked for: add replicas with kafka-reassign-partitions.sh, or ask \
             for fewer",
            found.replicas, options.replication
        )));
    }
    Ok(())
}

async fn configs(
    inner: &Inner,
    admin: &AdminClient<Context>,
    wanted: &[Wanted],
) -> Result<(), WalError> {
    let options = &inner.options;
    let resources: Vec<ResourceSpecifier<'_>> = wanted
        .iter()
        .map(|topic| ResourceSpecifier::Topic(&topic.name))
        .collect();
    let request = AdminOptions::new().request_timeout(Some(options.open_timeout));
    let refused = |error: &KafkaError| {
        WalError::Broker(
            advice(error, &options.cluster)
                .unwrap_or_else(|| format!("the topics' settings cannot be read: {error}")),
        )
    };
    let results = admin
        .describe_configs(&resources, &request)
        .await
        .map_err(|error| refused(&error))?;
    for (topic, result) in wanted.iter().zip(results) {
        let found = result.map_err(|code| refused(&KafkaError::Global(code)))?;
        for (key, must) in required(options, topic.policy) {
            let is = found.get(key).and_then(|entry| entry.value.as_deref());
            if !is.is_some_and(|is| fits(key, is, &must)) {
                let is = is.unwrap_or("(unknown)");
                return Err(WalError::Broker(format!(
                    "the topic {name} has {key}={is}, and must have {must}: kafka-configs.sh --bootstrap-server {at} --alter \
                     --entity-type topics --entity-name {name} --add-config {key}={must}",
                    name = topic.name,
                    at = options.bootstrap
                )));
            }
        }
    }
    Ok(())
}

/// Whether a setting is as strict as it must be.
fn fits(key: &str, is: &str, must: &str) -> bool {
    if key == "min.insync.replicas" || key == "max.message.bytes" {
        return is
            .parse::<u64>()
            .is_ok_and(|is| must.parse().is_ok_and(|must| is >= must));
    }
    is == must
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stricter_settings_are_accepted_and_weaker_ones_are_not() {
        for (key, is, must, expected) in [
            ("min.insync.replicas", "2", "2", true),
            ("min.insync.replicas", "3", "2", true),
            ("min.insync.replicas", "1", "2", false),
            ("max.message.bytes", "1048588", "4259840", false),
            ("cleanup.policy", "compact", "compact", true),
            ("cleanup.policy", "compact,delete", "compact", false),
            ("retention.ms", "604800000", "-1", false),
        ] {
            assert_eq!(fits(key, is, must), expected, "{key}={is}");
        }
    }
}

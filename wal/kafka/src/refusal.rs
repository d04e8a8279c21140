//! Which errors pass by themselves, and what to say of those that do not.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What an operator has to do about `error`, or `None` if waiting helps.
pub(crate) fn advice(error: &KafkaError, cluster: &str) -> Option<String> {
    let what = match error.rdkafka_error_code()? {
        Code::TopicAuthorizationFailed => format!(
            "grant Read, Write, Describe, DescribeConfigs, Create and Delete on topics that begin with \"{cluster}-\""
        ),
        Code::TransactionalIdAuthorizationFailed => format!(
            "grant Write and Describe on transactional ids that begin with \"{cluster}.\""
        ),
        Code::ClusterAuthorizationFailed => {
            "grant Create and IdempotentWrite on the cluster, or make the topics by hand (docs/operations.md)".to_owned()
        }
        Code::GroupAuthorizationFailed => {
            format!("grant Read and Describe on the consumer group \"{cluster}.unused\"")
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check user, password and mechanism".to_owned()
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => {
            "brokers of Apache Kafka 3.6 or newer are needed".to_owned()
        }
        Code::InvalidTransactionTimeout => {
            "raise transaction.max.timeout.ms of the brokers, or shorten the commit's time".to_owned()
        }
        _ => return None,
    };
    Some(format!("Kafka refuses: {error}; {what}"))
}

/// Whether a newer producer with the same transactional id exists.
pub(crate) fn is_fenced(code: Code) -> bool {
    matches!(
        code,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch
    )
}

/// How long a partition may seem to be missing: while its leader changes, brokers and librdkafka say so.
pub(crate) const MISSING: Duration = Duration::from_secs(20);

/// Whether the partition is said to be missing.
pub(crate) fn is_missing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
    )
}

/// What to say of a partition that stays missing.
pub(crate) fn missing(topic: &str) -> String {
    format!(
        "the topic {topic} has gone: topics must not be deleted under a running server; restore a backup"
    )
}

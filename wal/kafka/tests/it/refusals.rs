//! What is not as it must be is refused, with what to do.

use std::time::Duration;

use ironhorse_wal_kafka::{KafkaLog, Options, testing};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use wal::{GroupId, Log, Partition, Position, WalError};

use crate::owner::{COMMANDS, append, record};

fn refusal(options: Options) -> String {
    match KafkaLog::open(options) {
        Err(WalError::Broker(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

fn make(bootstrap: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap();
    let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let new = settings
        .iter()
        .fold(new, |new, (key, value)| new.set(key, value));
    let request = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let results = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(admin.create_topics([&new], &request))
        .unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn nobody_answers() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    for bootstrap in [
        format!("127.0.0.1:{port}"),
        "no.such.host.invalid:9092".to_owned(),
    ] {
        let error = refusal(Options {
            open_timeout: Duration::from_secs(2),
            ..Options::new(&bootstrap, "c", 2)
        });
        assert!(error.contains(&bootstrap), "{error}");
        assert!(error.contains("check the address"), "{error}");
    }
    let error = refusal(Options::new("127.0.0.1:1", "not a name", 2));
    assert!(error.contains("not a name"), "{error}");
}

#[test]
fn topics_that_are_not_as_they_must_be() {
    let Some(bootstrap) = testing::shared() else {
        return;
    };
    let with_groups = testing::options(&bootstrap, 3, 1);
    KafkaLog::open(with_groups.clone()).unwrap();
    KafkaLog::open(with_groups.clone()).expect("it is there, and right");
    let error = refusal(Options {
        groups: 4,
        ..with_groups.clone()
    });
    assert!(error.contains("has 3 partitions"), "{error}");
    assert!(error.contains("--groups 3"), "{error}");
    let error = refusal(Options {
        replication: 2,
        ..with_groups.clone()
    });
    assert!(error.contains("1 replicas, and 2"), "{error}");

    let kept = [("retention.ms", "-1"), ("max.message.bytes", "4259840")];
    for (suffix, settings, wrong, right) in [
        (
            "log",
            &[("cleanup.policy", "delete")][..],
            "delete",
            "compact",
        ),
        (
            "cmd",
            &[("retention.ms", "604800000")],
            "604800000",
            "retention.ms=-1",
        ),
        ("msg", &kept[..1], "1048588", "max.message.bytes=4259840"),
    ] {
        let options = testing::options(&bootstrap, 2, 1);
        make(
            &bootstrap,
            &format!("{}-{suffix}", options.cluster),
            2,
            settings,
        );
        let error = refusal(options);
        assert!(error.contains(wrong) && error.contains(right), "{error}");
        assert!(error.contains("kafka-configs.sh"), "{error}");
    }

    let error = refusal(Options {
        create_topics: false,
        ..testing::options(&bootstrap, 2, 1)
    });
    assert!(error.contains("are missing"), "{error}");
    let error = refusal(Options {
        replication: 5,
        ..testing::options(&bootstrap, 2, 1)
    });
    assert!(error.contains("fewer brokers"), "{error}");
}

#[test]
fn what_a_log_cannot_have() {
    let Some(bootstrap) = testing::shared() else {
        return;
    };
    let options = testing::options(&bootstrap, 2, 1);
    let log = KafkaLog::open(options.clone()).unwrap();
    let position = append(&log, "1").unwrap();
    // No such group.
    let unknown = Partition::commands(GroupId(2));
    assert!(log.append(unknown, record("", "")).is_err());
    assert!(log.open_reader(unknown, Position::START).is_err());
    // Read before, and not there: another log.
    let later = Position::from_u64(position.to_u64() + 5);
    let error = log.open_reader(COMMANDS, later).err().unwrap();
    assert!(matches!(error, WalError::Corrupt(_)), "{error}");
    // Deleted.
    append(&log, "2").unwrap();
    log.trim(COMMANDS, position);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        match log.open_reader(COMMANDS, Position::START) {
            Err(WalError::Truncated { start, .. }) => {
                assert_eq!(start, position);
                break;
            }
            Err(error) => panic!("{error}"),
            Ok(_) => assert!(std::time::Instant::now() < deadline, "never deleted"),
        }
    }
    // Written by somebody else.
    let topic = format!("{}-cmd", options.cluster);
    let producer: rdkafka::producer::BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .create()
        .unwrap();
    let foreign = rdkafka::producer::BaseRecord::<(), str>::to(&topic)
        .partition(1)
        .payload("?");
    producer.send(foreign).unwrap();
    rdkafka::producer::Producer::flush(&producer, Duration::from_secs(30)).unwrap();
    let foreign = Partition::commands(GroupId(1));
    let error = log.open_reader(foreign, Position::START).err().unwrap();
    assert!(
        matches!(&error, WalError::Corrupt(text) if text.contains("did not write")),
        "{error}"
    );
}

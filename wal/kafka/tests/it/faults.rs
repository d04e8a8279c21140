//! Brokers that are killed and stopped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironhorse_wal_kafka::{KafkaLog, Options, testing};
use wal::{AppendError, Log, WalError};

use crate::owner::{Owner, PATIENCE, append, id};

fn options(bootstrap: &str, replication: u16) -> Options {
    Options {
        commit_timeout: Duration::from_secs(4),
        ..testing::options(bootstrap, 2, replication)
    }
}

#[test]
fn the_only_broker_is_killed_during_commits_and_comes_back() {
    let Some(brokers) = testing::own(1) else {
        return;
    };
    let log = KafkaLog::open(options(&brokers.bootstrap(), 1)).unwrap();
    let owner = Owner::start(&log);
    for _ in 0..2 {
        owner.wait_for_more();
        brokers.kill(0);
        std::thread::sleep(Duration::from_millis(300));
        brokers.restart(0);
        brokers.wait(1).unwrap();
        owner.wait_for_more();
    }
    owner.check(&log);
    brokers.kill(0);
    closing_ends_every_wait(log);
}

/// While nobody answers.
fn closing_ends_every_wait(log: Arc<KafkaLog>) {
    let waiting = Arc::clone(&log);
    let thread = std::thread::spawn(move || waiting.open_writer(&id()).map(|_| ()));
    // New appends fail at once when it is known that nobody answers, instead of filling a queue.
    let deadline = Instant::now() + PATIENCE;
    while !matches!(append(&log, ""), Err(AppendError::Unavailable(_))) {
        assert!(Instant::now() < deadline, "appends go on");
    }
    assert!(!thread.is_finished(), "it waits for the broker");
    log.close();
    let error = thread.join().unwrap().unwrap_err();
    assert!(matches!(error, WalError::Closed), "{error}");
}

#[test]
fn three_brokers_of_which_one_is_killed_and_then_two_are_stopped() {
    let Some(brokers) = testing::own(3) else {
        return;
    };
    let log = KafkaLog::open(options(&brokers.bootstrap(), 3)).unwrap();
    let owner = Owner::start(&log);
    owner.wait_for_more();
    // One may be killed at any time.
    brokers.kill(1);
    owner.wait_for_more();
    brokers.restart(1);
    brokers.wait(3).unwrap();
    owner.wait_for_more();
    // Without two nothing is acknowledged.
    brokers.pause(0);
    brokers.pause(2);
    std::thread::sleep(Duration::from_millis(500));
    let (committed, appended) = (owner.committed(), owner.told.appended.lock().len());
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(owner.committed(), committed, "a commit was acknowledged");
    assert_eq!(
        owner.told.appended.lock().len(),
        appended,
        "an append was acknowledged"
    );
    brokers.go_on(0);
    brokers.go_on(2);
    owner.wait_for_more();
    owner.check(&log);
}

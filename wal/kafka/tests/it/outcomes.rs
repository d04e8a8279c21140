//! Zombies, and commits of which nobody hears.

use std::time::Duration;

use ironhorse_wal_kafka::{KafkaLog, Options, testing};
use wal::Outcome;

use crate::owner::{CHANGES, commit, record, take_over};

#[test]
fn a_zombie_commits_nothing() {
    let Some(bootstrap) = testing::shared() else {
        return;
    };
    let options = testing::options(&bootstrap, 2, 1);
    // As two servers would: with clients of their own.
    let zombie = KafkaLog::open(options.clone()).unwrap();
    let (mut old, _) = take_over(&zombie);
    let outcome = commit(&mut *old, vec![(CHANGES, record("1", ""))]);
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    let successor = KafkaLog::open(options).unwrap();
    let (mut new, found) = take_over(&successor);
    assert_eq!(found.len(), 1);
    for _ in 0..3 {
        let outcome = commit(&mut *old, vec![(CHANGES, record("never", ""))]);
        assert_eq!(outcome, Outcome::Fenced);
    }
    let outcome = commit(&mut *new, vec![(CHANGES, record("2", ""))]);
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    let (_, found) = take_over(&successor);
    let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["1", "2"]);
}

/// The connection loses the request that commits, or the answer to it: the outcome is unknown, in both truths, and who
/// reads the changelog behind a barrier learns it.
#[test]
fn a_commit_of_unknown_outcome_is_found_or_not_behind_the_barrier() {
    let Some(brokers) = testing::shared_broker() else {
        return;
    };
    let (proxy, bootstrap) = brokers.proxy();
    for (ends, happened) in [
        (testing::Ends::LoseRequest, false),
        (testing::Ends::LoseAnswer, true),
    ] {
        let log = KafkaLog::open(Options {
            commit_timeout: Duration::from_secs(2),
            ..testing::options(&bootstrap, 2, 1)
        })
        .unwrap();
        let (mut writer, _) = take_over(&log);
        proxy.set(ends);
        let outcome = commit(&mut *writer, vec![(CHANGES, record("perhaps", ""))]);
        assert_eq!(outcome, Outcome::Unknown, "{ends:?}");
        proxy.set(testing::Ends::Pass);
        let again = commit(&mut *writer, vec![(CHANGES, record("never", ""))]);
        assert_eq!(again, Outcome::Unknown, "this writer has ended");
        let (mut writer, found) = take_over(&log);
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        let expected: &[&str] = if happened { &["perhaps"] } else { &[] };
        assert_eq!(keys, expected, "{ends:?}");
        let outcome = commit(&mut *writer, vec![(CHANGES, record("next", ""))]);
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
}

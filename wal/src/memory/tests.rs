//! That the log is as unkind as it says, and the same each time.

use std::sync::mpsc;

use bytes::Bytes;

use super::*;
use crate::{GroupId, Transaction};

const CHANGES: Partition = Partition::changelog(GroupId(0));
const COMMANDS: Partition = Partition::commands(GroupId(0));

fn record(n: u64) -> Record {
    Record {
        key: Bytes::from(n.to_string()),
        value: None,
        time_ms: 0,
    }
}

fn id() -> WriterId {
    WriterId("w".to_owned())
}

fn commit(writer: &mut dyn Writer, n: u64) -> mpsc::Receiver<Outcome> {
    let (sender, receiver) = mpsc::channel();
    let records = vec![(COMMANDS, record(n)), (CHANGES, record(n))];
    writer
        .commit(
            Transaction { records },
            Box::new(move |outcome| {
                // Nobody listens to those that a crash ends.
                let _ = sender.send(outcome);
            }),
        )
        .unwrap();
    receiver
}

fn keys(records: &[(Position, Record)]) -> Vec<u64> {
    let key = |record: &Record| {
        String::from_utf8(record.key.to_vec())
            .unwrap()
            .parse()
            .unwrap()
    };
    records.iter().map(|(_, record)| key(record)).collect()
}

fn read(log: &MemoryLog, partition: Partition) -> Vec<u64> {
    let mut reader = log.open_reader(partition, Position::START).unwrap();
    keys(&reader.poll(usize::MAX, usize::MAX).unwrap())
}

#[test]
fn keeps_the_contract() {
    crate::contract::check(&|| Arc::new(MemoryLog::new()));
    // Also when what is acknowledged is seen late.
    crate::contract::check_late(&|| {
        let log = MemoryLog::new();
        log.delay_visibility(3);
        Arc::new(log)
    });
}

#[test]
fn a_commit_ends_in_every_way_and_the_writer_with_it() {
    for (ending, outcome, happened) in [
        (Ending::Committed, None, true),
        (Ending::Aborted, Some(Outcome::Aborted), false),
        (Ending::Fenced, Some(Outcome::Fenced), false),
        (Ending::UnknownCommitted, Some(Outcome::Unknown), true),
        (Ending::UnknownAborted, Some(Outcome::Unknown), false),
    ] {
        let log = MemoryLog::new();
        log.hold_commits();
        let mut writer = log.open_writer(&id()).unwrap();
        let (first, second) = (commit(&mut *writer, 1), commit(&mut *writer, 2));
        assert!(read(&log, CHANGES).is_empty());
        assert!(log.release(ending));
        assert_eq!(
            read(&log, CHANGES),
            if happened { vec![1] } else { vec![] },
            "{ending:?}"
        );
        assert_eq!(read(&log, COMMANDS), read(&log, CHANGES), "all or nothing");
        let first = first.try_recv().unwrap();
        match outcome {
            None => assert!(matches!(first, Outcome::Committed(_))),
            Some(outcome) => {
                assert_eq!(first, outcome);
                // Every later commit ends the same way, whatever is asked for.
                assert!(log.release(Ending::Committed));
                assert_eq!(second.try_recv(), Ok(outcome));
                assert_eq!(commit(&mut *writer, 3).try_recv(), Ok(outcome));
            }
        }
        assert_eq!(read(&log, CHANGES).len(), usize::from(happened));
    }
}

#[test]
fn a_writer_is_fenced_at_each_step() {
    for step in 0..4 {
        let log = MemoryLog::new();
        log.hold_commits();
        let mut writer = log.open_writer(&id()).unwrap();
        if step == 0 {
            log.fence(&id());
        }
        let first = commit(&mut *writer, 1);
        if step == 1 {
            log.fence(&id());
        }
        let released = log.release(Ending::Committed);
        if step == 2 {
            log.fence(&id());
        }
        let second = commit(&mut *writer, 2);
        if step == 3 {
            log.fence(&id());
        }
        log.release(Ending::Committed);
        let happened = step >= 2;
        assert_eq!(released, happened);
        assert_eq!(
            matches!(first.try_recv().unwrap(), Outcome::Committed(_)),
            happened,
            "step {step}"
        );
        assert_eq!(second.try_recv(), Ok(Outcome::Fenced), "step {step}");
        assert_eq!(read(&log, CHANGES), if happened { vec![1] } else { vec![] });
    }
}

#[test]
fn what_is_acknowledged_may_be_seen_late_and_in_order() {
    let log = MemoryLog::new();
    let mut writer = log.open_writer(&id()).unwrap();
    log.delay_visibility(2);
    assert!(commit(&mut *writer, 1).try_recv().is_ok());
    log.delay_visibility(0);
    commit(&mut *writer, 2);
    let mut reader = log.open_reader(CHANGES, Position::START).unwrap();
    assert!(
        reader.poll(9, 9).unwrap().is_empty(),
        "the second does not overtake the first"
    );
    assert_eq!(keys(&reader.poll(9, usize::MAX).unwrap()), [1, 2]);
}

#[test]
fn an_open_transaction_of_somebody_hides_what_comes_behind_it_in_its_partition() {
    let log = MemoryLog::new();
    let mut writer = log.open_writer(&id()).unwrap();
    commit(&mut *writer, 1);
    log.hold_stable_offset(COMMANDS);
    commit(&mut *writer, 2);
    log.append(COMMANDS, record(3)).unwrap();
    assert_eq!(
        (read(&log, COMMANDS), read(&log, CHANGES)),
        (vec![1], vec![1, 2])
    );
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    log.subscribe(COMMANDS, Arc::new(move || *count.lock() += 1));
    log.release_stable_offset(COMMANDS);
    assert_eq!(read(&log, COMMANDS), [1, 2, 3]);
    assert_eq!(*told.lock(), 1);
}

#[test]
fn a_crash_loses_a_tail_that_was_seen_and_not_synced() {
    for kept in 0..4 {
        let log = MemoryLog::new();
        let mut writer = log.open_writer(&id()).unwrap();
        log.hold_syncs();
        let synced = commit(&mut *writer, 1);
        assert!(synced.try_recv().is_err(), "not told before it is durable");
        assert_eq!(read(&log, CHANGES), [1], "seen before it is durable");
        assert_eq!(log.sync(), 1);
        assert!(matches!(synced.try_recv(), Ok(Outcome::Committed(_))));
        log.append(COMMANDS, record(2)).unwrap();
        let (third, fourth) = (commit(&mut *writer, 3), commit(&mut *writer, 4));
        let end = log.records(CHANGES)[2].0;
        log.crash_keeping(kept);
        assert!(
            third.try_recv().is_err() && fourth.try_recv().is_err(),
            "nobody is told"
        );
        let (commands, changes) = ([1, 2, 3, 4], [1, 3, 4]);
        assert_eq!(read(&log, COMMANDS), commands[..=kept]);
        assert_eq!(read(&log, CHANGES), changes[..kept.max(1)]);
        // The dead process's writer is dead; positions of what was lost are given again.
        assert_eq!(commit(&mut *writer, 5).try_recv(), Ok(Outcome::Fenced));
        log.sync_at_once();
        let mut next = log.open_writer(&id()).unwrap();
        let Ok(Outcome::Committed(position)) = commit(&mut *next, 6).try_recv() else {
            panic!("not committed")
        };
        assert_eq!(position <= end, kept < 3, "kept {kept}");
    }
}

#[test]
fn a_crash_loses_appends_that_no_commit_made_durable() {
    for held in [false, true] {
        let log = MemoryLog::new();
        log.sync_with_commits();
        assert!(!log.shows_undurable(), "but for plain appends");
        let mut writer = log.open_writer(&id()).unwrap();
        log.append(COMMANDS, record(1)).unwrap();
        if held {
            log.hold_commits();
        }
        let second = commit(&mut *writer, 2);
        assert_eq!(log.release_of(&id(), Ending::Committed), held);
        assert!(matches!(second.try_recv(), Ok(Outcome::Committed(_))));
        log.append(COMMANDS, record(3)).unwrap();
        assert_eq!(read(&log, COMMANDS), [1, 2, 3], "seen at once");
        assert_eq!(log.crash(), 1);
        assert_eq!(read(&log, COMMANDS), [1, 2]);
        assert_eq!(read(&log, CHANGES), [2]);
    }
}

#[test]
fn a_held_commit_is_told_when_it_is_durable_too() {
    let log = MemoryLog::new();
    log.hold_syncs();
    log.hold_commits();
    assert!(log.shows_undurable());
    let mut writer = log.open_writer(&id()).unwrap();
    log.append(COMMANDS, record(1)).unwrap();
    let second = commit(&mut *writer, 2);
    let other = WriterId("other".to_owned());
    assert!(!log.release_of(&other, Ending::Committed));
    assert!(log.release(Ending::Committed));
    assert!(second.try_recv().is_err(), "not told before it is durable");
    assert_eq!(log.crash(), 3);
    assert!(second.try_recv().is_err() && log.records(CHANGES).is_empty());
}

#[test]
fn what_is_held_back_or_dropped_is_not_passed_over() {
    let log = MemoryLog::new();
    log.append(COMMANDS, record(1)).unwrap();
    log.hold_stable_offset(COMMANDS);
    log.append(COMMANDS, record(2)).unwrap();
    let mut reader = log.open_reader(COMMANDS, Position::START).unwrap();
    assert_eq!(keys(&reader.poll(9, usize::MAX).unwrap()), [1]);
    let (records, bytes) = (1, 1);
    assert_eq!(
        log.backlog(COMMANDS, Position::START),
        Some(Backlog { records, bytes })
    );
    let last = log.records(COMMANDS)[1].0;
    assert_eq!(log.between(COMMANDS, Position::START, last).len(), 2);
    assert!(log.release_stable_offset(COMMANDS));
    assert!(!log.release_stable_offset(COMMANDS));
    log.trim(COMMANDS, last);
    let polled = reader.poll(9, usize::MAX);
    assert!(
        matches!(polled, Err(WalError::Truncated { .. })),
        "{polled:?}"
    );
}

/// A script by chance, with every unkindness in it; returns all that could be seen.
fn play(seed: u64) -> Vec<String> {
    let log = MemoryLog::new();
    let mut seen = Vec::new();
    let mut chance = seed;
    let mut below = |n: u64| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance % n
    };
    let mut writer = log.open_writer(&id()).unwrap();
    let mut reader = log.open_reader(COMMANDS, Position::START).unwrap();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    for n in 0..400 {
        match below(15) {
            0 => log.hold_commits(),
            1 => log.commit_at_once(),
            2 => log.hold_syncs(),
            3 => seen.push(format!("synced {}", log.sync())),
            4 => log.delay_visibility(below(4) as usize),
            5 => log.hold_stable_offset(COMMANDS),
            6 => drop(log.release_stable_offset(COMMANDS)),
            7 => {
                let endings = [
                    Ending::Committed,
                    Ending::Aborted,
                    Ending::UnknownCommitted,
                    Ending::UnknownAborted,
                ];
                log.release(endings[below(4) as usize]);
            }
            8 if below(4) == 0 => {
                log.crash_keeping(below(3) as usize);
                reader = log.open_reader(COMMANDS, Position::START).unwrap();
            }
            8 => writer = log.open_writer(&id()).unwrap(),
            9 | 10 => {
                let outcomes = Arc::clone(&outcomes);
                let records = vec![(COMMANDS, record(n)), (CHANGES, record(n))];
                let on_commit =
                    Box::new(move |outcome| outcomes.lock().push(format!("{n} {outcome:?}")));
                writer.commit(Transaction { records }, on_commit).unwrap();
            }
            11 => drop(log.append(COMMANDS, record(n)).unwrap()),
            12 => log.sync_with_commits(),
            _ => seen.push(format!(
                "{:?}",
                reader.poll(below(5) as usize, usize::MAX).unwrap()
            )),
        }
    }
    seen.extend(outcomes.lock().drain(..));
    seen.push(format!("{:?}", log.records(CHANGES)));
    seen
}

#[test]
fn the_same_script_shows_the_same() {
    let mut different = std::collections::BTreeSet::new();
    for seed in 1..40 {
        let seen = play(seed);
        assert_eq!(seen, play(seed), "seed {seed}");
        different.insert(seen);
    }
    assert!(different.len() > 35, "the scripts differ");
}

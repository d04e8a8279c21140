//! The contract, and what tests of others rely on.

use super::*;

#[test]
fn keeps_the_contract() {
    crate::contract::check(&|| Arc::new(MemoryLog::new()));
}

fn record(text: &'static str) -> Record {
    Record {
        key: bytes::Bytes::new(),
        value: Some(bytes::Bytes::from_static(text.as_bytes())),
        time_ms: 0,
    }
}

#[test]
fn a_power_cut_loses_appends_that_no_commit_made_durable() {
    let log = MemoryLog::new();
    let to = Partition::commands(crate::GroupId(0));
    log.append(to, record("kept")).expect("an append");
    let mut writer = log
        .open_writer(&WriterId("w".to_owned()))
        .expect("a writer");
    let records = vec![(to, record("committed"))];
    writer
        .commit(Transaction { records }, Box::new(|_| ()))
        .expect("a commit");
    log.append(to, record("lost")).expect("an append");
    assert_eq!(log.power_cut(), 1);
    assert_eq!(log.records(to).len(), 2);
}

#[test]
fn what_is_held_back_or_dropped_is_not_passed_over() {
    let log = MemoryLog::new();
    let partition = Partition::commands(crate::GroupId(0));
    log.append(partition, record("seen")).expect("an append");
    log.hold_back(partition);
    log.append(partition, record("later")).expect("an append");
    let mut reader = log
        .open_reader(partition, Position::START)
        .expect("a reader");
    assert_eq!(reader.poll(9, 99).expect("a poll").len(), 1);
    assert_eq!(
        log.backlog(partition, Position::START),
        Some(Backlog {
            records: 1,
            bytes: 4
        })
    );
    assert!(log.let_through(partition));
    let last = log.records(partition)[1].0;
    log.trim(partition, last);
    let polled = reader.poll(9, 99);
    assert!(
        matches!(polled, Err(WalError::Truncated { .. })),
        "{polled:?}"
    );
}

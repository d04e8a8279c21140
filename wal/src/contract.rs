//! The contract that every log keeps, as tests to run on each. Every check gets a fresh, empty log.
#![allow(clippy::panic, reason = "checks of a test suite")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    Append, AppendError, GroupId, Log, Outcome, Partition, Position, Record, Transaction, WalError,
    Writer, WriterId,
};

/// How long a log may take to show what it acknowledged.
const PATIENCE: Duration = Duration::from_secs(10);

fn record(text: &str) -> Record {
    Record {
        key: Bytes::from(format!("key of {text}")),
        value: Some(Bytes::from(text.to_owned())),
        time_ms: 7,
    }
}

fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

fn writer(log: &dyn Log, id: &str) -> Box<dyn Writer> {
    log.open_writer(&WriterId(id.to_owned())).expect("a writer")
}

fn start(writer: &mut dyn Writer, records: Vec<(Partition, Record)>) -> mpsc::Receiver<Outcome> {
    let (sender, receiver) = mpsc::channel();
    let on_commit = Box::new(move |outcome| {
        let _ = sender.send(outcome);
    });
    writer
        .commit(Transaction { records }, on_commit)
        .expect("the commit starts");
    receiver
}

fn commit(writer: &mut dyn Writer, records: Vec<(Partition, Record)>) -> Outcome {
    start(writer, records)
        .recv_timeout(PATIENCE)
        .expect("an outcome")
}

fn append(log: &dyn Log, to: Partition, text: &str) -> Option<Position> {
    match log
        .append(to, record(text))
        .expect("the append is accepted")
    {
        Append::Done(position) => Some(position),
        Append::Pending(_) => None,
    }
}

/// Reads until `count` records have come.
fn read(
    log: &dyn Log,
    partition: Partition,
    after: Position,
    count: usize,
) -> Vec<(Position, Record)> {
    let mut reader = log.open_reader(partition, after).expect("a reader");
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while records.len() < count && Instant::now() < deadline {
        records.extend(reader.poll(2, usize::MAX).expect("a poll"));
    }
    assert!(
        reader.poll(100, usize::MAX).expect("a poll").is_empty() || records.len() > count,
        "more than was written"
    );
    records
}

fn texts(records: &[(Position, Record)]) -> Vec<String> {
    records.iter().map(|(_, record)| text(record)).collect()
}

/// Runs all checks on logs that `fresh` makes.
///
/// # Panics
/// A log does not keep the contract.
pub fn check(fresh: &dyn Fn() -> Arc<dyn Log>) {
    keeps_order_and_positions(&*fresh());
    is_atomic_over_partitions(&*fresh());
    fences_earlier_writers(&*fresh());
    tells_outcomes_in_order(&*fresh());
    reads_from_any_position(&*fresh());
    trims(&*fresh());
    tells_subscribers(&*fresh());
    refuses_what_is_too_large(&*fresh());
    keeps_tombstones_and_times(&*fresh());
    keeps_partitions_apart(&*fresh());
    polls_within_limits(&*fresh());
}

/// Runs the checks that also hold where an acknowledged record is seen later than the acknowledgement.
///
/// # Panics
/// A log does not keep the contract.
pub fn check_late(fresh: &dyn Fn() -> Arc<dyn Log>) {
    keeps_order_and_positions(&*fresh());
    is_atomic_over_partitions(&*fresh());
    fences_earlier_writers(&*fresh());
    reads_from_any_position(&*fresh());
    keeps_tombstones_and_times(&*fresh());
    keeps_partitions_apart(&*fresh());
}

const CHANGES: Partition = Partition::changelog(GroupId(3));
const COMMANDS: Partition = Partition::commands(GroupId(3));

fn keeps_order_and_positions(log: &dyn Log) {
    let mut writer = writer(log, "w");
    for n in 0..20 {
        append(log, COMMANDS, &n.to_string());
        let outcome = commit(
            &mut *writer,
            vec![
                (CHANGES, record(&format!("a{n}"))),
                (CHANGES, record(&format!("b{n}"))),
            ],
        );
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
    for (partition, count) in [(COMMANDS, 20), (CHANGES, 40)] {
        let records = read(log, partition, Position::START, count);
        assert_eq!(records.len(), count);
        assert!(
            records.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "positions rise"
        );
        assert!(
            records
                .iter()
                .all(|(position, _)| *position > Position::START)
        );
    }
    assert_eq!(
        texts(&read(log, CHANGES, Position::START, 40))[..4],
        ["a0", "b0", "a1", "b1"]
    );
}

fn is_atomic_over_partitions(log: &dyn Log) {
    let mut writer = writer(log, "w");
    let others = [
        Partition::messages(GroupId(1)),
        Partition::messages(GroupId(2)),
        CHANGES,
    ];
    let records = others
        .iter()
        .map(|partition| (*partition, record("x")))
        .collect();
    let Outcome::Committed(last) = commit(&mut *writer, records) else {
        panic!("not committed")
    };
    for partition in others {
        assert_eq!(read(log, partition, Position::START, 1).len(), 1);
    }
    assert_eq!(
        read(log, CHANGES, Position::START, 1)[0].0,
        last,
        "the outcome's position is the last record's"
    );
}

fn fences_earlier_writers(log: &dyn Log) {
    let mut first = writer(log, "w");
    assert!(matches!(
        commit(&mut *first, vec![(CHANGES, record("1"))]),
        Outcome::Committed(_)
    ));
    let mut second = writer(log, "w");
    let mut other = writer(log, "other");
    assert_eq!(
        commit(&mut *first, vec![(CHANGES, record("never"))]),
        Outcome::Fenced
    );
    assert!(matches!(
        commit(&mut *second, vec![(CHANGES, record("2"))]),
        Outcome::Committed(_)
    ));
    assert_eq!(
        commit(&mut *first, vec![(CHANGES, record("never"))]),
        Outcome::Fenced,
        "for good"
    );
    assert!(matches!(
        commit(&mut *other, vec![(CHANGES, record("3"))]),
        Outcome::Committed(_)
    ));
    assert_eq!(
        texts(&read(log, CHANGES, Position::START, 3)),
        ["1", "2", "3"]
    );
}

fn tells_outcomes_in_order(log: &dyn Log) {
    let mut writer = writer(log, "w");
    let in_flight = writer.max_in_flight();
    let (sender, receiver) = mpsc::channel();
    for n in 0..in_flight {
        let sender = sender.clone();
        let on_commit = Box::new(move |outcome| {
            let _ = sender.send((n, outcome));
        });
        let records = vec![(CHANGES, record(&n.to_string()))];
        writer
            .commit(Transaction { records }, on_commit)
            .expect("the commit starts");
    }
    let mut before = Position::START;
    for n in 0..in_flight {
        let (at, outcome) = receiver.recv_timeout(PATIENCE).expect("an outcome");
        let Outcome::Committed(position) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(at, n);
        assert!(position > before);
        before = position;
    }
}

fn reads_from_any_position(log: &dyn Log) {
    let mut writer = writer(log, "w");
    for n in 0..10 {
        append(log, COMMANDS, &n.to_string());
        commit(&mut *writer, vec![(CHANGES, record(&n.to_string()))]);
    }
    for partition in [COMMANDS, CHANGES] {
        let all = read(log, partition, Position::START, 10);
        for (n, (position, _)) in all.iter().enumerate() {
            let rest = read(log, partition, *position, 9 - n);
            assert_eq!(rest, all[n + 1..], "after {n}");
        }
    }
}

fn trims(log: &dyn Log) {
    let mut writer = writer(log, "w");
    for n in 0..6 {
        append(log, COMMANDS, &n.to_string());
        commit(&mut *writer, vec![(CHANGES, record(&n.to_string()))]);
    }
    let all = read(log, COMMANDS, Position::START, 6);
    log.trim(COMMANDS, all[2].0);
    assert_eq!(
        read(log, COMMANDS, all[2].0, 3),
        all[3..],
        "what is not trimmed stays"
    );
    match log.open_reader(COMMANDS, Position::START) {
        Err(WalError::Truncated { .. }) => {}
        Ok(mut reader) => assert!(
            !reader.poll(1, 1).expect("a poll").is_empty(),
            "neither kept nor truncated"
        ),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(
        read(log, CHANGES, Position::START, 6).len(),
        6,
        "other partitions stay"
    );
}

fn tells_subscribers(log: &dyn Log) {
    let told = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel();
    let count = Arc::clone(&told);
    log.subscribe(
        COMMANDS,
        Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = sender.send(());
        }),
    );
    append(log, COMMANDS, "1");
    receiver.recv_timeout(PATIENCE).expect("told of an append");
    assert_eq!(
        texts(&read(log, COMMANDS, Position::START, 1)),
        ["1"],
        "it can be read then"
    );
    let mut writer = writer(log, "w");
    commit(
        &mut *writer,
        vec![
            (Partition::messages(GroupId(9)), record("other")),
            (COMMANDS, record("2")),
        ],
    );
    receiver
        .recv_timeout(PATIENCE)
        .expect("told of a transaction");
    assert!(told.load(Ordering::SeqCst) >= 2);
}

fn refuses_what_is_too_large(log: &dyn Log) {
    let large = |size| Record {
        key: Bytes::new(),
        value: Some(Bytes::from(vec![1; size])),
        time_ms: 0,
    };
    let result = log.append(COMMANDS, large(log.max_record_bytes() + 1));
    assert!(
        matches!(result, Err(AppendError::TooLarge { .. })),
        "{result:?}"
    );
    let mut writer = writer(log, "w");
    let part = log.max_record_bytes() / 2;
    let count = log.max_transaction_bytes() / part + 1;
    let records = (0..count).map(|_| (CHANGES, large(part))).collect();
    let result = writer.commit(
        Transaction { records },
        Box::new(|outcome| panic!("called with {outcome:?}")),
    );
    assert!(matches!(result, Err(WalError::TooLarge { .. })));
    assert!(
        matches!(
            commit(&mut *writer, vec![(CHANGES, record("next"))]),
            Outcome::Committed(_)
        ),
        "it goes on"
    );
    assert_eq!(texts(&read(log, CHANGES, Position::START, 1)), ["next"]);
}

fn keeps_tombstones_and_times(log: &dyn Log) {
    let mut writer = writer(log, "w");
    let records = [
        Record {
            key: Bytes::from_static(b"k"),
            value: None,
            time_ms: i64::MIN,
        },
        Record {
            key: Bytes::from_static(b"kk"),
            value: Some(Bytes::new()),
            time_ms: i64::MAX,
        },
        Record {
            key: Bytes::new(),
            value: Some(Bytes::from_static(&[0, 255])),
            time_ms: -1,
        },
    ];
    commit(
        &mut *writer,
        records
            .iter()
            .map(|record| (CHANGES, record.clone()))
            .collect(),
    );
    let found: Vec<Record> = read(log, CHANGES, Position::START, 3)
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(found, records);
}

/// Twelve groups at once, each with commands and changes of its own, and messages to its neighbour.
fn keeps_partitions_apart(log: &dyn Log) {
    let groups = 0..12_u16;
    let rounds = 5;
    let mut writers: Vec<_> = groups
        .clone()
        .map(|group| writer(log, &format!("group.{group}")))
        .collect();
    for round in 0..rounds {
        let mut outcomes = Vec::new();
        for (group, writer) in groups.clone().zip(&mut writers) {
            let text = format!("{group}/{round}");
            append(log, Partition::commands(GroupId(group)), &text);
            let records = vec![
                (
                    Partition::messages(GroupId((group + 1) % 12)),
                    record(&text),
                ),
                (Partition::changelog(GroupId(group)), record(&text)),
            ];
            outcomes.push(start(&mut **writer, records));
        }
        for outcome in outcomes {
            let outcome = outcome.recv_timeout(PATIENCE).expect("an outcome");
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        }
    }
    for group in groups {
        let expected = |from: u16| {
            (0..rounds)
                .map(|round| format!("{from}/{round}"))
                .collect::<Vec<_>>()
        };
        let texts_of = |partition| texts(&read(log, partition, Position::START, rounds));
        assert_eq!(
            texts_of(Partition::commands(GroupId(group))),
            expected(group)
        );
        assert_eq!(
            texts_of(Partition::changelog(GroupId(group))),
            expected(group)
        );
        assert_eq!(
            texts_of(Partition::messages(GroupId(group))),
            expected((group + 11) % 12)
        );
    }
    assert!(read(log, Partition::commands(GroupId(12)), Position::START, 0).is_empty());
}

/// At most so many records, and about so many bytes, but at least one record.
fn polls_within_limits(log: &dyn Log) {
    let mut writer = writer(log, "w");
    let records = (0..10).map(|n| (CHANGES, record(&n.to_string()))).collect();
    commit(&mut *writer, records);
    assert_eq!(read(log, CHANGES, Position::START, 10).len(), 10);
    let mut reader = log.open_reader(CHANGES, Position::START).expect("a reader");
    let mut found = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while found.len() < 10 && Instant::now() < deadline {
        let (max_records, max_bytes) = if found.len() < 4 {
            (100, 1)
        } else {
            (3, usize::MAX)
        };
        let records = reader.poll(max_records, max_bytes).expect("a poll");
        assert!(records.len() <= if max_bytes == 1 { 1 } else { 3 });
        found.extend(records);
    }
    assert_eq!(found, read(log, CHANGES, Position::START, 10));
}

//! What is written and read: transactions like those of a state machine, rows that share the beginnings of their keys.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ironhorse_wal::embedded::EmbeddedLog;
use ironhorse_wal::{GroupId, Log, Outcome, Partition, Position, Record, Transaction, WriterId};

pub(crate) const GROUPS: u16 = 12;
/// Records of a transaction: rows, and the commit record.
pub(crate) const RECORDS: u64 = 9;
const APPENDS: u64 = 100;

/// Half text that repeats, half bytes that do not, as in rows.
fn value(n: u64, len: usize) -> Bytes {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|at| {
            if at % 16 < 10 {
                b"a row's text, which repeats"[at % 27]
            } else {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            }
        })
        .collect()
}

/// The `n`th transaction of a group.
pub(crate) fn transaction(group: u16, n: u64) -> Vec<(Partition, Record)> {
    let to = Partition::changelog(GroupId(group));
    (0..RECORDS)
        .map(|row| {
            let record = Record {
                key: Bytes::from(format!("tenant/run-{:012}/row/{row}", n * 7919)),
                value: Some(value(n * RECORDS + row, 120)),
                time_ms: 1_764_000_000_000 + n as i64,
            };
            (to, record)
        })
        .collect()
}

/// Commits from threads of their own.
pub(crate) struct Committer;

impl Committer {
    /// Time for `count` transactions by `writers` writers, each with `in_flight` under way.
    pub(crate) fn run(
        log: &Arc<EmbeddedLog>,
        writers: u16,
        in_flight: usize,
        count: u64,
    ) -> Duration {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for group in 0..writers {
                let mine = count / u64::from(writers)
                    + u64::from(u64::from(group) < count % u64::from(writers));
                scope.spawn(move || Committer::commit(log, group, in_flight, mine));
            }
        });
        start.elapsed()
    }

    fn commit(log: &EmbeddedLog, group: u16, in_flight: usize, count: u64) {
        let mut writer = log
            .open_writer(&WriterId(format!("group.{group}")))
            .unwrap();
        let (sender, outcomes) = mpsc::channel();
        let mut told = 0;
        for n in 0..count {
            while n - told >= in_flight as u64 {
                assert!(matches!(outcomes.recv().unwrap(), Outcome::Committed(_)));
                told += 1;
            }
            let records = transaction(group, n);
            let sender = sender.clone();
            let on_commit = Box::new(move |outcome| sender.send(outcome).unwrap());
            writer.commit(Transaction { records }, on_commit).unwrap();
        }
        while told < count {
            assert!(matches!(outcomes.recv().unwrap(), Outcome::Committed(_)));
            told += 1;
        }
        let last = outcomes.try_recv();
        assert!(last.is_err());
    }
}

pub(crate) fn command(n: u64) -> Record {
    Record {
        key: Bytes::new(),
        value: Some(value(n, 200)),
        time_ms: 1_764_000_000_000 + n as i64,
    }
}

/// Time for `count` plain appends, all of them durable at the end.
pub(crate) fn append_all(log: &EmbeddedLog, count: u64) -> Duration {
    let mut writer = log.open_writer(&WriterId("group.0".to_owned())).unwrap();
    let to = Partition::commands(GroupId(0));
    let start = Instant::now();
    let (sender, outcomes) = mpsc::channel();
    let mut expected = 0;
    for n in 0..count {
        let appended = log.append(to, command(n)).unwrap();
        if n % APPENDS == APPENDS - 1 || n + 1 == count {
            let sender = sender.clone();
            let records = transaction(0, n);
            let on_commit = Box::new(move |outcome| sender.send(outcome).unwrap());
            writer.commit(Transaction { records }, on_commit).unwrap();
            expected += 1;
            if let ironhorse_wal::Append::Done(position) = appended {
                log.trim(to, position);
            }
            if expected > 4 {
                outcomes.recv().unwrap();
                expected -= 1;
            }
        }
    }
    for _ in 0..expected {
        assert!(matches!(outcomes.recv().unwrap(), Outcome::Committed(_)));
    }
    start.elapsed()
}

/// Reads a whole partition; returns how many records it has.
pub(crate) fn read_all(log: &dyn Log, partition: Partition) -> u64 {
    let mut reader = log.open_reader(partition, Position::START).unwrap();
    let mut count = 0;
    loop {
        let records = reader.poll(4096, 4 << 20).unwrap();
        if records.is_empty() {
            return count;
        }
        count += records.len() as u64;
    }
}

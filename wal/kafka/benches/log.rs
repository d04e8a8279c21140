//! What the log costs on one real broker, beside nothing: the bare path of a command.
//!
//! `cargo bench -p ironhorse-wal-kafka --bench log`; figures in `docs/performance.md`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench"
)]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ironhorse_wal_kafka::{KafkaLog, Options, testing};
use wal::{GroupId, Log, Outcome, Partition, Position, Record, Transaction, Writer, WriterId};

const COMMANDS: Partition = Partition::commands(GroupId(0));
const CHANGES: Partition = Partition::changelog(GroupId(0));
const MESSAGES: Partition = Partition::messages(GroupId(1));
const SAMPLES: usize = 300;

fn record(key: usize, size: usize) -> Record {
    Record {
        key: Bytes::from(format!("{key:024}")),
        value: Some(Bytes::from(vec![b'v'; size])),
        time_ms: 0,
    }
}

fn commit(writer: &mut dyn Writer, records: Vec<(Partition, Record)>) {
    let (sender, receiver) = mpsc::channel();
    let told = Box::new(move |outcome| sender.send(outcome).unwrap());
    writer.commit(Transaction { records }, told).unwrap();
    let outcome = receiver.recv().unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
}

fn main() {
    let Some(bootstrap) = testing::shared() else {
        return;
    };
    for alternate in [false, true] {
        println!(
            "{} a writer",
            if alternate {
                "two transactional ids"
            } else {
                "one transactional id"
            }
        );
        let mut options = Options {
            alternate,
            ..testing::options(&bootstrap, 2, 1)
        };
        options
            .properties
            .insert("debug".to_owned(), "eos".to_owned());
        let log = KafkaLog::open(options).unwrap();
        if !alternate {
            append_and_read(&log);
        }
        let mut writer = log.open_writer(&WriterId("w".to_owned())).unwrap();
        for _ in 0..50 {
            commit(&mut *writer, vec![(CHANGES, record(0, 100))]);
        }
        small(&log, &mut *writer, Duration::ZERO);
        small(&log, &mut *writer, Duration::from_millis(30));
        batches(&mut *writer);
    }
}

/// What a command waits for before it can be executed.
fn append_and_read(log: &KafkaLog) {
    let mut reader = log.open_reader(COMMANDS, Position::START).unwrap();
    let (sender, told) = mpsc::channel();
    log.subscribe(
        COMMANDS,
        std::sync::Arc::new(move || {
            // Nobody listens at the end.
            let _ = sender.send(());
        }),
    );
    let mut times = Vec::new();
    for n in 0..SAMPLES {
        let start = Instant::now();
        log.append(COMMANDS, record(n, 200)).unwrap();
        while reader.poll(10, usize::MAX).unwrap().is_empty() {
            // It may have been told before.
            let _ = told.recv_timeout(Duration::from_millis(100));
        }
        times.push(start.elapsed());
    }
    report("  append, read back", times);
}

/// 1 KB over two partitions, one after the other with `pause` in between.
fn small(log: &KafkaLog, writer: &mut dyn Writer, pause: Duration) {
    let (before, mut times) = (log.concurrent_transactions(), Vec::new());
    for n in 0..SAMPLES {
        std::thread::sleep(pause);
        let records = vec![
            (CHANGES, record(n, 400)),
            (MESSAGES, record(n, 300)),
            (CHANGES, record(n, 200)),
        ];
        let start = Instant::now();
        commit(writer, records);
        times.push(start.elapsed());
    }
    let waited = log.concurrent_transactions() - before;
    report(
        &format!("  1 KB over two partitions, {pause:?} apart"),
        times,
    );
    println!("    CONCURRENT_TRANSACTIONS: {waited} times in {SAMPLES}");
}

/// Batches of 1,000 records of 150 bytes.
fn batches(writer: &mut dyn Writer) {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(5) {
        let records = (0..1000).map(|n| (CHANGES, record(n, 126))).collect();
        commit(writer, records);
        count += 1000;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    println!("  batches of 1,000 records of 150 bytes: {rate:.0} records/s");
}

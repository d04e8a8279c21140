//! What the log costs, beside what one would write by hand: a file, `write`, `fdatasync`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod by_hand;
mod compression;
mod null_disk;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ironhorse_wal::embedded::{EmbeddedLog, Options};
use ironhorse_wal::{GroupId, Log, Partition, Position};

use by_hand::ByHand;
use null_disk::NullDisk;
use work::{Committer, GROUPS, read_all, transaction};

/// Transactions in the log that is read and reopened.
const FILLED: u64 = 24_000;

fn open(dir: &std::path::Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(dir, Options::default()).unwrap()
}

/// CPU time of the whole process meanwhile: tells more than the clock on a machine that does other things too.
fn cpu_time<T>(work: impl FnOnce() -> T) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let start = now();
    work();
    now().saturating_sub(start)
}

/// Transactions of one writer, one at a time and four at once, and of twelve writers.
fn commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    for (name, writers, in_flight) in [
        ("1 writer, 1 in flight", 1, 1),
        ("12 writers, 4 in flight each", 12, 4),
    ] {
        group.bench_function(format!("log, {name}"), |b| {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path());
            b.iter_custom(|iters| Committer::run(&log, writers, in_flight, iters));
        });
        group.bench_function(format!("file and fdatasync, {name}"), |b| {
            let dir = tempfile::tempdir().unwrap();
            b.iter_custom(|iters| ByHand::create(dir.path()).commit_all(writers, iters));
        });
    }
    group.bench_function(
        "CPU of the log, no disk, 12 writers, 4 in flight each",
        |b| {
            let log = EmbeddedLog::on_disk(Box::new(NullDisk), Options::default()).unwrap();
            b.iter_custom(|iters| cpu_time(|| Committer::run(&log, 12, 4, iters)));
        },
    );
    group.finish();
}

/// Plain appends: what a front end does with a command. Every hundredth is followed by a transaction that consumes them.
fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(1));
    group.bench_function("log", |b| {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        b.iter_custom(|iters| work::append_all(&log, iters));
    });
    group.bench_function("CPU of the log, no disk", |b| {
        let log = EmbeddedLog::on_disk(Box::new(NullDisk), Options::default()).unwrap();
        b.iter_custom(|iters| cpu_time(|| work::append_all(&log, iters)));
    });
    group.bench_function("file, fdatasync for every hundredth", |b| {
        let dir = tempfile::tempdir().unwrap();
        b.iter_custom(|iters| ByHand::create(dir.path()).append_all(iters));
    });
    group.finish();
}

/// A restart: opening a log of twelve groups, then each reading its own changelog.
fn restart(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    Committer::run(&log, GROUPS, 4, FILLED);
    let written = log.bytes_written();
    log.close();
    drop(log);
    let by_hand_dir = tempfile::tempdir().unwrap();
    let mut by_hand = ByHand::create(by_hand_dir.path());
    for n in 0..FILLED {
        by_hand.append(&transaction(
            (n % u64::from(GROUPS)) as u16,
            n / u64::from(GROUPS),
        ));
    }
    let mut group = c.benchmark_group("restart");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Bytes(written));
    group.bench_function("open", |b| {
        b.iter_custom(|iters| {
            let mut time = Duration::ZERO;
            for _ in 0..iters {
                let start = Instant::now();
                let log = open(dir.path());
                time += start.elapsed();
                drop(log);
            }
            time
        });
    });
    let log = open(dir.path());
    let changelog = |group| Partition::changelog(GroupId(group));
    group.bench_function("read one of 12 partitions", |b| {
        b.iter(|| {
            assert_eq!(
                read_all(&*log, changelog(5)),
                FILLED / u64::from(GROUPS) * work::RECORDS
            );
        });
    });
    group.bench_function("read all of 12 partitions", |b| {
        b.iter(|| {
            (0..GROUPS)
                .map(|group| read_all(&*log, changelog(group)))
                .sum::<u64>()
        });
    });
    group.bench_function("look for a partition that is not there", |b| {
        b.iter(|| {
            let mut reader = log.open_reader(changelog(99), Position::START).unwrap();
            assert!(reader.poll(1, 1).unwrap().is_empty());
        });
    });
    group.bench_function("by hand: read the file, check it, keep one of 12", |b| {
        b.iter(|| assert_eq!(by_hand.read(5), FILLED / u64::from(GROUPS) * work::RECORDS));
    });
    group.finish();
}

criterion_group!(benches, commit, append, restart, compression::compression);
criterion_main!(benches);

//! The store on RocksDB and the log, beside what a user would pick instead: plain RocksDB with its own WAL, synced.
//!
//! `durable`: batches of puts, each durable before the next begins (ours: log, store and changelog; write-backs on a
//! thread of their own). `write back`: when to flush. `read`: 100-row scans and look-ups of a million rows. `replay`: what
//! a restart does, without indexes and with two a row.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark: it looks at the clock"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use index::testing::{Around, Hooks};
use index::{
    Applied, Base, Change, Family, IndexDeclaration, KeyRange, NoIndexes, Options, Schema, Store,
    StoreError, WriteBack, changelog,
};
use ironhorse_index_rocks::{RocksBase, Shared};
use mimalloc::MiMalloc;
use wal::embedded::EmbeddedLog;
use wal::{GroupId, Log, Outcome, Partition, Position, Transaction, Writer, WriterId};

/// As in the server.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const GROUP: GroupId = GroupId(0);
const VALUE: usize = 100;

/// xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// 24 bytes: one of so many.
    fn key(&mut self, of: u64) -> Bytes {
        key(self.next() % of)
    }

    /// Half of it compresses.
    fn value(&mut self) -> Bytes {
        let mut value = vec![b'v'; VALUE];
        for part in value[..VALUE / 2].chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes()[..part.len()]);
        }
        Bytes::from(value)
    }
}

fn key(number: u64) -> Bytes {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Bytes::from(format!("{mixed:016x}{:08x}", number & 0xFFFF_FFFF))
}

/// Two entries a row.
struct TwoIndexes;

impl Schema for TwoIndexes {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        [("first", 1), ("second", 2)]
            .map(|(name, byte)| IndexDeclaration {
                name,
                prefix: Bytes::copy_from_slice(&[byte]),
                version: 0,
            })
            .into()
    }

    fn is_indexed(&self, _: &[u8]) -> bool {
        true
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        for (index, part) in [&value[..8], &value[8..16]].into_iter().enumerate() {
            emit(
                Bytes::from([&[1 + index as u8], part, key].concat()),
                Bytes::new(),
            );
        }
    }
}

/// Only every so many flushes are made.
struct Seldom(AtomicU64, u64);

impl Hooks for Seldom {
    fn flush(&self, base: &dyn Base) -> Result<(), StoreError> {
        if (self.0.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.1) {
            base.flush()?;
        }
        Ok(())
    }
}

fn rocks(dir: &Path) -> Arc<RocksBase> {
    RocksBase::open(&dir.join("base"), &Shared::new(64 << 20, 64 << 20)).unwrap()
}

fn open(base: Arc<dyn Base>, schema: impl Schema, write_back_bytes: usize) -> Store {
    let options = Options {
        write_back_bytes,
        ..Options::default()
    };
    Store::open(base, Arc::new(schema), options).unwrap()
}

/// Write-backs on a thread of their own, as in the engine.
struct Background {
    work: mpsc::Sender<WriteBack>,
    done: mpsc::Receiver<WriteBack>,
    running: bool,
    thread: JoinHandle<()>,
}

impl Background {
    fn new() -> Background {
        let (work, works) = mpsc::channel::<WriteBack>();
        let (finished, done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for work in works {
                work.run().unwrap();
                finished.send(work).unwrap();
            }
        });
        Background {
            work,
            done,
            running: false,
            thread,
        }
    }

    fn look_after(&mut self, store: &mut Store) {
        if let Ok(work) = self.done.try_recv() {
            store.finish_write_back(&work);
            self.running = false;
        }
        if !self.running
            && let Some(work) = store.start_write_back(false)
        {
            self.work.send(work).unwrap();
            self.running = true;
        }
    }

    fn stop(self) {
        drop(self.work);
        self.thread.join().unwrap();
    }
}

/// Store, log and changelog.
struct Ours {
    store: Store,
    writer: Box<dyn Writer>,
    background: Background,
    log: Arc<EmbeddedLog>,
    in_flight: usize,
    outcomes: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
}

impl Ours {
    fn new(dir: &Path) -> Ours {
        let log = EmbeddedLog::open(&dir.join("log"), wal::embedded::Options::default()).unwrap();
        Ours {
            store: open(rocks(dir), NoIndexes, 8 << 20),
            writer: log.open_writer(&WriterId("bench".to_owned())).unwrap(),
            background: Background::new(),
            log,
            in_flight: 0,
            outcomes: mpsc::channel(),
        }
    }

    fn await_one(&mut self) {
        let Outcome::Committed(position) = self.outcomes.1.recv().unwrap() else {
            panic!("not committed")
        };
        let commit = Bytes::from_static(b"a commit record of a usual size");
        self.store.commit(Applied { position, commit });
        self.in_flight -= 1;
    }

    /// One batch; at most so many are under way when it returns.
    fn batch(&mut self, rows: Vec<(Bytes, Bytes)>, pipelined: usize) {
        for (key, value) in rows {
            self.store.put(Family::State, key, value).unwrap();
        }
        let sealed = self.store.seal().unwrap();
        let to = Partition::changelog(GROUP);
        let arena = self.store.arena();
        let changes = sealed.changes.iter();
        let mut records: Vec<_> = changes
            .map(|change| (to, changelog::record(change, 1, arena)))
            .collect();
        let commit = Bytes::from_static(b"a commit record of a usual size");
        records.push((to, changelog::commit_record(commit, 1)));
        let sender = self.outcomes.0.clone();
        self.writer
            .commit(
                Transaction { records },
                Box::new(move |outcome| sender.send(outcome).unwrap()),
            )
            .unwrap();
        self.in_flight += 1;
        while self.in_flight > pipelined {
            self.await_one();
        }
        self.background.look_after(&mut self.store);
    }

    fn stop(mut self) {
        while self.in_flight > 0 {
            self.await_one();
        }
        self.background.stop();
        self.log.close();
    }
}

/// With its own WAL.
fn plain(dir: &Path) -> rocksdb::DB {
    let mut table = rocksdb::BlockBasedOptions::default();
    table.set_block_cache(&rocksdb::Cache::new_lru_cache(64 << 20));
    table.set_bloom_filter(10.0, false);
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    rocksdb::DB::open(&options, dir.join("plain")).unwrap()
}

const KEYS: u64 = 1_000_000;

fn durable(c: &mut Criterion) {
    let mut group = c.benchmark_group("durable");
    group.sample_size(10);
    for rows in [1_usize, 100, 1000] {
        group.throughput(Throughput::Elements(rows as u64));
        let mut chance = Chance(7);
        let mut batch = move || -> Vec<(Bytes, Bytes)> {
            (0..rows)
                .map(|_| (chance.key(KEYS), chance.value()))
                .collect()
        };
        let dir = tempfile::tempdir().unwrap();
        let db = plain(dir.path());
        group.bench_function(BenchmarkId::new("plain RocksDB", rows), |b| {
            b.iter_custom(|times| {
                let batches: Vec<_> = (0..times).map(|_| batch()).collect();
                let start = Instant::now();
                for rows in batches {
                    let mut write = rocksdb::WriteBatch::default();
                    for (key, value) in rows {
                        write.put(key, value);
                    }
                    let mut options = rocksdb::WriteOptions::default();
                    options.set_sync(true);
                    db.write_opt(write, &options).unwrap();
                }
                start.elapsed()
            });
        });
        for (name, pipelined) in [("ours", 0), ("ours, three under way", 3)] {
            let dir = tempfile::tempdir().unwrap();
            let mut ours = Ours::new(dir.path());
            group.bench_function(BenchmarkId::new(name, rows), |b| {
                b.iter_custom(|times| {
                    let batches: Vec<_> = (0..times).map(|_| batch()).collect();
                    let start = Instant::now();
                    for rows in batches {
                        ours.batch(rows, pipelined);
                    }
                    start.elapsed()
                });
            });
            ours.stop();
        }
    }
    group.finish();
}

fn applied(position: u64) -> Applied {
    Applied {
        position: Position::from_u64(position),
        commit: Bytes::new(),
    }
}

fn write_back(c: &mut Criterion) {
    const ROWS: u64 = 200_000;
    let mut group = c.benchmark_group("write back");
    group.sample_size(10);
    group.throughput(Throughput::Elements(ROWS));
    // Bytes that gather, and write-backs a flush.
    for (name, gather, seldom) in [
        ("2 MiB, flushed each", 2, 1),
        ("2 MiB, flushed every fourth", 2, 4),
        ("8 MiB, flushed each", 8, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let base = Around {
            base: rocks(dir.path()),
            hooks: Seldom(AtomicU64::new(0), seldom),
        };
        let mut store = open(Arc::new(base), NoIndexes, gather << 20);
        let (mut chance, mut position) = (Chance(9), 0);
        let mut puts = move |store: &mut Store| {
            for _ in 0..ROWS / 100 {
                // Most writes go to rows that were written lately.
                let recent = position * 20;
                for _ in 0..100 {
                    let number = (recent + chance.next() % 20_000) % KEYS;
                    store
                        .put(Family::State, key(number), chance.value())
                        .unwrap();
                }
                store.seal().unwrap();
                position += 1;
                store.commit(applied(position));
                if let Some(work) = store.start_write_back(false) {
                    work.run().unwrap();
                    store.finish_write_back(&work);
                }
            }
        };
        group.bench_function(name, |b| b.iter(|| puts(&mut store)));
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(rocks(dir.path()), NoIndexes, 16 << 20);
    let mut chance = Chance(11);
    for batch in 0..KEYS / 1000 {
        for number in batch * 1000..(batch + 1) * 1000 {
            store
                .put(Family::State, key(number), chance.value())
                .unwrap();
        }
        store.seal().unwrap();
        store.commit(applied(batch + 1));
        if let Some(work) = store.start_write_back(false) {
            work.run().unwrap();
            store.finish_write_back(&work);
        }
    }
    let reader = store.reader();
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    group.bench_function("look-up", |b| {
        b.iter(|| {
            reader
                .get(Family::State, &chance.key(KEYS))
                .unwrap()
                .unwrap()
        });
    });
    group.bench_function("scan of 100", |b| {
        b.iter(|| {
            let range = KeyRange {
                start: std::ops::Bound::Included(chance.key(KEYS)),
                end: std::ops::Bound::Unbounded,
            };
            reader.scan(Family::State, &range, 100, false).unwrap()
        });
    });
    group.finish();
}

fn replay(c: &mut Criterion) {
    const ROWS: u64 = 100_000;
    let mut group = c.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements(ROWS));
    let run = |store: &mut Store, chance: &mut Chance, from: u64| {
        for batch in 0..ROWS / 100 {
            let changes = (0..100).map(|row| Change {
                family: Family::State,
                key: key((from + batch * 100 + row) % KEYS),
                value: Some(chance.value()),
            });
            let position = from + batch + 1;
            store.apply(changes.collect(), applied(position)).unwrap();
        }
    };
    for indexed in [false, true] {
        let name = ["no index", "two indexes"][usize::from(indexed)];
        for existing in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut chance = Chance(13);
            let base = rocks(dir.path());
            let open = || {
                let base: Arc<dyn Base> = Arc::clone(&base) as Arc<dyn Base>;
                if indexed {
                    open(base, TwoIndexes, usize::MAX)
                } else {
                    open(base, NoIndexes, usize::MAX)
                }
            };
            if existing {
                let mut store = open();
                run(&mut store, &mut chance, 0);
                store.start_write_back(true).unwrap().run().unwrap();
            }
            let rows = ["new rows", "existing rows"][usize::from(existing)];
            group.bench_function(BenchmarkId::new(name, rows), |b| {
                b.iter_batched(
                    &open,
                    |mut store| {
                        run(&mut store, &mut chance, 0);
                        store
                    },
                    criterion::BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, durable, write_back, read, replay);
criterion_main!(benches);

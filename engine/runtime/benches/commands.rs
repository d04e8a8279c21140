//! The engine alone: commands of one read and one put of 100 bytes, without an index, without gRPC.
//!
//! `group` is what a group's own thread does for a command, its commit included, the log apart: execution in batches of
//! 128, the changelog's records, the committed layer. `engine` is the whole of it: threads, the embedded log with its
//! `fdatasync`, and the callers who wait for the answers, all on the same cores.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark: it looks at the clock"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use index::{Family, GlobalStore, MemoryBase, NoIndexes, Options, Schema, Store};
use ironhorse_runtime::{
    Application, Batch, Clock, Command, Context, Engine, EngineOptions, Group, GroupSetup, Limits,
    Rejection, RequestId, Waiting,
};
use mimalloc::MiMalloc;
use tokio::task::JoinSet;
use wal::embedded::EmbeddedLog;
use wal::{GroupId, Position};

/// As in the server.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: u64 = 128;
const KEYS: u64 = 100_000;
const VALUE: usize = 100;
/// Callers that wait at once, and the fewest commands that say anything with so many.
const CALLERS: u64 = 1024;
const FEWEST: u64 = 100_000;

/// A command's payload is the key; the value grows from what was there.
struct Overwrite;

impl Application for Overwrite {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(NoIndexes)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let mut value = [0_u8; VALUE];
        if let Some(before) = context.get(Family::State, payload)? {
            value[0] = before[0].wrapping_add(1);
        }
        let (key, value) = (context.bytes(payload), context.bytes(&value));
        context.put(Family::State, key, value)?;
        Ok(Bytes::new())
    }

    fn message(&self, _: &mut Context<'_>, _: &Bytes) -> Result<(), Rejection> {
        Ok(())
    }
}

/// 24 bytes, spread over the keys.
fn key(number: u64) -> Bytes {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % KEYS;
    Bytes::from(format!("{spread:024}"))
}

fn group(count: u64) -> Duration {
    let base = Arc::new(MemoryBase::new());
    let store = Store::open(base, Arc::new(NoIndexes), Options::default()).unwrap();
    let (waiting, global) = (Arc::new(Waiting::new()), Arc::new(GlobalStore::new()));
    let app: Arc<dyn Application> = Arc::new(Overwrite);
    let limits = Limits::default();
    let mut group = Group::open(
        GroupId(0),
        app,
        store,
        waiting,
        global,
        limits,
        Position::START,
    )
    .unwrap();
    let (mut took, mut done, mut position) = (Duration::ZERO, 0, 0);
    let mut next = || {
        position += 1;
        Position::from_u64(position)
    };
    while done < count {
        let mut batch = Batch::default();
        for number in done..done + BATCH {
            let command = Command {
                request_id: RequestId(u128::from(number)),
                seen_version: Position::START,
                payload: key(number),
            };
            batch.commands.push((next(), command.into_record(1)));
        }
        done += BATCH;
        let start = Instant::now();
        group.push(batch);
        let transaction = group.step(1).unwrap().unwrap();
        let released = group.committed(next()).unwrap();
        took += start.elapsed();
        assert_eq!(released.replies.len() as u64, BATCH);
        drop((transaction, released));
        // What a thread of its own does.
        if let Some(work) = group.start_write_back(false) {
            work.run().unwrap();
            group.finish_write_back(&work);
        }
    }
    took
}

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        1
    }
}

fn engine(wanted: u64) -> Duration {
    let count = wanted.max(FEWEST);
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), wal::embedded::Options::default()).unwrap();
    let setup = |id| GroupSetup {
        id,
        app: Arc::new(Overwrite),
        base: Arc::new(MemoryBase::new()),
    };
    let engine = Engine::start(
        Arc::clone(&log) as Arc<dyn wal::Log>,
        Arc::new(Fixed),
        setup(GroupId::METADATA),
        vec![setup(GroupId(0))],
        &EngineOptions::default(),
    );
    let engine = Arc::new(engine.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let took = runtime.block_on(async {
        let mut callers = JoinSet::new();
        let start = Instant::now();
        for caller in 0..CALLERS {
            let engine = Arc::clone(&engine);
            callers.spawn(async move {
                for number in (caller..count).step_by(CALLERS as usize) {
                    let id = RequestId(u128::from(number) + 1);
                    engine.submit(GroupId(0), id, key(number)).await.unwrap();
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done.unwrap();
        }
        start.elapsed()
    });
    engine.stop();
    log.close();
    took.mul_f64(wanted as f64 / count as f64)
}

fn bench(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("one read, one put");
    benches.throughput(Throughput::Elements(1));
    benches.bench_function("group", |bencher| bencher.iter_custom(group));
    benches.bench_function("engine", |bencher| bencher.iter_custom(engine));
    benches.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(6));
    targets = bench
}
criterion_main!(benches);

//! Write-backs of a running engine: idle groups pin nothing, and a slow disk slows commands instead of filling memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use index::{Applied, Base, BaseChange, BaseScan, Family, KeyRange, MemoryBase, StoreError};
use ironhorse_runtime::{Bounds, Clock, Engine, EngineOptions, GroupSetup, Limits};
use wal::{GroupId, Log, Position};

use super::app::{Counters, Disk, submit, until};

/// A base whose flush takes a while, and that knows the largest write it got.
#[derive(Clone, Default)]
struct Slow {
    base: MemoryBase,
    largest: Arc<AtomicU64>,
}

impl Base for Slow {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.base.get(family, key)
    }

    fn scan(&self, f: Family, range: &KeyRange, reverse: bool) -> Result<BaseScan<'_>, StoreError> {
        self.base.scan(f, range, reverse)
    }

    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut count = 0;
        self.base
            .write(&mut changes.inspect(|_| count += 1), applied)?;
        self.largest.fetch_max(count, Ordering::SeqCst);
        Ok(())
    }

    fn delete_range(&self, family: Family, range: &KeyRange) -> Result<(), StoreError> {
        self.base.delete_range(family, range)
    }

    fn applied(&self) -> Result<Option<Applied>, StoreError> {
        self.base.applied()
    }

    fn durable(&self) -> Result<Option<Position>, StoreError> {
        self.base.durable()
    }

    #[allow(clippy::disallowed_methods, reason = "a disk may be slow")]
    fn flush(&self) -> Result<(), StoreError> {
        std::thread::sleep(Duration::from_millis(20));
        self.base.flush()
    }
}

fn start(disk: &Disk, bases: &[Slow; 3], bounds: Bounds) -> Engine {
    let setup = |id, base: &Slow| GroupSetup {
        id,
        app: Arc::new(Counters),
        base: Arc::new(base.clone()) as Arc<dyn Base>,
    };
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let clock: Arc<dyn Clock> = disk.clock.clone();
    let groups = vec![setup(GroupId(0), &bases[0]), setup(GroupId(1), &bases[1])];
    let limits = Limits {
        batch_inputs: 4,
        ..Limits::default()
    };
    let options = EngineOptions {
        bounds,
        limits,
        ..EngineOptions::default()
    };
    Engine::start(
        log,
        clock,
        setup(GroupId::METADATA, &bases[2]),
        groups,
        &options,
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_group_is_written_back_after_a_while() {
    let (disk, bases) = (Disk::default(), <[Slow; 3]>::default());
    let engine = start(&disk, &bases, Bounds::default());
    // One row in group 0, and through a message one in group 1.
    submit(&engine, 1, "send 1 key-a 1").await.unwrap();
    until("the message has arrived", || {
        let reader = engine.reader(GroupId(1)).unwrap();
        reader.get(Family::State, b"key-a").unwrap().is_some()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bases[0].durable().unwrap(), None);
    disk.clock.0.store(10_000, Ordering::SeqCst);
    until("both are durable", || {
        (0..2).all(|group| bases[group].durable().unwrap().is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_slows_commands_down_and_bounds_what_gathers() {
    const COMMANDS: u128 = 400;
    let (disk, bases) = (Disk::default(), <[Slow; 3]>::default());
    let bounds = Bounds {
        replay_records: 40,
        ..Bounds::default()
    };
    let engine = Arc::new(start(&disk, &bases, bounds));
    let calls: Vec<_> = (0..COMMANDS)
        .map(|n| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { submit(&engine, n, &format!("add key-{n} 1")).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // Each command changes two rows and an index entry: 1,200 in all. 40 records may gather, and then what is under way.
    let largest = bases[0].largest.load(Ordering::SeqCst);
    assert!(largest > 0, "nothing was written back");
    assert!(largest < 200, "{largest} rows gathered");
    until("what was written is durable", || {
        let applied = bases[0].applied().unwrap();
        applied.is_some_and(|applied| bases[0].durable().unwrap() == Some(applied.position))
    })
    .await;
}

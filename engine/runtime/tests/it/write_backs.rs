//! Write-backs of a running engine: idle groups pin nothing, and a slow disk slows commands instead of filling memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use index::testing::{Around, Hooks};
use index::{Applied, Base, BaseChange, Family, MemoryBase, StoreError};
use ironhorse_runtime::{Bounds, Clock, Engine, EngineOptions, GroupSetup, Limits};
use wal::{GroupId, Log};

use super::app::{Counters, Disk, submit, until};

/// A flush takes a while; and the largest write is known.
#[derive(Clone, Default)]
struct Slowly {
    largest: Arc<AtomicU64>,
}

type Slow = Around<MemoryBase, Slowly>;

impl Hooks for Slowly {
    fn write(
        &self,
        base: &dyn Base,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut count = 0;
        base.write(&mut changes.inspect(|_| count += 1), applied)?;
        self.largest.fetch_max(count, Ordering::SeqCst);
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "a disk may be slow")]
    fn flush(&self, base: &dyn Base) -> Result<(), StoreError> {
        std::thread::sleep(Duration::from_millis(20));
        base.flush()
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
    let largest = bases[0].hooks.largest.load(Ordering::SeqCst);
    assert!(largest > 0, "nothing was written back");
    assert!(largest < 200, "{largest} rows gathered");
    until("what was written is durable", || {
        let applied = bases[0].applied().unwrap();
        applied.is_some_and(|applied| bases[0].durable().unwrap() == Some(applied.position))
    })
    .await;
}

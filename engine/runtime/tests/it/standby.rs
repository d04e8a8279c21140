//! Standbys: they follow, show how far they are, take over without replaying more than their lag, and begin from a shipped
//! checkpoint.

use std::sync::Arc;
use std::time::Duration;

use index::{
    Base, Checkpoints, Family, Gathered, KeyRange, Load, MemoryBase, MemorySink, NoIndexes,
    Options, Shipment,
};
use ironhorse_runtime::{
    Application, Bounds, Clock, Engine, EngineError, EngineOptions, GroupSetup, Health, Scheduler,
    Standby, StandbyDriver,
};
use wal::{Log, Partition};

use super::app::{Basket, Counters, Disk, GROUP, counter, submit, until, wait};

fn standby(disk: &Disk, base: &Arc<dyn Base>) -> Result<Standby, EngineError> {
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let options = Options {
        write_back_bytes: 2_000,
        ..Options::default()
    };
    Standby::open(GROUP, log, Arc::clone(base), Counters.schema(), options)
}

fn empty() -> Arc<dyn Base> {
    Arc::new(MemoryBase::new())
}

/// All rows of both, family by family.
fn same_rows(one: &index::ReadHandle, other: &index::ReadHandle) {
    for family in Family::ALL {
        let rows = |reader: &index::ReadHandle| {
            reader
                .scan(family, &KeyRange::prefix(b""), usize::MAX, false)
                .unwrap()
        };
        assert_eq!(rows(one), rows(other), "{family:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_without_replaying_more_than_its_lag() {
    let disk = Disk::default();
    let engine = disk.start();
    let base = empty();
    let clock: Arc<dyn Clock> = disk.clock.clone();
    // Another process, with bounds of its own.
    let scheduler = Arc::new(Scheduler::new(Bounds::default()));
    let follower = standby(&disk, &base).unwrap();
    let driver = StandbyDriver::start(follower, &disk.log, clock, scheduler).unwrap();
    for n in 0..60 {
        submit(&engine, n, &format!("add key-{} 1", n % 5))
            .await
            .unwrap();
    }
    // And the owner's first batch, which is empty.
    until("the standby has applied everything", || {
        driver.progress().applied.batches == 61
            && driver.progress().lag.is_some_and(|lag| lag.records == 0)
    })
    .await;
    assert_eq!(driver.progress().catch_up, Some(Duration::ZERO));
    assert!(
        base.applied().unwrap().is_some(),
        "it writes back to its own base"
    );
    let standby = driver.stop().unwrap();
    same_rows(&standby.reader(), engine.reader(GROUP).unwrap());
    // Three commands that the standby has not read when it takes over.
    for n in 100..103 {
        submit(&engine, n, "add key-0 1").await.unwrap();
    }
    let lag = standby.progress().lag.unwrap();
    assert!(lag.records >= 3 && lag.bytes > 0, "{lag:?}");
    let owned = standby.take_over().unwrap().run().unwrap();
    assert_eq!(owned.replayed.batches, 3, "no more than the lag");
    let mut heir = heir(&disk);
    heir.adopt(owned, Arc::new(Counters), &EngineOptions::default())
        .unwrap();
    // A repeat meets its own effect at the new owner, and the old one can commit nothing more.
    assert_eq!(submit(&heir, 100, "add key-0 1").await.unwrap(), "13");
    assert_eq!(submit(&heir, 200, "add key-0 1").await.unwrap(), "16");
    until("the old owner finds itself fenced", || {
        engine
            .health()
            .iter()
            .any(|(id, health)| *id == GROUP && matches!(health, Health::Failed(_)))
    })
    .await;
    assert_eq!(counter(&heir, "key-0"), Some(16));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_holds_counts_under_the_bounds_of_its_process() {
    const COMMANDS: u128 = 40;
    let disk = Disk::default();
    let engine = disk.start();
    let base = empty();
    let clock: Arc<dyn Clock> = disk.clock.clone();
    let bounds = Bounds {
        replay_records: 50,
        ..Bounds::default()
    };
    let scheduler = Arc::new(Scheduler::new(bounds));
    // Another group of that process, which holds more than all may, and writes it back.
    let other = wal::GroupId(7);
    scheduler.attach(other, Box::new(|| {}));
    let much = Load {
        writing: Gathered {
            records: 1_000,
            ..Gathered::default()
        },
        ..Load::default()
    };
    assert!(scheduler.report(other, much, 0).hold);
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let options = Options {
        write_back_bytes: usize::MAX,
        ..Options::default()
    };
    let follower = Standby::open(GROUP, log, Arc::clone(&base), Counters.schema(), options);
    let owned = Arc::clone(&scheduler);
    let driver = StandbyDriver::start(follower.unwrap(), &disk.log, clock, owned).unwrap();
    for n in 0..COMMANDS {
        submit(&engine, n, "add key-0 1").await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(driver.progress().applied.batches, 0, "it is not held");
    // There is room again: it goes on, and writes back when its own share is large, whatever the time.
    assert!(!scheduler.report(other, Load::default(), 0).hold);
    until("the standby has applied everything", || {
        driver.progress().applied.batches == 1 + COMMANDS as u64
    })
    .await;
    until("it writes back", || base.durable().unwrap().is_some()).await;
}

/// An engine on the same log with a metadata group of its own, and no group yet.
fn heir(disk: &Disk) -> Engine {
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let metadata = GroupSetup {
        id: wal::GroupId::METADATA,
        app: Arc::new(Counters),
        base: empty(),
    };
    let clock: Arc<dyn Clock> = disk.clock.clone();
    Engine::start(log, clock, metadata, Vec::new(), &EngineOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_replica_begins_from_a_shipped_checkpoint() {
    let disk = Disk::default();
    let engine = disk.start();
    for n in 0..40 {
        submit(&engine, n, &format!("add key-{} 1", n % 7))
            .await
            .unwrap();
    }
    submit(&engine, 50, "work q entry").await.unwrap();
    // Stopping writes back, and the log forgets what the base has.
    drop(engine);
    let engine = disk.start();
    submit(&engine, 60, "add key-1 1").await.unwrap();
    let refused = standby(&disk, &empty());
    let Err(EngineError::BaseTooOld { group, .. }) = refused else {
        panic!("an empty base would lack what the log has dropped");
    };
    assert_eq!(group, GROUP);
    let source = disk.bases[0].checkpoint().unwrap();
    let mut shipment = Shipment::begin(source, Box::new(MemorySink::default())).unwrap();
    let mut last = 0;
    while shipment.step(100).unwrap() {
        let (shipped, total) = shipment.progress();
        assert!(last < shipped && shipped <= total && shipped <= last + 100);
        last = shipped;
    }
    let mut replica = standby(&disk, &shipment.finish().unwrap()).unwrap();
    while replica.step(0).unwrap() {}
    same_rows(&replica.reader(), engine.reader(GROUP).unwrap());
    // The restarted owner's first batch, which is empty, and the command.
    assert_eq!(replica.progress().applied.batches, 2, "the suffix alone");
    // What is dropped under a standby is not passed over.
    submit(&engine, 61, "add key-1 1").await.unwrap();
    let end = disk.log.records(Partition::changelog(GROUP));
    disk.log
        .trim(Partition::changelog(GROUP), end.last().unwrap().0);
    assert!(matches!(
        replica.step(0),
        Err(EngineError::BaseTooOld { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_a_group_that_is_given_up_wait_for_others() {
    let disk = Disk::default();
    let engine = disk.start();
    submit(&engine, 1, "work q entry").await.unwrap();
    // Another server takes over: the entry is no longer this one's to give.
    let owned = standby(&disk, &empty()).unwrap().take_over().unwrap();
    owned.run().unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(5), submit(&engine, 2, "add key-a 1")).await;
    until("the group is given up", || {
        engine
            .health()
            .iter()
            .any(|(id, health)| *id == GROUP && matches!(health, Health::Failed(_)))
    })
    .await;
    let basket = Arc::new(Basket::default());
    wait(&engine, "q", &basket);
    assert_eq!(
        engine.waiting().count(&"q".into()),
        1,
        "the consumer was sent to a group that nobody runs here"
    );
}

#[test]
fn the_embedded_log_has_no_standbys() {
    let dir = tempfile::tempdir().unwrap();
    let options = wal::embedded::Options {
        segment_bytes: 1 << 16,
        ..wal::embedded::Options::default()
    };
    let log = wal::embedded::EmbeddedLog::open(dir.path(), options).unwrap();
    let schema = Arc::new(NoIndexes);
    let refused = Standby::open(GROUP, log, empty(), schema, Options::default());
    assert!(matches!(refused, Err(EngineError::Start(_))));
}

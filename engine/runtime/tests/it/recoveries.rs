//! A group that begins anew from what is committed: what it reads again, whom it tells, and what stops it.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use index::changelog::{self, Change};
use index::testing::{Around, Hooks};
use index::{Arena, Base, Family, MemoryBase, Options, Store, StoreError};
use ironhorse_runtime::{
    Application, Clock, Engine, EngineError, EngineOptions, GroupSetup, Health, RequestId, Standby,
    fold, writer_id,
};
use wal::memory::Ending;
use wal::{GroupId, Log, Outcome, Partition, Record, Transaction, WalError};

use super::app::{Counters, Disk, GROUP, counter, submit, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_and_not_committed_is_read_again() {
    let disk = Disk::default();
    let engine = disk.start();
    disk.log.hold_commits();
    let calls = async {
        tokio::join!(submit(&engine, 1, "add key-a 5"), async {
            until("the commit is under way", || disk.log.held() == 1).await;
            disk.log.commit_at_once();
            assert!(disk.log.release(Ending::Aborted));
        })
    };
    assert!(calls.await.0.is_err(), "the outcome is not known");
    // Nobody sends it again: it stands in the log.
    until("it is executed", || counter(&engine, "key-a") == Some(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_told_when_a_commit_may_have_happened() {
    let disk = Disk::default();
    let engine = disk.start();
    let topic = Bytes::from_static(b"topic");
    let mut subscription = engine.notices().subscribe(GROUP, topic);
    disk.log.hold_commits();
    let calls = async {
        tokio::join!(submit(&engine, 1, "add key-a 5"), async {
            until("the commit is under way", || disk.log.held() == 1).await;
            disk.log.commit_at_once();
            assert!(disk.log.release(Ending::UnknownCommitted));
        })
    };
    assert!(calls.await.0.is_err(), "the outcome is not known");
    let noticed = tokio::time::timeout(Duration::from_secs(5), subscription.noticed());
    assert_eq!(noticed.await.expect("a notice"), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_commits_are_under_way_than_the_writer_takes() {
    let disk = Disk::default();
    let most = disk
        .log
        .open_writer(&wal::WriterId("any".to_owned()))
        .unwrap()
        .max_in_flight();
    let engine = Arc::new(disk.start());
    disk.log.hold_commits();
    let mut calls = Vec::new();
    for n in 0..2 * most {
        let of = Arc::clone(&engine);
        calls.push(tokio::spawn(async move {
            submit(&of, n as u128, "add key-a 1").await
        }));
        let expected = most.min(n + 1);
        until("it is under way, or waits", || disk.log.held() >= expected).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(disk.log.held(), most);
    disk.log.commit_at_once();
    while disk.log.release(Ending::Committed) {}
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(counter(&engine, "key-a"), Some(2 * most as i64));
}

#[test]
fn a_take_over_that_another_one_fenced_is_given_up() {
    let disk = Disk::default();
    let standby = || {
        let log: Arc<dyn Log> = Arc::new(disk.log.clone());
        let base: Arc<dyn Base> = Arc::new(MemoryBase::new());
        Standby::open(GROUP, log, base, Counters.schema(), Options::default()).unwrap()
    };
    disk.log.hold_commits();
    let mut first = standby().take_over().unwrap();
    let second = standby().take_over().unwrap();
    disk.log.commit_at_once();
    // The first one's barrier, then the second one's.
    while disk.log.release(Ending::Committed) {}
    let fenced = first.step();
    assert!(
        matches!(fenced, Err(EngineError::Log(WalError::Fenced(_)))),
        "{fenced:?}"
    );
    assert_eq!(second.run().unwrap().id, GROUP);
}

#[test]
fn a_batch_without_a_commit_record_is_damage() {
    let disk = Disk::default();
    let change = Change {
        family: Family::State,
        key: Bytes::from_static(b"key"),
        value: Some(Bytes::from_static(b"value")),
    };
    let changes = Partition::changelog(GROUP);
    let half = vec![
        (
            changes,
            changelog::record(&change, 0, &mut Arena::default()),
        ),
        (changes, changelog::barrier_record()),
    ];
    commit(&disk, half);
    let base = Arc::new(MemoryBase::new());
    let mut store = Store::open(base, Counters.schema(), Options::default()).unwrap();
    let folded = fold(&disk.log, GROUP, &mut store);
    assert!(
        matches!(&folded, Err(EngineError::Store(StoreError::Corrupt(what))) if what.contains("group 0")),
        "{folded:?}"
    );
}

fn commit(disk: &Disk, records: Vec<(Partition, Record)>) {
    let mut writer = disk.log.open_writer(&writer_id(GROUP)).unwrap();
    let (sender, receiver) = mpsc::channel();
    writer
        .commit(
            Transaction { records },
            Box::new(move |outcome| sender.send(outcome).unwrap()),
        )
        .unwrap();
    assert!(matches!(receiver.recv().unwrap(), Outcome::Committed(_)));
}

/// A disk that is broken.
#[derive(Clone, Default)]
struct Broken;

impl Hooks for Broken {
    fn flush(&self, _: &dyn Base) -> Result<(), StoreError> {
        Err(StoreError::Corrupt("the disk is broken".to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_base_cannot_be_written_is_given_up() {
    let disk = Disk::default();
    let group = GroupSetup {
        id: GROUP,
        app: Arc::new(Counters),
        base: Arc::new(Around::<MemoryBase, Broken>::default()) as Arc<dyn Base>,
    };
    let metadata = GroupSetup {
        id: GroupId::METADATA,
        app: Arc::new(Counters),
        base: Arc::new(disk.bases[2].clone()) as Arc<dyn Base>,
    };
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let clock: Arc<dyn Clock> = disk.clock.clone();
    let options = EngineOptions::default();
    let engine = Engine::start(log, clock, metadata, vec![group], &options).unwrap();
    submit(&engine, 1, "add key-a 5").await.unwrap();
    // It is written back when it has rested for a while.
    disk.clock
        .0
        .store(10_000, std::sync::atomic::Ordering::SeqCst);
    until("the group says that its disk is broken", || {
        engine.health().iter().any(|(id, health)| {
            *id == GROUP
                && matches!(health, Health::Failed(why) if why.contains("the disk is broken"))
        })
    })
    .await;
    // And the log keeps what the base does not have.
    assert!(!disk.log.records(Partition::changelog(GROUP)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_are_everywhere_with_their_commit_and_after_a_restart() {
    let disk = Disk::default();
    let five = Some(Bytes::copy_from_slice(&5_i64.to_be_bytes()));
    let engine = disk.start();
    let command = Bytes::from_static(b"add key-a 5");
    engine
        .submit(GroupId::METADATA, RequestId(1), command)
        .await
        .unwrap();
    assert_eq!(engine.global().current().get(b"key-a"), five);
    drop(engine);
    let engine = disk.start();
    assert_eq!(engine.global().current().get(b"key-a"), five);
}

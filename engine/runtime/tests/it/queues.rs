//! Queues and consumers: first in, first out, each entry once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wal::memory::Ending;

use super::app::{Basket, Disk, VOID, submit, until, wait};

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_in_order_whether_the_consumer_or_the_work_is_first() {
    let disk = Disk::default();
    let engine = disk.start();
    let basket = Arc::new(Basket::default());
    wait(&engine, "q", &basket);
    submit(&engine, 1, "work q first").await.unwrap();
    until("the waiting consumer has it", || {
        basket.got.lock().len() == 1
    })
    .await;
    for (n, what) in ["second", VOID, "third", "fourth"].into_iter().enumerate() {
        submit(&engine, 10 + n as u128, &format!("work q {what}"))
            .await
            .unwrap();
    }
    for _ in 0..3 {
        let before = basket.got.lock().len();
        wait(&engine, "q", &basket);
        until("the next one comes", || {
            basket.got.lock().len() == before + 1
        })
        .await;
    }
    assert_eq!(*basket.got.lock(), ["first", "second", "third", "fourth"]);
    // Nothing is left, so a consumer waits.
    wait(&engine, "q", &basket);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(basket.got.lock().len(), 4);
    assert_eq!(engine.waiting().count(&"q".into()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_gone_gets_nothing() {
    let disk = Disk::default();
    let engine = disk.start();
    let (gone, stays) = (Arc::new(Basket::default()), Arc::new(Basket::default()));
    wait(&engine, "q", &gone);
    let withdrawn = wait(&engine, "q", &gone);
    wait(&engine, "q", &stays);
    engine.waiting().withdraw(&"q".into(), withdrawn);
    gone.closed.store(true, Ordering::SeqCst);
    submit(&engine, 1, "work q it").await.unwrap();
    until("the one that stays has it", || stays.got.lock().len() == 1).await;
    assert!(gone.got.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_entries_survive_a_restart_in_order() {
    let disk = Disk::default();
    let engine = disk.start();
    for n in 0..20 {
        submit(&engine, n, &format!("work q {n}")).await.unwrap();
    }
    drop(engine);
    let engine = disk.start();
    let basket = Arc::new(Basket::default());
    for n in 0..20 {
        wait(&engine, "q", &basket);
        until("the next one comes", || basket.got.lock().len() == n + 1).await;
    }
    let expected: Vec<String> = (0..20).map(|n: i32| n.to_string()).collect();
    assert_eq!(*basket.got.lock(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_delivered_after_its_commit_and_never_twice() {
    for truth in [Ending::UnknownCommitted, Ending::UnknownAborted] {
        let disk = Disk::default();
        let engine = disk.start();
        submit(&engine, 1, "work q it").await.unwrap();
        disk.log.hold_commits();
        let basket = Arc::new(Basket::default());
        wait(&engine, "q", &basket);
        until("the claim is under way", || disk.log.held() == 1).await;
        assert!(basket.got.lock().is_empty(), "delivered before the commit");
        disk.log.commit_at_once();
        assert!(disk.log.release(truth));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let expected: &[&str] = match truth {
            // The claim stands in the log, so it is never handed out again; a real application lets it time out.
            Ending::UnknownCommitted => &[],
            // It did not happen: the consumer, who still waits, gets it now.
            _ => &["it"],
        };
        assert_eq!(*basket.got.lock(), expected, "{truth:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_does_not_overtake_an_entry_whose_commit_is_under_way() {
    let disk = Disk::default();
    let engine = disk.start();
    disk.log.hold_commits();
    let first = submit(&engine, 1, "work q first");
    let basket = Arc::new(Basket::default());
    let second = async {
        until("the first is under way", || disk.log.held() == 1).await;
        wait(&engine, "q", &basket);
        submit(&engine, 2, "work q second").await
    };
    let release = async {
        until("both are under way", || disk.log.held() == 2).await;
        disk.log.commit_at_once();
        while disk.log.release(Ending::Committed) {}
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    first.unwrap();
    second.unwrap();
    until("the consumer has one", || basket.got.lock().len() == 1).await;
    assert_eq!(*basket.got.lock(), ["first"]);
}

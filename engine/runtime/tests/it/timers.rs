//! Timers: in order, never early, late ones after downtime, gone when cancelled.

use std::sync::atomic::Ordering;

use index::Family;
use ironhorse_runtime::Engine;

use super::app::{Disk, GROUP, submit, until};

fn fired(engine: &Engine) -> String {
    let raw = engine
        .reader(GROUP)
        .unwrap()
        .get(Family::State, b"fired")
        .unwrap()
        .unwrap_or_default();
    String::from_utf8(raw.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_fire_in_order_and_never_early() {
    let disk = Disk::default();
    disk.clock.0.store(1_000, Ordering::SeqCst);
    let engine = disk.start();
    for (n, (due, key)) in [(3_000, "c"), (1_500, "a"), (2_000, "b"), (2_500, "x")]
        .into_iter()
        .enumerate()
    {
        submit(&engine, n as u128, &format!("later {due} {key}"))
            .await
            .unwrap();
    }
    submit(&engine, 50, "cancel 2500 x").await.unwrap();
    disk.clock.0.store(1_499, Ordering::SeqCst);
    submit(&engine, 51, "add key-a 1").await.unwrap();
    assert_eq!(fired(&engine), "");
    disk.clock.0.store(2_000, Ordering::SeqCst);
    until("the due ones fire", || fired(&engine) == "a b ").await;
    disk.clock.0.store(9_000, Ordering::SeqCst);
    until("the rest fires", || fired(&engine) == "a b c ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_timers_fire_after_downtime_in_order() {
    let disk = Disk::default();
    disk.clock.0.store(1_000, Ordering::SeqCst);
    let engine = disk.start();
    for n in (0..600).rev() {
        submit(&engine, n as u128, &format!("later {} t{n:03}", 2_000 + n))
            .await
            .unwrap();
    }
    let expected: Vec<String> = (0..600).map(|n| format!("t{n:03} ")).collect();
    let expected = expected.concat();
    drop(engine);
    disk.clock.0.store(1_000_000, Ordering::SeqCst);
    let engine = disk.start();
    until("all have fired", || fired(&engine) == expected).await;
    // A time that is long past fires at once.
    submit(&engine, 10_000, "later 5 past").await.unwrap();
    until("it fires", || fired(&engine).ends_with("past ")).await;
}

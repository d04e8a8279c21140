//! What is seen when: acknowledgement after the commit, and commits that do not end well.

use std::time::Duration;

use bytes::Bytes;
use ironhorse_runtime::{RejectionCode, SubmitError};
use wal::memory::Ending;

use super::app::{Disk, GROUP, counter, submit, until};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_seen_before_its_commit() {
    let disk = Disk::default();
    let engine = disk.start();
    disk.log.hold_commits();
    let first = submit(&engine, 1, "add key-a 5");
    tokio::pin!(first);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut first)
            .await
            .is_err(),
        "answered before the commit"
    );
    until("the commit is under way", || disk.log.held() == 1).await;
    assert_eq!(
        counter(&engine, "key-a"),
        None,
        "a reader sees what is not committed"
    );
    // The next batch runs on top of the one under way.
    let second = submit(&engine, 2, "add key-a 2");
    tokio::pin!(second);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut second)
            .await
            .is_err()
    );
    assert!(disk.log.release(Ending::Committed));
    assert_eq!(first.await.unwrap(), "5");
    assert_eq!(counter(&engine, "key-a"), Some(5), "read your writes");
    assert!(disk.log.release(Ending::Committed));
    assert_eq!(second.await.unwrap(), "7");
    disk.log.commit_at_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_takes_effect_once_in_both_truths() {
    for truth in [
        Ending::UnknownCommitted,
        Ending::UnknownAborted,
        Ending::Aborted,
    ] {
        let disk = Disk::default();
        let engine = disk.start();
        disk.log.hold_commits();
        let answer = submit(&engine, 1, "add key-a 5");
        tokio::pin!(answer);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), &mut answer)
                .await
                .is_err()
        );
        until("the commit is under way", || disk.log.held() == 1).await;
        disk.log.commit_at_once();
        assert!(disk.log.release(truth));
        let answer = answer.await;
        assert!(
            matches!(answer, Err(SubmitError::Unavailable(_))),
            "{truth:?}: {answer:?}"
        );
        // Under the same id it meets its own effect, or has it now.
        assert_eq!(
            submit(&engine, 1, "add key-a 5").await.unwrap(),
            "5",
            "{truth:?}"
        );
        assert_eq!(counter(&engine, "key-a"), Some(5), "{truth:?}");
        assert_eq!(
            submit(&engine, 2, "add key-a 1").await.unwrap(),
            "6",
            "{truth:?}: the group goes on"
        );
    }
}

/// Of two batches under way the first does not end well. What becomes of the second is heard when the group has begun anew
/// with another writer: that it was fenced says nothing about this one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_of_an_earlier_writer_is_old_news() {
    let disk = Disk::default();
    let engine = disk.start();
    disk.log.hold_commits();
    let calls = async {
        tokio::join!(
            submit(&engine, 1, "add key-a 5"),
            async {
                until("the first commit is under way", || disk.log.held() == 1).await;
                submit(&engine, 2, "add key-a 2").await
            },
            async {
                until("both commits are under way", || disk.log.held() == 2).await;
                disk.log.commit_at_once();
                assert!(disk.log.release(Ending::Aborted));
            },
        )
    };
    let (first, second, ()) = calls.await;
    for answer in [first, second] {
        assert!(
            matches!(answer, Err(SubmitError::Unavailable(_))),
            "{answer:?}"
        );
    }
    while disk.log.release(Ending::Committed) {}
    for (id, command, answer) in [(1, "add key-a 5", "5"), (2, "add key-a 2", "7")] {
        // Nobody answers for a group that was given up.
        let again = tokio::time::timeout(Duration::from_secs(5), submit(&engine, id, command));
        assert_eq!(again.await.expect("an answer").unwrap(), answer);
    }
    let health = engine.health();
    assert!(
        health
            .iter()
            .all(|(_, health)| *health == ironhorse_runtime::Health::Running),
        "{health:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_group_is_given_up() {
    let disk = Disk::default();
    let engine = disk.start();
    disk.log.hold_commits();
    let answer = submit(&engine, 1, "add key-a 5");
    tokio::pin!(answer);
    assert!(
        tokio::time::timeout(Duration::from_millis(20), &mut answer)
            .await
            .is_err()
    );
    until("the commit is under way", || disk.log.held() == 1).await;
    assert!(disk.log.release(Ending::Fenced));
    assert!(matches!(answer.await, Err(SubmitError::Unavailable(_))));
    until("the group says that it failed", || {
        engine.health().iter().any(|(id, health)| {
            *id == GROUP && matches!(health, ironhorse_runtime::Health::Failed(_))
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_leaves_no_trace() {
    let disk = Disk::default();
    let engine = disk.start();
    submit(&engine, 1, "add key-a 5").await.unwrap();
    match submit(&engine, 2, "fail key-a").await {
        Err(SubmitError::Rejected(rejection)) => {
            assert_eq!(rejection.code, RejectionCode::FailedPrecondition);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(submit(&engine, 3, "add key-a 1").await.unwrap(), "6");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_survives_a_restart_that_loses_what_the_base_did_not_flush() {
    let disk = Disk::default();
    {
        let engine = disk.start();
        for n in 0..50 {
            submit(&engine, n, &format!("add key-{} 1", n % 5))
                .await
                .unwrap();
        }
        submit(&engine, 100, "send 1 key-remote 7").await.unwrap();
        // The process dies: nothing is written back in good order.
        std::mem::forget(engine);
    }
    let log = disk.log.clone();
    log.crash();
    let fresh = Disk {
        log,
        clock: disk.clock.clone(),
        ..Disk::default()
    };
    let engine = fresh.start();
    for n in 0..5 {
        assert_eq!(counter(&engine, &format!("key-{n}")), Some(10));
    }
    let remote = engine.reader(wal::GroupId(1)).unwrap();
    until("the message is executed", || {
        remote.get(index::Family::State, b"key-remote").unwrap()
            == Some(Bytes::copy_from_slice(&7_i64.to_be_bytes()))
    })
    .await;
}

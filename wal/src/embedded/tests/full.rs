//! A disk without room, and one that fails.

use std::time::Duration;

use super::*;
use crate::{Append, AppendError};

const COMMANDS: Partition = Partition::commands(GroupId(0));

fn command() -> Record {
    Record {
        key: Bytes::new(),
        value: Some(Bytes::from_static(b"command")),
        time_ms: 1,
    }
}

fn options() -> Options {
    Options {
        retry: Duration::from_millis(2),
        on_sync_error: |error| panic!("the process would end: {error}"),
        ..super::options()
    }
}

/// Appends and commits until appends are refused; returns why. A commit that is not told by then is left in `waiting`: the
/// segment may be full before the thread that makes the next one has found out that there is no room.
fn fill(log: &EmbeddedLog, n: &mut usize, waiting: &mut Vec<mpsc::Receiver<Outcome>>) -> String {
    loop {
        match log.append(COMMANDS, command()) {
            Ok(Append::Done(_)) => {
                let outcome = start(log, *n + waiting.len(), 500);
                match outcome.recv_timeout(Duration::from_millis(200)) {
                    Ok(outcome) if waiting.is_empty() => {
                        assert!(matches!(outcome, Outcome::Committed(_)));
                        *n += 1;
                    }
                    other => {
                        assert!(other.is_err(), "told out of order");
                        waiting.push(outcome);
                    }
                }
                assert!(*n < 10_000, "never full");
            }
            Err(AppendError::Unavailable(why)) => return why,
            other => panic!("{other:?}"),
        }
    }
}

fn wait_until_writable(log: &EmbeddedLog) {
    while let Err(error) = log.append(COMMANDS, command()) {
        assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// There is room for a little more; `free` makes more.
fn goes_through_a_full_disk(log: &EmbeddedLog, free: impl FnOnce()) {
    let mut n = 0;
    let mut waiting = Vec::new();
    let why = fill(log, &mut n, &mut waiting);
    let in_time = waiting.is_empty();
    assert!(
        why.contains("no room") && why.contains(".log") && why.contains("free some disk space"),
        "{why}"
    );
    // What was accepted is still committed, in what is left of the active segment; then commits wait.
    while waiting.len() < 300 {
        waiting.push(start(log, n + waiting.len(), 500));
    }
    let mut told = 0;
    while let Ok(outcome) = waiting[told].recv_timeout(Duration::from_millis(200)) {
        assert!(matches!(outcome, Outcome::Committed(_)));
        told += 1;
    }
    assert!(
        told > 10 || !in_time,
        "a reserve for what was accepted: {told}"
    );
    assert!(told < 300);
    assert!(matches!(
        log.append(COMMANDS, command()),
        Err(AppendError::Unavailable(_))
    ));
    // Reads go on.
    assert_eq!(transactions(log), (0..n + told).collect::<Vec<_>>());
    free();
    for outcome in &waiting[told..] {
        let outcome = outcome.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
    wait_until_writable(log);
    assert!(matches!(commit(log, n + 300, 10), Outcome::Committed(_)));
    assert_eq!(transactions(log), (0..=n + 300).collect::<Vec<_>>());
}

#[test]
fn without_room_for_the_next_segment_new_writes_are_refused_and_reads_go_on() {
    let disk = SimDisk::default();
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
    // Room for one more segment and some bytes, not for two.
    disk.leave_room(100 << 10);
    goes_through_a_full_disk(&log, || disk.leave_much_room());
    drop(log);
    let log = open(&disk).unwrap();
    assert!(transactions(&log).len() > 300);
}

#[test]
fn a_file_system_that_breaks_its_promise_of_room_makes_commits_wait() {
    let disk = SimDisk::default();
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
    commit(&log, 0, 10);
    disk.break_promises();
    let outcome = start(&log, 1, 10);
    assert!(outcome.recv_timeout(Duration::from_millis(50)).is_err());
    let Err(AppendError::Unavailable(why)) = log.append(COMMANDS, command()) else {
        panic!("not refused")
    };
    assert!(why.contains("no room"), "{why}");
    assert_eq!(transactions(&log), [0]);
    disk.leave_much_room();
    assert!(matches!(outcome.recv().unwrap(), Outcome::Committed(_)));
    wait_until_writable(&log);
    assert_eq!(transactions(&log), [0, 1]);
}

#[test]
fn a_log_without_room_can_be_closed_and_says_what_was_not_written() {
    let disk = SimDisk::default();
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
    disk.leave_room(0);
    // Frames of such a size leave room behind them where a small one fits.
    let outcomes: Vec<_> = (0..300).map(|n| start(&log, n, 500)).collect();
    while log.append(COMMANDS, command()).is_ok() {
        std::thread::yield_now();
    }
    // It would fit where the one before it did not, and must not be there without it.
    let small = start(&log, 300, 1);
    log.close();
    assert_eq!(small.recv().unwrap(), Outcome::Aborted);
    let outcomes: Vec<Outcome> = outcomes
        .iter()
        .map(|outcome| outcome.recv().unwrap())
        .collect();
    let committed = outcomes
        .iter()
        .take_while(|outcome| matches!(outcome, Outcome::Committed(_)))
        .count();
    assert!(
        outcomes[committed..]
            .iter()
            .all(|outcome| *outcome == Outcome::Aborted)
    );
    drop(log);
    disk.leave_much_room();
    assert_eq!(
        transactions(&open(&disk).unwrap()),
        (0..committed).collect::<Vec<_>>()
    );
}

/// On a file system of 640 KiB in memory, which only root can make.
#[test]
fn a_real_full_disk_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs"]) {
        eprintln!("SKIPPED: a tmpfs cannot be mounted here, so no real disk was filled");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let ballast = dir.path().join("ballast");
        std::fs::write(&ballast, vec![1; 400 << 10]).unwrap();
        let log = EmbeddedLog::open(dir.path(), options()).unwrap();
        goes_through_a_full_disk(&log, || std::fs::remove_file(&ballast).unwrap());
    });
    let unmounted = mount(&["umount"]);
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
    assert!(unmounted);
}

#[test]
fn after_a_failed_sync_the_next_start_reads_what_the_disk_has() {
    let disk = SimDisk::default();
    let log = EmbeddedLog::on_disk(
        Box::new(disk.clone()),
        Options {
            on_sync_error: |_| {},
            ..options()
        },
    )
    .unwrap();
    assert!(matches!(commit(&log, 0, 10), Outcome::Committed(_)));
    disk.refuse_syncs();
    assert_eq!(commit(&log, 1, 6000), Outcome::Unknown);
    disk.accept_syncs();
    // The process ends. The cache still shows the transaction, and no later sync will write it.
    let left = disk.killed();
    let log = open(&left).unwrap();
    assert_eq!(
        transactions(&log),
        [0],
        "what the disk lacks is not acted on"
    );
    assert!(matches!(commit(&log, 1, 10), Outcome::Committed(_)));
    drop(log);
    let cut = left.after_power_cut(&mut || false);
    assert_eq!(transactions(&open(&cut).unwrap()), [0, 1]);
}

#[test]
fn the_process_is_ended_once_by_a_failed_sync_and_a_failed_write() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ENDS: AtomicUsize = AtomicUsize::new(0);
    let disk = SimDisk::default();
    let log = EmbeddedLog::on_disk(
        Box::new(disk.clone()),
        Options {
            on_sync_error: |_| {
                ENDS.fetch_add(1, Ordering::SeqCst);
            },
            ..options()
        },
    )
    .unwrap();
    disk.refuse_syncs();
    assert_eq!(commit(&log, 0, 10), Outcome::Unknown);
    disk.accept_syncs();
    for n in 1..4 {
        assert_eq!(
            commit(&log, n, 10),
            Outcome::Aborted,
            "it is never tried again"
        );
    }
    assert!(matches!(
        log.append(COMMANDS, command()),
        Err(AppendError::Unavailable(_))
    ));
    log.close();
    assert_eq!(ENDS.load(Ordering::SeqCst), 1);
}

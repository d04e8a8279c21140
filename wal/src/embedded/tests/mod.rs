//! Tests of the embedded log: the contract, and what a crash may leave of its files.

mod damage;
mod full;
mod golden;
mod lifetime;
mod power_cut;
mod sim_disk;

use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;

use self::sim_disk::SimDisk;
use super::disk::Disk;
use super::{EmbeddedLog, Options};
use crate::{GroupId, Log, Outcome, Partition, Position, Record, Transaction, WalError, WriterId};

const CHANGES: Partition = Partition::changelog(GroupId(0));

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        compress_bytes: 200,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<Arc<EmbeddedLog>, WalError> {
    EmbeddedLog::on_disk(Box::new(disk.clone()), options())
}

/// Bytes that do not compress.
fn noise(n: u64) -> u8 {
    let mixed = (n ^ n >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("never: {what}");
}

/// Commits two records to one partition.
fn commit_to(log: &EmbeddedLog, to: Partition, n: i64) -> Position {
    let mut writer = log.open_writer(&WriterId("w".to_owned())).unwrap();
    let (sender, receiver) = mpsc::channel();
    let record = Record {
        key: Bytes::from(n.to_string()),
        value: Some(Bytes::from(vec![b'v'; 100])),
        time_ms: n,
    };
    let records = vec![(to, record.clone()), (to, record)];
    writer
        .commit(
            Transaction { records },
            Box::new(move |outcome| sender.send(outcome).unwrap()),
        )
        .unwrap();
    match receiver.recv().unwrap() {
        Outcome::Committed(position) => position,
        other => panic!("{other:?}"),
    }
}

fn commit(log: &EmbeddedLog, n: usize, size: usize) -> Outcome {
    start(log, n, size).recv().unwrap()
}

/// Starts to commit transaction `n`: two records of `size` bytes.
fn start(log: &EmbeddedLog, n: usize, size: usize) -> mpsc::Receiver<Outcome> {
    let mut writer = log.open_writer(&WriterId("w".to_owned())).unwrap();
    let (sender, receiver) = mpsc::channel();
    let value: Vec<u8> = (0..size)
        .map(|at| noise((n * 100_003 + at) as u64))
        .collect();
    let record = |key: String| Record {
        key: Bytes::from(key),
        value: Some(Bytes::from(value.clone())),
        time_ms: n as i64,
    };
    let records = vec![
        (CHANGES, record(format!("{n}/a"))),
        (CHANGES, record(format!("{n}/b"))),
    ];
    writer
        .commit(
            Transaction { records },
            Box::new(move |outcome| {
                // Nobody listens to those that a power cut ends.
                let _ = sender.send(outcome);
            }),
        )
        .unwrap();
    receiver
}

/// The transactions in the log: their numbers. Each must be whole.
fn transactions(log: &EmbeddedLog) -> Vec<usize> {
    let mut reader = log.open_reader(CHANGES, Position::START).unwrap();
    let mut keys = Vec::new();
    loop {
        let records = reader.poll(7, usize::MAX).unwrap();
        if records.is_empty() {
            break;
        }
        keys.extend(
            records
                .into_iter()
                .map(|(_, record)| String::from_utf8(record.key.to_vec()).unwrap()),
        );
    }
    assert_eq!(keys.len() % 2, 0, "half a transaction: {keys:?}");
    keys.chunks(2)
        .map(|pair| {
            let n = pair[0].strip_suffix("/a").unwrap();
            assert_eq!(pair[1], format!("{n}/b"));
            n.parse().unwrap()
        })
        .collect()
}

#[test]
fn keeps_the_contract() {
    crate::contract::check(&|| open(&SimDisk::default()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let made = std::cell::Cell::new(0);
    crate::contract::check(&|| {
        made.set(made.get() + 1);
        EmbeddedLog::open(&dir.path().join(made.get().to_string()), options()).unwrap()
    });
}

#[test]
fn a_directory_is_used_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), options()).unwrap();
    match EmbeddedLog::open(dir.path(), options()) {
        Err(WalError::Locked(path)) => assert!(path.contains(&dir.path().display().to_string())),
        other => panic!("{:?}", other.err()),
    }
    drop(log);
    EmbeddedLog::open(dir.path(), options()).unwrap();
}

#[test]
fn what_is_committed_is_there_after_a_restart_over_many_segments() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    for n in 0..300 {
        assert!(matches!(commit(&log, n, 500), Outcome::Committed(_)));
    }
    assert!(disk.list().unwrap().len() > 2, "it took several segments");
    // Killed, not closed.
    let log = open(&disk.copy()).unwrap();
    assert_eq!(transactions(&log), (0..300).collect::<Vec<_>>());
    commit(&log, 300, 10);
    assert_eq!(transactions(&log).last(), Some(&300));
}

#[test]
fn segments_that_nobody_needs_are_removed_and_reading_them_is_refused() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut last = Position::START;
    for n in 0..300 {
        let Outcome::Committed(position) = commit(&log, n, 500) else {
            panic!("not committed")
        };
        last = position;
    }
    log.trim(CHANGES, last);
    commit(&log, 300, 10);
    commit(&log, 301, 10);
    drop(log);
    let left = disk.list().unwrap();
    assert!(!left.contains(&super::segments::name(1)), "{left:?}");
    let log = open(&disk).unwrap();
    assert!(matches!(
        log.open_reader(CHANGES, Position::START),
        Err(WalError::Truncated { .. })
    ));
    let mut reader = log.open_reader(CHANGES, last).unwrap();
    assert_eq!(reader.poll(100, usize::MAX).unwrap().len(), 4);
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_frames_keeps_a_prefix_and_goes_on() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    for n in 0..6 {
        commit(&log, n, 40);
    }
    let whole = disk.copy();
    let bytes = whole.segment(1).contents().seen.clone();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut counts = std::collections::BTreeSet::new();
    for cut in 0..=end {
        let disk = whole.copy();
        disk.segment(1).contents().seen[cut..].fill(0);
        match open(&disk) {
            Ok(log) => {
                let found = transactions(&log);
                assert_eq!(found, (0..found.len()).collect::<Vec<_>>(), "cut at {cut}");
                counts.insert(found.len());
                if cut % 16 == 0 {
                    commit(&log, found.len(), 20);
                    drop(log);
                    let log = open(&disk).unwrap();
                    assert_eq!(
                        transactions(&log).len(),
                        found.len() + 1,
                        "cut at {cut}, then written on"
                    );
                }
            }
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        (0..=6).collect::<Vec<_>>(),
        "every prefix was met"
    );
}

#[test]
fn a_hole_is_damage_if_a_later_frame_says_that_it_was_durable() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut ends = Vec::new();
    for n in 0..4 {
        commit(&log, n, 40);
        ends.push(disk.segment(1).last_byte());
    }
    let whole = disk.copy();
    // A flipped bit in the second frame: the third says that it was durable.
    let damaged = whole.copy();
    damaged.segment(1).contents().seen[ends[0] + 60] ^= 1;
    match open(&damaged) {
        Err(WalError::Corrupt(text)) => {
            assert!(
                text.contains("0000000000000001.log") && text.contains("offset"),
                "{text}"
            );
        }
        other => panic!("{:?}", other.err()),
    }
    // In the last one: nobody says so, and it is taken for a crash's unfinished end. This is the stated limit.
    let torn = whole.copy();
    torn.segment(1).contents().seen[ends[2] + 60] ^= 1;
    assert_eq!(transactions(&open(&torn).unwrap()), [0, 1, 2]);
    // Unless the log was closed in good order: its last mark is the witness.
    drop(log);
    let closed = disk.copy();
    closed.segment(1).contents().seen[ends[2] + 60] ^= 1;
    assert!(matches!(open(&closed), Err(WalError::Corrupt(_))));
}

#[test]
fn zeros_in_place_of_durable_frames_are_damage_even_if_the_next_segment_is_ready() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut ends = Vec::new();
    while disk.list().unwrap().len() < 2 {
        commit(&log, ends.len(), 500);
        ends.push(disk.segment(1).last_byte());
    }
    let damaged = disk.killed();
    damaged.segment(1).contents().seen[ends[4] + 8..ends[9] + 8].fill(0);
    assert!(matches!(open(&damaged), Err(WalError::Corrupt(_))));
}

#[test]
fn a_log_that_is_only_opened_stays_as_long_as_it_was() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    commit(&log, 0, 500);
    log.close();
    let ends: Vec<Position> = (0..3).map(|_| open(&disk).unwrap().end()).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(transactions(&open(&disk).unwrap()), [0]);
}

#[test]
fn a_missing_segment_is_noticed() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    for n in 0..300 {
        commit(&log, n, 500);
    }
    for id in [1, 2] {
        let damaged = disk.killed();
        damaged.remove(&super::segments::name(id)).unwrap();
        match open(&damaged) {
            Err(WalError::Corrupt(text)) => {
                assert!(text.contains(&super::segments::name(id)), "{text}");
            }
            other => panic!("{:?}", other.err()),
        }
    }
}

#[test]
fn a_disk_that_cannot_sync_acknowledges_nothing() {
    let disk = SimDisk::default();
    // In production this ends the process; here the log only refuses writes.
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
    assert_eq!(commit(&log, 1, 10), Outcome::Unknown);
    assert_eq!(commit(&log, 2, 10), Outcome::Aborted);
    assert_eq!(transactions(&log), [0]);
}

//! Counters of a stored commit record that are at their end: an error that says so, and no panic.

use std::sync::Arc;

use bytes::Bytes;
use index::{Applied, Base, Family, GlobalStore, MemoryBase, Options, Store};
use ironhorse_runtime::{
    Application, Batch, Command, CommitRecord, Group, Limits, RejectionCode, RequestId, Waiting,
};
use prost::Message;
use wal::{GroupId, Position};

use super::app::Counters;

/// A group whose store has this commit record, and these rows of the `Queue` family.
fn open(commit: &CommitRecord, rows: &[(&[u8], &[u8])]) -> Group {
    let base = MemoryBase::new();
    let applied = Applied {
        position: Position::from_u64(7),
        commit: Bytes::from(commit.encode_to_vec()),
    };
    let rows: Vec<(Bytes, Bytes)> = rows
        .iter()
        .map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)))
        .collect();
    let mut changes = rows
        .iter()
        .map(|(key, value)| (Family::Queue, key, Some(value)));
    base.write(&mut changes, &applied).unwrap();
    let store = Store::open(Arc::new(base), Counters.schema(), Options::default()).unwrap();
    let (waiting, global) = (Arc::new(Waiting::new()), Arc::new(GlobalStore::new()));
    let term = Position::from_u64(commit.term);
    let app = Arc::new(Counters);
    Group::open(
        GroupId(3),
        app,
        store,
        waiting,
        global,
        Limits::default(),
        term,
    )
    .unwrap()
}

fn push(group: &mut Group, text: &'static str) {
    let command = Command {
        request_id: RequestId(1),
        seen_version: Position::START,
        payload: Bytes::from_static(text.as_bytes()),
    };
    group.push(Batch {
        commands: vec![(Position::from_u64(9), command.into_record(5))],
        ..Batch::default()
    });
}

fn record() -> CommitRecord {
    CommitRecord {
        version: 1,
        ..CommitRecord::default()
    }
}

#[test]
fn the_last_batch_is_followed_by_none() {
    let last = CommitRecord {
        batch: u64::MAX,
        ..record()
    };
    let mut group = open(&last, &[]);
    push(&mut group, "add key-a 1");
    let error = group.step(5).unwrap_err().to_string();
    assert!(
        error.contains("group 3") && error.contains("18446744073709551615"),
        "{error}"
    );
    let before = CommitRecord {
        batch: u64::MAX - 1,
        ..record()
    };
    let mut group = open(&before, &[]);
    push(&mut group, "add key-a 1");
    assert!(group.step(5).unwrap().is_some());
}

#[test]
fn a_command_that_needs_a_number_is_refused_when_there_is_none_and_others_are_not() {
    let last = CommitRecord {
        next_sequence: u64::MAX,
        ..record()
    };
    let mut group = open(&last, &[]);
    push(&mut group, "work q entry");
    push(&mut group, "add key-a 1");
    assert!(group.step(5).unwrap().is_some());
    let released = group.committed(Position::from_u64(20)).unwrap();
    let answers: Vec<_> = released.replies.into_iter().map(|(_, it)| it).collect();
    let [Err(refused), Ok(other)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(refused.code, RejectionCode::Internal);
    assert!(refused.message.contains("the next number"), "{refused}");
    assert_eq!(other, "1");
}

#[test]
fn positions_times_cursors_and_entries_at_their_ends_are_no_panic() {
    let end = CommitRecord {
        commands: u64::MAX,
        messages: u64::MAX,
        term: u64::MAX,
        clock_ms: i64::MAX,
        timer_floor_ms: i64::MAX,
        next_sequence: u64::MAX,
        ..record()
    };
    let start = CommitRecord {
        clock_ms: i64::MIN,
        timer_floor_ms: i64::MIN,
        ..record()
    };
    let queue = |first: u8| [&[first, b'q', 0, 1][..]].concat();
    let entry = [&queue(2)[..], &[0xFF; 8]].concat();
    let rows: [(&[u8], &[u8]); 2] = [
        (&queue(3), &[0xFF; 8]),
        (
            &entry,
            &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, b'x'],
        ),
    ];
    for commit in [end, start] {
        let mut group = open(&commit, &rows);
        push(&mut group, "add key-a 1");
        push(&mut group, "drop q 18446744073709551615");
        for now in [i64::MIN, 0, i64::MAX] {
            if group.step(now).unwrap().is_some() {
                group.committed(Position::from_u64(30)).unwrap();
            }
        }
    }
}

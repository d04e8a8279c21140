//! What a group restores from: changelog records, commit records, commands in their envelope.

use std::sync::Arc;

use bytes::Bytes;
use index::{Family, GlobalStore, KeyRange, MemoryBase, Options, Store, changelog as entries};
use runtime::{Batch, Command, CommitRecord, Group, Limits, Nudge, Waiting};
use wal::memory::MemoryLog;
use wal::{GroupId, Log, Partition, Position, Record, Transaction, WriterId};
use workflow::record::WorkflowSchema;
use workflow::{Settings, Workflows};

use crate::Input;
use crate::world::{check_index, waiter};

const ID: GroupId = GroupId(0);

/// Records of a changelog, one after another: what it is (bit 0: a tombstone, bit 1: not a change but a commit record),
/// key, value. They are restored; then the group runs on them: timers fire, a worker polls.
pub(crate) fn changelog(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut records = Vec::new();
    while !input.is_empty() {
        let what = input.u8();
        let key = Bytes::copy_from_slice(if what & 2 == 0 { input.part() } else { &[0] });
        let value = (what & 1 == 0).then(|| Bytes::copy_from_slice(input.part()));
        let record = Record {
            key,
            value,
            time_ms: 0,
        };
        if let Some(command) = Command::from_record(&record) {
            let again = command.clone().into_record(0);
            assert_eq!(Command::from_record(&again), Some(command));
        }
        if let (Ok(entries::Entry::Commit(commit)), true) =
            (entries::decode(&record), what & 2 != 0)
        {
            // Both are no panic.
            let _ = CommitRecord::read(&commit);
        }
        records.push((Partition::changelog(ID), record));
    }
    let log = MemoryLog::new();
    let Ok(mut writer) = log.open_writer(&WriterId("group".to_owned())) else {
        return;
    };
    if writer
        .commit(Transaction { records }, Box::new(|_| ()))
        .is_err()
    {
        return;
    }
    let base = Arc::new(MemoryBase::new());
    let Ok(mut store) = Store::open(base, Arc::new(WorkflowSchema), Options::default()) else {
        return;
    };
    if runtime::fold(&log, ID, &mut store).is_err() {
        return;
    }
    check_index(&store.reader());
    run_on(store);
}

/// Rows that no build wrote are refused or skipped.
fn run_on(store: Store) {
    let reader = store.reader();
    let waiting = Arc::new(Waiting::new());
    let group = Group::open(
        ID,
        Arc::new(Workflows::new(Settings::new(1))),
        store,
        Arc::clone(&waiting),
        Arc::new(GlobalStore::new()),
        Limits::default(),
        Position::from_u64(1),
    );
    let Ok(mut group) = group else {
        return;
    };
    let queues = reader.scan(Family::Queue, &KeyRange::prefix(&[2]), 3, false);
    for (key, _) in queues.unwrap_or_default() {
        let mut key = index::key::KeyReader::new(&key);
        if let (Ok(_), Ok(queue)) = (key.u8(), key.bytes()) {
            let claims = vec![Nudge {
                waiter: waiter(Bytes::from(queue)).0,
            }];
            group.push(Batch {
                claims,
                ..Batch::default()
            });
        }
    }
    for position in 2..5 {
        match group.step(i64::MAX / 2) {
            Ok(Some(_)) => {
                if group.committed(Position::from_u64(position)).is_err() {
                    return;
                }
            }
            Ok(None) | Err(_) => return,
        }
    }
}

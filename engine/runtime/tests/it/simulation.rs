//! A seeded scheduler drives groups as step functions: commits end in every way, the process dies at every step, and
//! each command takes effect exactly once all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use index::{Family, GlobalStore, KeyRange, MemoryBase, Options, Store, changelog};
use ironhorse_runtime::{Application, Batch, Command, Group, Limits, RequestId, Waiting};
use parking_lot::Mutex;
use wal::memory::{Ending, MemoryLog};
use wal::{GroupId, Log, Outcome, Partition, Position, Reader, Transaction, Writer, WriterId};

use super::app::Counters;

const ID: GroupId = GroupId(0);

/// xorshift64*: the tests' only source of chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

struct Owner {
    group: Group,
    writer: Box<dyn Writer>,
    commands: Box<dyn Reader>,
    messages: Box<dyn Reader>,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

fn take_over(log: &MemoryLog, base: &MemoryBase) -> Owner {
    // A new owner decides its own commits: nothing is held back from it while it takes over.
    log.commit_at_once();
    let mut store = Store::open(
        Arc::new(base.clone()),
        Counters.schema(),
        Options {
            write_back_bytes: 200,
            ..Options::default()
        },
    )
    .unwrap();
    let mut writer = log.open_writer(&WriterId("group".to_owned())).unwrap();
    let term = Arc::new(Mutex::new(Position::START));
    let told = Arc::clone(&term);
    let barrier = Transaction {
        records: vec![(Partition::changelog(ID), changelog::barrier_record())],
    };
    writer
        .commit(
            barrier,
            Box::new(move |outcome| match outcome {
                Outcome::Committed(position) => *told.lock() = position,
                other => panic!("{other:?}"),
            }),
        )
        .unwrap();
    let term = *term.lock();
    let after = store
        .applied()
        .map_or(Position::START, |applied| applied.position);
    let mut reader = log.open_reader(Partition::changelog(ID), after).unwrap();
    let mut batch = Vec::new();
    for (position, record) in reader.poll(usize::MAX, usize::MAX).unwrap() {
        match changelog::decode(&record).unwrap() {
            changelog::Entry::Change(change) => batch.push(change),
            changelog::Entry::Commit(commit) => {
                store
                    .apply(
                        std::mem::take(&mut batch),
                        index::Applied { position, commit },
                    )
                    .unwrap();
            }
            changelog::Entry::Barrier => assert!(position <= term),
        }
    }
    let group = Group::open(
        ID,
        Arc::new(Counters),
        store,
        Arc::new(Waiting::new()),
        Arc::new(GlobalStore::new()),
        Limits {
            batch_inputs: 3,
            ..Limits::default()
        },
        term,
    )
    .unwrap();
    let (commands, messages) = group.input_positions();
    log.hold_commits();
    Owner {
        writer,
        commands: log.open_reader(Partition::commands(ID), commands).unwrap(),
        messages: log.open_reader(Partition::messages(ID), messages).unwrap(),
        outcomes: Arc::default(),
        group,
    }
}

/// Runs one seed; returns the final counters.
fn run(seed: u64) -> BTreeMap<String, i64> {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let log = MemoryLog::new();
    let base = MemoryBase::new();
    let mut owner = take_over(&log, &base);
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    let mut submitted = 0_u64;
    for step in 0..400 {
        match chance.below(10) {
            0..=2 => {
                submitted += 1;
                let (key, n) = (
                    format!("key-{}", chance.below(4)),
                    chance.below(9) as i64 + 1,
                );
                let text = if chance.below(3) == 0 {
                    format!("send 0 {key} {n}")
                } else {
                    format!("add {key} {n}")
                };
                *expected.entry(key).or_default() += n;
                let command = Command {
                    request_id: RequestId(u128::from(submitted)),
                    seen_version: Position::START,
                    payload: Bytes::from(text),
                };
                log.append(Partition::commands(ID), command.into_record(step))
                    .unwrap();
            }
            3..=5 => {
                if owner.group.in_flight() < owner.writer.max_in_flight() {
                    let batch = Batch {
                        messages: owner.messages.poll(5, usize::MAX).unwrap(),
                        commands: owner.commands.poll(5, usize::MAX).unwrap(),
                        claims: Vec::new(),
                    };
                    owner.group.push(batch);
                    if let Some(transaction) = owner.group.step(step).unwrap() {
                        let outcomes = Arc::clone(&owner.outcomes);
                        owner
                            .writer
                            .commit(
                                transaction,
                                Box::new(move |outcome| outcomes.lock().push(outcome)),
                            )
                            .unwrap();
                    }
                }
            }
            6..=7 => {
                let ending = match chance.below(12) {
                    0 => Ending::Aborted,
                    1 => Ending::UnknownCommitted,
                    2 => Ending::UnknownAborted,
                    _ => Ending::Committed,
                };
                log.release(ending);
            }
            8 => {
                if let Some(work) = owner.group.start_write_back(chance.below(2) == 0) {
                    work.run().unwrap();
                    owner.group.finish_write_back(&work);
                }
            }
            _ => {
                if chance.below(6) == 0 {
                    log.crash();
                    base.crash();
                    owner = take_over(&log, &base);
                }
            }
        }
        let news = std::mem::take(&mut *owner.outcomes.lock());
        for outcome in news {
            match outcome {
                Outcome::Committed(position) => drop(owner.group.committed(position).unwrap()),
                Outcome::Aborted | Outcome::Unknown | Outcome::Fenced => {
                    owner.group.discard();
                    owner = take_over(&log, &base);
                    break;
                }
            }
        }
    }
    // All is well from now on: everything that was submitted takes effect.
    owner = take_over(&log, &base);
    log.commit_at_once();
    for step in 1_000..1_400 {
        let batch = Batch {
            messages: owner.messages.poll(5, usize::MAX).unwrap(),
            commands: owner.commands.poll(5, usize::MAX).unwrap(),
            claims: Vec::new(),
        };
        owner.group.push(batch);
        if let Some(transaction) = owner.group.step(step).unwrap() {
            let outcomes = Arc::clone(&owner.outcomes);
            owner
                .writer
                .commit(
                    transaction,
                    Box::new(move |outcome| outcomes.lock().push(outcome)),
                )
                .unwrap();
        }
        for outcome in std::mem::take(&mut *owner.outcomes.lock()) {
            match outcome {
                Outcome::Committed(position) => drop(owner.group.committed(position).unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
    let reader = owner.group.reader();
    let mut found = BTreeMap::new();
    for (key, value) in reader
        .scan(Family::State, &KeyRange::prefix(b"key-"), usize::MAX, false)
        .unwrap()
    {
        let key = String::from_utf8(key.to_vec()).unwrap();
        let value = i64::from_be_bytes(value[..].try_into().unwrap());
        found.insert(key, value);
    }
    assert_eq!(
        found, expected,
        "seed {seed}: each command takes effect exactly once"
    );
    let entries = reader
        .scan(Family::Index, &KeyRange::prefix(b""), usize::MAX, false)
        .unwrap();
    let derived: Vec<Bytes> = {
        let mut derived: Vec<Bytes> = found
            .iter()
            .map(|(key, value)| Bytes::from([&value.to_be_bytes()[..], key.as_bytes()].concat()))
            .collect();
        derived.sort();
        derived
    };
    assert_eq!(
        entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        derived,
        "seed {seed}: index = derive(primary)"
    );
    found
}

#[test]
fn each_command_takes_effect_exactly_once_whatever_happens() {
    for seed in 1..=300 {
        run(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(42), run(42));
}

//! Sees the whole log, whatever is held back, and knows what every replica must hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use imbl::OrdMap;
use index::changelog::{self, Entry};
use index::key::KeyWriter;
use index::{Applied, Change, Family, KeyRange, Schema};
use ironhorse_runtime::CommitRecord;
use wal::memory::MemoryLog;
use wal::{GroupId, Partition, Position, Record};

use super::app::{GROUPS, by_id, queue_name};
use super::counters::Counters;
use super::indexes::{self, BY_VALUE_ALONE, Indexes};
use super::model::Model;
use super::replay::{Logged, Replay};
use super::server::LIMITS;

/// First byte of the rows that are cursors of queues.
const CURSORS: u8 = 3;

type Rows = [OrdMap<Bytes, Bytes>; 3];

/// The state after one batch.
pub struct Known {
    pub position: Position,
    pub commit: Bytes,
    pub rows: Rows,
    /// What the batch changed, entries by value included.
    pub changed: Vec<(Family, Bytes)>,
}

/// What is known of one group.
pub struct History {
    id: GroupId,
    cursor: Position,
    records: Vec<Record>,
    changes: Vec<Change>,
    pub known: Vec<Known>,
    pub model: Model,
    previous: CommitRecord,
    term: Position,
    /// The newest writer was opened when the changelog ended here.
    fenced_at: Position,
    replay: Replay,
}

pub struct Oracle {
    log: MemoryLog,
    pub groups: Vec<History>,
    /// Messages sent and not consumed, by receiver.
    expected: Vec<VecDeque<Bytes>>,
    delivered: BTreeSet<u128>,
    pub visits: BTreeSet<Bytes>,
    /// Over all changelogs: the same seed gives the same.
    pub digest: u64,
}

impl History {
    fn new(id: GroupId) -> History {
        let start = Known {
            position: Position::START,
            commit: Bytes::new(),
            rows: Rows::default(),
            changed: Vec::new(),
        };
        History {
            id,
            cursor: Position::START,
            records: Vec::new(),
            changes: Vec::new(),
            known: vec![start],
            model: Model {
                group: id.0,
                ..Model::default()
            },
            previous: CommitRecord::default(),
            term: Position::START,
            fenced_at: Position::START,
            replay: Replay::new(id),
        }
    }

    pub fn last(&self) -> &Known {
        self.known.last().unwrap()
    }

    /// The batch that ends at a position. Anything else was never committed.
    pub fn at(&self, position: Position) -> (usize, &Known) {
        let place = self
            .known
            .binary_search_by_key(&position, |known| known.position)
            .unwrap_or_else(|_| panic!("group {}: nothing was committed at {position}", self.id));
        (place, &self.known[place])
    }
}

impl Oracle {
    pub fn new(log: MemoryLog) -> Oracle {
        Oracle {
            log,
            groups: (0..GROUPS).map(|n| History::new(GroupId(n))).collect(),
            expected: (0..GROUPS).map(|_| VecDeque::new()).collect(),
            delivered: BTreeSet::new(),
            visits: BTreeSet::new(),
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Somebody opens the writer of a group: no earlier writer commits from now on.
    pub fn fence(&mut self, group: usize) {
        self.groups[group].fenced_at = self.groups[group].cursor;
    }

    /// Takes in what was committed.
    pub fn sync(&mut self, counters: &mut Counters) {
        for group in 0..self.groups.len() {
            let history = &self.groups[group];
            let partition = Partition::changelog(history.id);
            let end = Position::from_u64(u64::MAX);
            for (position, record) in self.log.between(partition, history.cursor, end) {
                self.take(group, position, record, counters);
            }
        }
    }

    fn take(&mut self, group: usize, position: Position, record: Record, counters: &mut Counters) {
        let history = &mut self.groups[group];
        history.cursor = position;
        for byte in record.key.iter().chain(record.value.iter().flatten()) {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.digest ^= position.to_u64();
        match changelog::decode(&record).unwrap() {
            Entry::Change(change) => {
                history.changes.push(change);
                history.records.push(record);
            }
            Entry::Barrier => {
                assert!(history.changes.is_empty(), "half a batch");
                history.term = position;
            }
            Entry::Commit(raw) => {
                history.records.push(record);
                self.batch(group, position, raw, counters);
            }
        }
    }

    fn batch(&mut self, group: usize, position: Position, raw: Bytes, counters: &mut Counters) {
        let history = &mut self.groups[group];
        let commit = CommitRecord::read(&raw).unwrap();
        let term = Position::from_u64(commit.term);
        assert_eq!(term, history.term, "a commit of another term");
        assert!(term > history.fenced_at, "a fenced owner committed");
        assert_eq!(
            commit.batch,
            history.previous.batch + 1,
            "the batch's number"
        );
        let consumed = |partition, after, until| {
            let after = Position::from_u64(after);
            self.log
                .between(partition, after, Position::from_u64(until))
        };
        let before = &history.previous;
        let commands = consumed(
            Partition::commands(history.id),
            before.commands,
            commit.commands,
        );
        let messages = consumed(
            Partition::messages(history.id),
            before.messages,
            commit.messages,
        );
        for (records, end, start) in [
            (&commands, commit.commands, before.commands),
            (&messages, commit.messages, before.messages),
        ] {
            let last = records.last().map_or(start, |(at, _)| at.to_u64());
            assert_eq!(last, end, "an input's position is no record's");
        }
        assert!(
            commands.len() + messages.len() <= LIMITS.inputs,
            "a batch of too many inputs"
        );
        for (_, message) in &messages {
            let sent = self.expected[group].pop_front();
            assert_eq!(sent, message.value, "a message that nobody sent here next");
        }
        let plain = |records: &[(Position, Record)]| -> Vec<Record> {
            records.iter().map(|(_, record)| record.clone()).collect()
        };
        // Each timer that fires leaves a row of its own.
        let left = |change: &&Change| {
            change.family == Family::State && change.key[0] == b'f' && change.value.is_some()
        };
        let fired = history.changes.iter().filter(left).count();
        let (new_messages, new_commands) = (plain(&messages), plain(&commands));
        let effects = history
            .model
            .execute(&commit, &new_messages, &new_commands, fired);
        assert!(effects.fired <= LIMITS.timers && effects.claims <= LIMITS.claims * LIMITS.void);
        counters.add("input: commands", commands.len() as u64);
        counters.add("input: messages", effects.messages as u64);
        counters.add("input: timers fired", effects.fired as u64);
        counters.add("input: claims", effects.claims as u64);
        let refused = effects.answers.iter().filter(|(_, a)| a.is_none()).count();
        counters.add("input: commands refused", refused as u64);
        history.replay.check(&Logged {
            position,
            raw: &raw,
            commit: &commit,
            records: &history.records,
            changes: &history.changes,
            commands: &commands,
            messages: &messages,
            fired,
        });
        let known = next_state(history.last(), position, raw, &history.changes);
        check_against_model(&known, &history.model);
        history.known.push(known);
        history.previous = commit;
        history.changes.clear();
        history.records.clear();
        for (to, payload) in effects.sent {
            self.expected[usize::from(to.0)].push_back(payload);
        }
    }

    /// An answer left: it must be that of a commit.
    pub fn check_answer(&self, group: usize, id: u128, answer: &Bytes) {
        let row = self.groups[group].last().rows[Family::State.slot()].get(&by_id(b'r', id));
        assert_eq!(row, Some(answer), "an answer before its commit");
    }

    /// An entry left: it must be claimed for this consumer by a commit, and never have left before.
    pub fn check_delivery(&mut self, group: usize, id: u128, identity: &Bytes) {
        let given = self.groups[group].model.given.get(&id);
        assert_eq!(given, Some(identity), "a delivery before its commit");
        assert!(self.delivered.insert(id), "an entry was delivered twice");
        assert!(
            self.visits.insert(identity.clone()),
            "a consumer got two entries for one visit"
        );
    }

    /// Messages that were sent and not consumed yet.
    pub fn unconsumed(&self) -> usize {
        self.expected.iter().map(VecDeque::len).sum()
    }

    /// A base: at a position that was committed, with exactly the rows of then.
    pub fn check_base(&self, group: usize, base: &dyn index::Base) {
        let applied = base.applied().unwrap();
        let known = match &applied {
            Some(Applied { position, commit }) => {
                let (_, known) = self.groups[group].at(*position);
                assert_eq!(known.commit, *commit, "the base's commit record");
                known
            }
            None => &self.groups[group].known[0],
        };
        let (all, by_value) = (KeyRange::prefix(b""), KeyRange::prefix(indexes::BY_VALUE));
        for family in Family::ALL {
            let range = if family == Family::Index {
                &by_value
            } else {
                &all
            };
            let rows = base.scan(family, range, false).unwrap();
            let rows = rows.map(Result::unwrap);
            assert!(
                rows.eq(owned(&known.rows[family.slot()])),
                "the base of group {group} is not what was committed: {family:?}"
            );
        }
        indexes::check_base(base, &known.rows[Family::State.slot()]);
    }

    /// A store: it shows what was committed up to its position, and nothing else. `full`: every row; else what the latest
    /// batches and `also` speak of. `build`: what the server declares. Gives the number of the batch.
    pub fn check_store(
        &self,
        group: usize,
        reader: &index::ReadHandle,
        build: Indexes,
        full: bool,
        also: &[(Family, Bytes)],
    ) -> usize {
        let position = reader.applied_position().unwrap_or(Position::START);
        let (place, known) = self.groups[group].at(position);
        if full {
            let (all, by_value) = (KeyRange::prefix(b""), KeyRange::prefix(indexes::BY_VALUE));
            for family in Family::ALL {
                let range = if family == Family::Index {
                    &by_value
                } else {
                    &all
                };
                let rows = reader.scan(family, range, usize::MAX, false).unwrap();
                assert!(
                    rows.into_iter().eq(owned(&known.rows[family.slot()])),
                    "the store of group {group} is not what was committed: {family:?}"
                );
            }
            build.check_reader(reader, &known.rows[Family::State.slot()]);
        }
        for (family, key) in known.changed.iter().chain(also) {
            if *family == Family::State {
                let value = known.rows[Family::State.slot()].get(key);
                build.check_row(reader, key, value);
            }
            assert_eq!(
                reader.get(*family, key).unwrap().as_ref(),
                known.rows[family.slot()].get(key),
                "group {group} shows a row that is not that of its position: {family:?} {key:?}"
            );
        }
        place
    }
}

fn owned(rows: &OrdMap<Bytes, Bytes>) -> impl Iterator<Item = (Bytes, Bytes)> {
    rows.iter().map(|(key, value)| (key.clone(), value.clone()))
}

/// State = fold(log), index = derive(primary).
fn next_state(before: &Known, position: Position, commit: Bytes, changes: &[Change]) -> Known {
    let mut rows = before.rows.clone();
    let mut changed = Vec::with_capacity(changes.len());
    for change in changes {
        let key = &change.key;
        let slot = change.family.slot();
        let was = match &change.value {
            Some(value) => rows[slot].insert(key.clone(), value.clone()),
            None => rows[slot].remove(key),
        };
        changed.push((change.family, key.clone()));
        if change.family == Family::State && BY_VALUE_ALONE.is_indexed(key) {
            let mut entries = BTreeMap::new();
            if let Some(was) = was {
                BY_VALUE_ALONE.index_entries(key, &was, &mut |key, _| {
                    entries.insert(key, None);
                });
            }
            if let Some(is) = &change.value {
                BY_VALUE_ALONE.index_entries(key, is, &mut |key, value| {
                    entries.insert(key, Some(value));
                });
            }
            for (key, value) in entries {
                changed.push((Family::Index, key.clone()));
                match value {
                    Some(value) => rows[Family::Index.slot()].insert(key, value),
                    None => rows[Family::Index.slot()].remove(&key),
                };
            }
        }
    }
    Known {
        position,
        commit,
        rows,
        changed,
    }
}

/// The fold of the log against the model: the changed rows, and the number of all.
fn check_against_model(known: &Known, model: &Model) {
    let state = &known.rows[Family::State.slot()];
    let queue = &known.rows[Family::Queue.slot()];
    assert_eq!(state.len(), model.rows.len(), "rows in the model");
    let cursors = queue.range(Bytes::from_static(&[CURSORS])..).count();
    assert_eq!(
        queue.len() - cursors,
        model.queued.len() + model.timers.len(),
        "queue entries and timers in the model"
    );
    for (family, key) in &known.changed {
        match family {
            Family::State => assert_eq!(state.get(key), model.rows.get(key), "row {key:?}"),
            Family::Index => {}
            Family::Queue => {
                // docs/formats.md: timers are 1, due time with its sign flipped, owner; entries end in the sequence; a
                // cursor's value is a sequence below which its queue has no entry.
                if key[0] == CURSORS {
                    let value = queue.get(key).and_then(|value| value[..].try_into().ok());
                    let cursor = u64::from_be_bytes(value.expect("a cursor is never deleted"));
                    let passed_over = model.queued.iter().any(|(sequence, (number, ..))| {
                        let mut own = KeyWriter::new();
                        own.u8(CURSORS).bytes(&queue_name(*number));
                        own.finish() == *key && *sequence < cursor
                    });
                    assert!(!passed_over, "the cursor {key:?} passed over an entry");
                    continue;
                }
                let exists = if key[0] == 1 {
                    let due = u64::from_be_bytes(key[1..9].try_into().unwrap()) ^ (1 << 63);
                    let owner = u128::from_be_bytes(key[9..].try_into().unwrap());
                    model.timers.contains(&(due as i64, owner))
                } else {
                    let end = key[key.len() - 8..].try_into().unwrap();
                    model.queued.contains_key(&u64::from_be_bytes(end))
                };
                assert_eq!(queue.contains_key(key), exists, "queue row {key:?}");
            }
        }
    }
}

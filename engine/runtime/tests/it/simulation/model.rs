//! What a group's inputs amount to, on ordered maps, one input after the other: no batches, layers, commits or crashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use ironhorse_runtime::{Command, CommitRecord, Event};
use wal::{GroupId, Record};

use super::app::{
    BAD, BIG_ROWS, FIRED, GOOD, GROUPS, OPENING, Op, VOID, by_id, message, number, queue_name,
    short, to_number,
};

/// One group.
#[derive(Default)]
pub struct Model {
    pub group: u16,
    /// Rows of the family `State`.
    pub rows: BTreeMap<Bytes, Bytes>,
    /// Entries by sequence: queue, request id, kind.
    pub queued: BTreeMap<u64, (u8, u128, u8)>,
    /// Due time and request id.
    pub timers: BTreeSet<(i64, u128)>,
    pub clock_ms: i64,
    pub floor_ms: i64,
    pub sequence: u64,
    /// Request ids whose entry was given to a consumer, and to which one.
    pub given: BTreeMap<u128, Bytes>,
}

/// What a batch did beside changing rows.
#[derive(Default)]
pub struct Effects {
    pub sent: Vec<(GroupId, Bytes)>,
    /// Answers, in order; `None`: refused.
    pub answers: Vec<(u128, Option<Bytes>)>,
    pub messages: usize,
    pub fired: usize,
    pub claims: usize,
}

impl Model {
    /// Executes what the commit record says that the batch consumed: all of `messages` and `commands`, in order, and
    /// `fired` timers: how many of those that are due fit into a batch is a question of bytes, which this does not count.
    pub fn execute(
        &mut self,
        commit: &CommitRecord,
        messages: &[Record],
        commands: &[Record],
        fired: usize,
    ) -> Effects {
        let mut effects = Effects::default();
        let mut commands = commands.iter();
        let mut messages = messages.iter();
        let mut taken: VecDeque<Option<Bytes>> = VecDeque::new();
        for recorded in &commit.recorded {
            match recorded.event.as_ref().expect("an event of this version") {
                Event::Messages(count) => {
                    for _ in 0..*count {
                        let record = messages.next().expect("a message was made up");
                        self.clock_ms = self.clock_ms.max(record.time_ms);
                        self.message(record.value.as_ref().unwrap());
                        effects.messages += 1;
                    }
                }
                Event::Taken(who) => taken.push_back(who.consumer.clone()),
                Event::Commands(count) => {
                    for _ in 0..*count {
                        let record = commands.next().expect("a command was made up");
                        self.clock_ms = self.clock_ms.max(record.time_ms);
                        let command = Command::from_record(record).unwrap();
                        let id = command.request_id.0;
                        let op = Op::decode(&command.payload);
                        let answer = self.command(id, op, &mut taken, &mut effects);
                        effects.answers.push((id, answer));
                    }
                }
                Event::Claim(claim) => {
                    effects.claims += 1;
                    self.claim(&claim.queue, &claim.consumer);
                }
                Event::Tick(tick) => {
                    self.tick(tick.now_ms, tick.limit as usize, fired, &mut effects);
                }
                Event::Global(_) => panic!("there is no metadata here"),
            }
        }
        assert!(taken.is_empty(), "a consumer was taken by nobody");
        assert!(
            messages.next().is_none() && commands.next().is_none(),
            "an input was passed over"
        );
        assert_eq!(effects.fired, fired, "timers fired without a tick");
        assert!(
            self.timers
                .first()
                .is_none_or(|(due, _)| *due >= self.floor_ms),
            "a timer was passed over"
        );
        assert_eq!(commit.timer_floor_ms, self.floor_ms, "the timers' floor");
        assert!(commit.clock_ms >= self.clock_ms, "the clock went back");
        self.clock_ms = commit.clock_ms;
        assert_eq!(commit.next_sequence, self.sequence, "the queues' sequence");
        effects
    }

    fn balance(&self, account: u8) -> i64 {
        let row = self.rows.get(&short(b'a', &[account]));
        row.map_or(OPENING, |row| to_number(row))
    }

    fn message(&mut self, payload: &Bytes) {
        let value = self.balance(payload[0]) + i64::from(payload[1]);
        self.rows.insert(short(b'a', &[payload[0]]), number(value));
    }

    fn take(&self, queue: u8, taken: &mut VecDeque<Option<Bytes>>) -> Option<Bytes> {
        let who = taken.pop_front().expect("a consumer that was not recorded");
        if who.is_some() {
            assert!(
                !self.queued.values().any(|(other, ..)| *other == queue),
                "work overtook an entry of the queue"
            );
        }
        who
    }

    fn command(
        &mut self,
        id: u128,
        op: Op,
        taken: &mut VecDeque<Option<Bytes>>,
        effects: &mut Effects,
    ) -> Option<Bytes> {
        if let Some(answer) = self.rows.get(&by_id(b'r', id)) {
            return Some(answer.clone());
        }
        let answer = match op {
            Op::Pay {
                to,
                from,
                account,
                amount,
            } => {
                let left = self.balance(from) - i64::from(amount);
                if left < 0 {
                    return None;
                }
                self.rows.insert(short(b'a', &[from]), number(left));
                effects
                    .sent
                    .push((GroupId(to), message(account, amount, id)));
                number(left)
            }
            Op::Work { queue, kind } => {
                let who = if kind == GOOD {
                    self.take(queue, taken)
                } else {
                    None
                };
                if let Some(who) = who {
                    self.rows.insert(by_id(b'c', id), Bytes::new());
                    self.give(id, who);
                    Bytes::from_static(b"given")
                } else {
                    let row = [&[queue][..], &self.sequence.to_be_bytes()].concat();
                    self.rows.insert(by_id(b'w', id), Bytes::from(row));
                    self.queued.insert(self.sequence, (queue, id, kind));
                    self.sequence += 1;
                    Bytes::from_static(b"queued")
                }
            }
            Op::Refuse { queue } => {
                self.take(queue, taken);
                return None;
            }
            Op::Drop { victim } => {
                self.take(0, taken);
                match self.rows.remove(&by_id(b'w', victim)) {
                    Some(row) => {
                        let sequence = u64::from_be_bytes(row[1..].try_into().unwrap());
                        self.queued.remove(&sequence);
                        Bytes::from_static(b"dropped")
                    }
                    None => Bytes::from_static(b"not there"),
                }
            }
            Op::Later { ms } => {
                let due = (self.clock_ms + i64::from(ms)).max(self.floor_ms);
                self.timers.insert((due, id));
                self.rows.insert(by_id(b't', id), number(due));
                number(due)
            }
            Op::Cancel { victim } => match self.rows.remove(&by_id(b't', victim)) {
                Some(due) => {
                    self.timers.remove(&(to_number(&due), victim));
                    Bytes::from_static(b"cancelled")
                }
                None => Bytes::from_static(b"not there"),
            },
            Op::Temp { key } => {
                let key = short(b'x', &[key]);
                if self.rows.remove(&key).is_some() {
                    Bytes::from_static(b"gone")
                } else {
                    self.rows.insert(key, number(id as i64));
                    Bytes::from_static(b"made")
                }
            }
            Op::Big { key } => {
                for part in 0..BIG_ROWS {
                    let value = Bytes::from(vec![id as u8; 40]);
                    self.rows.insert(short(b'b', &[key, part]), value);
                }
                Bytes::from_static(b"big")
            }
        };
        self.rows.insert(by_id(b'r', id), answer.clone());
        Some(answer)
    }

    fn give(&mut self, id: u128, who: Bytes) {
        let before = self.given.insert(id, who);
        assert_eq!(before, None, "an entry was given twice");
    }

    /// The oldest entry of the queue goes.
    fn claim(&mut self, queue: &Bytes, who: &Bytes) {
        let first = self
            .queued
            .iter()
            .find(|(_, (number, ..))| queue_name(*number) == *queue)
            .map(|(sequence, _)| *sequence);
        let sequence = first.expect("a claim from an empty queue");
        let (_, id, kind) = self.queued.remove(&sequence).unwrap();
        if kind != BAD {
            self.rows.remove(&by_id(b'w', id));
        }
        if kind != BAD && kind != VOID {
            self.rows.insert(by_id(b'c', id), Bytes::new());
            self.give(id, who.clone());
        }
    }

    fn tick(&mut self, now_ms: i64, limit: usize, fired: usize, effects: &mut Effects) {
        let mut due: Vec<(i64, u128)> = self
            .timers
            .iter()
            .take_while(|(due, _)| *due <= now_ms)
            .take(limit)
            .copied()
            .collect();
        let full = due.len() == limit || fired < due.len();
        if !due.is_empty() {
            assert!(
                (1..=due.len()).contains(&fired),
                "{fired} timers of {due:?}"
            );
            // A look in vain moves no clock.
            self.clock_ms = self.clock_ms.max(now_ms);
            due.truncate(fired);
        }
        for (due_ms, id) in &due {
            self.timers.remove(&(*due_ms, *id));
            self.rows.remove(&by_id(b't', *id));
            self.rows.insert(by_id(b'f', *id), number(*due_ms));
            let next = GroupId((self.group + 1) % GROUPS);
            effects.sent.push((next, message(FIRED, 1, *id)));
        }
        effects.fired = due.len();
        let floor_ms = match due.last() {
            Some((last, _)) if full => *last,
            _ => now_ms,
        };
        assert!(floor_ms >= self.floor_ms, "the floor sank");
        self.floor_ms = floor_ms;
    }
}

//! Clients: each command has an id of its own, is sent again when the answer fails to come, and now and then when it came.

use std::collections::BTreeSet;

use bytes::Bytes;
use ironhorse_runtime::{Command, RequestId};
use wal::memory::MemoryLog;
use wal::{GroupId, Log, Partition, Position, Record};

use super::app::{GOOD, GROUPS, Op};
use super::chance::Chance;
use super::counters::Counters;

pub struct Request {
    pub group: usize,
    op: Op,
    pub answer: Option<Bytes>,
    pub refused: bool,
}

#[derive(Default)]
pub struct Clients {
    /// By request id, from 1.
    pub requests: Vec<Request>,
    /// On their way through the network.
    delayed: Vec<(usize, Record)>,
    unanswered: BTreeSet<u128>,
}

impl Clients {
    fn record(&self, id: u128, now_ms: i64) -> (usize, Record) {
        let request = &self.requests[id as usize - 1];
        let command = Command {
            request_id: RequestId(id),
            seen_version: Position::START,
            payload: request.op.encode(),
        };
        (request.group, command.into_record(now_ms))
    }

    fn send(
        &mut self,
        id: u128,
        log: &MemoryLog,
        chance: &mut Chance,
        counters: &mut Counters,
        now_ms: i64,
    ) {
        let (group, record) = self.record(id, now_ms);
        if chance.one_in(8) {
            counters.hit("network: delayed");
            self.delayed.push((group, record));
        } else {
            append(log, group, record);
        }
    }

    /// A new command.
    pub fn submit(
        &mut self,
        log: &MemoryLog,
        chance: &mut Chance,
        counters: &mut Counters,
        now_ms: i64,
    ) {
        let group = chance.below(u64::from(GROUPS)) as usize;
        let known = self.requests.len() as u64;
        let recent = |chance: &mut Chance| u128::from(known.saturating_sub(chance.below(40)));
        let small = |chance: &mut Chance, n| chance.below(n) as u8;
        let op = match chance.below(20) {
            0..=5 => Op::Pay {
                to: chance.below(u64::from(GROUPS)) as u16,
                from: small(chance, 4),
                account: small(chance, 4),
                amount: small(chance, 60),
            },
            6..=9 => Op::Work {
                queue: small(chance, 2),
                kind: if chance.one_in(5) {
                    1 + small(chance, 2)
                } else {
                    GOOD
                },
            },
            10 => Op::Refuse {
                queue: small(chance, 2),
            },
            11..=12 => Op::Drop {
                victim: recent(chance),
            },
            13..=14 => Op::Later {
                ms: chance.below(400) as u16,
            },
            15..=16 => Op::Cancel {
                victim: recent(chance),
            },
            17..=18 => Op::Temp {
                key: small(chance, 3),
            },
            _ => Op::Big {
                key: small(chance, 2),
            },
        };
        self.requests.push(Request {
            group,
            op,
            answer: None,
            refused: false,
        });
        let id = self.requests.len() as u128;
        self.unanswered.insert(id);
        self.send(id, log, chance, counters, now_ms);
    }

    /// An earlier one, under its id; or one of those that the network has kept.
    pub fn repeat(
        &mut self,
        log: &MemoryLog,
        chance: &mut Chance,
        counters: &mut Counters,
        now_ms: i64,
    ) {
        if !self.delayed.is_empty() && chance.one_in(2) {
            let at = chance.below(self.delayed.len() as u64) as usize;
            let (group, record) = self.delayed.swap_remove(at);
            append(log, group, record);
            return;
        }
        let known = self.requests.len() as u64;
        if known == 0 {
            return;
        }
        let id = u128::from(known - chance.below(known.min(40)));
        let answered = self.requests[id as usize - 1].answer.is_some();
        counters.hit(if answered {
            "client: repeats what was answered"
        } else {
            "client: repeats"
        });
        self.send(id, log, chance, counters, now_ms);
    }

    /// An answer came; another one for the same command must be the same.
    pub fn hear(&mut self, id: u128, answer: Result<Bytes, ()>) {
        self.unanswered.remove(&id);
        let request = &mut self.requests[id as usize - 1];
        match answer {
            Ok(answer) => {
                if let Some(before) = &request.answer {
                    assert_eq!(*before, answer, "command {id} was answered differently");
                }
                request.answer = Some(answer);
            }
            // An earlier owner may tell late of a try that was refused, when a later one has succeeded.
            Err(()) => request.refused = true,
        }
    }

    /// Sends everything that has no answer, and everything that the network has kept. Says how many that were.
    pub fn send_all(&mut self, log: &MemoryLog, now_ms: i64) -> usize {
        let delayed = std::mem::take(&mut self.delayed);
        let sent = delayed.len() + self.unanswered.len();
        for (group, record) in delayed {
            append(log, group, record);
        }
        for id in &self.unanswered {
            let (group, record) = self.record(*id, now_ms);
            append(log, group, record);
        }
        sent
    }
}

fn append(log: &MemoryLog, group: usize, record: Record) {
    log.append(Partition::commands(GroupId(group as u16)), record)
        .expect("the log takes commands");
}

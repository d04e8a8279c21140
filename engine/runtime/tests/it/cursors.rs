//! What is gone from queues and timers is not stepped over again: not while the group runs, not after a restart.

use std::sync::Arc;

use bytes::Bytes;
use index::testing::Graveyard;
use index::{GlobalStore, Options, Store};
use ironhorse_runtime::{
    Application, Batch, Command, Consumer, Group, Limits, Nudge, RequestId, Waiter, Waiting,
    backlog,
};
use wal::{GroupId, Position};

use super::app::{Basket, Counters};

/// A group whose every commit goes to the base at once, so that all that is gone is a tombstone there.
struct Alone {
    base: Graveyard,
    group: Group,
    position: u64,
    requests: u128,
    now_ms: i64,
}

impl Alone {
    fn open(base: Graveyard, now_ms: i64) -> Alone {
        let store = Store::open(
            Arc::new(base.clone()),
            Counters.schema(),
            Options::default(),
        )
        .unwrap();
        let position = store.applied().map_or(0, |at| at.position.to_u64());
        let group = Group::open(
            GroupId(0),
            Arc::new(Counters),
            store,
            Arc::new(Waiting::new()),
            Arc::new(GlobalStore::new()),
            Limits::default(),
            Position::START,
        )
        .unwrap();
        Alone {
            base,
            group,
            position,
            requests: u128::from(position) << 32,
            now_ms,
        }
    }

    fn restart(self) -> Alone {
        self.base.passed();
        Alone::open(self.base, self.now_ms)
    }

    /// Runs steps until nothing is left to do.
    fn settle(&mut self) {
        while let Some(_transaction) = self.group.step(self.now_ms).unwrap() {
            self.position += 1;
            let released = self
                .group
                .committed(Position::from_u64(self.position))
                .unwrap();
            for (_, answer) in released.replies {
                answer.unwrap();
            }
            for (waiter, payload) in released.deliveries {
                waiter.consumer.deliver(payload);
            }
            let work = self.group.start_write_back(true).unwrap();
            work.run().unwrap();
            self.group.finish_write_back(&work);
        }
    }

    fn run(&mut self, commands: impl Iterator<Item = String>) {
        let commands: Vec<_> = commands
            .map(|text| {
                self.requests += 1;
                let command = Command {
                    request_id: RequestId(self.requests),
                    seen_version: Position::START,
                    payload: Bytes::from(text),
                };
                (Position::START, command.into_record(self.now_ms))
            })
            .collect();
        self.group.push(Batch {
            commands,
            ..Batch::default()
        });
        self.settle();
    }

    /// Consumers come, one for each of so many entries; gives what they got.
    fn claim(&mut self, queue: &str, count: usize) -> Vec<String> {
        let basket = Arc::new(Basket::default());
        let claims = (0..count).map(|_| Nudge {
            waiter: Waiter {
                queue: Bytes::from(queue.to_owned()),
                identity: Bytes::from_static(b"worker"),
                consumer: Arc::clone(&basket) as Arc<dyn Consumer>,
                ticket: 0,
            },
        });
        self.group.push(Batch {
            claims: claims.collect(),
            ..Batch::default()
        });
        self.settle();
        basket.got.lock().clone()
    }
}

const ENTRIES: usize = 6_000;
/// What a cursor may lag, for each of two queues.
const LAG: usize = 2 * 1_000;

#[test]
fn claimed_entries_are_not_stepped_over_after_a_restart() {
    let mut alone = Alone::open(Graveyard::default(), 0);
    alone.run((0..ENTRIES).map(|n| format!("work {} {n}", ["b", "d"][n % 2])));
    for queue in ["b", "d"] {
        let got = alone.claim(queue, ENTRIES / 2 - 10);
        assert_eq!(got.len(), ENTRIES / 2 - 10);
    }
    assert!(alone.base.tombstones() >= ENTRIES - 20);
    // Queues without a cursor, before, between and behind.
    alone.run(
        ["a", "c", "e"]
            .map(|queue| format!("work {queue} x"))
            .into_iter(),
    );
    let mut alone = alone.restart();
    assert!(
        alone.base.passed() <= LAG,
        "the start steps over what is gone"
    );
    let reader = alone.group.reader();
    assert_eq!(backlog(&reader, b"b", usize::MAX).unwrap(), 10);
    assert!(
        alone.base.passed() <= LAG,
        "a count steps over what is gone"
    );
    assert_eq!(alone.claim("b", 1), [(ENTRIES - 20).to_string()]);
    assert_eq!(alone.claim("d", 1), [(ENTRIES - 19).to_string()]);
    assert!(
        alone.base.passed() <= LAG,
        "a claim steps over what is gone"
    );
    for queue in ["a", "c", "e"] {
        assert_eq!(alone.claim(queue, 2), ["x"]);
    }
}

#[test]
fn dropped_entries_are_not_stepped_over_after_a_restart() {
    let mut alone = Alone::open(Graveyard::default(), 0);
    alone.run((0..ENTRIES).map(|n| format!("work q {n}")));
    alone.run((0..ENTRIES - 1).map(|n| format!("drop q {n}")));
    let mut alone = alone.restart();
    assert!(
        alone.base.passed() <= LAG,
        "the start steps over what is gone"
    );
    assert_eq!(alone.claim("q", 2), [(ENTRIES - 1).to_string()]);
    // An empty queue too.
    let alone = alone.restart();
    assert_eq!(backlog(&alone.group.reader(), b"q", 1).unwrap(), 0);
    assert!(alone.base.passed() <= 2 * LAG);
}

#[test]
fn a_cursor_that_stands_at_the_oldest_entry_does_not_step_over_it() {
    let mut alone = Alone::open(Graveyard::default(), 0);
    alone.run((0..1_100).map(|n| format!("work q {n}")));
    // The batch of the last of these moves the cursor as far as it can.
    let batch = Limits::default().batch_inputs;
    let gone = batch * 1_000_usize.div_ceil(batch);
    alone.run((0..gone).map(|n| format!("drop q {n}")));
    let mut alone = alone.restart();
    assert_eq!(
        backlog(&alone.group.reader(), b"q", usize::MAX).unwrap(),
        1_100 - gone
    );
    assert_eq!(alone.claim("q", 1), [gone.to_string()]);
}

#[test]
fn timers_that_fired_or_were_cancelled_are_not_stepped_over_after_a_restart() {
    let mut alone = Alone::open(Graveyard::default(), 1_000);
    let due = |n: usize| 5_000 + n;
    alone.run((0..ENTRIES).map(|n| format!("later {} t{n}", due(n))));
    alone.run(
        (0..ENTRIES)
            .step_by(2)
            .map(|n| format!("cancel {} t{n}", due(n))),
    );
    alone.now_ms = 20_000;
    alone.settle();
    let later = |n: usize| 30_000 + n;
    alone.run((0..ENTRIES).map(|n| format!("later {} u{n}", later(n))));
    alone.run((0..ENTRIES).map(|n| format!("cancel {} u{n}", later(n))));
    // Nothing is due any more: an idle step finds that out, and a batch writes it down.
    alone.now_ms = 50_000;
    alone.settle();
    alone.run(std::iter::once("add key 1".to_owned()));
    alone.run(std::iter::once("later 60000 v".to_owned()));
    let mut alone = alone.restart();
    assert_eq!(alone.base.passed(), 0, "the start steps over what is gone");
    assert_eq!(alone.group.next_due_ms(), Some(60_000));
    alone.now_ms = 60_000;
    alone.settle();
    assert_eq!(alone.base.passed(), 0);
    assert_eq!(alone.group.next_due_ms(), None);
}

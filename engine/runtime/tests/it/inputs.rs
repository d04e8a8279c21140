//! One group, a step at a time: what a refused input and a consumer that is gone leave behind, and where a batch ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use index::{Family, GlobalStore, MemoryBase, NoIndexes, Options, Schema, Store};
use ironhorse_runtime::{
    Application, Batch, Command, Consumer, Context, Entry, Group, Limits, Note, Nudge, Rejection,
    RejectionCode, Released, RequestId, Timer, Waiter, Waiting,
};
use parking_lot::Mutex;
use wal::{GroupId, Position};

use super::app::Basket;

/// Commands as text:
/// - `note N` notes a number and notifies of `topic`; a batch adds its numbers to the row `sum`;
/// - `take QUEUE` takes a consumer and does not need it;
/// - `queue QUEUE WHAT` queues an entry;
/// - `timer DUE` sets a timer that writes [`HALF`] bytes;
/// - `big KEY N` writes N bytes;
/// - with `refused` at the end the same is done, and then refused.
struct Steps;

/// More than half of a batch.
const HALF: usize = 600;
const BATCH: usize = 1_000;

fn big(context: &mut Context<'_>, key: &[u8], size: usize) -> Result<(), Rejection> {
    let value = Bytes::from(vec![b'v'; size]);
    context.put(Family::State, Bytes::copy_from_slice(key), value)?;
    Ok(())
}

fn number(raw: Option<Bytes>) -> i64 {
    raw.map_or(0, |raw| i64::from_be_bytes(raw[..].try_into().unwrap()))
}

impl Application for Steps {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(NoIndexes)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let text = std::str::from_utf8(payload).unwrap();
        let allowed = text.strip_suffix(" refused");
        let words: Vec<&str> = allowed.unwrap_or(text).split(' ').collect();
        match words[..] {
            ["note", n] => {
                context.note(Bytes::from_static(b"n"), n.parse().unwrap());
                context.notify(Bytes::from_static(b"topic"));
            }
            ["take", queue] => {
                let taken = context.take_waiter(&Bytes::from(queue.to_owned()));
                assert!(taken.is_some(), "a consumer waits");
            }
            ["queue", queue, what] => {
                context.enqueue(Bytes::from(queue.to_owned()), Bytes::from(what.to_owned()))?;
            }
            ["timer", due] => {
                context.set_timer(due.parse().unwrap(), due.as_bytes(), Bytes::new())?;
            }
            ["big", key, size] => big(context, key.as_bytes(), size.parse().unwrap())?,
            _ => panic!("{text}"),
        }
        match allowed {
            Some(_) => Err(Rejection::precondition("as asked")),
            None => Ok(Bytes::new()),
        }
    }

    fn message(&self, _: &mut Context<'_>, _: &Bytes) -> Result<(), Rejection> {
        Err(Rejection::internal("there are none"))
    }

    fn timer(&self, context: &mut Context<'_>, timer: &Timer) -> Result<(), Rejection> {
        big(context, &timer.owner, HALF * 2)
    }

    fn claim(
        &self,
        _: &mut Context<'_>,
        entry: &Entry,
        _: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        Ok(Some(entry.payload.clone()))
    }

    fn close(&self, context: &mut Context<'_>, notes: Vec<Note>) -> Result<(), Rejection> {
        let sum = number(context.get(Family::State, b"sum")?);
        let sum = sum + notes.iter().map(|note| note.value).sum::<i64>();
        let value = Bytes::copy_from_slice(&sum.to_be_bytes());
        context.put(Family::State, Bytes::from_static(b"sum"), value)?;
        Ok(())
    }
}

struct Alone {
    group: Group,
    waiting: Arc<Waiting>,
    position: u64,
}

impl Alone {
    /// A group whose first batch is done.
    fn new() -> Alone {
        let mut alone = Alone::begin();
        assert!(alone.step(0, &[]).is_some(), "the first of the term");
        alone
    }

    fn begin() -> Alone {
        let base = Arc::new(MemoryBase::new());
        let store = Store::open(base, Steps.schema(), Options::default()).unwrap();
        let waiting = Arc::new(Waiting::new());
        let limits = Limits {
            batch_bytes: BATCH,
            transaction_bytes: 10 * BATCH,
            ..Limits::default()
        };
        let group = Group::open(
            GroupId(0),
            Arc::new(Steps),
            store,
            Arc::clone(&waiting),
            Arc::new(GlobalStore::new()),
            limits,
            Position::from_u64(1),
        )
        .unwrap();
        Alone {
            group,
            waiting,
            position: 1,
        }
    }

    /// One step, with these commands, and its commit; `None`: there was nothing to do.
    fn step(&mut self, now_ms: i64, commands: &[&str]) -> Option<Released> {
        let commands = commands.iter().map(|text| {
            let command = Command {
                request_id: RequestId(1),
                seen_version: Position::START,
                payload: Bytes::from((*text).to_owned()),
            };
            (Position::START, command.into_record(now_ms))
        });
        self.group.push(Batch {
            commands: commands.collect(),
            ..Batch::default()
        });
        self.group.step(now_ms).unwrap()?;
        self.position += 1;
        let position = Position::from_u64(self.position);
        Some(self.group.committed(position).unwrap())
    }

    /// A consumer comes to claim from `q`.
    fn come(&mut self, basket: &Arc<Basket>) {
        let claims = vec![Nudge {
            waiter: waiter(basket),
        }];
        self.group.push(Batch {
            claims,
            ..Batch::default()
        });
    }

    fn row(&self, key: &str) -> Option<Bytes> {
        let reader = self.group.reader();
        reader.get(Family::State, key.as_bytes()).unwrap()
    }
}

fn waiter(basket: &Arc<Basket>) -> Waiter {
    Waiter {
        queue: Bytes::from_static(b"q"),
        identity: Bytes::from_static(b"worker"),
        consumer: Arc::clone(basket) as Arc<dyn Consumer>,
        ticket: 0,
    }
}

#[test]
fn a_term_begins_with_one_batch_whatever_there_is_to_do() {
    let mut alone = Alone::begin();
    assert!(alone.group.has_work(0));
    assert!(alone.step(0, &[]).is_some());
    assert!(!alone.group.has_work(0), "the first batch is made again");
    assert!(alone.step(0, &[]).is_none());
    // Another term; and the same once more, which a restart after its first batch may find.
    for (term, begins) in [(7, true), (7, false)] {
        alone.group.restored(Position::from_u64(term)).unwrap();
        assert_eq!(alone.step(0, &[]).is_some(), begins, "term {term}");
    }
}

#[test]
fn what_a_refused_input_has_noted_does_not_count() {
    let mut alone = Alone::new();
    let released = alone.step(0, &["note 1", "note 10 refused", "note 2"]);
    assert_eq!(released.unwrap().notices.len(), 2);
    assert_eq!(number(alone.row("sum")), 3);
}

#[test]
fn a_consumer_that_was_taken_and_not_served_waits_again() {
    let mut alone = Alone::new();
    let queue = Bytes::from_static(b"q");
    alone.waiting.wait(waiter(&Arc::default()));
    for command in ["take q", "take q refused", "take q"] {
        alone.step(0, &[command]);
        assert_eq!(alone.waiting.count(&queue), 1, "after {command}");
    }
}

#[test]
fn a_consumer_that_is_gone_when_its_turn_comes_takes_nothing_along() {
    let mut alone = Alone::new();
    alone.step(0, &["queue q it"]);
    let (gone, stays) = (Arc::new(Basket::default()), Arc::new(Basket::default()));
    alone.come(&gone);
    gone.closed.store(true, Ordering::SeqCst);
    assert!(alone.step(0, &[]).is_none(), "it claimed");
    alone.come(&stays);
    let released = alone.step(0, &[]).unwrap();
    assert_eq!(released.deliveries.len(), 1);
    assert_eq!(released.deliveries[0].1, "it");
}

#[test]
fn a_batch_ends_when_its_changes_are_large() {
    let mut alone = Alone::new();
    // Commands: two fill it. They have used up the claims' share too, if they are large.
    let released = alone.step(0, &["big a 600", "big b 600", "big c 2500"]);
    assert_eq!(released.unwrap().replies.len(), 2);
    alone.step(0, &["queue q it"]);
    assert!(alone.row("c").is_some());
    assert_eq!(alone.step(0, &[]).map(|batch| batch.replies.len()), Some(1));
    alone.come(&Arc::default());
    let released = alone.step(0, &["big d 2500"]).unwrap();
    assert_eq!((released.replies.len(), released.deliveries.len()), (1, 0));
    assert_eq!(alone.step(0, &[]).unwrap().deliveries.len(), 1);
    // Timers: each is larger than what is left.
    alone.step(0, &["timer 5", "timer 6"]);
    for (first, second) in [(true, false), (true, true)] {
        alone.step(10, &[]).unwrap();
        let fired = (alone.row("5").is_some(), alone.row("6").is_some());
        assert_eq!(fired, (first, second));
    }
}

#[test]
fn an_input_that_outgrows_a_transaction_is_refused_alone() {
    let mut alone = Alone::new();
    let released = alone.step(0, &["big a 20000", "big b 10"]).unwrap();
    let answers: Vec<_> = released
        .replies
        .iter()
        .map(|(_, answer)| answer.as_ref().map_err(|refused| refused.code))
        .collect();
    // What was refused takes no room in the batch either.
    assert_eq!(
        answers,
        [Err(RejectionCode::ResourceExhausted), Ok(&Bytes::new())]
    );
    assert_eq!((alone.row("a"), alone.row("b").is_some()), (None, true));
}

#[test]
fn an_entry_whose_consumer_is_gone_goes_to_the_next_in_line() {
    let mut alone = Alone::new();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&sent);
    let nudge = move |nudge| to.lock().push(nudge);
    alone.waiting.attach(GroupId(0), Arc::new(nudge));
    let (gone, next) = (Arc::new(Basket::default()), Arc::new(Basket::default()));
    // The entry is made before they come, and committed after: one of them is sent to it.
    let entry = Command {
        request_id: RequestId(1),
        seen_version: Position::START,
        payload: Bytes::from_static(b"queue q it"),
    };
    alone.group.push(Batch {
        commands: vec![(Position::START, entry.into_record(0))],
        ..Batch::default()
    });
    alone.group.step(0).unwrap().unwrap();
    alone.waiting.wait(waiter(&gone));
    alone.waiting.wait(waiter(&next));
    alone.group.committed(Position::from_u64(3)).unwrap();
    let claims = std::mem::take(&mut *sent.lock());
    assert_eq!(claims.len(), 1);
    gone.closed.store(true, Ordering::SeqCst);
    alone.group.push(Batch {
        claims,
        ..Batch::default()
    });
    assert!(alone.group.step(0).unwrap().is_none());
    assert_eq!(sent.lock().len(), 1, "nobody is told of the entry");
}

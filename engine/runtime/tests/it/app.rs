//! The application under test, and an engine around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use index::{Base, Family, IndexDeclaration, MemoryBase, Schema};
use ironhorse_runtime::{
    Application, Clock, Consumer, Context, Engine, EngineOptions, Entry, GroupSetup, Rejection,
    RequestId, SubmitError, Timer, Waiter,
};
use parking_lot::Mutex;
use wal::memory::MemoryLog;
use wal::{GroupId, Log};

/// Commands as text:
/// - `add KEY N` adds once per request id (a repeat meets its own effect), answers the total;
/// - `send GROUP KEY N` adds in another group;
/// - `work QUEUE WHAT` gives work to a waiting consumer, or queues it;
/// - `drop QUEUE SEQUENCE` takes an entry out of a queue;
/// - `later DUE KEY` appends the key to `fired` when it is due;
/// - `fail` is refused after it has written.
pub struct Counters;

fn read(context: &Context<'_>, key: &str) -> i64 {
    let raw = context.get(Family::State, key.as_bytes()).unwrap();
    raw.map_or(0, |raw| i64::from_be_bytes(raw[..].try_into().unwrap()))
}

fn add(context: &mut Context<'_>, key: &str, n: i64) -> Result<i64, Rejection> {
    let total = read(context, key) + n;
    context.put(
        Family::State,
        Bytes::from(key.to_owned()),
        Bytes::copy_from_slice(&total.to_be_bytes()),
    )?;
    Ok(total)
}

/// Entries named like this are void when they are claimed.
pub const VOID: &str = "void";

impl Application for Counters {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(ByValue)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let text = std::str::from_utf8(payload).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let seen = format!("request {}", context.request_id());
        if let Some(answer) = context.get(Family::State, seen.as_bytes())? {
            return Ok(answer);
        }
        let answer = match words[..] {
            ["add", key, n] => add(context, key, n.parse().unwrap())?.to_string(),
            ["send", group, key, n] => {
                context.send(
                    GroupId(group.parse().unwrap()),
                    Bytes::from(format!("{key} {n}")),
                );
                "sent".to_owned()
            }
            ["work", queue, what] => {
                let queue = Bytes::from(queue.to_owned());
                match context.take_waiter(&queue) {
                    Some(waiter) => context.deliver(waiter, Bytes::from(what.to_owned())),
                    None => {
                        context.enqueue(queue, Bytes::from(what.to_owned()))?;
                    }
                }
                "given".to_owned()
            }
            ["drop", queue, sequence] => {
                context.dequeue(Bytes::from(queue.to_owned()), sequence.parse().unwrap())?;
                "dropped".to_owned()
            }
            ["later", due, key] => {
                let due = due.parse().unwrap();
                context
                    .set_timer(due, key.as_bytes(), Bytes::new())?
                    .to_string()
            }
            ["cancel", due, key] => {
                context.cancel_timer(due.parse().unwrap(), key.as_bytes())?;
                "cancelled".to_owned()
            }
            ["fail", key] => {
                add(context, key, 1_000_000)?;
                context.send(context.group(), Bytes::from(format!("{key} 1000000")));
                return Err(Rejection::precondition("as asked"));
            }
            _ => return Err(Rejection::invalid(text)),
        };
        let answer = Bytes::from(answer);
        context.insert(Family::State, Bytes::from(seen), answer.clone())?;
        Ok(answer)
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        let text = std::str::from_utf8(payload).unwrap();
        let (key, n) = text.split_once(' ').unwrap();
        add(context, key, n.parse().unwrap())?;
        Ok(())
    }

    fn timer(&self, context: &mut Context<'_>, timer: &Timer) -> Result<(), Rejection> {
        assert!(context.now_ms() >= timer.due_ms, "a timer fired early");
        let mut fired = context
            .get(Family::State, b"fired")?
            .unwrap_or_default()
            .to_vec();
        fired.extend_from_slice(&timer.owner);
        fired.push(b' ');
        context.put(
            Family::State,
            Bytes::from_static(b"fired"),
            Bytes::from(fired),
        )?;
        Ok(())
    }

    fn claim(
        &self,
        context: &mut Context<'_>,
        entry: &Entry,
        _: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        if entry.payload == VOID {
            return Ok(None);
        }
        add(context, "claimed", 1)?;
        Ok(Some(entry.payload.clone()))
    }
}

/// One entry for each counter, by value.
pub struct ByValue;

impl Schema for ByValue {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        vec![IndexDeclaration {
            name: "by value",
            prefix: Bytes::from_static(b"i"),
            version: 0,
        }]
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        key.starts_with(b"key-")
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        emit(Bytes::from([b"i", value, key].concat()), Bytes::new());
    }
}

/// A clock that a test moves.
#[derive(Default)]
pub struct Hand(pub AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A consumer that keeps what it is given.
#[derive(Default)]
pub struct Basket {
    pub got: Mutex<Vec<String>>,
    pub closed: std::sync::atomic::AtomicBool,
}

impl Consumer for Basket {
    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }

    fn deliver(&self, payload: Bytes) {
        self.got
            .lock()
            .push(String::from_utf8(payload.to_vec()).unwrap());
    }
}

/// What survives a restart.
#[derive(Clone, Default)]
pub struct Disk {
    pub log: MemoryLog,
    pub bases: [MemoryBase; 3],
    pub clock: Arc<Hand>,
}

pub const GROUP: GroupId = GroupId(0);

impl Disk {
    pub fn start(&self) -> Engine {
        let setup = |id, base: &MemoryBase| GroupSetup {
            id,
            app: Arc::new(Counters),
            base: Arc::new(base.clone()) as Arc<dyn Base>,
        };
        let groups = vec![
            setup(GroupId(0), &self.bases[0]),
            setup(GroupId(1), &self.bases[1]),
        ];
        let log: Arc<dyn Log> = Arc::new(self.log.clone());
        let clock: Arc<dyn Clock> = self.clock.clone();
        Engine::start(
            log,
            clock,
            setup(GroupId::METADATA, &self.bases[2]),
            groups,
            &EngineOptions::default(),
        )
        .unwrap()
    }
}

pub async fn submit(engine: &Engine, id: u128, command: &str) -> Result<String, SubmitError> {
    let answer = engine.submit(GROUP, RequestId(id), Bytes::from(command.to_owned()));
    // A group that has lost its way answers nobody.
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answer)
        .await
        .unwrap_or_else(|_| panic!("no answer to {command:?}"))?;
    Ok(String::from_utf8(answer.to_vec()).unwrap())
}

/// A counter, as readers see it.
pub fn counter(engine: &Engine, key: &str) -> Option<i64> {
    let raw = engine
        .reader(GROUP)
        .unwrap()
        .get(Family::State, key.as_bytes())
        .unwrap();
    raw.map(|raw| i64::from_be_bytes(raw[..].try_into().unwrap()))
}

pub fn wait(engine: &Engine, queue: &str, basket: &Arc<Basket>) -> u64 {
    let consumer: Arc<dyn Consumer> = basket.clone();
    let identity = Bytes::from_static(b"worker");
    engine.waiting().wait(Waiter {
        queue: Bytes::from(queue.to_owned()),
        identity,
        consumer,
        ticket: 0,
    })
}

/// Waits until something holds, or fails the test.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("it never came about that {what}");
}

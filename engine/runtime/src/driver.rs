//! The thread that drives a group.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use index::{GlobalStore, ReadHandle, Store, WriteBack};
use parking_lot::{Condvar, Mutex};
use wal::{Log, Outcome, Partition, Position, WalError, Writer};

use crate::commit::CommitRecord;
use crate::engine::{EngineOptions, GroupSetup};
use crate::group::Released;
use crate::host::{Clock, Health, Outlet};
use crate::inputs::Inputs;
use crate::recovery::{take_over, writer_id};
use crate::scheduler::Scheduler;
use crate::write_back::Job;
use crate::{
    Application, Batch, EngineError, Group, Notices, Nudge, Owned, Replies, RequestId, SubmitError,
    Waiting,
};

/// What a driver shares with the rest of the process.
pub(crate) struct Shared {
    pub log: Arc<dyn Log>,
    pub clock: Arc<dyn Clock>,
    pub waiting: Arc<Waiting>,
    pub replies: Arc<Replies>,
    pub notices: Arc<Notices>,
    pub global: Arc<GlobalStore>,
    pub write_back: Sender<Job>,
    pub scheduler: Arc<Scheduler>,
    pub outlet: Arc<dyn Outlet>,
}

pub(crate) enum News {
    Outcome {
        epoch: u64,
        outcome: Outcome,
    },
    Nudge(Nudge),
    Written {
        work: WriteBack,
        error: Option<String>,
    },
}

#[derive(Default)]
pub(crate) struct Inbox {
    pub news: Vec<News>,
    inputs: bool,
    /// The scheduler wants a report.
    report: bool,
    phase: Phase,
}

/// How long the inbox is read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    /// Until nothing is under way any more.
    Stopping,
    /// No more.
    GivenUp,
}

/// Wakes the driver's thread.
#[derive(Default)]
pub(crate) struct Signal {
    inbox: Mutex<Inbox>,
    woken: Condvar,
}

impl Signal {
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.inbox.lock());
        self.woken.notify_one();
    }
}

/// Runs one group on a thread of its own.
pub struct Driver {
    signal: Arc<Signal>,
    health: Arc<Mutex<Health>>,
    reader: ReadHandle,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(crate) fn start(
        setup: GroupSetup,
        shared: Shared,
        options: &EngineOptions,
    ) -> Result<Driver, EngineError> {
        let id = setup.id;
        let mut store = Store::open(setup.base, setup.app.schema(), options.store.clone())?;
        let (writer, term, replayed) = take_over(shared.log.as_ref(), id, &mut store)?;
        let owned = Owned {
            id,
            store,
            writer,
            term,
            replayed,
        };
        Driver::run(owned, setup.app, shared, options)
    }

    /// Runs a group that was taken over.
    pub(crate) fn run(
        owned: Owned,
        app: Arc<dyn Application>,
        shared: Shared,
        options: &EngineOptions,
    ) -> Result<Driver, EngineError> {
        let Owned {
            id,
            store,
            writer,
            term,
            replayed,
        } = owned;
        let reader = store.reader();
        for build in reader.index_builds().0 {
            tracing::info!(group = %id, index = build.index.name, rows = build.done, "the index is incomplete and will be built");
        }
        tracing::info!(group = %id, term = %term, batches = replayed.batches, records = replayed.records, "group taken over");
        let transaction = shared.log.max_transaction_bytes();
        let limits = options.limits.clone().within(transaction);
        let group = Group::open(
            id,
            app,
            store,
            Arc::clone(&shared.waiting),
            Arc::clone(&shared.global),
            limits,
            term,
        )?;
        let signal = Arc::new(Signal::default());
        let health = Arc::new(Mutex::new(Health::Running));
        for partition in [Partition::commands(id), Partition::messages(id)] {
            let signal = Arc::clone(&signal);
            let notify = move || {
                let mut inbox = signal.inbox.lock();
                if !inbox.inputs {
                    inbox.inputs = true;
                    signal.woken.notify_one();
                }
            };
            shared.log.subscribe(partition, Arc::new(notify));
        }
        let (nudged, waiting) = (Arc::clone(&signal), Arc::clone(&shared.waiting));
        let nudge = move |nudge: Nudge| {
            let mut inbox = nudged.inbox.lock();
            if inbox.phase == Phase::GivenUp {
                drop(inbox);
                waiting.put_back(nudge.waiter);
            } else {
                inbox.news.push(News::Nudge(nudge));
                nudged.woken.notify_one();
            }
        };
        shared.waiting.attach(id, Arc::new(nudge));
        let inputs = Inputs::open(shared.log.as_ref(), &group)?;
        let mut loop_ = Loop {
            group,
            writer,
            inputs,
            shared,
            signal: Arc::clone(&signal),
            epoch: 0,
            writing: false,
            hold: false,
            index_turn: 0,
        };
        // The first of the term; whoever sees the group sees it behind that.
        let now = loop_.shared.clock.now_ms();
        loop_.step(now)?;
        let woken = Arc::clone(&signal);
        let scheduler = Arc::clone(&loop_.shared.scheduler);
        scheduler.attach(
            id,
            Box::new(move || woken.tell(|inbox| inbox.report = true)),
        );
        let thread_health = Arc::clone(&health);
        let thread = std::thread::Builder::new()
            .name(format!("group-{id}"))
            .spawn(move || {
                let end = match loop_.run() {
                    Ok(()) => Health::Stopped,
                    Err(error) => {
                        tracing::error!(group = %id, %error, "the group is given up");
                        Health::Failed(error.to_string())
                    }
                };
                scheduler.detach(id);
                *thread_health.lock() = end;
            })
            .map_err(|error| EngineError::Start(format!("no thread for group {id}: {error}")))?;
        Ok(Driver {
            signal,
            health,
            reader,
            thread: Some(thread),
        })
    }

    pub(crate) fn reader(&self) -> ReadHandle {
        self.reader.clone()
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        self.health.lock().clone()
    }

    pub(crate) fn stop(&mut self) {
        self.signal.tell(|inbox| {
            if inbox.phase == Phase::Running {
                inbox.phase = Phase::Stopping;
            }
        });
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            *self.health.lock() = Health::Failed("the group's thread panicked".to_owned());
        }
    }
}

/// Records and bytes taken from an input at a time.
const POLL_RECORDS: usize = 1024;
const POLL_BYTES: usize = 4 << 20;
/// Inputs held in memory by a group before it stops reading.
const INBOX_LIMIT: usize = 4096;
/// With no other news, look around this often.
const IDLE: Duration = Duration::from_millis(500);
/// While inputs wait, a piece of an index is built once in so many rounds.
const INDEX_TURNS: u32 = 8;
/// While stopping, or held, look around this often.
const SOON: Duration = Duration::from_millis(5);

struct Loop {
    group: Group,
    writer: Box<dyn Writer>,
    inputs: Inputs,
    shared: Shared,
    signal: Arc<Signal>,
    /// Rises with each recovery: outcomes of an earlier writer are old news.
    epoch: u64,
    writing: bool,
    /// The process's stores hold too much: no more inputs until a write-back has ended.
    hold: bool,
    /// See [`INDEX_TURNS`].
    index_turn: u32,
}

impl Loop {
    fn run(mut self) -> Result<(), EngineError> {
        let end = self.run_until_stopped();
        if end.is_err() {
            let unanswered = self.group.give_up();
            self.refuse(unanswered);
            self.shared.notices.give_up(self.group.id());
            // Consumers that were on their way here wait for others.
            let mut inbox = self.signal.inbox.lock();
            inbox.phase = Phase::GivenUp;
            let news = std::mem::take(&mut inbox.news);
            drop(inbox);
            for item in news {
                if let News::Nudge(nudge) = item {
                    self.shared.waiting.put_back(nudge.waiter);
                }
            }
        }
        end
    }

    fn run_until_stopped(&mut self) -> Result<(), EngineError> {
        let mut more = true;
        loop {
            let (news, stop) = self.wait(more || self.group.is_indexing());
            for item in news {
                self.hear(item)?;
            }
            more = self.work()?;
            if stop && !more && self.group.in_flight() == 0 && !self.writing {
                return self.finish();
            }
        }
    }

    /// Sleeps until there is something to do: news, or, while another commit may be started, inputs, work left over or
    /// a timer.
    fn wait(&mut self, more: bool) -> (Vec<News>, bool) {
        let room = self.has_room();
        let mut inbox = self.signal.inbox.lock();
        let report = std::mem::take(&mut inbox.report);
        if inbox.news.is_empty() && !report && !(room && (more || inbox.inputs)) {
            let pause = if inbox.phase != Phase::Running || self.hold {
                // Commits or a write-back are still under way.
                SOON
            } else if room {
                let now = self.shared.clock.now_ms();
                let due = self.group.next_due_ms();
                let until_due =
                    due.map(|due| Duration::from_millis(due.saturating_sub(now).max(0) as u64));
                until_due.map_or(IDLE, |due| due.min(IDLE))
            } else {
                IDLE
            };
            if !pause.is_zero() {
                self.signal.woken.wait_for(&mut inbox, pause);
            }
        }
        let stop = inbox.phase != Phase::Running;
        (std::mem::take(&mut inbox.news), stop)
    }

    /// Whether another commit may be started.
    fn has_room(&self) -> bool {
        !self.hold && self.group.in_flight() < self.writer.max_in_flight()
    }

    fn hear(&mut self, news: News) -> Result<(), EngineError> {
        match news {
            News::Nudge(nudge) => {
                self.group.push(Batch {
                    claims: vec![nudge],
                    ..Batch::default()
                });
            }
            News::Outcome { epoch, outcome } if epoch == self.epoch => match outcome {
                Outcome::Committed(position) => {
                    let released = self.group.committed(position)?;
                    self.release(released);
                }
                other => self.recover(other)?,
            },
            News::Outcome { .. } => {}
            News::Written { work, error } => {
                self.writing = false;
                if let Some(error) = error {
                    return Err(EngineError::Start(format!("write-back failed: {error}")));
                }
                let position = work.applied().position;
                let inputs = CommitRecord::read(&work.applied().commit)?;
                self.group.finish_write_back(&work);
                self.trim(position, &inputs);
                // Freeing its rows takes milliseconds: not on this thread. Once that thread is gone, here.
                let _ = self.shared.write_back.send(Job::Drop(work));
            }
        }
        Ok(())
    }

    /// Says to the log what the base store no longer needs.
    fn trim(&mut self, position: Position, inputs: &CommitRecord) {
        let id = self.group.id();
        let log = &self.shared.log;
        let commands = Position::from_u64(inputs.commands);
        let messages = Position::from_u64(inputs.messages);
        let changes = self.group.store().retained(position);
        log.trim(Partition::changelog(id), changes);
        log.trim(Partition::commands(id), commands);
        log.trim(Partition::messages(id), messages);
    }

    fn release(&self, released: Released) {
        if !released.is_empty() {
            let group = self.group.id();
            let (notices, replies) = (
                Arc::clone(&self.shared.notices),
                Arc::clone(&self.shared.replies),
            );
            let work = move || released.hand_out(group, &notices, &replies);
            self.shared.outlet.hand_out(Box::new(work));
        }
    }

    /// Takes inputs in and starts one commit, if there is room: what earlier commits released does not wait for more than
    /// one batch. Says whether work is left.
    fn work(&mut self) -> Result<bool, EngineError> {
        let mut read_all = true;
        if self.has_room() {
            if self.group.queued() < INBOX_LIMIT {
                self.signal.inbox.lock().inputs = false;
                let messages = self.inputs.messages.poll(POLL_RECORDS, POLL_BYTES)?;
                let commands = self.inputs.commands.poll(POLL_RECORDS, POLL_BYTES)?;
                read_all = messages.len() < POLL_RECORDS && commands.len() < POLL_RECORDS;
                self.group.push(Batch {
                    messages,
                    commands,
                    claims: Vec::new(),
                });
            }
            let now = self.shared.clock.now_ms();
            if self.group.has_work(now) {
                self.step(now)?;
            }
        }
        if self.group.is_indexing() && !self.hold {
            self.index_piece()?;
        }
        self.write_back()?;
        Ok(!read_all || self.group.has_work(self.shared.clock.now_ms()))
    }

    /// Goes on with the indexes that are to be built: whenever no input waits, and under load beside one batch in a few.
    fn index_piece(&mut self) -> Result<(), EngineError> {
        self.index_turn = (self.index_turn + 1) % INDEX_TURNS;
        if self.group.queued() > 0 && self.index_turn != 0 {
            return Ok(());
        }
        self.group.index_piece()?;
        if !self.group.is_indexing() {
            tracing::info!(group = %self.group.id(), "all indexes are complete");
        }
        Ok(())
    }

    fn step(&mut self, now: i64) -> Result<(), EngineError> {
        let Some(transaction) = self.group.step(now)? else {
            return Ok(());
        };
        let signal = Arc::clone(&self.signal);
        let epoch = self.epoch;
        self.writer.commit(
            transaction,
            Box::new(move |outcome| {
                signal.tell(|inbox| inbox.news.push(News::Outcome { epoch, outcome }));
            }),
        )?;
        Ok(())
    }

    fn write_back(&mut self) -> Result<(), EngineError> {
        let now = self.shared.clock.now_ms();
        let (id, load) = (self.group.id(), self.group.load());
        let turn = self.shared.scheduler.report(id, load, now);
        self.hold = turn.hold;
        if self.writing {
            return Ok(());
        }
        if let Some(work) = self.group.start_write_back(turn.write_back) {
            self.writing = true;
            let job = Job::Write(work, Arc::clone(&self.signal));
            self.shared
                .write_back
                .send(job)
                .map_err(|_| EngineError::Start("the write-back thread is gone".to_owned()))?;
        }
        Ok(())
    }

    /// A commit did not end well: drop everything in flight, fence ourselves, and start from what is committed.
    fn recover(&mut self, outcome: Outcome) -> Result<(), EngineError> {
        let id = self.group.id();
        tracing::warn!(group = %id, ?outcome, "a commit did not end well; starting from the committed state");
        self.epoch += 1;
        if outcome == Outcome::Fenced {
            return Err(WalError::Fenced(writer_id(id).0).into());
        }
        let unanswered = self.group.discard();
        self.refuse(unanswered);
        let (writer, term, _) = take_over(self.shared.log.as_ref(), id, self.group.store_mut())?;
        self.writer = writer;
        self.group.restored(term)?;
        // Commits of unknown outcome may have happened.
        self.shared.notices.notify_all(id);
        self.inputs = Inputs::open(self.shared.log.as_ref(), &self.group)?;
        Ok(())
    }

    fn refuse(&self, unanswered: Vec<RequestId>) {
        for request in unanswered {
            let why = "the outcome is not known yet; submit again under the same id".to_owned();
            self.shared
                .replies
                .answer(request, Err(SubmitError::Unavailable(why)));
        }
    }

    /// Stopping in good order: everything that is committed goes to the base store.
    fn finish(&mut self) -> Result<(), EngineError> {
        if let Some(work) = self.group.start_write_back(true) {
            work.run()?;
            let position = work.applied().position;
            let inputs = CommitRecord::read(&work.applied().commit)?;
            self.group.finish_write_back(&work);
            self.trim(position, &inputs);
        }
        Ok(())
    }
}

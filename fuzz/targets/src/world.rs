//! The engine in memory: a metadata group and a core group, run step by step.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use index::{
    Applied, Change, Family, GlobalStore, KeyRange, MemoryBase, Options, ReadHandle, Schema, Store,
    changelog,
};
use parking_lot::Mutex;
use prost::Message;
use proto::ironhorse::v1::WorkerIdentity;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::littlehorse::{PollTaskResponse, ReportTaskRun, ScheduledTask, report_task_run};
use runtime::{
    Application, Batch, Command, Consumer, Group, Limits, Nudge, Rejection, RejectionCode,
    RequestId, Waiter, Waiting,
};
use wal::{GroupId, Position, Record, Topic, Transaction};
use workflow::record::WorkflowSchema;
use workflow::{Metadata, Settings, Workflows};

use crate::{Input, generate, rows, templates};

/// A worker that keeps what it is given.
#[derive(Default)]
pub(crate) struct Worker(Mutex<VecDeque<Bytes>>);

impl Consumer for Worker {
    fn is_open(&self) -> bool {
        true
    }

    fn deliver(&self, payload: Bytes) {
        self.0.lock().push_back(payload);
    }
}

/// A consumer that waits at a queue.
pub(crate) fn waiter(queue: Bytes) -> (Waiter, Arc<Worker>) {
    let worker = Arc::new(Worker::default());
    let consumer = Arc::clone(&worker) as Arc<dyn Consumer>;
    let identity = Bytes::from(WorkerIdentity::default().encode_to_vec());
    let waiter = Waiter {
        queue,
        identity,
        consumer,
        ticket: 0,
    };
    (waiter, worker)
}

/// One thing that happens in a [`World`].
#[derive(Debug, Clone)]
pub enum Op {
    /// A command of the metadata group.
    Metadata(Bytes),
    /// A command of the core group.
    Core(Bytes),
    /// So many milliseconds pass, and due timers fire.
    Pass(i64),
    /// A worker polls.
    Poll,
    /// The oldest task that was delivered is reported, with this payload (an encoded `ReportTaskRun` for the rest).
    Report(Bytes),
}

struct Member {
    group: Group,
    /// Everything that was committed, applied once more.
    twin: Store,
    position: u64,
    /// Messages to the core group: to itself.
    sent: Vec<Record>,
}

/// See the module.
pub struct World {
    metadata: Member,
    core: Member,
    waiting: Arc<Waiting>,
    worker: Arc<Worker>,
    waiter: Waiter,
    now_ms: i64,
    requests: u128,
    /// Changed rows of the core group, in order.
    pub changes: Vec<Change>,
    /// Its commit records.
    pub commits: Vec<Bytes>,
}

fn member(
    id: GroupId,
    app: Arc<dyn Application>,
    global: &Arc<GlobalStore>,
) -> (Member, Arc<Waiting>) {
    let open = || {
        Store::open(
            Arc::new(MemoryBase::new()),
            app.schema(),
            Options::default(),
        )
        .expect("an empty base opens")
    };
    let waiting = Arc::new(Waiting::new());
    let group = Group::open(
        id,
        Arc::clone(&app),
        open(),
        Arc::clone(&waiting),
        Arc::clone(global),
        Limits::default(),
        Position::START,
    );
    let member = Member {
        group: group.expect("an empty group opens"),
        twin: open(),
        position: 0,
        sent: Vec::new(),
    };
    (member, waiting)
}

impl Member {
    fn next(&mut self) -> Position {
        self.position += 1;
        Position::from_u64(self.position)
    }

    /// Executes what was pushed, and commits it. Returns the answers, and the changes of the batch.
    fn step(
        &mut self,
        now_ms: i64,
        commits: &mut Vec<Bytes>,
    ) -> (Vec<Result<Bytes, Rejection>>, Vec<Change>, bool) {
        let transaction = self.group.step(now_ms).expect("the store works");
        let Some(Transaction { records }) = transaction else {
            return (Vec::new(), Vec::new(), false);
        };
        let position = self.next();
        let mut changes = Vec::new();
        for (partition, record) in records {
            match partition.topic {
                Topic::Changelog => {}
                Topic::Messages if partition.group == GroupId(0) => {
                    self.sent.push(record);
                    continue;
                }
                _ => continue,
            }
            match changelog::decode(&record).expect("what is logged can be read") {
                changelog::Entry::Change(change) => changes.push(change),
                changelog::Entry::Commit(commit) => {
                    commits.push(commit.clone());
                    let applied = Applied { position, commit };
                    self.twin
                        .apply(changes.clone(), applied)
                        .expect("it can be replayed");
                }
                changelog::Entry::Barrier => {}
            }
        }
        let released = self.group.committed(position).expect("the store works");
        for (waiter, payload) in released.deliveries {
            waiter.consumer.deliver(payload);
        }
        let replies = released
            .replies
            .into_iter()
            .map(|(_, answer)| answer)
            .collect();
        (replies, changes, true)
    }
}

impl Default for World {
    fn default() -> World {
        let global = Arc::new(GlobalStore::new());
        let (metadata, _) = member(GroupId::METADATA, Arc::new(Metadata::new(1)), &global);
        let (core, waiting) = member(
            GroupId(0),
            Arc::new(Workflows::new(Settings::new(1))),
            &global,
        );
        let queue = workflow::key::task_queue(templates::TENANT, templates::TASK);
        let (waiter, worker) = waiter(queue);
        World {
            metadata,
            core,
            waiting,
            worker,
            waiter,
            now_ms: 1_700_000_000_000,
            requests: 0,
            changes: Vec::new(),
            commits: Vec::new(),
        }
    }
}

impl World {
    /// With the definitions of the templates.
    pub fn new() -> World {
        let mut world = World::default();
        for definition in templates::definitions() {
            let answer = world.happen(&Op::Metadata(definition));
            assert!(
                matches!(answer, Some(Ok(_))),
                "a definition is refused: {answer:?}"
            );
        }
        world
    }

    /// Lets something happen; the answer, if it is a command.
    ///
    /// # Panics
    /// A refused command left a trace, or the group cannot go on.
    pub fn happen(&mut self, op: &Op) -> Option<Result<Bytes, Rejection>> {
        match op {
            Op::Metadata(payload) => Some(self.command(payload.clone(), true)),
            Op::Core(payload) => Some(self.command(payload.clone(), false)),
            Op::Pass(ms) => {
                self.now_ms += ms;
                for _ in 0..4 {
                    if !self.step_core().2 {
                        break;
                    }
                }
                None
            }
            Op::Poll => {
                // It stands in line already, or comes to claim.
                if self.waiting.count(&self.waiter.queue) == 0 {
                    self.core.group.push(Batch {
                        claims: vec![Nudge {
                            waiter: self.waiter.clone(),
                        }],
                        ..Batch::default()
                    });
                }
                self.step_core();
                None
            }
            Op::Report(payload) => {
                let task = self.delivered()?;
                let mut report = ReportTaskRun::decode(payload.clone()).unwrap_or_default();
                report.task_run_id = task.task_run_id;
                report.attempt_number = task.attempt_number;
                report.time = task.created_at;
                Some(self.command(templates::core(Core::ReportTask(report)), false))
            }
        }
    }

    /// The oldest task that was delivered to the worker.
    fn delivered(&self) -> Option<ScheduledTask> {
        let payload = self.worker.0.lock().pop_front()?;
        PollTaskResponse::decode(payload)
            .expect("a delivery can be read")
            .result
    }

    fn step_core(&mut self) -> (Vec<Result<Bytes, Rejection>>, Vec<Change>, bool) {
        let now_ms = self.now_ms;
        let stepped = self.core.step(now_ms, &mut self.commits);
        for record in std::mem::take(&mut self.core.sent) {
            let position = self.core.next();
            self.core.group.push(Batch {
                messages: vec![(position, record)],
                ..Batch::default()
            });
        }
        self.changes.extend_from_slice(&stepped.1);
        stepped
    }

    fn command(&mut self, payload: Bytes, metadata: bool) -> Result<Bytes, Rejection> {
        self.requests += 1;
        let command = Command {
            request_id: RequestId(self.requests),
            seen_version: Position::START,
            payload,
        };
        let record = command.into_record(self.now_ms);
        // Due timers would run in the same batch.
        if !metadata {
            self.happen(&Op::Pass(1));
        }
        let member = if metadata {
            &mut self.metadata
        } else {
            &mut self.core
        };
        let timers = member.group.has_work(self.now_ms);
        let position = member.next();
        member.group.push(Batch {
            commands: vec![(position, record)],
            ..Batch::default()
        });
        let (mut answers, changes, _) = if metadata {
            self.metadata.step(self.now_ms, &mut Vec::new())
        } else {
            self.step_core()
        };
        assert_eq!(answers.len(), 1, "a command has one answer");
        let answer = answers.remove(0);
        if answer.is_err() && !timers {
            assert!(
                changes.is_empty(),
                "a refused command ({answer:?}) leaves {changes:?}"
            );
        }
        answer
    }

    /// State = fold(log), index = derive(primary), and every row can be shown.
    ///
    /// # Panics
    /// They do not hold.
    pub fn check(&self) {
        for member in [&self.metadata, &self.core] {
            let (live, twin) = (member.group.reader(), member.twin.reader());
            for family in Family::ALL {
                assert_eq!(
                    all(&live, family),
                    all(&twin, family),
                    "state is not fold(log): {family:?}"
                );
            }
        }
        let reader = self.core.group.reader();
        check_index(&reader);
        for (key, value) in all(&reader, Family::State) {
            let shown = rows::read(&key, &value);
            assert!(
                shown || key.first() != Some(&workflow::key::RUNS),
                "a stored row cannot be read: {key:?}"
            );
        }
        assert!(all(&self.metadata.group.reader(), Family::Index).is_empty());
    }
}

fn all(reader: &ReadHandle, family: Family) -> Vec<(Bytes, Bytes)> {
    let range = KeyRange {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
    };
    reader
        .scan(family, &range, usize::MAX, false)
        .expect("a scan works")
}

/// Index = derive(primary).
pub(crate) fn check_index(reader: &ReadHandle) {
    let mut derived = BTreeMap::new();
    for (key, value) in all(reader, Family::State) {
        if WorkflowSchema.is_indexed(&key) {
            WorkflowSchema.index_entries(&key, &value, &mut |key, value| {
                derived.insert(key, value);
            });
        }
    }
    let derived: Vec<(Bytes, Bytes)> = derived.into_iter().collect();
    assert_eq!(
        all(reader, Family::Index),
        derived,
        "index is not derive(primary)"
    );
}

/// What happens, one after another; commands as bytes.
pub(crate) fn commands(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new();
    while !input.is_empty() {
        let op = match input.u8() % 8 {
            0 | 1 => Op::Metadata(Bytes::copy_from_slice(input.part())),
            2..=4 => Op::Core(Bytes::copy_from_slice(input.part())),
            5 => Op::Pass(pause(&mut input)),
            6 => Op::Poll,
            _ => Op::Report(Bytes::copy_from_slice(input.part())),
        };
        world.happen(&op);
    }
    world.check();
}

fn pause(input: &mut Input<'_>) -> i64 {
    let by = input.u8();
    i64::from(by & 15) * [1, 1_000, 60_000, 86_400_000][usize::from(by >> 6)]
}

/// What happens, one after another; commands are public requests with some of their fields changed, and whatever they
/// are, it is not our defect.
pub(crate) fn requests(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new();
    let templates = generate::Templates::get();
    while !input.is_empty() {
        let op = match input.u8() % 8 {
            0 | 1 => Op::Metadata(templates.metadata(&mut input)),
            2..=4 => Op::Core(templates.core(&mut input)),
            5 => Op::Pass(pause(&mut input)),
            6 => Op::Poll,
            _ => Op::Report(templates.report(&mut input)),
        };
        let answer = world.happen(&op);
        if let Some(Err(rejection)) = answer {
            assert!(
                rejection.code != RejectionCode::Internal && !rejection.message.is_empty(),
                "a request is answered with a defect of ours: {rejection}"
            );
        }
    }
    world.check();
}

impl World {
    /// A successful report of a task with this output, for [`Op::Report`].
    pub fn success(output: i64) -> Op {
        let report = ReportTaskRun {
            status: proto::littlehorse::TaskStatus::TaskSuccess.into(),
            result: Some(report_task_run::Result::Output(templates::int(output))),
            ..ReportTaskRun::default()
        };
        Op::Report(Bytes::from(report.encode_to_vec()))
    }
}

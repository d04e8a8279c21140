//! All groups of a cluster in memory, run step by step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use index::{Family, GlobalStore, KeyRange, MemoryBase, Options, Store};
use ironhorse_workflow::{self as workflow, Metadata, Settings, Workflows};
use parking_lot::Mutex;
use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{CoreCommand, MetadataCommand, RunWf, WfRunRow, WorkerIdentity};
use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, Node, PollTaskResponse, PutWfSpecRequest, RunWfRequest,
    ScheduledTask, ThreadSpec, ThreadVarDef, WfRun, WfRunId,
};
use runtime::{
    Application, Batch, Command, Consumer, Group, Limits, Nudge, Rejection, RequestId, Route,
    Waiter, Waiting,
};
use wal::{GroupId, Position, Record, Topic};
use workflow::key::{RUNS, Row, RunRow};

pub const TENANT: &str = "default";

struct Member {
    group: Group,
    position: u64,
}

/// A worker that asks once.
#[derive(Default)]
struct Worker {
    task: Mutex<Vec<Bytes>>,
    is_gone: AtomicBool,
}

impl Consumer for Worker {
    fn is_open(&self) -> bool {
        !self.is_gone.load(Ordering::Acquire)
    }

    fn deliver(&self, payload: Bytes) {
        self.task.lock().push(payload);
    }
}

pub struct World {
    members: BTreeMap<GroupId, Member>,
    pub began_ms: i64,
    pub now_ms: i64,
    requests: u128,
    answers: BTreeMap<RequestId, Result<Bytes, Rejection>>,
    route: Route,
}

impl World {
    /// A fresh cluster at a time, such as `2026-01-01T12:00:30Z`.
    pub fn at(time: &str, groups: u16) -> World {
        World::with(time, &Settings::new(groups))
    }

    pub fn with(time: &str, settings: &Settings) -> World {
        let groups = settings.core.groups();
        let global = Arc::new(GlobalStore::new());
        let waiting = Arc::new(Waiting::new());
        let member = |id: GroupId, app: Arc<dyn Application>| {
            let store = Store::open(
                Arc::new(MemoryBase::new()),
                app.schema(),
                Options::default(),
            );
            let group = Group::open(
                id,
                app,
                store.unwrap(),
                Arc::clone(&waiting),
                Arc::clone(&global),
                Limits::default(),
                Position::START,
            );
            let member = Member {
                group: group.unwrap(),
                position: 0,
            };
            (id, member)
        };
        let mut members =
            BTreeMap::from([member(GroupId::METADATA, Arc::new(Metadata::new(groups)))]);
        members.extend((0..groups).map(|id| {
            let app = Workflows::new(settings.clone());
            member(GroupId(id), Arc::new(app))
        }));
        let time: jiff::Timestamp = time.parse().unwrap();
        let mut world = World {
            members,
            began_ms: time.as_millisecond(),
            now_ms: time.as_millisecond(),
            requests: 0,
            answers: BTreeMap::new(),
            route: settings.core,
        };
        world
            .meta::<()>(Meta::Bootstrap(proto::ironhorse::v1::Bootstrap {}))
            .unwrap();
        world
    }

    /// Executes a command of the metadata.
    pub fn meta<T: Message + Default>(&mut self, command: Meta) -> Result<T, Rejection> {
        let command = MetadataCommand {
            version: 1,
            tenant: TENANT.to_owned(),
            command: Some(command),
            ..MetadataCommand::default()
        };
        self.execute(GroupId::METADATA, command.encode_to_vec())
    }

    /// Executes a command of the group that a routing key belongs to.
    pub fn core<T: Message + Default>(
        &mut self,
        route: &str,
        command: Core,
    ) -> Result<T, Rejection> {
        let command = CoreCommand {
            version: 1,
            tenant: TENANT.to_owned(),
            command: Some(command),
            ..CoreCommand::default()
        };
        self.execute(
            self.route.group_of(route.as_bytes()),
            command.encode_to_vec(),
        )
    }

    fn execute<T: Message + Default>(
        &mut self,
        group: GroupId,
        payload: Vec<u8>,
    ) -> Result<T, Rejection> {
        self.requests += 1;
        let request_id = RequestId(self.requests);
        let command = Command {
            request_id,
            seen_version: Position::START,
            payload: Bytes::from(payload),
        };
        let record = command.into_record(self.now_ms);
        let member = self.members.get_mut(&group).unwrap();
        let position = member.next();
        member.group.push(Batch {
            commands: vec![(position, record)],
            ..Batch::default()
        });
        self.settle();
        let answer = self.answers.remove(&request_id).unwrap()?;
        Ok(T::decode(answer).unwrap())
    }

    /// A worker takes a task that is queued, if there is one.
    pub fn claim(&mut self, task_def: &str) -> Option<ScheduledTask> {
        let queue = workflow::key::task_queue(TENANT, task_def);
        let worker = Arc::new(Worker::default());
        for group in self.members.keys().copied().collect::<Vec<_>>() {
            let waiter = Waiter {
                queue: queue.clone(),
                identity: Bytes::from(WorkerIdentity::default().encode_to_vec()),
                consumer: Arc::clone(&worker) as Arc<dyn Consumer>,
                ticket: 0,
            };
            self.members.get_mut(&group).unwrap().group.push(Batch {
                claims: vec![Nudge { waiter }],
                ..Batch::default()
            });
            self.settle();
            if let Some(payload) = worker.task.lock().pop() {
                let response = PollTaskResponse::decode(payload).unwrap();
                return response.result;
            }
        }
        worker.is_gone.store(true, Ordering::Release);
        None
    }

    /// Time passes, at once: whatever was due meanwhile is late.
    pub fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.settle();
    }

    /// Until nobody has anything to do.
    fn settle(&mut self) {
        loop {
            let mut sent: Vec<(GroupId, Record)> = Vec::new();
            let mut is_quiet = true;
            for member in self.members.values_mut() {
                while member.group.has_work(self.now_ms) {
                    is_quiet = false;
                    let Some(transaction) = member.group.step(self.now_ms).unwrap() else {
                        break;
                    };
                    let position = member.next();
                    let released = member.group.committed(position).unwrap();
                    for (id, answer) in released.replies {
                        self.answers.insert(id, answer);
                    }
                    for (waiter, payload) in released.deliveries {
                        waiter.consumer.deliver(payload);
                    }
                    let messages = transaction.records.into_iter();
                    sent.extend(
                        messages
                            .filter(|(partition, _)| partition.topic == Topic::Messages)
                            .map(|(partition, record)| (partition.group, record)),
                    );
                }
            }
            for (to, record) in sent {
                let member = self.members.get_mut(&to).unwrap();
                let position = member.next();
                member.group.push(Batch {
                    messages: vec![(position, record)],
                    ..Batch::default()
                });
            }
            if is_quiet {
                return;
            }
        }
    }

    /// A row, if it exists.
    pub fn row<T: workflow::record::Row>(&self, route: &str, key: &[u8]) -> Option<T> {
        let group = self.route.group_of(route.as_bytes());
        let reader = self.members[&group].group.reader();
        let value = reader.get(Family::State, key).unwrap()?;
        Some(workflow::record::decode(&value).unwrap())
    }

    /// The rows of a range in all groups.
    pub fn raw(&self, range: &KeyRange) -> Vec<(Bytes, Bytes)> {
        let mut found = Vec::new();
        for member in self.members.values() {
            let reader = member.group.reader();
            found.extend(
                reader
                    .scan(Family::State, range, usize::MAX, false)
                    .unwrap(),
            );
        }
        found
    }

    pub fn scan<T: workflow::record::Row>(&self, range: &KeyRange) -> Vec<(Bytes, T)> {
        let rows = self.raw(range).into_iter();
        rows.map(|(key, row)| (key, workflow::record::decode(&row).unwrap()))
            .collect()
    }

    /// All WfRuns of all groups.
    pub fn wf_runs(&self) -> Vec<(WfRunId, WfRun)> {
        let mut found = Vec::new();
        for (key, value) in self.raw(&KeyRange::prefix(&[RUNS])) {
            if let Ok(Some(RunRow {
                wf_run_id,
                row: Row::WfRun,
                ..
            })) = RunRow::parse(&key)
            {
                let row: WfRunRow = workflow::record::decode(&value).unwrap();
                found.push((wf_run_id, row.wf_run.unwrap()));
            }
        }
        found
    }

    /// Registers a WfSpec of one thread from its nodes.
    pub fn define(&mut self, name: &str, vars: Vec<ThreadVarDef>, kinds: Vec<Kind>) {
        let request = sequence(name, vars, kinds);
        let _: proto::littlehorse::WfSpec = self.meta(Meta::PutWfSpec(request)).unwrap();
    }

    pub fn run(&mut self, spec: &str, id: &str) -> Result<WfRun, Rejection> {
        let request = RunWfRequest {
            wf_spec_name: spec.to_owned(),
            ..RunWfRequest::default()
        };
        let command = Core::RunWf(RunWf {
            request: Some(request),
            id: id.to_owned(),
        });
        self.core(id, command)
    }
}

impl Member {
    fn next(&mut self) -> Position {
        self.position += 1;
        Position::from_u64(self.position)
    }
}

/// A WfSpec of one thread from its nodes, called `entry`, `1`, `2` …, and `exit`, in a row.
pub fn sequence(name: &str, vars: Vec<ThreadVarDef>, kinds: Vec<Kind>) -> PutWfSpecRequest {
    let last = kinds.len() + 1;
    let name_of = |at: usize| match at {
        0 => "entry".to_owned(),
        at if at == last => "exit".to_owned(),
        at => at.to_string(),
    };
    let first = Kind::Entrypoint(EntrypointNode {});
    let end = Kind::Exit(ExitNode::default());
    let all = std::iter::once(first).chain(kinds).chain([end]);
    let nodes = all.enumerate().map(|(at, kind)| {
        let edges = (at < last).then(|| Edge {
            sink_node_name: name_of(at + 1),
            edge_condition: None::<EdgeCondition>,
            ..Edge::default()
        });
        let node = Node {
            outgoing_edges: edges.into_iter().collect(),
            node: Some(kind),
            ..Node::default()
        };
        (name_of(at), node)
    });
    let thread = ThreadSpec {
        nodes: nodes.collect(),
        variable_defs: vars,
        ..ThreadSpec::default()
    };
    PutWfSpecRequest {
        name: name.to_owned(),
        thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
        entrypoint_thread_name: "main".to_owned(),
        ..PutWfSpecRequest::default()
    }
}

//! A metadata group and a core group in memory, run step by step, for tests of what no client sees.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use index::{Family, GlobalStore, KeyRange, MemoryBase, Options, Store};
use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{Bootstrap, CoreCommand, MetadataCommand, RunWf, TimerAction};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, Node, PutWfSpecRequest, RunWfRequest, ThreadSpec, WfRunId,
};
use runtime::{Application, Batch, Command, Group, Limits, Rejection, RequestId, Waiting};
use wal::{GroupId, Position};

use crate::key::RunKey;
use crate::record::{Row, decode};
use crate::{Metadata, Settings, Workflows};

const TENANT: &str = "default";

/// A group, and its log as positions only.
struct Member {
    group: Group,
    position: u64,
}

impl Member {
    fn new(id: GroupId, app: Arc<dyn Application>, global: &Arc<GlobalStore>) -> Member {
        let base = Arc::new(MemoryBase::new());
        let store = Store::open(base, app.schema(), Options::default());
        let group = Group::open(
            id,
            app,
            store.expect("an empty base opens"),
            Arc::new(Waiting::new()),
            Arc::clone(global),
            Limits::default(),
            Position::START,
        );
        Member {
            group: group.expect("an empty group opens"),
            position: 0,
        }
    }

    fn next(&mut self) -> Position {
        self.position += 1;
        Position::from_u64(self.position)
    }

    /// Executes what was pushed and is due, and commits it.
    fn step(&mut self, now_ms: i64) -> Vec<Result<Bytes, Rejection>> {
        if self.group.step(now_ms).expect("the store works").is_none() {
            return Vec::new();
        }
        let position = self.next();
        let released = self.group.committed(position).expect("the store works");
        let replies = released.replies.into_iter();
        replies.map(|(_, answer)| answer).collect()
    }

    fn command(&mut self, now_ms: i64, request: u128, payload: Bytes) -> Result<Bytes, Rejection> {
        let command = Command {
            request_id: RequestId(request),
            seen_version: Position::START,
            payload,
        };
        let position = self.next();
        self.group.push(Batch {
            commands: vec![(position, command.into_record(now_ms))],
            ..Batch::default()
        });
        self.step(now_ms).pop().expect("a command has an answer")
    }
}

/// See the module.
pub(crate) struct World {
    metadata: Member,
    core: Member,
    now_ms: i64,
    requests: u128,
}

impl World {
    pub(crate) fn new() -> World {
        let global = Arc::new(GlobalStore::new());
        let mut world = World {
            metadata: Member::new(GroupId::METADATA, Arc::new(Metadata::new(1)), &global),
            core: Member::new(
                GroupId(0),
                Arc::new(Workflows::new(Settings::new(1))),
                &global,
            ),
            now_ms: 1_700_000_000_000,
            requests: 1000,
        };
        world.define(Meta::Bootstrap(Bootstrap {}));
        world
    }

    /// A definition, which is accepted.
    pub(crate) fn define(&mut self, command: Meta) {
        self.requests += 1;
        let command = MetadataCommand {
            version: 1,
            tenant: TENANT.to_owned(),
            command: Some(command),
            ..MetadataCommand::default()
        };
        let payload = Bytes::from(command.encode_to_vec());
        let answer = self.metadata.command(self.now_ms, self.requests, payload);
        answer.expect("it is accepted");
    }

    /// A WfSpec `s` of one thread with these nodes, each of which leads to the next.
    pub(crate) fn define_spec(&mut self, kinds: Vec<Kind>) {
        self.define_threads([("main", kinds)]);
    }

    /// As [`World::define_spec`], of several threads; `main` is the first to run.
    pub(crate) fn define_threads<const N: usize>(&mut self, threads: [(&str, Vec<Kind>); N]) {
        self.define(Meta::PutWfSpec(PutWfSpecRequest {
            name: "s".to_owned(),
            thread_specs: threads
                .map(|(name, kinds)| (name.to_owned(), sequence(kinds)))
                .into(),
            entrypoint_thread_name: "main".to_owned(),
            ..PutWfSpecRequest::default()
        }));
    }

    /// Starts a WfRun of `s`.
    pub(crate) fn run(&mut self, id: &str) {
        let request = RunWfRequest {
            wf_spec_name: "s".to_owned(),
            ..RunWfRequest::default()
        };
        let run = Core::RunWf(RunWf {
            request: Some(request),
            id: id.to_owned(),
        });
        self.command(run).expect("it starts");
    }

    /// A command under a request id of its own.
    pub(crate) fn command(&mut self, command: Core) -> Result<Bytes, Rejection> {
        self.requests += 1;
        self.request(self.requests, command)
    }

    /// A command under this request id.
    pub(crate) fn request(&mut self, id: u128, command: Core) -> Result<Bytes, Rejection> {
        let command = CoreCommand {
            version: 1,
            tenant: TENANT.to_owned(),
            command: Some(command),
            ..CoreCommand::default()
        };
        let payload = Bytes::from(command.encode_to_vec());
        self.core.command(self.now_ms, id, payload)
    }

    /// Time passes, and what is due fires.
    pub(crate) fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        while self.core.group.has_work(self.now_ms) {
            self.core.step(self.now_ms);
        }
    }

    /// A row of a WfRun, if it exists.
    pub(crate) fn row<T: Row>(
        &self,
        run: &str,
        key: impl FnOnce(&RunKey) -> index::key::KeyWriter,
    ) -> Option<T> {
        let key = key(&RunKey::new(TENANT, &WfRunId::root(run))).finish();
        let found = self.core.group.reader().get(Family::State, &key);
        found
            .expect("the store works")
            .map(|value| decode(&value).expect("it can be read"))
    }

    /// How many timers are set, but the one that drops the counters of old minutes.
    pub(crate) fn timers(&self) -> usize {
        // `01` begins a timer's row: docs/formats.md.
        let range = KeyRange {
            start: Bound::Included(Bytes::from_static(&[1])),
            end: Bound::Excluded(Bytes::from_static(&[2])),
        };
        let reader = self.core.group.reader();
        let rows = reader.scan(Family::Queue, &range, usize::MAX, false);
        let rows = rows.expect("the store works");
        let drops = |value: &Bytes| {
            let action = TimerAction::decode(&value[..]).expect("it can be read");
            matches!(action.action, Some(Action::DropMetrics(_)))
        };
        rows.iter().filter(|(_, value)| !drops(value)).count()
    }
}

/// A thread with these nodes, called by their positions.
fn sequence(mut kinds: Vec<Kind>) -> ThreadSpec {
    kinds.insert(0, Kind::Entrypoint(EntrypointNode {}));
    kinds.push(Kind::Exit(ExitNode::default()));
    let last = kinds.len() - 1;
    let node = |(number, kind): (usize, Kind)| {
        let sink = Edge {
            sink_node_name: (number + 1).to_string(),
            ..Edge::default()
        };
        let node = Node {
            outgoing_edges: (number < last).then_some(sink).into_iter().collect(),
            node: Some(kind),
            ..Node::default()
        };
        (number.to_string(), node)
    };
    ThreadSpec {
        nodes: kinds.into_iter().enumerate().map(node).collect(),
        ..ThreadSpec::default()
    }
}

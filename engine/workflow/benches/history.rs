//! What a step costs a WfRun that has many behind it, or many events before it: the engine alone.
//!
//! A WfRun that waits for one event after the other, for ever. One iteration is one PutExternalEvent, which completes a
//! node and enters the next, in a batch of its own; with so many NodeRuns already there, or with so many events of another
//! definition that nobody claims.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark: it looks at the clock"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use index::{GlobalStore, MemoryBase, Options, Store};
use ironhorse_workflow::{Metadata, Settings, Workflows};
use mimalloc::MiMalloc;
use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{CoreCommand, MetadataCommand, PutExternalEvent, RunWf};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, ExternalEventDefId, ExternalEventNode, Node, NopNode,
    PutExternalEventDefRequest, PutExternalEventRequest, PutWfSpecRequest, RunWfRequest,
    ThreadSpec, WfRunId,
};
use runtime::{Application, Batch, Command, Group, Limits, RequestId, Waiting};
use wal::{GroupId, Position};

/// As in the server.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Member {
    group: Group,
    position: u64,
    requests: u128,
}

impl Member {
    fn new(id: GroupId, app: Arc<dyn Application>, global: &Arc<GlobalStore>) -> Member {
        let base = Arc::new(MemoryBase::new());
        let store = Store::open(base, app.schema(), Options::default()).unwrap();
        let (waiting, global) = (Arc::new(Waiting::new()), Arc::clone(global));
        let limits = Limits::default();
        let group = Group::open(id, app, store, waiting, global, limits, Position::START).unwrap();
        Member {
            group,
            position: 0,
            requests: 0,
        }
    }

    fn next(&mut self) -> Position {
        self.position += 1;
        Position::from_u64(self.position)
    }

    fn run(&mut self, payload: Vec<u8>) {
        self.requests += 1;
        let command = Command {
            request_id: RequestId(self.requests),
            seen_version: Position::START,
            payload: Bytes::from(payload),
        };
        let position = self.next();
        self.group.push(Batch {
            commands: vec![(position, command.into_record(self.requests as i64))],
            ..Batch::default()
        });
        self.group.step(self.requests as i64).unwrap().unwrap();
        let position = self.next();
        for (_, answer) in self.group.committed(position).unwrap().replies {
            answer.unwrap();
        }
    }

    fn write_back(&mut self) {
        if let Some(work) = self.group.start_write_back(false) {
            work.run().unwrap();
            self.group.finish_write_back(&work);
        }
    }
}

fn meta(command: Meta) -> Vec<u8> {
    let command = MetadataCommand {
        version: 1,
        tenant: "default".to_owned(),
        command: Some(command),
        ..MetadataCommand::default()
    };
    command.encode_to_vec()
}

fn core(command: Core) -> Vec<u8> {
    let command = CoreCommand {
        version: 1,
        tenant: "default".to_owned(),
        command: Some(command),
        ..CoreCommand::default()
    };
    command.encode_to_vec()
}

fn def(name: &str) -> ExternalEventDefId {
    ExternalEventDefId {
        name: name.to_owned(),
    }
}

fn put(name: &str, number: u128) -> Vec<u8> {
    core(Core::PutExternalEvent(PutExternalEvent {
        request: Some(PutExternalEventRequest {
            wf_run_id: Some(WfRunId {
                id: "run".to_owned(),
                parent_wf_run_id: None,
            }),
            external_event_def_id: Some(def(name)),
            ..PutExternalEventRequest::default()
        }),
        guid: format!("{number:032x}"),
    }))
}

/// `wait` and `nop` in turn, for ever.
fn spec() -> PutWfSpecRequest {
    let node = |kind, sink: &str| Node {
        outgoing_edges: vec![Edge {
            sink_node_name: sink.to_owned(),
            ..Edge::default()
        }],
        node: Some(kind),
        ..Node::default()
    };
    let wait = Kind::ExternalEvent(ExternalEventNode {
        external_event_def_id: Some(def("go")),
        ..ExternalEventNode::default()
    });
    let exit = Node {
        node: Some(Kind::Exit(ExitNode::default())),
        ..Node::default()
    };
    let nodes = BTreeMap::from([
        (
            "entry".to_owned(),
            node(Kind::Entrypoint(EntrypointNode {}), "wait"),
        ),
        ("wait".to_owned(), node(wait, "nop")),
        ("nop".to_owned(), node(Kind::Nop(NopNode {}), "wait")),
        ("exit".to_owned(), exit),
    ]);
    let thread = ThreadSpec {
        nodes,
        ..ThreadSpec::default()
    };
    PutWfSpecRequest {
        name: "spec".to_owned(),
        thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
        entrypoint_thread_name: "main".to_owned(),
        ..PutWfSpecRequest::default()
    }
}

fn started() -> Member {
    let global = Arc::new(GlobalStore::new());
    let mut metadata = Member::new(GroupId::METADATA, Arc::new(Metadata::new(1)), &global);
    metadata.run(meta(Meta::Bootstrap(proto::ironhorse::v1::Bootstrap {})));
    for name in ["go", "other"] {
        metadata.run(meta(Meta::PutExternalEventDef(
            PutExternalEventDefRequest {
                name: name.to_owned(),
                ..PutExternalEventDefRequest::default()
            },
        )));
    }
    metadata.run(meta(Meta::PutWfSpec(spec())));
    let app = Arc::new(Workflows::new(Settings::new(1)));
    let mut core_group = Member::new(GroupId(0), app, &global);
    core_group.run(core(Core::RunWf(RunWf {
        request: Some(RunWfRequest {
            wf_spec_name: "spec".to_owned(),
            ..RunWfRequest::default()
        }),
        id: "run".to_owned(),
    })));
    core_group
}

/// Puts so many events before the clock starts, and then those that it measures.
fn steps(before: &str, count: u64, iterations: u64) -> Duration {
    let mut member = started();
    let mut number = 0;
    for _ in 0..count {
        number += 1;
        member.run(put(before, number));
        member.write_back();
    }
    let mut took = Duration::ZERO;
    for _ in 0..iterations {
        number += 1;
        let command = put("go", number);
        let begun = Instant::now();
        member.run(black_box(command));
        took += begun.elapsed();
        member.write_back();
    }
    took
}

fn bench(criterion: &mut Criterion) {
    for (group, before) in [
        ("a step with NodeRuns before it", "go"),
        ("a step with events nobody claims", "other"),
    ] {
        let mut group = criterion.benchmark_group(group);
        for count in [10, 1_000, 10_000, 100_000] {
            group.bench_with_input(
                BenchmarkId::from_parameter(count),
                &count,
                |bencher, count| {
                    bencher.iter_custom(|iterations| steps(before, *count, iterations));
                },
            );
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = bench
}
criterion_main!(benches);

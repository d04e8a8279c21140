//! What one task of a workflow costs the engine alone: no gRPC, no disk, one thread.
//!
//! A WfRun of ten tasks in a row; a worker always waits, so a report ends one task and claims the next, as it does under
//! load. One iteration is one such report, in batches of twenty.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark: it looks at the clock"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use index::{GlobalStore, MemoryBase, Options, Store};
use ironhorse_workflow::{self as workflow, Metadata, Settings, Workflows};
use mimalloc::MiMalloc;
use parking_lot::Mutex;
use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{CoreCommand, MetadataCommand, RunWf, WorkerIdentity};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, Node, PollTaskResponse, PutTaskDefRequest, PutWfSpecRequest,
    ReportTaskRun, RunWfRequest, ScheduledTask, TaskDefId, TaskNode, TaskStatus, ThreadSpec,
    ThreadVarDef, TypeDefinition, VariableAssignment, VariableDef, VariableType, VariableValue,
    report_task_run, type_definition, variable_value,
};
use runtime::{Application, Batch, Command, Consumer, Group, Limits, RequestId, Waiter, Waiting};
use wal::{GroupId, Position};

/// As in the server.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: usize = 20;
const TASKS: usize = 10;

/// A worker that keeps what it is given.
#[derive(Default)]
struct Worker(Mutex<VecDeque<Bytes>>);

impl Consumer for Worker {
    fn is_open(&self) -> bool {
        true
    }

    fn deliver(&self, payload: Bytes) {
        self.0.lock().push_back(payload);
    }
}

/// A group, and its log as positions only.
struct Bench {
    group: Group,
    waiting: Arc<Waiting>,
    position: u64,
    requests: u128,
}

impl Bench {
    fn new(id: GroupId, app: Arc<dyn Application>, global: &Arc<GlobalStore>) -> Bench {
        let base = Arc::new(MemoryBase::new());
        let store = Store::open(base, app.schema(), Options::default()).unwrap();
        let waiting = Arc::new(Waiting::new());
        let (waiters, global) = (Arc::clone(&waiting), Arc::clone(global));
        let limits = Limits::default();
        let group = Group::open(id, app, store, waiters, global, limits, Position::START).unwrap();
        Bench {
            group,
            waiting,
            position: 0,
            requests: 0,
        }
    }

    fn next(&mut self) -> Position {
        self.position += 1;
        Position::from_u64(self.position)
    }

    /// Executes commands as one batch, and commits it.
    fn run(&mut self, commands: Vec<Bytes>) {
        let mut batch = Batch::default();
        for payload in commands {
            self.requests += 1;
            let command = Command {
                request_id: RequestId(self.requests),
                seen_version: Position::START,
                payload,
            };
            let position = self.next();
            batch.commands.push((position, command.into_record(1)));
        }
        self.group.push(batch);
        self.group.step(1).unwrap().unwrap();
        let position = self.next();
        let released = self.group.committed(position).unwrap();
        for (_, answer) in released.replies {
            answer.unwrap();
        }
        for (waiter, payload) in released.deliveries {
            waiter.consumer.deliver(payload);
        }
    }

    /// What a thread of its own does.
    fn write_back(&mut self) {
        if let Some(work) = self.group.start_write_back(false) {
            work.run().unwrap();
            self.group.finish_write_back(&work);
        }
    }
}

fn text(len: usize, seed: u128) -> VariableValue {
    let text = format!("{:0>len$x}", seed.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C));
    VariableValue {
        value: Some(variable_value::Value::Str(text)),
    }
}

fn definitions() -> Vec<Bytes> {
    let input = VariableDef {
        name: "input".to_owned(),
        type_def: Some(TypeDefinition {
            defined_type: Some(type_definition::DefinedType::PrimitiveType(
                VariableType::Str.into(),
            )),
            ..TypeDefinition::default()
        }),
        ..VariableDef::default()
    };
    let task = TaskNode {
        task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
            name: "task".to_owned(),
        })),
        variables: vec![VariableAssignment {
            source: Some(Source::VariableName("input".to_owned())),
            ..VariableAssignment::default()
        }],
        ..TaskNode::default()
    };
    let node = |kind, sink: Option<String>| Node {
        outgoing_edges: sink
            .map(|sink_node_name| Edge {
                sink_node_name,
                ..Edge::default()
            })
            .into_iter()
            .collect(),
        node: Some(kind),
        ..Node::default()
    };
    let name = |number: usize| match number {
        0 => "0-entrypoint-ENTRYPOINT".to_owned(),
        number if number > TASKS => "exit".to_owned(),
        number => format!("{number}-task-TASK"),
    };
    let nodes = (0..=TASKS + 1)
        .map(|number| {
            let kind = match number {
                0 => Kind::Entrypoint(EntrypointNode {}),
                number if number > TASKS => Kind::Exit(ExitNode::default()),
                _ => Kind::Task(task.clone()),
            };
            let sink = (number <= TASKS).then(|| name(number + 1));
            (name(number), node(kind, sink))
        })
        .collect();
    let thread = ThreadSpec {
        nodes,
        variable_defs: vec![ThreadVarDef {
            var_def: Some(input.clone()),
            required: true,
            ..ThreadVarDef::default()
        }],
        ..ThreadSpec::default()
    };
    [
        Meta::Bootstrap(proto::ironhorse::v1::Bootstrap {}),
        Meta::PutTaskDef(PutTaskDefRequest {
            name: "task".to_owned(),
            input_vars: vec![input],
            ..PutTaskDefRequest::default()
        }),
        Meta::PutWfSpec(PutWfSpecRequest {
            name: "spec".to_owned(),
            thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
            entrypoint_thread_name: "main".to_owned(),
            ..PutWfSpecRequest::default()
        }),
    ]
    .into_iter()
    .map(|command| {
        let command = MetadataCommand {
            version: 1,
            tenant: "default".to_owned(),
            principal: "anonymous".to_owned(),
            command: Some(command),
        };
        Bytes::from(command.encode_to_vec())
    })
    .collect()
}

fn core(command: Core) -> Bytes {
    let command = CoreCommand {
        version: 1,
        tenant: "default".to_owned(),
        principal: "anonymous".to_owned(),
        command: Some(command),
    };
    Bytes::from(command.encode_to_vec())
}

fn start(number: u128) -> Bytes {
    core(Core::RunWf(RunWf {
        request: Some(RunWfRequest {
            wf_spec_name: "spec".to_owned(),
            variables: BTreeMap::from([("input".to_owned(), text(100, number))]),
            ..RunWfRequest::default()
        }),
        id: format!("{number:x}"),
    }))
}

fn report(task: ScheduledTask, seed: u128) -> Bytes {
    core(Core::ReportTask(ReportTaskRun {
        task_run_id: task.task_run_id,
        time: task.created_at,
        status: TaskStatus::TaskSuccess.into(),
        attempt_number: task.attempt_number,
        result: Some(report_task_run::Result::Output(text(100, seed))),
        ..ReportTaskRun::default()
    }))
}

/// Executes `count` reports, and as many RunWf as they need; gives the time that the group took.
fn reports(count: u64) -> Duration {
    let global = Arc::new(GlobalStore::new());
    let mut metadata = Bench::new(GroupId::METADATA, Arc::new(Metadata::new(1)), &global);
    for command in definitions() {
        metadata.run(vec![command]);
    }
    let mut core = Bench::new(
        GroupId(0),
        Arc::new(Workflows::new(Settings::new(1))),
        &global,
    );
    let worker = Arc::new(Worker::default());
    let waiter = Waiter {
        queue: workflow::key::task_queue("default", "task"),
        identity: Bytes::from(WorkerIdentity::default().encode_to_vec()),
        consumer: Arc::clone(&worker) as Arc<dyn Consumer>,
        ticket: 0,
    };
    let (mut took, mut done, mut runs) = (Duration::ZERO, 0, 0);
    while done < count {
        let mut commands = Vec::with_capacity(BATCH);
        while commands.len() < BATCH {
            let task = worker.0.lock().pop_front();
            let command = if let Some(task) = task {
                done += 1;
                let task = PollTaskResponse::decode(task).unwrap().result.unwrap();
                report(task, u128::from(done))
            } else {
                runs += 1;
                start(runs)
            };
            core.waiting.wait(waiter.clone());
            commands.push(command);
        }
        let start = Instant::now();
        core.run(commands);
        took += start.elapsed();
        core.write_back();
    }
    took
}

fn bench(criterion: &mut Criterion) {
    criterion.bench_function("report and next claim", |bencher| {
        bencher.iter_custom(reports);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(8));
    targets = bench
}
criterion_main!(benches);

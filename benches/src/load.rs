//! A load: WfRuns of sequential tasks, and the workers that execute them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::node::Node as NodeKind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, Node, PutTaskDefRequest, PutWfSpecRequest, RunWfRequest,
    TaskDefId, TaskNode, ThreadSpec, ThreadVarDef, TypeDefinition, VariableAssignment, VariableDef,
    VariableType, VariableValue, type_definition, variable_value,
};
use serde::Serialize;
use tonic::transport::Channel;

use crate::ceiling::connect;
use crate::stats::{Latency, Stats};
use crate::under_test::{UnderTest, cpu_of};
use crate::{BenchError, report, worker};

/// What to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub connections: usize,
    /// Poll streams on each connection.
    pub streams: usize,
    /// WfRuns under way in a closed loop; also the tasks that workers wait for.
    pub in_flight: usize,
    /// Sequential tasks of each WfRun.
    pub tasks: u32,
    /// WfRuns a second in an open loop.
    pub rate: Option<f64>,
    pub warm_up: Duration,
    pub measured: Duration,
    /// Bytes of a task's input and output.
    pub payload: usize,
    /// Number of the first WfRun: its id. No two loads of one server may share any.
    pub first: u64,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Load {
    pub tasks_per_wf_run: u32,
    pub mode: &'static str,
    pub connections: usize,
    pub in_flight: usize,
    pub seconds: f64,
    pub task_runs_per_second: f64,
    pub wf_runs_per_second: f64,
    pub failed_calls: u64,
    /// One more than the number of the last WfRun.
    pub next: u64,
    pub server_cpu_us_per_task_run: f64,
    pub generator_cpu_us_per_task_run: f64,
    pub log_bytes_per_task_run: f64,
    pub store_bytes_per_task_run: f64,
    pub disk_bytes_per_task_run: f64,
    pub peak_memory_mib: f64,
    pub run_wf: Latency,
    pub schedule_to_delivery: Latency,
    pub report_to_next_delivery: Latency,
    pub whole_wf_run: Latency,
}

pub(crate) const TASK: &str = "bench-task";
pub(crate) const SPEC: &str = "bench";
/// How long a WfRun may still take after the last one was started.
const DRAIN: Duration = Duration::from_secs(20);

/// A WfRun under way.
pub(crate) struct Running {
    pub started: Instant,
    /// When the latest report was sent.
    pub reported: Option<Instant>,
    pub done: u32,
}

/// What runners and workers share.
pub(crate) struct Shared {
    pub stats: Stats,
    pub tasks: u32,
    /// Bytes of a task's input and output.
    payload: usize,
    pub closed_loop: bool,
    pub stop: AtomicBool,
    running: [Mutex<HashMap<String, Running>>; 16],
    next: AtomicU64,
    outputs: AtomicU64,
    channels: Vec<Channel>,
}

impl Shared {
    /// Does something with the WfRun of an id, if it is one of ours.
    pub(crate) fn with<T>(&self, id: &str, act: impl FnOnce(&mut Running) -> T) -> Option<T> {
        self.shard(id).lock().get_mut(id).map(act)
    }

    fn shard(&self, id: &str) -> &Mutex<HashMap<String, Running>> {
        let last = id.bytes().last().unwrap_or_default();
        &self.running[usize::from(last) % self.running.len()]
    }

    /// The last task of a WfRun is reported: in a closed loop the next one starts.
    pub(crate) fn ended(self: &Arc<Shared>, id: &str) {
        if let Some(run) = self.shard(id).lock().remove(id) {
            self.stats.wf_runs.fetch_add(1, Ordering::Relaxed);
            self.stats
                .record(&self.stats.whole_wf_run, run.started.elapsed());
        }
        if self.closed_loop {
            self.launch();
        }
    }

    /// The output of the next task.
    pub(crate) fn output(&self) -> VariableValue {
        payload(self.outputs.fetch_add(1, Ordering::Relaxed), self.payload)
    }

    /// Starts a WfRun.
    pub(crate) fn launch(self: &Arc<Shared>) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let channel = self.channels[number as usize % self.channels.len()].clone();
        tokio::spawn(Arc::clone(self).run_wf(number, channel));
    }

    async fn run_wf(self: Arc<Shared>, number: u64, channel: Channel) {
        let id = format!("{number:x}");
        let started = Instant::now();
        let run = Running {
            started,
            reported: None,
            done: 0,
        };
        self.shard(&id).lock().insert(id.clone(), run);
        let request = RunWfRequest {
            wf_spec_name: SPEC.to_owned(),
            id: Some(id.clone()),
            variables: BTreeMap::from([("input".to_owned(), payload(number, self.payload))]),
            ..RunWfRequest::default()
        };
        match LittleHorseClient::new(channel).run_wf(request).await {
            Ok(_) => self.stats.record(&self.stats.run_wf, started.elapsed()),
            Err(status) => {
                self.failed("RunWf", &status);
                self.shard(&id).lock().remove(&id);
            }
        }
    }

    /// Counts a failed call and says the first.
    pub(crate) fn failed(&self, what: &str, status: &tonic::Status) {
        if self.stats.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            report::progress(&format!("first failure: {what}: {status}"));
        }
    }

    fn under_way(&self) -> usize {
        self.running.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// A STR value of that many bytes, another one for each seed, that compresses no better than letters and digits do.
fn payload(seed: u64, bytes: usize) -> VariableValue {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    // Xorshift64, from a seed that is never 0.
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let text = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(LETTERS[(state >> 58) as usize])
        })
        .collect();
    VariableValue {
        value: Some(variable_value::Value::Str(text)),
    }
}

/// Runs a load against a server, with progress on standard error.
pub(crate) async fn run(server: &UnderTest, plan: &Plan) -> Result<Load, BenchError> {
    let channels = connect(&server.address, plan.connections).await?;
    register(channels[0].clone(), plan.tasks).await?;
    let shared = Arc::new(Shared {
        stats: Stats::new(),
        tasks: plan.tasks,
        payload: plan.payload,
        closed_loop: plan.rate.is_none(),
        stop: AtomicBool::new(false),
        running: Default::default(),
        next: AtomicU64::new(plan.first),
        outputs: AtomicU64::new(1 << 32),
        channels: channels.clone(),
    });
    let streams = plan.connections * plan.streams;
    let credits = plan.in_flight.div_ceil(streams).max(1);
    let mut workers = Vec::new();
    for number in 0..streams {
        let channel = channels[number % channels.len()].clone();
        workers.push(tokio::spawn(worker::work(
            Arc::clone(&shared),
            channel,
            number,
            credits,
        )));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let starter = tokio::spawn(start(Arc::clone(&shared), plan.clone()));

    watch(&shared, plan.warm_up).await;
    let (used, own, start) = (server.used().await?, own_cpu()?, Instant::now());
    let before = shared.stats.task_runs.load(Ordering::Relaxed);
    let before_runs = shared.stats.wf_runs.load(Ordering::Relaxed);
    shared.stats.measure(true);
    watch(&shared, plan.measured).await;
    shared.stats.measure(false);
    let task_runs = (shared.stats.task_runs.load(Ordering::Relaxed) - before) as f64;
    let wf_runs = (shared.stats.wf_runs.load(Ordering::Relaxed) - before_runs) as f64;
    let seconds = start.elapsed().as_secs_f64();
    let (used_now, own_now) = (server.used().await?, own_cpu()?);

    shared.stop.store(true, Ordering::Relaxed);
    starter.abort();
    drain(&shared).await?;
    for worker in workers {
        worker.abort();
    }
    let per_task_run = |total: f64| total / task_runs.max(1.0);
    Ok(Load {
        tasks_per_wf_run: plan.tasks,
        mode: if shared.closed_loop { "closed" } else { "open" },
        connections: plan.connections,
        in_flight: plan.in_flight,
        seconds,
        task_runs_per_second: task_runs / seconds,
        wf_runs_per_second: wf_runs / seconds,
        next: shared.next.load(Ordering::Relaxed),
        failed_calls: shared.stats.failed.load(Ordering::Relaxed),
        server_cpu_us_per_task_run: per_task_run(
            used_now
                .cpu
                .checked_sub(used.cpu)
                .unwrap_or_default()
                .as_secs_f64()
                * 1e6,
        ),
        generator_cpu_us_per_task_run: per_task_run(
            own_now.checked_sub(own).unwrap_or_default().as_secs_f64() * 1e6,
        ),
        log_bytes_per_task_run: per_task_run((used_now.log_bytes - used.log_bytes) as f64),
        store_bytes_per_task_run: per_task_run((used_now.store_bytes - used.store_bytes) as f64),
        disk_bytes_per_task_run: per_task_run((used_now.disk_bytes - used.disk_bytes) as f64),
        peak_memory_mib: used_now.peak_bytes as f64 / f64::from(1 << 20),
        run_wf: shared.stats.run_wf.latency(),
        schedule_to_delivery: shared.stats.schedule_to_delivery.latency(),
        report_to_next_delivery: shared.stats.report_to_next.latency(),
        whole_wf_run: shared.stats.whole_wf_run.latency(),
    })
}

fn own_cpu() -> Result<Duration, BenchError> {
    cpu_of(std::process::id())
}

/// Starts WfRuns: all at once in a closed loop, at a steady rate in an open one.
async fn start(shared: Arc<Shared>, plan: Plan) {
    let Some(rate) = plan.rate else {
        for _ in 0..plan.in_flight {
            shared.launch();
        }
        return;
    };
    let begin = Instant::now();
    let mut launched = 0u64;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tick.tick().await;
        let due = (begin.elapsed().as_secs_f64() * rate) as u64;
        while launched < due {
            shared.launch();
            launched += 1;
        }
    }
}

/// Lets time pass, and says each second how it goes.
async fn watch(shared: &Shared, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let before = shared.stats.task_runs.load(Ordering::Relaxed);
        let start = Instant::now();
        let step = Duration::from_secs(1).min(end - start);
        tokio::time::sleep(step).await;
        let done = shared.stats.task_runs.load(Ordering::Relaxed) - before;
        report::progress(&format!(
            "{:>7.0} TaskRuns/s, {} WfRuns under way, {} calls failed",
            done as f64 / start.elapsed().as_secs_f64(),
            shared.under_way(),
            shared.stats.failed.load(Ordering::Relaxed),
        ));
    }
}

/// Waits until every WfRun that was started has ended: a benchmark that loses some is not worth its figures.
async fn drain(shared: &Shared) -> Result<(), BenchError> {
    let start = Instant::now();
    while shared.under_way() > 0 {
        if start.elapsed() > DRAIN {
            return Err(BenchError(format!(
                "{} WfRuns have not ended {DRAIN:?} after the last start",
                shared.under_way()
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn register(channel: Channel, tasks: u32) -> Result<(), BenchError> {
    let mut client = LittleHorseClient::new(channel);
    let input = VariableDef {
        name: "input".to_owned(),
        type_def: Some(str_type()),
        ..VariableDef::default()
    };
    let task_def = PutTaskDefRequest {
        name: TASK.to_owned(),
        input_vars: vec![input.clone()],
        ..PutTaskDefRequest::default()
    };
    client
        .put_task_def(task_def)
        .await
        .map_err(|status| BenchError::new("PutTaskDef", status))?;
    let thread = ThreadSpec {
        nodes: nodes(tasks),
        variable_defs: vec![ThreadVarDef {
            var_def: Some(input),
            required: true,
            ..ThreadVarDef::default()
        }],
        ..ThreadSpec::default()
    };
    let wf_spec = PutWfSpecRequest {
        name: SPEC.to_owned(),
        thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
        entrypoint_thread_name: "main".to_owned(),
        ..PutWfSpecRequest::default()
    };
    client
        .put_wf_spec(wf_spec)
        .await
        .map(|_| ())
        .map_err(|status| BenchError::new("PutWfSpec", status))
}

fn str_type() -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(type_definition::DefinedType::PrimitiveType(
            VariableType::Str.into(),
        )),
        ..TypeDefinition::default()
    }
}

/// Entrypoint, the tasks one after the other, exit; named as the clients do.
fn nodes(tasks: u32) -> BTreeMap<String, Node> {
    let task_name = |number: u32| format!("{number}-{TASK}-TASK");
    let to = |sink: String| {
        vec![Edge {
            sink_node_name: sink,
            ..Edge::default()
        }]
    };
    let exit = format!("{}-exit-EXIT", tasks + 1);
    let after = |number: u32| {
        if number == tasks {
            exit.clone()
        } else {
            task_name(number + 1)
        }
    };
    let node = |edges, kind| Node {
        outgoing_edges: edges,
        node: Some(kind),
        ..Node::default()
    };
    let mut nodes = BTreeMap::from([
        (
            "0-entrypoint-ENTRYPOINT".to_owned(),
            node(to(after(0)), NodeKind::Entrypoint(EntrypointNode {})),
        ),
        (
            exit.clone(),
            node(Vec::new(), NodeKind::Exit(ExitNode::default())),
        ),
    ]);
    for number in 1..=tasks {
        let task = TaskNode {
            task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
                name: TASK.to_owned(),
            })),
            variables: vec![VariableAssignment {
                source: Some(Source::VariableName("input".to_owned())),
                ..VariableAssignment::default()
            }],
            ..TaskNode::default()
        };
        nodes.insert(
            task_name(number),
            node(to(after(number)), NodeKind::Task(task)),
        );
    }
    nodes
}

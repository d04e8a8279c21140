//! The real server is killed again and again under load: nothing acknowledged is lost, nothing is delivered twice, and
//! what is on disk is what the log says.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use index::{Base, Family, KeyRange, MemoryBase, Options, Store};
use index_rocks::{RocksBase, Shared as RocksShared};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    LhStatus, ListTaskRunsRequest, PollTaskRequest, ReportTaskRun, ScheduledTask, TaskDefId,
    TaskNode, TaskStatus, VariableType,
};
use runtime::Application;
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use wal::embedded::EmbeddedLog;
use wal::{GroupId, Log};
use wal_kafka::KafkaLog;
use workflow::{Metadata, Workflows};

use crate::support::*;

const GROUPS: u16 = 4;
/// WfRuns under way at a time.
const UNDER_WAY: usize = 100;
const WORKERS: usize = 4;
const POLLS: usize = 8;
/// How long a call may take; all of them can be repeated.
const CALL: Duration = Duration::from_secs(3);

/// What the clients share.
struct Clients {
    /// Where the server is, or was.
    address: watch::Receiver<String>,
    delivered: Mutex<BTreeSet<(String, String, i32)>>,
    acknowledged: AtomicU32,
}

/// Whether a call may have failed only because the server died.
fn is_broken(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
    )
}

impl Clients {
    async fn client(&self) -> Client {
        loop {
            let address = format!("http://{}", *self.address.borrow());
            // A call on a channel that breaks in the same moment may never end by itself.
            let endpoint = Endpoint::from_shared(address).unwrap().timeout(CALL);
            if let Ok(channel) = endpoint.connect().await {
                return Client::new(channel);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Calls until the answer is not that of a dying server; `Ok` also if an earlier try took effect.
    async fn call<T, F: Future<Output = Result<T, Status>>>(
        &self,
        client: &mut Client,
        mut call: impl FnMut(Client) -> F,
    ) -> Result<(), Status> {
        let mut tries = 0;
        loop {
            match call(client.clone()).await {
                Ok(_) => return Ok(()),
                Err(status) if status.code() == Code::AlreadyExists && tries > 0 => return Ok(()),
                Err(status) if is_broken(&status) => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    *client = self.client().await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// Starts a WfRun and gives it its event, before or after.
    async fn run(&self, number: u32) {
        let mut client = self.client().await;
        let id = format!("run-{number}");
        let event = put_event(&id, "go", "once", int(i64::from(number)));
        let start = run_request("work", &id, &[("x", int(i64::from(number)))]);
        if number.is_multiple_of(3) {
            let put = |mut to: Client| {
                let event = event.clone();
                async move { to.put_external_event(event).await }
            };
            self.call(&mut client, put).await.unwrap();
        }
        let run = |mut to: Client| {
            let start = start.clone();
            async move { to.run_wf(start).await }
        };
        self.call(&mut client, run).await.unwrap();
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        if !number.is_multiple_of(3) {
            let put = |mut to: Client| {
                let event = event.clone();
                async move { to.put_external_event(event).await }
            };
            self.call(&mut client, put).await.unwrap();
        }
    }

    /// Polls and reports, over all crashes, until aborted.
    async fn work(self: Arc<Clients>, name: String) {
        loop {
            let client = self.client().await;
            // It ends when the server dies.
            let _ = self.work_on(client, &name).await;
        }
    }

    async fn work_on(self: &Arc<Clients>, mut client: Client, name: &str) -> Result<(), Status> {
        let poll = PollTaskRequest {
            task_def_id: Some(TaskDefId {
                name: "double".to_owned(),
            }),
            client_id: name.to_owned(),
            task_worker_version: None,
        };
        let (requests, receiver) = tokio::sync::mpsc::channel(POLLS);
        for _ in 0..POLLS {
            requests.send(poll.clone()).await.unwrap();
        }
        let mut answers = client
            .poll_task(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        while let Some(answer) = answers.message().await? {
            let task = answer.result.expect("a task");
            self.note(&task);
            let (clients, client) = (Arc::clone(self), client.clone());
            tokio::spawn(async move { clients.report(client, task).await });
            if requests.send(poll.clone()).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Every attempt is delivered once.
    fn note(&self, task: &ScheduledTask) {
        let id = task.task_run_id.clone().unwrap();
        let run = id.wf_run_id.unwrap().id;
        let delivery = (run, id.task_guid, task.attempt_number);
        let is_new = self.delivered.lock().unwrap().insert(delivery.clone());
        assert!(is_new, "delivered twice: {delivery:?}");
    }

    /// Like the official workers: again until somebody takes it.
    async fn report(&self, mut client: Client, task: ScheduledTask) {
        let input = task.variables[0].value.clone().unwrap();
        let report = success(&task, Some(input));
        let send = |mut to: Client| {
            let report: ReportTaskRun = report.clone();
            async move { to.report_task(report).await }
        };
        self.call(&mut client, send).await.unwrap();
    }
}

fn workflow() -> Vec<Kind> {
    let step = || {
        Kind::Task(TaskNode {
            // A task whose delivery died with the server comes again.
            retries: 100,
            timeout_seconds: 1,
            ..task("double", vec![variable("x")])
        })
    };
    vec![step(), event("go"), step()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_comes_twice_over_twenty_kills() {
    let dir = tempfile::tempdir().unwrap();
    let data = data_dir(&dir);
    over_kills(2_000, 20, || ServerProcess::spawn(&data, GROUPS)).await;
    let log = EmbeddedLog::open(&data.join("log"), wal::embedded::Options::default()).unwrap();
    for group in (0..GROUPS).map(GroupId).chain([GroupId::METADATA]) {
        state_is_the_fold_of_the_log(&*log, &data, group);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_kafka() {
    let Some(brokers) = tokio::task::spawn_blocking(wal_kafka::testing::shared)
        .await
        .unwrap()
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = data_dir(&dir);
    let options = wal_kafka::testing::options(&brokers, GROUPS, 1);
    let flags = [
        "--kafka",
        &brokers,
        "--kafka-replication",
        "1",
        "--cluster-id",
        &options.cluster,
    ];
    over_kills(200, 3, || ServerProcess::spawn_with(&data, GROUPS, &flags)).await;
    tokio::task::spawn_blocking(move || {
        let log = KafkaLog::open(options).unwrap();
        for group in (0..GROUPS).map(GroupId).chain([GroupId::METADATA]) {
            state_is_the_fold_of_the_log(&*log, &data, group);
        }
    })
    .await
    .unwrap();
}

/// Starts `runs` WfRuns and kills the server that `spawn` starts `kills` times meanwhile.
async fn over_kills(runs: u32, kills: u32, spawn: impl Fn() -> ServerProcess) {
    let mut server = spawn();
    let (moved, address) = watch::channel(server.address());
    let clients = Arc::new(Clients {
        address,
        delivered: Mutex::default(),
        acknowledged: AtomicU32::new(0),
    });
    let mut client = clients.client().await;
    let x = var_def("x", VariableType::Int);
    client
        .define_task(task_def(
            "double",
            std::slice::from_ref(&x),
            Some(VariableType::Int),
        ))
        .await;
    client.define_event("go").await;
    client
        .define(sequence("work", vec![required(x)], workflow()))
        .await;

    let mut working = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        working.spawn(Arc::clone(&clients).work(format!("worker-{number}")));
    }
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let mut running = tokio::task::JoinSet::new();
    let starter = Arc::clone(&clients);
    let starting = tokio::spawn(async move {
        for number in 0..runs {
            let place = Arc::clone(&room).acquire_owned().await.unwrap();
            let clients = Arc::clone(&starter);
            running.spawn(async move {
                clients.run(number).await;
                drop(place);
            });
        }
        running.join_all().await;
    });

    for kill in 1..=kills {
        // Each at another moment of the work: also while the server starts.
        let enough = kill * (runs / (kills + 2));
        while clients.acknowledged.load(Ordering::SeqCst) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        if kill % 4 == 0 {
            let starting = spawn();
            tokio::time::sleep(Duration::from_millis(u64::from(kill) * 3)).await;
            starting.kill();
        }
        server = spawn();
        moved.send(server.address()).unwrap();
    }
    tokio::time::timeout(PATIENCE, starting)
        .await
        .expect("all WfRuns are acknowledged in time")
        .unwrap();
    assert_eq!(clients.acknowledged.load(Ordering::SeqCst), runs);

    let mut client = clients.client().await;
    let mut attempts = 0;
    for number in 0..runs {
        let run = client.ended(&format!("run-{number}")).await;
        assert_eq!(run.status(), LhStatus::Completed, "{run:?}");
        let request = ListTaskRunsRequest {
            wf_run_id: run.id,
            ..ListTaskRunsRequest::default()
        };
        let tasks = client.list_task_runs(request).await.unwrap().into_inner();
        assert_eq!(tasks.results.len(), 2);
        for task in tasks.results {
            assert_eq!(task.status(), TaskStatus::TaskSuccess);
            attempts += task.attempts.len();
        }
    }
    let delivered = clients.delivered.lock().unwrap().len();
    assert!(delivered >= 2 * runs as usize && delivered <= attempts);
    working.shutdown().await;
    server.kill();
}

/// The base store, brought up to date with the log's suffix, holds what the whole log amounts to.
fn state_is_the_fold_of_the_log(log: &dyn Log, data: &Path, group: GroupId) {
    let app: Arc<dyn Application> = if group == GroupId::METADATA {
        Arc::new(Metadata::new(GROUPS))
    } else {
        Arc::new(Workflows)
    };
    let path = data.join("groups").join(group.to_string());
    let rocks = RocksBase::open(&path, &RocksShared::new(1 << 20, 1 << 20)).unwrap();
    let [mut kept, mut folded] = [rocks as Arc<dyn Base>, Arc::new(MemoryBase::new())]
        .map(|base| Store::open(base, app.schema(), Options::default()).unwrap());
    // Records may come late from a broker.
    let deadline = Instant::now() + PATIENCE;
    loop {
        for store in [&mut kept, &mut folded] {
            runtime::fold(log, group, store).unwrap();
        }
        if kept.applied().is_some() && kept.applied() == folded.applied() {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{group}: {:?}, and the log has {:?}",
            kept.applied(),
            folded.applied()
        );
    }
    let all = KeyRange::prefix(&[]);
    for family in Family::ALL {
        let kept = kept.scan(family, &all, usize::MAX, false).unwrap();
        let folded = folded.scan(family, &all, usize::MAX, false).unwrap();
        assert!(!kept.is_empty() || family != Family::State, "{group}");
        assert_eq!(kept.len(), folded.len(), "{group}, {family:?}");
        assert!(kept == folded, "{group}, {family:?}");
    }
}

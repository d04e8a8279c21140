//! What many timers that are due in one millisecond cost those who work meanwhile: `ironhorse-bench timers`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::node::Node as NodeKind;
use proto::littlehorse::sleep_node::SleepLength;
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, LhStatus, Node, PutWfSpecRequest, RunWfRequest,
    SearchWfRunRequest, SleepNode, ThreadSpec, VariableAssignment, VariableValue, variable_value,
};
use serde::Serialize;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::ceiling::connect;
use crate::load::{self, Load, Plan};
use crate::under_test::UnderTest;
use crate::{BenchError, TimersFlags, report};

const SPEC: &str = "bench-sleep";
/// Callers that start sleepers.
const CALLERS: u64 = 256;
/// How long all timers may take once they are due.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(Debug, Serialize)]
struct Figures {
    timers: u64,
    overdue: bool,
    /// From the due time, or from the restart, to the end of the last WfRun.
    fired_in_seconds: f64,
    without: Load,
    during: Load,
}

pub(crate) async fn run(flags: &TimersFlags) -> Result<(), BenchError> {
    let scratch = flags.place.scratch()?;
    let data = scratch.path().join("data");
    let mut server = UnderTest::start_on(&data, flags.groups).await?;
    let mut plan = flags.load.plan(4, 1, Some(flags.rate));
    let without = load::run(&server, &plan).await?;
    let due = SystemTime::now() + Duration::from_secs(flags.after);
    let channels = connect(&server.address, 4).await?;
    define(channels[0].clone(), due).await?;
    sleepers(&channels, flags.timers).await?;
    let left = due.duration_since(SystemTime::now()).map_err(|_| {
        BenchError("the timers were due before all were set: raise --after".to_owned())
    })?;
    if flags.overdue {
        server.kill().await?;
        tokio::time::sleep(left).await;
        server = UnderTest::start_on(&data, flags.groups).await?;
    } else {
        tokio::time::sleep(left.saturating_sub(plan.warm_up)).await;
        plan.warm_up = plan.warm_up.min(left);
    }
    let begin = if flags.overdue {
        SystemTime::now()
    } else {
        due
    };
    plan = Plan {
        first: without.next,
        ..plan
    };
    let channel = connect(&server.address, 1).await?.remove(0);
    let (during, fired) = tokio::join!(load::run(&server, &plan), all_awake(channel, begin));
    let (during, fired) = (during?, fired?);
    server.stop().await?;
    report::loads(
        &[("without timers", &without), ("while they fire", &during)],
        None,
    );
    report::line(&format!(
        "{} timers {}: fired in {:.1} s; p99 of RunWf {:.2} of that without",
        flags.timers,
        if flags.overdue {
            "overdue"
        } else {
            "due at once"
        },
        fired.as_secs_f64(),
        during.run_wf.p99 as f64 / without.run_wf.p99 as f64
    ));
    report::json(
        flags.place.json.as_deref(),
        &Figures {
            timers: flags.timers,
            overdue: flags.overdue,
            fired_in_seconds: fired.as_secs_f64(),
            without,
            during,
        },
    )
}

/// A WfSpec that sleeps until a moment.
async fn define(channel: Channel, due: SystemTime) -> Result<(), BenchError> {
    let literal = VariableValue {
        value: Some(variable_value::Value::UtcTimestamp(due.into())),
    };
    let sleep = SleepNode {
        sleep_length: Some(SleepLength::Timestamp(VariableAssignment {
            source: Some(Source::LiteralValue(literal)),
            ..VariableAssignment::default()
        })),
    };
    let node = |sink: Option<&str>, kind| Node {
        outgoing_edges: sink
            .map(|sink| Edge {
                sink_node_name: sink.to_owned(),
                ..Edge::default()
            })
            .into_iter()
            .collect(),
        node: Some(kind),
        ..Node::default()
    };
    let nodes = BTreeMap::from([
        (
            "0-entrypoint-ENTRYPOINT".to_owned(),
            node(
                Some("1-sleep-SLEEP"),
                NodeKind::Entrypoint(EntrypointNode {}),
            ),
        ),
        (
            "1-sleep-SLEEP".to_owned(),
            node(Some("2-exit-EXIT"), NodeKind::Sleep(sleep)),
        ),
        (
            "2-exit-EXIT".to_owned(),
            node(None, NodeKind::Exit(ExitNode::default())),
        ),
    ]);
    let thread = ThreadSpec {
        nodes,
        ..ThreadSpec::default()
    };
    let wf_spec = PutWfSpecRequest {
        name: SPEC.to_owned(),
        thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
        entrypoint_thread_name: "main".to_owned(),
        ..PutWfSpecRequest::default()
    };
    LittleHorseClient::new(channel)
        .put_wf_spec(wf_spec)
        .await
        .map(|_| ())
        .map_err(|status| BenchError::new("PutWfSpec", status))
}

/// Starts so many WfRuns that sleep.
async fn sleepers(channels: &[Channel], count: u64) -> Result<(), BenchError> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let channel = channels[caller as usize % channels.len()].clone();
        callers.spawn(async move {
            let mut client = LittleHorseClient::new(channel);
            for number in (caller..count).step_by(CALLERS as usize) {
                let request = RunWfRequest {
                    wf_spec_name: SPEC.to_owned(),
                    id: Some(format!("sleeper-{number:x}")),
                    ..RunWfRequest::default()
                };
                client.run_wf(request).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended
            .map_err(|error| BenchError::new("caller", error))?
            .map_err(|status| BenchError::new("RunWf of a sleeper", status))?;
    }
    Ok(())
}

/// Waits until no sleeper is left; how long after `begin` that is.
async fn all_awake(channel: Channel, begin: SystemTime) -> Result<Duration, BenchError> {
    let mut client = LittleHorseClient::new(channel);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let request = SearchWfRunRequest {
            wf_spec_name: SPEC.to_owned(),
            status: Some(LhStatus::Running.into()),
            limit: Some(1),
            ..SearchWfRunRequest::default()
        };
        let found = client
            .search_wf_run(request)
            .await
            .map_err(|status| BenchError::new("SearchWfRun", status))?;
        if found.into_inner().results.is_empty() {
            return begin
                .elapsed()
                .map_err(|_| BenchError("all timers fired before they were due".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(BenchError(format!(
        "timers are left {PATIENCE:?} after they were due"
    )))
}

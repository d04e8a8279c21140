//! `ironhorse-bench all`: everything in one run, so that the figures can be set against each other.

use std::time::Duration;

use serde::Serialize;

use crate::ceiling::{self, Ceiling};
use crate::disk::{self, Disk};
use crate::load::{self, Load};
use crate::under_test::UnderTest;
use crate::{AllFlags, BenchError, report};

/// One round: what the machine gave, and what the server made of it.
#[derive(Debug, Serialize)]
struct Round {
    ceiling: Ceiling,
    ten_tasks: Load,
    one_task: Load,
}

#[derive(Debug, Serialize)]
struct Figures<'a> {
    disk: Disk,
    cold_start_ms: f64,
    idle_memory_mib: f64,
    rounds: &'a [Round],
    /// Medians over the rounds.
    ceiling: f64,
    of_ceiling_ten_tasks: f64,
    half_load: &'a Load,
}

const STARTS: usize = 5;

pub(crate) async fn run(flags: &AllFlags) -> Result<(), BenchError> {
    let scratch = flags.place.scratch()?;
    let disk = disk::measure(scratch.path())?;
    let (cold_start_ms, idle_memory_mib) = start_up(scratch.path()).await?;
    let mut known = ceiling::measure().await?;
    let mut rounds = Vec::new();
    for number in 1..=flags.rounds.max(1) {
        if number > 1 {
            known = ceiling::remeasure(&known).await?;
        }
        let connections = known.unary.connections;
        report::progress(&format!("round {number}: WfRuns of 10 tasks"));
        let ten_tasks = one(flags, scratch.path(), connections, 10, None).await?;
        report::progress(&format!("round {number}: WfRuns of 1 task"));
        let one_task = one(flags, scratch.path(), connections, 1, None).await?;
        rounds.push(Round {
            ceiling: known,
            ten_tasks,
            one_task,
        });
    }
    // The round in the middle by its ratio stands for all.
    rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let middle = &rounds[rounds.len() / 2];
    let rate = middle.ten_tasks.wf_runs_per_second / 2.0;
    report::progress(&format!("half load: {rate:.0} WfRuns/s"));
    let connections = middle.ceiling.unary.connections;
    let half_load = one(flags, scratch.path(), connections, 10, Some(rate)).await?;

    report::ceiling(&middle.ceiling, &disk);
    report::line(&format!(
        "cold start {cold_start_ms:.0} ms, idle memory {idle_memory_mib:.1} MiB"
    ));
    report::loads(
        &[
            ("10 tasks", &middle.ten_tasks),
            ("1 task", &middle.one_task),
            ("10 tasks, half", &half_load),
        ],
        Some(middle.ceiling.ceiling),
    );
    let ratios: Vec<String> = rounds
        .iter()
        .map(|round| format!("{:.2}", ratio(round)))
        .collect();
    report::line(&format!(
        "10 tasks, of C, in each round: {}",
        ratios.join(", ")
    ));
    report::json(
        flags.place.json.as_deref(),
        &Figures {
            disk,
            cold_start_ms,
            idle_memory_mib,
            rounds: &rounds,
            ceiling: middle.ceiling.ceiling,
            of_ceiling_ten_tasks: ratio(middle),
            half_load: &half_load,
        },
    )
}

fn ratio(round: &Round) -> f64 {
    round.ten_tasks.task_runs_per_second / round.ceiling.ceiling
}

/// A load on a fresh server of one group.
async fn one(
    flags: &AllFlags,
    scratch: &std::path::Path,
    connections: usize,
    tasks: u32,
    rate: Option<f64>,
) -> Result<Load, BenchError> {
    let server = UnderTest::start(scratch, 1).await?;
    let load = load::run(&server, &flags.load.plan(connections, tasks, rate)).await;
    server.stop().await?;
    load
}

/// The median time from start to the first answer, and the memory of an idle server, in MiB.
async fn start_up(scratch: &std::path::Path) -> Result<(f64, f64), BenchError> {
    let mut times = Vec::new();
    let mut memory = 0.0;
    for _ in 0..STARTS {
        let server = UnderTest::start(scratch, 1).await?;
        times.push(server.started_in.as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(500)).await;
        memory = server.used().await?.resident_bytes as f64 / f64::from(1 << 20);
        server.stop().await?;
    }
    times.sort_by(f64::total_cmp);
    Ok((times[STARTS / 2], memory))
}

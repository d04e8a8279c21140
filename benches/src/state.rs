//! What much state costs: `ironhorse-bench reopen` and `ironhorse-bench full`.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::load::{self, Load, Plan};
use crate::under_test::UnderTest;
use crate::{BenchError, FullFlags, ReopenFlags, report};

/// The state grows in steps of this length.
const STEP: Duration = Duration::from_secs(10);
/// How long a load runs before it is killed.
const BEFORE_KILL: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Reopened {
    groups: u16,
    state_bytes: u64,
    /// From the start of the process to its first answer, after each kill, in milliseconds.
    started_in_ms: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Full {
    wf_runs: u64,
    empty: Load,
    full: Load,
    /// Of the full one, resident, in MiB, when the load has ended.
    resident_mib: f64,
    state_bytes: u64,
}

fn plan(measured: Duration, tasks: u32, payload: usize, first: u64) -> Plan {
    Plan {
        connections: 4,
        streams: 8,
        in_flight: 256,
        tasks,
        rate: None,
        warm_up: Duration::ZERO,
        measured,
        payload,
        first,
    }
}

/// Bytes of all files below a directory.
fn size_of(dir: &Path) -> Result<u64, BenchError> {
    let fail = |error| BenchError::new(&dir.display().to_string(), error);
    let mut size = 0;
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        match entry.metadata() {
            Ok(found) if found.is_dir() => size += size_of(&entry.path())?,
            Ok(found) => size += found.len(),
            // Compacted away meanwhile.
            Err(_) => {}
        }
    }
    Ok(size)
}

pub(crate) async fn reopen(flags: &ReopenFlags) -> Result<(), BenchError> {
    let scratch = flags.place.scratch()?;
    let (data, groups) = (
        scratch.path().join("data"),
        scratch.path().join("data/groups"),
    );
    let wanted = (flags.gib * f64::from(1 << 30)) as u64;
    let mut server = UnderTest::start_on(&data, flags.groups).await?;
    let mut first = 0;
    loop {
        let size = size_of(&groups)?;
        report::progress(&format!(
            "{:.2} GiB of state",
            size as f64 / f64::from(1 << 30)
        ));
        if size >= wanted {
            break;
        }
        let load = load::run(&server, &plan(STEP, 10, flags.payload, first)).await?;
        first = load.next;
    }
    let mut started_in_ms = Vec::new();
    for _ in 0..flags.kills {
        let running = plan(4 * BEFORE_KILL, 10, 100, first);
        // The load ends with the server; the runs of the next one have other ids.
        first += 1 << 24;
        tokio::select! {
            load = load::run(&server, &running) => { load?; }
            () = tokio::time::sleep(BEFORE_KILL) => {}
        }
        server.kill().await?;
        server = UnderTest::start_on(&data, flags.groups).await?;
        started_in_ms.push(server.started_in.as_secs_f64() * 1000.0);
    }
    let state_bytes = size_of(&groups)?;
    server.stop().await?;
    let times: Vec<String> = started_in_ms.iter().map(|ms| format!("{ms:.0}")).collect();
    report::line(&format!(
        "{} groups, {:.2} GiB of state: serving again after {} ms",
        flags.groups,
        state_bytes as f64 / f64::from(1 << 30),
        times.join(", ")
    ));
    report::json(
        flags.place.json.as_deref(),
        &Reopened {
            groups: flags.groups,
            state_bytes,
            started_in_ms,
        },
    )
}

pub(crate) async fn full(flags: &FullFlags) -> Result<(), BenchError> {
    let scratch = flags.place.scratch()?;
    let (data, groups) = (
        scratch.path().join("data"),
        scratch.path().join("data/groups"),
    );
    let mut measured = flags.load.plan(4, 10, None);
    let server = UnderTest::start(scratch.path(), 1).await?;
    let empty = load::run(&server, &measured).await;
    server.stop().await?;
    let empty = empty?;
    let server = UnderTest::start_on(&data, 1).await?;
    let mut first = 0;
    while first < flags.wf_runs {
        report::progress(&format!("{first} WfRuns"));
        let load = load::run(&server, &plan(STEP, 1, flags.load.payload, first)).await?;
        first = load.next;
    }
    measured.first = first;
    let full = load::run(&server, &measured).await?;
    let resident = server.used().await?.resident_bytes;
    let state_bytes = size_of(&groups)?;
    server.stop().await?;
    report::loads(&[("empty", &empty), ("full", &full)], None);
    report::line(&format!(
        "{first} WfRuns, {:.2} GiB of state: {:.2} of the empty store's throughput, {:.0} MiB resident",
        state_bytes as f64 / f64::from(1 << 30),
        full.task_runs_per_second / empty.task_runs_per_second,
        resident as f64 / f64::from(1 << 20)
    ));
    report::json(
        flags.place.json.as_deref(),
        &Full {
            wf_runs: first,
            empty,
            full,
            resident_mib: resident as f64 / f64::from(1 << 20),
            state_bytes,
        },
    )
}

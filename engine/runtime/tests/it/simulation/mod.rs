//! The whole runtime under a seeded scheduler: three servers, four groups, one log in memory, a clock of its own.
//!
//! Servers crash at every step, commits end in every way and are heard of late, the power fails, disks are slow, fail and
//! are lost, clients send again, owners that are fenced go on trying, standbys take over. After each step the design's
//! invariants are checked: the log against a model that knows no batches ([`model`]), each batch against its own
//! re-execution ([`replay`]), each store and base that was touched against the log ([`oracle`]).
//!
//! Servers are started with one of three builds, which declare different indexes: replicas build and remove them meanwhile
//! ([`indexes`]).
//!
//! A seed reproduces a run bit by bit: `make simulate SEED=…`. A step is one thing that one server, client, disk or the
//! log does ([`world`]); what a server does as an owner or on the way there is in [`owners`], its bases are in [`disks`].

mod app;
mod chance;
mod clients;
mod counters;
mod disks;
mod indexes;
mod model;
mod oracle;
mod owners;
mod replay;
mod server;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use counters::Counters;
use world::World;

/// Says which seed failed, and where.
struct Running {
    seed: u64,
    step: u64,
    steps: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {} failed at step {} of {}: make simulate SEED={} STEPS={}",
                self.seed, self.step, self.steps, self.seed, self.steps
            );
        }
    }
}

/// Runs one seed. Gives a digest of everything that was committed, and what was reached.
fn run(seed: u64, steps: u64) -> (u64, Counters) {
    let mut running = Running {
        seed,
        step: 0,
        steps,
    };
    let mut world = World::new(seed);
    while running.step < steps {
        running.step += 1;
        world.step();
    }
    world.finish();
    (world.oracle.digest, world.counters)
}

/// Everything that the simulation must have reached, so that it does not go blind.
const REACHED: [&str; 60] = [
    "checkpoint: arrived",
    "client: answered",
    "client: repeats",
    "client: repeats what was answered",
    "commit: aborted",
    "commit: committed",
    "commit: fenced by somebody unseen",
    "commit: unknown, did not happen",
    "commit: unknown, happened",
    "consumer: got an entry",
    "crash of: a recovery",
    "crash of: a replica being shipped",
    "crash of: a replica that builds an index",
    "crash of: a standby",
    "crash of: a take-over",
    "crash of: an owner",
    "crash of: an owner with commits under way",
    "disk: replaced by an empty one",
    "index: a piece of an owner's",
    "index: an owner's is complete",
    "index: goes on behind its cursor",
    "index: to be built",
    "index: to be removed",
    "input: claims",
    "input: commands",
    "input: commands refused",
    "input: messages",
    "input: timers fired",
    "log: a partition held back",
    "log: trimmed",
    "network: delayed",
    "owner: a batch on top of one under way",
    "owner: a batch reached a limit",
    "owner: finds itself fenced",
    "owner: no room for a commit",
    "power cut",
    "power cut: appends lost",
    "recovery: base too old, refused",
    "recovery: begun",
    "recovery: done",
    "recovery: fenced meanwhile",
    "recovery: the log was dropped",
    "recovery: waits for its barrier",
    "server: crash",
    "server: crash by its disk",
    "server: crash by power cut",
    "server: start",
    "standby: applies",
    "standby: the log was dropped under it",
    "take-over: a barrier did not end well",
    "take-over: after a failure",
    "take-over: done, with a lag",
    "take-over: done, without lag",
    "take-over: fenced meanwhile",
    "take-over: from a live owner",
    "take-over: waits for its barrier",
    "write-back: begun",
    "write-back: done",
    "write-back: failed, and is durable",
    "write-back: failed, and is lost",
];

#[test]
fn the_invariants_hold_whatever_happens() {
    let mut counters = Counters::default();
    for seed in 1..=100 {
        counters.merge(&run(seed, 2_000).1);
    }
    for what in REACHED {
        assert!(counters.0.contains_key(what), "never reached: {what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [7, 8, 9] {
        assert_eq!(run(seed, 500), run(seed, 500));
    }
    assert_ne!(run(7, 500).0, run(8, 500).0);
}

#[allow(clippy::disallowed_methods, reason = "settings of a run")]
fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number")),
    )
}

/// `make simulate`: SEEDS seeds of STEPS steps each, from FIRST on; or the one SEED. Every counter must come to LEAST.
#[test]
#[ignore = "make simulate"]
#[allow(clippy::disallowed_methods, reason = "tells the rate")]
fn simulate() {
    let steps = setting("STEPS").unwrap_or(2_000);
    if let Some(seed) = setting("SEED") {
        let (digest, counters) = run(seed, steps);
        report(&counters.0);
        println!("seed {seed}: digest {digest:016x}");
        return;
    }
    let (first, seeds) = (
        setting("FIRST").unwrap_or(1),
        setting("SEEDS").unwrap_or(10_000),
    );
    let started = Instant::now();
    let mut counters = Counters::default();
    for seed in first..first + seeds {
        counters.merge(&run(seed, steps).1);
    }
    let seconds = started.elapsed().as_secs_f64();
    report(&counters.0);
    println!(
        "{seeds} seeds of {steps} steps in {seconds:.1} s: {:.0} steps/s",
        (seeds * steps) as f64 / seconds
    );
    let least = setting("LEAST").unwrap_or(0);
    for what in REACHED {
        let n = counters.0.get(what).copied().unwrap_or(0);
        assert!(n >= least, "{what}: reached {n} times, expected {least}");
    }
}

fn report(counters: &BTreeMap<&'static str, u64>) {
    for (what, n) in counters {
        println!("{n:>12}  {what}");
    }
}

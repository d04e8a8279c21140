//! What a load records: counts and latencies.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

/// Up to ten minutes, in microseconds, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid")
}

/// Microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    pub count: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        Latency {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
            count: histogram.len(),
        }
    }
}

/// Latencies of one kind.
pub(crate) struct Timings(Mutex<Histogram<u64>>);

impl Timings {
    fn new() -> Timings {
        Timings(Mutex::new(histogram()))
    }

    pub(crate) fn latency(&self) -> Latency {
        Latency::of(&self.0.lock())
    }
}

/// Everything that a load records.
pub(crate) struct Stats {
    measuring: AtomicBool,
    /// Reports acknowledged, WfRuns ended and calls failed since the start.
    pub task_runs: AtomicU64,
    pub wf_runs: AtomicU64,
    pub failed: AtomicU64,
    pub run_wf: Timings,
    pub schedule_to_delivery: Timings,
    pub report_to_next: Timings,
    pub whole_wf_run: Timings,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        Stats {
            measuring: AtomicBool::new(false),
            task_runs: AtomicU64::new(0),
            wf_runs: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            run_wf: Timings::new(),
            schedule_to_delivery: Timings::new(),
            report_to_next: Timings::new(),
            whole_wf_run: Timings::new(),
        }
    }

    pub(crate) fn measure(&self, on: bool) {
        self.measuring.store(on, Ordering::Relaxed);
    }

    /// Records a latency, if this is the time that counts.
    pub(crate) fn record(&self, timings: &Timings, took: Duration) {
        if self.measuring.load(Ordering::Relaxed) {
            timings.0.lock().saturating_record(took.as_micros() as u64);
        }
    }
}

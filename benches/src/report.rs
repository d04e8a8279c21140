//! Output: progress on standard error, a table on standard output, JSON in a file.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::BenchError;
use crate::ceiling::Ceiling;
use crate::disk::Disk;
use crate::load::Load;
use crate::stats::Latency;

/// A line of the result. If nobody reads it, so be it.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line of progress.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

pub(crate) fn ceiling(ceiling: &Ceiling, disk: &Disk) {
    for (name, best) in [
        ("unary calls", ceiling.unary),
        ("stream messages", ceiling.stream),
    ] {
        line(&format!(
            "tonic echo, {name:<16} {:>9.0}/s   ({} connections x {})",
            best.per_second, best.connections, best.calls
        ));
    }
    line(&format!(
        "ceiling C                    {:>9.0} TaskRuns/s",
        ceiling.ceiling
    ));
    line(&format!(
        "fdatasync of 4 KiB           {:>9.0}/s   (p50 {} us, p99 {} us)",
        disk.fdatasync_per_second, disk.latency.p50, disk.latency.p99
    ));
}

/// One of the latencies of a load.
type OfLoad = fn(&Load) -> Latency;

/// A table with a column for each load, beside the ceiling if there is one.
pub(crate) fn loads(loads: &[(&str, &Load)], ceiling: Option<f64>) {
    let row = |name: &str, cell: &dyn Fn(&Load) -> String| {
        let cells = loads.iter().map(|(_, load)| format!("{:>18}", cell(load)));
        line(&format!("{name:<34}{}", cells.collect::<String>()));
    };
    let names = loads.iter().map(|(name, _)| format!("{name:>18}"));
    line(&format!("{:<34}{}", "", names.collect::<String>()));
    row("TaskRuns/s", &|load| {
        format!("{:.0}", load.task_runs_per_second)
    });
    if let Some(ceiling) = ceiling {
        row("  of the ceiling C", &|load| {
            format!("{:.2}", load.task_runs_per_second / ceiling)
        });
    }
    row("WfRuns/s", &|load| {
        format!("{:.0}", load.wf_runs_per_second)
    });
    row("calls failed", &|load| load.failed_calls.to_string());
    row("server CPU us per TaskRun", &|load| {
        format!("{:.1}", load.server_cpu_us_per_task_run)
    });
    row("generator CPU us per TaskRun", &|load| {
        format!("{:.1}", load.generator_cpu_us_per_task_run)
    });
    row("log bytes per TaskRun", &|load| {
        format!("{:.0}", load.log_bytes_per_task_run)
    });
    row("table bytes per TaskRun", &|load| {
        format!("{:.0}", load.store_bytes_per_task_run)
    });
    row("bytes to disk per TaskRun", &|load| {
        format!("{:.0}", load.disk_bytes_per_task_run)
    });
    row("peak memory MiB", &|load| {
        format!("{:.1}", load.peak_memory_mib)
    });
    line("latency in ms: p50 / p99 / p99.9");
    let latencies: [(&str, OfLoad); 4] = [
        ("  RunWf", |load| load.run_wf),
        ("  schedule -> delivery", |load| load.schedule_to_delivery),
        ("  report -> next delivery", |load| {
            load.report_to_next_delivery
        }),
        ("  whole WfRun", |load| load.whole_wf_run),
    ];
    for (name, of) in latencies {
        row(name, &|load| {
            let latency = of(load);
            let ms = |us: u64| us as f64 / 1000.0;
            if latency.count == 0 {
                return "-".to_owned();
            }
            format!(
                "{:.1}/{:.1}/{:.1}",
                ms(latency.p50),
                ms(latency.p99),
                ms(latency.p999)
            )
        });
    }
}

/// Writes the figures to a file, if one is named.
pub(crate) fn json(path: Option<&Path>, figures: &impl Serialize) -> Result<(), BenchError> {
    let Some(path) = path else {
        return Ok(());
    };
    let text =
        serde_json::to_string_pretty(figures).map_err(|error| BenchError::new("JSON", error))?;
    std::fs::write(path, text + "\n")
        .map_err(|error| BenchError::new(&path.display().to_string(), error))
}

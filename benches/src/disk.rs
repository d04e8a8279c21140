//! What the disk does alone: a loop of small writes, each made durable.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::BenchError;
use crate::stats::{Latency, histogram};

const TIME: Duration = Duration::from_secs(2);
const BLOCK: usize = 4096;
const FILE: u64 = 16 << 20;

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Disk {
    pub fdatasync_per_second: f64,
    pub latency: Latency,
}

/// Writes 4 KiB and calls `fdatasync`, over and over, in a file that is already allocated.
pub(crate) fn measure(dir: &Path) -> Result<Disk, BenchError> {
    let path = dir.join("fdatasync");
    let disk = sync_loop(&path).map_err(|error| BenchError::new("fdatasync loop", error));
    // The directory is removed at the end anyway.
    let _ = std::fs::remove_file(path);
    disk
}

fn sync_loop(path: &Path) -> std::io::Result<Disk> {
    let mut file = File::create(path)?;
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..FILE >> 20 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    let block = vec![0x5au8; BLOCK];
    let mut latencies: Histogram<u64> = histogram();
    let start = Instant::now();
    while start.elapsed() < TIME {
        let offset = latencies.len() * BLOCK as u64 % FILE;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&block)?;
        let before = Instant::now();
        file.sync_data()?;
        latencies.saturating_record(before.elapsed().as_micros() as u64);
    }
    Ok(Disk {
        fdatasync_per_second: latencies.len() as f64 / start.elapsed().as_secs_f64(),
        latency: Latency::of(&latencies),
    })
}

//! The question of compression: from which size on, and is a dictionary worth it?
//!
//! `sample/saturated.segment` and `sample/paced.segment` are the beginnings of the logs that a server wrote under full load
//! (128 runs of ten tasks at once) and at 40 runs a second. The dictionary is trained on the first half of both, and all
//! is measured on the second.

use std::ops::ControlFlow;
use std::path::Path;

use criterion::{Criterion, Throughput};
use ironhorse_wal::embedded::LogFiles;

const LEVEL: i32 = 1;
/// As zstd recommends: about a hundredth of what it is trained on.
const DICTIONARY: usize = 16 << 10;
const THRESHOLDS: [usize; 5] = [0, 256, 512, 1024, 4096];
/// What a frame has beside its body.
const HEADER: usize = 52;

/// The bodies of a sample's frames, decompressed.
fn bodies(sample: &str) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/log/sample")
        .join(sample);
    std::fs::copy(from, dir.path().join("0000000000000001.log")).unwrap();
    let mut bodies = Vec::new();
    LogFiles::open(dir.path())
        .unwrap()
        .walk(&mut |frame| {
            bodies.push(frame.body().unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    bodies
}

struct Way {
    name: String,
    threshold: usize,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Way {
    fn bytes(&mut self, body: &[u8]) -> usize {
        let stored = match &mut self.compressor {
            Some(compressor) if body.len() >= self.threshold => {
                self.out.resize(body.len(), 0);
                compressor
                    .compress_to_buffer(body, &mut self.out)
                    .unwrap_or(body.len())
            }
            _ => body.len(),
        };
        (HEADER + stored).next_multiple_of(8)
    }

    fn all(&mut self, bodies: &[Vec<u8>]) -> usize {
        bodies.iter().map(|body| self.bytes(body)).sum()
    }
}

fn ways(dictionary: &[u8]) -> Vec<Way> {
    let way = |name: String, threshold, compressor| Way {
        name,
        threshold,
        compressor,
        out: Vec::new(),
    };
    let mut ways = vec![way("none".to_owned(), 0, None)];
    for threshold in THRESHOLDS {
        let plain = zstd::bulk::Compressor::new(LEVEL).unwrap();
        let trained = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary).unwrap();
        ways.push(way(
            format!("level 1 from {threshold}"),
            threshold,
            Some(plain),
        ));
        ways.push(way(
            format!("level 1 with dictionary from {threshold}"),
            threshold,
            Some(trained),
        ));
    }
    ways
}

pub(crate) fn compression(c: &mut Criterion) {
    let mut samples: Vec<(&str, Vec<Vec<u8>>)> = ["saturated.segment", "paced.segment"]
        .map(|sample| (sample, bodies(sample)))
        .into();
    let mut training: Vec<Vec<u8>> = Vec::new();
    for (_, bodies) in &mut samples {
        let half = bodies.len() / 2;
        // Large frames are many small samples: a dictionary helps with beginnings.
        training.extend(
            bodies
                .drain(..half)
                .flat_map(|body| body.chunks(2048).map(<[u8]>::to_vec).collect::<Vec<_>>()),
        );
    }
    let dictionary = zstd::dict::from_samples(&training, DICTIONARY).unwrap();
    for (sample, bodies) in &samples {
        let mut sizes: Vec<usize> = bodies.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        let raw: usize = sizes.iter().sum();
        println!(
            "{sample}: {} frames, {raw} bytes, median {}, largest {}",
            sizes.len(),
            sizes[sizes.len() / 2],
            sizes[sizes.len() - 1]
        );
        let mut group = c.benchmark_group(format!("compression of {sample}"));
        group.throughput(Throughput::Bytes(raw as u64));
        for mut way in ways(&dictionary) {
            let bytes = way.all(bodies);
            println!("{sample}, {}: {bytes} bytes", way.name);
            group.bench_function(way.name.clone(), |b| b.iter(|| way.all(bodies)));
        }
        group.finish();
    }
}

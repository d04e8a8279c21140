//! The baseline: what one would write instead. A file; each transaction is a length, a checksum and its records one
//! behind the other, written at the end and made durable with `fdatasync`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironhorse_wal::{Partition, Record};
use parking_lot::Mutex;

use crate::work::{command, transaction};

pub(crate) struct ByHand {
    path: PathBuf,
    file: File,
}

fn encode(records: &[(Partition, Record)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (partition, record) in records {
        body.extend_from_slice(&partition.group.0.to_be_bytes());
        for part in [&record.key, record.value.as_ref().unwrap()] {
            body.extend_from_slice(&(part.len() as u32).to_be_bytes());
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&record.time_ms.to_be_bytes());
    }
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

impl ByHand {
    pub(crate) fn create(dir: &Path) -> ByHand {
        let path = dir.join("by-hand");
        let file = File::create(&path).unwrap();
        ByHand { path, file }
    }

    /// Time for `count` transactions by `writers` threads, each its own `write` and `fdatasync`.
    pub(crate) fn commit_all(self, writers: u16, count: u64) -> Duration {
        let file = Mutex::new(self.file);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for group in 0..writers {
                let mine = count / u64::from(writers)
                    + u64::from(u64::from(group) < count % u64::from(writers));
                let file = &file;
                scope.spawn(move || {
                    for n in 0..mine {
                        let bytes = encode(&transaction(group, n));
                        let mut file = file.lock();
                        file.write_all(&bytes).unwrap();
                        file.sync_data().unwrap();
                    }
                });
            }
        });
        start.elapsed()
    }

    /// Time for `count` commands, and `fdatasync` with a transaction after every hundredth.
    pub(crate) fn append_all(mut self, count: u64) -> Duration {
        let to = Partition::commands(ironhorse_wal::GroupId(0));
        let start = Instant::now();
        for n in 0..count {
            self.file.write_all(&encode(&[(to, command(n))])).unwrap();
            if n % 100 == 99 || n + 1 == count {
                self.file.write_all(&encode(&transaction(0, n))).unwrap();
                self.file.sync_data().unwrap();
            }
        }
        start.elapsed()
    }

    pub(crate) fn append(&mut self, records: &[(Partition, Record)]) {
        self.file.write_all(&encode(records)).unwrap();
    }

    /// Reads the file, checks it, and counts the records of one group.
    pub(crate) fn read(&self, group: u16) -> u64 {
        let bytes = std::fs::read(&self.path).unwrap();
        let mut rest = &bytes[..];
        let mut kept = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk::<8>() {
            let len = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            let (mut body, tail) = tail.split_at(len);
            assert_eq!(crc32fast::hash(body).to_be_bytes(), head[4..]);
            rest = tail;
            while let Some((owner, tail)) = body.split_first_chunk::<2>() {
                let (key, tail) = part(tail);
                let (value, tail) = part(tail);
                body = &tail[8..];
                if u16::from_be_bytes(*owner) == group {
                    kept.push((key.to_vec(), value.to_vec()));
                }
            }
        }
        kept.len() as u64
    }
}

fn part(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
    rest.split_at(u32::from_be_bytes(*len) as usize)
}

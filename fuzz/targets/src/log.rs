//! Segments and frames. Their layout is written out here once more, from `docs/formats.md`, so that frames with a good
//! checksum around a bad body can be made.

use std::sync::Arc;

use bytes::Bytes;
use wal::embedded::{EmbeddedLog, Options};
use wal::{Append, GroupId, Log, Partition, Position, Record, Topic, WalError};

use crate::{Input, MemoryDisk};

const GROUPS: [GroupId; 3] = [GroupId(0), GroupId(1), GroupId::METADATA];
const TOPICS: [Topic; 4] = [
    Topic::Commands,
    Topic::Messages,
    Topic::Changelog,
    Topic::Cluster,
];
const SEGMENT: u64 = 64 << 10;

fn open(disk: &MemoryDisk) -> Result<Arc<EmbeddedLog>, WalError> {
    let options = Options {
        segment_bytes: SEGMENT,
        ..Options::default()
    };
    EmbeddedLog::on_disk(Box::new(disk.clone()), options)
}

/// A partition and its records; `None`: it cannot be read from the start.
type Content = Vec<(Partition, Option<Vec<(Position, Record)>>)>;

fn content(log: &EmbeddedLog) -> Content {
    let mut content = Vec::new();
    for topic in TOPICS {
        for group in GROUPS {
            let partition = Partition { topic, group };
            let records = log
                .open_reader(partition, Position::START)
                .ok()
                .map(|mut reader| {
                    let mut records: Vec<(Position, Record)> = Vec::new();
                    while let Ok(page) = reader.poll(100, usize::MAX) {
                        if page.is_empty() {
                            break;
                        }
                        records.extend(page);
                    }
                    records
                });
            let rises = |records: &Vec<(Position, Record)>| {
                records.windows(2).all(|pair| pair[0].0 < pair[1].0)
            };
            assert!(records.as_ref().is_none_or(rises), "positions do not rise");
            content.push((partition, records));
        }
    }
    content
}

/// A log that opens shows the same when it is opened again, and what was appended, too.
fn check(disk: &MemoryDisk) {
    let Ok(log) = open(disk) else {
        return;
    };
    let before = content(&log);
    let to = Partition::commands(GroupId(0));
    let record = Record {
        key: Bytes::from_static(b"key"),
        value: Some(Bytes::from_static(b"appended after recovery")),
        time_ms: 5,
    };
    let appended = log.append(to, record.clone());
    log.close();
    drop(log);
    let log = open(disk);
    assert!(
        log.is_ok(),
        "a log that was opened cannot be opened again: {:?}",
        log.err()
    );
    let Ok(log) = log else { return };
    let mut after = content(&log);
    if let Ok(Append::Done(position)) = appended {
        let commands = after.iter_mut().find(|(partition, _)| *partition == to);
        if let Some((_, Some(records))) = commands {
            assert_eq!(
                records.pop(),
                Some((position, record)),
                "what was appended is not there"
            );
        }
    }
    assert_eq!(before, after, "opened again, the log shows something else");
    log.close();
}

/// Whole files: up to three segments, and the note on what was dropped.
pub(crate) fn segments(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let shape = input.u8();
    let disk = MemoryDisk::default();
    if shape & 4 != 0 {
        disk.put("dropped", input.part());
    }
    for number in 1..=1 + u64::from(shape & 1) + u64::from(shape >> 1 & 1) {
        let mut file = input.part().to_vec();
        file.resize(SEGMENT as usize, 0);
        disk.put(
            &format!("{:016x}.log", number + u64::from(shape >> 3)),
            &file,
        );
    }
    check(&disk);
}

/// A frame of segment 1 with a good checksum.
fn frame(flags: u8, sequence: u64, durable: u64, raw: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = b"IRH1\x01".to_vec();
    frame.push(flags);
    frame.extend_from_slice(&[0; 2]);
    frame.extend_from_slice(&1_u32.to_be_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&sequence.to_be_bytes());
    frame.extend_from_slice(&durable.to_be_bytes());
    frame.extend_from_slice(&1_u64.to_be_bytes());
    frame.extend_from_slice(&raw.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(1);
    hasher.update(&frame);
    hasher.update(body);
    frame.extend_from_slice(&hasher.finalize().to_be_bytes());
    frame.extend_from_slice(body);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

/// Frames whose checksum is good, one a part: flags, what the header says of others, body.
pub(crate) fn frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut file = Vec::new();
    let mut sequence = 1;
    while !input.is_empty() && file.len() < SEGMENT as usize / 2 {
        let how = input.u8();
        let body = input.part();
        if how & 1 != 0 {
            sequence += u64::from(how >> 4);
        }
        let durable = if how & 2 != 0 { sequence } else { sequence - 1 };
        file.extend(match how >> 2 & 3 {
            0 => frame(0, sequence, durable, body.len() as u32, body),
            // Well compressed.
            1 => {
                let packed = zstd::bulk::compress(body, 1).unwrap_or_default();
                frame(1, sequence, durable, body.len() as u32, &packed)
            }
            // Not compressed at all, or with another length.
            2 => frame(1, sequence, durable, 100, body),
            _ => frame(how >> 4, sequence, durable, body.len() as u32, body),
        });
        sequence += 1;
    }
    file.resize(SEGMENT as usize, 0);
    let disk = MemoryDisk::default();
    disk.put(&format!("{:016x}.log", 1), &file);
    check(&disk);
}

//! The records of a frame, as bytes. Format: `docs/formats.md`, "Log".

use bytes::Bytes;

use super::frame::{MAX_BODY, MAX_RECORDS};
use crate::{GroupId, Partition, Record, Topic};

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(super) fn topic_number(topic: Topic) -> u8 {
    match topic {
        Topic::Commands => 0,
        Topic::Messages => 1,
        Topic::Changelog => 2,
        Topic::Cluster => 3,
    }
}

pub(super) fn topic(number: u8) -> Option<Topic> {
    [
        Topic::Commands,
        Topic::Messages,
        Topic::Changelog,
        Topic::Cluster,
    ]
    .get(usize::from(number))
    .copied()
}

/// Appends the records' bytes to `out`.
pub(super) fn encode(out: &mut Vec<u8>, records: &[(Partition, Record)]) {
    let mut time = 0;
    let mut at = 0;
    while at < records.len() {
        let partition = records[at].0;
        let count = records[at..]
            .iter()
            .take_while(|(other, _)| *other == partition)
            .count();
        out.push(topic_number(partition.topic));
        put_varint(out, u64::from(partition.group.0));
        put_varint(out, count as u64);
        let mut key: &[u8] = &[];
        for (_, record) in &records[at..at + count] {
            let shared = key
                .iter()
                .zip(&record.key)
                .take_while(|(a, b)| a == b)
                .count();
            put_varint(out, shared as u64);
            put_varint(out, (record.key.len() - shared) as u64);
            out.extend_from_slice(&record.key[shared..]);
            match &record.value {
                None => out.push(0),
                Some(value) => {
                    put_varint(out, value.len() as u64 + 1);
                    out.extend_from_slice(value);
                }
            }
            put_varint(out, zigzag(record.time_ms.wrapping_sub(time)));
            time = record.time_ms;
            key = &record.key;
        }
        at += count;
    }
}

/// Reads the records of a body that is decompressed already, those of one partition or all, with their places in the
/// frame. `None` if it is not what [`encode`] wrote.
///
/// Memory: the keys that are made of the one before and a suffix, [`MAX_BODY`] bytes in all (no transaction has more), and
/// a fixed amount for each of [`MAX_RECORDS`] records; the rest are slices of `plain`.
pub(super) fn decode(
    plain: &Bytes,
    only: Option<Partition>,
) -> Option<Vec<(usize, Partition, Record)>> {
    let mut input = &plain[..];
    let offset = |input: &[u8]| plain.len() - input.len();
    let mut records = Vec::new();
    let mut index = 0;
    let mut key_bytes = 0_usize;
    let mut time = 0_i64;
    while let Some((number, rest)) = input.split_first() {
        input = rest;
        let group = GroupId(u16::try_from(varint(&mut input)?).ok()?);
        let partition = Partition {
            topic: topic(*number)?,
            group,
        };
        let wanted = only.is_none_or(|only| only == partition);
        let mut key = Bytes::new();
        for _ in 0..varint(&mut input)? {
            let shared = usize::try_from(varint(&mut input)?).ok()?;
            let suffix = usize::try_from(varint(&mut input)?).ok()?;
            let own = input.get(..suffix)?;
            if wanted {
                key = if shared == 0 {
                    let at = offset(input);
                    plain.slice(at..at + suffix)
                } else {
                    // A few bytes of the body can ask for megabytes each.
                    key_bytes = key_bytes.saturating_add(shared.saturating_add(suffix));
                    if key_bytes > MAX_BODY {
                        return None;
                    }
                    Bytes::from([key.get(..shared)?, own].concat())
                };
            }
            input = &input[suffix..];
            let value = match usize::try_from(varint(&mut input)?).ok()?.checked_sub(1) {
                None => None,
                Some(len) => {
                    input.get(..len)?;
                    let at = offset(input);
                    input = &input[len..];
                    wanted.then(|| plain.slice(at..at + len))
                }
            };
            time = time.wrapping_add(unzigzag(varint(&mut input)?));
            if wanted {
                let record = Record {
                    key: key.clone(),
                    value,
                    time_ms: time,
                };
                records.push((index, partition, record));
            }
            index += 1;
            if index > MAX_RECORDS {
                return None;
            }
        }
    }
    Some(records)
}

//! A frame: what is written at once, and is in the log whole or not at all. Format: `docs/formats.md`, "Log".

use bytes::{BufMut, Bytes};

use crate::{GroupId, Partition, Position, Record, Topic};

/// The first bytes of every frame: "IRH1".
const MAGIC: [u8; 4] = *b"IRH1";
const VERSION: u8 = 1;
const ZSTD: u8 = 1;
/// Bytes before the body.
pub(super) const HEADER: usize = 48;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// The largest body, before compression.
pub(super) const MAX_BODY: usize = 16 << 20;
/// Records of one frame.
pub(super) const MAX_RECORDS: usize = 1 << 16;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of the process's run: rises with each start.
    pub(super) run: u32,
    /// Number of the frame: rises by one.
    pub(super) sequence: u64,
    /// Every frame up to this number was durable when this one was written.
    pub(super) durable: u64,
    /// Bytes of the body as written.
    pub(super) body: u32,
    raw: u32,
    flags: u8,
    crc: u32,
}

/// The position of a frame's record: the frame's number above, the record's below.
pub(super) fn position(sequence: u64, index: usize) -> Position {
    Position::from_u64(sequence << 16 | index as u64)
}

/// The number of the frame that a position lies in.
pub(super) fn sequence(position: Position) -> u64 {
    position.to_u64() >> 16
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(input: &mut &[u8]) -> Option<u64> {
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

fn topic_number(topic: Topic) -> u8 {
    match topic {
        Topic::Commands => 0,
        Topic::Messages => 1,
        Topic::Changelog => 2,
        Topic::Cluster => 3,
    }
}

fn topic(number: u8) -> Option<Topic> {
    [
        Topic::Commands,
        Topic::Messages,
        Topic::Changelog,
        Topic::Cluster,
    ]
    .get(usize::from(number))
    .copied()
}

/// Writes frames, reusing its buffers.
pub(super) struct Encoder {
    body: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    threshold: usize,
}

impl Encoder {
    /// Bodies of at least `threshold` bytes are compressed, if that makes them smaller.
    pub(super) fn new(threshold: usize) -> Encoder {
        Encoder {
            body: Vec::new(),
            compressor: zstd::bulk::Compressor::new(1).ok(),
            threshold,
        }
    }

    /// Appends a frame to `out`.
    pub(super) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        segment: u64,
        run: u32,
        sequence: u64,
        durable: u64,
        records: &[(Partition, Record)],
    ) {
        self.body.clear();
        encode_records(&mut self.body, records);
        let raw = self.body.len();
        let start = out.len();
        out.resize(start + HEADER, 0);
        let mut flags = 0;
        if raw >= self.threshold
            && let Some(compressor) = &mut self.compressor
        {
            out.resize(start + HEADER + raw, 0);
            // It fails if the result does not fit, that is, would be no smaller.
            if let Ok(size) = compressor.compress_to_buffer(&self.body, &mut out[start + HEADER..])
            {
                out.truncate(start + HEADER + size);
                flags = ZSTD;
            }
        }
        if flags == 0 {
            out.truncate(start + HEADER);
            out.extend_from_slice(&self.body);
        }
        let body = (out.len() - start - HEADER) as u32;
        let mut header = &mut out[start..start + HEADER];
        header.put_slice(&MAGIC);
        header.put_u8(VERSION);
        header.put_u8(flags);
        header.put_u16(0);
        header.put_u32(run);
        header.put_u32(body);
        header.put_u64(sequence);
        header.put_u64(durable);
        header.put_u64(segment);
        header.put_u32(raw as u32);
        let crc = checksum(
            segment,
            &out[start..start + HEADER - 4],
            &out[start + HEADER..],
        );
        out[start + HEADER - 4..start + HEADER].copy_from_slice(&crc.to_be_bytes());
        out.resize(out.len().next_multiple_of(ALIGN), 0);
    }
}

fn checksum(segment: u64, header: &[u8], body: &[u8]) -> u32 {
    // Seeded, so that bytes of another segment never pass.
    let mut hasher = crc32fast::Hasher::new_with_initial(segment as u32 ^ (segment >> 32) as u32);
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

fn encode_records(out: &mut Vec<u8>, records: &[(Partition, Record)]) {
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

/// Reads the records of a body; `None` if it is not what [`Encoder`] wrote.
pub(super) fn records(header: &Header, body: &[u8]) -> Option<Vec<(Partition, Record)>> {
    let plain = match header.flags {
        0 => Bytes::copy_from_slice(body),
        ZSTD => Bytes::from(zstd::bulk::decompress(body, header.raw as usize).ok()?),
        _ => return None,
    };
    let mut input = &plain[..];
    let offset = |input: &[u8]| plain.len() - input.len();
    let mut records = Vec::new();
    let mut time = 0_i64;
    while let Some((number, rest)) = input.split_first() {
        input = rest;
        let group = GroupId(u16::try_from(varint(&mut input)?).ok()?);
        let partition = Partition {
            topic: topic(*number)?,
            group,
        };
        let mut key = Bytes::new();
        for _ in 0..varint(&mut input)? {
            let shared = usize::try_from(varint(&mut input)?).ok()?;
            let suffix = usize::try_from(varint(&mut input)?).ok()?;
            let own = input.get(..suffix)?;
            key = if shared == 0 {
                let at = offset(input);
                plain.slice(at..at + suffix)
            } else {
                Bytes::from([key.get(..shared)?, own].concat())
            };
            input = &input[suffix..];
            let value = match usize::try_from(varint(&mut input)?).ok()?.checked_sub(1) {
                None => None,
                Some(len) => {
                    input.get(..len)?;
                    let at = offset(input);
                    input = &input[len..];
                    Some(plain.slice(at..at + len))
                }
            };
            time = time.wrapping_add(unzigzag(varint(&mut input)?));
            records.push((
                partition,
                Record {
                    key: key.clone(),
                    value,
                    time_ms: time,
                },
            ));
            if records.len() > MAX_RECORDS {
                return None;
            }
        }
    }
    Some(records)
}

/// What lies at an offset of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A frame, its body and the offset behind it.
    Frame(Header, &'a [u8], usize),
    /// Nothing was ever written here.
    Nothing,
    /// Something that is no whole frame.
    Damage,
}

/// The next offset, from `offset` on, where a frame may begin.
pub(super) fn next_magic(bytes: &[u8], offset: usize) -> Option<usize> {
    let rest = bytes.get(offset..)?;
    let at = rest
        .chunks_exact(ALIGN)
        .position(|chunk| chunk.starts_with(&MAGIC))?;
    Some(offset + at * ALIGN)
}

/// Looks at an offset of segment `segment`.
pub(super) fn find(bytes: &[u8], offset: usize, segment: u64) -> Found<'_> {
    let Some(raw) = bytes.get(offset..offset + HEADER) else {
        let rest = bytes.get(offset..).unwrap_or_default();
        return if rest.iter().all(|byte| *byte == 0) {
            Found::Nothing
        } else {
            Found::Damage
        };
    };
    if raw.iter().all(|byte| *byte == 0) {
        return Found::Nothing;
    }
    let word = |at: usize| u32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    if raw[..4] != MAGIC || raw[4] != VERSION || long(32) != segment {
        return Found::Damage;
    }
    let header = Header {
        flags: raw[5],
        run: word(8),
        body: word(12),
        sequence: long(16),
        durable: long(24),
        raw: word(40),
        crc: word(44),
    };
    let end = offset + HEADER + header.body as usize;
    if header.body as usize > MAX_BODY || header.raw as usize > MAX_BODY {
        return Found::Damage;
    }
    let Some(body) = bytes.get(offset + HEADER..end) else {
        return Found::Damage;
    };
    if checksum(segment, &raw[..HEADER - 4], body) != header.crc {
        return Found::Damage;
    }
    Found::Frame(header, body, end.next_multiple_of(ALIGN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(key: &[u8], value: Option<&[u8]>, time_ms: i64) -> Record {
        Record {
            key: Bytes::copy_from_slice(key),
            value: value.map(Bytes::copy_from_slice),
            time_ms,
        }
    }

    fn some_records() -> impl Strategy<Value = Vec<(Partition, Record)>> {
        let partition = (0_u8..4, 0_u16..3).prop_map(|(number, group)| Partition {
            topic: topic(number).unwrap(),
            group: GroupId(group),
        });
        let bytes = || prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 255]), 0..40);
        let record =
            (bytes(), prop::option::of(bytes()), any::<i64>()).prop_map(|(key, value, time_ms)| {
                Record {
                    key: Bytes::from(key),
                    value: value.map(Bytes::from),
                    time_ms,
                }
            });
        prop::collection::vec((partition, record), 0..50)
    }

    proptest! {
        #[test]
        fn frames_round_trip(written in some_records(), threshold in prop::sample::select(vec![0_usize, 100_000])) {
            let mut out = Vec::new();
            let mut encoder = Encoder::new(threshold);
            encoder.encode(&mut out, 7, 3, 11, 10, &written);
            prop_assert_eq!(out.len() % ALIGN, 0);
            match find(&out, 0, 7) {
                Found::Frame(header, body, end) => {
                    prop_assert_eq!((header.run, header.sequence, header.durable, end), (3, 11, 10, out.len()));
                    prop_assert_eq!(records(&header, body), Some(written));
                }
                other => prop_assert!(false, "{:?}", other),
            }
            prop_assert_eq!(find(&out, 0, 8), Found::Damage, "another segment's frame passes");
        }

        #[test]
        fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..200), flags in 0_u8..3) {
            let _ = find(&garbage, 0, 1);
            let header = Header { run: 0, sequence: 0, durable: 0, body: 0, raw: 1000, flags, crc: 0 };
            let _ = records(&header, &garbage);
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut out = Vec::new();
        let records = [(
            Partition::changelog(GroupId(1)),
            record(b"key", Some(b"value"), 5),
        )];
        Encoder::new(1000).encode(&mut out, 7, 1, 1, 0, &records);
        let Found::Frame(header, ..) = find(&out, 0, 7) else {
            panic!("not a frame")
        };
        for bit in 0..(HEADER + header.body as usize) * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(find(&out, 0, 7), Found::Damage, "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn the_format_is_fixed() {
        let mut out = Vec::new();
        let partition = Partition::changelog(GroupId(1));
        let records = [
            (partition, record(b"key1", Some(b"v"), 5)),
            (partition, record(b"key2", None, 6)),
        ];
        Encoder::new(1000).encode(&mut out, 2, 3, 4, 1, &records);
        let body = [
            2, 1, 2, 0, 4, b'k', b'e', b'y', b'1', 2, b'v', 10, 3, 1, b'2', 0, 2,
        ];
        assert_eq!(out[HEADER..HEADER + body.len()], body);
        assert_eq!(out[..8], [b'I', b'R', b'H', b'1', 1, 0, 0, 0]);
        assert_eq!(
            out[8..44],
            [
                0, 0, 0, 3, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
                0, 0, 0, 0, 2, 0, 0, 0, 17
            ]
        );
    }
}

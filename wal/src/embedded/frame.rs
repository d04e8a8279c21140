//! A frame: what is written at once, and is in the log whole or not at all. Format: `docs/formats.md`, "Log".

use bytes::{BufMut, Bytes};

use super::body;
use crate::{GroupId, Partition, Position, Record};

/// The first bytes of every frame: "IRH1".
const MAGIC: [u8; 4] = *b"IRH1";
/// The version that is written. Version 1, which has no summary, is read.
pub(super) const VERSION: u8 = 2;
/// Flag: the body is compressed.
const ZSTD: u8 = 1;
/// Flag: the summary begins with the segment's [`Birth`].
const BIRTH: u8 = 2;
const BIRTH_BYTES: usize = 16;
/// Bytes before the summary.
pub(super) const HEADER: usize = 48;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// The largest body, before compression.
pub(super) const MAX_BODY: usize = 16 << 20;
/// Records of one frame.
pub(super) const MAX_RECORDS: usize = 1 << 16;
/// The largest summary: a frame of more partitions than that has none.
const MAX_SUMMARY: usize = u16::MAX as usize;
/// How hard zstd tries. Measured: `docs/performance.md`, "The log".
const LEVEL: i32 = 1;

/// What a frame says of itself, and what must fit its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Header {
    /// Number of the segment that it was written for.
    pub(super) segment: u64,
    /// Number of the process's run: rises by one with each start that wrote something.
    pub(super) run: u32,
    /// Number of the frame: rises by one.
    pub(super) sequence: u64,
    /// Every frame up to this number was durable when this one was written.
    pub(super) durable: u64,
}

/// What the first frame of a segment says of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    /// When the frame was written, in milliseconds since the epoch.
    pub(super) time_ms: i64,
    /// Bytes of the segment's file, from the beginning to its end.
    pub(super) size: u64,
}

/// The last index of each partition's records in a frame.
pub(super) type Summary = Vec<(Partition, u32)>;

/// The position of a frame's record: the frame's number above, the record's below.
pub(super) fn position(sequence: u64, index: usize) -> Position {
    Position::from_u64(sequence << 16 | index as u64)
}

/// The number of the frame that a position lies in.
pub(super) fn sequence(position: Position) -> u64 {
    position.to_u64() >> 16
}

/// Writes frames, reusing its buffers.
pub(super) struct Encoder {
    body: Vec<u8>,
    summary: Summary,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    threshold: usize,
}

impl Encoder {
    /// Bodies of at least `threshold` bytes are compressed, if that makes them smaller.
    pub(super) fn new(threshold: usize) -> Encoder {
        Encoder {
            body: Vec::new(),
            summary: Summary::new(),
            compressor: zstd::bulk::Compressor::new(LEVEL).ok(),
            threshold,
        }
    }

    /// Appends a frame to `out`; returns which partitions are in it.
    pub(super) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        header: Header,
        birth: Option<Birth>,
        records: &[(Partition, Record)],
    ) -> &Summary {
        self.body.clear();
        body::encode(&mut self.body, records);
        summarize(&mut self.summary, records);
        let raw = self.body.len();
        let start = out.len();
        out.resize(start + HEADER, 0);
        let mut flags = 0;
        if let Some(birth) = birth {
            flags |= BIRTH;
            out.put_i64(birth.time_ms);
            out.put_u64(birth.size);
        }
        let partitions = out.len();
        for (partition, last) in &self.summary {
            out.push(body::topic_number(partition.topic));
            body::put_varint(out, u64::from(partition.group.0));
            body::put_varint(out, u64::from(*last));
        }
        if out.len() - start - HEADER > MAX_SUMMARY {
            out.truncate(partitions);
        }
        let at = out.len();
        if raw >= self.threshold
            && let Some(compressor) = &mut self.compressor
        {
            out.resize(at + raw, 0);
            // It fails if the result does not fit, that is, would be no smaller.
            if let Ok(size) = compressor.compress_to_buffer(&self.body, &mut out[at..]) {
                out.truncate(at + size);
                flags |= ZSTD;
            }
        }
        if flags & ZSTD == 0 {
            out.truncate(at);
            out.extend_from_slice(&self.body);
        }
        let body = (out.len() - at) as u32;
        let summary = (at - start - HEADER) as u16;
        let mut bytes = &mut out[start..start + HEADER];
        bytes.put_slice(&MAGIC);
        bytes.put_u8(VERSION);
        bytes.put_u8(flags);
        bytes.put_u16(summary);
        bytes.put_u32(header.run);
        bytes.put_u32(body);
        bytes.put_u64(header.sequence);
        bytes.put_u64(header.durable);
        bytes.put_u64(header.segment);
        bytes.put_u32(raw as u32);
        let crc = checksum(
            header.segment,
            &out[start..start + HEADER - 4],
            &out[start + HEADER..],
        );
        out[start + HEADER - 4..start + HEADER].copy_from_slice(&crc.to_be_bytes());
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        &self.summary
    }
}

fn summarize(summary: &mut Summary, records: &[(Partition, Record)]) {
    summary.clear();
    for (index, (partition, _)) in records.iter().enumerate() {
        let index = index as u32;
        // Records of one partition mostly come one behind the other.
        match summary.iter_mut().rfind(|(other, _)| other == partition) {
            Some((_, last)) => *last = index,
            None => summary.push((*partition, index)),
        }
    }
}

fn checksum(segment: u64, header: &[u8], rest: &[u8]) -> u32 {
    // Seeded, so that bytes of another segment never pass.
    let mut hasher = crc32fast::Hasher::new_with_initial(segment as u32 ^ (segment >> 32) as u32);
    hasher.update(header);
    hasher.update(rest);
    hasher.finalize()
}

/// A whole frame, as it lies in a segment's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    pub(super) version: u8,
    flags: u8,
    /// Bytes of the body before compression.
    pub(super) raw: u32,
    /// What lies between header and body.
    summary: &'a [u8],
    /// The body as written.
    pub(super) body: &'a [u8],
    /// The offset behind it.
    pub(super) end: usize,
}

impl Frame<'_> {
    /// Whether the body is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.flags & ZSTD != 0
    }

    /// What it says of its segment, if it is the first one in it.
    pub(super) fn birth(&self) -> Option<Birth> {
        let bytes = self.summary.first_chunk::<BIRTH_BYTES>()?;
        let long = |at: usize| {
            bytes[at..at + 8]
                .iter()
                .fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        (self.flags & BIRTH != 0).then(|| Birth {
            time_ms: long(0) as i64,
            size: long(8),
        })
    }

    /// The partitions in it: from the summary, or, if it has none, from the records themselves. `None` if it cannot be
    /// read.
    pub(super) fn partitions(&self, decoder: &mut Decoder) -> Option<Summary> {
        let mut summary = Summary::new();
        if let Some(mut input) = self.summarized() {
            while !input.is_empty() {
                summary.push(held(&mut input)?);
            }
            return Some(summary);
        }
        for (index, partition, _) in decoder.records(self, None)? {
            match summary.iter_mut().rfind(|(other, _)| *other == partition) {
                Some((_, last)) => *last = index as u32,
                None => summary.push((partition, index as u32)),
            }
        }
        Some(summary)
    }

    /// Whether it may hold records of a partition: told without looking into the body, unless it has no summary.
    pub(super) fn may_hold(&self, partition: Partition) -> bool {
        let Some(mut input) = self.summarized() else {
            return true;
        };
        while !input.is_empty() {
            match held(&mut input) {
                Some((other, _)) if other != partition => {}
                // Found, or unreadable, which the records will show.
                _ => return true,
            }
        }
        false
    }

    /// The bytes of the summary of partitions, if there is one.
    fn summarized(&self) -> Option<&[u8]> {
        let skip = if self.flags & BIRTH == 0 {
            0
        } else {
            BIRTH_BYTES
        };
        let summary = self.summary.get(skip..)?;
        (!summary.is_empty() || self.raw == 0).then_some(summary)
    }
}

fn held(input: &mut &[u8]) -> Option<(Partition, u32)> {
    let (number, rest) = input.split_first()?;
    *input = rest;
    let partition = Partition {
        topic: body::topic(*number)?,
        group: GroupId(u16::try_from(body::varint(input)?).ok()?),
    };
    let last = u32::try_from(body::varint(input)?).ok()?;
    Some((partition, last))
}

/// Reads bodies, reusing what decompression needs.
#[derive(Default)]
pub(super) struct Decoder(Option<zstd::bulk::Decompressor<'static>>);

impl Decoder {
    /// The records of a frame, of one partition or of all, with their places in the frame; `None` if the body is not
    /// what [`Encoder`] wrote.
    pub(super) fn records(
        &mut self,
        frame: &Frame<'_>,
        only: Option<Partition>,
    ) -> Option<Vec<(usize, Partition, Record)>> {
        let plain = Bytes::from(self.body(frame)?);
        body::decode(&plain, only)
    }

    /// The bytes of the records, decompressed.
    pub(super) fn body(&mut self, frame: &Frame<'_>) -> Option<Vec<u8>> {
        let size = frame.raw as usize;
        let plain = match frame.flags & !BIRTH {
            0 => frame.body.to_vec(),
            ZSTD => {
                let decompressor = match &mut self.0 {
                    Some(decompressor) => decompressor,
                    empty => empty.insert(zstd::bulk::Decompressor::new().ok()?),
                };
                decompressor.decompress(frame.body, size).ok()?
            }
            _ => return None,
        };
        (plain.len() == size).then_some(plain)
    }
}

/// What lies at an offset of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Nothing was ever written here.
    Nothing,
    /// Something that is no whole frame.
    Damage,
    /// A whole frame of another segment, with its number: the file is not where it belongs.
    Foreign(u64),
    /// The beginning of a frame of this newer version.
    Newer(u8),
}

/// The next offset, from `offset` on, where a frame may begin.
pub(super) fn next_magic(bytes: &[u8], offset: usize) -> Option<usize> {
    let rest = bytes.get(offset..)?;
    let at = rest
        .chunks_exact(ALIGN)
        .position(|chunk| chunk.starts_with(&MAGIC))?;
    Some(offset + at * ALIGN)
}

/// A header's numbers, whether or not they are true.
pub(super) fn claimed(bytes: &[u8], offset: usize) -> Option<Header> {
    let raw = bytes.get(offset..offset.checked_add(HEADER)?)?;
    let word = |at: usize| u32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    Some(Header {
        run: word(8),
        sequence: long(16),
        durable: long(24),
        segment: long(32),
    })
}

/// Looks at an offset of segment `segment`, checks what is there.
pub(super) fn find(bytes: &[u8], offset: usize, segment: u64) -> Found<'_> {
    let (Some(raw), Some(header)) = (
        bytes.get(offset..offset.saturating_add(HEADER)),
        claimed(bytes, offset),
    ) else {
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
    let version = raw[4];
    if raw[..4] != MAGIC || version == 0 {
        return Found::Damage;
    }
    if version > VERSION {
        return Found::Newer(version);
    }
    let word = |at: usize| u32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    let (body, raw_len) = (word(12) as usize, word(40));
    if body > MAX_BODY || raw_len as usize > MAX_BODY {
        return Found::Damage;
    }
    // Version 1 has zeros there, which its checksum covers.
    let summary = usize::from(u16::from_be_bytes([raw[6], raw[7]]));
    let end = offset + HEADER + summary + body;
    let Some(rest) = bytes.get(offset + HEADER..end) else {
        return Found::Damage;
    };
    if checksum(header.segment, &raw[..HEADER - 4], rest) != word(44) {
        return Found::Damage;
    }
    if header.segment != segment {
        return Found::Foreign(header.segment);
    }
    let (summary, body) = rest.split_at(summary);
    Found::Frame(Frame {
        header,
        version,
        flags: raw[5],
        raw: raw_len,
        summary,
        body,
        end: end.next_multiple_of(ALIGN),
    })
}

#[cfg(test)]
#[path = "tests/frames.rs"]
mod tests;

//! Tests of the frame's encoding.

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
        topic: body::topic(number).unwrap(),
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
    fn frames_round_trip(written in some_records(), threshold in prop::sample::select(vec![0_usize, 100_000]), born in prop::option::of(any::<i64>())) {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(threshold);
        let birth = born.map(|time_ms| Birth { time_ms, size: 4096 });
        encoder.encode(&mut out, HEAD, birth, &written);
        prop_assert_eq!(out.len() % ALIGN, 0);
        let Found::Frame(frame) = find(&out, 0, 7) else {
            return Err(TestCaseError::fail("no frame"));
        };
        prop_assert_eq!((frame.header, frame.version, frame.end), (HEAD, VERSION, out.len()));
        prop_assert_eq!(frame.birth(), birth);
        let mut decoder = Decoder::default();
        let indexed: Vec<_> = written.iter().cloned().enumerate().map(|(index, (partition, record))| (index, partition, record)).collect();
        for only in (0..3).flat_map(|group| [Partition::commands(GroupId(group)), Partition::changelog(GroupId(group))]) {
            let of_one: Vec<_> = indexed.iter().filter(|(_, partition, _)| *partition == only).cloned().collect();
            prop_assert_eq!(frame.may_hold(only), !of_one.is_empty());
            let held = frame.partitions(&mut decoder).unwrap().into_iter().find(|(partition, _)| *partition == only);
            prop_assert_eq!(held.map(|(_, last)| last as usize), of_one.last().map(|(index, ..)| *index));
            prop_assert_eq!(decoder.records(&frame, Some(only)), Some(of_one));
        }
        prop_assert_eq!(decoder.records(&frame, None), Some(indexed));
        prop_assert_eq!(find(&out, 0, 8), Found::Foreign(7), "another segment's frame passes");
    }

    /// A frame whose checksum is right may hold anything.
    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..200), flags in 0_u8..8, split in 0_usize..20) {
        let _ = find(&garbage, 0, 1);
        let (summary, body) = garbage.split_at(split.min(garbage.len()));
        for raw in [body.len() as u32, 1000] {
            let frame = Frame { header: HEAD, version: VERSION, flags, raw, summary, body, end: 0 };
            let mut decoder = Decoder::default();
            let _ = frame.birth();
            let _ = frame.may_hold(Partition::CLUSTER);
            let _ = frame.partitions(&mut decoder);
            let _ = decoder.records(&frame, None);
            let _ = decoder.records(&frame, Some(Partition::CLUSTER));
        }
    }
}

const HEAD: Header = Header {
    segment: 7,
    run: 3,
    sequence: 11,
    durable: 10,
};

#[test]
fn every_flipped_bit_is_found() {
    let mut out = Vec::new();
    let records = [(
        Partition::changelog(GroupId(1)),
        record(b"key", Some(b"value"), 5),
    )];
    Encoder::new(1000).encode(&mut out, HEAD, None, &records);
    let Found::Frame(frame) = find(&out, 0, 7) else {
        panic!("not a frame")
    };
    let end = HEADER + frame.summary.len() + frame.body.len();
    for bit in 0..end * 8 {
        out[bit / 8] ^= 1 << (bit % 8);
        let found = find(&out, 0, 7);
        assert!(
            matches!(found, Found::Damage | Found::Newer(_)),
            "bit {bit}: {found:?}"
        );
        out[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_frame_of_more_partitions_than_a_summary_takes_is_read_all_the_same() {
    let records: Vec<_> = (0..60_000)
        .map(|group| (Partition::changelog(GroupId(group)), record(b"", None, 0)))
        .collect();
    let mut out = Vec::new();
    Encoder::new(usize::MAX).encode(&mut out, HEAD, None, &records);
    let Found::Frame(frame) = find(&out, 0, 7) else {
        panic!("not a frame")
    };
    let mut decoder = Decoder::default();
    assert!(frame.summary.is_empty());
    assert!(frame.may_hold(Partition::changelog(GroupId(9))));
    assert_eq!(frame.partitions(&mut decoder).unwrap().len(), 60_000);
    let only = Some(Partition::changelog(GroupId(9)));
    assert_eq!(decoder.records(&frame, only).unwrap().len(), 1);
}

#[test]
fn a_frame_of_a_few_bytes_does_not_take_memory_without_bound() {
    // One key of a megabyte, and then records that repeat all of it: 4 bytes each, 32 GB of keys in all.
    const KEY: usize = 1 << 20;
    let mut plain = vec![2, 1];
    body::put_varint(&mut plain, 32_000);
    plain.push(0);
    body::put_varint(&mut plain, KEY as u64);
    plain.resize(plain.len() + KEY, b'k');
    plain.extend([0, 0]);
    let repeats = |plain: &mut Vec<u8>, times: usize| {
        for _ in 0..times {
            body::put_varint(plain, KEY as u64);
            plain.extend([0, 0, 0]);
        }
    };
    let (mut few, mut many) = (plain.clone(), plain);
    few[2..5].copy_from_slice(&[0x90, 0x80, 0x00]);
    repeats(&mut few, 15);
    repeats(&mut many, 31_999);
    let decode = |plain: &[u8]| body::decode(&Bytes::copy_from_slice(plain), None);
    assert_eq!(decode(&few).unwrap().len(), 16);
    assert_eq!(decode(&many), None);
    // Lengths that no body has.
    for length in [u64::MAX, u64::MAX >> 1, 1 << 40] {
        for field in 0..4 {
            let mut hostile = vec![2, 1];
            for at in 0..=field {
                body::put_varint(&mut hostile, if at == field { length } else { 1 });
            }
            assert_eq!(decode(&hostile), None, "{length:x} in field {field}");
        }
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
    let header = Header {
        segment: 2,
        run: 3,
        sequence: 4,
        durable: 1,
    };
    let birth = Birth {
        time_ms: 5,
        size: 8192,
    };
    Encoder::new(1000).encode(&mut out, header, Some(birth), &records);
    let fixed = [
        [b'I', b'R', b'H', b'1', 2, 2, 0, 19],
        [0, 0, 0, 3, 0, 0, 0, 17],
        [0, 0, 0, 0, 0, 0, 0, 4],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 2],
        [0, 0, 0, 17, 0xAA, 0xAA, 0xAA, 0xAA],
        [0, 0, 0, 0, 0, 0, 0, 5],
        [0, 0, 0, 0, 0, 0, 32, 0],
    ]
    .concat();
    let summary = [2, 1, 1];
    let body = [
        2, 1, 2, 0, 4, b'k', b'e', b'y', b'1', 2, b'v', 10, 3, 1, b'2', 0, 2,
    ];
    out[44..48].fill(0xAA);
    assert_eq!(out, [&fixed[..], &summary, &body, &[0; 4]].concat());
}

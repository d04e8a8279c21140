//! Seeds of the corpus that follow from a run.

use bytes::Bytes;
use index::{Arena, changelog};
use prost::Message;
use query::{Bookmark, Digest, Secret};

use crate::{Op, World, join, templates};

/// Target, name and bytes of each seed; `ops` happened in `world` after `definitions`.
pub fn all(
    world: &World,
    ops: &[Op],
    definitions: &[Bytes],
) -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds: Vec<(&'static str, String, Vec<u8>)> = Vec::new();
    let mut add = |target, name: &str, bytes| seeds.push((target, name.to_owned(), bytes));
    let mut script = Vec::new();
    for op in ops {
        match op {
            Op::Metadata(payload) => script.extend([vec![0], join([&payload[..]])].concat()),
            Op::Core(payload) => script.extend([vec![2], join([&payload[..]])].concat()),
            Op::Pass(_) => script.extend([5, 0x41]),
            Op::Poll => script.push(6),
            Op::Report(payload) => script.extend([vec![7], join([&payload[..]])].concat()),
        }
    }
    add("commands", "run", script);
    for (number, definition) in definitions
        .iter()
        .chain(&templates::more_definitions())
        .enumerate()
    {
        add(
            "commands",
            &format!("definition-{number}"),
            [vec![0], join([&definition[..]])].concat(),
        );
    }
    // Each command as it is, then with a few changes.
    for (number, _) in templates::core_commands().iter().enumerate() {
        let number = number as u8;
        add(
            "requests",
            &format!("core-{number}"),
            vec![6, 2, 0, 0, 2, number, 0, 5, 0x41],
        );
        add(
            "requests",
            &format!("changed-{number}"),
            vec![2, 0, 0, 6, 2, number, 1, 1, 0, 1, 0, 3, 1, 2],
        );
    }
    let mut log = Vec::new();
    for change in &world.changes {
        let record = changelog::record(change, 0, &mut Arena::default());
        log.push(u8::from(record.value.is_none()));
        log.extend(join([&record.key[..]]));
        if let Some(value) = &record.value {
            log.extend(join([&value[..]]));
            if log.len() < 3000 {
                add(
                    "rows",
                    &format!("{}", log.len()),
                    [join([&change.key[..]]), value.to_vec()].concat(),
                );
            }
        }
    }
    if let Some(commit) = world.commits.last() {
        log.push(2);
        log.extend(join([&commit[..]]));
    }
    add("changelog", "run", log);
    let body: &[u8] = b"\x02\x00\x02\x00\x02\x01k\x06value\x02\x01\x01l\x00\x00";
    for how in [0, 4, 8, 3] {
        add(
            "frames",
            &format!("{how}"),
            [vec![how], join([body]), vec![0], join([body])].concat(),
        );
    }
    let bookmark = Bookmark {
        after: Bytes::from_static(b"the last key"),
    };
    let sealed = bookmark.seal(Digest::of(&[b"search"]), &Secret::new([7; 32]));
    add(
        "bookmarks",
        "sealed",
        [join([&b"search"[..]]), sealed.to_vec()].concat(),
    );
    for (number, text) in [
        "run_child",
        "spec/1/0",
        "a/0/1",
        "run/0-1",
        "run/ut-0-1-2/3",
        "t/p",
        "k/d",
    ]
    .iter()
    .enumerate()
    {
        add("ids", &format!("{number}"), text.as_bytes().to_vec());
    }
    for (number, assignment) in templates::assignments().iter().enumerate() {
        let mutation = templates::spec("s")
            .thread_specs
            .into_values()
            .flat_map(|thread| {
                let edges = thread
                    .nodes
                    .into_values()
                    .flat_map(|node| node.outgoing_edges);
                edges.flat_map(|edge| edge.variable_mutations)
            });
        let mutation = mutation
            .map(|mutation| mutation.encode_to_vec())
            .next()
            .unwrap_or_default();
        add(
            "expressions",
            &format!("{number}"),
            [join([&assignment.encode_to_vec()[..]]), mutation].concat(),
        );
    }
    for (number, (definition, value)) in crate::scope::Thread::new().content().enumerate() {
        add(
            "values",
            &format!("{number}"),
            [
                join([&definition.encode_to_vec()[..]]),
                value.encode_to_vec(),
            ]
            .concat(),
        );
    }
    for number in 0..8 {
        add("wf_specs", &format!("{number}"), noise(number, 1500));
    }
    for (number, path) in [
        "$.a[2].b",
        "$..b",
        "$['e e']",
        "$.a[?(@.b == 'c')]",
        "$.a[0,1]",
        "$.a[1:2].length()",
    ]
    .iter()
    .enumerate()
    {
        let json = br#"{"a":[1,2.5,{"b":"c"}],"d":null,"e e":true}"#;
        add(
            "json_paths",
            &format!("{number}"),
            [join([path.as_bytes()]), json.to_vec()].concat(),
        );
    }
    seeds
}

/// Bytes that follow from a number (xorshift).
pub fn noise(number: u64, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(len).collect()
}

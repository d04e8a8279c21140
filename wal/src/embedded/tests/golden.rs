//! Files of each version, as they were written: they must be read for ever.

use super::*;
use crate::Reader;
use std::path::Path;

/// What `tests/golden/v1` and `v2` hold: forty transactions of two runs, each after a command, over three groups; of
/// `v1-dropped` and `v2-dropped` the first sixty were more, and the first segment is gone.
fn expected(n: i64) -> (Record, [(Partition, Record); 4]) {
    let record = |key: String, value: Option<Bytes>| Record {
        key: Bytes::from(key),
        value,
        time_ms: n,
    };
    let text = |text: String| Some(Bytes::from(text));
    let repeat = if n % 5 == 0 { 60 } else { 3 };
    let noise: Bytes = (0..200_u64)
        .map(|i| ((i * 7919 + n as u64 * 104_729).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect();
    let changes = Partition::changelog(GroupId((n % 3) as u16));
    let messages = Partition::messages(GroupId(((n + 1) % 3) as u16));
    (
        record(String::new(), text(format!("command {n}"))),
        [
            (
                messages,
                record("m".to_owned(), text(format!("message {n}"))),
            ),
            (
                changes,
                record(
                    format!("key/{n}/a"),
                    text(format!("value {n} ").repeat(repeat)),
                ),
            ),
            (changes, record(format!("key/{n}/b"), Some(noise))),
            (changes, record(format!("key/{}/a", n - 1), None)),
        ],
    )
}

fn disk_of(version: &str) -> SimDisk {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/embedded/tests/golden")
        .join(version);
    let disk = SimDisk::default();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        // Named so because *.log is ignored by git.
        let name = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace(".segment", ".log");
        let file = disk.open(&name, true).unwrap();
        file.write_at(0, &std::fs::read(&path).unwrap()).unwrap();
        file.sync().unwrap();
    }
    disk
}

fn all(mut reader: Box<dyn Reader>) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let some = reader.poll(3, 1000).unwrap();
        if some.is_empty() {
            return records;
        }
        records.extend(some.into_iter().map(|(_, record)| record));
    }
}

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        compress_bytes: 256,
        ..Options::default()
    }
}

fn check(log: &EmbeddedLog) {
    for group in 0..3_u16 {
        let mine = |n: &i64| *n % 3 == i64::from(group);
        let commands: Vec<Record> = (0..40).filter(mine).map(|n| expected(n).0).collect();
        let of = |partition| {
            (0..40)
                .flat_map(|n| expected(n).1)
                .filter(|(to, _)| *to == partition)
                .map(|(_, record)| record)
                .collect::<Vec<_>>()
        };
        let group = GroupId(group);
        let read = |partition| all(log.open_reader(partition, Position::START).unwrap());
        assert_eq!(read(Partition::commands(group)), commands);
        assert_eq!(
            read(Partition::messages(group)),
            of(Partition::messages(group))
        );
        assert_eq!(
            read(Partition::changelog(group)),
            of(Partition::changelog(group))
        );
    }
}

#[test]
fn logs_of_every_version_are_read_and_written_on() {
    for version in ["v1", "v2"] {
        let disk = disk_of(version);
        let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
        check(&log);
        commit_to(&log, Partition::commands(GroupId(9)), 1);
        log.close();
        // Frames of this version now follow those in one segment.
        let log = EmbeddedLog::on_disk(Box::new(disk), options()).unwrap();
        check(&log);
        assert_eq!(
            all(log
                .open_reader(Partition::commands(GroupId(9)), Position::START)
                .unwrap())
            .len(),
            2
        );
    }
}

#[test]
fn what_old_versions_dropped_stays_dropped() {
    for version in ["v1-dropped", "v2-dropped"] {
        let disk = disk_of(version);
        let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
        let changes = Partition::changelog(GroupId(0));
        let Err(WalError::Truncated { start, .. }) = log.open_reader(changes, Position::START)
        else {
            panic!("{version}: read from the start")
        };
        let left = all(log.open_reader(changes, start).unwrap());
        assert_eq!(
            left.last().unwrap().key,
            format!("key/{}/a", 56).as_bytes(),
            "{version}"
        );
        log.close();
        assert!(EmbeddedLog::on_disk(Box::new(disk), options()).is_ok());
    }
}

#[test]
fn a_newer_version_is_refused_and_left_as_it_is() {
    let disk = disk_of("v2");
    let segment = disk.segment(1);
    // The version of the second frame.
    let at = {
        let seen = &segment.contents().seen;
        super::super::frame::next_magic(seen, 8).unwrap()
    };
    segment.contents().seen[at + 4] = 3;
    let before = segment.contents().seen.clone();
    match EmbeddedLog::on_disk(Box::new(disk.clone()), options()) {
        Err(WalError::Incompatible(text)) => assert!(
            text.contains("0000000000000001.log")
                && text.contains(&at.to_string())
                && text.contains("version 3"),
            "{text}"
        ),
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(segment.contents().seen, before);
}

/// Writes the golden files of the present version: run by hand when there is a new one.
#[test]
#[ignore = "writes golden files into $IRONHORSE_GOLDEN"]
fn write_golden_files() {
    let into = std::env::var("IRONHORSE_GOLDEN").unwrap();
    for (name, per_run, drops) in [("", 20, false), ("-dropped", 30, true)] {
        let disk = SimDisk::default();
        for run in 0..2 {
            let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
            let mut writer = log.open_writer(&WriterId("w".to_owned())).unwrap();
            for n in run * per_run..(run + 1) * per_run {
                let (command, records) = expected(n);
                let group = GroupId((n % 3) as u16);
                log.append(Partition::commands(group), command).unwrap();
                let (sender, receiver) = mpsc::channel();
                let records = records.to_vec();
                writer
                    .commit(
                        Transaction { records },
                        Box::new(move |outcome| sender.send(outcome).unwrap()),
                    )
                    .unwrap();
                assert!(matches!(receiver.recv().unwrap(), Outcome::Committed(_)));
            }
            if run == 0 && drops {
                for group in (0..3).map(GroupId) {
                    for partition in [
                        Partition::commands(group),
                        Partition::messages(group),
                        Partition::changelog(group),
                    ] {
                        log.trim(partition, log.end());
                    }
                }
                while disk
                    .list()
                    .unwrap()
                    .contains(&super::super::segments::name(1))
                {
                    std::thread::yield_now();
                }
            }
            log.close();
        }
        let dir = Path::new(&into).join(format!("v{}{name}", super::super::frame::VERSION));
        std::fs::create_dir_all(&dir).unwrap();
        for name in disk.list().unwrap() {
            let file = disk.open(&name, false).unwrap();
            let bytes = file.read_at(0, file.size().unwrap()).unwrap();
            std::fs::write(dir.join(name.replace(".log", ".segment")), bytes).unwrap();
        }
    }
}

//! How long segments live, what a backup copies, how much a reader reads.

use std::ops::ControlFlow;
use std::time::Duration;

use super::*;
use crate::Reader;
use crate::embedded::segments::name;
use crate::embedded::{End, LogFiles};

fn aging(age: Duration) -> Options {
    Options {
        segment_age: age,
        ..options()
    }
}

#[test]
fn an_idle_log_keeps_no_trimmed_bytes_beyond_their_age() {
    let disk = SimDisk::default();
    let log =
        EmbeddedLog::on_disk(Box::new(disk.clone()), aging(Duration::from_millis(20))).unwrap();
    let position = commit_to(&log, CHANGES, 4711);
    // It is sealed without any write; not removed, since somebody may still read it.
    wait_until("sealed", || disk.list().unwrap().contains(&name(2)));
    assert!(disk.list().unwrap().contains(&name(1)));
    // Nor are more and more segments made while nothing is written.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(disk.list().unwrap().len(), 2);
    log.trim(CHANGES, position);
    wait_until("removed", || !disk.list().unwrap().contains(&name(1)));
    for (file, bytes) in disk.contents() {
        let found = bytes.windows(4).any(|part| part == b"4711");
        assert!(!found, "the record's bytes are still in {file}");
    }
    // Opened again, it goes on where it was.
    let end = log.end();
    drop(log);
    let log = open(&disk).unwrap();
    assert!(log.end() >= end);
    let next = commit_to(&log, CHANGES, 1);
    assert!(next > end);
    let mut reader = log.open_reader(CHANGES, position).unwrap();
    assert_eq!(reader.poll(10, usize::MAX).unwrap().len(), 2);
}

#[test]
fn the_age_of_a_segment_survives_restarts() {
    let disk = SimDisk::default();
    let age = Duration::from_millis(150);
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), aging(age)).unwrap();
    commit_to(&log, CHANGES, 1);
    log.close();
    std::thread::sleep(age);
    // Old when it is opened: sealed at once, not after another 150 ms from now, however often that happens.
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), aging(age)).unwrap();
    let start = std::time::Instant::now();
    wait_until("sealed", || disk.list().unwrap().contains(&name(2)));
    assert!(start.elapsed() < age || log.end() > Position::START);
}

#[test]
fn a_pinned_log_drops_nothing_and_its_copy_is_the_log_up_to_then() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut last = Position::START;
    for n in 0..1500 {
        last = commit_to(&log, CHANGES, n);
        if n == 800 {
            log.trim(CHANGES, last);
            wait_until("removed", || !disk.list().unwrap().contains(&name(1)));
        }
    }
    let pin = log.pin().unwrap();
    log.trim(CHANGES, last);
    for n in 1500..2600 {
        commit_to(&log, CHANGES, n);
    }
    let copy = SimDisk::default();
    for file in pin.files() {
        let bytes = disk
            .open(&file.name, false)
            .unwrap()
            .read_at(0, file.bytes)
            .unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        let to = copy.open(&file.name, true).unwrap();
        to.write_at(0, &bytes).unwrap();
        to.set_len(file.size).unwrap();
    }
    let first = pin.files()[1].name.clone();
    assert!(
        disk.list().unwrap().contains(&first),
        "dropped although pinned"
    );
    let end = pin.end();
    drop(pin);
    wait_until("dropped afterwards", || {
        !disk.list().unwrap().contains(&first)
    });
    let copied = open(&copy).unwrap();
    assert_eq!(copied.end(), end);
    let Err(WalError::Truncated { start, .. }) = copied.open_reader(CHANGES, Position::START)
    else {
        panic!("not truncated")
    };
    let mut reader = copied.open_reader(CHANGES, start).unwrap();
    let mut records = Vec::new();
    loop {
        let some = reader.poll(1000, usize::MAX).unwrap();
        if some.is_empty() {
            break;
        }
        records.extend(some);
    }
    assert_eq!(records.last().unwrap().0, last);
    assert!(matches!(commit(&copied, 0, 10), Outcome::Committed(_)));
}

#[test]
fn a_reader_reads_and_decodes_little_of_what_others_wrote() {
    let disk = SimDisk::default();
    let options = || Options {
        segment_bytes: 4 << 20,
        ..super::options()
    };
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
    let rare = Partition::changelog(GroupId(7));
    let mut positions = Vec::new();
    for n in 0..6000 {
        if n % 1500 == 700 {
            positions.push(commit_to(&log, rare, n as i64));
        }
        commit(&log, n, 400);
    }
    log.close();
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options()).unwrap();
    let before = disk.bytes_read();
    let mut reader = log.open_reader(rare, Position::START).unwrap();
    let mut found = Vec::new();
    while found.len() < 8 {
        let some = reader.poll(10, usize::MAX).unwrap();
        assert!(!some.is_empty());
        found.extend(some.into_iter().map(|(position, _)| position));
    }
    assert!(reader.poll(10, usize::MAX).unwrap().is_empty());
    assert_eq!([found[1], found[3], found[5], found[7]], positions[..]);
    // The bound: one block, and a frame that reaches beyond it, for each frame of the partition.
    let read = disk.bytes_read() - before;
    assert!(read <= 4 * ((64 << 10) + 1000), "{read}");
    // Nothing is read for what is not there.
    let before = disk.bytes_read();
    let mut reader = log
        .open_reader(Partition::changelog(GroupId(8)), Position::START)
        .unwrap();
    assert!(reader.poll(10, usize::MAX).unwrap().is_empty());
    assert_eq!(disk.bytes_read(), before);
}

#[test]
fn tools_see_every_frame_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        LogFiles::open(&dir.path().join("none")),
        Err(WalError::Io { .. })
    ));
    assert!(matches!(
        LogFiles::open(dir.path()),
        Err(WalError::Io { .. })
    ));
    let log = EmbeddedLog::open(dir.path(), options()).unwrap();
    let mut committed = Vec::new();
    for n in 0..1000_i64 {
        committed.push(commit_to(&log, CHANGES, n));
    }
    // Beside the running log.
    let files = LogFiles::open(dir.path()).unwrap();
    let mut seen = Vec::new();
    let mut before = 0;
    let end = files
        .walk(&mut |frame| {
            assert!(frame.sequence == before + 1 && frame.durable < frame.sequence);
            before = frame.sequence;
            assert_eq!(frame.born_ms.is_some(), frame.offset == 0);
            let records = frame.records().unwrap();
            assert_eq!(records.len(), 2);
            assert_eq!(frame.partitions, [(CHANGES, records[1].1)]);
            assert!(frame.raw_bytes >= frame.stored_bytes && frame.bytes > frame.stored_bytes);
            assert_eq!(frame.compressed, frame.raw_bytes > frame.stored_bytes);
            seen.push(records[1].1);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, committed);
    assert!(
        matches!(end, End::Clean(place) if place.segment == files.segments().unwrap().len() as u64),
        "{end:?}"
    );
    // A copy up to some frame, while the log is written on and drops everything.
    let up_to = committed[100];
    log.trim(CHANGES, log.end());
    for n in 0..300 {
        commit_to(&log, Partition::changelog(GroupId(5)), n);
    }
    wait_until("dropped", || {
        LogFiles::open(dir.path())
            .unwrap()
            .dropped()
            .contains_key(&CHANGES)
    });
    let copy = tempfile::tempdir().unwrap();
    for file in files.to_copy(up_to).unwrap() {
        let bytes = files.read(&file.name, 0, file.bytes).unwrap();
        let path = copy.path().join(&file.name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(file.size)
            .unwrap();
    }
    assert!(matches!(
        files.to_copy(LogFiles::position_of(1 << 40)),
        Err(WalError::Corrupt(_))
    ));
    let copied = EmbeddedLog::open(copy.path(), options()).unwrap();
    let mut reader = copied.open_reader(CHANGES, Position::START).unwrap();
    let mut last = Position::START;
    while let Some((position, _)) = reader.poll(1000, usize::MAX).unwrap().last() {
        last = *position;
    }
    assert_eq!(last, up_to);
}

#[test]
fn tools_that_look_on_while_the_log_is_written_never_see_damage() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), options()).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..3000 {
                let position = commit_to(&log, CHANGES, n);
                if n % 50 == 0 {
                    log.trim(CHANGES, position);
                }
            }
        });
        let mut walks = 0;
        while !writing.is_finished() || walks == 0 {
            let files = LogFiles::open(dir.path()).unwrap();
            let end = files.walk(&mut |_| ControlFlow::Continue(())).unwrap();
            assert!(matches!(end, End::Clean(_) | End::Torn(_)), "{end:?}");
            walks += 1;
        }
    });
}

#[test]
fn a_reader_from_the_start_sees_an_append_before_it_is_durable() {
    let disk = SimDisk::default();
    let commands = Partition::commands(GroupId(0));
    for opened in 0..3 {
        let log = open(&disk).unwrap();
        let mut reader = log.open_reader(commands, Position::START).unwrap();
        while !reader.poll(10, usize::MAX).unwrap().is_empty() {}
        let record = Record {
            key: Bytes::new(),
            value: Some(Bytes::from(format!("{opened}"))),
            time_ms: 0,
        };
        // Nobody commits, so it is not written for some milliseconds.
        log.append(commands, record.clone()).unwrap();
        let read = reader.poll(10, usize::MAX).unwrap();
        assert_eq!(read.len(), 1, "the group would sleep on it");
        assert_eq!(read[0].1, record);
        log.close();
    }
}

/// All that a reader gives, a few records at a time, until it refuses or has come to the end.
fn read_all(reader: &mut dyn Reader, into: &mut Vec<Position>) -> Result<(), WalError> {
    loop {
        let some = reader.poll(3, usize::MAX)?;
        if some.is_empty() {
            return Ok(());
        }
        into.extend(some.into_iter().map(|(position, _)| position));
    }
}

#[test]
fn a_reader_whose_segment_is_dropped_under_it_says_so_and_passes_nothing_over() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut all = Vec::new();
    for n in 0..2000 {
        let Outcome::Committed(last) = commit(&log, n, 200) else {
            panic!("not committed")
        };
        all.extend([Position::from_u64(last.to_u64() - 1), last]);
    }
    // One that has not begun, one that has read a little, one that has passed what goes.
    let middle = all[all.len() / 2];
    let mut fresh = log.open_reader(CHANGES, Position::START).unwrap();
    let mut begun = log.open_reader(CHANGES, Position::START).unwrap();
    let mut ahead = log.open_reader(CHANGES, middle).unwrap();
    let (mut read, mut rest) = (Vec::new(), Vec::new());
    read.extend(
        begun
            .poll(5, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|(position, _)| position),
    );
    log.trim(CHANGES, middle);
    wait_until("dropped", || !disk.list().unwrap().contains(&name(3)));
    for reader in [&mut fresh, &mut begun] {
        let mut found = Vec::new();
        // However often it is asked.
        for _ in 0..3 {
            let Err(WalError::Truncated {
                position,
                start,
                partition,
            }) = read_all(&mut **reader, &mut found)
            else {
                panic!("it came to the end")
            };
            assert_eq!(partition, CHANGES);
            assert!(position < start && start <= middle);
        }
        read.extend(found);
    }
    assert_eq!(read, all[..read.len()], "a gap");
    read_all(&mut *ahead, &mut rest).unwrap();
    assert_eq!(rest, all[all.len() / 2 + 1..]);
}

//! Tests of the embedded log: the contract, and what a crash may leave of its files.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::disk::{Disk, DiskFile};
use super::{EmbeddedLog, Options};
use crate::{GroupId, Log, Outcome, Partition, Position, Record, Transaction, WalError, WriterId};

const PAGE: usize = 4096;
const CHANGES: Partition = Partition::changelog(GroupId(0));

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        compress_bytes: 200,
        ..Options::default()
    }
}

/// A file's bytes as the process sees them, and as the medium has them.
#[derive(Clone, Default)]
struct Bytes2 {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Default)]
struct SimFile(Arc<Mutex<Bytes2>>);

/// A disk in memory that may lose what was not synced, page by page. (Names are durable at once: `sync_dir` is called.)
#[derive(Clone, Default)]
struct SimDisk(Arc<Mutex<BTreeMap<String, SimFile>>>);

impl Disk for SimDisk {
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.0.lock();
        if !create && !files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(files.entry(name.to_owned()).or_default().clone()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0
            .lock()
            .remove(name)
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock();
        let end = offset as usize + bytes.len();
        if file.seen.len() < end {
            file.seen.resize(end, 0);
        }
        file.seen[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, len: u64) -> io::Result<Vec<u8>> {
        let file = self.0.lock();
        Ok(file.seen[..file.seen.len().min(len as usize)].to_vec())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().seen.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut file = self.0.lock();
        file.durable = file.seen.clone();
        Ok(())
    }
}

impl SimDisk {
    /// A copy of what the medium has after a power cut that kept the unsynced pages for which `keep` says so.
    fn after_power_cut(&self, keep: &mut dyn FnMut() -> bool) -> SimDisk {
        let files = self.0.lock();
        let copy = files.iter().map(|(name, file)| {
            let file = file.0.lock();
            let mut bytes = file.durable.clone();
            bytes.resize(file.seen.len(), 0);
            for (page, seen) in bytes.chunks_mut(PAGE).zip(file.seen.chunks(PAGE)) {
                if page != seen && keep() {
                    page.copy_from_slice(seen);
                }
            }
            (
                name.clone(),
                SimFile(Arc::new(Mutex::new(Bytes2 {
                    seen: bytes.clone(),
                    durable: bytes,
                }))),
            )
        });
        SimDisk(Arc::new(Mutex::new(copy.collect())))
    }

    /// A deep copy of what the process sees.
    fn copy(&self) -> SimDisk {
        self.after_power_cut(&mut || true)
    }

    fn segment(&self, id: u64) -> SimFile {
        self.0
            .lock()
            .get(&super::segments::name(id))
            .cloned()
            .expect("the segment")
    }
}

fn open(disk: &SimDisk) -> Result<Arc<EmbeddedLog>, WalError> {
    EmbeddedLog::on_disk(Box::new(disk.clone()), options())
}

/// Bytes that do not compress.
fn noise(n: u64) -> u8 {
    let mixed = (n ^ n >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
}

fn commit(log: &EmbeddedLog, n: usize, size: usize) -> Outcome {
    let mut writer = log.open_writer(&WriterId("w".to_owned())).unwrap();
    let (sender, receiver) = mpsc::channel();
    let value: Vec<u8> = (0..size)
        .map(|at| noise((n * 100_003 + at) as u64))
        .collect();
    let record = |key: String| Record {
        key: Bytes::from(key),
        value: Some(Bytes::from(value.clone())),
        time_ms: n as i64,
    };
    let records = vec![
        (CHANGES, record(format!("{n}/a"))),
        (CHANGES, record(format!("{n}/b"))),
    ];
    writer
        .commit(
            Transaction { records },
            Box::new(move |outcome| sender.send(outcome).unwrap()),
        )
        .unwrap();
    receiver.recv().unwrap()
}

/// The transactions in the log: their numbers. Each must be whole.
fn transactions(log: &EmbeddedLog) -> Vec<usize> {
    let mut reader = log.open_reader(CHANGES, Position::START).unwrap();
    let mut keys = Vec::new();
    loop {
        let records = reader.poll(7, usize::MAX).unwrap();
        if records.is_empty() {
            break;
        }
        keys.extend(
            records
                .into_iter()
                .map(|(_, record)| String::from_utf8(record.key.to_vec()).unwrap()),
        );
    }
    assert_eq!(keys.len() % 2, 0, "half a transaction: {keys:?}");
    keys.chunks(2)
        .map(|pair| {
            let n = pair[0].strip_suffix("/a").unwrap();
            assert_eq!(pair[1], format!("{n}/b"));
            n.parse().unwrap()
        })
        .collect()
}

#[test]
fn keeps_the_contract() {
    crate::contract::check(&|| open(&SimDisk::default()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let made = std::cell::Cell::new(0);
    crate::contract::check(&|| {
        made.set(made.get() + 1);
        EmbeddedLog::open(&dir.path().join(made.get().to_string()), options()).unwrap()
    });
}

#[test]
fn a_directory_is_used_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), options()).unwrap();
    match EmbeddedLog::open(dir.path(), options()) {
        Err(WalError::Locked(path)) => assert!(path.contains(&dir.path().display().to_string())),
        other => panic!("{:?}", other.err()),
    }
    drop(log);
    EmbeddedLog::open(dir.path(), options()).unwrap();
}

#[test]
fn what_is_committed_is_there_after_a_restart_over_many_segments() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    for n in 0..300 {
        assert!(matches!(commit(&log, n, 500), Outcome::Committed(_)));
    }
    assert!(disk.list().unwrap().len() > 3, "it took several segments");
    // Killed, not closed.
    let log = open(&disk.copy()).unwrap();
    assert_eq!(transactions(&log), (0..300).collect::<Vec<_>>());
    commit(&log, 300, 10);
    assert_eq!(transactions(&log).last(), Some(&300));
}

#[test]
fn segments_that_nobody_needs_are_removed_and_reading_them_is_refused() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut last = Position::START;
    for n in 0..300 {
        let Outcome::Committed(position) = commit(&log, n, 500) else {
            panic!("not committed")
        };
        last = position;
    }
    let before = disk.list().unwrap().len();
    log.trim(CHANGES, last);
    commit(&log, 300, 10);
    commit(&log, 301, 10);
    drop(log);
    assert!(disk.list().unwrap().len() < before, "{:?}", disk.list());
    let log = open(&disk).unwrap();
    assert!(matches!(
        log.open_reader(CHANGES, Position::START),
        Err(WalError::Truncated { .. })
    ));
    let mut reader = log.open_reader(CHANGES, last).unwrap();
    assert_eq!(reader.poll(100, usize::MAX).unwrap().len(), 4);
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_frames_keeps_a_prefix_and_goes_on() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    for n in 0..6 {
        commit(&log, n, 40);
    }
    let whole = disk.copy();
    let bytes = whole.segment(1).0.lock().seen.clone();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut counts = std::collections::BTreeSet::new();
    for cut in 0..=end {
        let disk = whole.copy();
        disk.segment(1).0.lock().seen[cut..].fill(0);
        match open(&disk) {
            Ok(log) => {
                let found = transactions(&log);
                assert_eq!(found, (0..found.len()).collect::<Vec<_>>(), "cut at {cut}");
                counts.insert(found.len());
                if cut % 16 == 0 {
                    commit(&log, found.len(), 20);
                    drop(log);
                    let log = open(&disk).unwrap();
                    assert_eq!(
                        transactions(&log).len(),
                        found.len() + 1,
                        "cut at {cut}, then written on"
                    );
                }
            }
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        (0..=6).collect::<Vec<_>>(),
        "every prefix was met"
    );
}

#[test]
fn a_hole_is_damage_if_a_later_frame_says_that_it_was_durable() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut ends = Vec::new();
    for n in 0..4 {
        commit(&log, n, 40);
        ends.push(
            disk.segment(1)
                .0
                .lock()
                .seen
                .iter()
                .rposition(|byte| *byte != 0)
                .unwrap(),
        );
    }
    let whole = disk.copy();
    // A flipped bit in the second frame: the third says that it was durable.
    let damaged = whole.copy();
    damaged.segment(1).0.lock().seen[ends[0] + 60] ^= 1;
    match open(&damaged) {
        Err(WalError::Corrupt(text)) => {
            assert!(
                text.contains("0000000000000001.log") && text.contains("offset"),
                "{text}"
            );
        }
        other => panic!("{:?}", other.err()),
    }
    // In the last one: nobody says so, and it is taken for a crash's unfinished end. This is the stated limit.
    let torn = whole.copy();
    torn.segment(1).0.lock().seen[ends[2] + 60] ^= 1;
    assert_eq!(transactions(&open(&torn).unwrap()), [0, 1, 2]);
    // Unless the log was closed in good order: its last mark is the witness.
    drop(log);
    let closed = disk.copy();
    closed.segment(1).0.lock().seen[ends[2] + 60] ^= 1;
    assert!(matches!(open(&closed), Err(WalError::Corrupt(_))));
}

#[test]
fn a_disk_that_cannot_sync_acknowledges_nothing() {
    #[derive(Clone)]
    struct Broken(SimDisk, Arc<std::sync::atomic::AtomicBool>);
    struct BrokenFile(Arc<dyn DiskFile>, Arc<std::sync::atomic::AtomicBool>);
    impl DiskFile for BrokenFile {
        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, bytes)
        }
        fn read(&self, len: u64) -> io::Result<Vec<u8>> {
            self.0.read(len)
        }
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }
        fn sync(&self) -> io::Result<()> {
            if self.1.load(std::sync::atomic::Ordering::SeqCst) {
                Err(io::Error::other("no"))
            } else {
                self.0.sync()
            }
        }
    }
    impl Disk for Broken {
        fn lock(&self) -> io::Result<bool> {
            Ok(true)
        }
        fn list(&self) -> io::Result<Vec<String>> {
            self.0.list()
        }
        fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(BrokenFile(
                self.0.open(name, create)?,
                Arc::clone(&self.1),
            )))
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.0.rename(from, to)
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
        fn sync_dir(&self) -> io::Result<()> {
            Ok(())
        }
    }
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let disk = Broken(SimDisk::default(), Arc::clone(&broken));
    // In production this ends the process; here the log only refuses writes.
    let log = EmbeddedLog::on_disk(
        Box::new(disk),
        Options {
            on_sync_error: |_| {},
            ..options()
        },
    )
    .unwrap();
    assert!(matches!(commit(&log, 0, 10), Outcome::Committed(_)));
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(commit(&log, 1, 10), Outcome::Unknown);
    assert_eq!(commit(&log, 2, 10), Outcome::Aborted);
    assert_eq!(transactions(&log), [0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Commits whose `fdatasync` never came back, and a power cut that keeps any subset of their pages.
    #[test]
    fn a_power_cut_keeps_every_acknowledged_transaction_and_a_prefix_of_the_rest(
        synced in 1_usize..6,
        unsynced in prop::collection::vec(10_usize..9_000, 1..5),
        kept in prop::collection::vec(any::<bool>(), 64),
    ) {
        let disk = SimDisk::default();
        let log = open(&disk).unwrap();
        for n in 0..synced {
            commit(&log, n, 300);
        }
        let acknowledged = disk.copy();
        for (n, size) in unsynced.iter().enumerate() {
            commit(&log, synced + n, *size);
        }
        // The medium has what was acknowledged; the process saw more.
        let names = disk.list().unwrap();
        for name in names {
            let before = acknowledged.0.lock().get(&name).map(|file| file.0.lock().seen.clone()).unwrap_or_default();
            let file = disk.0.lock().get(&name).cloned().unwrap();
            file.0.lock().durable = before;
        }
        let mut kept = kept.into_iter().cycle();
        let cut = disk.after_power_cut(&mut || kept.next().unwrap_or(false));
        match open(&cut) {
            Ok(log) => {
                let found = transactions(&log);
                prop_assert_eq!(&found, &(0..found.len()).collect::<Vec<_>>());
                prop_assert!(found.len() >= synced, "lost an acknowledged transaction: {:?}", found);
                commit(&log, found.len(), 50);
                drop(log);
                prop_assert_eq!(transactions(&open(&cut).unwrap()).len(), found.len() + 1);
            }
            // Each of these commits was synced in truth before the next began, and says so: a later one that
            // survives while an earlier one is lost is then told as damage, which a real power cut cannot make.
            Err(WalError::Corrupt(_)) => prop_assert!(unsynced.len() > 1),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

//! What the runtime does with a log, as small as it can be: an owner that numbers its batches, and never guesses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ironhorse_wal_kafka::KafkaLog;
use wal::{
    Append, GroupId, Log, Outcome, Partition, Position, Record, Transaction, Writer, WriterId,
};

pub(crate) const GROUP: GroupId = GroupId(0);
pub(crate) const CHANGES: Partition = Partition::changelog(GROUP);
pub(crate) const COMMANDS: Partition = Partition::commands(GROUP);
pub(crate) const MESSAGES: Partition = Partition::messages(GroupId(1));
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn id() -> WriterId {
    WriterId("group.0".to_owned())
}

pub(crate) fn record(key: &str, value: &str) -> Record {
    Record {
        key: Bytes::from(key.to_owned()),
        value: Some(Bytes::from(value.to_owned())),
        time_ms: 0,
    }
}

pub(crate) fn commit(writer: &mut dyn Writer, records: Vec<(Partition, Record)>) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    writer
        .commit(
            Transaction { records },
            Box::new(move |outcome| {
                // The test has failed already if nobody listens.
                let _ = sender.send(outcome);
            }),
        )
        .unwrap();
    receiver.recv_timeout(PATIENCE).expect("an outcome")
}

/// Appends and waits for the acknowledgement.
pub(crate) fn append(log: &KafkaLog, value: &str) -> Result<Position, wal::AppendError> {
    match log.append(COMMANDS, record("", value))? {
        Append::Done(position) => Ok(position),
        Append::Pending(fate) => tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(fate),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All keys and values of a partition up to the record with key `end`.
pub(crate) fn read_to(log: &dyn Log, from: Partition, end: &str) -> Vec<(String, String)> {
    let mut reader = log.open_reader(from, Position::START).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    loop {
        for (_, record) in reader.poll(1000, usize::MAX).unwrap() {
            let key = text(&record.key);
            if key == end {
                return found;
            }
            found.push((key, text(&record.value.unwrap_or_default())));
        }
        assert!(Instant::now() < deadline, "no {end} in {from:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Opens the writer, commits a barrier, and reads up to it.
pub(crate) fn take_over(log: &KafkaLog) -> (Box<dyn Writer>, Vec<(String, String)>) {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut writer = log.open_writer(&id()).unwrap();
        let barrier = format!("barrier-{}", NONCE.fetch_add(1, Ordering::Relaxed));
        let outcome = commit(&mut *writer, vec![(CHANGES, record(&barrier, ""))]);
        if matches!(outcome, Outcome::Committed(_)) {
            let mut found = read_to(log, CHANGES, &barrier);
            found.retain(|(key, _)| !key.starts_with("barrier-"));
            return (writer, found);
        }
        assert!(Instant::now() < deadline, "no barrier: {outcome:?}");
    }
}

/// What an [`Owner`] was told.
#[derive(Default)]
pub(crate) struct Told {
    /// The last batch that was acknowledged; batches are numbered from 1.
    pub(crate) committed: AtomicU64,
    /// Appends that were acknowledged.
    pub(crate) appended: parking_lot::Mutex<Vec<String>>,
    /// How often the writer was opened.
    pub(crate) terms: AtomicU64,
    stop: AtomicBool,
}

/// Commits batch after batch on a thread, and appends on another.
pub(crate) struct Owner {
    pub(crate) told: Arc<Told>,
    threads: Vec<JoinHandle<()>>,
}

impl Owner {
    pub(crate) fn start(log: &Arc<KafkaLog>) -> Owner {
        // What RUST_LOG asks for; another test may have begun already.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .try_init();
        let told = Arc::new(Told::default());
        let own = |work: fn(&KafkaLog, &Told)| {
            let (log, told) = (Arc::clone(log), Arc::clone(&told));
            std::thread::spawn(move || work(&log, &told))
        };
        Owner {
            threads: vec![own(commit_all), own(append_all)],
            told,
        }
    }

    /// Waits until more batches have been acknowledged, and more appends.
    pub(crate) fn wait_for_more(&self) {
        let before = self.committed();
        let appended = self.told.appended.lock().len();
        let deadline = Instant::now() + PATIENCE;
        while self.committed() < before + 5 || self.told.appended.lock().len() < appended + 5 {
            assert!(Instant::now() < deadline, "nothing is acknowledged");
            assert!(
                self.threads.iter().all(|thread| !thread.is_finished()),
                "the owner has failed"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.told.committed.load(Ordering::SeqCst)
    }

    /// Stops, and compares the log with what was acknowledged.
    pub(crate) fn check(self, log: &KafkaLog) {
        self.told.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("the owner's thread");
        }
        let committed = self.told.committed.load(Ordering::SeqCst);
        let (mut writer, changes) = take_over(log);
        // Each batch once, in order, whole: the changelog is what happened.
        let numbers: Vec<u64> = changes
            .chunks(2)
            .map(|batch| {
                assert_eq!(batch[0].1, batch[1].1, "a batch is whole");
                batch[1].1.parse().unwrap()
            })
            .collect();
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected, "each batch once and in order");
        assert!(
            numbers.len() as u64 >= committed,
            "acknowledged {committed}, found {}",
            numbers.len()
        );
        // The fold of the changelog is the state of the last batch.
        let state: BTreeMap<String, String> = changes.into_iter().collect();
        assert_eq!(state["last"], numbers.len().to_string());
        // What went to another partition in the same transactions.
        let end = commit(&mut *writer, vec![(MESSAGES, record("end", ""))]);
        assert!(matches!(end, Outcome::Committed(_)), "{end:?}");
        let messages: Vec<u64> = read_to(log, MESSAGES, "end")
            .into_iter()
            .map(|(_, number)| number.parse().unwrap())
            .collect();
        assert_eq!(messages, numbers, "messages of the same transactions");
        // Every acknowledged append is there, once.
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        let end = commit(&mut *writer, vec![(COMMANDS, record("end", ""))]);
        assert!(matches!(end, Outcome::Committed(_)), "{end:?}");
        for (_, value) in read_to(log, COMMANDS, "end") {
            *found.entry(value).or_default() += 1;
        }
        for value in self.told.appended.lock().iter() {
            assert_eq!(found.get(value), Some(&1), "append {value}");
        }
    }
}

fn commit_all(log: &KafkaLog, told: &Told) {
    let (mut writer, mut changes) = take_over(log);
    while !told.stop.load(Ordering::SeqCst) {
        let number = changes.len() as u64 / 2 + 1;
        assert!(number > told.committed.load(Ordering::SeqCst), "lost");
        let value = number.to_string();
        let records = vec![
            (CHANGES, record(&format!("row-{}", number % 10), &value)),
            (MESSAGES, record("", &value)),
            (CHANGES, record("last", &value)),
        ];
        match commit(&mut *writer, records) {
            Outcome::Committed(_) => {
                told.committed.store(number, Ordering::SeqCst);
                changes.extend([(String::new(), value.clone()), (String::new(), value)]);
            }
            Outcome::Fenced => panic!("fenced, and there is nobody else"),
            Outcome::Aborted | Outcome::Unknown => {
                told.terms.fetch_add(1, Ordering::SeqCst);
                (writer, changes) = take_over(log);
            }
        }
    }
}

fn append_all(log: &KafkaLog, told: &Told) {
    let mut number = 0_u64;
    while !told.stop.load(Ordering::SeqCst) {
        number += 1;
        let value = number.to_string();
        if append(log, &value).is_ok() {
            told.appended.lock().push(value);
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

//! The engine on the log on disk: what it lets go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use index::{Base, Family, MemoryBase};
use ironhorse_runtime::{Clock, Engine, EngineError, EngineOptions, GroupSetup};
use wal::embedded::{self, EmbeddedLog};
use wal::{GroupId, Log};

use super::app::{Counters, Hand, submit, until};

fn start(
    log: &Arc<EmbeddedLog>,
    clock: &Arc<Hand>,
    bases: &[MemoryBase; 3],
) -> Result<Engine, EngineError> {
    let setup = |id, base: &MemoryBase| GroupSetup {
        id,
        app: Arc::new(Counters),
        base: Arc::new(base.clone()) as Arc<dyn Base>,
    };
    let groups = vec![setup(GroupId(0), &bases[0]), setup(GroupId(1), &bases[1])];
    let metadata = setup(GroupId::METADATA, &bases[2]);
    let (log, clock): (Arc<dyn Log>, Arc<dyn Clock>) = (log.clone(), clock.clone());
    Engine::start(log, clock, metadata, groups, &EngineOptions::default())
}

/// The segments' files, oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    files.sort_unstable();
    files
}

/// Groups that rest have barriers in the log, one for each start, and perhaps nothing else: once their stores are written
/// back, none of these keeps a segment on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn groups_that_rest_pin_no_segment_however_often_they_start() {
    let dir = tempfile::tempdir().unwrap();
    let options = embedded::Options {
        segment_bytes: 1 << 20,
        segment_age: Duration::from_millis(20),
        ..embedded::Options::default()
    };
    let (clock, bases) = (Arc::new(Hand::default()), <[MemoryBase; 3]>::default());
    for round in 0..4 {
        let log = EmbeddedLog::open(dir.path(), options.clone()).unwrap();
        let engine = start(&log, &clock, &bases).unwrap();
        // One group is used once, the others never are.
        if round == 1 {
            submit(&engine, 1, "add key-a 5").await.unwrap();
        }
        let last = segments(dir.path()).pop().unwrap();
        // Write-backs of few changes come after a while.
        until("the segment of this start is dropped", || {
            clock.0.fetch_add(100, Ordering::SeqCst);
            !segments(dir.path()).contains(&last)
        })
        .await;
        drop(engine);
        drop(log);
        let value = bases[0].get(Family::State, b"key-a").unwrap();
        assert_eq!(value.is_some(), round > 0);
    }
    // Whoever lacks what was dropped is told.
    let log = EmbeddedLog::open(dir.path(), options).unwrap();
    let refused = start(&log, &clock, &<[MemoryBase; 3]>::default());
    assert!(matches!(refused, Err(EngineError::BaseTooOld { .. })));
}

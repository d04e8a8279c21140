//! An index that a newer build declares comes to the rows of a running group, and to those of its standby.

use std::sync::Arc;

use bytes::Bytes;
use index::{
    Base, Checkpoints, Family, IndexDeclaration, Indexes, KeyRange, MemoryBase, MemorySink,
    Options, ReadHandle, Schema, Shipment, StoreError,
};
use ironhorse_runtime::{
    Application, Clock, Context, Engine, EngineOptions, Entry, GroupSetup, Rejection, Standby,
    Waiter,
};
use wal::{GroupId, Log};

use super::app::{ByValue, Counters, Disk, GROUP, submit, until};

/// [`ByValue`], and the same keys by their ends.
struct AlsoByEnd;

const BY_END: &[u8] = b"e";

impl Schema for AlsoByEnd {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        let mut indexes = ByValue.indexes();
        indexes.push(IndexDeclaration {
            name: "by end",
            prefix: Bytes::from_static(BY_END),
            version: 1,
        });
        indexes
    }

    fn is_indexed(&self, key: &[u8]) -> bool {
        ByValue.is_indexed(key)
    }

    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes)) {
        ByValue.index_entries(key, value, emit);
        let backwards: Vec<u8> = key.iter().rev().copied().collect();
        emit(
            Bytes::from([BY_END, &backwards].concat()),
            Bytes::copy_from_slice(value),
        );
    }
}

/// The next build of [`Counters`].
struct Newer;

impl Application for Newer {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(AlsoByEnd)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        Counters.command(context, payload)
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        Counters.message(context, payload)
    }

    fn claim(
        &self,
        context: &mut Context<'_>,
        entry: &Entry,
        waiter: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        Counters.claim(context, entry, waiter)
    }
}

fn options() -> Options {
    Options {
        index_piece_rows: 5,
        ..Options::default()
    }
}

fn newer(disk: &Disk) -> Engine {
    let setup = |id, base: &MemoryBase| GroupSetup {
        id,
        app: Arc::new(Newer),
        base: Arc::new(base.clone()) as Arc<dyn Base>,
    };
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let clock: Arc<dyn Clock> = disk.clock.clone();
    let options = EngineOptions {
        store: options(),
        ..EngineOptions::default()
    };
    let groups = vec![
        setup(GroupId(0), &disk.bases[0]),
        setup(GroupId(1), &disk.bases[1]),
    ];
    let metadata = setup(GroupId::METADATA, &disk.bases[2]);
    Engine::start(log, clock, metadata, groups, &options).unwrap()
}

fn by_end(reader: &ReadHandle) -> Result<usize, StoreError> {
    let range = KeyRange::prefix(BY_END);
    let rows = reader.scan(Family::Index, &range, usize::MAX, false)?;
    Ok(rows.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_built_while_commands_run_and_by_each_replica_for_itself() {
    let disk = Disk::default();
    let engine = disk.start();
    for n in 0..200 {
        submit(&engine, n, &format!("add key-{n} 1")).await.unwrap();
    }
    // Written back, and the log has forgotten it.
    drop(engine);
    let source = disk.bases[0].checkpoint().unwrap();
    let mut shipment = Shipment::begin(source, Box::new(MemorySink::default())).unwrap();
    while shipment.step(1 << 20).unwrap() {}
    let old = shipment.finish().unwrap();

    let engine = newer(&disk);
    let reader = engine.reader(GROUP).unwrap().clone();
    for n in 200..230 {
        match by_end(&reader) {
            Ok(rows) => assert_eq!(rows, n as usize, "a row is missing"),
            // How often this is seen is up to the scheduler of the machine; below, a standby cannot miss it.
            Err(error) => assert!(
                matches!(error, StoreError::IndexBuilding { name: "by end", .. }),
                "{error}"
            ),
        }
        submit(&engine, n, &format!("add key-{n} 1")).await.unwrap();
    }
    until("the index is complete", || by_end(&reader).is_ok()).await;
    assert_eq!(by_end(&reader).unwrap(), 230);
    assert!(reader.index_builds().0.is_empty());

    // A replica has only the changelog: it derives what it applies, and builds what its own base lacks.
    let log: Arc<dyn Log> = Arc::new(disk.log.clone());
    let schema = Arc::new(AlsoByEnd);
    let mut standby = Standby::open(GROUP, log, old, schema, options()).unwrap();
    assert!(by_end(&standby.reader()).is_err());
    let mut steps = 0;
    while standby.step(0).unwrap() {
        steps += 1;
        assert!(steps < 1_000, "it does not end");
    }
    assert_eq!(by_end(&standby.reader()).unwrap(), 230);

    // Once written back, it is there from the beginning.
    drop(engine);
    let recorded = Indexes::read(&disk.bases[0], &AlsoByEnd).unwrap();
    assert!(recorded.is_settled(), "{recorded:?}");
    let engine = newer(&disk);
    assert_eq!(by_end(engine.reader(GROUP).unwrap()).unwrap(), 230);
}

//! `fuzz-seeds DIR`: writes the corpus's seeds: what the product itself writes, in a run of the templates.

use index::Arena;
use std::path::Path;
use std::sync::mpsc;

use ironhorse_fuzz_targets::{MemoryDisk, Op, World, core_commands, definitions, join, seed};
use wal::embedded::{EmbeddedLog, Options};
use wal::{GroupId, Log, Partition, Transaction, WriterId};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let dir = std::env::args_os().nth(1).ok_or("usage: fuzz-seeds DIR")?;
    let dir = Path::new(&dir);
    let mut world = World::new();
    let commands = core_commands();
    let (last, others) = commands.split_last().ok_or("no commands")?;
    let mut ops: Vec<Op> = vec![Op::Poll, Op::Core(others[0].clone()), World::success(4)];
    ops.extend(others.iter().cloned().map(Op::Core));
    ops.extend([Op::Pass(5_000), Op::Poll, Op::Core(last.clone())]);
    let mut rows = Vec::new();
    for op in &ops {
        // Most of the templates' commands succeed; those that do not are seeds as well.
        let _ = world.happen(op);
        rows.append(&mut world.changes.clone());
    }
    world.check();
    let write = |target: &str, name: &str, bytes: &[u8]| -> Result<(), Error> {
        std::fs::create_dir_all(dir.join(target))?;
        Ok(std::fs::write(
            dir.join(target).join(format!("seed-{name}")),
            bytes,
        )?)
    };
    for (target, name, bytes) in seed::all(&world, &ops, &definitions()) {
        write(target, &name, &bytes)?;
    }
    // The log of the same changes.
    let disk = MemoryDisk::default();
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::default()
    };
    let log = EmbeddedLog::on_disk(Box::new(disk.clone()), options)?;
    let mut writer = log.open_writer(&WriterId("group.0".to_owned()))?;
    for changes in world.changes.chunks(8) {
        let arena = &mut Arena::default();
        let records = changes
            .iter()
            .map(|change| {
                (
                    Partition::changelog(GroupId(0)),
                    index::changelog::record(change, 7, arena),
                )
            })
            .collect();
        let (sender, outcome) = mpsc::channel();
        // The receiver waits below.
        let told = move |outcome| {
            let _ = sender.send(outcome);
        };
        writer.commit(Transaction { records }, Box::new(told))?;
        outcome.recv()?;
    }
    drop(writer);
    log.close();
    let segment = disk.get("0000000000000001.log").ok_or("no segment")?;
    let end = segment
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let mut file = vec![0];
    file.extend(join([&segment[..end]]));
    write("segments", "log", &file)
}

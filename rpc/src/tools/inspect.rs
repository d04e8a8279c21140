//! `ironhorse inspect`: what is in a data directory, for people.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use index::changelog::{self, Entry};
use index::{Base, Family, KeyRange};
use index_rocks::RocksBase;
use proto::littlehorse::WfRunId;
use runtime::Route;
use wal::embedded::{End, LogFiles, Place};
use wal::{GroupId, Partition, Position};
use workflow::key::{self, RunKey, TaskGuid};

use super::{Progress, ToolError, memory, readable};
use crate::DataDir;

fn open_log(dir: &Path) -> Result<LogFiles, ToolError> {
    let path = dir.join("log");
    LogFiles::open(&path).map_err(|error| ToolError::at(&path, error))
}

/// Says where and how the log ends; an error if it is damaged.
fn ended(end: &End, say: Progress<'_>) -> Result<(), ToolError> {
    let told = |place: &Place, what: &str| format!("the log ends in {place}: {what}");
    match end {
        End::Clean(place) | End::Stopped(place) => say(told(place, "clean")),
        End::Torn(place) => say(told(place, "torn (the next start cuts it off)")),
        End::Damaged(place, what) => {
            return Err(ToolError(format!("{place} is damaged: {what}")));
        }
        End::Incompatible(place, what) => return Err(ToolError(format!("{place}: {what}"))),
    }
    Ok(())
}

#[derive(Default)]
struct Segment {
    frames: u64,
    bytes: u64,
    first: u64,
    last: u64,
    runs: Vec<u32>,
}

/// Lists the log's segments: also beside a running server, which is not disturbed.
///
/// # Errors
/// There is no log, or it is damaged (after what is before the damage was said).
pub fn inspect_segments(dir: &Path, say: Progress<'_>) -> Result<(), ToolError> {
    let log = open_log(dir)?;
    let mut segments: BTreeMap<u64, Segment> = BTreeMap::new();
    let end = log.walk(&mut |frame| {
        let segment = segments.entry(frame.segment).or_default();
        if segment.frames == 0 {
            segment.first = frame.sequence;
        }
        segment.frames += 1;
        segment.bytes += frame.bytes;
        segment.last = frame.sequence;
        if segment.runs.last() != Some(&frame.run) {
            segment.runs.push(frame.run);
        }
        ControlFlow::Continue(())
    });
    let end = end.map_err(ToolError::new)?;
    say(format!(
        "{:<20} {:>12} {:>9} {:>12} {:>12} {:>12}  runs",
        "segment", "file bytes", "frames", "bytes", "first", "last"
    ));
    for (id, size) in log.segments().map_err(ToolError::new)? {
        let name = format!("{id:016x}.log");
        match segments.get(&id) {
            Some(found) => say(format!(
                "{name:<20} {size:>12} {:>9} {:>12} {:>12} {:>12}  {:?}",
                found.frames, found.bytes, found.first, found.last, found.runs
            )),
            None => say(format!("{name:<20} {size:>12} {:>9}", 0)),
        }
    }
    ended(&end, say)
}

/// Lists the log's partitions: also beside a running server.
///
/// # Errors
/// As [`inspect_segments`].
pub fn inspect_partitions(dir: &Path, say: Progress<'_>) -> Result<(), ToolError> {
    let log = open_log(dir)?;
    let mut found: BTreeMap<Partition, (u64, u64, Position, Position)> = BTreeMap::new();
    let mut unreadable = None;
    let end = log.walk(&mut |frame| {
        let Some(records) = frame.records() else {
            unreadable = Some(frame.sequence);
            return ControlFlow::Break(());
        };
        for (partition, position, record) in records {
            let value = record.value.as_ref().map_or(0, bytes::Bytes::len);
            let entry = found.entry(partition).or_insert((0, 0, position, position));
            entry.0 += 1;
            entry.1 += (record.key.len() + value) as u64;
            entry.3 = position;
        }
        ControlFlow::Continue(())
    });
    let end = end.map_err(ToolError::new)?;
    if let Some(sequence) = unreadable {
        let what = format!("frame {sequence}: its records cannot be read");
        return Err(ToolError(what));
    }
    say(format!(
        "{:<20} {:>10} {:>12} {:>20} {:>20} {:>20}",
        "partition", "records", "bytes", "first", "last", "dropped up to"
    ));
    for (partition, (records, bytes, first, last)) in &found {
        let name = format!("{:?} {}", partition.topic, partition.group).to_lowercase();
        let dropped = log.dropped().get(partition);
        let dropped = dropped.map_or_else(|| "-".to_owned(), Position::to_string);
        say(format!(
            "{name:<20} {records:>10} {bytes:>12} {first:>20} {last:>20} {dropped:>20}"
        ));
    }
    ended(&end, say)
}

fn store(dir: &DataDir, id: GroupId) -> Result<Option<std::sync::Arc<RocksBase>>, ToolError> {
    let path = dir.group(id);
    if !RocksBase::exists(&path) {
        return Ok(None);
    }
    let opened = RocksBase::open_read_only(&path, &memory());
    opened.map(Some).map_err(ToolError::new)
}

/// Lists each group's tables with their rows and bytes, as the stores have them: what came later is only in the log.
///
/// # Errors
/// The directory is in use, or a store is damaged.
pub fn inspect_tables(dir: &Path, say: Progress<'_>) -> Result<(), ToolError> {
    let dir = DataDir::existing(dir).map_err(ToolError::new)?;
    for id in dir.group_ids() {
        let Some(base) = store(&dir, id)? else {
            say(format!("group {id}: nothing is written back yet"));
            continue;
        };
        let applied = base.applied().map_err(ToolError::new)?;
        let position = applied.map_or(Position::START, |applied| applied.position);
        let files = base.table_bytes().map_err(ToolError::new)?;
        let kept = index_rocks::checkpoints(&dir.checkpoints(id)).map_err(ToolError::new)?;
        say(format!(
            "group {id}: at position {position}, {files} bytes in files, {} checkpoints",
            kept.len()
        ));
        let mut tables: BTreeMap<(Family, &'static str), (u64, u64)> = BTreeMap::new();
        for family in Family::ALL {
            let rows = base.scan(family, &KeyRange::prefix(&[]), false);
            for row in rows.map_err(ToolError::new)? {
                let (key, value) = row.map_err(ToolError::new)?;
                let table = readable::describe(family, &key).table;
                let (rows, bytes) = tables.entry((family, table)).or_default();
                *rows += 1;
                *bytes += (key.len() + value.len()) as u64;
            }
        }
        for ((family, table), (rows, bytes)) in tables {
            let family = format!("{family:?}").to_lowercase();
            say(format!(
                "  {family:<6} {table:<18} {rows:>10} rows {bytes:>12} bytes"
            ));
        }
    }
    Ok(())
}

/// The row that the words name: its group, and its key.
fn named(words: &[&str], tenant: &str, groups: u16) -> Option<(GroupId, bytes::Bytes)> {
    let number = |text: &str| text.parse::<i32>().ok();
    let metadata = |key| Some((GroupId::METADATA, key));
    match *words {
        ["taskDef", name] => return metadata(key::named(key::TASK_DEFS, tenant, name)),
        ["externalEventDef", name] => {
            return metadata(key::named(key::EXTERNAL_EVENT_DEFS, tenant, name));
        }
        ["wfSpec", name, major, revision] => {
            return metadata(key::wf_spec(
                tenant,
                name,
                number(major)?,
                number(revision)?,
            ));
        }
        ["workflowEventDef", name] => {
            return metadata(key::named(key::WORKFLOW_EVENT_DEFS, tenant, name));
        }
        ["structDef", name, version] => {
            let version = number(version)?;
            return metadata(key::versioned(key::STRUCT_DEFS, tenant, name, version));
        }
        ["userTaskDef", name, version] => {
            let version = number(version)?;
            return metadata(key::versioned(key::USER_TASK_DEFS, tenant, name, version));
        }
        ["migrationPlan", name] => {
            return metadata(key::named(key::MIGRATION_PLANS, tenant, name));
        }
        ["tenant", id] => return metadata(key::global(key::TENANTS, id)),
        ["principal", id] => return metadata(key::global(key::PRINCIPALS, id)),
        ["workers", name] => {
            let group = Route::new(groups).group_of(name.as_bytes());
            return Some((group, key::named(key::WORKER_GROUPS, tenant, name)));
        }
        _ => {}
    }
    let [kind, run, rest @ ..] = words else {
        return None;
    };
    let id = WfRunId::from_any_text(run);
    let rows = RunKey::new(tenant, &id);
    let key = match (*kind, rest) {
        ("wfRun", []) => rows.wf_run(),
        ("threadRun", [thread]) => rows.thread_run(number(thread)?),
        ("variable", [thread, name]) => rows.variable(number(thread)?, name),
        ("nodeRun", [thread, position]) => rows.node_run(number(thread)?, number(position)?),
        ("taskRun", [guid]) => rows.task_run(TaskGuid::parse(guid)?),
        ("checkpoint", [guid, n]) => rows.checkpoint(TaskGuid::parse(guid)?, number(n)?),
        ("externalEvent", [def, guid]) => rows.external_event(def, guid),
        _ => return None,
    };
    let group = Route::new(groups).group_of(key::route_of_run(&id).as_bytes());
    Some((group, key.finish()))
}

/// What [`inspect_key`] understands.
const KEYS: &str = "wfRun RUN, threadRun RUN THREAD, variable RUN THREAD NAME, nodeRun RUN THREAD POSITION, taskRun RUN GUID, \
     checkpoint RUN GUID NUMBER, externalEvent RUN DEF GUID, workers TASKDEF, taskDef NAME, externalEventDef NAME, workflowEventDef NAME, \
     structDef NAME VERSION, userTaskDef NAME VERSION, migrationPlan NAME, \
     wfSpec NAME MAJOR REVISION, tenant ID, principal ID";

/// Shows one row as the store and the log have it, as JSON.
///
/// # Errors
/// The words name no row, there is none, the directory is in use, or it is damaged.
pub fn inspect_key(
    dir: &Path,
    words: &[String],
    tenant: &str,
    say: Progress<'_>,
) -> Result<(), ToolError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let dir = DataDir::existing(dir).map_err(ToolError::new)?;
    let (id, key) = named(&words, tenant, dir.groups())
        .ok_or_else(|| ToolError(format!("{words:?} names no row; one of: {KEYS}")))?;
    let mut row = None;
    let mut written = Position::START;
    if let Some(base) = store(&dir, id)? {
        row = base.get(Family::State, &key).map_err(ToolError::new)?;
        let applied = base.applied().map_err(ToolError::new)?;
        written = applied.map_or(written, |applied| applied.position);
    }
    let mut from = format!("the store, at position {written}");
    let log = open_log(dir.path())?;
    let partition = Partition::changelog(id);
    let end = log.walk(&mut |frame| {
        let later = frame
            .partitions
            .iter()
            .any(|(at, last)| *at == partition && *last > written);
        let records = later.then(|| frame.records()).flatten().unwrap_or_default();
        for (at, position, record) in records {
            if at == partition
                && let Ok(Entry::Change(change)) = changelog::decode(&record)
                && (change.family, &change.key) == (Family::State, &key)
            {
                from = format!("the log, at position {position}");
                row = change.value;
            }
        }
        ControlFlow::Continue(())
    });
    if let End::Damaged(place, what) | End::Incompatible(place, what) =
        end.map_err(ToolError::new)?
    {
        say(format!("warning: {place}: {what}"));
    }
    let place = readable::place(Family::State, &key);
    match row {
        Some(value) => {
            say(format!(
                "group {id}, {place} (from {from}, {} bytes):",
                value.len()
            ));
            say(readable::value(Family::State, &key, &value));
            Ok(())
        }
        None => Err(ToolError(format!(
            "group {id}, {place}: there is no such row"
        ))),
    }
}

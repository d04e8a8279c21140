//! `ironhorse verify`: whether a data directory is what its log says.
//!
//! 1. The log: every frame, checksum and record.
//! 2. Each group's store and checkpoints: every block's checksum.
//! 3. State = fold(older checkpoint, log since), compared with the store bit by bit, state and queue families.
//! 4. Index = derive(state).
//!
//! Memory is bounded: one segment, the stores' caches, one row of each side; the log's changes are gathered on disk, in
//! `DIR/scratch`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use index::changelog::{self, Entry};
use index::{Applied, Base, Change, Family, Indexes, KeyRange, MemoryBase, Schema};
use index_rocks::{RocksBase, Shared};
use runtime::CommitRecord;
use wal::embedded::{End, Frame, LogFiles};
use wal::{GroupId, Partition, Position, Topic};

use super::compare::{Difference, first_difference};
use super::fold::Changes;
use super::{Progress, ToolError, application, memory, readable};
use crate::DataDir;
use workflow::Settings;

/// Changes of more bytes are gathered on disk.
const CHANGES_BYTES: usize = 8 << 20;

/// What was looked at, and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Frames of the log.
    pub frames: u64,
    /// Where the log has a crash's unfinished end, which the next start cuts off; no damage.
    pub torn: Option<String>,
    /// The groups.
    pub groups: Vec<GroupReport>,
}

/// A group that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// Which.
    pub id: GroupId,
    /// Rows of the state, index and queue families.
    pub rows: [u64; 3],
    /// How many checkpoints it has.
    pub checkpoints: usize,
    /// How far its store has come.
    pub position: Position,
    /// How far the log goes.
    pub log_position: Position,
    /// Indexes that are still being built: their entries were not checked.
    pub building: Vec<&'static str>,
}

/// One group, and how far it has been read.
struct Group {
    id: GroupId,
    schema: Arc<dyn Schema>,
    indexes: Indexes,
    live: Arc<dyn Base>,
    applied: Option<Applied>,
    /// The older checkpoint, or nothing.
    older: Arc<dyn Base>,
    from: Position,
    checkpoints: usize,
    batch: Vec<Change>,
    /// The last commit record of the log, and whether the store's own was met.
    last: Position,
    last_commit: Option<CommitRecord>,
    met: bool,
}

/// Verifies the data directory `dir`, which nobody else may be using; nothing in it is changed. `progress` is told what
/// is being done.
///
/// # Errors
/// The first thing that is wrong, named; or the directory cannot be looked at.
pub fn verify(dir: &Path, progress: Progress<'_>) -> Result<Verified, ToolError> {
    let dir = DataDir::existing(dir).map_err(ToolError::new)?;
    let verified = dir
        .tidy()
        .map_err(|error| ToolError::at(dir.path(), error))
        .and_then(|()| verify_locked(&dir, progress));
    let tidied = dir
        .tidy()
        .map_err(|error| ToolError::at(&dir.scratch(), error));
    let verified = verified?;
    tidied?;
    Ok(verified)
}

fn verify_locked(dir: &DataDir, progress: Progress<'_>) -> Result<Verified, ToolError> {
    let shared = memory();
    let mut groups = BTreeMap::new();
    for id in dir.group_ids() {
        groups.insert(id, Group::open(dir, id, &shared)?);
    }
    let scratch = dir.scratch();
    std::fs::create_dir_all(&scratch).map_err(|error| ToolError::at(&scratch, error))?;
    let mut changes = Changes::new(scratch.join("changes"), &shared, CHANGES_BYTES);
    let (frames, torn) = read_log(&dir.log(), &mut groups, &mut changes, progress)?;
    changes.finish().map_err(ToolError::new)?;
    let mut reports = Vec::new();
    for group in groups.values() {
        reports.push(group.check(&changes, dir, &shared, progress)?);
    }
    Ok(Verified {
        frames,
        torn,
        groups: reports,
    })
}

/// Reads the whole log: every record is decoded, every change that a store has and its older checkpoint lacks is gathered.
fn read_log(
    path: &Path,
    groups: &mut BTreeMap<GroupId, Group>,
    changes: &mut Changes<'_>,
    progress: Progress<'_>,
) -> Result<(u64, Option<String>), ToolError> {
    let at_log = |error: &dyn std::fmt::Display| ToolError::at(path, error);
    let log = LogFiles::open(path).map_err(|error| at_log(&error))?;
    let segments = log.segments().map_err(|error| at_log(&error))?.len();
    for group in groups.values() {
        group.check_retained(&log)?;
    }
    let (mut frames, mut segment, mut count) = (0, 0, 0);
    let mut wrong = None;
    let end = log.walk(&mut |frame| {
        if frame.segment != segment {
            segment = frame.segment;
            count += 1;
            progress(format!("log: segment {count} of {segments}"));
        }
        frames += 1;
        match read_frame(frame, groups, changes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(what) => {
                wrong = Some(format!(
                    "{}: segment {:016x}.log, frame {} at offset {}: {what}",
                    path.display(),
                    frame.segment,
                    frame.sequence,
                    frame.offset
                ));
                ControlFlow::Break(())
            }
        }
    });
    let end = end.map_err(|error| at_log(&error))?;
    if let Some(wrong) = wrong {
        return Err(ToolError(wrong));
    }
    let torn = match end {
        End::Clean(_) | End::Stopped(_) => None,
        End::Torn(place) => Some(place.to_string()),
        End::Damaged(place, what) => {
            return Err(at_log(&format!("{place} is damaged: {what}")));
        }
        End::Incompatible(place, what) => return Err(at_log(&format!("{place}: {what}"))),
    };
    for group in groups.values() {
        group.check_inputs(&log)?;
    }
    Ok((frames, torn))
}

fn read_frame(
    frame: &Frame<'_>,
    groups: &mut BTreeMap<GroupId, Group>,
    changes: &mut Changes<'_>,
) -> Result<(), String> {
    let records = frame
        .records()
        .ok_or("its records cannot be read, although its checksum is good")?;
    for (Partition { topic, group: id }, position, record) in records {
        let Some(group) = groups.get_mut(&id) else {
            if topic == Topic::Cluster {
                continue;
            }
            return Err(format!(
                "a record of group {id}, which is not in the directory"
            ));
        };
        if topic != Topic::Changelog {
            continue;
        }
        match changelog::decode(&record).map_err(|error| error.to_string())? {
            Entry::Change(change) => group.batch.push(change),
            Entry::Barrier => {}
            Entry::Commit(commit) => group.commit(position, &commit, changes)?,
        }
    }
    Ok(())
}

impl Group {
    fn open(dir: &DataDir, id: GroupId, shared: &Shared) -> Result<Group, ToolError> {
        let path = dir.group(id);
        // A group that has not written back yet has none.
        let live: Arc<dyn Base> = if RocksBase::exists(&path) {
            RocksBase::open_read_only(&path, shared).map_err(ToolError::new)?
        } else {
            Arc::new(MemoryBase::new())
        };
        let applied = live.applied().map_err(ToolError::new)?;
        let mut older: Option<Arc<dyn Base>> = None;
        let mut from = Position::START;
        let found = dir.checkpoints(id);
        let found = index_rocks::checkpoints(&found).map_err(|e| ToolError::at(&found, e))?;
        let written = applied.as_ref().map_or(Position::START, |it| it.position);
        for checkpoint in &found {
            let at = &checkpoint.path;
            let base = RocksBase::open_read_only(at, shared).map_err(ToolError::new)?;
            let position = base.applied().map_err(ToolError::new)?;
            let position = position.map_or(Position::START, |applied| applied.position);
            if position != checkpoint.position {
                return Err(ToolError::at(
                    at,
                    format!(
                        "the checkpoint of position {} holds another one, of position {position}",
                        checkpoint.position
                    ),
                ));
            }
            if position > written {
                return Err(ToolError::at(
                    at,
                    format!(
                        "the checkpoint is of position {position}, and the store {} is only at {written}: it was replaced by an older one",
                        path.display()
                    ),
                ));
            }
            if older.is_none() {
                older = Some(base);
                from = position;
            }
        }
        let schema = application(id, &Settings::new(dir.groups())).schema();
        let indexes = Indexes::read(&*live, &*schema);
        Ok(Group {
            id,
            schema,
            indexes: indexes.map_err(|error| ToolError::at(&path, error))?,
            live,
            applied,
            older: older.unwrap_or_else(|| Arc::new(MemoryBase::new())),
            from,
            checkpoints: found.len(),
            batch: Vec::new(),
            last: from,
            last_commit: None,
            met: from == written,
        })
    }

    fn written(&self) -> Position {
        let applied = self.applied.as_ref();
        applied.map_or(Position::START, |applied| applied.position)
    }

    /// The log reaches back to the checkpoint.
    fn check_retained(&self, log: &LogFiles) -> Result<(), ToolError> {
        let dropped = log.dropped().get(&Partition::changelog(self.id));
        match dropped.filter(|dropped| **dropped > self.from) {
            None => Ok(()),
            Some(dropped) if self.checkpoints == 0 => Err(ToolError(format!(
                "group {}: its state cannot be checked: there is no checkpoint, and the log begins behind position {dropped}; run the server until it has made one",
                self.id
            ))),
            Some(dropped) => Err(ToolError(format!(
                "group {}: the log begins behind position {dropped}, and the older checkpoint is at {}",
                self.id, self.from
            ))),
        }
    }

    /// What was dropped of the group's inputs was consumed.
    fn check_inputs(&self, log: &LogFiles) -> Result<(), ToolError> {
        let Some(commit) = &self.last_commit else {
            return Ok(());
        };
        for (partition, consumed) in [
            (Partition::commands(self.id), commit.commands),
            (Partition::messages(self.id), commit.messages),
        ] {
            let dropped = log.dropped().get(&partition);
            if let Some(dropped) = dropped.filter(|dropped| dropped.to_u64() > consumed) {
                return Err(ToolError(format!(
                    "group {}: the log has dropped {:?} up to position {dropped}, and they are consumed only up to {consumed}",
                    self.id, partition.topic
                )));
            }
        }
        Ok(())
    }

    /// A batch of the log is complete.
    fn commit(
        &mut self,
        position: Position,
        commit: &bytes::Bytes,
        changes: &mut Changes<'_>,
    ) -> Result<(), String> {
        let id = self.id;
        let batch = std::mem::take(&mut self.batch);
        let read = CommitRecord::read(commit).map_err(|error| format!("group {id}: {error}"))?;
        if position > self.from && position <= self.written() {
            for change in &batch {
                changes.add(id, change).map_err(|error| error.to_string())?;
            }
        }
        if let Some(applied) = self.applied.as_ref().filter(|it| it.position == position) {
            if applied.commit != commit {
                return Err(format!(
                    "group {id}: the commit record at position {position} is another one than the store's"
                ));
            }
            self.met = true;
        }
        self.last = self.last.max(position);
        self.last_commit = Some(read);
        Ok(())
    }

    fn check(
        &self,
        changes: &Changes<'_>,
        dir: &DataDir,
        shared: &Shared,
        progress: Progress<'_>,
    ) -> Result<GroupReport, ToolError> {
        let id = self.id;
        let wrong = |what: &dyn std::fmt::Display| ToolError(format!("group {id}: {what}"));
        if !self.met {
            return Err(wrong(&format!(
                "its store is at position {}, which is no commit of its in the log (the last one is at {}): {}",
                self.written(),
                self.last,
                crate::server::RESTORE
            )));
        }
        let all = KeyRange::prefix(&[]);
        let mut rows = [0; 3];
        for family in [Family::State, Family::Queue] {
            progress(format!("group {id}: {family:?} rows against the log"));
            let mut tick = |rows| {
                progress(format!(
                    "group {id}: {rows} {family:?} rows are as the log says"
                ));
            };
            let compared = (|| {
                let below = self.older.scan(family, &all, false)?;
                let expected = changes.over(below, id, family)?;
                first_difference(expected, self.live.scan(family, &all, false)?, &mut tick)
            })();
            let (count, difference) = compared.map_err(|error| wrong(&error))?;
            if let Some(difference) = difference {
                return Err(wrong(&said(family, &difference, "the log")));
            }
            rows[family.slot()] = count;
        }
        progress(format!("group {id}: indexes against the rows"));
        rows[Family::Index.slot()] = self.check_index(dir, shared, progress)?;
        self.read_newer_checkpoints(dir, shared)?;
        Ok(GroupReport {
            id,
            rows,
            checkpoints: self.checkpoints,
            position: self.written(),
            log_position: self.last,
            building: self
                .indexes
                .building
                .iter()
                .map(|build| build.index.name)
                .collect(),
        })
    }

    /// Whether what an entry should be is known: not of an index that is being built or removed.
    fn is_settled(&self, entry: &[u8]) -> bool {
        let building = self.indexes.building.iter().map(|it| &it.index.prefix);
        let mut unsettled = self.indexes.stale.iter().chain(building);
        !unsettled.any(|prefix| entry.starts_with(prefix))
    }

    /// Each row's entries are there with their values, and no others. Returns their number.
    fn check_index(
        &self,
        dir: &DataDir,
        shared: &Shared,
        progress: Progress<'_>,
    ) -> Result<u64, ToolError> {
        let id = self.id;
        let wrong = |what: &dyn std::fmt::Display| ToolError(format!("group {id}: {what}"));
        let all = KeyRange::prefix(&[]);
        // Derived entries come in the order of their rows: sorted on disk.
        let path = dir.scratch().join(format!("index-{id}"));
        let mut derived = Changes::new(path, shared, CHANGES_BYTES);
        let rows = self.live.scan(Family::State, &all, false);
        for row in rows.map_err(|error| wrong(&error))? {
            let (key, value) = row.map_err(|error| wrong(&error))?;
            if !self.schema.is_indexed(&key) {
                continue;
            }
            let mut failed = None;
            self.schema.index_entries(&key, &value, &mut |key, value| {
                if !self.is_settled(&key) {
                    return;
                }
                let change = Change {
                    family: Family::Index,
                    key,
                    value: Some(value),
                };
                if let Err(error) = derived.add(id, &change) {
                    failed = Some(error);
                }
            });
            if let Some(error) = failed {
                return Err(wrong(&error));
            }
        }
        derived.finish().map_err(|error| wrong(&error))?;
        let mut tick = |rows| {
            progress(format!(
                "group {id}: {rows} index entries are as their rows say"
            ));
        };
        let compared = (|| {
            let expected = derived.over(Box::new(std::iter::empty()), id, Family::Index)?;
            let found = self.live.scan(Family::Index, &index::entries(), false)?;
            let found = found.filter(|row| match row {
                Ok((key, _)) => self.is_settled(key),
                Err(_) => true,
            });
            first_difference(expected, found, &mut tick)
        })();
        let (count, difference) = compared.map_err(|error| wrong(&error))?;
        match difference {
            None => Ok(count),
            Some(difference) => Err(wrong(&said(Family::Index, &difference, "its row"))),
        }
    }

    /// Every block of the newer checkpoints is read: the older one was, and the store.
    fn read_newer_checkpoints(&self, dir: &DataDir, shared: &Shared) -> Result<(), ToolError> {
        let path = dir.checkpoints(self.id);
        let found = index_rocks::checkpoints(&path).map_err(|e| ToolError::at(&path, e))?;
        for (checkpoint, families) in found.iter().zip(
            [&[Family::Index][..]]
                .into_iter()
                .chain(std::iter::repeat(&Family::ALL[..])),
        ) {
            let at = &checkpoint.path;
            let base = RocksBase::open_read_only(at, shared).map_err(ToolError::new)?;
            for family in families {
                let rows = base.scan(*family, &KeyRange::prefix(&[]), false);
                for row in rows.map_err(|error| ToolError::at(at, error))? {
                    row.map_err(|error| ToolError::at(at, error))?;
                }
            }
        }
        Ok(())
    }
}

fn said(family: Family, difference: &Difference, witness: &str) -> String {
    let place = |key| readable::place(family, key);
    match difference {
        Difference::Missing(key) => {
            format!("{}: missing in the store, {witness} has it", place(key))
        }
        Difference::Extra(key) => {
            format!(
                "{}: in the store, and {witness} does not have it",
                place(key)
            )
        }
        Difference::Other(key) => {
            format!(
                "{}: its value in the store is not the one of {witness}",
                place(key)
            )
        }
    }
}

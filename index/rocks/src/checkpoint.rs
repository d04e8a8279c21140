//! Checkpoints: a database as it was at one moment, made of hard links, and opened without touching it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use index::{Base, Family, StoreError};
use rocksdb::checkpoint::Checkpoint as Maker;
use rocksdb::{ColumnFamilyDescriptor, DB, InfoLogger, LogLevel};
use wal::Position;

use crate::{RocksBase, Shared, family_name};

/// The name of a checkpoint that is being made, or removed, ends so.
const UNFINISHED: &str = ".new";

/// A checkpoint in a group's directory of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Rises by one with each.
    pub number: u32,
    /// How far it had come: the log's suffix from here on brings it up to date.
    pub position: Position,
    /// Its directory.
    pub path: PathBuf,
    /// When it was made.
    pub made: SystemTime,
}

impl Checkpoint {
    /// How long ago it was made; for ever if that was later than now: the clock was set back, and nobody knows.
    pub fn age(&self) -> Duration {
        self.made.elapsed().unwrap_or(Duration::MAX)
    }

    fn name(number: u32, position: Position) -> String {
        format!("{number:08x}-{:016x}", position.to_u64())
    }

    fn parse(dir: &Path, name: &str) -> Option<Checkpoint> {
        let (number, position) = name.split_once('-')?;
        let number = u32::from_str_radix(number, 16).ok()?;
        let position = Position::from_u64(u64::from_str_radix(position, 16).ok()?);
        (Checkpoint::name(number, position) == name).then(|| {
            let path = dir.join(name);
            let modified = fs::metadata(&path).and_then(|found| found.modified());
            Checkpoint {
                number,
                position,
                path,
                made: modified.unwrap_or_else(|_| SystemTime::now()),
            }
        })
    }

    /// Removes it. What a crash leaves of it is none.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove(&self) -> io::Result<()> {
        let going = self.path.with_extension("new");
        fs::rename(&self.path, &going)?;
        fs::remove_dir_all(going)
    }
}

/// The checkpoints in `dir`, oldest first; none if there is no such directory.
///
/// # Errors
/// The file system's.
pub fn checkpoints(dir: &Path) -> io::Result<Vec<Checkpoint>> {
    let mut found: Vec<Checkpoint> = names(dir)?
        .iter()
        .filter_map(|name| Checkpoint::parse(dir, name))
        .collect();
    found.sort_unstable_by_key(|checkpoint| checkpoint.number);
    Ok(found)
}

/// Removes what a crash left of checkpoints that were being made or removed.
///
/// # Errors
/// The file system's.
pub fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for name in names(dir)? {
        if name.ends_with(UNFINISHED) {
            fs::remove_dir_all(dir.join(name))?;
        }
    }
    Ok(())
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

impl RocksBase {
    /// Opens an existing database only to read it: nothing in its directory changes. What it held when this returned is
    /// what is read.
    ///
    /// # Errors
    /// There is none, or it is damaged; the text names the directory.
    pub fn open_read_only(path: &Path, shared: &Shared) -> Result<Arc<RocksBase>, StoreError> {
        // The library would make the directory.
        if !RocksBase::exists(path) {
            return Err(StoreError::Base(format!(
                "{}: there is no store in it: CURRENT is missing",
                path.display()
            )));
        }
        let options = |family| {
            let mut options = shared.options(family);
            options.create_if_missing(false);
            options.create_missing_column_families(false);
            // Its own would be a file in the directory.
            options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
            options
        };
        let families = Family::ALL
            .map(|family| ColumnFamilyDescriptor::new(family_name(family), options(family)));
        let options = options(Family::State);
        let db = DB::open_cf_descriptors_read_only(&options, path, families, false)
            .map_err(|error| StoreError::Base(format!("{}: {error}", path.display())))?;
        Ok(Arc::new(RocksBase::new(db, path, shared)))
    }

    /// Whether there is anything in `path` that looks like a database: a group that never wrote back has none.
    pub fn exists(path: &Path) -> bool {
        path.join("CURRENT").exists()
    }

    /// Makes a checkpoint of what is written now in a directory that does not exist: durable when this returns. Says how
    /// far it has come; `None` (and there is no checkpoint) for an empty store.
    ///
    /// # Errors
    /// The disk's, above all a full one; what was made of it is removed.
    pub fn checkpoint_to(
        &self,
        path: &Path,
        shared: &Shared,
    ) -> Result<Option<Position>, StoreError> {
        if self.applied()?.is_none() {
            return Ok(None);
        }
        let made = Maker::new(&self.db)
            .and_then(|maker| maker.create_checkpoint(path))
            .map_err(|error| self.error(format!("checkpoint {}: {error}", path.display())))
            // Opened once: it can be, and it says exactly how far it has come.
            .and_then(|()| RocksBase::open_read_only(path, shared)?.applied());
        if made.is_err() {
            // The error is the one to be told.
            let _ = fs::remove_dir_all(path);
        }
        Ok(made?.map(|applied| applied.position))
    }

    /// Makes the next checkpoint in a directory of checkpoints, behind `last`.
    ///
    /// # Errors
    /// As [`RocksBase::checkpoint_to`].
    pub fn add_checkpoint(
        &self,
        dir: &Path,
        last: Option<&Checkpoint>,
        shared: &Shared,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let number = last.map_or(1, |last| last.number.wrapping_add(1));
        let part = dir.join(format!("{number:08x}{UNFINISHED}"));
        fs::create_dir_all(dir).map_err(|error| self.error(error))?;
        remove_unfinished(dir).map_err(|error| self.error(error))?;
        let Some(position) = self.checkpoint_to(&part, shared)? else {
            return Ok(None);
        };
        let path = dir.join(Checkpoint::name(number, position));
        fs::rename(&part, &path)
            .and_then(|()| fs::File::open(dir)?.sync_all())
            .map_err(|error| self.error(error))?;
        Ok(Some(Checkpoint {
            number,
            position,
            path,
            made: SystemTime::now(),
        }))
    }

    /// From now on [`Base::retained`] does not go beyond this position; `None`: it follows what is written.
    pub fn retain_from(&self, position: Option<Position>) {
        let raw = position.map_or(u64::MAX, Position::to_u64);
        self.retained.store(raw, Ordering::Release);
    }

    /// Bytes of the database's files of sorted rows.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn table_bytes(&self) -> Result<u64, StoreError> {
        let files = self.db.live_files().map_err(|error| self.error(error))?;
        Ok(files.iter().map(|file| file.size as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use index::{Applied, KeyRange};

    use super::*;

    fn write(base: &RocksBase, key: &str, position: u64) {
        let key = Bytes::from(key.to_owned());
        let applied = Applied {
            position: Position::from_u64(position),
            commit: Bytes::new(),
        };
        base.write(
            &mut std::iter::once((Family::State, &key, Some(&key))),
            &applied,
        )
        .unwrap();
    }

    fn listing(dir: &Path) -> Vec<String> {
        let mut names = names(dir).unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_checkpoint_holds_what_was_written_and_is_read_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(1 << 20, 1 << 20);
        let base = RocksBase::open(&dir.path().join("db"), &shared).unwrap();
        let kept = dir.path().join("kept");
        assert_eq!(base.add_checkpoint(&kept, None, &shared).unwrap(), None);
        write(&base, "a", 10);
        let first = base.add_checkpoint(&kept, None, &shared).unwrap().unwrap();
        assert_eq!(first.position, Position::from_u64(10));
        write(&base, "b", 20);
        fs::create_dir(kept.join("00000007.new")).unwrap();
        let second = base.add_checkpoint(&kept, Some(&first), &shared).unwrap();
        let second = second.unwrap();
        let found: Vec<_> = checkpoints(&kept)
            .unwrap()
            .into_iter()
            .map(|checkpoint| (checkpoint.number, checkpoint.position, checkpoint.path))
            .collect();
        assert_eq!(
            found,
            [
                (1, Position::from_u64(10), first.path.clone()),
                (2, Position::from_u64(20), second.path),
            ]
        );
        assert_eq!(listing(&kept).len(), 2, "the unfinished one is gone");
        let before = listing(&first.path);
        let read = RocksBase::open_read_only(&first.path, &shared).unwrap();
        let all = KeyRange::prefix(&[]);
        let rows: Vec<_> = read
            .scan(Family::State, &all, false)
            .unwrap()
            .map(|row| row.unwrap().0)
            .collect();
        assert_eq!(rows, [Bytes::from("a")]);
        drop(read);
        assert_eq!(listing(&first.path), before);
        first.remove().unwrap();
        assert_eq!(checkpoints(&kept).unwrap().len(), 1);
    }

    #[test]
    fn the_log_is_retained_from_where_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let base = RocksBase::open(dir.path(), &Shared::new(1 << 20, 1 << 20)).unwrap();
        let [five, ten] = [5, 10].map(Position::from_u64);
        assert_eq!(base.retained(ten), ten);
        base.retain_from(Some(five));
        assert_eq!(base.retained(ten), five);
        base.retain_from(Some(Position::from_u64(20)));
        assert_eq!(base.retained(ten), ten);
        base.retain_from(None);
        assert_eq!(base.retained(ten), ten);
    }

    #[test]
    fn what_is_no_database_is_not_opened_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::new(1 << 20, 1 << 20);
        for path in [dir.path().to_owned(), dir.path().join("missing")] {
            assert!(!RocksBase::exists(&path));
            assert!(RocksBase::open_read_only(&path, &shared).is_err());
        }
        assert!(listing(dir.path()).is_empty());
    }
}

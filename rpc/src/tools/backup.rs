//! `ironhorse backup`: copies a data directory, of a running server or not, to a directory of backups.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use index::Base;
use index_rocks::RocksBase;
use wal::embedded::LogFiles;

use super::snapshot::{CONTENTS, Contents, LOCK, now_ms};
use super::target::{Entry, LogFile, Manifest, Target};
use super::{Progress, ToolError, memory};
use crate::DataDir;

/// What is backed up.
#[derive(Debug, Clone)]
pub enum Source {
    /// A data directory; if a server runs on it, with that server's help.
    Dir(PathBuf),
    /// The server with this HTTP address, on this machine.
    Server(String),
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Its number in the target.
    pub number: u64,
    /// Everything up to this position of the log is in it.
    pub end: u64,
    /// Files in it, and their bytes.
    pub files: u64,
    /// See `files`.
    pub bytes: u64,
    /// Of these, files that the target did not have yet, and their bytes.
    pub new_files: u64,
    /// See `new_files`.
    pub new_bytes: u64,
}

/// Makes a backup in `target`, which is made if it is not there. What the target has already is not copied again. If it
/// ends in the middle, the earlier backups there are as they were.
///
/// # Errors
/// The source cannot be read, the target not be written, or the server does not help; the text names which.
pub fn backup(
    source: &Source,
    target: &Path,
    progress: Progress<'_>,
) -> Result<BackedUp, ToolError> {
    let target = Target::open(target)?;
    match source {
        Source::Server(address) => online(address, &target, progress),
        Source::Dir(dir) => match running(dir)? {
            Some(address) => online(&address, &target, progress),
            None => offline(dir, &target, progress),
        },
    }
}

/// Where the server that runs on the directory is, if one does.
fn running(dir: &Path) -> Result<Option<String>, ToolError> {
    let file = DataDir::server(dir);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ToolError::at(&file, error)),
    };
    // A killed server leaves the file: then nobody holds the lock.
    if let Ok(free) = DataDir::existing(dir) {
        drop(free);
        return Ok(None);
    }
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| ToolError::at(&file, error))?;
    match value["http"].as_str() {
        Some(address) => Ok(Some(address.to_owned())),
        None => Err(ToolError::at(&file, "no address")),
    }
}

/// A snapshot that a server made for us: kept while this exists, then removed.
struct Snapshot {
    path: PathBuf,
    _lock: File,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // If it stays, the server removes it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn online(address: &str, target: &Target, progress: Progress<'_>) -> Result<BackedUp, ToolError> {
    progress(format!("asking the server at {address} for a snapshot"));
    let path = PathBuf::from(super::ask::snapshot(address)?);
    let fail = |error: std::io::Error| ToolError::at(&path, error);
    let lock = File::open(path.join(LOCK)).map_err(fail)?;
    lock.try_lock()
        .map_err(|error| ToolError::at(&path, error))?;
    let text = fs::read(path.join(CONTENTS)).map_err(fail)?;
    let contents: Contents =
        serde_json::from_slice(&text).map_err(|error| ToolError::at(&path, error))?;
    // Only now: what is not a snapshot is not removed.
    let snapshot = Snapshot {
        path: path.clone(),
        _lock: lock,
    };
    let done = write(&snapshot.path, contents, target, progress);
    drop(snapshot);
    done
}

fn offline(dir: &Path, target: &Target, progress: Progress<'_>) -> Result<BackedUp, ToolError> {
    let dir = DataDir::existing(dir).map_err(|error| {
        ToolError(format!(
            "{error} (a running server is backed up with the help of its HTTP endpoints: see --http)"
        ))
    })?;
    progress(format!("{}: nobody uses it", dir.path().display()));
    let shared = memory();
    let mut positions = BTreeMap::new();
    for id in dir.group_ids() {
        let path = dir.group(id);
        if RocksBase::exists(&path) {
            let base = RocksBase::open_read_only(&path, &shared).map_err(ToolError::new)?;
            if let Some(applied) = base.applied().map_err(ToolError::new)? {
                positions.insert(id.to_string(), applied.position.to_u64());
            }
        }
    }
    let log = LogFiles::open(&dir.log()).map_err(ToolError::new)?;
    let mut last = 0;
    let walked = log.walk(&mut |frame| {
        last = frame.sequence;
        ControlFlow::Continue(())
    });
    walked.map_err(ToolError::new)?;
    let end = LogFiles::position_of(last);
    if let Some((group, position)) = positions.iter().find(|(_, at)| **at > end.to_u64()) {
        return Err(ToolError(format!(
            "{}: the log can be read up to {end}, and the store of group {group} is at {position}: run `ironhorse verify`",
            dir.path().display()
        )));
    }
    // Also says if the log is damaged.
    let files = log.to_copy(end).map_err(ToolError::new)?;
    let contents = Contents {
        groups: dir.groups(),
        time_ms: now_ms(),
        log: files
            .into_iter()
            .map(|file| LogFile {
                name: file.name,
                bytes: file.bytes,
                size: file.size,
            })
            .collect(),
        end: end.to_u64(),
        positions,
    };
    write(dir.path(), contents, target, progress)
}

/// Files that RocksDB makes for itself.
fn is_needed(name: &str) -> bool {
    name != "LOCK" && name != "LOG" && !name.starts_with("LOG.old")
}

/// Copies what is in `from`, laid out as a data directory.
fn write(
    from: &Path,
    contents: Contents,
    target: &Target,
    progress: Progress<'_>,
) -> Result<BackedUp, ToolError> {
    let mut files = Vec::new();
    for group in contents.positions.keys() {
        let dir = from.join("groups").join(group);
        for entry in fs::read_dir(&dir).map_err(|error| ToolError::at(&dir, error))? {
            let entry = entry.map_err(|error| ToolError::at(&dir, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let found = entry
                .metadata()
                .map_err(|error| ToolError::at(&dir, error))?;
            if found.is_file() && is_needed(&name) {
                files.push((format!("groups/{group}/{name}"), found.len(), found.len()));
            }
        }
    }
    let log = contents.log.into_iter();
    files.extend(log.map(|file| (format!("log/{}", file.name), file.bytes, file.size)));
    let identity = DataDir::identity(from);
    let found = fs::metadata(&identity).map_err(|error| ToolError::at(&identity, error))?;
    files.push(("ironhorse.json".to_owned(), found.len(), found.len()));
    files.sort();

    let number = target.numbers()?.last().map_or(1, |last| last + 1);
    let mut done = BackedUp {
        number,
        end: contents.end,
        files: files.len() as u64,
        bytes: 0,
        new_files: 0,
        new_bytes: 0,
    };
    let mut entries = Vec::new();
    for (count, (path, bytes, size)) in files.into_iter().enumerate() {
        if count % 100 == 0 {
            progress(format!("{count} of {} files", done.files));
        }
        let put = target.put(&from.join(&path), bytes)?;
        done.bytes += bytes;
        if put.copied {
            done.new_files += 1;
            done.new_bytes += bytes;
        }
        entries.push(Entry {
            path,
            bytes,
            size,
            hash: put.hash,
        });
    }
    target.finish(&Manifest {
        format: Manifest::FORMAT,
        number,
        time_ms: contents.time_ms,
        groups: contents.groups,
        end: contents.end,
        positions: contents.positions,
        files: entries,
    })?;
    Ok(done)
}

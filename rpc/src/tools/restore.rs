//! `ironhorse restore`: makes a data directory from a backup.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::target::{Entry, Manifest, Target, copy};
use super::{Progress, ToolError, Verified, verify};
use crate::DataDir;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup's number.
    pub number: u64,
    /// When it was made, milliseconds since the epoch.
    pub time_ms: u64,
    /// Everything up to this position of the log is there.
    pub end: u64,
    /// What was found good in it.
    pub verified: Verified,
}

/// Restores the newest backup in `target`, or the one with a number, to `dir`, which must be empty or not there, and
/// verifies it. A directory that is not finished is refused by every server.
///
/// # Errors
/// There is no such backup, it is damaged, `dir` holds something, or the disk's.
pub fn restore(
    target: &Path,
    number: Option<u64>,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<Restored, ToolError> {
    let backups = Target::existing(target)?;
    let numbers = backups.numbers()?;
    let number = match number {
        None => *numbers
            .last()
            .ok_or_else(|| ToolError::at(target, "there is no backup in it"))?,
        Some(number) if numbers.contains(&number) => number,
        Some(number) => {
            let what = format!("there is no backup {number} in it, but {numbers:?}");
            return Err(ToolError::at(target, what));
        }
    };
    let manifest = backups.read(number)?;
    check_empty(dir)?;
    lay_out(&backups, &manifest, dir, progress)?;
    progress("verifying".to_owned());
    let verified = verify(dir, progress)?;
    Ok(Restored {
        number,
        time_ms: manifest.time_ms,
        end: manifest.end,
        verified,
    })
}

fn check_empty(dir: &Path) -> Result<(), ToolError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ToolError::at(
            dir,
            "it is not empty: restore to a new directory",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ToolError::at(dir, error)),
    }
}

/// The identity comes last: without it the directory is none.
fn lay_out(
    backups: &Target,
    manifest: &Manifest,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<(), ToolError> {
    let fail = |error: io::Error| ToolError::at(dir, error);
    let groups: Vec<String> = std::iter::once(wal::GroupId::METADATA)
        .chain((0..manifest.groups).map(wal::GroupId))
        .map(|id| id.to_string())
        .collect();
    fs::create_dir_all(dir.join("log")).map_err(fail)?;
    for group in &groups {
        fs::create_dir_all(dir.join("groups").join(group)).map_err(fail)?;
    }
    let (identity, others): (Vec<&Entry>, Vec<&Entry>) = manifest
        .files
        .iter()
        .partition(|entry| entry.path == "ironhorse.json");
    for (count, entry) in others.iter().enumerate() {
        if count % 100 == 0 {
            progress(format!("{count} of {} files", others.len()));
        }
        lay(backups, entry, dir)?;
    }
    // What the stores are is what the log is folded onto: their first checkpoints.
    for (group, position) in &manifest.positions {
        let from = dir.join("groups").join(group);
        let name = format!("00000001-{position:016x}");
        let to = dir.join("checkpoints").join(group).join(name);
        link_all(&from, &to).map_err(|error| ToolError::at(&to, error))?;
    }
    sync_all(dir).map_err(fail)?;
    for entry in identity {
        lay(backups, entry, dir)?;
    }
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(fail)?;
    if DataDir::identity(dir).is_file() {
        Ok(())
    } else {
        Err(ToolError::at(dir, "the backup has no ironhorse.json"))
    }
}

fn lay(backups: &Target, entry: &Entry, dir: &Path) -> Result<(), ToolError> {
    let (object, path) = (backups.object(&entry.hash), dir.join(&entry.path));
    let fail = |error: io::Error| ToolError::at(&path, error);
    let mut file = File::create_new(&path).map_err(fail)?;
    let copied = copy(&object, entry.bytes, &mut file);
    let hash = copied.map_err(|error| {
        let what = format!("{error} (it is {} of the backup)", entry.path);
        ToolError::at(&object, what)
    })?;
    if hash != entry.hash {
        let what = format!("it is damaged (it is {} of the backup)", entry.path);
        return Err(ToolError::at(&object, what));
    }
    file.set_len(entry.size.max(entry.bytes)).map_err(fail)?;
    file.sync_all().map_err(fail)
}

/// Sorted files never change and are linked; others are copied.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().ends_with(".sst") {
            fs::hard_link(entry.path(), to.join(name))?;
        } else {
            let copy = to.join(name);
            fs::copy(entry.path(), &copy)?;
            File::open(copy)?.sync_all()?;
        }
    }
    Ok(())
}

/// All directories.
fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all(&path)?;
        }
    }
    File::open(dir)?.sync_all()
}

//! What a running server makes for a backup: one moment of all groups, and the log up to a later one, as hard links in a
//! directory of its own. The server goes on; the backup copies from there, and removes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::target::LogFile;
use crate::DataDir;
use crate::stores::Stores;

/// Where a snapshot is asked for over HTTP (POST).
pub(crate) const SNAPSHOT_PATH: &str = "/backup/snapshot";
/// A header that the request must have.
pub(crate) const SNAPSHOT_HEADER: &str = "x-ironhorse-backup";
/// Locked by whoever copies.
pub(super) const LOCK: &str = "LOCK";
/// Written last.
pub(super) const CONTENTS: &str = "snapshot.json";
/// A new snapshot nobody has come for is removed after this time.
const GRACE: Duration = Duration::from_mins(1);

/// What a snapshot holds beside the groups' directories and the identity.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) groups: u16,
    /// When it was made, milliseconds since the epoch.
    pub(super) time_ms: u64,
    /// The log's files, up to `end`.
    pub(super) log: Vec<LogFile>,
    /// Everything that was durable when the log was looked at: all that was acknowledged before the snapshot was asked for.
    pub(super) end: u64,
    /// How far each group's store is.
    pub(super) positions: BTreeMap<String, u64>,
}

/// Makes snapshots. It does not hold the directory's lock: the server does.
pub(crate) struct Snapshots {
    dir: PathBuf,
    log: PathBuf,
    groups: u16,
    stores: Arc<Stores>,
    one: Mutex<()>,
}

impl Snapshots {
    pub(crate) fn new(dir: &DataDir, stores: Arc<Stores>) -> Snapshots {
        Snapshots {
            dir: dir.path().to_owned(),
            log: dir.log(),
            groups: dir.groups(),
            stores,
            one: Mutex::new(()),
        }
    }

    /// Makes one, and says where.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn take(&self) -> Result<PathBuf, String> {
        let _one = self.one.lock();
        // The tool has another working directory.
        let all = std::path::absolute(&self.stores.snapshots).map_err(|error| error.to_string())?;
        remove_abandoned(&all);
        let now = now_ms();
        let path = (now..=now + 1000)
            .map(|number| all.join(number.to_string()))
            .find(|path| !path.exists())
            .ok_or("no number is left")?;
        match self.fill(&path, now) {
            Ok(()) => Ok(path),
            Err(error) => {
                // The error is the one to be told.
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    fn fill(&self, path: &Path, time_ms: u64) -> Result<(), String> {
        let fail = |error: io::Error| format!("{}: {error}", path.display());
        let log = &self.stores.log;
        // From here on no segment goes: what the checkpoints need is still there when the log is looked at again.
        let held = log.pin().map_err(fail)?;
        fs::create_dir_all(path.join("log")).map_err(fail)?;
        fs::create_dir_all(path.join("groups")).map_err(fail)?;
        let lock = File::create(path.join(LOCK)).map_err(fail)?;
        lock.try_lock().map_err(|error| fail(error.into()))?;
        fs::copy(DataDir::identity(&self.dir), DataDir::identity(path)).map_err(fail)?;
        let mut positions = BTreeMap::new();
        for stored in &self.stores.groups {
            let id = stored.id.to_string();
            let to = path.join("groups").join(&id);
            let made = stored.base.checkpoint_to(&to, &self.stores.shared);
            if let Some(position) = made.map_err(|error| error.to_string())? {
                positions.insert(id, position.to_u64());
            }
        }
        // After the checkpoints, which hold nothing that was not durable in the log before: they are not ahead of it.
        let pin = log.pin().map_err(fail)?;
        let mut files = Vec::new();
        for file in pin.files() {
            let (from, to) = (self.log.join(&file.name), path.join("log").join(&file.name));
            // No file of the log is used again for something else: what it holds up to there stays.
            fs::hard_link(&from, &to).map_err(fail)?;
            files.push(LogFile {
                name: file.name.clone(),
                bytes: file.bytes,
                size: file.size,
            });
        }
        let contents = Contents {
            groups: self.groups,
            time_ms,
            log: files,
            end: pin.end().to_u64(),
            positions,
        };
        drop((pin, held));
        let text = serde_json::to_vec(&contents).map_err(|error| error.to_string())?;
        fs::write(path.join(CONTENTS), text).map_err(fail)?;
        // From now on it waits for who copies it.
        lock.unlock().map_err(fail)
    }
}

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Removes the snapshots that nobody copies, or no longer does: they hold what is deleted.
pub(crate) fn remove_abandoned(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        // Whoever makes it or copies it holds the lock.
        let used = File::open(path.join(LOCK)).is_ok_and(|file| file.try_lock().is_err());
        let changed = [path.join(CONTENTS), path.clone()]
            .iter()
            .find_map(|file| fs::metadata(file).and_then(|found| found.modified()).ok());
        // Of the future: the clock was set back.
        let is_old = changed.is_none_or(|at| at.elapsed().map_or(true, |age| age >= GRACE));
        if !used
            && is_old
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(path = %path.display(), %error, "an abandoned snapshot could not be removed");
        }
    }
}

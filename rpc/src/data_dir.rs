//! The data directory: what it holds, and whether this build may use it.
//!
//! ```text
//!   DIR/LOCK               held by the process that uses it
//!   DIR/ironhorse.json     format, number of groups, secret of the bookmarks: written once
//!   DIR/log/               the embedded log
//!   DIR/groups/metadata/   RocksDB of the metadata group
//!   DIR/groups/0/ …        RocksDB of each group
//!   DIR/checkpoints/0/ …   checkpoints of each group: `index_rocks::checkpoints`
//!   DIR/snapshots/         what backups are copying
//!   DIR/scratch/           what `ironhorse verify` is working with
//!   DIR/server.json        where the running server is
//! ```

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wal::GroupId;

/// The newest format that this build reads, and the one that it makes.
const FORMAT: u32 = 1;
const IDENTITY: &str = "ironhorse.json";
const LOCK: &str = "LOCK";
const LOG: &str = "log";
const GROUPS: &str = "groups";
const CHECKPOINTS: &str = "checkpoints";
const SNAPSHOTS: &str = "snapshots";
const SCRATCH: &str = "scratch";
const SERVER: &str = "server.json";
/// Groups of a new directory, unless something else is asked for.
const DEFAULT_GROUPS: u16 = 2;
const MAX_GROUPS: u16 = 256;

/// The directory cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("data directory {path}: {what}")]
pub struct DataDirError {
    path: String,
    what: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    groups: u16,
    bookmark_secret: String,
    /// The cluster on Kafka whose log the stores are built on; none: the embedded log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
}

/// An opened data directory. While it, or a clone of it, exists, no other process can open it.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    groups: u16,
    secret: [u8; 32],
    _lock: Arc<Lock>,
}

#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that another thread is just starting holds a copy of the file for a
        // moment. If this fails, closing it has to do.
        let _ = self.0.unlock();
    }
}

impl DataDir {
    /// Opens the directory, or makes it with `groups` groups, for the embedded log.
    ///
    /// # Errors
    /// It is in use, damaged, incomplete, of a newer format, or was made with another number of groups or another log.
    pub fn open(path: &Path, groups: Option<u16>) -> Result<DataDir, DataDirError> {
        DataDir::open_on(path, groups, None)
    }

    /// As [`DataDir::open`], for the log of `cluster` on Kafka.
    ///
    /// # Errors
    /// As [`DataDir::open`].
    pub fn open_on(
        path: &Path,
        groups: Option<u16>,
        cluster: Option<&str>,
    ) -> Result<DataDir, DataDirError> {
        open(path, groups, cluster).map_err(|what| DataDirError {
            path: path.display().to_string(),
            what,
        })
    }

    /// Opens a directory that a server has made, as [`DataDir::open`]; makes nothing but the lock.
    ///
    /// # Errors
    /// As [`DataDir::open`]; there is none.
    pub fn existing(path: &Path) -> Result<DataDir, DataDirError> {
        if !path.join(IDENTITY).is_file() {
            return Err(DataDirError {
                path: path.display().to_string(),
                what: format!("there is no {IDENTITY}: it is no data directory of ironhorse"),
            });
        }
        DataDir::open(path, None)
    }

    /// How many groups it was made with.
    pub fn groups(&self) -> u16 {
        self.groups
    }

    /// The key of the bookmarks.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where a group's base store is.
    pub fn group(&self, id: GroupId) -> PathBuf {
        self.path.join(GROUPS).join(id.to_string())
    }

    /// Where a group's checkpoints are.
    pub fn checkpoints(&self, id: GroupId) -> PathBuf {
        self.path.join(CHECKPOINTS).join(id.to_string())
    }

    /// Where what backups are copying is.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// Where a tool may put what it removes at its end.
    pub fn scratch(&self) -> PathBuf {
        self.path.join(SCRATCH)
    }

    /// The file that says where the running server is.
    pub(crate) fn server(path: &Path) -> PathBuf {
        path.join(SERVER)
    }

    /// The file that says what the directory is.
    pub(crate) fn identity(path: &Path) -> PathBuf {
        path.join(IDENTITY)
    }

    /// Removes what a process that was killed left: snapshots, scratch, the place of its server.
    ///
    /// # Errors
    /// The file system's.
    pub fn tidy(&self) -> std::io::Result<()> {
        for part in [self.snapshots(), self.scratch()] {
            gone(fs::remove_dir_all(part))?;
        }
        gone(fs::remove_file(DataDir::server(&self.path)))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The groups whose stores are in it, the metadata group first.
    pub fn group_ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        group_ids(self.groups)
    }

    /// Nothing that was there when the directory was made is missing. What the log and the stores hold, they check
    /// themselves.
    fn check_complete(&self, on_kafka: bool) -> Result<(), String> {
        let advice = "restore the whole directory from a backup";
        let groups = self.path.join(GROUPS);
        let mut parts =
            std::iter::once(self.log()).chain(self.group_ids().map(|id| self.group(id)));
        if let Some(part) = parts.find(|part| !part.is_dir()) {
            let name = part.strip_prefix(&self.path).unwrap_or(&part).display();
            return Err(format!("{name} is missing: {advice}"));
        }
        let known: BTreeSet<String> = self.group_ids().map(|id| id.to_string()).collect();
        let found = names(&groups).map_err(|error| format!("{GROUPS}: {error}"))?;
        if let Some(stray) = found.iter().find(|name| !known.contains(*name)) {
            let made = self.groups;
            return Err(format!(
                "{GROUPS}/{stray} is there, but {IDENTITY} says that it was made with {made} groups: {advice}"
            ));
        }
        if on_kafka {
            return Ok(());
        }
        // Stores are made after the log's first segment.
        let log = names(&self.log()).map_err(|error| format!("{LOG}: {error}"))?;
        let is_segment = |name: &String| Path::new(name).extension().is_some_and(|it| it == "log");
        if !log.iter().any(is_segment) && holds_files(&groups) {
            return Err(format!(
                "{LOG} is empty, but there is data in {GROUPS}: {advice}"
            ));
        }
        Ok(())
    }
}

fn open(path: &Path, groups: Option<u16>, cluster: Option<&str>) -> Result<DataDir, String> {
    if groups.is_some_and(|groups| !(1..=MAX_GROUPS).contains(&groups)) {
        return Err(format!(
            "the number of groups must be between 1 and {MAX_GROUPS}"
        ));
    }
    let lock = lock(path)?;
    let file = path.join(IDENTITY);
    if !file.exists() {
        for part in [LOG, GROUPS] {
            if holds_files(&path.join(part)) {
                return Err(format!(
                    "{IDENTITY} is missing, but there is data in {part}: restore it from a backup"
                ));
            }
        }
        create(path, &file, groups.unwrap_or(DEFAULT_GROUPS), cluster)
            .map_err(|error| error.to_string())?;
    }
    let text = fs::read(&file).map_err(|error| format!("{IDENTITY}: {error}"))?;
    let (identity, secret) = read(&text)?;
    if let Some(asked) = groups.filter(|asked| *asked != identity.groups) {
        let made = identity.groups;
        return Err(format!(
            "it was made with {made} groups, and {asked} were asked for; the number is fixed when a directory is made: start with \
             --groups {made}, or without --groups"
        ));
    }
    match (identity.cluster.as_deref(), cluster) {
        (made, asked) if made == asked => {}
        (Some(made), _) => {
            return Err(format!(
                "its log is that of the cluster {made} on Kafka: start the server with --kafka HOST:PORT --cluster-id {made} (verify, \
                 backup and inspect are for the embedded log)"
            ));
        }
        (None, _) => {
            return Err(
                "it was made for the embedded log: start without --kafka, or use another --data-dir"
                    .to_owned(),
            );
        }
    }
    let dir = DataDir {
        path: path.to_owned(),
        groups: identity.groups,
        secret,
        _lock: Arc::new(lock),
    };
    dir.check_complete(cluster.is_some())?;
    Ok(dir)
}

/// Takes the directory for this process, before anything in it is looked at.
fn lock(path: &Path) -> Result<Lock, String> {
    let opened = fs::create_dir_all(path).and_then(|()| {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        options.open(path.join(LOCK))
    });
    let file = opened.map_err(|error| format!("{error} (choose another with --data-dir)"))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(
            "it is in use by another ironhorse: stop that one, or use another --data-dir"
                .to_owned(),
        ),
        Err(TryLockError::Error(error)) => Err(format!("{LOCK}: {error}")),
    }
}

/// The identity in `text`, and its secret.
fn read(text: &[u8]) -> Result<(Identity, [u8; 32]), String> {
    let damaged =
        |what: String| format!("{IDENTITY} is damaged ({what}): restore it from a backup");
    let json: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    // First of all: a newer format may look otherwise.
    if let Some(newer) = json["format"].as_u64().filter(|it| *it > u64::from(FORMAT)) {
        return Err(format!(
            "it is of format {newer}, this version reads up to {FORMAT}: use the newer ironhorse that wrote it"
        ));
    }
    let identity: Identity =
        serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
    if identity.format == 0 || !(1..=MAX_GROUPS).contains(&identity.groups) {
        let Identity { format, groups, .. } = identity;
        return Err(damaged(format!("format {format}, {groups} groups")));
    }
    let secret = parse_secret(&identity.bookmark_secret)
        .ok_or_else(|| damaged("bookmark_secret".to_owned()))?;
    Ok((identity, secret))
}

/// The identity comes last: a directory that has one has all the others too, so that one that is missing later is noticed.
fn create(path: &Path, file: &Path, groups: u16, cluster: Option<&str>) -> std::io::Result<()> {
    fs::create_dir_all(path.join(LOG))?;
    for id in group_ids(groups) {
        fs::create_dir_all(path.join(GROUPS).join(id.to_string()))?;
    }
    File::open(path.join(GROUPS))?.sync_all()?;
    File::open(path)?.sync_all()?;
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let bookmark_secret = hex(&secret);
    let identity = Identity {
        format: FORMAT,
        groups,
        bookmark_secret,
        cluster: cluster.map(str::to_owned),
    };
    let part = file.with_extension("new");
    fs::write(&part, serde_json::to_vec_pretty(&identity)?)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, file)?;
    File::open(path)?.sync_all()
}

/// What is not there was removed.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All groups of a directory.
fn group_ids(groups: u16) -> impl Iterator<Item = GroupId> {
    std::iter::once(GroupId::METADATA).chain((0..groups).map(GroupId))
}

/// Whether there is a file in the directory or below. One that is not there holds none.
fn holds_files(dir: &Path) -> bool {
    names(dir).is_ok_and(|names| {
        names.iter().any(|name| {
            let path = dir.join(name);
            !path.is_dir() || holds_files(&path)
        })
    })
}

fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_secret(text: &str) -> Option<[u8; 32]> {
    let mut secret = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in secret.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, groups: Option<u16>) -> String {
        DataDir::open(path, groups).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_is_made_once_and_used_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let made = DataDir::open(dir.path(), Some(3)).unwrap();
        assert_eq!(made.groups(), 3);
        assert!(refusal(dir.path(), None).contains("in use by another ironhorse"));
        let secret = made.secret();
        let clone = made.clone();
        drop(made);
        assert!(refusal(dir.path(), None).contains("in use"));
        drop(clone);
        assert_eq!(DataDir::open(dir.path(), None).unwrap().secret(), secret);
        let error = refusal(dir.path(), Some(4));
        assert!(
            error.contains("made with 3 groups") && error.contains("--groups 3"),
            "{error}"
        );
        assert!(DataDir::open(&dir.path().join("new"), Some(0)).is_err());
        assert!(DataDir::open(&dir.path().join("new"), Some(MAX_GROUPS + 1)).is_err());
    }

    #[test]
    fn a_creation_that_was_broken_off_is_taken_up() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("groups/metadata")).unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::write(dir.path().join("ironhorse.new"), "{").unwrap();
        assert_eq!(DataDir::open(dir.path(), Some(1)).unwrap().groups(), 1);
    }

    #[test]
    fn an_identity_is_read_or_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), Some(3)).unwrap());
        let file = dir.path().join(IDENTITY);
        let good = fs::read_to_string(&file).unwrap();
        for (from, to, words) in [
            ("\"format\": 1", "\"format\": 2", "newer ironhorse"),
            ("\"groups\"", "\"partitions\"", "damaged"),
            ("\"format\": 1", "\"format\": 0", "damaged"),
            ("\"groups\": 3", "\"groups\": 0", "damaged"),
            ("\"groups\": 3", "\"groups\": 2", "groups/2 is there"),
            ("\"groups\": 3", "\"groups\": 4", "groups/3 is missing"),
            (
                "\"bookmark_secret\": \"",
                "\"bookmark_secret\": \"x",
                "damaged",
            ),
            (good.as_str(), "", "damaged"),
            (good.as_str(), "{\"format\": 7}", "newer ironhorse"),
        ] {
            assert!(good.contains(from));
            fs::write(&file, good.replace(from, to)).unwrap();
            let error = refusal(dir.path(), None);
            assert!(error.contains(words), "{to}: {error}");
        }
        fs::write(&file, [0xFF, 0xFE]).unwrap();
        assert!(refusal(dir.path(), None).contains("damaged"));
        fs::remove_file(&file).unwrap();
        fs::write(dir.path().join("log/x"), "").unwrap();
        assert!(refusal(dir.path(), None).contains("restore it from a backup"));
    }
}

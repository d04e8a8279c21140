//! A directory of backups: files by their content, and a list of them for each backup.
//!
//! ```text
//!   TARGET/LOCK              held while a backup is written
//!   TARGET/objects/<hash>    a file's content, by its blake3; `.part`: one that is being written
//!   TARGET/backup-<n>.json   a backup: written, and renamed, when all its objects are durable
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ToolError;

/// The newest format that this build reads, and the one that it writes.
const FORMAT: u32 = 1;
const OBJECTS: &str = "objects";
const LOCK: &str = "LOCK";
/// So many backups are kept.
const KEPT: usize = 2;

/// A file of the log, as far as a copy needs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LogFile {
    pub(super) name: String,
    /// From its beginning.
    pub(super) bytes: u64,
    /// The size that a copy gets: zeros follow.
    pub(super) size: u64,
}

/// One file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Relative to the data directory.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) size: u64,
    /// Of the bytes: blake3, in hexadecimal digits.
    pub(super) hash: String,
}

/// One backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) number: u64,
    pub(super) time_ms: u64,
    pub(super) groups: u16,
    /// Everything up to this position of the log is in it.
    pub(super) end: u64,
    /// How far each group's store is.
    pub(super) positions: std::collections::BTreeMap<String, u64>,
    pub(super) files: Vec<Entry>,
}

impl Manifest {
    pub(super) const FORMAT: u32 = FORMAT;

    /// A line of JSON, and its blake3 in a second one.
    fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec(self)?;
        let hash = blake3::hash(&text).to_hex();
        text.push(b'\n');
        text.extend_from_slice(hash.as_bytes());
        text.push(b'\n');
        Ok(text)
    }

    fn read(text: &[u8]) -> Result<Manifest, String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let mut lines = text.lines();
        let json = lines.next().unwrap_or_default();
        if lines.next() != Some(blake3::hash(json.as_bytes()).to_hex().as_str()) {
            return Err("it is damaged: its checksum does not fit".to_owned());
        }
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        if let Some(newer) = value["format"]
            .as_u64()
            .filter(|it| *it > u64::from(FORMAT))
        {
            return Err(format!(
                "it is of format {newer}, this version reads up to {FORMAT}: use a newer ironhorse"
            ));
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|error| error.to_string())?;
        let known = |path: &str| {
            let parts: Vec<Component<'_>> = Path::new(path).components().collect();
            let normal = parts
                .iter()
                .all(|part| matches!(part, Component::Normal(_)));
            let inside = path.starts_with("log/") || path.starts_with("groups/");
            normal && (path == "ironhorse.json" || inside && parts.len() >= 2)
        };
        match manifest.files.iter().find(|file| !known(&file.path)) {
            None => Ok(manifest),
            Some(file) => Err(format!(
                "it names {:?}, which is no file of ours",
                file.path
            )),
        }
    }
}

/// What became of a file.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) hash: String,
    /// Whether it had to be copied.
    pub(super) copied: bool,
}

/// See the module.
pub(super) struct Target {
    path: PathBuf,
    _lock: Option<File>,
}

impl Target {
    /// Opens a directory of backups, or makes one, to write to it.
    pub(super) fn open(path: &Path) -> Result<Target, ToolError> {
        let fail = |error: io::Error| ToolError::at(path, error);
        fs::create_dir_all(path).map_err(fail)?;
        if !path.join(OBJECTS).is_dir() {
            let mut entries = fs::read_dir(path).map_err(fail)?.flatten();
            if entries.any(|entry| entry.file_name() != LOCK) {
                let what = "it is neither empty nor a directory of backups";
                return Err(ToolError::at(path, what));
            }
        }
        let lock = File::create(path.join(LOCK)).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ToolError::at(path, "another backup is being written to it"));
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        fs::create_dir_all(path.join(OBJECTS)).map_err(fail)?;
        Ok(Target {
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    /// Opens a directory of backups to read it.
    pub(super) fn existing(path: &Path) -> Result<Target, ToolError> {
        if !path.join(OBJECTS).is_dir() {
            return Err(ToolError::at(path, "it is no directory of backups"));
        }
        Ok(Target {
            path: path.to_owned(),
            _lock: None,
        })
    }

    fn manifest(&self, number: u64) -> PathBuf {
        self.path.join(format!("backup-{number:08}.json"))
    }

    /// The backups' numbers, oldest first.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, ToolError> {
        let entries = fs::read_dir(&self.path).map_err(|e| ToolError::at(&self.path, e))?;
        let mut numbers: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_prefix("backup-")?
                    .strip_suffix(".json")?
                    .parse()
                    .ok()
            })
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a backup's list.
    pub(super) fn read(&self, number: u64) -> Result<Manifest, ToolError> {
        let path = self.manifest(number);
        let text = fs::read(&path).map_err(|error| ToolError::at(&path, error))?;
        Manifest::read(&text).map_err(|error| ToolError::at(&path, error))
    }

    /// Where the content with a hash is.
    pub(super) fn object(&self, hash: &str) -> PathBuf {
        self.path.join(OBJECTS).join(hash)
    }

    /// Keeps the first `bytes` of a file, unless the same are kept already.
    pub(super) fn put(&self, from: &Path, bytes: u64) -> Result<Put, ToolError> {
        let fail = |error: io::Error| ToolError::at(from, error);
        let hash = copy(from, bytes, &mut io::sink()).map_err(fail)?;
        let object = self.object(&hash);
        if fs::metadata(&object).is_ok_and(|found| found.len() == bytes) {
            return Ok(Put {
                hash,
                copied: false,
            });
        }
        let part = object.with_extension("part");
        let fail_here = |error: io::Error| ToolError::at(&part, error);
        let mut file = File::create(&part).map_err(fail_here)?;
        let copied = copy(from, bytes, &mut file).map_err(fail)?;
        if copied != hash {
            return Err(ToolError::at(from, "it changed while it was copied"));
        }
        file.sync_all().map_err(fail_here)?;
        fs::rename(&part, &object).map_err(fail_here)?;
        Ok(Put { hash, copied: true })
    }

    /// Makes the objects durable, then the list; then removes what only older backups need.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), ToolError> {
        let path = self.manifest(manifest.number);
        let part = path.with_extension("part");
        let text = manifest.write().map_err(ToolError::new)?;
        let written = (|| {
            File::open(self.path.join(OBJECTS))?.sync_all()?;
            let mut file = File::create(&part)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            File::open(&self.path)?.sync_all()
        })();
        written.map_err(|error| ToolError::at(&path, error))?;
        self.prune()
    }

    fn prune(&self) -> Result<(), ToolError> {
        let fail = |error: io::Error| ToolError::at(&self.path, error);
        let numbers = self.numbers()?;
        let (old, kept) = numbers.split_at(numbers.len().saturating_sub(KEPT));
        let mut needed = BTreeSet::new();
        for number in kept {
            // A list that cannot be read: nobody knows what it needs.
            let Ok(manifest) = self.read(*number) else {
                return Ok(());
            };
            needed.extend(manifest.files.into_iter().map(|file| file.hash));
        }
        for number in old {
            fs::remove_file(self.manifest(*number)).map_err(fail)?;
        }
        for entry in fs::read_dir(self.path.join(OBJECTS)).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if !needed.contains(&*entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path()).map_err(fail)?;
            }
        }
        Ok(())
    }
}

/// Copies the first `bytes` of a file, and returns their hash; an error if it is shorter.
pub(super) fn copy(from: &Path, bytes: u64, to: &mut dyn Write) -> io::Result<String> {
    let mut reader = File::open(from)?.take(bytes);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut copied = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        copied += count as u64;
    }
    if copied < bytes {
        return Err(io::Error::other(format!(
            "it has {copied} bytes and should have {bytes}"
        )));
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        Manifest {
            format: FORMAT,
            number: 1,
            time_ms: 2,
            groups: 1,
            end: 3,
            positions: [("0".to_owned(), 4)].into(),
            files: vec![Entry {
                path: path.to_owned(),
                bytes: 5,
                size: 6,
                hash: "7".to_owned(),
            }],
        }
    }

    #[test]
    fn a_list_is_read_or_refused() {
        for path in ["log/1.log", "groups/0/CURRENT", "ironhorse.json"] {
            let read = Manifest::read(&manifest(path).write().unwrap()).unwrap();
            assert_eq!((read.end, &*read.files[0].path), (3, path));
        }
        for path in [
            "/etc/passwd",
            "log/../../x",
            "groups",
            "x",
            "log/",
            "../log/x",
            "",
        ] {
            let error = Manifest::read(&manifest(path).write().unwrap()).unwrap_err();
            assert!(error.contains("no file of ours"), "{path}: {error}");
        }
        let newer = Manifest {
            format: FORMAT + 1,
            ..manifest("log/x")
        };
        let error = Manifest::read(&newer.write().unwrap()).unwrap_err();
        assert!(error.contains("newer ironhorse"), "{error}");
        let good = manifest("log/x").write().unwrap();
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Manifest::read(&bad).is_err(), "byte {at}");
            assert!(Manifest::read(&good[..at]).is_err(), "cut to {at}");
        }
    }

    #[test]
    fn the_same_content_is_kept_once_and_old_backups_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let target = Target::open(&dir.path().join("t")).unwrap();
        assert!(Target::open(&dir.path().join("t")).is_err(), "two writers");
        for number in 1..=4_u64 {
            fs::write(&file, format!("content {number}, and a tail")).unwrap();
            let put = target.put(&file, 9).unwrap();
            assert!(put.copied);
            assert!(!target.put(&file, 9).unwrap().copied);
            assert!(target.put(&file, 900).is_err(), "it is shorter");
            // What a killed backup left.
            fs::write(target.object("abc.part"), "x").unwrap();
            let mut manifest = manifest("log/x");
            manifest.number = number;
            manifest.files[0].hash = put.hash;
            target.finish(&manifest).unwrap();
        }
        assert_eq!(target.numbers().unwrap(), [3, 4]);
        let objects = fs::read_dir(dir.path().join("t/objects")).unwrap();
        assert_eq!(objects.count(), 2);
        let hash = &target.read(4).unwrap().files[0].hash;
        assert_eq!(fs::read(target.object(hash)).unwrap(), b"content 4");
    }
}

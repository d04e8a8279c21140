//! The data directory: what it holds, and whether this build may use it.
//!
//! ```text
//!   DIR/ironhorse.json     format, number of groups, secret of the bookmarks: written once
//!   DIR/log/               the embedded log
//!   DIR/groups/metadata/   RocksDB of the metadata group
//!   DIR/groups/0/ …        RocksDB of each group
//! ```

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wal::GroupId;

/// The newest format that this build reads, and the one that it makes.
const FORMAT: u32 = 1;
const IDENTITY: &str = "ironhorse.json";
/// Groups of a new directory, unless something else is asked for.
const DEFAULT_GROUPS: u16 = 2;
const MAX_GROUPS: u16 = 256;

/// The directory cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataDirError(String);

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    groups: u16,
    bookmark_secret: String,
}

/// An opened data directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    groups: u16,
    secret: [u8; 32],
}

impl DataDir {
    /// Opens the directory, or makes it with `groups` groups.
    ///
    /// # Errors
    /// It is damaged, of a newer format, or was made with another number of groups.
    pub fn open(path: &Path, groups: Option<u16>) -> Result<DataDir, DataDirError> {
        let fail =
            |what: String| DataDirError(format!("data directory {}: {what}", path.display()));
        if groups.is_some_and(|groups| groups == 0 || groups > MAX_GROUPS) {
            return Err(fail(format!(
                "the number of groups must be between 1 and {MAX_GROUPS}"
            )));
        }
        let file = path.join(IDENTITY);
        if !file.exists() {
            let holds_data = path.join("log").exists() || path.join("groups").exists();
            if holds_data {
                return Err(fail(format!(
                    "{IDENTITY} is missing, but there is data: restore it from a backup"
                )));
            }
            DataDir::create(path, &file, groups.unwrap_or(DEFAULT_GROUPS))
                .map_err(|error| fail(error.to_string()))?;
        }
        let text =
            fs::read_to_string(&file).map_err(|error| fail(format!("{IDENTITY}: {error}")))?;
        let identity: Identity = serde_json::from_str(&text).map_err(|error| {
            fail(format!(
                "{IDENTITY} is damaged ({error}): restore it from a backup"
            ))
        })?;
        if identity.format > FORMAT {
            let newer = identity.format;
            return Err(fail(format!(
                "it is of format {newer}, this version reads up to {FORMAT}: use the newer ironhorse that wrote it"
            )));
        }
        if let Some(asked) = groups.filter(|asked| *asked != identity.groups) {
            let made = identity.groups;
            return Err(fail(format!(
                "it was made with {made} groups, and {asked} were asked for; the number is fixed when a directory is made: start with \
                 --groups {made}, or without --groups"
            )));
        }
        let secret = parse_secret(&identity.bookmark_secret).ok_or_else(|| {
            fail(format!(
                "{IDENTITY} is damaged (bookmark_secret): restore it from a backup"
            ))
        })?;
        Ok(DataDir {
            path: path.to_owned(),
            groups: identity.groups,
            secret,
        })
    }

    fn create(path: &Path, file: &Path, groups: u16) -> std::io::Result<()> {
        fs::create_dir_all(path)?;
        let mut secret = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let bookmark_secret = hex(&secret);
        let identity = Identity {
            format: FORMAT,
            groups,
            bookmark_secret,
        };
        let part = file.with_extension("new");
        fs::write(&part, serde_json::to_vec_pretty(&identity)?)?;
        fs::File::open(&part)?.sync_all()?;
        fs::rename(&part, file)?;
        fs::File::open(path)?.sync_all()
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
        self.path.join("log")
    }

    /// Where a group's base store is.
    pub fn group(&self, id: GroupId) -> PathBuf {
        self.path.join("groups").join(id.to_string())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
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

    #[test]
    fn a_directory_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let made = DataDir::open(dir.path(), Some(3)).unwrap();
        assert_eq!(made.groups(), 3);
        assert_eq!(
            DataDir::open(dir.path(), None).unwrap().secret(),
            made.secret()
        );
        let error = DataDir::open(dir.path(), Some(4)).unwrap_err().to_string();
        assert!(
            error.contains("made with 3 groups") && error.contains("--groups 3"),
            "{error}"
        );
        let file = dir.path().join(IDENTITY);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        let error = DataDir::open(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("newer ironhorse"), "{error}");
        fs::write(&file, "{").unwrap();
        assert!(
            DataDir::open(dir.path(), None)
                .unwrap_err()
                .to_string()
                .contains("damaged")
        );
        fs::remove_file(&file).unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        assert!(
            DataDir::open(dir.path(), None)
                .unwrap_err()
                .to_string()
                .contains("restore")
        );
        assert!(DataDir::open(&dir.path().join("new"), Some(0)).is_err());
    }
}

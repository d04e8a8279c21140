//! Shipping a database to a new replica: a RocksDB checkpoint, file by file.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use index::{
    Applied, Base, CheckpointFile, CheckpointSink, CheckpointSource, Checkpoints, Family, KeyRange,
    Manifest, StoreError,
};
use rocksdb::checkpoint::Checkpoint as Maker;

use crate::{RocksBase, Shared};

/// Under a database's directory: checkpoints that are being shipped. RocksDB leaves it alone; what a crash left there is
/// removed when the database is opened.
const SHIPPING: &str = "shipping";

fn at(path: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError::Base(format!("{}: {error}", path.display()))
}

/// Removes what a crash left of shipments from a database.
pub(crate) fn remove_abandoned(path: &Path) -> Result<(), StoreError> {
    let shipping = path.join(SHIPPING);
    match fs::remove_dir_all(&shipping) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&shipping, error)),
        _ => Ok(()),
    }
}

/// Hard links to a database's files; they go when this is dropped.
struct Links {
    path: PathBuf,
    manifest: Manifest,
    open: Option<(usize, File)>,
}

impl Drop for Links {
    fn drop(&mut self) {
        // The next opening removes what stays; of the parent, others may be left.
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

impl Checkpoints for RocksBase {
    fn checkpoint(&self) -> Result<Box<dyn CheckpointSource>, StoreError> {
        let shipping = self.path.join(SHIPPING);
        fs::create_dir_all(&shipping).map_err(|error| at(&shipping, error))?;
        let number = self.shipments.fetch_add(1, Ordering::Relaxed);
        let mut links = Links {
            path: shipping.join(number.to_string()),
            manifest: Manifest::default(),
            open: None,
        };
        Maker::new(&self.db)
            .and_then(|maker| maker.create_checkpoint(&links.path))
            .map_err(|error| at(&links.path, error))?;
        links.manifest = Manifest {
            applied: RocksBase::open_read_only(&links.path, &self.shared)?.applied()?,
            files: files(&links.path).map_err(|error| at(&links.path, error))?,
        };
        Ok(Box::new(links))
    }
}

fn files(dir: &Path) -> std::io::Result<Vec<CheckpointFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        files.push(CheckpointFile {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: entry.metadata()?.len(),
        });
    }
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

impl CheckpointSource for Links {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn read(&mut self, file: usize, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        let named = self.manifest.files.get(file);
        let named = named.ok_or_else(|| at(&self.path, format!("no file {file}")))?;
        let path = self.path.join(&named.name);
        let opened = match self.open.take() {
            Some((number, opened)) if number == file => opened,
            _ => File::open(&path).map_err(|error| at(&path, error))?,
        };
        let left = named.bytes.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(max)];
        let read = opened.read_at(&mut bytes, offset);
        bytes.truncate(read.map_err(|error| at(&path, error))?);
        if bytes.is_empty() {
            return Err(at(&path, format!("nothing at offset {offset}")));
        }
        self.open = Some((file, opened));
        Ok(Bytes::from(bytes))
    }
}

/// Takes a shipped database in.
pub struct RocksSink {
    path: PathBuf,
    /// Where the files gather; it goes when this is dropped, unless it has become the database.
    part: PathBuf,
    shared: Shared,
    manifest: Manifest,
    open: Option<(usize, File)>,
}

impl RocksSink {
    /// Makes the database `path`, which must not exist, when all is there.
    pub fn new(path: &Path, shared: &Shared) -> RocksSink {
        let mut part = path.as_os_str().to_owned();
        part.push(".shipped");
        RocksSink {
            path: path.to_owned(),
            part: part.into(),
            shared: shared.clone(),
            manifest: Manifest::default(),
            open: None,
        }
    }

    fn file(&mut self, number: usize) -> Result<&mut File, StoreError> {
        let opened = match self.open.take() {
            Some((open, file)) if open == number => file,
            before => {
                self.close(before)?;
                let named = self.manifest.files.get(number).ok_or_else(|| {
                    StoreError::Corrupt(format!("a checkpoint with a file {number}"))
                })?;
                let path = self.part.join(&named.name);
                File::create(&path).map_err(|error| at(&path, error))?
            }
        };
        Ok(&mut self.open.insert((number, opened)).1)
    }

    fn close(&self, file: Option<(usize, File)>) -> Result<(), StoreError> {
        let Some((_, file)) = file else { return Ok(()) };
        file.sync_all().map_err(|error| at(&self.part, error))
    }

    /// Every block is read once, so that nothing damaged is taken for a base.
    fn check(&self) -> Result<Option<Applied>, StoreError> {
        let found = files(&self.part).map_err(|error| at(&self.part, error))?;
        let mut promised = self.manifest.files.clone();
        promised.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if found != promised {
            let what = "its files are not those of the manifest";
            return Err(at(&self.part, what));
        }
        let base = RocksBase::open_read_only(&self.part, &self.shared)?;
        for family in Family::ALL {
            for row in base.scan(family, &KeyRange::prefix(&[]), false)? {
                row?;
            }
        }
        base.applied()
    }
}

impl CheckpointSink for RocksSink {
    fn begin(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        if self.path.exists() {
            return Err(at(&self.path, "it exists, and no checkpoint replaces it"));
        }
        // What an earlier shipment left.
        if self.part.exists() {
            fs::remove_dir_all(&self.part).map_err(|error| at(&self.part, error))?;
        }
        fs::create_dir_all(&self.part).map_err(|error| at(&self.part, error))?;
        self.manifest = manifest.clone();
        for (number, file) in manifest.files.iter().enumerate() {
            if file.bytes == 0 {
                self.file(number)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, file: usize, bytes: Bytes) -> Result<(), StoreError> {
        let part = self.part.clone();
        let file = self.file(file)?;
        file.write_all(&bytes).map_err(|error| at(&part, error))
    }

    fn finish(mut self: Box<Self>) -> Result<Arc<dyn Base>, StoreError> {
        let last = self.open.take();
        self.close(last)?;
        let refused =
            |error| StoreError::Corrupt(format!("the shipped checkpoint cannot be used: {error}"));
        let applied = self.check().map_err(refused)?;
        if applied != self.manifest.applied {
            let why = "a shipped checkpoint is not at the position that its manifest says";
            return Err(StoreError::Corrupt(why.to_owned()));
        }
        let parent = self.path.parent().unwrap_or(Path::new("."));
        File::open(&self.part)
            .and_then(|part| part.sync_all())
            .and_then(|()| fs::rename(&self.part, &self.path))
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(|error| at(&self.path, error))?;
        let base: Arc<dyn Base> = RocksBase::open(&self.path, &self.shared)?;
        Ok(base)
    }
}

impl Drop for RocksSink {
    fn drop(&mut self) {
        // Gone already if it has become the database; else the next shipment removes what stays.
        let _ = fs::remove_dir_all(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use wal::Position;

    use super::*;

    fn shared() -> Shared {
        Shared::new(1 << 20, 1 << 20)
    }

    #[test]
    fn a_database_can_be_shipped_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let base = RocksBase::open(&path, &shared()).unwrap();
        let count = std::cell::Cell::new(0);
        index::testing::checkpoint_contract(&*base, &|| {
            count.set(count.get() + 1);
            Box::new(RocksSink::new(
                &dir.path().join(format!("copy-{}", count.get())),
                &shared(),
            ))
        });
        assert!(!path.join(SHIPPING).exists(), "links are left");
        let left = fs::read_dir(dir.path()).unwrap();
        let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| !name.ends_with(".shipped")));
    }

    #[test]
    fn a_damaged_shipment_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let base = RocksBase::open(&dir.path().join("db"), &shared()).unwrap();
        let rows: Vec<Bytes> = (0..300)
            .map(|n| Bytes::from(format!("row {n:05}")))
            .collect();
        let applied = Applied {
            position: Position::from_u64(7),
            commit: Bytes::from_static(b"commit"),
        };
        let mut changes = rows.iter().map(|row| (Family::State, row, Some(row)));
        base.write(&mut changes, &applied).unwrap();
        let mut source = base.checkpoint().unwrap();
        let manifest = source.manifest().clone();
        let mut contents = Vec::new();
        for (number, file) in manifest.files.iter().enumerate() {
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < file.bytes {
                bytes.extend(source.read(number, bytes.len() as u64, 100).unwrap());
            }
            contents.push(bytes);
        }
        let path = dir.path().join("copy");
        let ship = |contents: &[Vec<u8>], manifest: &Manifest| {
            let mut sink = Box::new(RocksSink::new(&path, &shared()));
            sink.begin(manifest)?;
            for (number, bytes) in contents.iter().enumerate() {
                sink.append(number, Bytes::from(bytes.clone()))?;
            }
            sink.finish()
        };
        for (number, file) in manifest.files.iter().enumerate() {
            // An empty log of RocksDB's own; and what only says how it was opened.
            if file.bytes == 0 || file.name.starts_with("OPTIONS") {
                continue;
            }
            let mut damaged = contents.clone();
            damaged[number].pop();
            let mut flipped = contents.clone();
            flipped[number][file.bytes as usize / 3] ^= 0x10;
            for bad in [damaged, flipped] {
                let Err(error) = ship(&bad, &manifest) else {
                    panic!("{} was damaged", file.name)
                };
                assert!(error.to_string().contains("cannot be used"), "{error}");
                assert!(!path.exists(), "a base was left");
            }
        }
        let mut other = manifest.clone();
        other.applied = None;
        assert!(ship(&contents, &other).is_err());
        assert!(!path.exists());
        let copy = ship(&contents, &manifest).unwrap();
        assert_eq!(copy.applied().unwrap(), Some(applied));
        assert!(ship(&contents, &manifest).is_err(), "a base was replaced");
    }
}

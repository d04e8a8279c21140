//! Shipping a base to a new replica: a consistent copy of it, as named files, in chunks.
//!
//! ```text
//!   Checkpoints::checkpoint ─► CheckpointSource ─ Shipment::step, a chunk at a time ─► CheckpointSink ─► a base
//! ```
//!
//! Either end may be the stub of a connection: a source that reads from a peer, a sink that writes to one. The replica
//! then reads the log from the checkpoint's position on.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Applied, Base, StoreError};

/// A base of which consistent copies can be made while it is being written.
pub trait Checkpoints: Base {
    /// A copy of everything that is written now, which later writes do not change. It costs no more than is changed
    /// while it lives, and is given up when it is dropped.
    fn checkpoint(&self) -> Result<Box<dyn CheckpointSource>, StoreError>;
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Letters, digits, `.`, `_` and `-`, not beginning with a dot: it names no other directory.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a checkpoint consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// How far the copy has come; `None`: the base was empty.
    pub applied: Option<Applied>,
    /// Its files.
    pub files: Vec<CheckpointFile>,
}

impl Manifest {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let sizes = self.files.iter().map(|file| file.bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// Refuses what a peer may not say: names that lead elsewhere, or come twice.
    fn check(&self) -> Result<(), StoreError> {
        let mut names = BTreeSet::new();
        for file in &self.files {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            let name = file.name.as_str();
            if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
                let why = format!("a checkpoint's file cannot be called {name:?}");
                return Err(StoreError::Corrupt(why));
            }
            if !names.insert(name) {
                let why = format!("a checkpoint has two files {name}");
                return Err(StoreError::Corrupt(why));
            }
        }
        Ok(())
    }
}

/// Where a checkpoint is read from.
pub trait CheckpointSource: Send {
    /// What it consists of.
    fn manifest(&self) -> &Manifest;

    /// Some bytes of file number `file` (its place in the manifest) from `offset` on: at least one, at most `max`.
    ///
    /// # Errors
    /// The base or the connection failed, or there is no such place.
    fn read(&mut self, file: usize, offset: u64, max: usize) -> Result<Bytes, StoreError>;
}

/// Where a checkpoint is written to. One that is dropped before [`CheckpointSink::finish`] leaves no base behind.
pub trait CheckpointSink: Send {
    /// A checkpoint begins; its names have been checked.
    fn begin(&mut self, manifest: &Manifest) -> Result<(), StoreError>;

    /// The next bytes of file number `file`: files come in order, each from its beginning to its end.
    fn append(&mut self, file: usize, bytes: Bytes) -> Result<(), StoreError>;

    /// All files are complete: makes them durable, and opens the base that they are.
    ///
    /// # Errors
    /// What was shipped is no base, or not the one that the manifest speaks of.
    fn finish(self: Box<Self>) -> Result<Arc<dyn Base>, StoreError>;
}

/// A checkpoint on its way, as a step function.
pub struct Shipment {
    source: Box<dyn CheckpointSource>,
    sink: Box<dyn CheckpointSink>,
    manifest: Manifest,
    file: usize,
    offset: u64,
    shipped: u64,
}

impl Shipment {
    /// Begins one.
    pub fn begin(
        source: Box<dyn CheckpointSource>,
        mut sink: Box<dyn CheckpointSink>,
    ) -> Result<Shipment, StoreError> {
        let manifest = source.manifest().clone();
        manifest.check()?;
        sink.begin(&manifest)?;
        Ok(Shipment {
            source,
            sink,
            manifest,
            file: 0,
            offset: 0,
            shipped: 0,
        })
    }

    /// Ships about `max` bytes of one file. Says whether anything is left.
    pub fn step(&mut self, max: usize) -> Result<bool, StoreError> {
        let Some(file) = self.manifest.files.get(self.file) else {
            return Ok(false);
        };
        let left = file.bytes - self.offset;
        if left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(max.max(1));
            let bytes = self.source.read(self.file, self.offset, most)?;
            let got = bytes.len() as u64;
            if got == 0 || got > left {
                let why = format!("{got} bytes of {}, of which {left} are left", file.name);
                return Err(StoreError::Corrupt(format!("a checkpoint gave {why}")));
            }
            self.sink.append(self.file, bytes)?;
            self.offset += got;
            self.shipped += got;
        }
        if self.offset == file.bytes {
            self.file += 1;
            self.offset = 0;
        }
        Ok(self.file < self.manifest.files.len())
    }

    /// Bytes shipped so far, and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.shipped, self.manifest.bytes())
    }

    /// Opens what was shipped.
    ///
    /// # Errors
    /// Something is left to ship; or the base cannot be opened, or is not the one that was promised.
    pub fn finish(self) -> Result<Arc<dyn Base>, StoreError> {
        if self.file < self.manifest.files.len() {
            let why = "a checkpoint was opened before it was complete";
            return Err(StoreError::Base(why.to_owned()));
        }
        let base = self.sink.finish()?;
        if base.applied()? != self.manifest.applied {
            let why = "a shipped checkpoint is not at the position that its manifest says";
            return Err(StoreError::Corrupt(why.to_owned()));
        }
        Ok(base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Manifest {
        let file = |name: &&str| CheckpointFile {
            name: (*name).to_owned(),
            bytes: 1,
        };
        Manifest {
            applied: None,
            files: names.iter().map(file).collect(),
        }
    }

    #[test]
    fn names_stay_in_their_directory() {
        assert!(
            named(&["000012.sst", "MANIFEST-5", "CURRENT"])
                .check()
                .is_ok()
        );
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", "a\0", ".hidden"] {
            assert!(named(&[bad]).check().is_err(), "{bad:?}");
        }
        assert!(named(&["a", "b", "a"]).check().is_err());
    }
}

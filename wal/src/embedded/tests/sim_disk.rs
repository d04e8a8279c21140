//! A disk in memory that may lose what was not synced, page by page, and whose syncs can be held or refused.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::super::disk::{Disk, DiskFile};
use super::super::segments;

const PAGE: usize = 4096;

/// A file's bytes as the process sees them, and as the medium has them.
#[derive(Clone, Default)]
pub(super) struct Contents {
    pub(super) seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Default)]
pub(super) struct SimFile {
    contents: Arc<Mutex<Contents>>,
    syncs: Arc<Syncs>,
}

/// How syncs go.
#[derive(Default)]
struct Syncs {
    state: Mutex<SyncState>,
    changed: Condvar,
}

#[derive(Default)]
struct SyncState {
    /// Syncs wait for this to end.
    held: bool,
    /// How many may go all the same.
    passes: usize,
    waiting: usize,
    refused: bool,
}

/// See the module. Names are durable at once, as if `sync_dir` was never forgotten.
#[derive(Clone, Default)]
pub(super) struct SimDisk {
    files: Arc<Mutex<BTreeMap<String, SimFile>>>,
    syncs: Arc<Syncs>,
}

impl SimDisk {
    /// From now on syncs wait for [`SimDisk::release_syncs`].
    pub(super) fn hold_syncs(&self) {
        self.syncs.state.lock().held = true;
    }

    /// Waits until a sync is held.
    pub(super) fn wait_for_held_sync(&self) {
        let mut state = self.syncs.state.lock();
        while state.waiting == 0 {
            self.syncs.changed.wait(&mut state);
        }
    }

    /// Lets the sync that is held through, and no other.
    pub(super) fn let_one_sync_through(&self) {
        let mut state = self.syncs.state.lock();
        state.passes += 1;
        self.syncs.changed.notify_all();
        while state.passes > 0 {
            self.syncs.changed.wait(&mut state);
        }
    }

    /// Lets all syncs through.
    pub(super) fn release_syncs(&self) {
        self.syncs.state.lock().held = false;
        self.syncs.changed.notify_all();
    }

    /// From now on syncs fail.
    pub(super) fn refuse_syncs(&self) {
        self.syncs.state.lock().refused = true;
    }

    /// What the medium has after a power cut that kept the unsynced pages for which `keep` says so.
    pub(super) fn after_power_cut(&self, keep: &mut dyn FnMut() -> bool) -> SimDisk {
        let cut = SimDisk::default();
        for (name, file) in self.files.lock().iter() {
            let file = file.contents.lock();
            let mut bytes = file.durable.clone();
            bytes.resize(file.seen.len(), 0);
            for (page, seen) in bytes.chunks_mut(PAGE).zip(file.seen.chunks(PAGE)) {
                if page != seen && keep() {
                    page.copy_from_slice(seen);
                }
            }
            let contents = Contents {
                seen: bytes.clone(),
                durable: bytes,
            };
            let file = SimFile {
                contents: Arc::new(Mutex::new(contents)),
                syncs: Arc::clone(&cut.syncs),
            };
            cut.files.lock().insert(name.clone(), file);
        }
        cut
    }

    /// What the process sees, durable, on a disk of its own.
    pub(super) fn copy(&self) -> SimDisk {
        self.after_power_cut(&mut || true)
    }

    /// What a kill leaves: the next process sees everything, the medium lacks what was not synced.
    pub(super) fn killed(&self) -> SimDisk {
        let left = SimDisk::default();
        for (name, file) in self.files.lock().iter() {
            let file = SimFile {
                contents: Arc::new(Mutex::new(file.contents.lock().clone())),
                syncs: Arc::clone(&left.syncs),
            };
            left.files.lock().insert(name.clone(), file);
        }
        left
    }

    /// The file of a segment.
    pub(super) fn segment(&self, id: u64) -> SimFile {
        let files = self.files.lock();
        files
            .get(&segments::name(id))
            .cloned()
            .expect("the segment")
    }
}

impl SimFile {
    pub(super) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock()
    }

    /// Where the last byte is that is not zero.
    pub(super) fn last_byte(&self) -> usize {
        let contents = self.contents();
        let found = contents.seen.iter().rposition(|byte| *byte != 0);
        found.expect("something was written")
    }
}

impl Disk for SimDisk {
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if !create && !files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let new = || SimFile {
            contents: Arc::default(),
            syncs: Arc::clone(&self.syncs),
        };
        Ok(Arc::new(
            files.entry(name.to_owned()).or_insert_with(new).clone(),
        ))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files.lock().remove(name);
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.contents.lock();
        let end = offset as usize + bytes.len();
        if file.seen.len() < end {
            file.seen.resize(end, 0);
        }
        file.seen[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, len: u64) -> io::Result<Vec<u8>> {
        let file = self.contents.lock();
        Ok(file.seen[..file.seen.len().min(len as usize)].to_vec())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.contents.lock().seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.contents.lock().seen.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // What is written while a sync runs may miss it.
        let seen = self.contents.lock().seen.clone();
        let mut state = self.syncs.state.lock();
        if state.refused {
            return Err(io::Error::other("no"));
        }
        state.waiting += 1;
        self.syncs.changed.notify_all();
        while state.held && state.passes == 0 {
            self.syncs.changed.wait(&mut state);
        }
        state.passes = state.passes.saturating_sub(1);
        state.waiting -= 1;
        self.syncs.changed.notify_all();
        self.contents.lock().durable = seen;
        Ok(())
    }
}

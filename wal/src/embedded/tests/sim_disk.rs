//! A disk in memory that may lose what was not synced, page by page, and whose syncs can be held or refused.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Pages that a failed sync has taken for clean: later syncs pass over them, as the kernel's do.
    forgotten: BTreeSet<usize>,
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
    /// Bytes read so far.
    read: u64,
    /// Bytes that all files may have together.
    room: Option<u64>,
    used: u64,
    /// What was reserved cannot be written all the same.
    breaks_promises: bool,
}

impl SyncState {
    fn grow(&mut self, from: usize, to: usize) -> io::Result<()> {
        let used = self.used + to as u64 - from as u64;
        if to > from && self.room.is_some_and(|room| used > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.used = used;
        Ok(())
    }
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

    /// From now on syncs succeed again. What those that failed should have written is not written by later ones.
    pub(super) fn accept_syncs(&self) {
        self.syncs.state.lock().refused = false;
    }

    /// All files together may have this many bytes more than now.
    pub(super) fn leave_room(&self, bytes: u64) {
        let mut state = self.syncs.state.lock();
        state.room = Some(state.used + bytes);
    }

    /// There is room for everything.
    pub(super) fn leave_much_room(&self) {
        let mut state = self.syncs.state.lock();
        state.room = None;
        state.breaks_promises = false;
    }

    /// From now on nothing can be written, not even where room was reserved.
    pub(super) fn break_promises(&self) {
        self.syncs.state.lock().breaks_promises = true;
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
                forgotten: BTreeSet::new(),
            };
            cut.syncs.state.lock().used += contents.seen.len() as u64;
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
            left.syncs.state.lock().used += file.contents.lock().seen.len() as u64;
            let file = SimFile {
                contents: Arc::new(Mutex::new(file.contents.lock().clone())),
                syncs: Arc::clone(&left.syncs),
            };
            left.files.lock().insert(name.clone(), file);
        }
        left
    }

    /// A copy of all files that nobody has synced: everything is seen, nothing is on the medium.
    pub(super) fn unsynced_copy(&self) -> SimDisk {
        let left = self.killed();
        for file in left.files.lock().values() {
            file.contents.lock().durable.clear();
        }
        left
    }

    /// Bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.syncs.state.lock().read
    }

    /// A file.
    pub(super) fn file(&self, name: &str) -> Option<SimFile> {
        self.files.lock().get(name).cloned()
    }

    /// The file of a segment.
    pub(super) fn segment(&self, id: u64) -> SimFile {
        self.file(&segments::name(id)).expect("the segment")
    }

    /// What the process sees in all files.
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.lock();
        files
            .iter()
            .map(|(name, file)| (name.clone(), file.contents.lock().seen.clone()))
            .collect()
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
        let file = removed.ok_or(io::ErrorKind::NotFound)?;
        let len = file.contents.lock().seen.len();
        self.syncs.state.lock().grow(len, 0)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl SimFile {
    fn resize(&self, len: usize) -> io::Result<()> {
        let mut file = self.contents.lock();
        self.syncs.state.lock().grow(file.seen.len(), len)?;
        file.seen.resize(len, 0);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        let len = self.contents.lock().seen.len();
        if self.syncs.state.lock().breaks_promises {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if len < end {
            self.resize(end)?;
        }
        let mut file = self.contents.lock();
        file.seen[offset as usize..end].copy_from_slice(bytes);
        for page in offset as usize / PAGE..end.div_ceil(PAGE) {
            file.forgotten.remove(&page);
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let file = self.contents.lock();
        let from = file.seen.len().min(offset as usize);
        let to = file.seen.len().min(from.saturating_add(len as usize));
        self.syncs.state.lock().read += (to - from) as u64;
        Ok(file.seen[from..to].to_vec())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.contents.lock().seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.resize(len as usize)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let now = self.contents.lock().seen.len();
        self.resize(now.max(len as usize))
    }

    fn sync(&self) -> io::Result<()> {
        // What is written while a sync runs may miss it.
        let seen = self.contents.lock().seen.clone();
        let mut state = self.syncs.state.lock();
        if state.refused {
            drop(state);
            self.contents.lock().forget_dirty();
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
        drop(state);
        self.contents.lock().write_out(seen);
        Ok(())
    }

    fn forget_cache(&self) -> io::Result<()> {
        let mut file = self.contents.lock();
        let Contents {
            seen,
            durable,
            forgotten,
        } = &mut *file;
        durable.resize(seen.len(), 0);
        for page in std::mem::take(forgotten) {
            let range = page * PAGE..seen.len().min((page + 1) * PAGE);
            seen[range.clone()].copy_from_slice(&durable[range]);
        }
        Ok(())
    }
}

impl Contents {
    /// The pages that are not on the medium will never be written, unless they are changed again.
    fn forget_dirty(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        let pages = self.seen.chunks(PAGE).zip(self.durable.chunks(PAGE));
        let dirty = pages
            .enumerate()
            .filter(|(_, (seen, durable))| seen != durable);
        self.forgotten.extend(dirty.map(|(page, _)| page));
    }

    fn write_out(&mut self, mut bytes: Vec<u8>) {
        self.durable.resize(bytes.len(), 0);
        for page in &self.forgotten {
            let range = page * PAGE..bytes.len().min((page + 1) * PAGE);
            bytes[range.clone()].copy_from_slice(&self.durable[range]);
        }
        self.durable = bytes;
    }
}

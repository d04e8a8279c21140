//! A directory of the log, in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use wal::embedded::{Disk, DiskFile};

#[derive(Debug, Default)]
struct File(Mutex<Vec<u8>>);

/// Clones share the files.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<String, Arc<File>>>>,
}

impl MemoryDisk {
    /// Puts a file there.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let file = Arc::new(File(Mutex::new(bytes.to_vec())));
        self.files.lock().insert(name.to_owned(), file);
    }

    /// A file's bytes.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.files.lock().get(name)?.0.lock().clone())
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Disk for MemoryDisk {
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if create {
            return Ok(Arc::clone(files.entry(name.to_owned()).or_default()) as Arc<dyn DiskFile>);
        }
        let file = files.get(name).ok_or_else(|| missing(name))?;
        Ok(Arc::clone(file) as Arc<dyn DiskFile>)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or_else(|| missing(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files.lock().remove(name);
        removed.map(|_| ()).ok_or_else(|| missing(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let file = self.0.lock();
        let end = offset.saturating_add(len).min(file.len() as u64);
        let start = offset.min(end);
        Ok(file[start as usize..end as usize].to_vec())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().resize(len as usize, 0);
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut file = self.0.lock();
        let len = file.len().max(len as usize);
        file.resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn forget_cache(&self) -> io::Result<()> {
        Ok(())
    }
}

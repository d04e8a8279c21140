//! A disk that keeps nothing, for the CPU that the log costs.

use std::io;
use std::sync::Arc;

use ironhorse_wal::embedded::{Disk, DiskFile};

#[derive(Default)]
pub(crate) struct NullDisk;

struct NullFile;

impl Disk for NullDisk {
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn open(&self, _: &str, _: bool) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(NullFile))
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for NullFile {
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn read_at(&self, _: u64, _: u64) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn forget_cache(&self) -> io::Result<()> {
        Ok(())
    }
}

//! The few things that the log asks of a disk, so that a test can stand in for one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of the log.
pub trait Disk: Send + Sync + 'static {
    /// Takes the directory for this process, until the disk is dropped.
    fn lock(&self) -> io::Result<bool>;
    /// Names of the files in it.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file; creates it if `create`.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, in place of one that may have it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// `len` bytes from `offset` on, or fewer if it ends before.
    fn read_at(&self, offset: u64, len: u64) -> io::Result<Vec<u8>>;
    /// Its size.
    fn size(&self) -> io::Result<u64>;
    /// Changes its size; new bytes are zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Gives it at least `len` bytes on the medium, so that writing there cannot fail for want of space; new bytes are
    /// zero.
    fn reserve(&self, len: u64) -> io::Result<()>;
    /// Makes its bytes durable.
    fn sync(&self) -> io::Result<()>;
    /// Lets later reads see what the medium has, not what the cache says: after a failed [`DiskFile::sync`] the kernel
    /// takes pages for clean that were never written. What is not yet written may stay.
    fn forget_cache(&self) -> io::Result<()>;
}

/// A real directory.
pub struct Directory {
    path: PathBuf,
    lock: File,
}

impl Directory {
    /// Creates the directory if it is not there.
    pub fn open(path: &Path) -> io::Result<Directory> {
        std::fs::create_dir_all(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("LOCK"))?;
        Ok(Directory {
            path: path.to_owned(),
            lock,
        })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing is not enough: a child process that another thread is just starting holds a copy of the file for a
        // moment. If this fails, closing it has to do.
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
    }
}

/// Names that are not text are not ours.
fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

impl Disk for Directory {
    fn lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(
            &self.lock,
            rustix::fs::FlockOperation::NonBlockingLockExclusive,
        ) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.path)
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(self.path.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let len = len.min(self.size()?.saturating_sub(offset));
        let mut bytes = vec![0; len as usize];
        let mut read = 0;
        while read < bytes.len() {
            match self.0.read_at(&mut bytes[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // A file system that cannot: writing zeros, which comes next, has to do.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if self.size()? >= len => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.set_len(len),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        rustix::fs::fdatasync(&self.0).map_err(io::Error::from)
    }

    fn forget_cache(&self) -> io::Result<()> {
        rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed).map_err(io::Error::from)
    }
}

/// A directory that is only looked at: nothing in it is locked, made, changed or removed.
pub(super) struct ReadOnly(pub(super) PathBuf);

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnly {
    fn lock(&self) -> io::Result<bool> {
        read_only()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.0)
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        if create {
            return read_only();
        }
        // Writing to it fails: it was not opened for that.
        Ok(Arc::new(RealFile(File::open(self.0.join(name))?)))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self) -> io::Result<()> {
        read_only()
    }
}

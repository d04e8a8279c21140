//! What an online backup copies, and the promise that it stays while it does.

use std::sync::Arc;

use super::frame::{self, MAX_RECORDS};
use super::open::{EmbeddedLog, Inner};
use super::{dropped, segments};
use crate::Position;

/// A file of the log that a backup has to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCopy {
    /// Its name in the log's directory.
    pub name: String,
    /// How many bytes of it, from its beginning.
    pub bytes: u64,
    /// The size that the copy is to be given; what follows the bytes is zero.
    pub size: u64,
}

/// While this exists no segment of the log is removed.
///
/// To make a backup: pin, copy the files, drop the pin. Copied to an empty directory they are the log up to
/// [`Pin::end`]. Writing goes on meanwhile.
pub struct Pin {
    inner: Arc<Inner>,
    files: Vec<ToCopy>,
    end: Position,
}

impl EmbeddedLog {
    /// Pins all segments, and lists what a backup copies: all that is durable now.
    ///
    /// # Errors
    /// The size of the file of dropped positions cannot be read.
    pub fn pin(&self) -> std::io::Result<Pin> {
        let inner = self.inner();
        // Held together: nothing is dropped between the two.
        let mut pins = inner.pins.lock();
        let disk = inner.disk.as_ref();
        let mut files = Vec::new();
        if disk.list()?.iter().any(|name| name == dropped::NAME) {
            let size = disk.open(dropped::NAME, false)?.size()?;
            files.push(ToCopy {
                name: dropped::NAME.to_owned(),
                bytes: size,
                size,
            });
        }
        let mut last = 0;
        for segment in inner.segments.lock().iter() {
            files.push(ToCopy {
                name: segments::name(segment.id),
                bytes: segment.end,
                size: segment.size.max(segment.end),
            });
            last = segment.last;
        }
        *pins += 1;
        drop(pins);
        Ok(Pin {
            inner: Arc::clone(inner),
            files,
            end: frame::position(last, MAX_RECORDS - 1),
        })
    }
}

impl Pin {
    /// The files to copy, oldest first.
    pub fn files(&self) -> &[ToCopy] {
        &self.files
    }

    /// Every record up to here, and none behind it, is in the copy: stores must not be ahead of it.
    pub fn end(&self) -> Position {
        self.end
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        *self.inner.pins.lock() -= 1;
        self.inner.queue.lock().tidy = true;
        self.inner.woken.notify_one();
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin")
            .field("files", &self.files)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

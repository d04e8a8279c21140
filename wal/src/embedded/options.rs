//! Settings of the log.

use std::time::Duration;

use crate::Position;

/// Settings of the log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a new segment file, in bytes: whole pages of 4 KiB, at most 1 GiB. At least 32 MiB outside tests, since a frame must fit.
    pub segment_bytes: u64,
    /// A segment with records is sealed when its first frame is this old, however few there are, so that an idle log does
    /// not keep deleted bytes for ever: once its records are trimmed, its file is removed.
    pub segment_age: Duration,
    /// Frames of at least this many bytes are compressed.
    pub compress_bytes: usize,
    /// Bytes that may wait for the log thread before appends are refused.
    pub queue_bytes: usize,
    /// How often the disk is asked again when it had no room.
    pub retry: Duration,
    /// The highest position that is known to be durable, because a store has applied it: a log that ends before it was
    /// damaged, and is refused instead of being cut. [`Position::START`] if nothing is known.
    pub durable: Position,
    /// Called when the disk refuses to write bytes or to make them durable. The default ends the process: the kernel
    /// forgets such an error after telling it once, so the next `fdatasync` would lie. If it returns, as in tests, the log
    /// refuses all writes from then on.
    pub on_sync_error: fn(&std::io::Error),
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            segment_age: Duration::from_hours(1),
            compress_bytes: 1024,
            queue_bytes: 64 << 20,
            retry: Duration::from_secs(1),
            durable: Position::START,
            on_sync_error: |error| {
                tracing::error!(%error, "the disk refused to make the log durable; ending the process");
                std::process::abort();
            },
        }
    }
}

//! What can go wrong in the store.

/// An operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The base store failed (disk, or its own corruption check): the group cannot go on.
    #[error("base store: {0}")]
    Base(String),
    /// What is stored is not what this build writes.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// A row is larger than one record may be. Nothing was written.
    #[error("row of {size} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Its size in bytes: key and value.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The changelog could not be read.
    #[error(transparent)]
    Log(#[from] wal::WalError),
}

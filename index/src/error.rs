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
    /// The index is incomplete, and says nothing until it is complete: try again later.
    #[error("index {name} is being built, {done} of about {total} rows are done: try again later")]
    IndexBuilding {
        /// The index.
        name: &'static str,
        /// Rows of the store that were looked at.
        done: u64,
        /// Rows that there are, estimated; 0 if the base cannot tell.
        total: u64,
    },
    /// The changelog could not be read.
    #[error(transparent)]
    Log(#[from] wal::WalError),
}

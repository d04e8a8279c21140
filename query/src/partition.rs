//! Where a group's rows are: in this process, or (through the same trait) on another server.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use index::{Family, KeyRange, ReadHandle, StoreError};

/// A read failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The group's owner is unknown, moving or unreachable, or the index is still being built there: try again.
    #[error("not available: {0}")]
    Unavailable(String),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> QueryError {
        match error {
            StoreError::IndexBuilding { .. } => QueryError::Unavailable(error.to_string()),
            other => QueryError::Store(other),
        }
    }
}

/// What a read gives, later.
pub type Read<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueryError>> + Send + 'a>>;

/// The committed state of one group.
pub trait Partition: Send + Sync {
    /// The value of a key.
    fn get<'a>(&'a self, family: Family, key: &'a [u8]) -> Read<'a, Option<Bytes>>;

    /// At most `limit` rows of a range, in key order.
    fn scan<'a>(
        &'a self,
        family: Family,
        range: &'a KeyRange,
        limit: usize,
    ) -> Read<'a, Vec<(Bytes, Bytes)>>;
}

/// A group of this process.
#[derive(Clone)]
pub struct Local(ReadHandle);

impl Local {
    /// On the store of a group.
    pub fn new(reader: ReadHandle) -> Local {
        Local(reader)
    }
}

/// Scans may wait for the disk: the runtime's other tasks go elsewhere meanwhile, where it has several threads.
fn blocking<T>(read: impl FnOnce() -> T) -> T {
    let flavor = tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(read),
        _ => read(),
    }
}

impl Partition for Local {
    fn get<'a>(&'a self, family: Family, key: &'a [u8]) -> Read<'a, Option<Bytes>> {
        // Most are in memory: handing them to another thread would cost more than they do.
        Box::pin(async move { Ok(self.0.get(family, key)?) })
    }

    fn scan<'a>(
        &'a self,
        family: Family,
        range: &'a KeyRange,
        limit: usize,
    ) -> Read<'a, Vec<(Bytes, Bytes)>> {
        Box::pin(async move { Ok(blocking(|| self.0.scan(family, range, limit, false))?) })
    }
}

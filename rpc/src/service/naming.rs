//! Ids that the receiving server decides: of requests, and of what they make without an id.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use runtime::RequestId;

/// Gives request ids: a random number of the process, and a count.
pub(crate) struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> std::io::Result<RequestIds> {
        let mut process = [0; 8];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut process)?;
        Ok(RequestIds {
            process: u64::from_be_bytes(process),
            count: AtomicU64::new(0),
        })
    }

    pub(crate) fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        RequestId(u128::from(self.process) << 64 | u128::from(count))
    }

    /// An id for something that the client gave none: 32 hex digits that look random (rulings, 9).
    pub(crate) fn object_id(&self) -> String {
        let hash = blake3::hash(&self.next().0.to_be_bytes());
        hash.to_hex()[..32].to_owned()
    }
}

//! Who waits for the answer to which command.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wal::AppendError;

use crate::{Rejection, RequestId};

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It was executed and refused; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much is waiting already; it was not executed and will not be.
    #[error("too many requests are waiting")]
    Overloaded,
    /// It is larger than one command may be; it was not executed.
    #[error("Record too large: {size} bytes, the limit is {limit} bytes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It may or may not have been executed: safe to submit again under the same id.
    #[error("{0}")]
    Unavailable(String),
}

impl From<AppendError> for SubmitError {
    fn from(error: AppendError) -> SubmitError {
        match error {
            AppendError::Full => SubmitError::Overloaded,
            AppendError::TooLarge { size, limit } => SubmitError::TooLarge { size, limit },
            AppendError::Unavailable(why) | AppendError::Unknown(why) => {
                SubmitError::Unavailable(why)
            }
        }
    }
}

/// The answer to a command.
pub(crate) type Answer = Result<Bytes, SubmitError>;

/// Waiters by request id. Bounded.
pub struct Replies {
    waiting: Mutex<BTreeMap<RequestId, oneshot::Sender<Answer>>>,
    limit: usize,
}

impl Replies {
    /// At most `limit` commands wait at once.
    pub fn new(limit: usize) -> Replies {
        Replies {
            waiting: Mutex::new(BTreeMap::new()),
            limit,
        }
    }

    /// Begins to wait for `id`, before the command is appended.
    pub(crate) fn expect(&self, id: RequestId) -> Result<oneshot::Receiver<Answer>, SubmitError> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.limit {
            // Those who gave up (deadline, broken connection) hold no place.
            waiting.retain(|_, sender| !sender.is_closed());
            if waiting.len() >= self.limit {
                return Err(SubmitError::Overloaded);
            }
        }
        let (sender, receiver) = oneshot::channel();
        waiting.insert(id, sender);
        Ok(receiver)
    }

    /// Stops waiting for `id`.
    pub(crate) fn forget(&self, id: RequestId) {
        self.waiting.lock().remove(&id);
    }

    /// Answers, if anybody waits (nobody does after a restart).
    pub(crate) fn answer(&self, id: RequestId, answer: Answer) {
        let sender = self.waiting.lock().remove(&id);
        if let Some(sender) = sender {
            // The caller may have gone: then nobody needs the answer.
            let _ = sender.send(answer);
        }
    }

    /// Answers everybody who waits.
    pub(crate) fn fail_all(&self, why: &str) {
        for (_, sender) in std::mem::take(&mut *self.waiting.lock()) {
            let _ = sender.send(Err(SubmitError::Unavailable(why.to_owned())));
        }
    }
}

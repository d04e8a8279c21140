//! What runs on the runtime.

use std::sync::Arc;

use bytes::Bytes;
use index::{Schema, StoreError};

use crate::{Context, Entry, Note, Timer, Waiter};

/// A deterministic state machine: each method is a pure function of the state, its arguments and what the [`Context`]
/// gives (record time, metadata version, waiting consumers). All of it is recorded, so the same log gives the same
/// state, bit by bit.
///
/// A method that returns an error leaves no trace: its writes and outputs are rolled back, the batch goes on.
pub trait Application: Send + Sync + 'static {
    /// The secondary indexes of its rows.
    fn schema(&self) -> Arc<dyn Schema>;

    /// Executes a client's command; the bytes returned are its answer, released after the commit.
    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection>;

    /// Executes a message from another group. Nobody waits for it: an error is logged, and the message is consumed.
    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection>;

    /// Fires a due timer, which is already removed. An application that sets none need not say more.
    fn timer(&self, _context: &mut Context<'_>, _timer: &Timer) -> Result<(), Rejection> {
        Err(Rejection::internal("this application sets no timers"))
    }

    /// A free consumer takes the oldest entry of a queue, which is already removed. `Ok(Some(bytes))` is delivered to
    /// the consumer after the commit; `Ok(None)` means that the entry is void: the consumer gets the next one. An
    /// application without queues need not say more.
    fn claim(
        &self,
        _context: &mut Context<'_>,
        _entry: &Entry,
        _waiter: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        Err(Rejection::internal("this application has no queues"))
    }

    /// A batch ends in which inputs that were not refused have noted this, in their order ([`Context::note`]). An
    /// application that notes nothing need not say more.
    fn close(&self, _context: &mut Context<'_>, _notes: Vec<Note>) -> Result<(), Rejection> {
        Ok(())
    }
}

/// Why an input was refused, in gRPC's terms (the numbers are those of `google.rpc.Code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum RejectionCode {
    /// The request is wrong whatever the state.
    InvalidArgument = 3,
    /// What it needs does not exist.
    NotFound = 5,
    /// What it makes exists already.
    AlreadyExists = 6,
    /// The caller may not.
    PermissionDenied = 7,
    /// A limit is reached.
    ResourceExhausted = 8,
    /// The state does not allow it.
    FailedPrecondition = 9,
    /// Not built.
    Unimplemented = 12,
    /// A defect of ours.
    Internal = 13,
    /// Try again, here or elsewhere.
    Unavailable = 14,
}

/// An input was refused and changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Rejection {
    /// The kind of refusal.
    pub code: RejectionCode,
    /// Names the field and the reason.
    pub message: String,
}

impl Rejection {
    /// A refusal.
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Rejection {
        Rejection {
            code,
            message: message.into(),
        }
    }

    /// The request is wrong whatever the state.
    pub fn invalid(message: impl Into<String>) -> Rejection {
        Rejection::new(RejectionCode::InvalidArgument, message)
    }

    /// What it needs does not exist.
    pub fn not_found(message: impl Into<String>) -> Rejection {
        Rejection::new(RejectionCode::NotFound, message)
    }

    /// What it makes exists already.
    pub fn already_exists(message: impl Into<String>) -> Rejection {
        Rejection::new(RejectionCode::AlreadyExists, message)
    }

    /// The state does not allow it.
    pub fn precondition(message: impl Into<String>) -> Rejection {
        Rejection::new(RejectionCode::FailedPrecondition, message)
    }

    /// A defect of ours, or damaged data: the text goes to the log, clients see a general one.
    pub fn internal(message: impl Into<String>) -> Rejection {
        Rejection::new(RejectionCode::Internal, message)
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Rejection {
        match error {
            StoreError::TooLarge { size, limit } => Rejection::new(
                RejectionCode::ResourceExhausted,
                format!("Record too large: {size} bytes, the limit is {limit} bytes"),
            ),
            other => Rejection::internal(other.to_string()),
        }
    }
}

//! Errors in gRPC's terms (spec 08, section 8).

use query::QueryError;
use runtime::{Rejection, RejectionCode, SubmitError};
use tonic::{Code, Status};

/// What clients are told of a defect of ours.
pub(super) const INTERNAL: &str =
    "An unexpected internal error occurred. Please contact support for assistance.";

pub(crate) fn internal(error: impl std::fmt::Display) -> Status {
    tracing::error!(%error, "internal error");
    Status::internal(INTERNAL)
}

pub(super) fn stopping() -> Status {
    Status::unavailable("Server is shutting down, no new requests are being accepted")
}

pub(super) fn of_rejection(rejection: Rejection) -> Status {
    if rejection.code == RejectionCode::Internal {
        return internal(rejection.message);
    }
    Status::new(Code::from_i32(rejection.code as i32), rejection.message)
}

pub(super) fn of_submit(error: SubmitError) -> Status {
    match error {
        SubmitError::Rejected(rejection) => of_rejection(rejection),
        SubmitError::Overloaded | SubmitError::TooLarge { .. } => {
            Status::resource_exhausted(error.to_string())
        }
        SubmitError::Unavailable(why) => Status::unavailable(why),
    }
}

pub(super) fn of_query(error: QueryError) -> Status {
    match error {
        QueryError::Unavailable(why) => Status::unavailable(why),
        QueryError::Store(error) => internal(error),
    }
}

//! Some calls are answered by the transport before they reach the service: RPCs that are not built, requests that
//! cannot be read. Those answers are put in the API's terms.

use std::convert::Infallible;

use tonic::codegen::http::Response;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};

use super::error::INTERNAL;

/// What the generated stubs say.
const STUB: &str = "Not yet implemented";

/// The answer in our terms, if it is one of the transport's. `path`: `/package.Service/Method`.
fn reword(path: &str, status: &Status) -> Option<Status> {
    let text = status.message();
    match status.code() {
        Code::Unimplemented if text == STUB => {
            let method = path.rsplit('/').next().unwrap_or(path);
            Some(Status::unimplemented(format!("{method} is not built yet")))
        }
        Code::Unimplemented if text.is_empty() => {
            Some(Status::unimplemented(format!("there is no RPC {path}")))
        }
        // Only about sizes, spec 04, section 9.4 and spec 08, section 8.
        Code::OutOfRange => Some(Status::resource_exhausted(format!(
            "Record too large: {text}"
        ))),
        // The service itself says nothing else with this code.
        Code::Internal if text != INTERNAL => Some(Status::invalid_argument(format!(
            "the request cannot be read: {text}"
        ))),
        _ => None,
    }
}

/// An answer, put in our terms if it is one of the transport's. `path`: of the request.
pub(super) async fn rewording<R>(
    path: Option<PathAndQuery>,
    answer: impl Future<Output = Result<Response<R>, Infallible>>,
) -> Result<Response<R>, Infallible> {
    let mut response = answer.await?;
    // A status among the headers: the call was refused without an answer.
    if let Some(status) = Status::from_header_map(response.headers()) {
        let path = path.as_ref().map_or("", PathAndQuery::path);
        if let Some(reworded) = reword(path, &status) {
            // The text is escaped, so it always fits into a header.
            let _ = reworded.add_header(response.headers_mut());
        }
    }
    Ok(response)
}

/// The same for a stream that is already open.
pub(super) fn reword_in_stream(status: Status) -> Status {
    reword("", &status).unwrap_or(status)
}

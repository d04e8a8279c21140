//! Some calls are answered by the transport before they reach the service: RPCs that are not built, requests that
//! cannot be read. This layer puts those answers in the API's terms.

use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::error::INTERNAL;

/// What the generated stubs say.
const STUB: &str = "Not yet implemented";

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StockAnswers;

impl<S> Layer<S> for StockAnswers {
    type Service = Reworded<S>;

    fn layer(&self, inner: S) -> Reworded<S> {
        Reworded { inner }
    }
}

/// See [`StockAnswers`].
#[derive(Debug, Clone)]
pub(crate) struct Reworded<S> {
    inner: S,
}

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

impl<S, B, R> Service<Request<B>> for Reworded<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            // A status among the headers: the call was refused without an answer.
            let refused = Status::from_header_map(response.headers());
            if let Some(reworded) = refused.and_then(|status| reword(&path, &status)) {
                // The text is escaped, so it always fits into a header.
                let _ = reworded.add_header(response.headers_mut());
            }
            Ok(response)
        })
    }
}

/// The same for a stream that is already open.
pub(super) fn reword_in_stream(status: Status) -> Status {
    reword("", &status).unwrap_or(status)
}

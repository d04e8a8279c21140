//! RPCs that are not built answer `UNIMPLEMENTED`; this layer adds which one it was.

use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::codegen::http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

/// What the generated stubs say.
const STUB: &str = "Not%20yet%20implemented";

/// Names the RPC in the answer of a generated stub.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NameUnbuilt;

impl<S> Layer<S> for NameUnbuilt {
    type Service = Named<S>;

    fn layer(&self, inner: S) -> Named<S> {
        Named { inner }
    }
}

/// See [`NameUnbuilt`].
#[derive(Debug, Clone)]
pub(crate) struct Named<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Named<S>
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
        let path = request.uri().path();
        let method = path.rsplit('/').next().unwrap_or(path).to_owned();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let is_stub = response
                .headers()
                .get("grpc-status")
                .is_some_and(|status| status == "12")
                && response
                    .headers()
                    .get("grpc-message")
                    .is_some_and(|message| message == STUB);
            if is_stub
                && let Ok(message) =
                    HeaderValue::from_str(&format!("{method}%20is%20not%20built%20yet"))
            {
                response.headers_mut().insert("grpc-message", message);
            }
            Ok(response)
        })
    }
}

//! The front door: calls of the public API go straight to the service, all others to the router of the standard services.
//! The two calls that a task needs are by far the most frequent, so this way is kept short.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::littlehorse::little_horse_server::{LittleHorseServer, SERVICE_NAME};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;

use super::access::rule_of;
use super::stock::rewording;
use super::{Api, MAX_MESSAGE, Service, poll};

type Answer = Result<Response<Body>, Infallible>;

/// See the module.
#[derive(Clone)]
pub(crate) struct Front {
    service: Arc<Service>,
    api: LittleHorseServer<Api>,
    others: Routes,
}

impl Front {
    pub(crate) fn new(service: Arc<Service>, others: Routes) -> Front {
        let api = LittleHorseServer::new(Api(Arc::clone(&service)))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(usize::MAX);
        Front {
            service,
            api,
            others,
        }
    }
}

/// The RPC that a path names, if it is one of the public API: `/package.Service/Method`.
fn method_of(path: &str) -> Option<&str> {
    path.strip_prefix('/')?
        .strip_prefix(SERVICE_NAME)?
        .strip_prefix('/')
}

impl tower::Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Neither the service nor the router ever has to be waited for.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().cloned();
        let Some(rpc) = method_of(request.uri().path()) else {
            return Box::pin(rewording(path, self.others.call(request)));
        };
        let is_poll = rpc == "PollTask";
        // One that nobody knows is answered by the stub.
        if let Some(rule) = rule_of(rpc) {
            let admitted = self
                .service
                .admit(rule, request.headers(), request.extensions());
            match admitted {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                }
                Err(status) => return Box::pin(std::future::ready(Ok(status.into_http()))),
            }
        }
        if is_poll {
            let service = Arc::clone(&self.service);
            Box::pin(rewording(path, poll::call(service, request)))
        } else {
            Box::pin(rewording(path, self.api.call(request)))
        }
    }
}

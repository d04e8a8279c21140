//! PollTask: each request is one credit for one task (spec 04, section 7).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{BufMut, Bytes};
use prost::Message;
use proto::ironhorse::v1::WorkerIdentity;
use proto::littlehorse::PollTaskRequest;
use runtime::{Consumer, Waiter};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::http;
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstDecoder;

use super::stock::reword_in_stream;
use super::{Caller, MAX_MESSAGE, Service, error};

/// The longest name or version of a worker, in bytes.
const MAX_NAME: usize = 1024;

/// Polls of one stream that may wait at once. What a worker asks for beyond that is read when it has got a task.
const MAX_POLLS: usize = 1000;

/// The worker's end of a stream. The channel holds no more than the worker has asked for.
struct Worker {
    tasks: UnboundedSender<Result<Bytes, Status>>,
    /// How many more polls may wait.
    places: Semaphore,
    withdrawn: AtomicBool,
}

impl Consumer for Worker {
    fn is_open(&self) -> bool {
        !self.withdrawn.load(Ordering::Acquire) && !self.tasks.is_closed()
    }

    fn deliver(&self, payload: Bytes) {
        // A stream that broke meanwhile: the attempt times out.
        let _ = self.tasks.send(Ok(payload));
        self.places.add_permits(1);
    }
}

impl Worker {
    /// The next request, once there is a place for it.
    async fn next(
        &self,
        requests: &mut Streaming<PollTaskRequest>,
    ) -> Result<Option<PollTaskRequest>, Status> {
        // Never closed. The place comes back with the task.
        if let Ok(place) = self.places.acquire().await {
            place.forget();
        }
        requests.message().await
    }
}

impl Service {
    fn poll(
        self: Arc<Service>,
        request: Request<Streaming<PollTaskRequest>>,
    ) -> Result<Response<Tasks>, Status> {
        let caller = self.caller_of_stream(&request)?;
        let (sender, receiver) = unbounded_channel();
        let worker = Arc::new(Worker {
            tasks: sender,
            places: Semaphore::new(MAX_POLLS),
            withdrawn: AtomicBool::new(false),
        });
        tokio::spawn(self.listen(caller, worker, request.into_inner()));
        Ok(Response::new(Tasks::new(receiver)))
    }

    /// Lets the worker wait for what it asks for, until it asks for nothing more. Claims in flight are still delivered:
    /// the answer ends when the last place of the worker is gone.
    async fn listen(
        self: Arc<Service>,
        caller: Caller,
        worker: Arc<Worker>,
        mut requests: Streaming<PollTaskRequest>,
    ) {
        let mut queues: BTreeSet<Bytes> = BTreeSet::new();
        let mut stopping = self.stopping.clone();
        let consumer: Arc<dyn Consumer> = worker.clone();
        let mut latest: Option<(PollTaskRequest, Waiter)> = None;
        loop {
            tokio::select! {
                request = worker.next(&mut requests) => match request {
                    Ok(Some(request)) => {
                        if let Err(status) = check(&caller, &request) {
                            let _ = worker.tasks.send(Err(status));
                            break;
                        }
                        // A worker asks for the same over and over.
                        let asked = match &latest {
                            Some((known, waiter)) if *known == request => waiter.clone(),
                            _ => {
                                let waiter = waiter(&caller.tenant, &request, &consumer);
                                queues.insert(waiter.queue.clone());
                                latest = Some((request, waiter.clone()));
                                waiter
                            }
                        };
                        self.engine.waiting().wait(asked);
                    }
                    Ok(None) => break,
                    Err(status) => {
                        // An end without an error would mean that the worker has half-closed. If it has gone away, it
                        // does not hear this.
                        let _ = worker.tasks.send(Err(reword_in_stream(status)));
                        break;
                    }
                },
                _ = stopping.wait_for(|stopping| *stopping) => {
                    let _ = worker.tasks.send(Err(error::stopping()));
                    break;
                }
            }
        }
        worker.withdrawn.store(true, Ordering::Release);
        for queue in &queues {
            self.engine.waiting().withdraw_all(queue, &consumer);
        }
    }
}

/// A worker's name becomes part of each TaskRun that it gets, and must not make it too large to be stored: the task would
/// be lost to all workers.
fn check(caller: &Caller, request: &PollTaskRequest) -> Result<(), Status> {
    caller.check_about(request.task_def_id.as_ref().map_or("", |id| &id.name))?;
    let version = request.task_worker_version.as_deref().unwrap_or_default();
    for (field, text) in [
        ("client_id", request.client_id.as_str()),
        ("task_worker_version", version),
    ] {
        let size = text.len();
        if size > MAX_NAME {
            return Err(Status::invalid_argument(format!(
                "{field} has {size} bytes, the limit is {MAX_NAME} bytes"
            )));
        }
    }
    Ok(())
}

/// One place in the queue of a TaskDef.
fn waiter(tenant: &str, request: &PollTaskRequest, consumer: &Arc<dyn Consumer>) -> Waiter {
    let task_def = request.task_def_id.as_ref().map_or("", |id| &id.name);
    let identity = WorkerIdentity {
        client_id: request.client_id.clone(),
        task_worker_version: request.task_worker_version.clone().unwrap_or_default(),
    };
    Waiter {
        queue: workflow::key::task_queue(tenant, task_def),
        identity: Bytes::from(identity.encode_to_vec()),
        consumer: Arc::clone(consumer),
        ticket: 0,
    }
}

/// What a worker is told: encoded responses, as the engine made them.
type Tasks = UnboundedReceiverStream<Result<Bytes, Status>>;

/// Answers a call. The responses pass as they are, so this is not one of the generated service's methods.
pub(super) async fn call(
    service: Arc<Service>,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Infallible> {
    let mut grpc =
        tonic::server::Grpc::new(AsTheyAre).apply_max_message_size_config(Some(MAX_MESSAGE), None);
    Ok(grpc.streaming(PollTask(service), request).await)
}

struct PollTask(Arc<Service>);

impl StreamingService<PollTaskRequest> for PollTask {
    type Response = Bytes;
    type ResponseStream = Tasks;
    type Future = Ready<Result<Response<Tasks>, Status>>;

    fn call(&mut self, request: Request<Streaming<PollTaskRequest>>) -> Self::Future {
        std::future::ready(Arc::clone(&self.0).poll(request))
    }
}

/// Requests are decoded, responses are encoded already.
struct AsTheyAre;

impl Codec for AsTheyAre {
    type Encode = Bytes;
    type Decode = PollTaskRequest;
    type Encoder = AsTheyAre;
    type Decoder = ProstDecoder<PollTaskRequest>;

    fn encoder(&mut self) -> AsTheyAre {
        AsTheyAre
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, response: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(response);
        Ok(())
    }
}

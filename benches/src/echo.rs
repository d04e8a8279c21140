//! A bare tonic service, in a process of its own like the server under test.

use std::pin::Pin;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::{BenchError, report};

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub(crate) mod api {
    include!(concat!(env!("OUT_DIR"), "/ironhorse.bench.rs"));
}

use api::Payload;
use api::echo_server::{Echo, EchoServer};

struct Bare;

#[tonic::async_trait]
impl Echo for Bare {
    async fn unary(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type StreamStream = Pin<Box<dyn Stream<Item = Result<Payload, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<Payload>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let echoed = request.into_inner().map(|message| message);
        Ok(Response::new(Box::pin(echoed)))
    }
}

/// Serves until standard input ends. The first line of output is the address.
pub(crate) async fn serve() -> Result<(), BenchError> {
    let fail = |error: &dyn std::fmt::Display| BenchError::new("echo server", error);
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| fail(&error))?;
    report::line(
        &listener
            .local_addr()
            .map_err(|error| fail(&error))?
            .to_string(),
    );
    let ended = async {
        let mut rest = Vec::new();
        // However the other side ends, this one ends, too.
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    };
    tonic::transport::Server::builder()
        .max_concurrent_streams(u32::MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(EchoServer::new(Bare))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), ended)
        .await
        .map_err(|error| fail(&error))
}

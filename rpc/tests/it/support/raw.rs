//! Calls with any bytes, and calls over plain HTTP.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::PATIENCE;

/// Messages as they are on the wire.
#[derive(Default)]
struct Wire;

impl Codec for Wire {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Wire;
    type Decoder = Wire;

    fn encoder(&mut self) -> Wire {
        Wire
    }

    fn decoder(&mut self) -> Wire {
        Wire
    }
}

impl Encoder for Wire {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Wire {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A connection for [`call`].
pub async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// Calls an RPC of the public service by its name. The answer, or (of a stream) its first part; none if it ends.
pub async fn call(channel: &Channel, rpc: &str, request: Bytes) -> Result<Option<Bytes>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = format!("/littlehorse.LittleHorse/{rpc}").parse().unwrap();
    let requests = Request::new(tokio_stream::once(request));
    let answer = async {
        let mut answers = grpc.streaming(requests, path, Wire).await?.into_inner();
        answers.message().await
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| panic!("{rpc} does not answer"))
}

/// An answer to [`http`].
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

/// Asks for a path over HTTP.
pub async fn http(address: SocketAddr, method: &str, path: &str) -> HttpAnswer {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("no answer over HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").expect("no HTTP");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    HttpAnswer {
        status,
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

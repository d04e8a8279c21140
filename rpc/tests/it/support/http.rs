//! The HTTP endpoints, and what they tell about the server's insides.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// The body of an HTTP endpoint.
async fn http_body(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    body.to_owned()
}

impl Fixture {
    /// Waits until exactly so many polls wait in the server. A poll has no answer of its own, so this is how a test knows
    /// that one has arrived, or is gone.
    pub async fn waiting_polls(&self, count: usize) {
        let (address, wanted) = (self.http(), format!("ironhorse_waiting_polls {count}"));
        until(|| {
            let wanted = &wanted;
            async move {
                let metrics = http_body(address, "/metrics").await;
                metrics.lines().any(|line| line == wanted).then_some(())
            }
        })
        .await;
    }
}

//! What tools ask a running server over HTTP.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{SNAPSHOT_HEADER, SNAPSHOT_PATH, ToolError};

/// The port of the HTTP endpoints unless it is said otherwise.
pub const HTTP_PORT: u16 = 1822;
/// How long a server may take to make a snapshot.
const SNAPSHOT: Duration = Duration::from_mins(5);
/// How long it may take to say how it is.
const STATUS: Duration = Duration::from_secs(5);
/// A longer answer is no server's of ours.
const MAX_ANSWER: u64 = 1 << 20;

/// What the server with this HTTP address (`HOST:PORT`) says of itself: `/status`.
///
/// # Errors
/// Nobody answers there within 5 s, or it is no server of ours; the text names the address.
pub fn status(address: &str) -> Result<serde_json::Value, ToolError> {
    let body = ask(address, STATUS, "GET /status", "")?;
    serde_json::from_str(&body).map_err(|error| failed(address, error))
}

/// Asks a server on this machine for a snapshot, and returns its path.
pub(super) fn snapshot(address: &str) -> Result<String, ToolError> {
    let header = format!("{SNAPSHOT_HEADER}: 1\r\n");
    ask(address, SNAPSHOT, &format!("POST {SNAPSHOT_PATH}"), &header)
}

fn failed(address: &str, why: impl Display) -> ToolError {
    ToolError(format!(
        "the server's HTTP address {address}: {why} (is it the one of --http?)"
    ))
}

fn ask(address: &str, patience: Duration, what: &str, header: &str) -> Result<String, ToolError> {
    let fail = |error: std::io::Error| failed(address, error);
    let mut addresses = address.to_socket_addrs().map_err(fail)?;
    let at = addresses
        .next()
        .ok_or_else(|| failed(address, "no such host"))?;
    let mut stream = TcpStream::connect_timeout(&reachable(at), patience).map_err(fail)?;
    stream.set_read_timeout(Some(patience)).map_err(fail)?;
    let request = format!(
        "{what} HTTP/1.1\r\nhost: localhost\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(fail)?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .map_err(fail)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| failed(address, "no answer"))?;
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        let status = head.lines().next().unwrap_or_default();
        Err(failed(address, format_args!("{status}: {body}")))
    }
}

/// Who serves on all addresses of a machine is reached on the loopback one.
fn reachable(mut at: SocketAddr) -> SocketAddr {
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        });
    }
    at
}

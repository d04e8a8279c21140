//! A server in a temporary directory.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ironhorse_rpc::{Config, Server};
use proto::littlehorse::little_horse_client::LittleHorseClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

pub type Client = LittleHorseClient<Channel>;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Fixture {
    dir: TempDir,
    server: Option<Server>,
    pub client: Client,
}

impl Fixture {
    pub async fn start() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let (server, client) = serve(&dir).await;
        Fixture {
            dir,
            server: Some(server),
            client,
        }
    }

    /// Stops the server in good order and starts it again on the same data.
    pub async fn restart(&mut self) {
        self.stop_until(0).await;
    }

    /// Like [`Fixture::restart`], but stays down until a moment, in milliseconds since the epoch.
    pub async fn stop_until(&mut self, ms: i64) {
        self.server.take().unwrap().stop().await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let down = u64::try_from(ms)
            .unwrap()
            .saturating_sub(now.as_millis() as u64);
        tokio::time::sleep(Duration::from_millis(down)).await;
        let (server, client) = serve(&self.dir).await;
        self.server = Some(server);
        self.client = client;
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().addr()
    }

    pub fn http(&self) -> SocketAddr {
        self.server.as_ref().unwrap().http_addr().unwrap()
    }

    pub async fn stop(mut self) {
        self.server.take().unwrap().stop().await.unwrap();
    }
}

async fn serve(dir: &TempDir) -> (Server, Client) {
    let server = Server::start(&config(dir)).await.unwrap();
    let client = connect(&server.addr().to_string()).await;
    (server, client)
}

pub fn config(dir: &TempDir) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        data_dir: dir.path().join("data"),
        listen: any,
        http: any,
        groups: Some(2),
        ..Config::default()
    }
}

pub async fn connect(address: &str) -> Client {
    LittleHorseClient::connect(format!("http://{address}"))
        .await
        .unwrap()
        .max_decoding_message_size(64 << 20)
        .max_encoding_message_size(64 << 20)
}

/// Asserts that a call was refused so, and that its message says all of `words`.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(
    answer: Result<tonic::Response<T>, Status>,
    code: Code,
    words: &[&str],
) {
    let status = answer.expect_err("it was accepted");
    assert_eq!(status.code(), code, "{}", status.message());
    for word in words {
        assert!(
            status.message().contains(word),
            "{word:?} is not in {:?}",
            status.message()
        );
    }
}

/// Asks until the answer is there.
pub async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("it did not happen in time")
}

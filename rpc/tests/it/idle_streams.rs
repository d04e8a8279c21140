//! PollTask streams on which nothing happens but pings (spec 04, section 7).

use std::time::Duration;

use proto::littlehorse::little_horse_client::LittleHorseClient;
use proto::littlehorse::node::Node as Kind;
use tonic::transport::Endpoint;

use crate::support::*;

#[tokio::test]
async fn an_idle_stream_stays_open_whatever_pings_come() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let nodes = vec![Kind::Task(task("work", vec![]))];
    client.define(sequence("s", vec![], nodes)).await;
    // Clients ping every 45 s: in ten minutes 13 times. Here far more come, and faster than other servers bear.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    let channel = endpoint
        .http2_keep_alive_interval(Duration::from_millis(20))
        .keep_alive_while_idle(true)
        .keep_alive_timeout(PATIENCE)
        .connect()
        .await
        .unwrap();
    let mut pinging = LittleHorseClient::new(channel);
    let mut polls = pinging.polling("work").await;
    polls.ask().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    client.run("s", "r").await;
    // spec 04-14
    assert_eq!(run_of(&polls.next().await), "r");
    server.stop().await;
}

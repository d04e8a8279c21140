//! What is done beside: deleting what nobody reads again, and looking whether brokers that were away are back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use wal::{Partition, Position};

use crate::context::Context;
use crate::inner::Inner;
use crate::record::offset_after;

/// How often it looks around.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// Works until the log is closed.
pub(crate) fn run(inner: &Arc<Inner>, admin: &AdminClient<Context>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "old commands are not deleted");
            return;
        }
    };
    while !inner.is_closed() {
        let trims = inner.wait_for_trims(PAUSE);
        if !trims.is_empty() {
            if let Err(error) = runtime.block_on(delete(inner, admin, &trims)) {
                tracing::debug!(error, "deleting old commands; trying again");
                for (partition, up_to) in trims {
                    inner.may_go(partition, up_to);
                }
            }
            // What comes meanwhile goes in one request.
            std::thread::park_timeout(PAUSE / 5);
        }
        let trouble = &inner.trouble;
        let (suspect, down) = (
            trouble.suspect.swap(false, Ordering::Relaxed),
            trouble.down.load(Ordering::Relaxed),
        );
        if suspect || down {
            let answer = inner
                .asker
                .fetch_metadata(Some(&inner.topics.probe()), REQUEST / 5);
            trouble.down.store(answer.is_err(), Ordering::Relaxed);
            match answer {
                Err(error) if !down => tracing::warn!(%error, "no Kafka broker answers"),
                Ok(_) if down => tracing::info!("a Kafka broker answers again"),
                _ => {}
            }
        }
    }
}

async fn delete(
    inner: &Inner,
    admin: &AdminClient<Context>,
    trims: &BTreeMap<Partition, Position>,
) -> Result<(), String> {
    let mut list = TopicPartitionList::with_capacity(trims.len());
    for (partition, up_to) in trims {
        if let Some((topic, index)) = inner.topics.place(*partition) {
            list.add_partition_offset(topic, index, Offset::Offset(offset_after(*up_to)))
                .map_err(|error| error.to_string())?;
        }
    }
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let result = admin.delete_records(&list, &options).await;
    let list = result.map_err(|error| error.to_string())?;
    for element in list.elements() {
        element
            .error()
            .map_err(|error| format!("{}/{}: {error}", element.topic(), element.partition()))?;
    }
    Ok(())
}

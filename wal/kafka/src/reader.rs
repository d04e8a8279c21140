//! Readers of one partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wal::{Partition, Position, Reader, Record, Topic, WalError};

use crate::fetch::{Fetchers, Fetching, ahead, ends};
use crate::inner::{Backoff, Inner};
use crate::record::offset_after;
use crate::refusal::{MISSING, advice, is_missing, missing};
use crate::slot::{End, Flow, Slot};

/// How long the first records may take when there are some.
const FIRST: Duration = Duration::from_secs(5);
/// The same, where what is there may also be what aborted transactions left, which nobody sees.
const PERHAPS: Duration = Duration::from_secs(1);
/// How often an answer that cannot be right is asked for again: a new leader does not know at once how far it may show.
const DOUBTS: u32 = 6;

/// See the module.
pub(crate) struct KafkaReader {
    inner: Arc<Inner>,
    fetching: Fetching,
}

/// Begins to read after `after`, and returns when the first records are here, if there are any. Waits for brokers as
/// long as it takes.
///
/// # Errors
/// Records after `after` were deleted; the log lacks what was read before; the brokers refuse; the log was closed.
pub(crate) fn open(
    inner: &Arc<Inner>,
    fetchers: &Fetchers,
    partition: Partition,
    after: Position,
) -> Result<KafkaReader, WalError> {
    let Some((topic, index)) = inner.topics.place(partition) else {
        return Err(WalError::Broker(inner.topics.unknown(partition)));
    };
    let slot = Slot::new(partition, topic, index, offset_after(after));
    let high = check(inner, &slot)?;
    // The end of a transaction takes an offset that is no record's.
    let (unseen, patience) = match partition.topic {
        Topic::Commands | Topic::Cluster => (0, FIRST),
        Topic::Messages | Topic::Changelog => (1, PERHAPS),
    };
    let wait = high > slot.next() + unseen;
    let fetching = fetchers.start(inner, slot)?;
    if wait {
        // They may have been deleted in this moment.
        fetching.slot.wait(patience)?;
    }
    Ok(KafkaReader {
        inner: Arc::clone(inner),
        fetching,
    })
}

/// Whether the partition can be read from there on; how far.
fn check(inner: &Inner, slot: &Slot) -> Result<i64, WalError> {
    let mut backoff = Backoff::default();
    let mut doubts = 0;
    let began = Instant::now();
    loop {
        match ends(inner, slot) {
            Ok((low, _)) if low > slot.next() => return Err(slot.error(End::Truncated(low))),
            Ok((_, high)) if high >= slot.next() => return Ok(high),
            Ok((_, high)) => {
                doubts += 1;
                if doubts > DOUBTS {
                    return Err(slot.error(End::Corrupt(ahead(slot, high))));
                }
            }
            Err(error) => {
                if let Some(advice) = advice(&error, &inner.options.cluster) {
                    return Err(WalError::Broker(advice));
                }
                if is_missing(&error) && began.elapsed() > MISSING {
                    return Err(WalError::Broker(missing(&slot.topic)));
                }
                if backoff.is_news() {
                    tracing::warn!(topic = %slot.topic, partition = slot.index, %error, "cannot read yet; trying on");
                }
            }
        }
        inner.pause(&mut backoff)?;
    }
}

impl Reader for KafkaReader {
    fn poll(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Record)>, WalError> {
        let slot = &self.fetching.slot;
        let (records, left, flow) = slot.take(max_records, max_bytes)?;
        if flow == Flow::Resume {
            self.fetching.resume();
        }
        if left {
            // What was too much for this poll is still news.
            self.inner.subscribers.tell(slot.partition);
        }
        Ok(records)
    }
}

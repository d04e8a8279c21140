//! Fetching: a few consumers, each with a thread, fetch for all readers.
//!
//! A consumer takes 6 threads and asks each broker 50 times a second when nothing comes, so readers share one; two readers
//! of one partition need two. Everything that changes what a consumer fetches is done by its own thread, between two
//! records, so that no record of an earlier assignment can be taken for one of the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use wal::{Partition, Topic, WalError};

use crate::context::Context;
use crate::inner::Inner;
use crate::record;
use crate::refusal::{MISSING, advice, is_missing, missing};
use crate::slot::{End, Flow, Slot};

/// How long a consumer waits for a record before it looks for orders.
const SLICE: Duration = Duration::from_millis(5);
/// After an error that names no partition, all are checked, but not more often than this.
const CHECK: Duration = Duration::from_secs(1);

enum Order {
    Assign(Arc<Slot>),
    Unassign(Arc<Slot>),
    Resume(Arc<Slot>),
}

/// Orders to one thread.
#[derive(Default)]
struct Orders {
    list: Mutex<Vec<Order>>,
    /// Partitions that it has or will have.
    taken: Mutex<HashSet<Partition>>,
}

/// All consumers of a log.
#[derive(Default)]
pub(crate) struct Fetchers {
    /// For inputs, which must come soon, and for changelogs, which may be long.
    inputs: Mutex<Vec<Arc<Orders>>>,
    changelogs: Mutex<Vec<Arc<Orders>>>,
}

/// A partition that is being fetched, until this is dropped.
pub(crate) struct Fetching {
    pub(crate) slot: Arc<Slot>,
    orders: Arc<Orders>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let order = Order::Unassign(Arc::clone(&self.slot));
        self.orders.list.lock().push(order);
    }
}

impl Fetching {
    /// Fetches again what was paused.
    pub(crate) fn resume(&self) {
        let order = Order::Resume(Arc::clone(&self.slot));
        self.orders.list.lock().push(order);
    }
}

impl Fetchers {
    /// Begins to fetch for `slot`.
    pub(crate) fn start(&self, inner: &Arc<Inner>, slot: Slot) -> Result<Fetching, WalError> {
        let mut list = match slot.partition.topic {
            Topic::Changelog => self.changelogs.lock(),
            _ => self.inputs.lock(),
        };
        let free = list
            .iter()
            .find(|orders| orders.taken.lock().insert(slot.partition));
        let orders = if let Some(orders) = free {
            Arc::clone(orders)
        } else {
            let orders = Arc::new(Orders::default());
            orders.taken.lock().insert(slot.partition);
            start_thread(inner, &orders)?;
            list.push(Arc::clone(&orders));
            orders
        };
        let slot = Arc::new(slot);
        orders.list.lock().push(Order::Assign(Arc::clone(&slot)));
        Ok(Fetching { slot, orders })
    }
}

fn start_thread(inner: &Arc<Inner>, orders: &Arc<Orders>) -> Result<(), WalError> {
    let consumer: BaseConsumer<Context> = inner
        .options
        .consumer()
        .create_with_context(inner.context())
        .map_err(|error| WalError::Broker(format!("a consumer: {error}")))?;
    let thread = Thread {
        inner: Arc::clone(inner),
        orders: Arc::clone(orders),
        consumer,
        slots: HashMap::new(),
        checked: None,
        missing: None,
    };
    std::thread::Builder::new()
        .name("kafka-fetch".to_owned())
        .spawn(move || thread.run())
        .map(|_| ())
        .map_err(|source| WalError::Io {
            context: "a thread to fetch on".to_owned(),
            source,
        })
}

struct Thread {
    inner: Arc<Inner>,
    orders: Arc<Orders>,
    consumer: BaseConsumer<Context>,
    slots: HashMap<Arc<str>, HashMap<i32, Arc<Slot>>>,
    /// When all slots were checked last.
    checked: Option<Instant>,
    /// Since when a partition seems to be missing.
    missing: Option<Instant>,
}

impl Thread {
    fn run(mut self) {
        while !self.inner.is_closed() {
            let orders = std::mem::take(&mut *self.orders.list.lock());
            for order in orders {
                self.obey(order);
            }
            let mut lost = self.missing.is_some() && self.may_check();
            match self.consumer.poll(SLICE) {
                None => {}
                Some(Ok(message)) => {
                    let slot = self
                        .slots
                        .get(message.topic())
                        .and_then(|of_topic| of_topic.get(&message.partition()));
                    let Some(slot) = slot else { continue };
                    match record::from_message(&message) {
                        Ok(record) => {
                            let (first, flow) = slot.push(message.offset(), record);
                            if flow == Flow::Pause {
                                self.flow(slot, flow);
                            }
                            if first {
                                self.inner.subscribers.tell(slot.partition);
                            }
                        }
                        Err(error) => slot.end(End::Corrupt(error.to_string())),
                    }
                }
                Some(Err(error)) => lost |= self.is_lost(&error),
            }
            if lost {
                self.check();
            }
        }
        for slot in self.slots.values().flat_map(HashMap::values) {
            slot.end(End::Refused("the log is closed".to_owned()));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Assign(slot) => {
                self.assign(&slot);
                self.slots
                    .entry(Arc::clone(&slot.topic))
                    .or_default()
                    .insert(slot.index, slot);
            }
            Order::Unassign(slot) => {
                self.unassign(&slot);
                if let Some(of_topic) = self.slots.get_mut(&slot.topic) {
                    of_topic.remove(&slot.index);
                }
                // Only now may another reader of this partition come here.
                self.orders.taken.lock().remove(&slot.partition);
            }
            Order::Resume(slot) => self.flow(&slot, Flow::Resume),
        }
    }

    fn assign(&self, slot: &Slot) {
        let mut list = TopicPartitionList::with_capacity(1);
        let at = Offset::Offset(slot.next());
        let result = list
            .add_partition_offset(&slot.topic, slot.index, at)
            .and_then(|()| self.consumer.incremental_assign(&list));
        if let Err(error) = result {
            slot.end(End::Refused(format!("cannot read {}: {error}", slot.topic)));
        }
    }

    fn unassign(&self, slot: &Slot) {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&slot.topic, slot.index);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(topic = %slot.topic, %error, "a partition cannot be given back");
        }
    }

    fn flow(&self, slot: &Slot, flow: Flow) {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&slot.topic, slot.index);
        let result = match flow {
            Flow::Same => Ok(()),
            Flow::Pause => self.consumer.pause(&list),
            // It may have been paused again meanwhile.
            Flow::Resume if slot.is_paused() => Ok(()),
            Flow::Resume => self.consumer.resume(&list),
        };
        if let Err(error) = result {
            slot.end(End::Refused(format!("cannot read {}: {error}", slot.topic)));
        }
    }

    /// Whether the error may mean that a partition cannot be read on.
    fn is_lost(&self, error: &KafkaError) -> bool {
        tracing::debug!(%error, "fetching");
        let lost = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::AutoOffsetReset
                    | Code::OffsetOutOfRange
                    | Code::UnknownTopicOrPartition
                    | Code::UnknownTopic
                    | Code::UnknownPartition
                    | Code::TopicAuthorizationFailed
                    | Code::Fatal
            )
        );
        lost && self.may_check()
    }

    fn may_check(&self) -> bool {
        self.checked.is_none_or(|at| at.elapsed() > CHECK)
    }

    /// The error named no partition: asks for each how it is, and begins again where it was.
    fn check(&mut self) {
        let slots: Vec<_> = self
            .slots
            .values()
            .flat_map(HashMap::values)
            .map(Arc::clone)
            .collect();
        let since = self.missing.take().unwrap_or_else(Instant::now);
        for slot in slots {
            match ends(&self.inner, &slot) {
                Ok((low, _)) if low > slot.next() => slot.end(End::Truncated(low)),
                Ok((_, high)) if high < slot.next() => {
                    slot.end(End::Corrupt(ahead(&slot, high)));
                }
                Ok(_) => {
                    self.unassign(&slot);
                    self.assign(&slot);
                }
                Err(error) => {
                    if let Some(advice) = advice(&error, &self.inner.options.cluster) {
                        slot.end(End::Refused(advice));
                    } else if is_missing(&error) && since.elapsed() > MISSING {
                        slot.end(End::Refused(missing(&slot.topic)));
                    } else {
                        // Its leader may be changing: it is looked at again.
                        self.missing = Some(since);
                    }
                }
            }
            self.inner.subscribers.tell(slot.partition);
        }
        self.checked = Some(Instant::now());
    }
}

/// How long the brokers may take to say where a partition begins and ends.
const ASK: Duration = Duration::from_secs(2);

/// The first offset of a partition, and the one behind the last that readers may see.
pub(crate) fn ends(inner: &Inner, slot: &Slot) -> Result<(i64, i64), KafkaError> {
    let asker = &inner.asker;
    let ends = asker.fetch_watermarks(&slot.topic, slot.index, ASK);
    if ends.is_err() {
        // The leader that librdkafka remembers may be dead, and without this it would ask that one for ever. If this fails
        // too, so will the next question.
        let _ = asker.fetch_metadata(Some(&slot.topic), ASK);
    }
    ends
}

/// What to say when the log lacks what somebody has read before.
pub(crate) fn ahead(slot: &Slot, high: i64) -> String {
    format!(
        "{}/{} ends before offset {high}, and something after it was read before, up to {}: the topic was made anew, or the \
         brokers lost what they had acknowledged; throw away the stores that were built on it, or restore a backup",
        slot.topic,
        slot.index,
        slot.next()
    )
}

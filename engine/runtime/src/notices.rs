//! Who waits for something to happen in a group, and is told after the commit that it may have.
//!
//! A notice carries nothing: whoever gets one reads the state. So none is lost to whoever subscribes before reading, and
//! nothing has to be kept for those who come later.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use wal::GroupId;

type Topics = BTreeMap<(GroupId, Bytes), watch::Sender<()>>;

/// The subscriptions of this process.
#[derive(Debug, Default)]
pub struct Notices {
    topics: Mutex<Topics>,
}

/// The group is no longer this process's: ask whoever has it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the group was given up")]
pub struct GivenUp;

/// One who waits. Ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    notices: Arc<Notices>,
    topic: (GroupId, Bytes),
    receiver: Option<watch::Receiver<()>>,
}

impl Notices {
    /// Begins to listen: every commit from now on that notifies of `topic` ends a [`Subscription::noticed`].
    pub fn subscribe(self: &Arc<Notices>, group: GroupId, topic: Bytes) -> Subscription {
        let topic = (group, topic);
        let receiver = self
            .topics
            .lock()
            .entry(topic.clone())
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        Subscription {
            notices: Arc::clone(self),
            topic,
            receiver: Some(receiver),
        }
    }

    /// Tells all who listen.
    pub(crate) fn notify(&self, group: GroupId, topics: Vec<Bytes>) {
        let known = self.topics.lock();
        for topic in topics {
            if let Some(sender) = known.get(&(group, topic)) {
                sender.send_replace(());
            }
        }
    }

    /// Tells all who listen to anything of a group: what has happened is not known.
    pub(crate) fn notify_all(&self, group: GroupId) {
        for ((of, _), sender) in self.topics.lock().iter() {
            if *of == group {
                sender.send_replace(());
            }
        }
    }

    /// Ends all subscriptions of a group.
    pub(crate) fn give_up(&self, group: GroupId) {
        self.topics.lock().retain(|(of, _), _| *of != group);
    }
}

impl Subscription {
    /// Waits for the next notice since the last one, or since the subscription began.
    ///
    /// # Errors
    /// The group is given up.
    pub async fn noticed(&mut self) -> Result<(), GivenUp> {
        match &mut self.receiver {
            Some(receiver) => receiver.changed().await.map_err(|_| GivenUp),
            None => Err(GivenUp),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        let mut topics = self.notices.topics.lock();
        let is_last = topics
            .get(&self.topic)
            .is_some_and(|sender| sender.receiver_count() == 0);
        if is_last {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    fn topic(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    #[tokio::test]
    async fn all_who_listen_are_told_and_leave_nothing_behind() {
        let notices = Arc::new(Notices::default());
        let mut both = [
            notices.subscribe(GROUP, topic("a")),
            notices.subscribe(GROUP, topic("a")),
        ];
        let mut other = notices.subscribe(GroupId(2), topic("a"));
        notices.notify(GROUP, vec![topic("a"), topic("b")]);
        for subscription in &mut both {
            assert_eq!(subscription.noticed().await, Ok(()));
        }
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, other.noticed()).await.is_err());
        assert_eq!(notices.topics.lock().len(), 2);
        let [first, second] = both;
        drop(first);
        assert_eq!(notices.topics.lock().len(), 2);
        drop((second, other));
        assert!(notices.topics.lock().is_empty());
    }

    #[tokio::test]
    async fn a_group_that_is_given_up_ends_its_subscriptions() {
        let notices = Arc::new(Notices::default());
        let mut subscription = notices.subscribe(GROUP, topic("a"));
        notices.give_up(GROUP);
        assert_eq!(subscription.noticed().await, Err(GivenUp));
        let mut again = notices.subscribe(GROUP, topic("a"));
        drop(subscription);
        notices.notify(GROUP, vec![topic("a")]);
        assert_eq!(again.noticed().await, Ok(()));
        notices.notify_all(GROUP);
        assert_eq!(again.noticed().await, Ok(()));
    }
}

//! Records and the partitions that hold them.

use bytes::Bytes;

/// A partition group: one owner, one thread, one transactional writer, one changelog partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

impl GroupId {
    /// The metadata group: a group of its own with one partition, whose store every server holds as a global store.
    pub const METADATA: GroupId = GroupId(u16::MAX);
}

impl std::fmt::Display for GroupId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == GroupId::METADATA {
            f.write_str("metadata")
        } else {
            self.0.fmt(f)
        }
    }
}

/// What a partition is for. Each group has one partition of the first three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Client commands: plain appends from any server.
    Commands,
    /// Messages from other groups: transactional. A partition of its own, because a reader of committed records stops
    /// at the first open transaction of anybody.
    Messages,
    /// The group's changelog: changed keys, then a commit record, per batch.
    Changelog,
    /// Heartbeats and owner records: one partition, never transactional (its group is [`GroupId::METADATA`]).
    Cluster,
}

/// One totally ordered sequence of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// What it is for.
    pub topic: Topic,
    /// Whose it is.
    pub group: GroupId,
}

impl Partition {
    /// The client commands of `group`.
    pub const fn commands(group: GroupId) -> Partition {
        Partition {
            topic: Topic::Commands,
            group,
        }
    }

    /// The messages to `group` from other groups.
    pub const fn messages(group: GroupId) -> Partition {
        Partition {
            topic: Topic::Messages,
            group,
        }
    }

    /// The changelog of `group`.
    pub const fn changelog(group: GroupId) -> Partition {
        Partition {
            topic: Topic::Changelog,
            group,
        }
    }

    /// Heartbeats and owner records of the cluster.
    pub const CLUSTER: Partition = Partition {
        topic: Topic::Cluster,
        group: GroupId::METADATA,
    };
}

/// A record. `value: None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the record is about; the unit of compaction on Kafka. May be empty where nothing is compacted.
    pub key: Bytes,
    /// The content; `None` deletes the key.
    pub value: Option<Bytes>,
    /// When it was made, in milliseconds since the epoch, by the maker's clock.
    pub time_ms: i64,
}

impl Record {
    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

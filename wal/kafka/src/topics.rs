//! Which partition of which topic holds what.

use std::sync::Arc;

use wal::{GroupId, Partition, Topic, WriterId};

/// Names of the topics of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    cluster: String,
    groups: u16,
    names: [Arc<str>; 7],
}

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They stay until they are deleted by position.
    Keep,
    /// The last one of each key stays.
    Compact,
}

/// A topic as it should be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) name: Arc<str>,
    pub(crate) partitions: i32,
    pub(crate) policy: Policy,
}

const SUFFIXES: [&str; 7] = [
    "cmd", "msg", "log", "meta-cmd", "meta-msg", "meta-log", "cluster",
];

impl Topics {
    pub(crate) fn new(cluster: &str, groups: u16) -> Topics {
        Topics {
            cluster: cluster.to_owned(),
            groups,
            names: SUFFIXES.map(|suffix| Arc::from(format!("{cluster}-{suffix}"))),
        }
    }

    /// All of them.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let shape = |at: usize| match at {
            0 | 1 => (i32::from(self.groups), Policy::Keep),
            2 => (i32::from(self.groups), Policy::Compact),
            3 | 4 => (1, Policy::Keep),
            _ => (1, Policy::Compact),
        };
        let wanted = |(at, name): (usize, &Arc<str>)| {
            let (partitions, policy) = shape(at);
            Wanted {
                name: Arc::clone(name),
                partitions,
                policy,
            }
        };
        self.names.iter().enumerate().map(wanted).collect()
    }

    /// Where the records of `partition` are; `None` if there is no such group.
    pub(crate) fn place(&self, partition: Partition) -> Option<(&Arc<str>, i32)> {
        let kind = match partition.topic {
            Topic::Commands => 0,
            Topic::Messages => 1,
            Topic::Changelog => 2,
            Topic::Cluster => return Some((&self.names[6], 0)),
        };
        match partition.group {
            GroupId::METADATA => Some((&self.names[3 + kind], 0)),
            GroupId(group) if group < self.groups => Some((&self.names[kind], i32::from(group))),
            GroupId(_) => None,
        }
    }

    /// A topic to ask for when the question is whether anybody answers.
    pub(crate) fn probe(&self) -> Arc<str> {
        Arc::clone(&self.names[6])
    }

    /// The transactional ids of a writer: one, or two to be used in turn.
    pub(crate) fn transactional_ids(&self, id: &WriterId, alternate: bool) -> Vec<String> {
        let name = format!("{}.{}", self.cluster, id.0);
        if alternate {
            vec![format!("{name}.a"), format!("{name}.b")]
        } else {
            vec![name]
        }
    }

    /// What no such group is called.
    pub(crate) fn unknown(&self, partition: Partition) -> String {
        format!(
            "the cluster {} has {} groups, and no group {}",
            self.cluster, self.groups, partition.group
        )
    }
}

/// Whether a topic's or transactional id's name may begin so.
pub(crate) fn is_name(cluster: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !cluster.is_empty() && cluster.len() <= 100 && cluster.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_part_of_the_format() {
        let topics = Topics::new("c", 3);
        let place = |partition| {
            topics
                .place(partition)
                .map(|(topic, index)| format!("{topic}/{index}"))
        };
        let golden = [
            (Partition::commands(GroupId(2)), "c-cmd/2"),
            (Partition::messages(GroupId(0)), "c-msg/0"),
            (Partition::changelog(GroupId(1)), "c-log/1"),
            (Partition::commands(GroupId::METADATA), "c-meta-cmd/0"),
            (Partition::messages(GroupId::METADATA), "c-meta-msg/0"),
            (Partition::changelog(GroupId::METADATA), "c-meta-log/0"),
            (Partition::CLUSTER, "c-cluster/0"),
        ];
        for (partition, name) in golden {
            assert_eq!(place(partition).as_deref(), Some(name));
        }
        assert_eq!(place(Partition::commands(GroupId(3))), None);
        let id = WriterId("group.2".to_owned());
        assert_eq!(topics.transactional_ids(&id, false), ["c.group.2"]);
        assert_eq!(
            topics.transactional_ids(&id, true),
            ["c.group.2.a", "c.group.2.b"]
        );
    }

    #[test]
    fn names_are_what_kafka_takes() {
        assert!(is_name("prod.eu-1_a"));
        for bad in ["", "a b", "ü", "a/b", &"x".repeat(101)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}

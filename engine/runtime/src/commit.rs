//! The commit record: the last record of every batch in the changelog.

use bytes::Bytes;
use prost::Message;

/// What a batch was made from, stored with the batch: where the inputs were read to, and everything beside the inputs
/// that the processors saw, so that running the same log again gives the same state.
#[derive(Clone, PartialEq, Message)]
pub struct CommitRecord {
    /// Format version of this record: 1.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// Position of the last client command consumed.
    #[prost(uint64, tag = "2")]
    pub commands: u64,
    /// Position of the last message from another group consumed.
    #[prost(uint64, tag = "3")]
    pub messages: u64,
    /// The owner's term: the position of its barrier record.
    #[prost(uint64, tag = "4")]
    pub term: u64,
    /// Number of the batch, rising by one.
    #[prost(uint64, tag = "5")]
    pub batch: u64,
    /// The group's clock after the batch: the highest record time seen, milliseconds since the epoch.
    #[prost(sint64, tag = "6")]
    pub clock_ms: i64,
    /// Every timer due before this has fired.
    #[prost(sint64, tag = "7")]
    pub timer_floor_ms: i64,
    /// The next sequence of a queue entry.
    #[prost(uint64, tag = "8")]
    pub next_sequence: u64,
    /// How the batch was put together, in the order of execution.
    #[prost(message, repeated, tag = "9")]
    pub recorded: Vec<Recorded>,
}

/// One input of the batch, or something a processor was told while it ran.
#[derive(Clone, PartialEq, Message)]
pub struct Recorded {
    /// Which.
    #[prost(oneof = "Event", tags = "1, 2, 3, 4, 5, 6")]
    pub event: Option<Event>,
}

/// See [`Recorded`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Event {
    /// This many messages were executed next.
    #[prost(uint32, tag = "1")]
    Messages(u32),
    /// This many commands were executed next.
    #[prost(uint32, tag = "2")]
    Commands(u32),
    /// A consumer claimed from a queue.
    #[prost(message, tag = "3")]
    Claim(Claimed),
    /// Due timers fired at this time of the owner's clock, at most the number.
    #[prost(message, tag = "4")]
    Tick(Tick),
    /// From an input on the processors saw this metadata version.
    #[prost(message, tag = "5")]
    Global(GlobalSeen),
    /// A processor asked for a waiting consumer and got this one (empty: none).
    #[prost(message, tag = "6")]
    Taken(Taken),
}

/// A consumer claimed from a queue.
#[derive(Clone, PartialEq, Message)]
pub struct Claimed {
    /// The queue.
    #[prost(bytes = "bytes", tag = "1")]
    pub queue: Bytes,
    /// Who.
    #[prost(bytes = "bytes", tag = "2")]
    pub consumer: Bytes,
}

/// Which metadata version the processors saw.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct GlobalSeen {
    /// From the batch's input of this number on, counted from 1.
    #[prost(uint32, tag = "1")]
    pub input: u32,
    /// The version: a position in the metadata group's changelog.
    #[prost(uint64, tag = "2")]
    pub version: u64,
}

/// Due timers fired.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Tick {
    /// The owner's clock, milliseconds since the epoch.
    #[prost(sint64, tag = "1")]
    pub now_ms: i64,
    /// How many were allowed to fire.
    #[prost(uint32, tag = "2")]
    pub limit: u32,
}

/// The answer to "is a consumer waiting?".
#[derive(Clone, PartialEq, Message)]
pub struct Taken {
    /// Who; unset: nobody.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub consumer: Option<Bytes>,
}

impl CommitRecord {
    /// The current format version.
    pub const VERSION: u32 = 1;

    /// Reads a stored commit record; an empty store has the default one.
    pub fn read(raw: &[u8]) -> Result<CommitRecord, index::StoreError> {
        let record = CommitRecord::decode(raw)
            .map_err(|error| index::StoreError::Corrupt(format!("commit record: {error}")))?;
        if record.version > CommitRecord::VERSION {
            return Err(index::StoreError::Corrupt(format!(
                "commit record of format {} (this build reads up to {}): use a newer ironhorse",
                record.version,
                CommitRecord::VERSION
            )));
        }
        Ok(record)
    }
}

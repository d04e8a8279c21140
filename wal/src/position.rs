//! Where a record stands in its partition.

/// A position in one partition.
///
/// Opaque: it rises from record to record, and has **gaps** (Kafka's control records, the embedded log's frames), so
/// the only arithmetic allowed is comparison. "The next position to read" is written as the exclusive lower bound
/// *after* the last one read, never as `+ 1` on a record's own position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Before every record of a partition.
    pub const START: Position = Position(0);

    /// From the stored form ([`Position::to_u64`]) or, in an implementation of the log, from its own numbering. Must
    /// be above 0 for a record's position.
    pub const fn from_u64(raw: u64) -> Position {
        Position(raw)
    }

    /// The form in which a position is stored. Only for storing, logging and the log's implementations.
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

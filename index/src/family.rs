//! The three column families.

/// Where a row lives. Tables are key prefixes inside a family (few column families: each costs start-up time and
/// memtable memory).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Primary rows. Logged.
    State = 1,
    /// Secondary index entries. Derived from `State` rows, never logged, derived again on restore.
    Index = 2,
    /// Short-lived rows: queues, timers, heads. Logged.
    Queue = 3,
}

impl Family {
    /// All families, in order.
    pub const ALL: [Family; 3] = [Family::State, Family::Index, Family::Queue];

    /// A dense index, for arrays with one element a family.
    pub const fn slot(self) -> usize {
        self as usize - 1
    }

    /// The family with this number (`self as u8`).
    pub const fn from_u8(raw: u8) -> Option<Family> {
        match raw {
            1 => Some(Family::State),
            2 => Some(Family::Index),
            3 => Some(Family::Queue),
            _ => None,
        }
    }
}

//! Rows in memory: looked up all the time, scanned now and then.
//!
//! A hash map gives a row with one comparison where an ordered map needs some thirty, each with a key elsewhere in
//! memory. The order is made when a scan asks for it, of the keys that are new since the last one. No order of the hash
//! map is ever seen: where all rows are walked, it is in the order in which their keys first came.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bytes::Bytes;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use indexmap::map::Entry;

use crate::KeyRange;
use crate::layer::{Cell, Source, is_empty};

/// Clients choose parts of the keys, so the hash has a seed of its own in each process.
type Cells = IndexMap<Bytes, Cell, RandomState>;

/// Rows that change.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    cells: Cells,
    /// Keys in order, some of which may be gone: those of the first `in_order` cells, and maybe more.
    ordered: BTreeSet<Bytes>,
    in_order: usize,
}

impl Rows {
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Cell> {
        if self.cells.is_empty() {
            return None;
        }
        self.cells.get(key)
    }

    /// Sets the cell of a key; gives the key's place, and the cell that it had.
    pub(crate) fn set(&mut self, key: Bytes, cell: Cell) -> (usize, Option<Cell>) {
        match self.cells.entry(key) {
            Entry::Occupied(mut occupied) => (occupied.index(), Some(occupied.insert(cell))),
            Entry::Vacant(vacant) => {
                let place = vacant.index();
                vacant.insert(cell);
                (place, None)
            }
        }
    }

    /// Undoes the latest [`Rows::set`] that has not been undone.
    pub(crate) fn unset(&mut self, place: usize, before: Option<Cell>) {
        if let (Some(before), Some((_, cell))) = (before, self.cells.get_index_mut(place)) {
            *cell = before;
        } else {
            // The key came with it, so it is the last.
            self.cells.pop();
            self.shrunk();
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// All rows, in the order in which their keys came, without those that leave no trace.
    pub(crate) fn traces(&self) -> impl Iterator<Item = (&Bytes, &Cell)> {
        self.cells.iter().filter(|(_, cell)| cell.leaves_a_trace())
    }

    /// Like [`Rows::traces`].
    pub(crate) fn into_traces(self) -> impl Iterator<Item = (Bytes, Cell)> {
        self.cells
            .into_iter()
            .filter(|(_, cell)| cell.leaves_a_trace())
    }

    /// Adds a change. A key that is known to be absent below, and is deleted again, vanishes. Returns by how many bytes
    /// the keys and values have grown.
    pub(crate) fn add(&mut self, key: Bytes, cell: Cell) -> isize {
        let size = |cell: &Cell| cell.value.as_ref().map_or(0, Bytes::len) as isize;
        match self.cells.entry(key) {
            Entry::Vacant(vacant) => {
                let grown = vacant.key().len() as isize + size(&cell);
                vacant.insert(cell);
                grown
            }
            Entry::Occupied(mut occupied) => {
                let before = size(occupied.get());
                if occupied.get().fresh && cell.value.is_none() {
                    let (place, bytes) = (occupied.index(), occupied.key().len() as isize + before);
                    occupied.swap_remove();
                    // The last cell has taken its place.
                    if place < self.in_order
                        && self.in_order <= self.cells.len()
                        && let Some((moved, _)) = self.cells.get_index(place)
                    {
                        self.ordered.insert(moved.clone());
                    }
                    self.shrunk();
                    -bytes
                } else {
                    let grown = size(&cell) - before;
                    let fresh = occupied.get().fresh;
                    occupied.insert(Cell { fresh, ..cell });
                    grown
                }
            }
        }
    }

    /// A cell is gone. Keeps the keys that are gone from outnumbering the others.
    fn shrunk(&mut self) {
        self.in_order = self.in_order.min(self.cells.len());
        if self.ordered.len() > 2 * self.cells.len() + 1024 {
            let cells = &self.cells;
            self.ordered.retain(|key| cells.contains_key(key));
        }
    }

    /// Whether [`Rows::source`] sees all rows.
    pub(crate) fn is_in_order(&self) -> bool {
        self.in_order == self.cells.len()
    }

    /// Puts all keys in order.
    pub(crate) fn put_in_order(&mut self) {
        let new = self.cells.get_range(self.in_order..);
        let new = new.into_iter().flat_map(|cells| cells.keys().cloned());
        self.ordered.extend(new);
        self.in_order = self.cells.len();
    }

    /// The rows of a range, if all are in order.
    pub(crate) fn source<'a>(&'a self, range: &KeyRange, reverse: bool) -> Option<Source<'a>> {
        debug_assert!(self.is_in_order(), "a scan without order");
        if self.cells.is_empty() || is_empty(range) {
            return None;
        }
        let keys = self
            .ordered
            .range::<Bytes, _>((range.start.as_ref(), range.end.as_ref()));
        let row = |key: &Bytes| {
            let cell = self.cells.get(key)?;
            Some(Ok((key.clone(), cell.value.clone())))
        };
        Some(if reverse {
            Box::new(keys.rev().filter_map(row))
        } else {
            Box::new(keys.filter_map(row))
        })
    }

    /// Rows that do not change any more; these begin anew, with room for as many.
    pub(crate) fn freeze(&mut self) -> FrozenRows {
        let room = Cells::with_capacity_and_hasher(self.cells.len(), RandomState::default());
        self.ordered.clear();
        self.in_order = 0;
        FrozenRows {
            cells: std::mem::replace(&mut self.cells, room),
            order: OnceLock::new(),
        }
    }
}

/// Rows that do not change any more.
#[derive(Debug, Default)]
pub(crate) struct FrozenRows {
    cells: Cells,
    /// Places in `cells`, by key.
    order: OnceLock<Vec<u32>>,
}

impl FrozenRows {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Cell> {
        self.cells.get(key)
    }

    /// The rows in order; whoever asks first sorts them.
    fn order(&self) -> &[u32] {
        self.order.get_or_init(|| {
            let mut places: Vec<u32> = (0..self.cells.len() as u32).collect();
            places.sort_unstable_by_key(|place| self.at(*place).map(|(key, _)| key));
            places
        })
    }

    fn at(&self, place: u32) -> Option<(&Bytes, &Cell)> {
        self.cells.get_index(place as usize)
    }

    /// All rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Cell)> {
        self.order().iter().filter_map(|place| self.at(*place))
    }

    /// The rows of a range.
    pub(crate) fn source<'a>(&'a self, range: &KeyRange, reverse: bool) -> Option<Source<'a>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        if self.cells.is_empty() || is_empty(range) {
            return None;
        }
        let places = self.order();
        let count = |before: &dyn Fn(&Bytes) -> bool| {
            places.partition_point(|place| self.at(*place).is_some_and(|(key, _)| before(key)))
        };
        let start = match &range.start {
            Included(start) => count(&|key| key < start),
            Excluded(start) => count(&|key| key <= start),
            Unbounded => 0,
        };
        let end = match &range.end {
            Included(end) => count(&|key| key <= end),
            Excluded(end) => count(&|key| key < end),
            Unbounded => places.len(),
        };
        let rows = places.get(start..end)?.iter().filter_map(|place| {
            let (key, cell) = self.at(*place)?;
            Some(Ok((key.clone(), cell.value.clone())))
        });
        Some(if reverse {
            Box::new(rows.rev())
        } else {
            Box::new(rows)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Add(u8, Option<u8>),
        Scan(u8, u8, bool),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..32_u8, any::<Option<u8>>()).prop_map(|(key, value)| Op::Add(key, value)),
            1 => (0..32_u8, 0..40_u8, any::<bool>())
                .prop_map(|(start, end, reverse)| Op::Scan(start, end, reverse)),
        ]
    }

    fn key(key: u8) -> Bytes {
        Bytes::copy_from_slice(&[key])
    }

    proptest! {
        #[test]
        fn scans_see_what_was_added(ops in prop::collection::vec(op(), 0..200)) {
            let mut rows = Rows::default();
            // A row that comes and goes here leaves no trace, so the model forgets it.
            let mut model = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Add(number, None) if !model.contains_key(&number) => {}
                    Op::Add(number, value) => {
                        let cell = Cell {
                            value: value.map(key),
                            fresh: !model.contains_key(&number),
                        };
                        rows.add(key(number), cell);
                        match value {
                            Some(value) => model.insert(number, value),
                            None => model.remove(&number),
                        };
                    }
                    Op::Scan(start, end, reverse) => {
                        rows.put_in_order();
                        let range = KeyRange {
                            start: std::ops::Bound::Included(key(start)),
                            end: std::ops::Bound::Excluded(key(end)),
                        };
                        let seen: Vec<(Bytes, Option<Bytes>)> = rows
                            .source(&range, reverse)
                            .into_iter()
                            .flatten()
                            .map(|row| row.expect("rows in memory"))
                            .collect();
                        let mut expected: Vec<_> = model
                            .iter()
                            .filter(|(number, _)| (start..end.max(start)).contains(number))
                            .map(|(number, value)| (key(*number), Some(key(*value))))
                            .collect();
                        if reverse {
                            expected.reverse();
                        }
                        prop_assert_eq!(seen, expected);
                    }
                }
            }
            let frozen = rows.freeze();
            let all: Vec<(Bytes, Bytes)> = frozen
                .iter()
                .map(|(key, cell)| (key.clone(), cell.value.clone().expect("no tombstones")))
                .collect();
            let expected: Vec<_> = model.iter().map(|(k, v)| (key(*k), key(*v))).collect();
            prop_assert_eq!(all, expected);
        }
    }
}

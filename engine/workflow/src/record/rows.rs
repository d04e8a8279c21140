//! Rows of one type, as one command sees them.

use std::collections::BTreeMap;

use bytes::Bytes;
use index::Family;
use prost::Message;
use runtime::{Context, Rejection};

/// A stored message that carries its format version.
pub trait Row: Message + Default {
    /// The newest format that this build reads, and the one that it writes.
    const VERSION: u32 = 1;

    /// The format that the row was written in.
    fn version(&self) -> u32;
}

/// Reads a row.
///
/// # Errors
/// `INTERNAL` for bytes that no build wrote, or that a newer one did.
pub fn decode<T: Row>(value: &[u8]) -> Result<T, Rejection> {
    let row =
        T::decode(value).map_err(|error| Rejection::internal(format!("stored row: {error}")))?;
    if row.version() > T::VERSION {
        return Err(Rejection::internal(format!(
            "stored row of format {} (this build reads up to {})",
            row.version(),
            T::VERSION
        )));
    }
    Ok(row)
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum State {
    Clean,
    Dirty,
    New,
}

#[derive(Debug)]
enum Slot<T> {
    Absent,
    /// In a box: rows are large.
    Present(Box<T>, State),
    Deleted,
}

/// More rows than this of one type are found through an index; so many, by comparing.
const FEW: usize = 16;

/// A command's view of the rows of one type.
#[derive(Debug)]
pub struct Rows<T> {
    /// In the order in which they were first looked up.
    slots: Vec<(Bytes, Slot<T>)>,
    /// Places in `slots`, once these are many.
    index: BTreeMap<Bytes, usize>,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows {
            slots: Vec::new(),
            index: BTreeMap::new(),
        }
    }
}

impl<T: Row> Rows<T> {
    fn find(&self, key: &[u8]) -> Option<usize> {
        if self.slots.len() > FEW {
            self.index.get(key).copied()
        } else {
            // The last ones are asked for most.
            self.slots.iter().rposition(|(known, _)| known == key)
        }
    }

    fn add(&mut self, key: Bytes, slot: Slot<T>) -> usize {
        let place = self.slots.len();
        self.slots.push((key, slot));
        match self.slots.len() {
            0..=FEW => {}
            len if len == FEW + 1 => {
                let keys = self.slots.iter().map(|(key, _)| key.clone());
                self.index = keys.zip(0..).collect();
            }
            _ => {
                let key = self.slots[place].0.clone();
                self.index.insert(key, place);
            }
        }
        place
    }

    fn slot(&mut self, context: &mut Context<'_>, key: &[u8]) -> Result<&mut Slot<T>, Rejection> {
        if let Some(place) = self.find(key) {
            return Ok(&mut self.slots[place].1);
        }
        let slot = match context.get(Family::State, key)? {
            Some(value) => Slot::Present(Box::new(decode(&value)?), State::Clean),
            None => Slot::Absent,
        };
        let place = self.add(context.bytes(key), slot);
        Ok(&mut self.slots[place].1)
    }

    /// The row, if it exists.
    pub fn get(&mut self, context: &mut Context<'_>, key: &[u8]) -> Result<Option<&T>, Rejection> {
        Ok(match self.slot(context, key)? {
            Slot::Present(row, _) => Some(row),
            Slot::Absent | Slot::Deleted => None,
        })
    }

    /// The row, to be changed: it will be written.
    pub fn get_mut(
        &mut self,
        context: &mut Context<'_>,
        key: &[u8],
    ) -> Result<Option<&mut T>, Rejection> {
        Ok(match self.slot(context, key)? {
            Slot::Present(row, state) => {
                if *state == State::Clean {
                    *state = State::Dirty;
                }
                Some(row)
            }
            Slot::Absent | Slot::Deleted => None,
        })
    }

    /// A row that certainly did not exist before this command.
    pub fn insert(&mut self, context: &mut Context<'_>, key: &[u8], row: T) {
        let row = Box::new(row);
        match self.find(key) {
            Some(place) => {
                let slot = &mut self.slots[place].1;
                let state = match slot {
                    // It existed in the store: it must be overwritten, not inserted.
                    Slot::Deleted | Slot::Present(_, State::Clean | State::Dirty) => State::Dirty,
                    Slot::Absent | Slot::Present(_, State::New) => State::New,
                };
                *slot = Slot::Present(row, state);
            }
            None => {
                self.add(context.bytes(key), Slot::Present(row, State::New));
            }
        }
    }

    /// Deletes a row, if it exists.
    pub fn delete(&mut self, context: &mut Context<'_>, key: &[u8]) {
        match self.find(key) {
            Some(place) => {
                let slot = &mut self.slots[place].1;
                *slot = match slot {
                    Slot::Present(_, State::New) | Slot::Absent => Slot::Absent,
                    Slot::Present(..) | Slot::Deleted => Slot::Deleted,
                };
            }
            None => {
                self.add(context.bytes(key), Slot::Deleted);
            }
        }
    }

    /// Writes what was changed, and forgets all.
    pub fn flush(&mut self, context: &mut Context<'_>) -> Result<(), Rejection> {
        self.index.clear();
        for (key, slot) in std::mem::take(&mut self.slots) {
            match slot {
                Slot::Present(row, State::New) => {
                    let value = context.encoded(&*row);
                    context.insert(Family::State, key, value)?;
                }
                Slot::Present(row, State::Dirty) => {
                    let value = context.encoded(&*row);
                    context.put(Family::State, key, value)?;
                }
                Slot::Deleted => context.delete(Family::State, key)?,
                Slot::Present(_, State::Clean) | Slot::Absent => {}
            }
        }
        Ok(())
    }
}

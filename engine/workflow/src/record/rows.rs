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
    /// In a box: rows are large, and a node of the map has room for eleven.
    Present(Box<T>, State),
    Deleted,
}

/// A command's view of the rows of one type.
#[derive(Debug)]
pub struct Rows<T> {
    slots: BTreeMap<Bytes, Slot<T>>,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows {
            slots: BTreeMap::new(),
        }
    }
}

impl<T: Row> Rows<T> {
    fn slot(&mut self, context: &Context<'_>, key: &Bytes) -> Result<&mut Slot<T>, Rejection> {
        // Cloning a key that only this command holds costs an allocation: most look-ups find the slot.
        if !self.slots.contains_key(key) {
            let slot = match context.get(Family::State, key)? {
                Some(value) => Slot::Present(Box::new(decode(&value)?), State::Clean),
                None => Slot::Absent,
            };
            self.slots.insert(key.clone(), slot);
        }
        self.slots
            .get_mut(key)
            .ok_or_else(|| Rejection::internal("a slot is missing"))
    }

    /// The row, if it exists.
    pub fn get(&mut self, context: &Context<'_>, key: &Bytes) -> Result<Option<&T>, Rejection> {
        Ok(match self.slot(context, key)? {
            Slot::Present(row, _) => Some(row),
            Slot::Absent | Slot::Deleted => None,
        })
    }

    /// The row, to be changed: it will be written.
    pub fn get_mut(
        &mut self,
        context: &Context<'_>,
        key: &Bytes,
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
    pub fn insert(&mut self, key: Bytes, row: T) {
        let state = match self.slots.get(&key) {
            // It existed in the store: it must be overwritten, not inserted.
            Some(Slot::Deleted | Slot::Present(_, State::Clean | State::Dirty)) => State::Dirty,
            Some(Slot::Absent | Slot::Present(_, State::New)) | None => State::New,
        };
        self.slots.insert(key, Slot::Present(Box::new(row), state));
    }

    /// Deletes a row, if it exists.
    pub fn delete(&mut self, key: Bytes) {
        match self.slots.get(&key) {
            Some(Slot::Present(_, State::New) | Slot::Absent) => {
                self.slots.insert(key, Slot::Absent);
            }
            _ => {
                self.slots.insert(key, Slot::Deleted);
            }
        }
    }

    /// Writes what was changed, and forgets all.
    pub fn flush(&mut self, context: &mut Context<'_>) -> Result<(), Rejection> {
        for (key, slot) in std::mem::take(&mut self.slots) {
            match slot {
                Slot::Present(row, State::New) => {
                    context.insert(Family::State, key, Bytes::from(row.encode_to_vec()))?;
                }
                Slot::Present(row, State::Dirty) => {
                    context.put(Family::State, key, Bytes::from(row.encode_to_vec()))?;
                }
                Slot::Deleted => context.delete(Family::State, key)?,
                Slot::Present(_, State::Clean) | Slot::Absent => {}
            }
        }
        Ok(())
    }
}

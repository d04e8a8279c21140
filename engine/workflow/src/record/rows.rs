//! Rows of one type, as one command sees them.

use std::collections::BTreeMap;

use index::Family;
use prost::Message;
use runtime::{Context, Rejection};

use crate::key::{Place, RunKey};

/// A stored message that carries its format version.
pub trait Row: Message + Default {
    /// The newest format that this build reads, and the one that it writes.
    const VERSION: u32 = 1;

    /// The format that the row was written in.
    fn version(&self) -> u32;

    /// What of the row is compared before and after a command, as a number above 0: see [`Rows::flush`].
    fn mark(&self) -> u8 {
        1
    }
}

/// A row of a WfRun.
pub trait OfRun: Row {
    /// Where such a row is within its WfRun.
    type Place: Place;
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

/// A row, where it is, and what became of it.
#[derive(Debug)]
struct Known<T: OfRun> {
    run: RunKey,
    place: T::Place,
    slot: Slot<T>,
    /// [`Row::mark`] of the row as it was found; 0: there was none.
    before: u8,
}

/// A row as a command leaves it.
#[derive(Debug)]
pub struct Written<'a, T: OfRun> {
    /// Its run.
    pub run: &'a RunKey,
    /// Where it is.
    pub place: &'a T::Place,
    /// [`Row::mark`] before the command; 0: it is new.
    pub before: u8,
    /// The row.
    pub row: &'a T,
}

/// A command's view of the rows of one type. A row is looked up by its place: its key is made only to read or to write it.
#[derive(Debug)]
pub struct Rows<T: OfRun> {
    /// In the order in which they were first looked up.
    known: Vec<Known<T>>,
    /// Places in `known`, once these are many.
    index: BTreeMap<(RunKey, T::Place), usize>,
}

impl<T: OfRun> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows {
            known: Vec::new(),
            index: BTreeMap::new(),
        }
    }
}

impl<T: OfRun> Rows<T> {
    fn find(&self, run: &RunKey, place: &T::Place) -> Option<usize> {
        if self.known.len() > FEW {
            self.index.get(&(run.clone(), place.clone())).copied()
        } else {
            // The last ones are asked for most.
            let found = |known: &Known<T>| known.place == *place && known.run == *run;
            self.known.iter().rposition(found)
        }
    }

    fn add(&mut self, run: &RunKey, place: T::Place, slot: Slot<T>) -> usize {
        let before = match &slot {
            Slot::Present(row, State::Clean) => row.mark(),
            _ => 0,
        };
        let at = self.known.len();
        self.known.push(Known {
            run: run.clone(),
            place,
            slot,
            before,
        });
        let first_without = match self.known.len() {
            0..=FEW => return at,
            len if len == FEW + 1 => 0,
            _ => at,
        };
        let new = self.known.iter().zip(0..).skip(first_without);
        self.index
            .extend(new.map(|(known, at)| ((known.run.clone(), known.place.clone()), at)));
        at
    }

    fn slot(
        &mut self,
        context: &Context<'_>,
        run: &RunKey,
        place: T::Place,
    ) -> Result<&mut Slot<T>, Rejection> {
        let at = if let Some(at) = self.find(run, &place) {
            at
        } else {
            let slot = match context.get(Family::State, &place.key(run))? {
                Some(value) => Slot::Present(Box::new(decode(&value)?), State::Clean),
                None => Slot::Absent,
            };
            self.add(run, place, slot)
        };
        Ok(&mut self.known[at].slot)
    }

    /// The row, if it exists.
    pub fn get(
        &mut self,
        context: &Context<'_>,
        run: &RunKey,
        place: T::Place,
    ) -> Result<Option<&T>, Rejection> {
        Ok(match self.slot(context, run, place)? {
            Slot::Present(row, _) => Some(row),
            Slot::Absent | Slot::Deleted => None,
        })
    }

    /// The row, to be changed: it will be written.
    pub fn get_mut(
        &mut self,
        context: &Context<'_>,
        run: &RunKey,
        place: T::Place,
    ) -> Result<Option<&mut T>, Rejection> {
        Ok(match self.slot(context, run, place)? {
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
    pub fn insert(&mut self, run: &RunKey, place: T::Place, row: T) {
        let row = Box::new(row);
        match self.find(run, &place) {
            Some(at) => {
                let slot = &mut self.known[at].slot;
                let state = match slot {
                    // It existed in the store: it must be overwritten, not inserted.
                    Slot::Deleted | Slot::Present(_, State::Clean | State::Dirty) => State::Dirty,
                    Slot::Absent | Slot::Present(_, State::New) => State::New,
                };
                *slot = Slot::Present(row, state);
            }
            None => {
                self.add(run, place, Slot::Present(row, State::New));
            }
        }
    }

    /// Deletes a row, if it exists.
    pub fn delete(&mut self, run: &RunKey, place: T::Place) {
        match self.find(run, &place) {
            Some(at) => {
                let slot = &mut self.known[at].slot;
                *slot = match slot {
                    Slot::Present(_, State::New) | Slot::Absent => Slot::Absent,
                    Slot::Present(..) | Slot::Deleted => Slot::Deleted,
                };
            }
            None => {
                self.add(run, place, Slot::Deleted);
            }
        }
    }

    /// Writes what was changed, shows it, and forgets all.
    pub fn flush(
        &mut self,
        context: &mut Context<'_>,
        mut show: impl FnMut(&mut Context<'_>, Written<'_, T>) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        self.index.clear();
        for Known {
            run,
            place,
            slot,
            before,
        } in self.known.drain(..)
        {
            let (row, state) = match slot {
                Slot::Present(_, State::Clean) | Slot::Absent => continue,
                Slot::Present(row, state) => (Some(row), state),
                Slot::Deleted => (None, State::Dirty),
            };
            let key = context.bytes(&place.key(&run));
            match row {
                None => context.delete(Family::State, key)?,
                Some(row) => {
                    let written = Written {
                        run: &run,
                        place: &place,
                        before,
                        row: &*row,
                    };
                    show(context, written)?;
                    let value = context.encoded(&*row);
                    match state {
                        State::New => context.insert(Family::State, key, value)?,
                        _ => context.put(Family::State, key, value)?,
                    }
                }
            }
        }
        Ok(())
    }
}

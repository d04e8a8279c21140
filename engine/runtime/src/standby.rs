//! A replica of a group that follows its changelog, ready to become the owner.
//!
//! ```text
//!   Standby::open ─► step, step, … (whole batches; write-backs now and then)
//!       └► Standby::take_over ─► TakeOver::step, … ─► Owned: a store and a writer, for Group::open
//! ```
//!
//! Like a group it is a step function: time is given to it, and a thread ([`crate::StandbyDriver`]) or a simulation
//! drives it. A take-over replays what the standby lags behind and no more.

use std::sync::Arc;
use std::time::Duration;

use index::{Applied, Base, Options, ReadHandle, Schema, Store, WriteBack};
use wal::{Backlog, GroupId, Log, Partition, Position, WalError, Writer};

use crate::EngineError;
use crate::recovery::{Changelog, Fencing, Replayed};

/// How far a standby has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Applied since it was opened.
    pub applied: Replayed,
    /// The last applied commit record; `None`: an empty store.
    pub position: Option<Position>,
    /// What the log shows and the standby has not read: an estimate of the log's. `None`: the log cannot tell.
    pub lag: Option<Backlog>,
    /// How long the lag takes at the pace of late, if nothing were appended meanwhile. `None`: not known yet.
    pub catch_up: Option<Duration>,
}

/// See the module.
pub struct Standby {
    id: GroupId,
    log: Arc<dyn Log>,
    store: Store,
    changelog: Changelog,
    pace: Pace,
}

impl Standby {
    /// A standby on a base: an old one of its own, a shipped checkpoint (see [`index::Shipment`]) or an empty one.
    ///
    /// # Errors
    /// [`EngineError::BaseTooOld`]: throw the base away and ship a newer checkpoint. [`EngineError::Start`] on a log
    /// whose readers see what is not durable: a base must never be ahead of the log. The base or the log failed.
    pub fn open(
        id: GroupId,
        log: Arc<dyn Log>,
        base: Arc<dyn Base>,
        schema: Arc<dyn Schema>,
        options: Options,
    ) -> Result<Standby, EngineError> {
        if log.shows_undurable() {
            return Err(EngineError::Start(format!(
                "group {id}: this log has one process, which owns all groups; it has no standbys"
            )));
        }
        let store = Store::open(base, schema, options)?;
        let changelog = Changelog::open(log.as_ref(), id, &store)?;
        Ok(Standby {
            id,
            log,
            store,
            changelog,
            pace: Pace::default(),
        })
    }

    /// The group that it follows.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Read access to what is applied, for reads that may be stale.
    pub fn reader(&self) -> ReadHandle {
        self.store.reader()
    }

    /// Reads a bounded number of records and applies the batches that they complete; and does a piece of what is left to
    /// build of its indexes. Says whether there was anything to do.
    /// `now_ms` is for the estimate of the pace alone.
    ///
    /// # Errors
    /// [`EngineError::BaseTooOld`]: the log has dropped records that were not read yet. The log is damaged or the store
    /// failed.
    pub fn step(&mut self, now_ms: i64) -> Result<bool, EngineError> {
        let more = self.changelog.apply(&mut self.store)?;
        self.pace.note(now_ms, self.changelog.replayed.bytes, more);
        if !self.store.is_indexing() {
            return Ok(more);
        }
        self.store.index_piece()?;
        Ok(true)
    }

    /// Whether secondary indexes are to be built or removed, which [`Standby::step`] does.
    pub fn is_indexing(&self) -> bool {
        self.store.is_indexing()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let changes = Partition::changelog(self.id);
        let lag = self.log.backlog(changes, self.changelog.position);
        Progress {
            applied: self.changelog.replayed,
            position: self.store.applied().map(|applied| applied.position),
            catch_up: lag.and_then(|lag| self.pace.estimate(lag.bytes)),
            lag,
        }
    }

    /// The last applied commit record.
    pub fn applied(&self) -> Option<&Applied> {
        self.store.applied()
    }

    /// What its store holds in memory.
    pub fn load(&self) -> index::Load {
        self.store.load()
    }

    /// Applied changes to be written to the base, if they are many enough (or `force`): see
    /// [`Store::start_write_back`].
    pub fn start_write_back(&mut self, force: bool) -> Option<WriteBack> {
        self.store.start_write_back(force)
    }

    /// The base has them.
    pub fn finish_write_back(&mut self, written: &WriteBack) {
        self.store.finish_write_back(written);
    }

    /// Begins to become the owner: opens the group's writer, which fences every earlier owner.
    pub fn take_over(self) -> Result<TakeOver, EngineError> {
        Ok(TakeOver {
            fencing: Fencing::begin(self.log.as_ref(), self.id)?,
            before: self.changelog.replayed,
            standby: self,
        })
    }
}

/// A standby that is becoming the owner.
pub struct TakeOver {
    standby: Standby,
    fencing: Fencing,
    before: Replayed,
}

impl TakeOver {
    /// Goes as far as it can without waiting. Says whether it is done: [`TakeOver::finish`] then.
    ///
    /// # Errors
    /// [`WalError::Fenced`]: another server has begun to take over later than this one. The log or the store failed.
    pub fn step(&mut self) -> Result<bool, EngineError> {
        let Standby {
            log,
            store,
            changelog,
            ..
        } = &mut self.standby;
        self.fencing.step(log.as_ref(), changelog, store)
    }

    /// Steps until it is done.
    pub fn run(self) -> Result<Owned, EngineError> {
        let mut standby = self.standby;
        let (writer, term) = self.fencing.run(
            standby.log.as_ref(),
            &mut standby.changelog,
            &mut standby.store,
        )?;
        Ok(owned(standby, self.before, writer, term))
    }

    /// The store and the writer.
    ///
    /// # Errors
    /// It is not done yet.
    pub fn finish(self) -> Result<Owned, EngineError> {
        let (writer, term) = self
            .fencing
            .finish()
            .ok_or(EngineError::Log(WalError::Closed))?;
        Ok(owned(self.standby, self.before, writer, term))
    }
}

fn owned(standby: Standby, before: Replayed, writer: Box<dyn Writer>, term: Position) -> Owned {
    let after = standby.changelog.replayed;
    Owned {
        id: standby.id,
        store: standby.store,
        writer,
        term,
        replayed: Replayed {
            batches: after.batches - before.batches,
            records: after.records - before.records,
            bytes: after.bytes - before.bytes,
        },
    }
}

/// What the owner of a group has: all committed changes, and the writer that fenced every earlier owner.
pub struct Owned {
    /// The group.
    pub id: GroupId,
    /// The fold of all committed changes.
    pub store: Store,
    /// The group's writer.
    pub writer: Box<dyn Writer>,
    /// The owner's term: the position of its barrier.
    pub term: Position,
    /// What the take-over had to apply.
    pub replayed: Replayed,
}

/// Bytes per millisecond while there was something to apply.
#[derive(Debug, Default)]
struct Pace {
    last_ms: i64,
    last_bytes: u64,
    busy: bool,
    ms: u64,
    bytes: u64,
}

/// What is older than about this many busy milliseconds counts half.
const MEMORY_MS: u64 = 4_000;

impl Pace {
    fn note(&mut self, now_ms: i64, bytes: u64, busy: bool) {
        if self.busy {
            self.ms += u64::try_from(now_ms.saturating_sub(self.last_ms)).unwrap_or(0);
            self.bytes += bytes - self.last_bytes;
        }
        if self.ms >= MEMORY_MS {
            self.ms /= 2;
            self.bytes /= 2;
        }
        (self.last_ms, self.last_bytes, self.busy) = (now_ms, bytes, busy);
    }

    fn estimate(&self, bytes: u64) -> Option<Duration> {
        if bytes == 0 {
            return Some(Duration::ZERO);
        }
        let ms = u128::from(bytes) * u128::from(self.ms) / u128::from(self.bytes).max(1);
        let known = self.ms > 0 && self.bytes > 0;
        known.then(|| Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_that_of_the_pace_while_busy() {
        let mut pace = Pace::default();
        assert_eq!(pace.estimate(1), None);
        assert_eq!(pace.estimate(0), Some(Duration::ZERO));
        pace.note(1_000, 0, true);
        pace.note(2_000, 50_000, true);
        // The end of what there was: 100,000 bytes took 2 s. Then an hour without anything to do.
        pace.note(3_000, 100_000, false);
        pace.note(3_603_000, 100_000, true);
        assert_eq!(pace.estimate(25_000), Some(Duration::from_millis(500)));
        // A clock that is set back does no harm.
        pace.note(5, 100_000, true);
        assert_eq!(pace.estimate(25_000), Some(Duration::from_millis(500)));
    }
}

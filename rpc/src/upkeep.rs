//! Keeps two checkpoints of each group, and the log since the older one.
//!
//! A checkpoint is made rarely: when the log has grown by some bytes since the last one, or when that one has become
//! old, also of a group that rests, since a checkpoint keeps the bytes of what was deleted after it; and at once if there
//! is none and the log has lost its beginning, since then nothing else tells what the state should be. Two of them are kept, none longer than twice the age, so that the bytes and the log that they hold go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender};
use index_rocks::Checkpoint;
use wal::{Log, Partition, Position, WalError};

use crate::stores::{Stored, Stores};
use crate::tools::remove_abandoned;

/// How often it is looked whether one is due.
const TICK: Duration = Duration::from_millis(200);
/// After a checkpoint that could not be made, the next try.
const RETRY: Duration = Duration::from_secs(10);
/// So many are kept.
const KEPT: usize = 2;
/// If no new checkpoint can be made, the old ones go when they hold this many times as much as they should: a disk that is
/// full of log must not stay so.
const PATIENCE: u32 = 4;

/// When a checkpoint is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// A checkpoint is due when the last one is this old.
    pub(crate) age: Duration,
    /// And when the log, of all groups together, has grown by this many bytes since.
    pub(crate) log_bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Rest,
    Make,
    DropOldest,
}

impl Schedule {
    /// What there is to do, `since` the newest of `kept` was made (or the start, if there is none), at a `distance` of the log;
    /// `is_cut`: the log no longer begins at its start.
    fn step(
        &self,
        kept: &VecDeque<Checkpoint>,
        is_cut: bool,
        since: Duration,
        distance: u64,
    ) -> Step {
        let oldest = kept.front().map(Checkpoint::age).unwrap_or_default();
        let is_missing = kept.is_empty() && is_cut;
        if is_missing || since >= self.age || distance >= self.log_bytes {
            Step::Make
        } else if kept.len() > KEPT || (kept.len() > 1 && oldest >= self.age * 2) {
            Step::DropOldest
        } else {
            Step::Rest
        }
    }

    fn is_overdue(&self, since: Duration, distance: u64) -> bool {
        since >= self.age * PATIENCE || distance >= self.log_bytes * u64::from(PATIENCE)
    }
}

/// The checkpoints of one group.
struct Group {
    kept: VecDeque<Checkpoint>,
    started: Instant,
    /// Bytes of the log when the newest was made.
    log_at: u64,
    /// The log no longer begins at its start, so that the state cannot be made from it alone.
    is_cut: bool,
    retry_at: Option<Instant>,
}

/// The thread that does it. It ends when this is dropped.
pub(crate) struct Upkeep {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Finds the checkpoints that are there, says to each store from where on the log must stay, and starts. Before the
    /// stores are used: they might let the log go.
    pub(crate) fn start(stores: Arc<Stores>, schedule: Schedule) -> std::io::Result<Upkeep> {
        let mut groups = Vec::new();
        for stored in &stores.groups {
            index_rocks::remove_unfinished(&stored.checkpoints)?;
            let group = Group {
                kept: index_rocks::checkpoints(&stored.checkpoints)?.into(),
                started: Instant::now(),
                log_at: 0,
                is_cut: is_cut(stored, &stores),
                retry_at: None,
            };
            group.retain(stored);
            groups.push(group);
        }
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let thread = std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || {
                wal::background::step_back();
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    for (group, stored) in groups.iter_mut().zip(&stores.groups) {
                        group.look(stored, &stores, &schedule);
                    }
                    remove_abandoned(&stores.snapshots);
                }
            })?;
        Ok(Upkeep {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; nothing depends on it.
            let _ = thread.join();
        }
    }
}

impl Group {
    /// Without a checkpoint the whole log is kept: from it alone the state can be made.
    fn retain(&self, stored: &Stored) {
        let from = self.kept.front().map(|checkpoint| checkpoint.position);
        stored
            .base
            .retain_from(Some(from.unwrap_or(Position::START)));
    }

    fn look(&mut self, stored: &Stored, stores: &Stores, schedule: &Schedule) {
        let written = stores.log.bytes_written();
        let distance = written - self.log_at;
        let newest = self.kept.back().map(Checkpoint::age);
        let since = newest.unwrap_or_else(|| self.started.elapsed());
        match schedule.step(&self.kept, self.is_cut, since, distance) {
            Step::Rest => {}
            Step::DropOldest => self.drop_oldest(stored, stores),
            Step::Make => {
                if self.retry_at.is_some_and(|at| at > Instant::now()) {
                    return;
                }
                let last = self.kept.back();
                let made = stored
                    .base
                    .add_checkpoint(&stored.checkpoints, last, &stores.shared);
                match made {
                    Ok(Some(made)) => {
                        tracing::debug!(group = %stored.id, position = %made.position, "checkpoint");
                        self.kept.push_back(made);
                        self.log_at = written;
                        self.retry_at = None;
                        while self.kept.len() > KEPT {
                            self.drop_oldest(stored, stores);
                        }
                        self.let_log_go(stored, stores);
                    }
                    // Nothing was ever written to it.
                    Ok(None) => {
                        self.log_at = written;
                        self.is_cut = false;
                    }
                    Err(error) => {
                        tracing::warn!(group = %stored.id, %error, "no checkpoint could be made");
                        self.retry_at = Instant::now().checked_add(RETRY);
                        if schedule.is_overdue(since, distance) {
                            tracing::warn!(group = %stored.id, "the oldest checkpoint is given up, so that the log does not fill the disk");
                            self.drop_oldest(stored, stores);
                        }
                    }
                }
            }
        }
    }

    fn drop_oldest(&mut self, stored: &Stored, stores: &Stores) {
        if let Some(oldest) = self.kept.pop_front()
            && let Err(error) = oldest.remove()
        {
            tracing::warn!(path = %oldest.path.display(), %error, "an old checkpoint could not be removed");
        }
        if self.kept.is_empty() {
            // Only after it could not be replaced for long: the log follows the store alone.
            stored.base.retain_from(None);
            self.is_cut = true;
        } else {
            self.let_log_go(stored, stores);
        }
    }

    fn let_log_go(&self, stored: &Stored, stores: &Stores) {
        self.retain(stored);
        if let Some(oldest) = self.kept.front() {
            stores
                .log
                .trim(Partition::changelog(stored.id), oldest.position);
        }
    }
}

/// Whether the log has dropped changes of the group.
fn is_cut(stored: &Stored, stores: &Stores) -> bool {
    let reader = stores
        .log
        .open_reader(Partition::changelog(stored.id), Position::START);
    matches!(reader, Err(WalError::Truncated { .. }))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn kept(ages: &[u64]) -> VecDeque<Checkpoint> {
        ages.iter()
            .map(|age| Checkpoint {
                number: 1,
                position: Position::START,
                path: "x".into(),
                made: SystemTime::now() - Duration::from_secs(*age),
            })
            .collect()
    }

    #[test]
    fn one_is_made_when_the_last_is_old_or_the_log_has_grown() {
        let schedule = Schedule {
            age: Duration::from_secs(10),
            log_bytes: 1000,
        };
        for (ages, since, distance, expected) in [
            (&[][..], 0, 0, Step::Rest),
            (&[], 11, 0, Step::Make),
            (&[], 0, 1000, Step::Make),
            (&[5], 5, 999, Step::Rest),
            (&[15, 5], 5, 0, Step::Rest),
            (&[15, 5], 5, 1000, Step::Make),
            (&[21, 5], 5, 0, Step::DropOldest),
            (&[3, 2, 1], 1, 0, Step::DropOldest),
            (&[21, 11], 11, 0, Step::Make),
            (&[21], 9, 0, Step::Rest),
        ] {
            let since = Duration::from_secs(since);
            assert_eq!(
                schedule.step(&kept(ages), false, since, distance),
                expected,
                "{ages:?}"
            );
        }
        for (ages, expected) in [(&[][..], Step::Make), (&[5], Step::Rest)] {
            let step = schedule.step(&kept(ages), true, Duration::ZERO, 0);
            assert_eq!(step, expected, "{ages:?}, and the log is cut");
        }
        assert!(!schedule.is_overdue(Duration::from_secs(39), 3999));
        assert!(schedule.is_overdue(Duration::from_secs(40), 0));
        assert!(schedule.is_overdue(Duration::ZERO, 4000));
    }
}

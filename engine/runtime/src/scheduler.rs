//! Which group writes back next: one bound on memory and on what a crash would replay, for all groups of the process.
//!
//! A write-back takes what a group has committed to its base store and makes it durable there; then the log may drop what
//! lies before. Each group's thread reports what its store holds, and learns whether it is its turn. The largest goes
//! first, so that few large writes do most; the oldest goes after a while however small it is, so that it pins nothing.
//! No threads and no clock here: a function of what was reported, and when.

use std::collections::BTreeMap;

use index::{Gathered, Load};
use parking_lot::Mutex;
use wal::GroupId;

/// What all groups of a process together may hold that their base stores have not got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Records of the changelogs that a crash would have to replay.
    pub replay_records: u64,
    /// Bytes of their keys and values.
    pub replay_bytes: u64,
    /// Bytes of memory of committed changes and overlays.
    pub memory_bytes: usize,
    /// A group's changes are written back after this time, however few: milliseconds.
    pub idle_ms: i64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            replay_records: 300_000,
            replay_bytes: 32 << 20,
            memory_bytes: 128 << 20,
            idle_ms: 10_000,
        }
    }
}

type Wake = Box<dyn Fn() + Send>;

struct Account {
    load: Load,
    /// When the first of the changes that gather was reported.
    since_ms: Option<i64>,
    /// It is its turn, and it has not begun yet.
    asked: bool,
    wake: Wake,
}

/// See the module.
pub struct Scheduler {
    bounds: Bounds,
    accounts: Mutex<BTreeMap<GroupId, Account>>,
}

/// What a group is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Write back now.
    pub write_back: bool,
    /// Take no more inputs: write-backs are under way and do not keep up. They wait in the log, where the number of
    /// commands that wait is bounded too.
    pub hold: bool,
}

impl Scheduler {
    /// Without groups.
    pub fn new(bounds: Bounds) -> Scheduler {
        Scheduler {
            bounds,
            accounts: Mutex::new(BTreeMap::new()),
        }
    }

    /// A group that will report. `wake` makes it report soon; it is called under a lock and must not block.
    pub fn attach(&self, id: GroupId, wake: Box<dyn Fn() + Send>) {
        let account = Account {
            load: Load::default(),
            since_ms: None,
            asked: false,
            wake,
        };
        self.accounts.lock().insert(id, account);
    }

    /// A group that is gone; its store counts no more.
    pub fn detach(&self, id: GroupId) {
        self.accounts.lock().remove(&id);
    }

    /// What a group's store holds at this time (milliseconds of a clock that all groups share); says what it is to do.
    pub fn report(&self, id: GroupId, load: Load, now_ms: i64) -> Turn {
        let mut accounts = self.accounts.lock();
        let Some(account) = accounts.get_mut(&id) else {
            return Turn::default();
        };
        account.load = load;
        if load.gathering.is_empty() {
            account.since_ms = None;
            account.asked = false;
        } else if account.since_ms.is_none() {
            account.since_ms = Some(now_ms);
        }
        if let Some(next) = self.next(&accounts, now_ms)
            && let Some(account) = accounts.get_mut(&next)
        {
            account.asked = true;
            if next != id {
                (account.wake)();
            }
        }
        let hold = self.is_full(&accounts);
        let write_back = accounts.get_mut(&id).is_some_and(|account| {
            let is_turn = account.asked && account.load.writing == Gathered::default();
            if is_turn {
                account.asked = false;
                // What gathers from now on is newer.
                account.since_ms = None;
            }
            is_turn
        });
        Turn { write_back, hold }
    }

    /// The group that should begin a write-back, if one should: when three fifths of a bound have gathered. The rest is
    /// for what comes while they are being written; if it were more, files would be smaller and compacted more often.
    fn next(&self, accounts: &BTreeMap<GroupId, Account>, now_ms: i64) -> Option<GroupId> {
        // What is asked for or under way already helps.
        let idle = || {
            accounts.iter().filter(|(_, account)| {
                !account.asked
                    && account.load.writing == Gathered::default()
                    && !account.load.gathering.is_empty()
            })
        };
        let gathering = accounts
            .values()
            .filter(|account| !account.asked)
            .map(|account| account.load.gathering)
            .fold(Gathered::default(), Gathered::and);
        let Bounds {
            replay_records,
            replay_bytes,
            memory_bytes,
            ..
        } = self.bounds;
        let largest = if gathering.memory > memory_bytes / 5 * 3 {
            idle().max_by_key(|(_, account)| account.load.gathering.memory)
        } else if gathering.records > replay_records / 5 * 3 {
            idle().max_by_key(|(_, account)| account.load.gathering.records)
        } else if gathering.bytes > replay_bytes / 5 * 3 {
            idle().max_by_key(|(_, account)| account.load.gathering.bytes)
        } else {
            idle()
                .filter(|(_, account)| {
                    account
                        .since_ms
                        .is_some_and(|since| now_ms.saturating_sub(since) >= self.bounds.idle_ms)
                })
                .min_by_key(|(_, account)| account.since_ms)
        };
        largest.map(|(id, _)| *id)
    }

    /// Whether the groups hold more than they may, although write-backs are under way. Without one nobody is held: it
    /// would not end.
    fn is_full(&self, accounts: &BTreeMap<GroupId, Account>) -> bool {
        let mut all = Gathered::default();
        let mut is_writing = false;
        for Account { load, .. } in accounts.values() {
            all = all.and(load.gathering).and(load.writing);
            all.memory += load.overlays;
            is_writing |= load.writing != Gathered::default();
        }
        is_writing
            && (all.memory > self.bounds.memory_bytes
                || all.records > self.bounds.replay_records
                || all.bytes > self.bounds.replay_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        replay_records: 1_000,
        replay_bytes: 100_000,
        memory_bytes: 1_000_000,
        idle_ms: 500,
    };

    fn scheduler(groups: u16) -> (Scheduler, Arc<Mutex<Vec<GroupId>>>) {
        let (scheduler, woken) = (Scheduler::new(BOUNDS), Arc::new(Mutex::new(Vec::new())));
        for id in (0..groups).map(GroupId) {
            let woken = Arc::clone(&woken);
            scheduler.attach(id, Box::new(move || woken.lock().push(id)));
        }
        (scheduler, woken)
    }

    fn gathered(records: u64) -> Gathered {
        Gathered {
            records,
            bytes: records * 10,
            memory: records as usize * 100,
        }
    }

    fn load(gathering: u64, writing: u64) -> Load {
        Load {
            gathering: gathered(gathering),
            writing: gathered(writing),
            overlays: 0,
        }
    }

    #[test]
    fn the_largest_goes_first_and_is_asked_once() {
        let (scheduler, woken) = scheduler(3);
        assert_eq!(
            scheduler.report(GroupId(0), load(400, 0), 0),
            Turn::default()
        );
        assert_eq!(
            scheduler.report(GroupId(1), load(100, 0), 1),
            Turn::default()
        );
        // Together too many: the largest is another.
        assert_eq!(
            scheduler.report(GroupId(2), load(150, 0), 2),
            Turn::default()
        );
        assert_eq!(*woken.lock(), [GroupId(0)]);
        assert!(!scheduler.report(GroupId(1), load(120, 0), 3).write_back);
        assert_eq!(woken.lock().len(), 1, "asked twice");
        assert!(scheduler.report(GroupId(0), load(410, 0), 4).write_back);
        // Under way: what the others hold is within the bounds.
        assert!(!scheduler.report(GroupId(0), load(10, 410), 5).write_back);
        assert!(!scheduler.report(GroupId(1), load(200, 0), 6).write_back);
        assert!(scheduler.report(GroupId(1), load(460, 0), 7).write_back);
    }

    #[test]
    fn each_bound_counts() {
        for part in 0..3 {
            let (scheduler, _) = scheduler(1);
            let mut load = load(1, 0);
            match part {
                0 => load.gathering.records = 601,
                1 => load.gathering.bytes = 60_001,
                _ => load.gathering.memory = 600_001,
            }
            assert!(scheduler.report(GroupId(0), load, 0).write_back, "{part}");
        }
    }

    #[test]
    fn the_oldest_goes_after_a_while_however_small() {
        let (scheduler, woken) = scheduler(2);
        assert!(!scheduler.report(GroupId(0), load(1, 0), 0).write_back);
        assert!(!scheduler.report(GroupId(1), load(9, 0), 100).write_back);
        assert!(!scheduler.report(GroupId(1), load(9, 0), 499).write_back);
        // An idle group learns it from a busy one.
        assert!(!scheduler.report(GroupId(1), load(9, 0), 500).write_back);
        assert_eq!(*woken.lock(), [GroupId(0)]);
        assert!(scheduler.report(GroupId(0), load(1, 0), 501).write_back);
        assert!(!scheduler.report(GroupId(0), load(0, 1), 502).write_back);
        assert!(scheduler.report(GroupId(1), load(9, 0), 600).write_back);
        // What has gathered since is young.
        assert!(!scheduler.report(GroupId(1), load(2, 9), 700).write_back);
        assert!(!scheduler.report(GroupId(1), load(2, 0), 900).write_back);
        assert!(scheduler.report(GroupId(1), load(2, 0), 1_200).write_back);
    }

    #[test]
    fn inputs_are_held_only_while_a_write_back_runs_behind() {
        let (scheduler, _) = scheduler(2);
        // One commit may be larger than all bounds: its write-back is the way out.
        let turn = scheduler.report(GroupId(0), load(5_000, 0), 0);
        assert_eq!((turn.write_back, turn.hold), (true, false));
        assert!(scheduler.report(GroupId(0), load(0, 5_000), 1).hold);
        assert!(
            scheduler.report(GroupId(1), load(1, 0), 1).hold,
            "one bound for all"
        );
        assert!(!scheduler.report(GroupId(0), load(0, 0), 2).hold);
        assert!(!scheduler.report(GroupId(1), load(1, 0), 2).hold);
        // Overlays count as memory.
        let mut heavy = load(1, 1);
        heavy.overlays = 1_000_000;
        assert!(scheduler.report(GroupId(1), heavy, 3).hold);
    }

    #[test]
    fn a_group_that_is_gone_holds_nobody() {
        let (scheduler, _) = scheduler(2);
        scheduler.report(GroupId(0), load(400, 900), 0);
        assert!(scheduler.report(GroupId(1), load(1, 0), 0).hold);
        scheduler.detach(GroupId(0));
        assert_eq!(scheduler.report(GroupId(1), load(1, 0), 0), Turn::default());
        assert_eq!(
            scheduler.report(GroupId(0), load(9_000, 0), 0),
            Turn::default()
        );
    }
}

//! All servers on one log, and a scheduler that decides what happens next.

use index::Family;
use ironhorse_runtime::writer_id;
use wal::memory::{Ending, MemoryLog};
use wal::{GroupId, Partition, Position};

use super::app::{FIRED, GROUPS, OPENING, short, to_number};
use super::chance::Chance;
use super::clients::Clients;
use super::counters::Counters;
use super::oracle::Oracle;
use super::server::{Replica, Server};

pub const SERVERS: usize = 3;
/// After this many rounds without faults everything must have come to rest.
const ROUNDS: usize = 4000;

pub struct World {
    pub chance: Chance,
    pub log: MemoryLog,
    pub now_ms: i64,
    pub servers: Vec<Server>,
    pub oracle: Oracle,
    pub clients: Clients,
    pub counters: Counters,
    pub visits: u64,
    /// Faults happen.
    pub faults: bool,
    /// Replicas that the step has touched.
    pub touched: Vec<(usize, usize)>,
    checks: u64,
}

impl World {
    pub fn new(seed: u64) -> World {
        let log = MemoryLog::new();
        log.hold_commits();
        log.sync_with_commits();
        let mut world = World {
            chance: Chance::new(seed),
            oracle: Oracle::new(log.clone()),
            log,
            now_ms: 1_000_000,
            servers: [-40, 0, 40].map(Server::new).into(),
            clients: Clients::default(),
            counters: Counters::default(),
            visits: 0,
            faults: true,
            touched: Vec::new(),
            checks: 0,
        };
        for server in 0..SERVERS {
            world.restart(server);
        }
        world
    }

    /// One thing happens.
    pub fn step(&mut self) {
        self.now_ms += self.chance.below(12) as i64;
        let server = self.chance.below(SERVERS as u64) as usize;
        let group = self.chance.below(u64::from(GROUPS)) as usize;
        match self.chance.below(1000) {
            0..150 => {
                self.clients
                    .submit(&self.log, &mut self.chance, &mut self.counters, self.now_ms);
            }
            150..190 => {
                self.clients
                    .repeat(&self.log, &mut self.chance, &mut self.counters, self.now_ms);
            }
            190..250 => self.visit(server),
            250..260 => self.servers[server].leave(),
            260..560 => self.owner_does(group, World::drive),
            560..700 => self.end_commit(group),
            700..800 => self.owner_does(group, World::hear),
            800..860 => self.follow(server, group),
            860..900 => self.begin_write_back(server, group),
            900..930 => self.end_write_back(server, group),
            930..955 => self.elect(group),
            955..975 => self.ship(server, group),
            975..985 => self.hold_back(group),
            985..993 => self.restart(server),
            993..997 => self.crash(server, "server: crash"),
            997..998 => self.wipe(server, group),
            998..999 => self.usurp(group),
            _ => {
                if self.chance.one_in(2) {
                    self.power_cut();
                }
            }
        }
        self.check();
    }

    /// Whoever owns the group, or believes to, does something: there may be several.
    fn owner_does(&mut self, group: usize, does: impl Fn(&mut World, usize, usize)) {
        let first = self.chance.below(SERVERS as u64) as usize;
        for n in 0..SERVERS {
            let server = (first + n) % SERVERS;
            match &self.servers[server].replicas[group] {
                Replica::Owner(_) => {
                    does(self, server, group);
                    // The others come on other steps; now and then all of them do.
                    if !self.chance.one_in(4) {
                        return;
                    }
                }
                Replica::Recovering { .. } | Replica::TakingOver { .. } => {
                    self.become_owner(server, group);
                }
                _ => {}
            }
        }
    }

    /// After each step: the log against the model, and what was touched against the log.
    fn check(&mut self) {
        self.oracle.sync(&mut self.counters);
        for (server, group) in std::mem::take(&mut self.touched) {
            self.checks += 1;
            let full = self.checks.is_multiple_of(16);
            self.check_replica(server, group, full);
        }
    }

    pub fn check_replica(&self, server: usize, group: usize, full: bool) {
        let build = self.servers[server].build;
        match &self.servers[server].replicas[group] {
            Replica::Owner(owner) => {
                let reader = owner.group.reader();
                // Rows that only batches under way change must look as if nothing had happened.
                let under_way = owner.under_way.back().map_or(&[][..], Vec::as_slice);
                self.oracle
                    .check_store(group, &reader, build, full, under_way);
            }
            Replica::Standby { standby, .. } => {
                let reader = standby.reader();
                self.oracle.check_store(group, &reader, build, full, &[]);
            }
            _ => {}
        }
    }

    fn visit(&mut self, server: usize) {
        if self.servers[server].up && self.servers[server].waiting.total() < 6 {
            self.visits += 1;
            let queue = self.chance.below(2) as u8;
            self.servers[server].visit(queue, self.visits);
        }
    }

    /// The log decides the oldest commit under way of a group.
    fn end_commit(&mut self, group: usize) {
        let writer = writer_id(GroupId(group as u16));
        let (ending, what) = match self.chance.below(if self.faults { 60 } else { 1 }) {
            1 => (Ending::Aborted, "commit: aborted"),
            2 => (Ending::UnknownCommitted, "commit: unknown, happened"),
            3 => (Ending::UnknownAborted, "commit: unknown, did not happen"),
            4 if self.chance.one_in(2) => (Ending::Fenced, "commit: fenced by somebody unseen"),
            _ => (Ending::Committed, "commit: committed"),
        };
        let beginning = self.servers.iter().any(|server| {
            matches!(
                server.replicas[group],
                Replica::TakingOver { .. } | Replica::Recovering { .. }
            )
        });
        if self.log.release_of(&writer, ending) {
            self.counters.hit(what);
            if beginning && ending != Ending::Committed {
                self.counters.hit("take-over: a barrier did not end well");
            }
        }
    }

    fn hold_back(&mut self, group: usize) {
        let id = GroupId(group as u16);
        let partition = match self.chance.below(3) {
            0 => Partition::commands(id),
            1 => Partition::messages(id),
            _ => Partition::changelog(id),
        };
        if !self.log.release_stable_offset(partition) && self.faults {
            self.log.hold_stable_offset(partition);
            self.counters.hit("log: a partition held back");
        }
    }

    fn power_cut(&mut self) {
        self.counters.hit("power cut");
        for server in 0..SERVERS {
            self.crash(server, "server: crash by power cut");
        }
        // Some of what no commit has made durable may have reached the medium all the same.
        let kept = self.chance.below(2) as usize;
        let lost = self.log.crash_keeping(kept);
        self.counters.add("power cut: appends lost", lost as u64);
    }

    /// No more faults: everything that was ever asked for happens, and then nothing does.
    pub fn finish(&mut self) {
        self.faults = false;
        for group in 0..GROUPS {
            let id = GroupId(group);
            for partition in [
                Partition::commands(id),
                Partition::messages(id),
                Partition::changelog(id),
            ] {
                self.log.release_stable_offset(partition);
            }
        }
        let (mut quiet, mut is_idle) = (0, true);
        for _ in 0..ROUNDS {
            self.now_ms += 20;
            let before = (self.oracle.digest, self.clients.requests.len());
            // Who sends everything again while the groups are busy with what they have keeps them busy for ever.
            let sent = if is_idle {
                self.clients.send_all(&self.log, self.now_ms)
            } else {
                0
            };
            for server in 0..SERVERS {
                self.restart(server);
            }
            for group in 0..usize::from(GROUPS) {
                self.round(group);
            }
            let after = (self.oracle.digest, self.clients.requests.len());
            is_idle = before == after && !self.is_indexing();
            quiet = if sent == 0 && is_idle { quiet + 1 } else { 0 };
            // Timers are at most 400 ms away.
            if quiet > 30 {
                self.check_end();
                return;
            }
        }
        panic!("it never came to rest");
    }

    /// Everybody does what there is to do for a group.
    fn round(&mut self, group: usize) {
        self.elect(group);
        for server in 0..SERVERS {
            for _ in 0..3 {
                self.ship(server, group);
                self.follow(server, group);
                self.owner_does(group, World::drive);
                self.end_commit(group);
                self.check();
                self.owner_does(group, World::hear);
                self.check();
            }
            self.begin_write_back(server, group);
            self.end_write_back(server, group);
            self.check();
        }
    }

    fn check_end(&mut self) {
        assert_eq!(self.oracle.unconsumed(), 0, "messages are left");
        let (mut total, mut accounts, mut fired, mut counted) = (0, 0, 0, 0);
        for (group, history) in self.oracle.groups.iter().enumerate() {
            let rows = &history.last().rows[Family::State.slot()];
            for (key, value) in rows {
                match (key[0], key.len()) {
                    (b'a', _) if *key == short(b'a', &[FIRED]) => {
                        counted += to_number(value) - OPENING;
                    }
                    (b'a', _) => {
                        total += to_number(value);
                        accounts += 1;
                    }
                    (b'f', _) => fired += 1,
                    _ => {}
                }
            }
            assert!(history.model.timers.is_empty(), "a timer is left");
            let owners: Vec<usize> = (0..SERVERS)
                .filter(|server| matches!(self.servers[*server].replicas[group], Replica::Owner(_)))
                .collect();
            let [owner] = owners[..] else {
                panic!("group {group} has owners {owners:?}");
            };
            for (queue, ..) in history.model.queued.values() {
                let name = super::app::queue_name(*queue);
                assert_eq!(
                    self.servers[owner].waiting.count(&name),
                    0,
                    "a consumer waits at a queue that has an entry"
                );
            }
            for server in 0..SERVERS {
                let replica = &self.servers[server].replicas[group];
                let reader = match replica {
                    Replica::Owner(owner) => owner.group.reader(),
                    Replica::Standby { standby, .. } => standby.reader(),
                    _ => panic!("group {group} has no replica on server {server}"),
                };
                assert!(!is_indexing(replica), "an index is never complete");
                let build = self.servers[server].build;
                let place = self.oracle.check_store(group, &reader, build, true, &[]);
                assert_eq!(place + 1, history.known.len(), "a replica lags for ever");
                self.oracle
                    .check_base(group, &*self.servers[server].disks[group]);
            }
        }
        assert_eq!(total, accounts * OPENING, "money is conserved");
        assert_eq!(counted, fired, "each fired timer is counted once");
        let requests = self.clients.requests.iter();
        let open = requests
            .filter(|request| request.answer.is_none() && !request.refused)
            .count();
        assert_eq!(open, 0, "commands without answer");
    }

    fn is_indexing(&self) -> bool {
        let replicas = self.servers.iter().flat_map(|server| &server.replicas);
        replicas.into_iter().any(is_indexing)
    }

    /// Positions up to which something was committed.
    pub fn committed_before(&self, group: usize, term: Position) -> usize {
        self.oracle.groups[group]
            .known
            .partition_point(|known| known.position < term)
            - 1
    }
}

/// Whether indexes are to be built or removed.
pub fn is_indexing(replica: &Replica) -> bool {
    match replica {
        Replica::Owner(owner) => owner.group.is_indexing(),
        Replica::Standby { standby, .. } => standby.is_indexing(),
        _ => false,
    }
}

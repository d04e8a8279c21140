//! Bases: slow, failing, lost, shipped; and what the log forgets on their account.

use std::sync::atomic::Ordering;

use index::{Base, Checkpoints, MemoryBase, MemorySink, Shipment};
use ironhorse_runtime::CommitRecord;
use wal::{GroupId, Log, Partition, Position};

use super::server::Replica;
use super::world::{SERVERS, World, is_indexing};

impl World {
    /// Takes committed changes aside, to be written some time later.
    pub fn begin_write_back(&mut self, server: usize, group: usize) {
        let force = self.chance.one_in(3);
        let begun = match &mut self.servers[server].replicas[group] {
            Replica::Owner(owner) if owner.writing.is_none() => {
                owner.writing = owner.group.start_write_back(force);
                owner.writing.is_some()
            }
            Replica::Standby { standby, writing } if writing.is_none() => {
                *writing = standby.start_write_back(force);
                writing.is_some()
            }
            _ => false,
        };
        if begun {
            self.counters.hit("write-back: begun");
            self.touched.push((server, group));
        }
    }

    /// The disk does it, or fails, and the process ends.
    pub fn end_write_back(&mut self, server: usize, group: usize) {
        let fails = self.faults && self.chance.one_in(30);
        let disk = self.servers[server].disks[group].clone();
        let (work, owner) = match &mut self.servers[server].replicas[group] {
            Replica::Owner(owner) => (owner.writing.take(), true),
            Replica::Standby { writing, .. } => (writing.take(), false),
            _ => return,
        };
        let Some(work) = work else { return };
        // Nothing reaches the base before it is committed.
        let position = work.applied().position;
        self.oracle.groups[group].at(position);
        disk.hooks.0.store(fails, Ordering::Relaxed);
        let written = work.run();
        assert_eq!(written.is_err(), fails);
        if fails {
            // It may have become durable all the same.
            if self.chance.one_in(2) {
                disk.base.flush().expect("memory");
                self.counters.hit("write-back: failed, and is durable");
            } else {
                self.counters.hit("write-back: failed, and is lost");
            }
            self.crash(server, "server: crash by its disk");
            return;
        }
        self.counters.hit("write-back: done");
        let commit = CommitRecord::read(&work.applied().commit).expect("our own");
        match &mut self.servers[server].replicas[group] {
            Replica::Owner(owner) => owner.group.finish_write_back(&work),
            Replica::Standby { standby, .. } => standby.finish_write_back(&work),
            _ => {}
        }
        self.oracle.check_base(group, &*disk);
        if owner && self.chance.one_in(3) {
            self.counters.hit("log: trimmed");
            let id = GroupId(group as u16);
            self.log.trim(Partition::changelog(id), position);
            let commands = Position::from_u64(commit.commands);
            self.log.trim(Partition::commands(id), commands);
            let messages = Position::from_u64(commit.messages);
            self.log.trim(Partition::messages(id), messages);
        }
        self.touched.push((server, group));
    }

    /// A server dies; its base falls back to what was durable.
    pub fn crash(&mut self, server: usize, why: &'static str) {
        if !self.servers[server].up {
            return;
        }
        for replica in &self.servers[server].replicas {
            if is_indexing(replica) {
                self.counters
                    .hit("crash of: a replica that builds an index");
            }
            self.counters.hit(match replica {
                Replica::Absent => "crash of: nothing",
                Replica::Shipping { .. } => "crash of: a replica being shipped",
                Replica::Standby { .. } => "crash of: a standby",
                Replica::TakingOver { .. } => "crash of: a take-over",
                Replica::Owner(owner) if owner.group.in_flight() > 0 => {
                    "crash of: an owner with commits under way"
                }
                Replica::Owner(_) => "crash of: an owner",
                Replica::Recovering { .. } => "crash of: a recovery",
            });
        }
        self.counters.hit(why);
        self.servers[server].crash();
        for (group, disk) in self.servers[server].disks.iter().enumerate() {
            self.oracle.check_base(group, &**disk);
        }
    }

    /// A standby's disk is replaced by an empty one, if another server has what the log has forgotten.
    pub fn wipe(&mut self, server: usize, group: usize) {
        let reaches = |other: usize| {
            let durable = self.servers[other].disks[group].durable().expect("memory");
            let after = durable.unwrap_or(Position::START);
            let partition = Partition::changelog(GroupId(group as u16));
            other != server && self.log.open_reader(partition, after).is_ok()
        };
        if !(0..SERVERS).any(reaches) {
            return;
        }
        if matches!(
            self.servers[server].replicas[group],
            Replica::Standby { .. }
        ) {
            self.counters.hit("disk: replaced by an empty one");
            self.servers[server].replicas[group] = Replica::Absent;
            self.servers[server].disks[group] = std::sync::Arc::default();
            self.open_standby(server, group);
        }
    }

    /// A replica without a base that serves gets one from another server, bit by bit.
    pub fn ship(&mut self, server: usize, group: usize) {
        if !self.servers[server].up {
            return;
        }
        if matches!(self.servers[server].replicas[group], Replica::Absent) {
            let first = self.chance.below(SERVERS as u64) as usize;
            let source = (0..SERVERS).map(|n| (first + n) % SERVERS).find(|other| {
                matches!(
                    self.servers[*other].replicas[group],
                    Replica::Owner(_) | Replica::Standby { .. }
                )
            });
            let Some(source) = source else { return };
            let base = &self.servers[source].disks[group].base;
            let source = base.checkpoint().expect("memory");
            let target = MemoryBase::new();
            let sink = Box::new(MemorySink::new(target.clone()));
            let shipment = Shipment::begin(source, sink).expect("memory");
            self.counters.hit("checkpoint: begun");
            self.servers[server].replicas[group] = Replica::Shipping { shipment, target };
            return;
        }
        let Replica::Shipping { shipment, .. } = &mut self.servers[server].replicas[group] else {
            return;
        };
        for _ in 0..3 {
            if shipment.step(4_000).expect("memory") {
                continue;
            }
            let Replica::Shipping { shipment, target } =
                std::mem::replace(&mut self.servers[server].replicas[group], Replica::Absent)
            else {
                return;
            };
            shipment.finish().expect("what was shipped opens");
            self.oracle.check_base(group, &target);
            let disk = super::server::Disk {
                base: std::sync::Arc::new(target),
                ..super::server::Disk::default()
            };
            self.servers[server].disks[group] = std::sync::Arc::new(disk);
            self.counters.hit("checkpoint: arrived");
            self.open_standby(server, group);
            return;
        }
    }
}

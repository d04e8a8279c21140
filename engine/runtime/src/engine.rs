//! All groups of a process, and the way in.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use index::{Base, GlobalStore, Options, ReadHandle, StoreError};
use parking_lot::Mutex;
use wal::{GroupId, Log, Partition, Position, WalError};

use crate::driver::{Driver, Shared};
use crate::host::{Inline, Outlet};
use crate::scheduler::Scheduler;
use crate::write_back::WriteBackThread;
use crate::{
    Application, Bounds, Clock, Command, Health, Limits, Notices, Owned, Replies, RequestId,
    SubmitError, Waiting,
};

/// The engine cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] WalError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log has dropped what the base lacks.
    #[error(
        "the base of group {group} has come to position {base}, and the log begins only after {start}: throw the base away and restore it from a newer checkpoint or backup"
    )]
    BaseTooOld {
        /// The group.
        group: GroupId,
        /// How far the base has come.
        base: Position,
        /// After which position the log can be read.
        start: Position,
    },
    /// Something else; the text says what to do.
    #[error("{0}")]
    Start(String),
}

/// A group to be run: its application and what its store lies on.
pub struct GroupSetup {
    /// Its number.
    pub id: GroupId,
    /// What executes its commands.
    pub app: Arc<dyn Application>,
    /// Where its state is kept.
    pub base: Arc<dyn Base>,
}

impl GroupSetup {
    /// Whether this is the metadata group.
    pub fn is_metadata(&self) -> bool {
        self.id == GroupId::METADATA
    }
}

/// Which group a key belongs to.
///
/// Fixed when the data directory or cluster is made: the number of groups never changes under existing data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    groups: u16,
}

impl Route {
    /// `groups` is at least 1.
    pub fn new(groups: u16) -> Route {
        Route {
            groups: groups.max(1),
        }
    }

    /// How many groups there are.
    pub fn groups(&self) -> u16 {
        self.groups
    }

    /// All groups.
    pub fn all(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.groups).map(GroupId)
    }

    /// The group of a routing key: FNV-1a with a final mix, part of the storage format.
    pub fn group_of(&self, key: &[u8]) -> GroupId {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in key {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash ^= hash >> 32;
        hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
        GroupId((hash % u64::from(self.groups)) as u16)
    }
}

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// What one batch takes.
    pub limits: Limits,
    /// Commands that may wait for their answer at once, over all groups.
    pub waiting_commands: usize,
    /// Of each group's store.
    pub store: Options,
    /// Of all stores together.
    pub bounds: Bounds,
    /// Where answers and deliveries are handed out.
    pub outlet: Arc<dyn Outlet>,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            limits: Limits::default(),
            waiting_commands: 16_384,
            store: Options::default(),
            bounds: Bounds::default(),
            outlet: Arc::new(Inline),
        }
    }
}

/// The groups of this process.
pub struct Engine {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    drivers: Mutex<BTreeMap<GroupId, Driver>>,
    readers: BTreeMap<GroupId, ReadHandle>,
    waiting: Arc<Waiting>,
    replies: Arc<Replies>,
    notices: Arc<Notices>,
    global: Arc<GlobalStore>,
    route: Route,
    scheduler: Arc<Scheduler>,
    write_back: Mutex<WriteBackThread>,
}

impl Engine {
    /// Takes over all groups, replays what their stores lack, and starts their threads. The metadata group is started
    /// first, so that no other group runs without its metadata.
    pub fn start(
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        metadata: GroupSetup,
        groups: Vec<GroupSetup>,
        options: &EngineOptions,
    ) -> Result<Engine, EngineError> {
        let route = Route::new(groups.len() as u16);
        let mut engine = Engine {
            log,
            clock,
            drivers: Mutex::new(BTreeMap::new()),
            readers: BTreeMap::new(),
            waiting: Arc::new(Waiting::new()),
            replies: Arc::new(Replies::new(options.waiting_commands)),
            notices: Arc::new(Notices::default()),
            global: Arc::new(GlobalStore::new()),
            route,
            scheduler: Arc::new(Scheduler::new(options.bounds.clone())),
            write_back: Mutex::new(WriteBackThread::start()?),
        };
        for setup in std::iter::once(metadata).chain(groups) {
            engine.start_group(setup, options)?;
        }
        Ok(engine)
    }

    fn start_group(
        &mut self,
        setup: GroupSetup,
        options: &EngineOptions,
    ) -> Result<(), EngineError> {
        let id = setup.id;
        let driver = Driver::start(setup, self.shared(options), options)?;
        self.readers.insert(id, driver.reader());
        self.drivers.lock().insert(id, driver);
        Ok(())
    }

    /// Runs a group that a standby of this process has taken over.
    pub fn adopt(
        &mut self,
        owned: Owned,
        app: Arc<dyn Application>,
        options: &EngineOptions,
    ) -> Result<(), EngineError> {
        let id = owned.id;
        let driver = Driver::run(owned, app, self.shared(options), options)?;
        self.readers.insert(id, driver.reader());
        self.drivers.lock().insert(id, driver);
        Ok(())
    }

    fn shared(&self, options: &EngineOptions) -> Shared {
        Shared {
            log: Arc::clone(&self.log),
            clock: Arc::clone(&self.clock),
            waiting: Arc::clone(&self.waiting),
            replies: Arc::clone(&self.replies),
            notices: Arc::clone(&self.notices),
            global: Arc::clone(&self.global),
            write_back: self.write_back.lock().sender(),
            scheduler: Arc::clone(&self.scheduler),
            outlet: Arc::clone(&options.outlet),
        }
    }

    /// Which group a key belongs to.
    pub fn route(&self) -> Route {
        self.route
    }

    /// Executes `payload` in `group` and waits for the answer, which comes after the commit.
    pub async fn submit(
        &self,
        group: GroupId,
        request_id: RequestId,
        payload: Bytes,
    ) -> Result<Bytes, SubmitError> {
        let receiver = self.replies.expect(request_id)?;
        let command = Command {
            request_id,
            seen_version: self.global.version(),
            payload,
        };
        let record = command.into_record(self.clock.now_ms());
        match self.log.append(Partition::commands(group), record) {
            Ok(wal::Append::Done(_)) => {}
            Ok(wal::Append::Pending(appended)) => {
                if let Err(error) = appended.await {
                    self.replies.forget(request_id);
                    return Err(error.into());
                }
            }
            Err(error) => {
                self.replies.forget(request_id);
                return Err(error.into());
            }
        }
        receiver.await.unwrap_or_else(|_| {
            Err(SubmitError::Unavailable(
                "the group was given up".to_owned(),
            ))
        })
    }

    /// Read access to the committed state of a group of this process.
    pub fn reader(&self, group: GroupId) -> Option<&ReadHandle> {
        self.readers.get(&group)
    }

    /// Read access to all groups of this process.
    pub fn readers(&self) -> impl Iterator<Item = (GroupId, &ReadHandle)> {
        self.readers.iter().map(|(id, reader)| (*id, reader))
    }

    /// The metadata, as of the last commit.
    pub fn global(&self) -> &Arc<GlobalStore> {
        &self.global
    }

    /// Consumers that wait on this server.
    pub fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Those who wait for something to happen.
    pub fn notices(&self) -> &Arc<Notices> {
        &self.notices
    }

    /// The server's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Who writes back when, for all stores of the process: for a standby that runs in it
    /// ([`crate::StandbyDriver::start`]), of another group than those that the engine runs.
    pub fn scheduler(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// Bytes written to the log since the start.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes_written()
    }

    /// The state of each group.
    pub fn health(&self) -> Vec<(GroupId, Health)> {
        self.drivers
            .lock()
            .iter()
            .map(|(id, driver)| (*id, driver.health()))
            .collect()
    }

    /// Finishes what was taken in, writes everything back, and ends the threads.
    pub fn stop(&self) {
        for driver in self.drivers.lock().values_mut() {
            driver.stop();
        }
        self.replies.fail_all("the server is shutting down");
        self.write_back.lock().stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routing_is_part_of_the_format() {
        let route = Route::new(12);
        let groups: Vec<u16> = ["", "a", "root", "0123456789abcdef0123456789abcdef"]
            .iter()
            .map(|key| route.group_of(key.as_bytes()).0)
            .collect();
        assert_eq!(groups, GOLDEN, "changing the hash strands every stored row");
    }

    const GOLDEN: [u16; 4] = [3, 6, 0, 10];

    #[test]
    fn keys_spread_evenly() {
        let route = Route::new(4);
        let mut counts = [0_u32; 4];
        for n in 0..40_000 {
            counts[usize::from(route.group_of(format!("wf-run-{n}").as_bytes()).0)] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
    }
}

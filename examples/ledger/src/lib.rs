//! A ledger on the generic layers: accounts on different partition groups, transfers between them, each exactly once.
//!
//! It is the tutorial of these layers, and the proof that they know nothing of workflows: it uses `wal` (the log),
//! `index` (the state store), `index-rocks` (its base on disk), `runtime` (groups, messages) and `query` (searches over
//! all groups), and nothing else. Read [`schema`], then [`book`], then this file, which puts them on a disk.
#![deny(missing_docs)]

pub mod book;
pub mod schema;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use index::{Family, KeyRange, Schema, StoreError};
use index_rocks::{RocksBase, Shared};
use prost::Message;
use query::{Local, Merge, Partition, QueryError, Search};
use runtime::{
    Clock, Engine, EngineError, EngineOptions, GroupSetup, RequestId, Route, SubmitError,
};
use wal::embedded::{EmbeddedLog, Options};
use wal::{GroupId, Log, WalError};

use book::{Book, Command, Envelope};
use schema::{Account, ByBalance, Row, Total};

/// Partition groups. Fixed: which group is home of what follows from it.
pub const GROUPS: u16 = 4;
/// Rows read at a time.
const PAGE: usize = 256;

/// The ledger cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] WalError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A group could not be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A group could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A directory could not be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A stored row or index entry is not what this build writes.
    #[error("stored data is damaged: key {0:?}")]
    Damaged(Bytes),
}

struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as i64)
    }
}

/// An open ledger. One process a directory.
pub struct Ledger {
    engine: Engine,
    log: Arc<EmbeddedLog>,
    /// Request ids: when the process began, and a count. They only match an answer with who waits for it.
    begun: u128,
    requests: AtomicU64,
}

/// All that is in a ledger, read from its primary rows. Complete when no message is on its way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The sum of all balances, by currency.
    pub money: BTreeMap<String, i128>,
    /// What is on its way between two accounts, by currency: transfers that are neither in a day's total nor returned.
    pub on_its_way: BTreeMap<String, i128>,
    /// Transfers that were not returned, by currency and day, as the accounts that paid have them.
    pub sent: BTreeMap<(String, i32), Total>,
    /// The same as the groups that are home of the days have them.
    pub arrived: BTreeMap<(String, i32), Total>,
    /// Index entries that are there and should not be, or the other way round.
    pub index_errors: usize,
}

impl Ledger {
    /// Opens the ledger in a directory, or makes one; after a crash it takes up what the log has.
    pub fn open(dir: &Path) -> Result<Ledger, LedgerError> {
        std::fs::create_dir_all(dir.join("groups"))?;
        let log = EmbeddedLog::open(&dir.join("log"), Options::default())?;
        let shared = Shared::new(8 << 20, 4 << 20);
        let route = Route::new(GROUPS);
        let setup = |id: GroupId| -> Result<GroupSetup, LedgerError> {
            let path = dir.join("groups").join(id.to_string());
            Ok(GroupSetup {
                id,
                app: Arc::new(Book { route }),
                base: RocksBase::open(&path, &shared)?,
            })
        };
        let engine = Engine::start(
            Arc::clone(&log) as Arc<dyn Log>,
            Arc::new(SystemClock),
            setup(GroupId::METADATA)?,
            route.all().map(setup).collect::<Result<_, _>>()?,
            &EngineOptions::default(),
        )?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Ledger {
            engine,
            log,
            begun: begun.map_or(0, |since| since.as_nanos()),
            requests: AtomicU64::new(0),
        })
    }

    /// Executes a command; returns when it is durable, and visible to readers. A transfer's money may still be on its way.
    pub async fn execute(&self, command: Command) -> Result<(), SubmitError> {
        let group = match &command {
            Command::Currency(_) => GroupId::METADATA,
            Command::Open(open) => self.group_of(&open.name),
            Command::Transfer(transfer) => self.group_of(&transfer.from),
        };
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = RequestId(self.begun << 64 | u128::from(count));
        let envelope = Envelope {
            command: Some(command),
        };
        let payload = Bytes::from(envelope.encode_to_vec());
        self.engine.submit(group, id, payload).await.map(|_| ())
    }

    fn group_of(&self, account: &str) -> GroupId {
        self.engine.route().group_of(account.as_bytes())
    }

    /// The committed state of a group, as a query sees it.
    fn partition(&self, group: GroupId) -> Result<Arc<dyn Partition>, LedgerError> {
        let reader = self.engine.reader(group).ok_or_else(|| {
            QueryError::Unavailable(format!("group {group} is not in this process"))
        })?;
        Ok(Arc::new(Local::new(reader.clone())))
    }

    /// An account: one look-up in the group that is its home.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, LedgerError> {
        let key = schema::account(name);
        let row = self
            .partition(self.group_of(name))?
            .get(Family::State, &key)
            .await?;
        row.map(|row| Account::decode(row).map_err(|_| LedgerError::Damaged(key)))
            .transpose()
    }

    /// A day's total.
    pub async fn day(&self, currency: &str, day: i32) -> Result<Total, LedgerError> {
        let key = schema::day(currency, day);
        let home = self.engine.route().group_of(&key);
        match self.partition(home)?.get(Family::State, &key).await? {
            Some(row) => Total::decode(row).map_err(|_| LedgerError::Damaged(key)),
            None => Ok(Total::default()),
        }
    }

    /// At most `limit` accounts of a currency, poorest first, over all groups: the index, scattered and gathered.
    pub async fn by_balance(
        &self,
        currency: &str,
        limit: usize,
    ) -> Result<Vec<(i64, String)>, LedgerError> {
        let range = KeyRange::prefix(&schema::by_balance(currency));
        let mut rows = self.search(Family::Index, range, self.engine.route().all())?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some((key, _)) = rows.next().await?
        {
            found.push(schema::read_by_balance(&key).map_err(|_| LedgerError::Damaged(key))?);
        }
        Ok(found)
    }

    fn search(
        &self,
        family: Family,
        range: KeyRange,
        groups: impl Iterator<Item = GroupId>,
    ) -> Result<Merge, LedgerError> {
        let search = Search {
            family,
            range,
            after: None,
            page: PAGE,
        };
        let partitions = groups
            .map(|group| self.partition(group))
            .collect::<Result<_, _>>()?;
        Ok(Merge::new(search, partitions))
    }

    /// Reads everything and adds it up.
    pub async fn audit(&self) -> Result<Audit, LedgerError> {
        let all = || KeyRange {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        };
        let mut audit = Audit::default();
        for group in self.engine.route().all() {
            let mut derived = BTreeMap::new();
            let mut rows = self.search(Family::State, all(), [group].into_iter())?;
            while let Some((key, value)) = rows.next().await? {
                if ByBalance.is_indexed(&key) {
                    ByBalance.index_entries(&key, &value, &mut |key, value| {
                        derived.insert(key, value);
                    });
                }
                let row = schema::read_row(&key, &value).ok_or(LedgerError::Damaged(key))?;
                audit.add(row);
            }
            let mut entries = self.search(Family::Index, all(), [group].into_iter())?;
            while let Some((key, value)) = entries.next().await? {
                audit.index_errors += usize::from(derived.remove(&key) != Some(value));
            }
            audit.index_errors += derived.len();
        }
        Ok(audit)
    }

    /// Writes everything back and ends the threads. Without it, the next start replays more of the log.
    pub fn close(self) {
        self.engine.stop();
        self.log.close();
    }
}

impl Audit {
    fn add(&mut self, row: Row) {
        match row {
            Row::Account(_, account) => {
                *self.money.entry(account.currency).or_default() += i128::from(account.cents);
            }
            Row::Transfer(transfer) if transfer.returned => {}
            Row::Transfer(transfer) => {
                let cents = transfer.cents;
                *self
                    .on_its_way
                    .entry(transfer.currency.clone())
                    .or_default() += i128::from(cents);
                let day = (transfer.currency, transfer.day.unwrap_or_default());
                let total = self.sent.entry(day).or_default();
                total.transfers += 1;
                total.cents = total.cents.saturating_add(cents);
            }
            Row::Day(currency, day, total) => {
                *self.on_its_way.entry(currency.clone()).or_default() -= i128::from(total.cents);
                self.arrived.insert((currency, day), total);
            }
        }
    }
}

//! A store that every server holds: the metadata group's rows, read by all other groups.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use wal::Position;

use crate::changelog::Change;
use crate::{Family, KeyRange, ReadHandle, StoreError};

/// Rows read at a time while loading.
const PAGE: usize = 1024;

struct Row {
    value: Bytes,
    /// The decoded form: made once, by whoever needs it first. `None` inside: it cannot be decoded.
    decoded: OnceLock<Option<Arc<dyn Any + Send + Sync>>>,
}

/// The rows as of one commit. Cheap to clone.
#[derive(Clone, Default)]
pub struct GlobalView {
    rows: imbl::OrdMap<Bytes, Arc<Row>>,
    version: Option<Position>,
}

impl GlobalView {
    /// The position of the commit record that this is the state after.
    pub fn version(&self) -> Position {
        self.version.unwrap_or(Position::START)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.rows.get(key).map(|row| row.value.clone())
    }

    /// The decoded value of a key, decoded once for all who ask. A key must always be asked for as the same type.
    pub fn get_decoded<T: Any + Send + Sync>(
        &self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<Arc<T>> {
        let row = self.rows.get(key)?;
        let decoded = row.decoded.get_or_init(|| {
            decode(&row.value).map(|value| Arc::new(value) as Arc<dyn Any + Send + Sync>)
        });
        Arc::clone(decoded.as_ref()?).downcast().ok()
    }

    /// At most `limit` rows of a range, in key order, or descending if `reverse`.
    pub fn scan(&self, range: &KeyRange, limit: usize, reverse: bool) -> Vec<(Bytes, Bytes)> {
        if crate::layer::is_empty(range) {
            return Vec::new();
        }
        let rows = self
            .rows
            .range::<_, Bytes>((range.start.as_ref(), range.end.as_ref()));
        let row = |(key, row): (&Bytes, &Arc<Row>)| (key.clone(), row.value.clone());
        if reverse {
            rows.rev().take(limit).map(row).collect()
        } else {
            rows.take(limit).map(row).collect()
        }
    }

    /// The last key of a range.
    pub fn last_key(&self, range: &KeyRange) -> Option<Bytes> {
        self.scan(range, 1, true).pop().map(|(key, _)| key)
    }
}

/// See the module.
#[derive(Default)]
pub struct GlobalStore {
    current: ArcSwap<GlobalView>,
}

impl GlobalStore {
    /// Without rows.
    pub fn new() -> GlobalStore {
        GlobalStore::default()
    }

    /// The state after the last commit.
    pub fn current(&self) -> Arc<GlobalView> {
        self.current.load_full()
    }

    /// The position of the last commit.
    pub fn version(&self) -> Position {
        self.current.load().version()
    }

    /// Loads all rows of the metadata group.
    pub fn load(&self, reader: &ReadHandle) -> Result<(), StoreError> {
        let mut rows = imbl::OrdMap::new();
        let mut range = KeyRange {
            start: std::ops::Bound::Unbounded,
            end: std::ops::Bound::Unbounded,
        };
        loop {
            let page = reader.scan(Family::State, &range, PAGE, false)?;
            let Some((last, _)) = page.last() else { break };
            range.start = std::ops::Bound::Excluded(last.clone());
            rows.extend(page.into_iter().map(|(key, value)| {
                (
                    key,
                    Arc::new(Row {
                        value,
                        decoded: OnceLock::new(),
                    }),
                )
            }));
        }
        self.current.store(Arc::new(GlobalView {
            rows,
            version: reader.applied_position(),
        }));
        Ok(())
    }

    /// Shows the changes of a commit to everybody. Called by the metadata group's thread only, in order.
    pub fn publish(&self, changes: &[Change], version: Position) {
        let mut view = GlobalView::clone(&self.current.load());
        for change in changes
            .iter()
            .filter(|change| change.family == Family::State)
        {
            match &change.value {
                Some(value) => {
                    let row = Row {
                        value: value.clone(),
                        decoded: OnceLock::new(),
                    };
                    view.rows.insert(change.key.clone(), Arc::new(row));
                }
                None => {
                    view.rows.remove(&change.key);
                }
            }
        }
        view.version = Some(version);
        self.current.store(Arc::new(view));
    }
}

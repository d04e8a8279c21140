//! Scatter and gather: the rows of a range from several groups, merged in key order.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use index::{Family, KeyRange};

use crate::{Partition, QueryError};

/// What is asked of every group.
pub struct Search {
    /// Where to look.
    pub family: Family,
    /// The keys that are asked for.
    pub range: KeyRange,
    /// Only keys behind this one: where an earlier page ended.
    pub after: Option<Bytes>,
    /// Rows fetched from a group at a time, at least 1.
    pub page: usize,
}

/// One group's part of a search.
struct Cursor {
    partition: Arc<dyn Partition>,
    range: KeyRange,
    rows: VecDeque<(Bytes, Bytes)>,
    /// Nothing is left behind `rows`.
    exhausted: bool,
}

/// The rows of a search, in key order over all groups. Each group is read at its own moment.
pub struct Merge {
    family: Family,
    page: usize,
    cursors: Vec<Cursor>,
}

impl Merge {
    /// A search over these groups.
    pub fn new(search: Search, partitions: Vec<Arc<dyn Partition>>) -> Merge {
        let mut range = search.range;
        if let Some(after) = search.after {
            let begins_later = match &range.start {
                Bound::Included(start) => *start > after,
                Bound::Excluded(start) => *start >= after,
                Bound::Unbounded => false,
            };
            if !begins_later {
                range.start = Bound::Excluded(after);
            }
        }
        let cursor = |partition| Cursor {
            partition,
            range: range.clone(),
            rows: VecDeque::new(),
            exhausted: false,
        };
        Merge {
            family: search.family,
            page: search.page.max(1),
            cursors: partitions.into_iter().map(cursor).collect(),
        }
    }

    /// The next row.
    pub async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, QueryError> {
        for cursor in &mut self.cursors {
            if cursor.rows.is_empty() && !cursor.exhausted {
                cursor.fill(self.family, self.page).await?;
            }
        }
        let first = self
            .cursors
            .iter_mut()
            .filter(|cursor| !cursor.rows.is_empty())
            .min_by(|a, b| a.rows[0].0.cmp(&b.rows[0].0));
        Ok(first.and_then(|cursor| cursor.rows.pop_front()))
    }
}

impl Cursor {
    async fn fill(&mut self, family: Family, page: usize) -> Result<(), QueryError> {
        let rows = self.partition.scan(family, &self.range, page).await?;
        self.exhausted = rows.len() < page;
        if let Some((last, _)) = rows.last() {
            self.range.start = Bound::Excluded(last.clone());
        }
        self.rows.extend(rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use index::{Applied, Base, MemoryBase, NoIndexes, Options, Store};
    use wal::Position;

    use super::*;
    use crate::Local;

    fn partition(keys: &[&str]) -> Arc<dyn Partition> {
        let base = MemoryBase::new();
        let empty = Bytes::new();
        let keys: Vec<Bytes> = keys
            .iter()
            .map(|key| Bytes::from((*key).to_owned()))
            .collect();
        base.write(
            &mut keys.iter().map(|key| (Family::Index, key, Some(&empty))),
            &Applied {
                position: Position::from_u64(1),
                commit: Bytes::new(),
            },
        )
        .unwrap();
        let store = Store::open(Arc::new(base), Arc::new(NoIndexes), Options::default()).unwrap();
        Arc::new(Local::new(store.reader()))
    }

    async fn all(after: Option<&'static str>, page: usize) -> Vec<String> {
        let search = Search {
            family: Family::Index,
            range: KeyRange::prefix(b"k"),
            after: after.map(Bytes::from),
            page,
        };
        let partitions = vec![
            partition(&["k1", "k4", "k5", "x"]),
            partition(&["a", "k2", "k6"]),
            partition(&["k3"]),
        ];
        let mut merge = Merge::new(search, partitions);
        let mut keys = Vec::new();
        while let Some((key, _)) = merge.next().await.unwrap() {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
        }
        keys
    }

    #[tokio::test]
    async fn rows_come_in_global_order_whatever_the_page_size() {
        for page in 1..5 {
            assert_eq!(
                all(None, page).await,
                ["k1", "k2", "k3", "k4", "k5", "k6"],
                "page {page}"
            );
            assert_eq!(
                all(Some("k3"), page).await,
                ["k4", "k5", "k6"],
                "page {page}"
            );
            assert_eq!(all(Some("k"), page).await.len(), 6);
            assert!(all(Some("z"), page).await.is_empty());
        }
    }
}

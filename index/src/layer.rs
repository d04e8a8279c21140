//! Changes in memory, above the base, and the merge of several layers.

use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;

use crate::rows::Rows;
use crate::{KeyRange, StoreError};

/// The newest value of a key, as far as a layer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// `None`: deleted.
    pub value: Option<Bytes>,
    /// The key is known to be absent in everything below this layer, so that deleting it here leaves no trace.
    pub fresh: bool,
}

impl Cell {
    /// Whether anything below needs to know of it: a row that came and went in one layer needs not.
    pub(crate) fn leaves_a_trace(&self) -> bool {
        self.value.is_some() || !self.fresh
    }
}

/// Changes of all families.
pub(crate) type Layer = [Rows; 3];

/// Rows of one source, in the order of the scan; `None` hides a row of the sources below.
pub(crate) type Source<'a> =
    Box<dyn Iterator<Item = Result<(Bytes, Option<Bytes>), StoreError>> + 'a>;

/// Whether no key can lie in the range.
pub(crate) fn is_empty(range: &KeyRange) -> bool {
    match (&range.start, &range.end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Excluded(end) | Bound::Included(end),
        ) => start >= end,
        _ => false,
    }
}

/// Whether a key can lie in both ranges.
pub(crate) fn overlap(a: &KeyRange, b: &KeyRange) -> bool {
    let start = |range: &KeyRange| match &range.start {
        Bound::Included(key) => (key.clone(), false),
        Bound::Excluded(key) => (key.clone(), true),
        Bound::Unbounded => (Bytes::new(), false),
    };
    let later = if start(a) > start(b) { a } else { b };
    [&a.end, &b.end].into_iter().all(|end| {
        !is_empty(&KeyRange {
            start: later.start.clone(),
            end: end.clone(),
        })
    })
}

/// Merges sources, newest first, and hands the rows to `take` until it says that it wants no more.
pub(crate) fn merge(
    sources: Vec<Source<'_>>,
    reverse: bool,
    mut take: impl FnMut(Bytes, Bytes) -> bool,
) -> Result<(), StoreError> {
    let mut sources: Vec<Peekable<Source<'_>>> =
        sources.into_iter().map(Iterator::peekable).collect();
    while let Some(key) = next_key(&mut sources, reverse)? {
        let mut newest = None;
        for source in &mut sources {
            if matches!(source.peek(), Some(Ok((at, _))) if *at == key)
                && let Some(Ok((_, value))) = source.next()
            {
                newest.get_or_insert(value);
            }
        }
        if let Some(Some(value)) = newest
            && !take(key, value)
        {
            break;
        }
    }
    Ok(())
}

fn next_key(
    sources: &mut [Peekable<Source<'_>>],
    reverse: bool,
) -> Result<Option<Bytes>, StoreError> {
    let mut next: Option<Bytes> = None;
    for source in sources {
        match source.peek() {
            None => {}
            Some(Err(_)) => {
                if let Some(Err(error)) = source.next() {
                    return Err(error);
                }
            }
            Some(Ok((key, _))) => {
                let first = match &next {
                    None => true,
                    Some(best) if reverse => key > best,
                    Some(best) => key < best,
                };
                if first {
                    next = Some(key.clone());
                }
            }
        }
    }
    Ok(next)
}

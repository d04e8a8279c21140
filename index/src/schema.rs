//! Which secondary index entries a row has.

use bytes::Bytes;

/// Secondary indexes, declared on the typed records of the application above. Pure: the entries of a row follow from
/// its key and value alone, so they can be derived again at any time.
pub trait Schema: Send + Sync + 'static {
    /// Whether rows with this key can have index entries: a cheap test on the key's table, asked for every write.
    fn is_indexed(&self, key: &[u8]) -> bool;

    /// Emits the key and value of each index entry ([`crate::Family::Index`]) of a `State` row. A value that cannot be
    /// decoded has none.
    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes));
}

/// A schema without secondary indexes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIndexes;

impl Schema for NoIndexes {
    fn is_indexed(&self, _key: &[u8]) -> bool {
        false
    }

    fn index_entries(&self, _key: &[u8], _value: &[u8], _emit: &mut dyn FnMut(Bytes, Bytes)) {}
}

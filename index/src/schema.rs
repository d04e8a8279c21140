//! Which secondary index entries a row has.

use std::collections::BTreeMap;

use bytes::Bytes;

/// What happens to an index entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryChange {
    /// It comes, with this value; there was none.
    Added(Bytes),
    /// It gets another value.
    Replaced(Bytes),
    /// It goes.
    Removed,
}

/// One secondary index of a [`Schema`].
///
/// What is stored says which indexes it has, in which version. An index that a build declares and the stored rows were
/// not written with is built while the store goes on ([`crate::Store::index_piece`]); one that is no longer declared, or
/// is declared in another version, is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDeclaration {
    /// For people.
    pub name: &'static str,
    /// What the keys of all its entries begin with, and those of no other index. Not empty, and not beginning with 0.
    pub prefix: Bytes,
    /// Raised with each change of which entries a row has, or of what they say. 0: stores from before it was recorded
    /// which indexes they have hold it.
    pub version: u32,
}

/// Secondary indexes, declared on the typed records of the application above. Pure: the entries of a row follow from
/// its key and value alone, so they can be derived again at any time.
pub trait Schema: Send + Sync + 'static {
    /// The indexes. Each entry that is emitted belongs to one of them.
    fn indexes(&self) -> Vec<IndexDeclaration>;

    /// Whether rows with this key can have index entries: a cheap test on the key's table, asked for every write.
    fn is_indexed(&self, key: &[u8]) -> bool;

    /// Emits the key and value of each index entry ([`crate::Family::Index`]) of a `State` row, each
    /// once. No two rows have the same entry: its key holds the row's. A value that cannot be decoded has none.
    fn index_entries(&self, key: &[u8], value: &[u8], emit: &mut dyn FnMut(Bytes, Bytes));

    /// Emits each index entry that comes, changes or goes when a row's value changes from `before` to `after`; `None`:
    /// there is no row. One that stays as it is is not emitted. Must agree with [`Schema::index_entries`], from
    /// which it follows; a schema may know a shorter way.
    fn index_changes(
        &self,
        key: &[u8],
        before: Option<&[u8]>,
        after: Option<&[u8]>,
        emit: &mut dyn FnMut(Bytes, EntryChange),
    ) {
        changes_of_entries(self, key, before, after, emit);
    }
}

/// What [`Schema::index_changes`] emits, from all entries of both values.
pub fn changes_of_entries<S: Schema + ?Sized>(
    schema: &S,
    key: &[u8],
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    emit: &mut dyn FnMut(Bytes, EntryChange),
) {
    let mut gone: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    if let Some(before) = before {
        schema.index_entries(key, before, &mut |key, value| {
            gone.insert(key, value);
        });
    }
    if let Some(after) = after {
        schema.index_entries(key, after, &mut |key, value| match gone.remove(&key) {
            None => emit(key, EntryChange::Added(value)),
            Some(before) if before != value => emit(key, EntryChange::Replaced(value)),
            Some(_) => {}
        });
    }
    for key in gone.into_keys() {
        emit(key, EntryChange::Removed);
    }
}

/// A schema without secondary indexes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIndexes;

impl Schema for NoIndexes {
    fn indexes(&self) -> Vec<IndexDeclaration> {
        Vec::new()
    }

    fn is_indexed(&self, _key: &[u8]) -> bool {
        false
    }

    fn index_entries(&self, _key: &[u8], _value: &[u8], _emit: &mut dyn FnMut(Bytes, Bytes)) {}
}

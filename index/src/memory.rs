//! A base in memory: ordered maps that can lose what was not flushed.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use wal::Position;

use crate::layer::is_empty;
use crate::{
    Applied, Base, BaseChange, BaseScan, CheckpointFile, CheckpointSink, CheckpointSource,
    Checkpoints, Family, KeyRange, Manifest, StoreError,
};

#[derive(Debug, Clone, Default)]
struct State {
    rows: [imbl::OrdMap<Bytes, Bytes>; 3],
    applied: Option<Applied>,
}

/// See the module. Clones share the rows, so that one survives a simulated restart.
#[derive(Debug, Clone, Default)]
pub struct MemoryBase {
    now: Arc<Mutex<State>>,
    durable: Arc<Mutex<State>>,
}

impl MemoryBase {
    /// An empty base.
    pub fn new() -> MemoryBase {
        MemoryBase::default()
    }

    /// Loses everything that was written since the last flush.
    pub fn crash(&self) {
        *self.now.lock() = self.durable.lock().clone();
    }
}

impl Base for MemoryBase {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.now.lock().rows[family.slot()].get(key).cloned())
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<BaseScan<'_>, StoreError> {
        if is_empty(range) {
            return Ok(Box::new(std::iter::empty()));
        }
        let rows = self.now.lock().rows[family.slot()].clone();
        Ok(Box::new(Scan {
            rows,
            range: range.clone(),
            reverse,
        }))
    }

    fn write(
        &self,
        changes: &mut dyn Iterator<Item = BaseChange<'_>>,
        applied: &Applied,
    ) -> Result<(), StoreError> {
        let mut now = self.now.lock();
        for (family, key, value) in changes {
            let rows = &mut now.rows[family.slot()];
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        now.applied = Some(applied.clone());
        Ok(())
    }

    fn replace_range(
        &self,
        family: Family,
        range: &KeyRange,
        (key, value): (&Bytes, &Bytes),
    ) -> Result<(), StoreError> {
        let mut now = self.now.lock();
        let state = &mut *now;
        let keys: Vec<Bytes> = if is_empty(range) {
            Vec::new()
        } else {
            let bounds = (range.start.as_ref(), range.end.as_ref());
            let rows = state.rows[family.slot()].range::<_, Bytes>(bounds);
            rows.map(|(key, _)| key.clone()).collect()
        };
        for key in keys {
            state.rows[family.slot()].remove(&key);
        }
        state.rows[family.slot()].insert(key.clone(), value.clone());
        Ok(())
    }

    fn estimated_rows(&self, family: Family) -> Option<u64> {
        Some(self.now.lock().rows[family.slot()].len() as u64)
    }

    fn applied(&self) -> Result<Option<Applied>, StoreError> {
        Ok(self.now.lock().applied.clone())
    }

    fn durable(&self) -> Result<Option<Position>, StoreError> {
        Ok(self
            .durable
            .lock()
            .applied
            .as_ref()
            .map(|applied| applied.position))
    }

    fn flush(&self) -> Result<(), StoreError> {
        *self.durable.lock() = self.now.lock().clone();
        Ok(())
    }
}

/// A scan over the rows as they were when it began.
struct Scan {
    rows: imbl::OrdMap<Bytes, Bytes>,
    range: KeyRange,
    reverse: bool,
}

impl Iterator for Scan {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if is_empty(&self.range) {
            return None;
        }
        let mut rows = self
            .rows
            .range::<_, Bytes>((self.range.start.as_ref(), self.range.end.as_ref()));
        let row = if self.reverse {
            rows.next_back()
        } else {
            rows.next()
        };
        let (key, value) = row.map(|(key, value)| (key.clone(), value.clone()))?;
        if self.reverse {
            self.range.end = std::ops::Bound::Excluded(key.clone());
        } else {
            self.range.start = std::ops::Bound::Excluded(key.clone());
        }
        Some(Ok((key, value)))
    }
}

/// A file a family: its rows, each as the length of the key (u32), the key, the length of the value, the value.
struct Copied {
    manifest: Manifest,
    files: Vec<Bytes>,
}

const NAMES: [&str; 3] = ["state", "index", "queue"];

impl Checkpoints for MemoryBase {
    fn checkpoint(&self) -> Result<Box<dyn CheckpointSource>, StoreError> {
        let state = self.now.lock().clone();
        let files: Vec<Bytes> = state.rows.iter().map(encode).collect();
        let sizes = NAMES.iter().zip(&files).map(|(name, file)| CheckpointFile {
            name: (*name).to_owned(),
            bytes: file.len() as u64,
        });
        let manifest = Manifest {
            applied: state.applied,
            files: sizes.collect(),
        };
        Ok(Box::new(Copied { manifest, files }))
    }
}

impl CheckpointSource for Copied {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn read(&mut self, file: usize, offset: u64, max: usize) -> Result<Bytes, StoreError> {
        let rest = self
            .files
            .get(file)
            .and_then(|file| file.get(usize::try_from(offset).ok()?..))
            .ok_or_else(|| StoreError::Base(format!("no offset {offset} in file {file}")))?;
        Ok(Bytes::copy_from_slice(&rest[..rest.len().min(max)]))
    }
}

/// Takes a [`MemoryBase`] in.
#[derive(Debug, Default)]
pub struct MemorySink {
    target: MemoryBase,
    applied: Option<Applied>,
    files: [BytesMut; 3],
}

impl MemorySink {
    /// Replaces what is in `target`, when all is there.
    pub fn new(target: MemoryBase) -> MemorySink {
        MemorySink {
            target,
            ..MemorySink::default()
        }
    }
}

impl CheckpointSink for MemorySink {
    fn begin(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        if !manifest.files.iter().map(|file| &*file.name).eq(NAMES) {
            let why = "a checkpoint is not one of a base in memory";
            return Err(StoreError::Corrupt(why.to_owned()));
        }
        self.applied.clone_from(&manifest.applied);
        Ok(())
    }

    fn append(&mut self, file: usize, bytes: Bytes) -> Result<(), StoreError> {
        let file = self
            .files
            .get_mut(file)
            .ok_or_else(|| StoreError::Corrupt(format!("a checkpoint with a file {file}")))?;
        file.put(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Arc<dyn Base>, StoreError> {
        let mut state = State {
            applied: self.applied,
            ..State::default()
        };
        for (rows, file) in state.rows.iter_mut().zip(self.files) {
            *rows = decode(file.freeze())
                .ok_or_else(|| StoreError::Corrupt("a checkpoint's row is cut off".to_owned()))?;
        }
        *self.target.now.lock() = state;
        self.target.flush()?;
        Ok(Arc::new(self.target))
    }
}

fn encode(rows: &imbl::OrdMap<Bytes, Bytes>) -> Bytes {
    let mut file = BytesMut::new();
    for (key, value) in rows {
        for part in [key, value] {
            file.put_u32(part.len() as u32);
            file.put_slice(part);
        }
    }
    file.freeze()
}

fn decode(mut file: Bytes) -> Option<imbl::OrdMap<Bytes, Bytes>> {
    fn part(file: &mut Bytes) -> Option<Bytes> {
        let len = file.try_get_u32().ok()? as usize;
        (len <= file.len()).then(|| file.split_to(len))
    }
    let mut rows = imbl::OrdMap::new();
    while !file.is_empty() {
        rows.insert(part(&mut file)?, part(&mut file)?);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_base_contract() {
        let base = MemoryBase::new();
        crate::testing::base_contract(&base);
        crate::testing::checkpoint_contract(&base, &|| Box::new(MemorySink::default()));
        let fresh = MemoryBase::new();
        crate::testing::checkpoint_contract(&fresh, &|| Box::new(MemorySink::default()));
    }

    #[test]
    fn files_that_are_cut_off_are_refused() {
        let rows: imbl::OrdMap<Bytes, Bytes> = [(Bytes::from("key"), Bytes::from("value"))]
            .into_iter()
            .collect();
        let whole = encode(&rows);
        assert_eq!(decode(whole.clone()), Some(rows));
        for cut in 1..whole.len() {
            assert_eq!(decode(whole.slice(..cut)), None, "cut at {cut}");
        }
    }
}

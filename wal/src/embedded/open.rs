//! The log's public face: opening, appending, committing, trimming.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::Options;
use super::disk::{Directory, Disk};
use super::dropped::Dropped;
use super::frame::{self, MAX_BODY, MAX_RECORDS};
use super::reader::LogReader;
use super::recover::recover;
use super::segments::{self, Segment};
use super::sync::LogThread;
use super::tail::{Tail, Tails};
use super::writer::LogWriter;
use crate::{
    Append, AppendError, Log, Notify, OnCommit, Partition, Position, Reader, Record, WalError,
    Writer, WriterId,
};

/// Plain appends share a frame up to this size: each group that is read decodes the others' share of it.
const APPENDS_BYTES: usize = 256 << 10;

/// One entry of the queue: one frame.
pub(super) struct Pending {
    pub sequence: u64,
    pub records: Vec<(Partition, Record)>,
    /// Of their keys and values.
    pub bytes: usize,
    /// `None`: plain appends, which more may join until the log thread takes them.
    pub on_commit: Option<OnCommit>,
}

#[derive(Default)]
pub(super) struct Queue {
    pub pending: VecDeque<Pending>,
    pub bytes: usize,
    /// Transactions in it: what the log thread must not let wait.
    pub transactions: usize,
    pub next: u64,
    tails: Tails,
    pub notify: BTreeMap<Partition, Notify>,
    pub epochs: BTreeMap<WriterId, u64>,
    pub stop: bool,
    /// There is something to do beside writing: a segment was made, or trimmed.
    pub tidy: bool,
    /// The log takes no more writes; why.
    pub refused: Option<String>,
    /// The log takes no new plain appends for now; why.
    pub full: Option<String>,
}

/// Shared by the log's handles, readers, writers and threads.
pub(super) struct Inner {
    pub disk: Box<dyn Disk>,
    pub options: Options,
    pub queue: Mutex<Queue>,
    /// Wakes the log thread.
    pub woken: Condvar,
    /// Wakes who waits for room on the disk.
    pub retry: Condvar,
    /// Set with `Queue::stop`, for who does not hold the lock.
    pub stopping: AtomicBool,
    pub segments: Mutex<Vec<Segment>>,
    /// Positions up to which each partition is no longer needed.
    pub trimmed: Mutex<BTreeMap<Partition, Position>>,
    /// What is no longer there.
    pub dropped: Mutex<Dropped>,
    /// How many want that no segment is dropped.
    pub pins: Mutex<usize>,
    pub written: AtomicU64,
    pub run: u32,
    /// The last position of what was recovered: tails hold everything behind it.
    pub recovered: Position,
}

/// See the module `embedded`.
pub struct EmbeddedLog {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, creates it if it is not there, and recovers it after a crash.
    ///
    /// # Errors
    /// [`WalError::Locked`], [`WalError::Corrupt`], [`WalError::Incompatible`], [`WalError::Io`].
    pub fn open(dir: &Path, options: Options) -> Result<Arc<EmbeddedLog>, WalError> {
        let disk = Directory::open(dir).map_err(|source| WalError::Io {
            context: format!("opening {}", dir.display()),
            source,
        })?;
        match disk.lock() {
            Ok(true) => EmbeddedLog::on_disk(Box::new(disk), options),
            Ok(false) => Err(WalError::Locked(dir.display().to_string())),
            Err(source) => Err(WalError::Io {
                context: format!("locking {}", dir.display()),
                source,
            }),
        }
    }

    /// Opens the log on a disk that is locked already.
    ///
    /// # Errors
    /// As [`EmbeddedLog::open`].
    pub fn on_disk(
        disk: Box<dyn Disk>,
        mut options: Options,
    ) -> Result<Arc<EmbeddedLog>, WalError> {
        options.segment_bytes = options
            .segment_bytes
            .min(segments::MAX_BYTES)
            .next_multiple_of(segments::PAGE as u64);
        let mut recovered = recover(disk.as_ref(), options.durable)?;
        let stopping = AtomicBool::new(false);
        if recovered.segments.is_empty() {
            if options.durable > Position::START {
                return Err(WalError::Corrupt(format!(
                    "there is no log, and a store has applied one up to position {}; restore a backup",
                    options.durable
                )));
            }
            recovered.segments.push(first_segment(
                disk.as_ref(),
                options.segment_bytes,
                &stopping,
            )?);
        }
        let inner = Arc::new(Inner {
            disk,
            options,
            queue: Mutex::new(Queue {
                next: recovered.last + 1,
                ..Queue::default()
            }),
            woken: Condvar::new(),
            retry: Condvar::new(),
            stopping,
            segments: Mutex::new(recovered.segments),
            trimmed: Mutex::new(BTreeMap::new()),
            dropped: Mutex::new(recovered.dropped),
            pins: Mutex::new(0),
            written: AtomicU64::new(0),
            run: recovered
                .run
                .map_or_else(first_run, |run| run.wrapping_add(1)),
            recovered: frame::position(recovered.last, MAX_RECORDS - 1),
        });
        let log_thread =
            LogThread::new(Arc::clone(&inner), recovered.last).ok_or(WalError::Closed)?;
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || log_thread.run())
            .map_err(|source| WalError::Io {
                context: "starting the log thread".to_owned(),
                source,
            })?;
        Ok(Arc::new(EmbeddedLog {
            inner,
            thread: Mutex::new(Some(thread)),
        }))
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The last position that was recovered or given: a store that is ahead of it has lost its log.
    pub fn end(&self) -> Position {
        frame::position(self.inner.queue.lock().next - 1, MAX_RECORDS - 1)
    }

    /// Writes what is queued, marks all of it as durable, and ends the log thread. Later writes are refused.
    pub fn close(&self) {
        self.inner.queue.lock().stop = true;
        self.inner.stopping.store(true, Ordering::Relaxed);
        self.inner.woken.notify_all();
        self.inner.retry.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // If it panicked, commits are never told, which their waiters notice by themselves.
            let _ = thread.join();
        }
    }
}

/// The first segment of a new log. Not zeroed: an empty server shall start at once.
fn first_segment(disk: &dyn Disk, size: u64, stop: &AtomicBool) -> Result<Segment, WalError> {
    let file = segments::make(disk, 1, size, false, stop).map_err(|source| WalError::Io {
        context: "making the first segment".to_owned(),
        source,
    })?;
    Ok(Segment::empty(1, file, size, 0, 0))
}

/// The first run of a new log gets a number by chance, so that segments of another log are noticed.
fn first_run() -> u32 {
    let chance = std::hash::RandomState::new().hash_one(()) as u32;
    chance >> 1 | 1
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) fn bytes_of(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

impl Inner {
    /// Refuses to read on after a position whose successors may have been dropped.
    pub(super) fn check_retained(
        &self,
        partition: Partition,
        after: Position,
    ) -> Result<(), WalError> {
        match self.dropped.lock().positions.get(&partition) {
            Some(start) if after < *start => Err(WalError::Truncated {
                partition,
                position: after,
                start: *start,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn read_tail(
        &self,
        partition: Partition,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Option<Vec<(Position, Record)>> {
        if !Tail::is_kept(partition) {
            return None;
        }
        match self.queue.lock().tails.get(&partition) {
            Some(tail) => tail.after(after, max_records, max_bytes),
            None if after >= self.recovered => Some(Vec::new()),
            None => None,
        }
    }
}

impl Queue {
    /// Shows records to readers; returns who is to be told.
    pub(super) fn show(
        &mut self,
        recovered: Position,
        sequence: u64,
        index: usize,
        partition: Partition,
        record: &Record,
    ) -> Option<Notify> {
        if Tail::is_kept(partition) {
            // Everything since the start passes here; what came before is in the segments.
            let tail = self
                .tails
                .entry(partition)
                .or_insert_with(|| Tail::new(recovered));
            tail.push(frame::position(sequence, index), record.clone());
        }
        self.notify.get(&partition).cloned()
    }
}

impl Log for EmbeddedLog {
    fn append(&self, to: Partition, record: Record) -> Result<Append, AppendError> {
        let size = bytes_of(&record);
        if size > self.max_record_bytes() {
            return Err(AppendError::TooLarge {
                size,
                limit: self.max_record_bytes(),
            });
        }
        let mut guard = self.inner.queue.lock();
        let queue = &mut *guard;
        if queue.stop {
            return Err(AppendError::Unavailable("the log is closed".to_owned()));
        }
        if let Some(why) = queue.refused.as_ref().or(queue.full.as_ref()) {
            return Err(AppendError::Unavailable(why.clone()));
        }
        if queue.bytes + size > self.inner.options.queue_bytes {
            return Err(AppendError::Full);
        }
        queue.bytes += size;
        let joins = queue.pending.back().is_some_and(|last| {
            last.on_commit.is_none()
                && last.records.len() < MAX_RECORDS / 2
                && last.bytes < APPENDS_BYTES
        });
        if !joins {
            let sequence = queue.next;
            queue.next += 1;
            queue.pending.push_back(Pending {
                sequence,
                records: Vec::new(),
                bytes: 0,
                on_commit: None,
            });
        }
        let was_empty = queue.pending.len() == 1 && !joins;
        let Some(last) = queue.pending.back_mut() else {
            return Err(AppendError::Full);
        };
        let (sequence, index) = (last.sequence, last.records.len());
        last.bytes += size;
        last.records.push((to, record.clone()));
        let notify = queue.show(self.inner.recovered, sequence, index, to, &record);
        drop(guard);
        if was_empty {
            // It may wait a little: the transaction that consumes it is about to come.
            self.inner.woken.notify_one();
        }
        if let Some(notify) = notify {
            notify();
        }
        Ok(Append::Done(frame::position(sequence, index)))
    }

    fn open_writer(&self, id: &WriterId) -> Result<Box<dyn Writer>, WalError> {
        let mut queue = self.inner.queue.lock();
        let epoch = queue.epochs.get(id).copied().unwrap_or(0) + 1;
        queue.epochs.insert(id.clone(), epoch);
        Ok(Box::new(LogWriter {
            inner: Arc::clone(&self.inner),
            id: id.clone(),
            epoch,
        }))
    }

    fn open_reader(
        &self,
        partition: Partition,
        after: Position,
    ) -> Result<Box<dyn Reader>, WalError> {
        self.inner.check_retained(partition, after)?;
        Ok(Box::new(LogReader::new(
            Arc::clone(&self.inner),
            partition,
            after,
        )))
    }

    fn subscribe(&self, partition: Partition, notify: Notify) {
        self.inner.queue.lock().notify.insert(partition, notify);
    }

    fn trim(&self, partition: Partition, up_to: Position) {
        if let Some(tail) = self.inner.queue.lock().tails.get_mut(&partition) {
            tail.trim(up_to);
        }
        {
            let mut trimmed = self.inner.trimmed.lock();
            let at = trimmed.entry(partition).or_insert(up_to);
            *at = up_to.max(*at);
        }
        if self.inner.segments.lock().len() > 1 {
            // Perhaps one can go now, and perhaps nothing else comes that wakes the log thread.
            self.inner.queue.lock().tidy = true;
            self.inner.woken.notify_one();
        }
    }

    fn max_transaction_bytes(&self) -> usize {
        MAX_BODY / 2
    }

    fn max_record_bytes(&self) -> usize {
        MAX_BODY / 4
    }

    fn bytes_written(&self) -> u64 {
        self.inner.written.load(Ordering::Relaxed)
    }

    fn shows_undurable(&self) -> bool {
        true
    }
}

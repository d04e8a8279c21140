//! The log's public face: opening, appending, committing, trimming.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::disk::{Directory, Disk, DiskFile};
use super::frame::{self, MAX_BODY, MAX_RECORDS};
use super::reader::LogReader;
use super::segments::{self, Segment};
use super::sync::LogThread;
use super::tail::{Tail, Tails};
use crate::{
    Append, AppendError, Log, Notify, OnCommit, Outcome, Partition, Position, Reader, Record,
    Transaction, WalError, Writer, WriterId,
};

/// What a reader of the segments needs: number, file, bytes of frames.
type Readable = Vec<(u64, Arc<dyn DiskFile>, u64)>;

/// Settings of the log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a segment file, in bytes. At least 32 MiB outside tests, since a frame must fit.
    pub segment_bytes: u64,
    /// Frames of at least this many bytes are compressed.
    pub compress_bytes: usize,
    /// Bytes that may wait for the log thread before appends are refused.
    pub queue_bytes: usize,
    /// Called when the disk refuses to make bytes durable. The default ends the process: the kernel forgets such an
    /// error after telling it once, so the next `fdatasync` would lie.
    pub on_sync_error: fn(&std::io::Error),
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            compress_bytes: 1024,
            queue_bytes: 64 << 20,
            on_sync_error: |error| {
                tracing::error!(%error, "the disk refused to make the log durable; ending the process");
                std::process::abort();
            },
        }
    }
}

/// One entry of the queue: one frame.
pub(super) struct Pending {
    pub sequence: u64,
    pub records: Vec<(Partition, Record)>,
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
    notify: BTreeMap<Partition, Notify>,
    epochs: BTreeMap<WriterId, u64>,
    pub stop: bool,
    /// The log takes no more writes; why.
    pub refused: Option<String>,
}

/// Shared by the log's handles, readers, writers and threads.
pub(super) struct Inner {
    pub disk: Box<dyn Disk>,
    pub options: Options,
    pub queue: Mutex<Queue>,
    pub woken: Condvar,
    pub segments: Mutex<Vec<Segment>>,
    /// Positions up to which each partition is no longer needed.
    pub trimmed: Mutex<BTreeMap<Partition, Position>>,
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
    /// [`WalError::Locked`], [`WalError::Corrupt`], [`WalError::Io`].
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
    pub fn on_disk(disk: Box<dyn Disk>, options: Options) -> Result<Arc<EmbeddedLog>, WalError> {
        let io_error = |source| WalError::Io {
            context: "making the first segment".to_owned(),
            source,
        };
        let mut recovered = segments::recover(disk.as_ref())?;
        if recovered.segments.is_empty() {
            // Not zeroed: an empty server shall start at once.
            let file =
                segments::make(disk.as_ref(), 1, options.segment_bytes, false).map_err(io_error)?;
            recovered.segments.push(Segment {
                id: 1,
                file,
                first: 0,
                last: BTreeMap::new(),
                end: 0,
            });
        }
        let next = recovered.last + 1;
        let inner = Arc::new(Inner {
            disk,
            options,
            queue: Mutex::new(Queue {
                next,
                ..Queue::default()
            }),
            woken: Condvar::new(),
            segments: Mutex::new(recovered.segments),
            trimmed: Mutex::new(BTreeMap::new()),
            written: AtomicU64::new(0),
            run: recovered.run + 1,
            recovered: frame::position(recovered.last, MAX_RECORDS - 1),
        });
        let log_thread = LogThread::new(Arc::clone(&inner), recovered.last);
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

    /// The last position that was recovered or given: a store that is ahead of it has lost its log.
    pub fn end(&self) -> Position {
        frame::position(self.inner.queue.lock().next - 1, MAX_RECORDS - 1)
    }

    /// Writes what is queued, marks all of it as durable, and ends the log thread. Later writes are refused.
    pub fn close(&self) {
        self.inner.queue.lock().stop = true;
        self.inner.woken.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // If it panicked, commits are never told, which their waiters notice by themselves.
            let _ = thread.join();
        }
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

fn bytes_of(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

impl Inner {
    /// Segments with how far they may be read.
    pub(super) fn readable(&self) -> Readable {
        self.segments
            .lock()
            .iter()
            .map(|segment| (segment.id, Arc::clone(&segment.file), segment.end))
            .collect()
    }

    pub(super) fn first_of(&self, id: u64) -> Option<u64> {
        self.segments
            .lock()
            .iter()
            .find(|segment| segment.id == id)
            .map(|segment| segment.first)
            .filter(|first| *first > 0)
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
    fn show(
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
        if let Some(why) = &queue.refused {
            return Err(AppendError::Unavailable(why.clone()));
        }
        if queue.bytes + size > self.inner.options.queue_bytes {
            return Err(AppendError::Full);
        }
        queue.bytes += size;
        let joins = queue.pending.back().is_some_and(|last| {
            last.on_commit.is_none()
                && last.records.len() < MAX_RECORDS / 2
                && queue.bytes < MAX_BODY / 4
        });
        if !joins {
            let sequence = queue.next;
            queue.next += 1;
            queue.pending.push_back(Pending {
                sequence,
                records: Vec::new(),
                on_commit: None,
            });
        }
        let was_empty = queue.pending.len() == 1 && !joins;
        let Some(last) = queue.pending.back_mut() else {
            return Err(AppendError::Full);
        };
        let (sequence, index) = (last.sequence, last.records.len());
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
        let dropped = super::dropped::read(self.inner.disk.as_ref())?;
        match dropped.positions.get(&partition) {
            Some(start) if after < *start => Err(WalError::Truncated {
                partition,
                position: after,
                start: *start,
            }),
            _ => Ok(Box::new(LogReader::new(
                Arc::clone(&self.inner),
                partition,
                after,
            ))),
        }
    }

    fn subscribe(&self, partition: Partition, notify: Notify) {
        self.inner.queue.lock().notify.insert(partition, notify);
    }

    fn trim(&self, partition: Partition, up_to: Position) {
        if let Some(tail) = self.inner.queue.lock().tails.get_mut(&partition) {
            tail.trim(up_to);
        }
        let mut trimmed = self.inner.trimmed.lock();
        let at = trimmed.entry(partition).or_insert(up_to);
        *at = up_to.max(*at);
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

struct LogWriter {
    inner: Arc<Inner>,
    id: WriterId,
    epoch: u64,
}

impl Writer for LogWriter {
    fn commit(&mut self, transaction: Transaction, on_commit: OnCommit) -> Result<(), WalError> {
        let size: usize = transaction
            .records
            .iter()
            .map(|(_, record)| bytes_of(record))
            .sum();
        if size > MAX_BODY / 2 {
            return Err(WalError::TooLarge {
                what: "transaction",
                size,
                limit: MAX_BODY / 2,
            });
        }
        if transaction.records.len() > MAX_RECORDS / 2 {
            let (size, limit) = (transaction.records.len(), MAX_RECORDS / 2);
            return Err(WalError::TooLarge {
                what: "number of records in a transaction",
                size,
                limit,
            });
        }
        let mut guard = self.inner.queue.lock();
        let queue = &mut *guard;
        if queue.epochs.get(&self.id) != Some(&self.epoch) {
            drop(guard);
            on_commit(Outcome::Fenced);
            return Ok(());
        }
        if queue.stop || queue.refused.is_some() {
            drop(guard);
            on_commit(Outcome::Aborted);
            return Ok(());
        }
        let sequence = queue.next;
        queue.next += 1;
        queue.bytes += size;
        queue.transactions += 1;
        let mut notify: Vec<Notify> = Vec::new();
        for (index, (partition, record)) in transaction.records.iter().enumerate() {
            // The changelog's own records are told to nobody in normal running.
            if Tail::is_kept(*partition) {
                notify.extend(queue.show(
                    self.inner.recovered,
                    sequence,
                    index,
                    *partition,
                    record,
                ));
            } else if let Some(watcher) = queue.notify.get(partition) {
                notify.push(Arc::clone(watcher));
            }
        }
        queue.pending.push_back(Pending {
            sequence,
            records: transaction.records,
            on_commit: Some(on_commit),
        });
        drop(guard);
        self.inner.woken.notify_one();
        for notify in notify {
            notify();
        }
        Ok(())
    }

    fn max_in_flight(&self) -> usize {
        4
    }
}

//! The log thread: writes what has gathered, makes it durable with one `fdatasync`, and tells whoever waits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use super::disk::DiskFile;
use super::dropped::{self, Dropped};
use super::frame::{self, Encoder};
use super::open::{Inner, Pending};
use super::segments::{self, Segment};
use crate::{OnCommit, Outcome};

/// How long plain appends may wait for the transaction that consumes them.
const APPENDS_WAIT: Duration = Duration::from_millis(5);

pub(super) struct LogThread {
    inner: Arc<Inner>,
    encoder: Encoder,
    buffer: Vec<u8>,
    durable: u64,
    /// The next segment, being made in the background.
    next_segment: Option<mpsc::Receiver<io::Result<Arc<dyn DiskFile>>>>,
}

impl LogThread {
    pub(super) fn new(inner: Arc<Inner>, durable: u64) -> LogThread {
        let encoder = Encoder::new(inner.options.compress_bytes);
        LogThread {
            inner,
            encoder,
            buffer: Vec::new(),
            durable,
            next_segment: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let (batch, stop) = self.take();
            if !batch.is_empty() {
                self.write(batch);
            }
            if stop {
                self.mark();
                return;
            }
            self.drop_segments();
        }
    }

    /// Waits for transactions; plain appends alone wait a little.
    fn take(&self) -> (VecDeque<Pending>, bool) {
        let mut queue = self.inner.queue.lock();
        let mut waited = false;
        while !queue.stop && queue.transactions == 0 && (queue.pending.is_empty() || !waited) {
            if queue.pending.is_empty() {
                self.inner.woken.wait(&mut queue);
            } else {
                waited = self
                    .inner
                    .woken
                    .wait_for(&mut queue, APPENDS_WAIT)
                    .timed_out();
            }
        }
        queue.bytes = 0;
        queue.transactions = 0;
        (std::mem::take(&mut queue.pending), queue.stop)
    }

    fn write(&mut self, batch: VecDeque<Pending>) {
        let mut waiting: Vec<(OnCommit, Outcome)> = Vec::new();
        let mut batch = batch.into_iter();
        let mut last = self.durable;
        for pending in batch.by_ref() {
            match self.add(&pending) {
                Ok(()) => {
                    last = pending.sequence;
                    let position =
                        frame::position(pending.sequence, pending.records.len().saturating_sub(1));
                    waiting.extend(
                        pending
                            .on_commit
                            .map(|on_commit| (on_commit, Outcome::Committed(position))),
                    );
                }
                Err(error) => {
                    // Nothing of this frame is in the log; what was added before it is.
                    self.refuse(&error);
                    waiting.extend(
                        pending
                            .on_commit
                            .map(|on_commit| (on_commit, Outcome::Aborted)),
                    );
                    break;
                }
            }
        }
        waiting.extend(batch.filter_map(|pending| {
            pending
                .on_commit
                .map(|on_commit| (on_commit, Outcome::Aborted))
        }));
        let durable = self.flush();
        if durable {
            self.durable = last;
        }
        for (on_commit, outcome) in waiting {
            on_commit(if durable { outcome } else { Outcome::Unknown });
        }
    }

    /// The disk takes no more: reads go on, writes are refused until a restart.
    fn refuse(&self, error: &io::Error) {
        tracing::error!(%error, "the log cannot be written; writes are refused from now on");
        self.inner.queue.lock().refused = Some(format!("the log cannot be written: {error}"));
    }

    /// Encodes a frame into the buffer, behind what is there; changes segments when this one is full.
    fn add(&mut self, pending: &Pending) -> io::Result<()> {
        let start = self.buffer.len();
        let (mut id, mut end) = self.active();
        self.encode(id, pending);
        let size = self.inner.options.segment_bytes;
        if end + self.buffer.len() as u64 > size && (end > 0 || start > 0) {
            self.buffer.truncate(start);
            if !self.flush() {
                return Err(io::Error::other("fdatasync failed"));
            }
            self.roll(size)?;
            (id, end) = self.active();
            self.encode(id, pending);
        }
        debug_assert!(
            end + self.buffer.len() as u64 <= size.max(self.buffer.len() as u64),
            "a frame beyond its segment"
        );
        let mut segments = self.inner.segments.lock();
        if let Some(segment) = segments.last_mut() {
            if segment.first == 0 {
                segment.first = pending.sequence;
            }
            segment.note(pending.sequence, &pending.records);
        }
        Ok(())
    }

    fn encode(&mut self, segment: u64, pending: &Pending) {
        let run = self.inner.run;
        self.encoder.encode(
            &mut self.buffer,
            segment,
            run,
            pending.sequence,
            self.durable,
            &pending.records,
        );
    }

    fn active(&self) -> (u64, u64) {
        self.inner
            .segments
            .lock()
            .last()
            .map_or((0, 0), |segment| (segment.id, segment.end))
    }

    /// Writes the buffer and makes it durable. Says whether it is.
    fn flush(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let active = self
            .inner
            .segments
            .lock()
            .last()
            .map(|segment| (Arc::clone(&segment.file), segment.end));
        let Some((file, end)) = active else {
            return false;
        };
        let len = self.buffer.len() as u64;
        let written = file.write_at(end, &self.buffer);
        self.buffer.clear();
        if let Err(error) = written {
            self.refuse(&error);
            return false;
        }
        if let Err(error) = file.sync() {
            (self.inner.options.on_sync_error)(&error);
            self.refuse(&error);
            return false;
        }
        self.inner.written.fetch_add(len, Ordering::Relaxed);
        let mut half_full = false;
        if let Some(segment) = self.inner.segments.lock().last_mut() {
            segment.end = end + len;
            half_full = segment.end > self.inner.options.segment_bytes / 2;
        }
        if half_full {
            self.prepare_next();
        }
        true
    }

    /// Makes the next segment ahead, in the background.
    fn prepare_next(&mut self) {
        if self.next_segment.is_some() {
            return;
        }
        let (sender, receiver) = mpsc::channel();
        let inner = Arc::clone(&self.inner);
        let (id, _) = self.active();
        let made = std::thread::Builder::new()
            .name("log-segment".to_owned())
            .spawn(move || {
                let made = segments::make(
                    inner.disk.as_ref(),
                    id + 1,
                    inner.options.segment_bytes,
                    true,
                );
                // The log thread may have ended meanwhile: the file is then found empty at the next start.
                let _ = sender.send(made);
            });
        if made.is_ok() {
            self.next_segment = Some(receiver);
        }
    }

    fn roll(&mut self, size: u64) -> io::Result<()> {
        let (id, _) = self.active();
        let made = match self
            .next_segment
            .take()
            .and_then(|receiver| receiver.recv().ok())
        {
            Some(made) => made,
            None => segments::make(self.inner.disk.as_ref(), id + 1, size, false),
        };
        let segment = Segment {
            id: id + 1,
            file: made?,
            first: 0,
            last: BTreeMap::new(),
            end: 0,
        };
        self.inner.segments.lock().push(segment);
        Ok(())
    }

    /// A clean stop: an empty frame says that everything before it is durable. Nothing is written if nothing was since the
    /// start: whoever only looked at the log, and refused it, leaves it as it was.
    fn mark(&mut self) {
        if self.inner.written.load(Ordering::Relaxed) == 0 {
            return;
        }
        let sequence = {
            let mut queue = self.inner.queue.lock();
            queue.next += 1;
            queue.next - 1
        };
        let pending = Pending {
            sequence,
            records: Vec::new(),
            on_commit: None,
        };
        if self.inner.queue.lock().refused.is_none() && self.add(&pending).is_ok() {
            self.flush();
        }
    }

    /// Removes the oldest segments that nobody needs, after writing down what goes with them.
    fn drop_segments(&self) {
        let removable = {
            let trimmed = self.inner.trimmed.lock();
            let segments = self.inner.segments.lock();
            let needless = |segment: &Segment| {
                segment.last.iter().all(|(partition, last)| {
                    trimmed.get(partition).is_some_and(|up_to| up_to >= last)
                })
            };
            let count = segments
                .iter()
                .take(segments.len().saturating_sub(1))
                .take_while(|segment| needless(segment))
                .count();
            segments[..count]
                .iter()
                .map(|segment| (segment.id, segment.last.clone()))
                .collect::<Vec<_>>()
        };
        if removable.is_empty() {
            return;
        }
        let mut dropped = Dropped::default();
        for (id, last) in &removable {
            dropped.segment = *id;
            dropped.positions.extend(last.clone());
        }
        let disk = self.inner.disk.as_ref();
        let removed = dropped::add(disk, dropped).and_then(|()| {
            for (id, _) in &removable {
                self.inner
                    .segments
                    .lock()
                    .retain(|segment| segment.id != *id);
                disk.remove(&segments::name(*id))?;
            }
            disk.sync_dir()
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "old segments could not be removed");
        }
    }
}

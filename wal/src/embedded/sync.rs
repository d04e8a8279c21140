//! The log thread: writes what has gathered, makes it durable with one `fdatasync`, and tells whoever waits.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::disk::DiskFile;
use super::frame::{self, Birth, Encoder, Header};
use super::maker::Maker;
use super::open::{Inner, Pending};
use super::segments::Segment;
use crate::{OnCommit, Outcome};

/// How long plain appends may wait for the transaction that consumes them.
const APPENDS_WAIT: Duration = Duration::from_millis(5);
/// A frame without records is no larger.
const MARK_BYTES: u64 = 64;

/// The log stops, or the disk is broken: what was to be written will not be.
struct Ended;

pub(super) struct LogThread {
    inner: Arc<Inner>,
    encoder: Encoder,
    /// Frames that are not written yet.
    buffer: Vec<u8>,
    /// Who waits for them.
    waiting: Vec<(OnCommit, Outcome)>,
    /// The last frame in the buffer, or before it.
    added: u64,
    /// The last durable frame.
    durable: u64,
    active: Active,
    /// A frame could not be written: none behind it may be, or its number would be missing.
    ended: bool,
    /// The next segment, being made in the background.
    next_segment: Option<Maker>,
}

/// The segment that is written to.
struct Active {
    id: u64,
    file: Arc<dyn DiskFile>,
    /// Bytes of frames in it, without the buffer.
    end: u64,
    size: u64,
    /// When it is sealed, however empty. It has no records if there is no such time.
    seal_at: Option<Instant>,
}

impl Active {
    fn new(segment: &Segment, age: Duration) -> Active {
        let old = segment.born_ms.map_or(Duration::ZERO, |born| {
            Duration::from_millis(now_ms().saturating_sub(born).max(0) as u64)
        });
        let has_records = segment.blocks.has_records();
        Active {
            id: segment.id,
            file: Arc::clone(&segment.file),
            end: segment.end,
            size: segment.size,
            seal_at: has_records
                .then(|| Instant::now().checked_add(age.saturating_sub(old)))
                .flatten(),
        }
    }
}

fn now_ms() -> i64 {
    // A clock before 1970 counts as 1970.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

impl LogThread {
    pub(super) fn new(inner: Arc<Inner>, durable: u64) -> Option<LogThread> {
        let encoder = Encoder::new(inner.options.compress_bytes);
        let age = inner.options.segment_age;
        let active = inner
            .segments
            .lock()
            .last()
            .map(|segment| Active::new(segment, age))?;
        Some(LogThread {
            inner,
            encoder,
            buffer: Vec::new(),
            waiting: Vec::new(),
            added: durable,
            durable,
            active,
            ended: false,
            next_segment: None,
        })
    }

    pub(super) fn run(mut self) {
        loop {
            let (batch, stop) = self.take();
            if !batch.is_empty() {
                self.write(batch);
            }
            if stop {
                break;
            }
            self.seal();
            self.drop_segments();
        }
        if self.inner.written.load(Ordering::Relaxed) > 0 {
            self.mark();
        }
        if let Some(maker) = self.next_segment.take() {
            maker.join();
        }
    }

    /// Waits for transactions, or something to tidy up; plain appends alone wait a little.
    fn take(&self) -> (VecDeque<Pending>, bool) {
        let mut queue = self.inner.queue.lock();
        loop {
            if queue.stop || queue.transactions > 0 || queue.tidy {
                break;
            }
            let waited = match (queue.pending.is_empty(), self.seal_at()) {
                (false, _) => self.inner.woken.wait_for(&mut queue, APPENDS_WAIT),
                (true, Some(at)) => self.inner.woken.wait_until(&mut queue, at),
                (true, None) => {
                    self.inner.woken.wait(&mut queue);
                    continue;
                }
            };
            if waited.timed_out() {
                break;
            }
        }
        queue.bytes = 0;
        queue.transactions = 0;
        queue.tidy = false;
        (std::mem::take(&mut queue.pending), queue.stop)
    }

    /// When the active segment is to be sealed, unless that waits for the next one already.
    fn seal_at(&self) -> Option<Instant> {
        self.active.seal_at.filter(|_| self.next_segment.is_none())
    }

    fn write(&mut self, batch: VecDeque<Pending>) {
        let mut batch = batch.into_iter();
        while let Some(mut pending) = batch.next() {
            let on_commit = pending.on_commit.take();
            if !self.ended && self.add(&pending).is_ok() {
                let last = pending.records.len().saturating_sub(1);
                let outcome = Outcome::Committed(frame::position(pending.sequence, last));
                self.waiting
                    .extend(on_commit.map(|on_commit| (on_commit, outcome)));
            } else {
                // Nothing of this frame is in the log, nor of those behind it.
                self.ended = true;
                let rest = batch.filter_map(|pending| pending.on_commit);
                for on_commit in on_commit.into_iter().chain(rest) {
                    on_commit(Outcome::Aborted);
                }
                break;
            }
        }
        // What this could not write has been told.
        let _ = self.flush();
    }

    /// The disk is broken: reads go on, writes are refused until a restart.
    fn refuse(&self, error: &io::Error) {
        (self.inner.options.on_sync_error)(error);
        tracing::error!(%error, "the log cannot be written; writes are refused from now on");
        self.inner.queue.lock().refused = Some(format!("the log cannot be written: {error}"));
    }

    /// Encodes a frame into the buffer, behind what is there; changes segments when this one is full.
    fn add(&mut self, pending: &Pending) -> Result<(), Ended> {
        let start = self.buffer.len();
        if !self.encode(pending) {
            self.buffer.truncate(start);
            self.flush()?;
            self.roll()?;
            self.encode(pending);
        }
        self.added = pending.sequence;
        Ok(())
    }

    /// Says whether the frame fits the segment; if so, it is noted there.
    fn encode(&mut self, pending: &Pending) -> bool {
        let start = self.buffer.len();
        let active = &mut self.active;
        let offset = active.end + start as u64;
        let header = Header {
            segment: active.id,
            run: self.inner.run,
            sequence: pending.sequence,
            durable: self.durable,
        };
        let birth = (offset == 0).then(|| Birth {
            time_ms: now_ms(),
            size: active.size,
        });
        let summary = self
            .encoder
            .encode(&mut self.buffer, header, birth, &pending.records);
        // A segment takes at least one frame, whatever its size.
        if active.end + self.buffer.len() as u64 > active.size && offset > 0 {
            return false;
        }
        if active.seal_at.is_none() && !pending.records.is_empty() {
            active.seal_at = Instant::now().checked_add(self.inner.options.segment_age);
        }
        if let Some(segment) = self.inner.segments.lock().last_mut() {
            segment.blocks.note(offset, pending.sequence, summary);
            if let Some(birth) = birth {
                segment.born_ms = Some(birth.time_ms);
            }
        }
        true
    }

    /// Writes the buffer, makes it durable, and tells who waited for that.
    fn flush(&mut self) -> Result<(), Ended> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.write_buffer();
        let len = self.buffer.len() as u64;
        self.buffer.clear();
        if written.is_ok() {
            self.durable = self.added;
            self.active.end += len;
            self.inner.written.fetch_add(len, Ordering::Relaxed);
            if let Some(segment) = self.inner.segments.lock().last_mut() {
                segment.end = self.active.end;
                segment.last = self.durable;
                segment.run = self.inner.run;
            }
            if self.active.end > self.active.size / 2 {
                self.prepare_next();
            }
        }
        for (on_commit, outcome) in self.waiting.drain(..) {
            on_commit(match written {
                Ok(()) => outcome,
                Err(Ended) => Outcome::Unknown,
            });
        }
        written
    }

    fn write_buffer(&mut self) -> Result<(), Ended> {
        if self.inner.queue.lock().refused.is_some() {
            return Err(Ended);
        }
        loop {
            match self.active.file.write_at(self.active.end, &self.buffer) {
                Ok(()) => break,
                // Its room was reserved, but not every file system keeps that promise. The same bytes go to the same
                // place later: nobody was told of them yet.
                Err(error) if is_full(&error) => self.wait_for_room(&error)?,
                Err(error) => {
                    self.refuse(&error);
                    return Err(Ended);
                }
            }
        }
        self.inner.queue.lock().full = None;
        self.active.file.sync().map_err(|error| {
            self.refuse(&error);
            Ended
        })
    }

    fn wait_for_room(&self, error: &io::Error) -> Result<(), Ended> {
        let mut queue = self.inner.queue.lock();
        if queue.full.is_none() {
            tracing::error!(%error, "there is no room for the log; writes wait until there is");
        }
        queue.full = Some(format!(
            "there is no room for the log: {error}; free some disk space"
        ));
        if !queue.stop {
            self.inner
                .retry
                .wait_for(&mut queue, self.inner.options.retry);
        }
        if queue.stop { Err(Ended) } else { Ok(()) }
    }

    /// Makes the next segment ahead, in the background.
    fn prepare_next(&mut self) {
        if self.next_segment.is_none() {
            self.next_segment = Maker::start(&self.inner, self.active.id + 1);
        }
    }

    /// The next segment, if it is ready; if not, it is being made.
    fn take_next(&mut self) -> Option<Arc<dyn DiskFile>> {
        self.prepare_next();
        let (file, ended) = self.next_segment.as_ref()?.poll();
        if (file.is_some() || ended)
            && let Some(maker) = self.next_segment.take()
        {
            maker.join();
        }
        file
    }

    /// Goes on in the next segment; waits for it if there was no room for it yet.
    fn roll(&mut self) -> Result<(), Ended> {
        loop {
            if let Some(file) = self.take_next() {
                self.enter(file);
                return Ok(());
            }
            let mut queue = self.inner.queue.lock();
            if queue.stop {
                return Err(Ended);
            }
            let pause = self.inner.options.retry;
            let look = queue.tidy || self.inner.woken.wait_for(&mut queue, pause).timed_out();
            queue.tidy = false;
            drop(queue);
            if look {
                // Removing old segments makes room.
                self.drop_segments();
            }
        }
    }

    fn enter(&mut self, file: Arc<dyn DiskFile>) {
        let size = self.inner.options.segment_bytes;
        let segment = Segment::empty(self.active.id + 1, file, size, self.durable, self.inner.run);
        self.active = Active::new(&segment, self.inner.options.segment_age);
        self.inner.segments.lock().push(segment);
    }

    /// Leaves a segment that has become old for the next one, once that is ready.
    fn seal(&mut self) {
        if self.active.seal_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        if let Some(file) = self.take_next() {
            // The mark is the witness of the last frames here.
            self.mark();
            self.enter(file);
        } else if self.next_segment.is_none() {
            // There was no thread to be had: later.
            self.active.seal_at = Instant::now().checked_add(self.inner.options.retry);
        }
    }

    /// An empty frame that says that everything before it is durable: at a clean stop (if anything was written since the
    /// start: whoever only looked at the log, and refused it, leaves it as it was), and at the end of a sealed segment.
    fn mark(&mut self) {
        if self.active.end > 0 && self.active.end + MARK_BYTES > self.active.size {
            return;
        }
        let sequence = {
            let mut queue = self.inner.queue.lock();
            // Numbers that were given out are written first, and those of what could not be written stay missing.
            if queue.refused.is_some() || !queue.pending.is_empty() || self.added + 1 != queue.next
            {
                return;
            }
            queue.next += 1;
            queue.next - 1
        };
        let pending = Pending {
            sequence,
            records: Vec::new(),
            bytes: 0,
            on_commit: None,
        };
        if self.encode(&pending) {
            self.added = sequence;
            // A failure has been told.
            let _ = self.flush();
        }
    }

    /// Removes the oldest segments that nobody needs, after writing down what goes with them.
    fn drop_segments(&self) {
        // Held to the end: see `Pin`.
        let pins = self.inner.pins.lock();
        if *pins > 0 {
            return;
        }
        let (ids, dropped) = {
            let trimmed = self.inner.trimmed.lock();
            let segments = self.inner.segments.lock();
            let needless = |segment: &&Segment| {
                segment.blocks.last().all(|(partition, last)| {
                    trimmed.get(&partition).is_some_and(|up_to| *up_to >= last)
                })
            };
            let removable: Vec<&Segment> = segments
                .iter()
                .take(segments.len().saturating_sub(1))
                .take_while(needless)
                .collect();
            let Some(last) = removable.last() else {
                return;
            };
            let mut dropped = self.inner.dropped.lock().clone();
            dropped.segment = last.id;
            dropped.last = Some(last.last);
            dropped.run = Some(last.run);
            for segment in &removable {
                dropped.positions.extend(segment.blocks.last());
            }
            let ids: Vec<u64> = removable.iter().map(|segment| segment.id).collect();
            (ids, dropped)
        };
        let disk = self.inner.disk.as_ref();
        let removed = super::dropped::write(disk, &dropped).and_then(|()| {
            *self.inner.dropped.lock() = dropped;
            for id in ids {
                self.inner
                    .segments
                    .lock()
                    .retain(|segment| segment.id != id);
                disk.remove(&super::segments::name(id))?;
            }
            disk.sync_dir()
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "old segments could not be removed");
        }
    }
}

/// Whether an error says that there is no room, now.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

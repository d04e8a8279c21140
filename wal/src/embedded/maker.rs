//! Makes the next segment ahead, on a thread of its own, and goes on trying when the disk has no room for it.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::disk::DiskFile;
use super::open::Inner;
use super::segments;

/// A segment that is being made.
pub(super) struct Maker {
    made: mpsc::Receiver<Arc<dyn DiskFile>>,
    thread: JoinHandle<()>,
}

impl Maker {
    /// Starts to make segment `id`. `None` if there is no thread to be had: try again.
    pub(super) fn start(inner: &Arc<Inner>, id: u64) -> Option<Maker> {
        let (sender, made) = mpsc::channel();
        let inner = Arc::clone(inner);
        let thread = std::thread::Builder::new()
            .name("log-segment".to_owned())
            .spawn(move || {
                crate::background::step_back();
                if let Some(file) = make(&inner, id) {
                    // If the log thread has ended meanwhile, the file is found empty at the next start.
                    let _ = sender.send(file);
                    inner.queue.lock().tidy = true;
                    inner.woken.notify_one();
                }
            })
            .ok()?;
        Some(Maker { made, thread })
    }

    /// The segment, once it is there, and whether no other will come.
    pub(super) fn poll(&self) -> (Option<Arc<dyn DiskFile>>, bool) {
        let ended = self.thread.is_finished();
        (self.made.try_recv().ok(), ended)
    }

    /// Waits for the end of the thread, which is soon once the log stops.
    pub(super) fn join(self) {
        // A panic there is one segment less, which the log does without.
        let _ = self.thread.join();
    }
}

/// Makes the segment, however long it takes. While that fails, new plain appends are refused: what was accepted before
/// still has the rest of the active segment. `None` if the log stops first.
fn make(inner: &Inner, id: u64) -> Option<Arc<dyn DiskFile>> {
    loop {
        let size = inner.options.segment_bytes;
        let made = segments::make(inner.disk.as_ref(), id, size, true, &inner.stopping);
        let mut queue = inner.queue.lock();
        match made {
            Ok(file) => {
                if queue.full.take().is_some() {
                    tracing::info!("the log takes writes again");
                }
                return Some(file);
            }
            Err(_) if queue.stop => return None,
            Err(error) => {
                if queue.full.is_none() {
                    tracing::error!(%error, "there is no room for the log's next segment; new writes are refused until there is");
                }
                queue.full = Some(format!(
                    "there is no room for the log's next segment of {size} bytes ({}): {error}; free some disk space",
                    segments::name(id)
                ));
                inner.retry.wait_for(&mut queue, inner.options.retry);
            }
        }
    }
}

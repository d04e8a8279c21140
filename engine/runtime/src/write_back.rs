//! The thread that writes back.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use index::WriteBack;

use crate::EngineError;
use crate::driver::{News, Signal};

/// What the process's write-back thread does.
pub(crate) enum Job {
    /// Write-back of one group, which is told the end.
    Write(WriteBack, Arc<Signal>),
    /// Free the memory of one.
    Drop(WriteBack),
}

/// The process's write-back thread: disk work that no group's thread should wait for.
pub(crate) struct WriteBackThread {
    sender: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl WriteBackThread {
    pub(crate) fn start() -> Result<WriteBackThread, EngineError> {
        let (sender, receiver): (Sender<Job>, Receiver<Job>) = crossbeam_channel::unbounded();
        let thread = std::thread::Builder::new()
            .name("write-back".to_owned())
            .spawn(move || {
                wal::background::step_back();
                // At most two jobs a group are under way, so the queue is bounded by the number of groups.
                for job in receiver {
                    match job {
                        Job::Write(work, done) => {
                            let error = work.run().err().map(|error| error.to_string());
                            done.tell(|inbox| inbox.news.push(News::Written { work, error }));
                        }
                        Job::Drop(work) => drop(work),
                    }
                }
            })
            .map_err(|error| EngineError::Start(format!("no write-back thread: {error}")))?;
        Ok(WriteBackThread {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    pub(crate) fn sender(&self) -> Sender<Job> {
        // Present until `stop`, which ends the engine.
        self.sender
            .clone()
            .unwrap_or_else(|| crossbeam_channel::unbounded().0)
    }

    pub(crate) fn stop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already failed the groups that waited for it.
            let _ = thread.join();
        }
    }
}

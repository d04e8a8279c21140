//! The thread that drives a standby.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wal::{Log, Partition};

use crate::{Clock, EngineError, Health, Progress, Standby};

/// With no news from the log, look around this often.
const IDLE: Duration = Duration::from_millis(500);
/// A standby with changes that are only in the log writes them back after this time.
const IDLE_WRITE_BACK_MS: i64 = 10_000;

#[derive(Default)]
struct Inbox {
    news: bool,
    stop: bool,
}

struct Shared {
    inbox: Mutex<Inbox>,
    woken: Condvar,
    progress: Mutex<Progress>,
    health: Mutex<Health>,
}

/// Runs one standby on a thread of its own. Write-backs run on it too: the lag grows by what arrives meanwhile, the
/// memory by nothing.
pub struct StandbyDriver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Standby, EngineError>>>,
}

impl StandbyDriver {
    /// Begins to follow.
    pub fn start(
        standby: Standby,
        log: &dyn Log,
        clock: Arc<dyn Clock>,
    ) -> Result<StandbyDriver, EngineError> {
        let id = standby.id();
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            woken: Condvar::new(),
            progress: Mutex::new(standby.progress()),
            health: Mutex::new(Health::Running),
        });
        let woken = Arc::clone(&shared);
        let notify = move || {
            woken.inbox.lock().news = true;
            woken.woken.notify_one();
        };
        log.subscribe(Partition::changelog(id), Arc::new(notify));
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("standby-{id}"))
            .spawn(move || {
                let end = follow(standby, &own, clock.as_ref());
                *own.health.lock() = match &end {
                    Ok(_) => Health::Stopped,
                    Err(error) => {
                        tracing::error!(group = %id, %error, "the standby is given up");
                        Health::Failed(error.to_string())
                    }
                };
                end
            })
            .map_err(|error| {
                EngineError::Start(format!("no thread for the standby of group {id}: {error}"))
            })?;
        Ok(StandbyDriver {
            shared,
            thread: Some(thread),
        })
    }

    /// How far it has come, as of its last step.
    pub fn progress(&self) -> Progress {
        self.shared.progress.lock().clone()
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        self.shared.health.lock().clone()
    }

    /// Ends the thread and gives the standby back: to take over, or to be dropped.
    ///
    /// # Errors
    /// It had been given up; why.
    pub fn stop(mut self) -> Result<Standby, EngineError> {
        self.end()
            .ok_or_else(|| EngineError::Start("the standby's thread panicked".to_owned()))?
    }

    fn end(&mut self) -> Option<Result<Standby, EngineError>> {
        self.shared.inbox.lock().stop = true;
        self.shared.woken.notify_one();
        self.thread.take()?.join().ok()
    }
}

impl Drop for StandbyDriver {
    fn drop(&mut self) {
        self.end();
    }
}

fn follow(
    mut standby: Standby,
    shared: &Shared,
    clock: &dyn Clock,
) -> Result<Standby, EngineError> {
    let mut written_ms = clock.now_ms();
    loop {
        {
            let mut inbox = shared.inbox.lock();
            if inbox.stop {
                return Ok(standby);
            }
            inbox.news = false;
        }
        let now = clock.now_ms();
        let more = standby.step(now)?;
        if let Some(work) = standby.start_write_back(now - written_ms >= IDLE_WRITE_BACK_MS) {
            written_ms = now;
            work.run()?;
            standby.finish_write_back(&work);
        }
        *shared.progress.lock() = standby.progress();
        if !more {
            let mut inbox = shared.inbox.lock();
            if !inbox.news && !inbox.stop {
                shared.woken.wait_for(&mut inbox, IDLE);
            }
        }
    }
}

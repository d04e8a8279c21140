//! The thread that drives a standby.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wal::{Log, Partition};

use crate::{Clock, EngineError, Health, Progress, Scheduler, Standby};

/// With no news from the log, look around this often.
const IDLE: Duration = Duration::from_millis(500);
/// While the process's stores hold too much, look again this often.
const HELD: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Inbox {
    news: bool,
    /// The scheduler wants a report.
    report: bool,
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
    /// Begins to follow. What the standby's store holds counts under the bounds of `scheduler`, with all else in the
    /// process ([`crate::Engine::scheduler`]), which says when it writes back; while they are exceeded it applies nothing.
    pub fn start(
        standby: Standby,
        log: &dyn Log,
        clock: Arc<dyn Clock>,
        scheduler: Arc<Scheduler>,
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
        let (own, woken) = (Arc::clone(&shared), Arc::clone(&shared));
        let wake = move || {
            woken.inbox.lock().report = true;
            woken.woken.notify_one();
        };
        scheduler.attach(id, Box::new(wake));
        let attached = Arc::clone(&scheduler);
        let thread = std::thread::Builder::new()
            .name(format!("standby-{id}"))
            .spawn(move || {
                let end = follow(standby, &own, clock.as_ref(), &scheduler);
                scheduler.detach(id);
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
                attached.detach(id);
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
    scheduler: &Scheduler,
) -> Result<Standby, EngineError> {
    let id = standby.id();
    let mut is_held = scheduler.report(id, standby.load(), clock.now_ms()).hold;
    loop {
        {
            let mut inbox = shared.inbox.lock();
            if inbox.stop {
                return Ok(standby);
            }
            (inbox.news, inbox.report) = (false, false);
        }
        // Nobody knows what has come while it was held.
        let more = is_held || standby.step(clock.now_ms())?;
        let turn = scheduler.report(id, standby.load(), clock.now_ms());
        if let Some(work) = standby.start_write_back(turn.write_back) {
            // So that the others know that there will be room.
            scheduler.report(id, standby.load(), clock.now_ms());
            work.run()?;
            standby.finish_write_back(&work);
            is_held = scheduler.report(id, standby.load(), clock.now_ms()).hold;
        } else {
            is_held = turn.hold;
        }
        *shared.progress.lock() = standby.progress();
        if is_held || !more {
            let mut inbox = shared.inbox.lock();
            if !inbox.stop && !inbox.report && (is_held || !inbox.news) {
                let pause = if is_held { HELD } else { IDLE };
                shared.woken.wait_for(&mut inbox, pause);
            }
        }
    }
}

//! What the process around the groups gives them, and what it is told of them.

/// The wall clock, as the only thing that tells time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}

/// How a group is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It executes commands.
    Running,
    /// It was stopped in good order.
    Stopped,
    /// It was given up; the text says why.
    Failed(String),
}

/// Where what a commit released is handed out: answers to callers, entries to consumers.
pub trait Outlet: std::fmt::Debug + Send + Sync {
    /// Does `work`, soon and once. It does not block.
    fn hand_out(&self, work: Box<dyn FnOnce() + Send>);
}

/// Hands out on the group's own thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inline;

impl Outlet for Inline {
    fn hand_out(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Health::Running => f.write_str("running"),
            Health::Stopped => f.write_str("stopped"),
            Health::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

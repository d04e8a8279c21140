//! The runtime of partition groups: commands in, transactions out, effects after the commit.
//!
//! It knows nothing of what an [`Application`] does with its commands; the workflow engine is one application, the
//! ledger in `examples/ledger` another.
//!
//! ```text
//!   submit ──► log: commands ──┐
//!   other groups ► messages ───┤     one group = one thread, one store, one transactional writer
//!   a free consumer ► claim ───┼──► Group::step: executes a batch on the store's active batch
//!   the clock ► due timers ────┘        │ seals it: changelog records, messages, commit record
//!                                       ▼
//!                                  log: one transaction ──► durable
//!                                       ▼
//!                                  Group::committed: readers see it, then replies and deliveries leave
//! ```
//!
//! A [`Group`] is a step function, (inputs, time) → (transaction, outputs): in production [`Driver`] runs it on a
//! thread, in a simulation a seeded scheduler does. So is a [`Standby`], which follows a group's changelog and takes over.
#![deny(missing_docs)]

mod application;
mod commit;
mod context;
mod driver;
mod engine;
mod envelope;
mod group;
mod host;
mod inputs;
mod notices;
mod queue;
mod recovery;
mod replies;
mod scheduler;
mod standby;
mod standby_driver;
mod timer;
mod waiting;
mod write_back;

pub use application::{Application, Rejection, RejectionCode};
pub use commit::{Claimed, CommitRecord, Event, GlobalSeen, Recorded, Taken, Tick};
pub use context::{Context, Mark, Note};
pub use driver::Driver;
pub use engine::{Engine, EngineError, EngineOptions, GroupSetup, Route};
pub use envelope::{Command, RequestId};
pub use group::{Batch, Group, Limits, Nudge, Released};
pub use host::{Clock, Health, Inline, Outlet};
pub use notices::{GivenUp, Notices, Subscription};
pub use queue::{Entry, backlog};
pub use recovery::{Recovery, Replayed, fold, writer_id};
pub use replies::{Replies, SubmitError};
pub use scheduler::{Bounds, Scheduler, Turn};
pub use standby::{Owned, Progress, Standby, TakeOver};
pub use standby_driver::StandbyDriver;
pub use timer::Timer;
pub use waiting::{Consumer, Waiter, Waiting};

//! Events from outside beyond one WfRun's own: CorrelatedEvents and the NodeRuns that wait for them (spec 05, section 5).
//!
//! Who waits for a key is known in the group of the key; the WfRun lives in another. What crosses is a message, executed
//! once and in order:
//!
//! ```text
//!   group of the WfRun                               group of the key
//!   NodeRun arrives, with a key ── wait ───────────► waiter kept, or matched with the event that is there
//!   NodeRun can no longer claim ── withdraw ───────► waiter gone
//!   ExternalEvent stored, run advanced ◄─ delivery ── CorrelatedEvent put: matched with every waiter
//! ```

pub(crate) mod correlated;
pub(crate) mod waiter;

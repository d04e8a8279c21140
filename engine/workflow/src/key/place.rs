//! Where a row is within its WfRun: what its key says, compared without the key being made.

use index::key::KeyWriter;

use super::{RunKey, TaskGuid, UserTaskAt};

/// See the module.
pub trait Place: Clone + Ord + std::fmt::Debug {
    /// The row's key.
    fn key(&self, run: &RunKey) -> KeyWriter;
}

/// The WfRun itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WfRunAt;

impl Place for WfRunAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.wf_run()
    }
}

/// A ThreadRun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadAt {
    /// Its number.
    pub number: i32,
    /// Whether it is archived.
    pub archived: bool,
}

impl ThreadAt {
    /// One that is not archived.
    pub fn active(number: i32) -> ThreadAt {
        ThreadAt {
            number,
            archived: false,
        }
    }
}

impl Place for ThreadAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        if self.archived {
            run.inactive_thread_run(self.number)
        } else {
            run.thread_run(self.number)
        }
    }
}

/// A NodeRun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAt {
    /// Its thread.
    pub thread: i32,
    /// Its position.
    pub position: i32,
}

impl Place for NodeAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.node_run(self.thread, self.position)
    }
}

impl Place for TaskGuid {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.task_run(*self)
    }
}

impl Place for UserTaskAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.user_task_run(*self)
    }
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VariableAt {
    thread: i32,
    name: String,
}

impl VariableAt {
    /// The variable of a thread with this name.
    pub fn new(thread: i32, name: &str) -> VariableAt {
        VariableAt {
            thread,
            name: name.to_owned(),
        }
    }
}

impl Place for VariableAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.variable(self.thread, &self.name)
    }
}

/// The latest output of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputAt {
    thread: i32,
    node: String,
}

impl OutputAt {
    /// That of the node with this name, in a thread.
    pub fn new(thread: i32, node: &str) -> OutputAt {
        OutputAt {
            thread,
            node: node.to_owned(),
        }
    }
}

impl Place for OutputAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.node_output(self.thread, &self.node)
    }
}

/// An ExternalEvent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventAt {
    def: String,
    guid: String,
}

impl EventAt {
    /// Of the definition with this name.
    pub fn new(def: &str, guid: &str) -> EventAt {
        EventAt {
            def: def.to_owned(),
            guid: guid.to_owned(),
        }
    }
}

impl Place for EventAt {
    fn key(&self, run: &RunKey) -> KeyWriter {
        run.external_event(&self.def, &self.guid)
    }
}

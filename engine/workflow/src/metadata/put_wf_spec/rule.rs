//! The rules of PutWfSpec as a list, to be read beside spec 01, sections 9 and 10, in its order. What checks them is in
//! `rules/`.

use proto::littlehorse::LhErrorType;
use runtime::{Rejection, RejectionCode};

use crate::value::TypeError;

/// A rule that a WfSpec breaks, with what its message says.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Rule {
    // 10.2 WfSpec level
    #[error("Unknown entrypoint thread: {0}")]
    EntrypointThreadExists(String),
    #[error("Parent WfSpec {0} does not exist")]
    ParentExists(String),
    #[error(
        "Only child workflows are allowed to access INHERITED variables: {variable} of thread {thread}"
    )]
    InheritedNeedsParent { thread: String, variable: String },
    #[error("INHERITED variable {0} does not exist in parent WfSpec")]
    InheritedExistsInParent(String),
    #[error("Inherited variable {0} is defined as PRIVATE in parent WfSpec")]
    InheritedIsNotPrivate(String),
    #[error("Inherited variable {variable} has type {own}, and {parents} in parent WfSpec")]
    InheritedHasParentsType {
        variable: String,
        own: String,
        parents: String,
    },
    #[error("Variable {0} cannot be both INHERITED and required")]
    InheritedIsNotRequired(String),
    #[error("Variable {variable} is declared in thread {first} and again in thread {second}")]
    VariableNamesAreUnique {
        variable: String,
        first: String,
        second: String,
    },
    #[error("Variable {variable} of thread {thread} {error}")]
    VariableIsWellDefined {
        thread: String,
        variable: String,
        error: VariableError,
    },
    #[error("Thread {thread} uses variable {variable}, which is not declared")]
    UsedVariableIsDeclared { thread: String, variable: String },

    // 10.3 Thread level
    #[error("missing ENTRYPOINT node")]
    HasEntrypoint,
    #[error("multiple ENTRYPOINT nodes")]
    HasOneEntrypoint,
    #[error("interrupt on ExternalEventDef {0}, which does not exist")]
    InterruptEventExists(String),
    #[error("interrupt handler thread {0} does not exist")]
    InterruptHandlerExists(String),
    #[error("interrupt handler thread {0} may declare one variable only, named INPUT")]
    InterruptHandlerTakesInput(String),
    #[error(
        "ExternalEventDef {event} is used by an interrupt, and by node {node} of thread {thread}"
    )]
    InterruptEventIsNotAwaited {
        event: String,
        thread: String,
        node: String,
    },
    #[error("ExternalEventDef {event} is used by an interrupt of thread {thread}, too")]
    InterruptEventIsOfOneThread { event: String, thread: String },
    #[error("node {void} returns void and node {other} returns non-void")]
    ExitsReturnAllOrNothing { void: String, other: String },
    #[error("its EXIT nodes returned different output types: {0}")]
    ExitsReturnOneType(String),

    // 10.5 Nodes
    #[error("it has no node type")]
    NodeHasType,
    #[error("Invalid name for exception: {0}")]
    ThrownNameIsFree(String),
    #[error("it names no task: neither task_def_id nor dynamic_task is set")]
    TaskIsNamed,
    #[error("Refers to nonexistent TaskDef {0}")]
    TaskDefExists(String),
    #[error("TaskDef {task_def} takes {expected} inputs, and {given} are given")]
    TaskInputsAreComplete {
        task_def: String,
        expected: usize,
        given: usize,
    },
    #[error("has negative retries")]
    RetriesAreNotNegative,
    #[error("timeout_seconds is negative")]
    TimeoutIsNotNegative,
    #[error("exponential_backoff: base interval must be > 0")]
    BackoffBaseIsPositive,
    #[error("exponential_backoff: multiplier must be >= 1.0")]
    BackoffGrows,
    #[error("exponential_backoff: max delay must be >= base interval")]
    BackoffMaxIsAboveBase,
    #[error("Refers to nonexistent ExternalEventDef {0}")]
    ExternalEventDefExists(String),
    #[error("it has no length: none of raw_seconds, timestamp and iso_date is set")]
    SleepHasLength,
    #[error("node {node} of thread {thread} starts thread {started}, which does not exist")]
    StartedThreadExists {
        thread: String,
        node: String,
        started: String,
    },
    #[error("node {node} of thread {thread} starts its own thread")]
    StartedThreadIsAnother { thread: String, node: String },
    #[error("iterable has no source")]
    IterableIsSet,
    #[error("Refers to nonexistent UserTaskDef {0}")]
    UserTaskDefExists(String),
    #[error("userGroup or userId must be specified")]
    UserTaskIsAssigned,
    #[error("UserId can't be empty")]
    UserIdIsNotBlank,
    #[error("UserGroup can't be empty")]
    UserGroupIsNotBlank,
    #[error("action {0} does nothing: none of task, cancel and reassign is set")]
    UserTaskActionIsSet(usize),
    #[error("action {0} has no delay_seconds")]
    UserTaskActionHasDelay(usize),
    #[error("Refers to nonexistent WorkflowEventDef {0}")]
    WorkflowEventDefExists(String),
    #[error("it has no condition")]
    ConditionIsSet,
    #[error("could not find wfspec {0}")]
    ChildWfSpecExists(String),
    #[error("it names no WfSpec: neither wf_spec_name nor wf_spec_var is set")]
    ChildWfSpecIsNamed,
    #[error("child_wf_run_source_node {0} is not a node of this thread")]
    ChildSourceExists(String),
    #[error("child_wf_run_source_node {0} is not a RUN_CHILD_WF node")]
    ChildSourceRunsChild(String),
    #[error("Invalid names for exception handlers: {0}")]
    HandledNamesAreKnown(String),
    #[error("failure handler thread {handler} of node {node} in thread {thread} does not exist")]
    HandlerThreadExists {
        thread: String,
        node: String,
        handler: String,
    },
    // Inputs of a started thread or child workflow
    #[error("input {input} is not declared by thread {thread}")]
    InputIsDeclared { input: String, thread: String },
    #[error("required input {input} of thread {thread} is missing")]
    RequiredInputIsGiven { input: String, thread: String },

    // 10.6 to 10.8 What is evaluated
    #[error("{}", at(.field, .error))]
    AssignmentFits { field: String, error: TypeError },

    // 10.7 Edges
    #[error("it is a self loop")]
    EdgeIsNoLoop,
    #[error("node {0} does not exist")]
    SinkExists(String),
    #[error("it leads to the ENTRYPOINT")]
    SinkIsNotEntrypoint,

    // 9.3 Frozen variables
    #[error(
        "Variable {variable} is frozen with type {before} by an earlier version, and cannot become {after}"
    )]
    FrozenVariableKeepsType {
        variable: String,
        before: String,
        after: String,
    },

    // 9.1 Updates
    #[error("WfSpec already exists.")]
    UpdatesAreAllowed,
    #[error("The resulting WfSpec has a breaking change.")]
    BreakingUpdatesAreAllowed,
}

/// What is wrong with the declaration of a variable.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VariableError(pub(super) TypeError);

impl std::fmt::Display for VariableError {
    /// Here the start of the words counts, too: clients search for them in lower case.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            TypeError::UnknownStruct(name) => {
                write!(f, "refers to non-existent StructDef {name}")
            }
            error => write!(f, "is not well defined: {error}"),
        }
    }
}

/// Clients compare "can't resolve" with what stands before it, so it has no field there.
fn at(field: &str, error: &TypeError) -> String {
    match error {
        TypeError::Resolve(_) if !field.starts_with("input ") => error.to_string(),
        _ => format!("{field}: {error}"),
    }
}

impl Rule {
    /// Its status.
    pub(super) fn code(&self) -> RejectionCode {
        match self {
            Rule::UpdatesAreAllowed => RejectionCode::AlreadyExists,
            Rule::BreakingUpdatesAreAllowed => RejectionCode::FailedPrecondition,
            _ => RejectionCode::InvalidArgument,
        }
    }

    /// Whether its message stands alone, without thread and node before it (section 10.1). It names them itself.
    fn is_bare(&self) -> bool {
        matches!(
            self,
            Rule::StartedThreadExists { .. }
                | Rule::StartedThreadIsAnother { .. }
                | Rule::HandledNamesAreKnown(_)
                | Rule::HandlerThreadExists { .. }
        )
    }
}

impl From<Rule> for Rejection {
    fn from(rule: Rule) -> Rejection {
        Rejection::new(rule.code(), rule.to_string())
    }
}

/// Names that failures may be caught by, beside exceptions: those of `LHErrorType`.
pub(super) fn is_lh_error(name: &str) -> bool {
    LhErrorType::from_str_name(name).is_some()
}

/// Where in a WfSpec a rule is broken; nothing is WfSpec level.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) thread: Option<&'a str>,
    pub(super) node: Option<&'a str>,
    pub(super) sink: Option<&'a str>,
}

/// Broken rules that a refusal names; the others are only counted.
const MAX_NAMED: usize = 20;

/// The broken rules of a WfSpec, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(RejectionCode, String)>,
    more: usize,
}

impl Findings {
    /// A rule is broken.
    pub(super) fn add(&mut self, place: Place<'_>, rule: &Rule) {
        if self.found.len() == MAX_NAMED {
            self.more += 1;
            return;
        }
        let mut message = String::new();
        if !rule.is_bare() {
            if let Some(thread) = place.thread {
                message = format!("PutWfSpecRequest is invalid: ThreadSpec {thread} invalid: ");
            }
            let inner = [("Node", place.node), ("Edge with sink node", place.sink)];
            for (what, name) in inner {
                if let Some(name) = name {
                    message.extend([what, " ", name, " invalid: "]);
                }
            }
        }
        message.push_str(&rule.to_string());
        self.found.push((rule.code(), message));
    }

    /// As [`Findings::add`], if it is broken.
    pub(super) fn check(&mut self, place: Place<'_>, checked: Result<(), Rule>) {
        if let Err(rule) = checked {
            self.add(place, &rule);
        }
    }

    /// Whether something was found.
    pub(super) fn any(&self) -> bool {
        !self.found.is_empty()
    }

    /// Refuses what breaks a rule: with the code of the first, and all of them in the message.
    pub(super) fn close(self) -> Result<(), Rejection> {
        let Some((code, _)) = self.found.first() else {
            return Ok(());
        };
        let mut messages: Vec<&str> = self.found.iter().map(|(_, message)| &message[..]).collect();
        let more = format!("and {} more", self.more);
        if self.more > 0 {
            messages.push(&more);
        }
        Err(Rejection::new(*code, messages.join("; ")))
    }
}

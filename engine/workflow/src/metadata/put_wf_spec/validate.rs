//! The structural rules of a WfSpec (spec 01, section 10), each a named function, in the order of the spec.

use std::collections::BTreeMap;

use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::{
    ExitNode, ExternalEventDef, ExternalEventNode, Node, SleepNode, TaskDef, TaskNode, ThreadSpec,
    WfRunVariableAccessLevel, WfSpec, exit_node, node,
};
use runtime::Rejection;

use super::returns::Returns;
use super::typing;
use crate::run::is_error_name;
use crate::spec::used_by;

/// Definitions that a WfSpec refers to.
pub(super) trait Lookup {
    fn task_def(&self, name: &str) -> Result<Option<TaskDef>, Rejection>;
    fn external_event_def(&self, name: &str) -> Result<Option<ExternalEventDef>, Rejection>;
    fn wf_spec(&self, name: &str, major: i32, revision: i32) -> Result<Option<WfSpec>, Rejection>;
}

/// A rule is broken: the reason, or a defect met while looking.
pub(super) enum Broken {
    Rule(String),
    Defect(Rejection),
}

impl From<String> for Broken {
    fn from(reason: String) -> Broken {
        Broken::Rule(reason)
    }
}

impl From<&str> for Broken {
    fn from(reason: &str) -> Broken {
        Broken::Rule(reason.to_owned())
    }
}

impl From<Rejection> for Broken {
    fn from(rejection: Rejection) -> Broken {
        Broken::Defect(rejection)
    }
}

pub(super) type Checked = Result<(), Broken>;

/// Names where a rule is broken (section 10.1).
fn inside(checked: Checked, place: &str) -> Checked {
    checked.map_err(|broken| match broken {
        Broken::Rule(reason) => Broken::Rule(format!("{place} invalid: {reason}")),
        defect @ Broken::Defect(_) => defect,
    })
}

pub(super) fn wf_spec(wf_spec: &WfSpec, lookup: &dyn Lookup) -> Result<(), Rejection> {
    let reject = |prefix: &str, broken| match broken {
        Broken::Rule(reason) => Rejection::invalid(format!("{prefix}{reason}")),
        Broken::Defect(rejection) => rejection,
    };
    spec_level(wf_spec, lookup).map_err(|broken| reject("", broken))?;
    for (name, thread) in &wf_spec.thread_specs {
        let checked = inside(
            thread_level(wf_spec, thread, lookup),
            &format!("ThreadSpec {name}"),
        );
        checked.map_err(|broken| reject("PutWfSpecRequest is invalid: ", broken))?;
    }
    Ok(())
}

fn spec_level(wf_spec: &WfSpec, lookup: &dyn Lookup) -> Checked {
    entrypoint_thread_exists(wf_spec)?;
    parent_exists(wf_spec, lookup)?;
    inherited_variables_have_a_parent(wf_spec)?;
    variable_names_are_unique(wf_spec)?;
    used_variables_are_declared(wf_spec)
}

fn entrypoint_thread_exists(wf_spec: &WfSpec) -> Checked {
    let name = &wf_spec.entrypoint_thread_name;
    if wf_spec.thread_specs.contains_key(name) {
        return Ok(());
    }
    Err(format!("Unknown entrypoint thread: {name}").into())
}

fn parent_exists(wf_spec: &WfSpec, lookup: &dyn Lookup) -> Checked {
    if let Some(parent) = &wf_spec.parent_wf_spec
        && lookup
            .wf_spec(&parent.wf_spec_name, parent.wf_spec_major_version, 0)?
            .is_none()
    {
        return Err(format!("Parent WfSpec {} does not exist", parent.wf_spec_name).into());
    }
    Ok(())
}

fn inherited_variables_have_a_parent(wf_spec: &WfSpec) -> Checked {
    let mut defs = wf_spec
        .thread_specs
        .values()
        .flat_map(|thread| &thread.variable_defs);
    if wf_spec.parent_wf_spec.is_none()
        && defs.any(|def| def.access_level() == WfRunVariableAccessLevel::InheritedVar)
    {
        return Err("Only child workflows are allowed to access INHERITED variables".into());
    }
    Ok(())
}

fn variable_names_are_unique(wf_spec: &WfSpec) -> Checked {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (thread_name, thread) in &wf_spec.thread_specs {
        for def in &thread.variable_defs {
            let name = def.var_def.as_ref().map_or("", |def| def.name.as_str());
            if def.required && def.access_level() == WfRunVariableAccessLevel::InheritedVar {
                return Err(
                    format!("Variable {name} cannot be both INHERITED and required").into(),
                );
            }
            if name != "INPUT"
                && let Some(other) = seen.insert(name, thread_name)
            {
                return Err(format!("Variable {name} is declared in thread {other} and again in thread {thread_name}").into());
            }
        }
    }
    Ok(())
}

fn used_variables_are_declared(wf_spec: &WfSpec) -> Checked {
    let is_declared = |name: &str| {
        let mut defs = wf_spec
            .thread_specs
            .values()
            .flat_map(|thread| &thread.variable_defs);
        defs.any(|def| def.var_def.as_ref().is_some_and(|def| def.name == name))
    };
    for (thread_name, thread) in &wf_spec.thread_specs {
        for name in used_by(thread).variables {
            if !is_declared(&name) {
                return Err(format!(
                    "Thread {thread_name} uses variable {name}, which is not declared"
                )
                .into());
            }
        }
    }
    Ok(())
}

fn thread_level(wf_spec: &WfSpec, thread: &ThreadSpec, lookup: &dyn Lookup) -> Checked {
    has_one_entrypoint(thread)?;
    let scope = typing::Scope::new(wf_spec, thread, lookup)?;
    for (name, node) in &thread.nodes {
        let place = format!("Node {name}");
        inside(node_rules(node, lookup), &place)?;
        inside(edges(thread, name, node), &place)?;
    }
    outputs_are_of_nodes(thread)?;
    for (name, node) in &thread.nodes {
        inside(typing::node(node, lookup, &scope), &format!("Node {name}"))?;
        for edge in &node.outgoing_edges {
            let place = format!(
                "Node {name} invalid: Edge with sink node {}",
                edge.sink_node_name
            );
            inside(
                typing::edge(edge, name, &scope).map_err(Broken::Rule),
                &place,
            )?;
        }
    }
    handlers_exist(wf_spec, thread)?;
    Returns::of(thread, &scope)?;
    Ok(())
}

fn has_one_entrypoint(thread: &ThreadSpec) -> Checked {
    let count = thread
        .nodes
        .values()
        .filter(|node| matches!(node.node, Some(node::Node::Entrypoint(_))))
        .count();
    match count {
        1 => Ok(()),
        0 => Err("missing ENTRYPOINT node".into()),
        _ => Err("multiple ENTRYPOINT nodes".into()),
    }
}

fn outputs_are_of_nodes(thread: &ThreadSpec) -> Checked {
    for name in used_by(thread).nodes {
        match thread.nodes.get(&name).and_then(|node| node.node.as_ref()) {
            None => {
                return Err(
                    format!("it uses the output of node {name}, which does not exist").into(),
                );
            }
            Some(
                node::Node::Entrypoint(_)
                | node::Node::Nop(_)
                | node::Node::Sleep(_)
                | node::Node::WaitForThreads(_)
                | node::Node::WaitForCondition(_)
                | node::Node::ThrowEvent(_)
                | node::Node::Exit(_),
            ) => {
                return Err(
                    format!("it uses the output of node {name}, which never has one").into(),
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn handlers_exist(wf_spec: &WfSpec, thread: &ThreadSpec) -> Checked {
    let exists = |name: &str| wf_spec.thread_specs.contains_key(name);
    for node in thread.nodes.values() {
        for handler in &node.failure_handlers {
            if !exists(&handler.handler_spec_name) {
                return Err(format!(
                    "failure handler thread {} does not exist",
                    handler.handler_spec_name
                )
                .into());
            }
        }
    }
    for interrupt in &thread.interrupt_defs {
        if !exists(&interrupt.handler_spec_name) {
            return Err(format!(
                "interrupt handler thread {} does not exist",
                interrupt.handler_spec_name
            )
            .into());
        }
    }
    Ok(())
}

fn node_rules(node: &Node, lookup: &dyn Lookup) -> Checked {
    match &node.node {
        None => Err("it has no node type".into()),
        Some(node::Node::Task(task)) => task_node(task, lookup),
        Some(node::Node::ExternalEvent(event)) => external_event_node(event, lookup),
        Some(node::Node::Sleep(sleep)) => sleep_node(sleep),
        Some(node::Node::Exit(exit)) => exit_node_rules(exit),
        Some(_) => Ok(()),
    }
}

fn task_node(task: &TaskNode, lookup: &dyn Lookup) -> Checked {
    match &task.task_to_execute {
        None => return Err("it names no task: neither task_def_id nor dynamic_task is set".into()),
        Some(TaskToExecute::DynamicTask(_)) => {}
        Some(TaskToExecute::TaskDefId(id)) => {
            let Some(task_def) = lookup.task_def(&id.name)? else {
                return Err(format!("Refers to nonexistent TaskDef {}", id.name).into());
            };
            let (expected, given) = (task_def.input_vars.len(), task.variables.len());
            if expected != given {
                return Err(format!(
                    "TaskDef {} takes {expected} inputs, and {given} are given",
                    id.name
                )
                .into());
            }
        }
    }
    if task.retries < 0 {
        return Err("has negative retries".into());
    }
    if task.timeout_seconds < 0 {
        return Err("timeout_seconds is negative".into());
    }
    let Some(policy) = &task.exponential_backoff else {
        return Ok(());
    };
    if policy.base_interval_ms <= 0 {
        return Err("exponential_backoff: base interval must be > 0".into());
    }
    if policy.multiplier.is_nan() || policy.multiplier < 1.0 {
        return Err("exponential_backoff: multiplier must be >= 1.0".into());
    }
    if policy.max_delay_ms < i64::from(policy.base_interval_ms) {
        return Err("exponential_backoff: max delay must be >= base interval".into());
    }
    Ok(())
}

fn external_event_node(event: &ExternalEventNode, lookup: &dyn Lookup) -> Checked {
    let name = event.external_event_def_id.clone().unwrap_or_default().name;
    match lookup.external_event_def(&name)? {
        Some(_) => Ok(()),
        None => Err(format!("Refers to nonexistent ExternalEventDef {name}").into()),
    }
}

fn sleep_node(sleep: &SleepNode) -> Checked {
    match sleep.sleep_length {
        Some(_) => Ok(()),
        None => Err("it has no length: none of raw_seconds, timestamp and iso_date is set".into()),
    }
}

fn exit_node_rules(exit: &ExitNode) -> Checked {
    let Some(exit_node::Result::FailureDef(failure)) = &exit.result else {
        return Ok(());
    };
    let name = &failure.failure_name;
    if is_error_name(name) || !proto::name::is_hostname(name) {
        return Err(format!("Invalid name for exception: {name}").into());
    }
    Ok(())
}

fn edges(thread: &ThreadSpec, name: &str, node: &Node) -> Checked {
    for edge in &node.outgoing_edges {
        let sink = &edge.sink_node_name;
        inside(
            edge_rules(thread, name, sink),
            &format!("Edge with sink node {sink}"),
        )?;
    }
    Ok(())
}

fn edge_rules(thread: &ThreadSpec, source: &str, sink: &str) -> Checked {
    if sink == source {
        return Err("it is a self loop".into());
    }
    match thread.nodes.get(sink).map(|node| &node.node) {
        None => Err(format!("node {sink} does not exist").into()),
        Some(Some(node::Node::Entrypoint(_))) => Err("it leads to the ENTRYPOINT".into()),
        Some(_) => Ok(()),
    }
}

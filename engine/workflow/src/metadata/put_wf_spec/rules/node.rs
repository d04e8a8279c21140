//! What a node names exists, and its settings make sense (section 10.5).

use proto::littlehorse::failure_handler_def::FailureToCatch;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::ut_action_trigger::Action;
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    ExitNode, FailureHandlerDef, Node, RunChildWfNode, UserTaskNode, VariableAssignment,
    WaitForChildWfNode, WfSpec, exit_node, node,
};

use super::super::super::definitions::Definitions;
use super::super::rule::{Findings, Place, Rule, is_lh_error};
use super::task;
use crate::run::is_error_name;

pub(super) fn check(
    wf_spec: &WfSpec,
    place: Place<'_>,
    node: &Node,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    match &node.node {
        None => findings.add(place, &Rule::NodeHasType),
        Some(node::Node::Task(node)) => task::check(place, node, false, definitions, findings),
        Some(node::Node::ExternalEvent(event)) => {
            let name = event.external_event_def_id.clone().unwrap_or_default().name;
            if definitions.external_event_def(&name).is_none() {
                findings.add(place, &Rule::ExternalEventDefExists(name));
            }
        }
        Some(node::Node::Sleep(sleep)) if sleep.sleep_length.is_none() => {
            findings.add(place, &Rule::SleepHasLength);
        }
        Some(node::Node::Exit(exit)) => findings.check(place, thrown_name_is_free(exit)),
        Some(node::Node::StartThread(start)) => {
            let started = &start.thread_spec_name;
            findings.check(place, started_thread_exists(wf_spec, place, started));
            if place.thread == Some(started) {
                findings.add(
                    place,
                    &Rule::StartedThreadIsAnother {
                        thread: started.clone(),
                        node: place.node.unwrap_or_default().to_owned(),
                    },
                );
            }
        }
        Some(node::Node::StartMultipleThreads(start)) => {
            let started = &start.thread_spec_name;
            findings.check(place, started_thread_exists(wf_spec, place, started));
            if start.iterable.is_none() {
                findings.add(place, &Rule::IterableIsSet);
            }
        }
        Some(node::Node::WaitForThreads(wait)) => {
            handlers(wf_spec, place, &wait.per_thread_failure_handlers, findings);
        }
        Some(node::Node::UserTask(node)) => user_task(place, node, definitions, findings),
        Some(node::Node::ThrowEvent(throw)) => {
            let name = throw.event_def_id.clone().unwrap_or_default().name;
            if definitions.workflow_event_def(&name).is_none() {
                findings.add(place, &Rule::WorkflowEventDefExists(name));
            }
        }
        Some(node::Node::WaitForCondition(wait)) if wait.node_condition.is_none() => {
            findings.add(place, &Rule::ConditionIsSet);
        }
        Some(node::Node::RunChildWf(child)) => {
            findings.check(place, child_wf_spec_exists(child, definitions));
        }
        Some(node::Node::WaitForChildWf(wait)) => {
            findings.check(place, child_source_runs_child(wf_spec, place, wait));
        }
        Some(
            node::Node::Entrypoint(_)
            | node::Node::Nop(_)
            | node::Node::Sleep(_)
            | node::Node::WaitForCondition(_),
        ) => {}
    }
    handlers(wf_spec, place, &node.failure_handlers, findings);
}

/// Section 10.5, last row.
fn handlers(
    wf_spec: &WfSpec,
    place: Place<'_>,
    handlers: &[FailureHandlerDef],
    findings: &mut Findings,
) {
    let mut unknown = Vec::new();
    for handler in handlers {
        if let Some(FailureToCatch::SpecificFailure(name)) = &handler.failure_to_catch
            && !is_lh_error(name)
            && !proto::name::is_hostname(name)
        {
            unknown.push(name.as_str());
        }
    }
    if !unknown.is_empty() {
        findings.add(place, &Rule::HandledNamesAreKnown(unknown.join(", ")));
    }
    for handler in handlers {
        if !wf_spec
            .thread_specs
            .contains_key(&handler.handler_spec_name)
        {
            findings.add(
                place,
                &Rule::HandlerThreadExists {
                    thread: place.thread.unwrap_or_default().to_owned(),
                    node: place.node.unwrap_or_default().to_owned(),
                    handler: handler.handler_spec_name.clone(),
                },
            );
        }
    }
}

fn thrown_name_is_free(exit: &ExitNode) -> Result<(), Rule> {
    let Some(exit_node::Result::FailureDef(failure)) = &exit.result else {
        return Ok(());
    };
    let name = &failure.failure_name;
    if is_error_name(name) || !proto::name::is_hostname(name) {
        return Err(Rule::ThrownNameIsFree(name.clone()));
    }
    Ok(())
}

fn started_thread_exists(wf_spec: &WfSpec, place: Place<'_>, started: &str) -> Result<(), Rule> {
    if wf_spec.thread_specs.contains_key(started) {
        return Ok(());
    }
    Err(Rule::StartedThreadExists {
        thread: place.thread.unwrap_or_default().to_owned(),
        node: place.node.unwrap_or_default().to_owned(),
        started: started.to_owned(),
    })
}

fn user_task(
    place: Place<'_>,
    node: &UserTaskNode,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    let name = &node.user_task_def_name;
    let version = node.user_task_def_version;
    if definitions.user_task_def(name, version).is_none() {
        let version = version.map_or_else(String::new, |version| format!(" version {version}"));
        findings.add(place, &Rule::UserTaskDefExists(format!("{name}{version}")));
    }
    if node.user_id.is_none() && node.user_group.is_none() {
        findings.add(place, &Rule::UserTaskIsAssigned);
    }
    if node.user_id.as_ref().is_some_and(is_blank) {
        findings.add(place, &Rule::UserIdIsNotBlank);
    }
    if node.user_group.as_ref().is_some_and(is_blank) {
        findings.add(place, &Rule::UserGroupIsNotBlank);
    }
    for (position, action) in node.actions.iter().enumerate() {
        match &action.action {
            None => findings.add(place, &Rule::UserTaskActionIsSet(position)),
            Some(Action::Task(task)) => {
                let node = task.task.clone().unwrap_or_default();
                task::check(place, &node, true, definitions, findings);
            }
            Some(Action::Cancel(_) | Action::Reassign(_)) => {}
        }
        if action.delay_seconds.is_none() {
            findings.add(place, &Rule::UserTaskActionHasDelay(position));
        }
    }
}

/// A literal text of blanks. Other literals are converted at run time (spec 06, D4).
fn is_blank(assignment: &VariableAssignment) -> bool {
    let Some(Source::LiteralValue(literal)) = &assignment.source else {
        return false;
    };
    matches!(&literal.value, Some(Value::Str(text)) if text.trim().is_empty())
}

fn child_wf_spec_exists(child: &RunChildWfNode, definitions: &dyn Definitions) -> Result<(), Rule> {
    let Some(ChildName::WfSpecName(name)) = &child.wf_spec else {
        return match child.wf_spec {
            Some(_) => Ok(()),
            None => Err(Rule::ChildWfSpecIsNamed),
        };
    };
    match definitions.wf_spec(name, Some(child.major_version), None) {
        Some(_) => Ok(()),
        None => Err(Rule::ChildWfSpecExists(format!(
            "{name} {}",
            child.major_version
        ))),
    }
}

fn child_source_runs_child(
    wf_spec: &WfSpec,
    place: Place<'_>,
    wait: &WaitForChildWfNode,
) -> Result<(), Rule> {
    let name = &wait.child_wf_run_source_node;
    let thread = place.thread.and_then(|name| wf_spec.thread_specs.get(name));
    match thread.and_then(|thread| thread.nodes.get(name)) {
        None => Err(Rule::ChildSourceExists(name.clone())),
        Some(Node {
            node: Some(node::Node::RunChildWf(_)),
            ..
        }) => Ok(()),
        Some(_) => Err(Rule::ChildSourceRunsChild(name.clone())),
    }
}

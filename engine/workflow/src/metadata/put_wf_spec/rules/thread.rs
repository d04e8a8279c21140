//! Thread level (section 10.3). What the EXIT nodes return is checked with the other types.

use proto::littlehorse::{InterruptDef, WfSpec, node};

use super::super::super::definitions::Definitions;
use super::super::rule::{Findings, Place, Rule};

pub(super) fn check(
    wf_spec: &WfSpec,
    name: &str,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    let place = Place {
        thread: Some(name),
        ..Place::default()
    };
    let thread = &wf_spec.thread_specs[name];
    let is_entrypoint =
        |kind: &&proto::littlehorse::Node| matches!(kind.node, Some(node::Node::Entrypoint(_)));
    match thread.nodes.values().filter(is_entrypoint).count() {
        1 => {}
        0 => findings.add(place, &Rule::HasEntrypoint),
        _ => findings.add(place, &Rule::HasOneEntrypoint),
    }
    for interrupt in &thread.interrupt_defs {
        self::interrupt(wf_spec, place, name, interrupt, definitions, findings);
    }
}

fn interrupt(
    wf_spec: &WfSpec,
    place: Place<'_>,
    thread: &str,
    interrupt: &InterruptDef,
    definitions: &dyn Definitions,
    findings: &mut Findings,
) {
    let id = interrupt.external_event_def_id.clone();
    let event = id.unwrap_or_default().name;
    if definitions.external_event_def(&event).is_none() {
        findings.add(place, &Rule::InterruptEventExists(event.clone()));
    }
    let handler = &interrupt.handler_spec_name;
    match wf_spec.thread_specs.get(handler) {
        None => findings.add(place, &Rule::InterruptHandlerExists(handler.clone())),
        Some(spec) => {
            let mut names = spec.variable_defs.iter().map(|def| def.var_def.as_ref());
            let input_only = spec.variable_defs.len() <= 1
                && names.all(|def| def.is_some_and(|def| def.name == "INPUT"));
            if !input_only {
                findings.add(place, &Rule::InterruptHandlerTakesInput(handler.clone()));
            }
        }
    }
    for (other, spec) in &wf_spec.thread_specs {
        let awaits = |kind: &Option<node::Node>| {
            matches!(kind, Some(node::Node::ExternalEvent(awaited))
                if awaited.external_event_def_id.as_ref().is_some_and(|id| id.name == event))
        };
        if let Some((node, _)) = spec.nodes.iter().find(|(_, node)| awaits(&node.node)) {
            findings.add(
                place,
                &Rule::InterruptEventIsNotAwaited {
                    event: event.clone(),
                    thread: other.clone(),
                    node: node.clone(),
                },
            );
        }
        let interrupts = |def: &InterruptDef| {
            let id = def.external_event_def_id.as_ref();
            id.is_some_and(|id| id.name == event)
        };
        if other != thread && spec.interrupt_defs.iter().any(interrupts) {
            findings.add(
                place,
                &Rule::InterruptEventIsOfOneThread {
                    event: event.clone(),
                    thread: other.clone(),
                },
            );
        }
    }
}

//! WfSpec level (section 10.2).

use std::collections::BTreeMap;

use proto::littlehorse::{ThreadVarDef, WfRunVariableAccessLevel, WfSpec};

use super::super::super::definitions::Definitions;
use super::super::rule::{Findings, Place, Rule};
use crate::spec::used_by;
use crate::value::{Type, type_of_variable};

/// The variable that threads get their input by is declared by many.
const INPUT: &str = "INPUT";

pub(super) fn check(wf_spec: &WfSpec, definitions: &dyn Definitions, findings: &mut Findings) {
    let place = Place::default();
    findings.check(place, entrypoint_thread_exists(wf_spec));
    let parent = wf_spec.parent_wf_spec.as_ref().map(|parent| {
        let name = &parent.wf_spec_name;
        let found = definitions.wf_spec(name, Some(parent.wf_spec_major_version), Some(0));
        found.ok_or_else(|| Rule::ParentExists(name.clone()))
    });
    if let Some(Err(rule)) = &parent {
        findings.add(place, rule);
    }
    for (thread, def) in variables(wf_spec) {
        if def.access_level() == WfRunVariableAccessLevel::InheritedVar {
            match &parent {
                None => findings.add(
                    place,
                    &Rule::InheritedNeedsParent {
                        thread: thread.clone(),
                        variable: name(def).to_owned(),
                    },
                ),
                Some(Ok(parent)) => findings.check(place, inherited(def, parent)),
                // It was found already.
                Some(Err(_)) => {}
            }
        }
    }
    variable_names_are_unique(wf_spec, findings);
    used_variables_are_declared(wf_spec, findings);
}

fn name(def: &ThreadVarDef) -> &str {
    def.var_def.as_ref().map_or("", |def| def.name.as_str())
}

fn variables(wf_spec: &WfSpec) -> impl Iterator<Item = (&String, &ThreadVarDef)> {
    wf_spec
        .thread_specs
        .iter()
        .flat_map(|(thread, spec)| spec.variable_defs.iter().map(move |def| (thread, def)))
}

fn entrypoint_thread_exists(wf_spec: &WfSpec) -> Result<(), Rule> {
    let name = &wf_spec.entrypoint_thread_name;
    if wf_spec.thread_specs.contains_key(name) {
        return Ok(());
    }
    Err(Rule::EntrypointThreadExists(name.clone()))
}

/// An INHERITED variable against the one of the parent.
fn inherited(def: &ThreadVarDef, parent: &WfSpec) -> Result<(), Rule> {
    let variable = name(def).to_owned();
    if def.required {
        return Err(Rule::InheritedIsNotRequired(variable));
    }
    let theirs =
        variables(parent).find(|(_, theirs)| name(theirs) == variable && variable != INPUT);
    let Some((_, theirs)) = theirs else {
        return Err(Rule::InheritedExistsInParent(variable));
    };
    if theirs.access_level() == WfRunVariableAccessLevel::PrivateVar {
        return Err(Rule::InheritedIsNotPrivate(variable));
    }
    let kind = |def: &ThreadVarDef| {
        let definition = def.var_def.as_ref().map(type_of_variable);
        Type::from(&definition.unwrap_or_default())
    };
    let (own, parents) = (kind(def), kind(theirs));
    if own.same(&parents) {
        return Ok(());
    }
    Err(Rule::InheritedHasParentsType {
        variable,
        own: own.to_string(),
        parents: parents.to_string(),
    })
}

fn variable_names_are_unique(wf_spec: &WfSpec, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &String> = BTreeMap::new();
    for (thread, def) in variables(wf_spec) {
        let name = name(def);
        let first = seen.insert(name, thread);
        // Several threads may declare it, but none twice.
        let twice = first.filter(|first| name != INPUT || *first == thread);
        if let Some(first) = twice {
            findings.add(
                Place::default(),
                &Rule::VariableNamesAreUnique {
                    variable: name.to_owned(),
                    first: first.clone(),
                    second: thread.clone(),
                },
            );
        }
    }
}

fn used_variables_are_declared(wf_spec: &WfSpec, findings: &mut Findings) {
    for (thread, spec) in &wf_spec.thread_specs {
        for variable in used_by(spec).variables {
            if !variables(wf_spec).any(|(_, def)| name(def) == variable) {
                findings.add(
                    Place::default(),
                    &Rule::UsedVariableIsDeclared {
                        thread: thread.clone(),
                        variable,
                    },
                );
            }
        }
    }
}

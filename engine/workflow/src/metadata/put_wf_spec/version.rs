//! Which version a WfSpec becomes (spec 01, sections 9.1 and 9.3 to 9.5).

use std::collections::BTreeMap;

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    AllowedUpdateType, ThreadSpec, ThreadVarDef, TypeDefinition, WfRunVariableAccessLevel, WfSpec,
    WfSpecId,
};

use super::rule::Rule;

/// The variable that threads get their input by is declared by many.
const INPUT: &str = "INPUT";

/// What becomes of a request.
pub(super) enum Decision {
    /// It changes nothing.
    Unchanged(WfSpec),
    /// It becomes this version.
    Create(WfSpecId),
}

fn name(def: &ThreadVarDef) -> &str {
    def.var_def.as_ref().map_or("", |def| def.name.as_str())
}

fn type_of(def: &ThreadVarDef) -> Option<&TypeDefinition> {
    def.var_def.as_ref().and_then(|def| def.type_def.as_ref())
}

fn variables(wf_spec: &WfSpec) -> impl Iterator<Item = &ThreadVarDef> {
    wf_spec
        .thread_specs
        .values()
        .flat_map(|thread| &thread.variable_defs)
}

fn public(wf_spec: &WfSpec) -> Vec<&ThreadVarDef> {
    variables(wf_spec)
        .filter(|def| def.access_level() == WfRunVariableAccessLevel::PublicVar)
        .collect()
}

fn entrypoint(wf_spec: &WfSpec) -> Option<&ThreadSpec> {
    wf_spec.thread_specs.get(&wf_spec.entrypoint_thread_name)
}

fn required(wf_spec: &WfSpec) -> Vec<&ThreadVarDef> {
    entrypoint(wf_spec)
        .into_iter()
        .flat_map(|thread| &thread.variable_defs)
        .filter(|def| def.required)
        .collect()
}

/// Computes the frozen variables, and holds the new definitions to those of the version before.
pub(super) fn freeze(new: &mut WfSpec, latest: Option<&WfSpec>) -> Result<(), Rule> {
    let mut frozen: BTreeMap<String, ThreadVarDef> = BTreeMap::new();
    for def in required(new).into_iter().chain(public(new)) {
        if name(def) != INPUT {
            frozen.insert(name(def).to_owned(), def.clone());
        }
    }
    for before in latest.iter().flat_map(|latest| &latest.frozen_variables) {
        match variables(new).find(|def| name(def) == name(before)) {
            Some(def) if unversioned(type_of(def)) != unversioned(type_of(before)) => {
                return Err(Rule::FrozenVariableKeepsType {
                    variable: name(before).to_owned(),
                    before: type_of(before).map_or_else(String::new, crate::value::type_name),
                    after: type_of(def).map_or_else(String::new, crate::value::type_name),
                });
            }
            Some(_) => {}
            None => {
                frozen.insert(name(before).to_owned(), before.clone());
            }
        }
    }
    new.frozen_variables = frozen.into_values().collect();
    Ok(())
}

/// A type without the versions of its StructDefs, which may evolve under a frozen variable.
fn unversioned(definition: Option<&TypeDefinition>) -> Option<TypeDefinition> {
    fn clear(definition: &mut TypeDefinition) {
        match &mut definition.defined_type {
            Some(DefinedType::StructDefId(id)) => id.version = 0,
            Some(DefinedType::InlineArrayDef(def)) => {
                def.array_type.iter_mut().for_each(|part| clear(part));
            }
            Some(DefinedType::InlineMapDef(def)) => {
                let parts = def.key_type.iter_mut().chain(&mut def.value_type);
                parts.for_each(|part| clear(part));
            }
            _ => {}
        }
    }
    let mut definition = definition?.clone();
    clear(&mut definition);
    Some(definition)
}

/// Equal but for version and creation time.
fn same(new: &WfSpec, latest: &WfSpec) -> bool {
    let mut before = latest.frozen_variables.clone();
    before.sort_by(|a, b| name(a).cmp(name(b)));
    let id = latest.id.clone();
    WfSpec {
        id,
        created_at: latest.created_at,
        ..new.clone()
    } == WfSpec {
        frozen_variables: before,
        ..latest.clone()
    }
}

fn same_set(a: &[&ThreadVarDef], b: &[&ThreadVarDef]) -> bool {
    a.len() == b.len() && b.iter().all(|def| a.contains(def))
}

/// Whether users of the version before could notice (section 9.5).
fn is_breaking(new: &WfSpec, latest: &WfSpec, output_differs: bool) -> bool {
    output_differs
        || !same_set(&public(new), &public(latest))
        || !same_set(&required(new), &required(latest))
}

/// The table of section 9.1. `output_differs`: the entrypoint returns something else than that of the latest version.
pub(super) fn decide(
    new: &WfSpec,
    latest: Option<&WfSpec>,
    output_differs: bool,
    allowed: AllowedUpdateType,
) -> Result<Decision, Rule> {
    let name = new.id.clone().unwrap_or_default().name;
    let Some(latest) = latest else {
        return Ok(Decision::Create(WfSpecId {
            name,
            major_version: 0,
            revision: 0,
        }));
    };
    if same(new, latest) {
        return Ok(Decision::Unchanged(latest.clone()));
    }
    let at = latest.id.clone().unwrap_or_default();
    match (allowed, is_breaking(new, latest, output_differs)) {
        (AllowedUpdateType::NoUpdates, _) => Err(Rule::UpdatesAreAllowed),
        (AllowedUpdateType::MinorRevisionUpdates, true) => Err(Rule::BreakingUpdatesAreAllowed),
        (_, true) => Ok(Decision::Create(WfSpecId {
            name,
            major_version: at.major_version + 1,
            revision: 0,
        })),
        (_, false) => Ok(Decision::Create(WfSpecId {
            name,
            revision: at.revision + 1,
            ..at
        })),
    }
}

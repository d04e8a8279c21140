//! Starting a thread (spec 03, section 5.4) and checking what it is given (spec 02, section 11.6).

use std::collections::BTreeMap;

use crate::time::timestamp;
use proto::ironhorse::v1::VariableRow;
use proto::littlehorse::{
    LhStatus, ThreadRun, ThreadSpec, ThreadType, ThreadVarDef, Variable, VariableDef,
    VariableValue, WfRunVariableAccessLevel,
};
use runtime::Rejection;

use super::advance::activate;
use super::unit::Unit;
use super::which::Run;
use crate::record::variable::indexing;
use crate::spec::Spec;
use crate::value;

/// Checks the values that a thread is started with, and brings them to their declared types.
///
/// # Errors
/// A message that names the variable: a required one is missing, a value does not fit, a value is given for an inherited
/// or unknown variable (in this order: spec 03, section 3.1, rows 9 to 12).
pub fn validate_inputs(
    thread: &ThreadSpec,
    mut given: BTreeMap<String, VariableValue>,
    structs: &dyn value::StructDefs,
) -> Result<BTreeMap<String, VariableValue>, String> {
    let mut fitted = BTreeMap::new();
    let mut inherited = None;
    for def in &thread.variable_defs {
        let Some(var_def) = &def.var_def else {
            continue;
        };
        let type_def = value::type_of_variable(var_def);
        let name = &var_def.name;
        match given.remove(name) {
            None if def.required => {
                return Err(format!(
                    "Must provide required input variable {name} of type {}",
                    value::type_name(&type_def)
                ));
            }
            None => {}
            Some(_) if def.access_level() == WfRunVariableAccessLevel::InheritedVar => {
                inherited.get_or_insert_with(|| name.clone());
            }
            Some(value) => {
                let value = value::ingress(&type_def, value, structs)
                    .map_err(|error| format!("Variable {name} has an invalid value: {error}"))?;
                fitted.insert(name.clone(), value);
            }
        }
    }
    if let Some(name) = inherited {
        return Err(format!(
            "Variable {name} is inherited from the parent WfRun and cannot be given"
        ));
    }
    match given.into_keys().next() {
        Some(unknown) => Err(format!(
            "Variable {unknown} is not declared by the WfSpec's thread"
        )),
        None => Ok(fitted),
    }
}

/// A variable as it begins: with what is given, or with its default.
pub(super) fn declared(
    def: &ThreadVarDef,
    var_def: &VariableDef,
    given: Option<VariableValue>,
    now: prost_types::Timestamp,
    spec: &Spec,
) -> VariableRow {
    let value = given
        .filter(|value| value.value.is_some())
        .or_else(|| var_def.default_value.clone())
        .unwrap_or_default();
    let variable = Variable {
        id: None,
        value: Some(value),
        created_at: Some(now),
        wf_spec_id: Some(spec.id()),
        masked: value::type_of_variable(var_def).masked,
    };
    VariableRow {
        version: 1,
        variable: Some(variable),
        indexing: indexing(def),
    }
}

/// Starts a thread: its variables, and its ENTRYPOINT node. It runs in the next advance. Returns its number.
pub fn start_thread(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    spec: &Spec,
    thread_spec_name: &str,
    parent: Option<i32>,
    kind: ThreadType,
    mut inputs: BTreeMap<String, VariableValue>,
) -> Result<i32, Rejection> {
    let now = timestamp(unit.now_ms());
    let number = match parent {
        None => 0,
        Some(parent) => {
            let wf_run = unit.wf_run_mut(run)?;
            wf_run.greatest_threadrun_number += 1;
            let number = wf_run.greatest_threadrun_number;
            unit.thread_mut(run, parent)?.child_thread_ids.push(number);
            number
        }
    };
    unit.insert_thread(
        run,
        ThreadRun {
            wf_spec_id: Some(spec.id()),
            number,
            status: LhStatus::Running.into(),
            thread_spec_name: thread_spec_name.to_owned(),
            start_time: Some(now),
            parent_thread_id: parent,
            r#type: kind.into(),
            ..ThreadRun::default()
        },
    );
    for def in &spec.thread(thread_spec_name)?.variable_defs {
        let Some(var_def) = &def.var_def else {
            continue;
        };
        if def.access_level() == WfRunVariableAccessLevel::InheritedVar {
            continue;
        }
        let row = declared(def, var_def, inputs.remove(&var_def.name), now, spec);
        unit.insert_variable(run, number, &var_def.name, row);
    }
    activate(unit, run, number, 0, spec.entrypoint(thread_spec_name)?)?;
    Ok(number)
}

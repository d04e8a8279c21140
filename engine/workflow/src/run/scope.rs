//! What an expression sees: the variables and node outputs of a thread (spec 02, sections 8 and 11.5).

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use proto::littlehorse::{
    InlineStructDef, TypeDefinition, VariableValue, WfRunVariableAccessLevel,
};
use runtime::Rejection;

use super::failure::Failing;
use super::unit::{Run, Unit};
use crate::node::{self, At};
use crate::spec::Structs;
use crate::value::path::json::JsonPath;
use crate::value::{self, StructDefs};

/// The scope of one thread, for the evaluation of expressions.
pub struct ThreadScope<'a, 'u, 'c> {
    unit: RefCell<&'a mut Unit<'u, 'c>>,
    at: &'a At<'a>,
    /// A defect or a damaged row met on the way: the command fails, not the node.
    rejection: Cell<Option<Rejection>>,
}

impl<'a, 'u, 'c> ThreadScope<'a, 'u, 'c> {
    /// What the thread of `at` sees.
    pub fn new(unit: &'a mut Unit<'u, 'c>, at: &'a At<'a>) -> ThreadScope<'a, 'u, 'c> {
        ThreadScope {
            unit: RefCell::new(unit),
            at,
            rejection: Cell::new(None),
        }
    }

    /// The result of an evaluation in this scope.
    pub fn outcome<T>(&self, result: Result<T, value::Fault>) -> Result<T, Failing> {
        match self.rejection.take() {
            Some(rejection) => Err(Failing::Rejected(rejection)),
            None => result.map_err(Failing::from),
        }
    }

    /// Lets the command fail; the fault only carries the news to [`ThreadScope::outcome`].
    fn reject(&self, rejection: Rejection) -> value::Fault {
        let fault = value::Fault::var_sub(rejection.message.clone());
        self.rejection.set(Some(rejection));
        fault
    }
}

impl value::Scope for ThreadScope<'_, '_, '_> {
    fn variable(&self, name: &str) -> Result<VariableValue, value::Fault> {
        let mut unit = self.unit.borrow_mut();
        let owner = owner(&mut unit, self.at.run, self.at.thread, name)
            .map_err(|rejection| self.reject(rejection))?;
        let Some(owner) = owner else {
            return Err(value::Fault::var_sub(format!(
                "Variable {name} is not in scope"
            )));
        };
        let row = unit
            .find_variable(owner.run(self.at.run), owner.thread, name)
            .map_err(|rejection| self.reject(rejection))?;
        Ok(row
            .and_then(|row| row.variable.as_ref())
            .and_then(|variable| variable.value.clone())
            .unwrap_or_default())
    }

    fn variable_type(&self, name: &str) -> Option<TypeDefinition> {
        let mut unit = self.unit.borrow_mut();
        let owner = owner(&mut unit, self.at.run, self.at.thread, name).ok()??;
        let run = owner.run(self.at.run);
        let thread_spec = unit
            .thread(run, owner.thread)
            .ok()?
            .thread_spec_name
            .clone();
        let spec = unit.spec(run, owner.thread).ok()?;
        spec.variable(&thread_spec, name)?
            .var_def
            .as_ref()
            .map(value::type_of_variable)
    }

    fn json_path(&self, text: &str) -> Result<Arc<JsonPath>, value::Fault> {
        match self.at.spec.json_path(&self.at.thread_spec, text) {
            Some(path) => Ok(path),
            None => Ok(Arc::new(JsonPath::parse(text)?)),
        }
    }

    fn node_output(&self, node_name: &str) -> Result<VariableValue, value::Fault> {
        let mut unit = self.unit.borrow_mut();
        let position = unit
            .find_output(self.at.run, self.at.thread, node_name)
            .map_err(|rejection| self.reject(rejection))?;
        let Some(position) = position else {
            return Err(value::Fault::var_sub(format!(
                "Node {node_name} has no output: it has not completed yet"
            )));
        };
        let output = At::new(&mut unit, self.at.run, self.at.thread, position)
            .and_then(|at| node::output(&mut unit, &at))
            .map_err(|rejection| self.reject(rejection))?;
        output.ok_or_else(|| value::Fault::var_sub(format!("Node {node_name} has no output")))
    }
}

impl StructDefs for ThreadScope<'_, '_, '_> {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        let unit = self.unit.borrow();
        Structs::new(unit.context.global(), unit.tenant).struct_def(name, version)
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        let unit = self.unit.borrow();
        Structs::new(unit.context.global(), unit.tenant).latest_version(name)
    }
}

/// Where a variable is.
pub(super) struct Owner {
    /// Another WfRun than the one that asked: an ancestor.
    ancestor: Option<Run>,
    /// The thread that declares it.
    pub(super) thread: i32,
}

impl Owner {
    /// The WfRun, if `own` asked.
    pub(super) fn run<'r>(&'r self, own: &'r Run) -> &'r Run {
        self.ancestor.as_ref().unwrap_or(own)
    }
}

/// The thread that holds a variable: the thread itself, or the nearest ancestor that has it; and for an INHERITED one, the
/// first thread of the parent WfRun, or where that one finds it (spec 02, section 11.5).
pub(super) fn owner(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    name: &str,
) -> Result<Option<Owner>, Rejection> {
    let mut ancestor: Option<Run> = None;
    let mut from = thread;
    // A WfRun has a bounded number of ancestors, and each step goes to one.
    loop {
        let here = ancestor.as_ref().unwrap_or(run);
        let mut at = Some(from);
        while let Some(number) = at {
            if unit.find_variable(here, number, name)?.is_some() {
                if ancestor.is_some() && is_private(unit, here, number, name)? {
                    return Ok(None);
                }
                return Ok(Some(Owner {
                    ancestor,
                    thread: number,
                }));
            }
            at = unit.thread(here, number)?.parent_thread_id;
        }
        if !unit.spec(here, from)?.inherits(name) {
            return Ok(None);
        }
        let Some(parent) = here.id.parent_wf_run_id.as_deref() else {
            return Ok(None);
        };
        let parent = Run::new(unit.tenant, parent);
        if !unit.exists(&parent)? {
            return Ok(None);
        }
        ancestor = Some(parent);
        from = 0;
    }
}

fn is_private(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    name: &str,
) -> Result<bool, Rejection> {
    let thread_spec = unit.thread(run, thread)?.thread_spec_name.clone();
    let spec = unit.spec(run, thread)?;
    let def = spec.variable(&thread_spec, name);
    Ok(def.is_some_and(|def| def.access_level() == WfRunVariableAccessLevel::PrivateVar))
}

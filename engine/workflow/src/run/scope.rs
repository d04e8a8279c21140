//! What an expression sees: the variables and node outputs of a thread (spec 02, sections 8 and 11.5).

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use proto::littlehorse::{InlineStructDef, TypeDefinition, VariableValue};
use runtime::Rejection;

use super::failure::Failing;
use super::unit::{Run, Unit};
use crate::node::{self, At};
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
            .find_variable(self.at.run, owner, name)
            .map_err(|rejection| self.reject(rejection))?;
        Ok(row
            .and_then(|row| row.variable.as_ref())
            .and_then(|variable| variable.value.clone())
            .unwrap_or_default())
    }

    fn variable_type(&self, name: &str) -> Option<TypeDefinition> {
        let mut unit = self.unit.borrow_mut();
        let owner = owner(&mut unit, self.at.run, self.at.thread, name).ok()??;
        let thread_spec = unit
            .thread(self.at.run, owner)
            .ok()?
            .thread_spec_name
            .clone();
        let spec = unit.spec(self.at.run, owner).ok()?;
        spec.variable(&thread_spec, name)?
            .var_def
            .as_ref()
            .map(value::type_of_variable)
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
    fn struct_def(&self, _name: &str, _version: i32) -> Option<Arc<InlineStructDef>> {
        None
    }
}

/// The thread that holds a variable: the thread itself, or the nearest ancestor that has it.
pub(super) fn owner(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    thread: i32,
    name: &str,
) -> Result<Option<i32>, Rejection> {
    let mut at = Some(thread);
    while let Some(number) = at {
        if unit.find_variable(run, number, name)?.is_some() {
            return Ok(Some(number));
        }
        at = unit.thread(run, number)?.parent_thread_id;
    }
    Ok(None)
}

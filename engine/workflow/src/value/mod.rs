//! Values, types and expressions (spec 02): pure functions on the messages of the public API.
//!
//! # Run time
//! - [`evaluate()`]: the value of a `VariableAssignment`; [`condition()`], [`legacy_condition`]: whether an edge is taken;
//!   [`mutations()`]: what the mutations of an edge write. They see the run through [`Scope`]; what fails is a [`Fault`].
//! - [`coerce`], [`as_int`], [`as_double`], [`as_bool`], [`as_text`], [`to_primitive`]: conversions (section 5).
//!
//! # At the edge
//! - [`ingress()`]: a value from outside against its declared type; [`ingress_untyped`] where none is declared;
//!   [`json::check_output`]: the stricter check of JSON in task outputs; [`mask`]: what clients may see.
//!
//! # Definitions
//! - [`settle`], [`settle_variable`], [`settle_assignment`], [`settle_mutation`]: the stored form, StructDefs pinned;
//!   [`pin`] for a StructDef id alone; [`type_of_variable`].
//! - [`assignment_type`], [`check_assignable`], [`check_resolves_to`], [`check_condition`], [`check_legacy_condition`],
//!   [`check_mutation`]: static checks. They see the definition through [`TypeScope`]; what fails is a [`TypeError`].
//! - [`Used`]: the variables and nodes that are named.
//!
//! A [`Type`] is a `TypeDefinition` as rules see it: without masks, with NULL and "unknown", structs told apart by name.
//! The table of [`Type::conversion`] serves both the static checks and the edge.
//!
//! Nothing here panics on any input, reads a clock, or has state; [`limits`] says what an evaluation may cost.

mod compare;
mod condition;
mod convert;
mod definition;
mod evaluate;
mod fault;
mod format;
mod ingress;
pub mod json;
pub mod limits;
pub mod mask;
mod mutation;
mod operate;
mod operation_type;
pub mod path;
mod scope;
mod structs;
mod text;
mod types;
mod typing;
mod walk;

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
pub(crate) mod testing;

pub use condition::{condition, legacy_condition};
pub use convert::{as_bool, as_double, as_int, as_text, coerce, to_primitive};
pub use definition::{settle, settle_variable, type_of_variable};
pub use evaluate::evaluate;
pub use fault::{Fault, TypeError};
pub use ingress::{ingress, ingress_untyped};
pub use mutation::mutations;
pub use scope::{NoStructs, NodeType, Scope, StructDefs, TypeScope};
pub use structs::{is_required, pin};
pub use text::{double_form, string_form, timestamp_form};
pub use types::{Conversion, Type, kind_name, type_name};
pub use typing::{
    assignment_type, check_assignable, check_condition, check_legacy_condition, check_mutation,
    check_resolves_to,
};
pub use walk::{Used, settle_assignment, settle_mutation};

use proto::littlehorse::VariableValue;
use proto::littlehorse::variable_value::Value;

/// A STR value.
pub fn text(text: impl Into<String>) -> VariableValue {
    VariableValue {
        value: Some(Value::Str(text.into())),
    }
}

/// Whether two values are of the same kind and content: a search for a value. JSON counts by its structure.
pub fn same(a: &VariableValue, b: &VariableValue) -> bool {
    kind_name(a) == kind_name(b) && compare::same_content(a, b)
}

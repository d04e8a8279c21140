//! What goes wrong: a [`Fault`] at run time, a [`TypeError`] in a static check or at the edge.

use std::fmt;

/// Name of the failure that nearly every evaluation error becomes (spec 02, section 11.4).
const VAR_SUB_ERROR: &str = "VAR_SUB_ERROR";

/// An evaluation failed. It becomes a `Failure` of the NodeRun; nothing of the evaluation is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct Fault {
    /// The `failure_name`.
    pub name: String,
    /// Names what was evaluated and the cause. Never holds masked content on purpose, but may quote values.
    pub message: String,
}

impl Fault {
    /// A `VAR_SUB_ERROR`.
    pub fn var_sub(message: impl Into<String>) -> Fault {
        Fault {
            name: VAR_SUB_ERROR.to_owned(),
            message: message.into(),
        }
    }

    /// The same fault with `context: ` before its message.
    #[must_use]
    pub fn within(self, context: impl fmt::Display) -> Fault {
        Fault {
            message: format!("{context}: {}", self.message),
            ..self
        }
    }
}

impl From<TypeError> for Fault {
    fn from(error: TypeError) -> Fault {
        Fault::var_sub(error.to_string())
    }
}

/// A definition or a value from outside breaks a typing rule: `INVALID_ARGUMENT`, or a var-sub failure at run time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// No automatic conversion (spec 02, section 3.1).
    #[error("Cannot assign {from} to {to} without explicit casting.")]
    Assign {
        /// Type of the source.
        from: String,
        /// Type of the target.
        to: String,
    },
    /// Not even an explicit conversion (spec 02, section 3.2).
    #[error("Cannot cast from {from} to {to}. This conversion is not supported.")]
    Cast {
        /// Type of the source.
        from: String,
        /// Type of the target.
        to: String,
    },
    /// The operator does not take these operands (spec 02, section 9.1). Lower case: clients search for that.
    #[error("cannot {operation} to a {left} with right side {right}")]
    Operation {
        /// The operator, in lower case.
        operation: String,
        /// Type of the left side, in lower case.
        left: String,
        /// Type of the right side.
        right: String,
    },
    /// The comparator does not take these operands (spec 02, section 10.1).
    #[error("Cannot compare {left} {comparator} {right}")]
    Comparison {
        /// Type of the left side.
        left: String,
        /// The comparator.
        comparator: &'static str,
        /// Type of the right side.
        right: String,
    },
    /// A condition of another type (spec 02, section 11.2).
    #[error("Condition does not resolve to a BOOL value but to {0}")]
    NotBool(String),
    /// Operand of `size_of` (spec 02, section 8).
    #[error("size() only supports STR, ARRAY or JSON_ARR operands, not {0}")]
    Size(String),
    /// A node input of another type ("can be", spec 01, section 10.6).
    #[error("Invalid value: variable can't resolve to {0}")]
    Resolve(String),
    /// An assignment, operand or mutation without a source.
    #[error("{0} has no source")]
    MissingSource(&'static str),
    /// A variable that no thread declares.
    #[error("Variable {0} is not declared")]
    UnknownVariable(String),
    /// A node that the thread does not have.
    #[error("Node {0} does not exist in this thread")]
    UnknownNode(String),
    /// A node of a kind that never has an output.
    #[error("Node {0} never has an output")]
    NoOutput(String),
    /// A StructDef that does not exist.
    #[error("Refers to non-existent StructDef {0}")]
    UnknownStruct(String),
    /// A field that the StructDef does not have. Lower case: clients search for that.
    #[error("could not find field '{field}' in StructDef {name}")]
    UnknownField {
        /// The field.
        field: String,
        /// The StructDef.
        name: String,
    },
    /// A path that does not fit the type it is applied to, or is no path.
    #[error("Invalid path: {0}")]
    Path(String),
    /// A struct value or builder that does not fit its StructDef.
    #[error("Invalid Struct {name}: {reason}")]
    Struct {
        /// The StructDef.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A type definition that is not allowed.
    #[error("Invalid type: {0}")]
    Definition(String),
    /// A value from outside of another type than declared.
    #[error("Expected {expected} but got {actual}{at}")]
    Mismatch {
        /// The declared type.
        expected: String,
        /// The type of the value.
        actual: String,
        /// Where in the value; empty at its top.
        at: String,
    },
    /// Text that is no JSON.
    #[error("Malformed {kind}: could not deserialize JSON: {reason}")]
    Json {
        /// `JSON_OBJ` or `JSON_ARR`.
        kind: &'static str,
        /// What the parser says.
        reason: String,
    },
}

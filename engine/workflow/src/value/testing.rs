//! Short constructors for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::expression::Operation;
use proto::littlehorse::variable_assignment::{Expression, Path, Source};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Array, Comparator, InlineArrayDef, InlineMapDef, InlineStructDef, Map, TypeDefinition,
    VariableAssignment, VariableMutationType, VariableType, VariableValue, map,
};

use super::{Fault, NodeType, Scope, StructDefs, TypeScope};

pub(crate) fn of(value: Value) -> VariableValue {
    VariableValue { value: Some(value) }
}

pub(crate) fn null() -> VariableValue {
    VariableValue { value: None }
}

pub(crate) fn int(int: i64) -> VariableValue {
    of(Value::Int(int))
}

pub(crate) fn double(double: f64) -> VariableValue {
    of(Value::Double(double))
}

pub(crate) fn boolean(bool: bool) -> VariableValue {
    of(Value::Bool(bool))
}

pub(crate) fn text(text: &str) -> VariableValue {
    of(Value::Str(text.to_owned()))
}

pub(crate) fn obj(text: &str) -> VariableValue {
    of(Value::JsonObj(text.to_owned()))
}

pub(crate) fn arr(text: &str) -> VariableValue {
    of(Value::JsonArr(text.to_owned()))
}

pub(crate) fn time(seconds: i64, nanos: i32) -> VariableValue {
    of(Value::UtcTimestamp(prost_types::Timestamp {
        seconds,
        nanos,
    }))
}

pub(crate) fn list(
    element: TypeDefinition,
    items: impl IntoIterator<Item = VariableValue>,
) -> VariableValue {
    of(Value::Array(Array {
        items: items.into_iter().collect(),
        element_type: Some(element),
    }))
}

pub(crate) fn untyped_list(items: impl IntoIterator<Item = VariableValue>) -> VariableValue {
    of(Value::Array(Array {
        items: items.into_iter().collect(),
        element_type: None,
    }))
}

pub(crate) fn dict(
    types: Option<(TypeDefinition, TypeDefinition)>,
    entries: impl IntoIterator<Item = (VariableValue, VariableValue)>,
) -> VariableValue {
    let entries = entries
        .into_iter()
        .map(|(key, value)| map::Entry {
            key: Some(key),
            value: Some(value),
        })
        .collect();
    let map_type = types.map(|(key, value)| InlineMapDef {
        key_type: Some(Box::new(key)),
        value_type: Some(Box::new(value)),
    });
    of(Value::Map(Map { entries, map_type }))
}

pub(crate) fn prim(kind: VariableType) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::PrimitiveType(kind.into())),
        masked: false,
    }
}

pub(crate) fn array_of(element: TypeDefinition) -> TypeDefinition {
    let defined = DefinedType::InlineArrayDef(Box::new(InlineArrayDef {
        array_type: Some(Box::new(element)),
    }));
    TypeDefinition {
        defined_type: Some(defined),
        masked: false,
    }
}

pub(crate) fn map_of(key: TypeDefinition, value: TypeDefinition) -> TypeDefinition {
    let def = InlineMapDef {
        key_type: Some(Box::new(key)),
        value_type: Some(Box::new(value)),
    };
    TypeDefinition {
        defined_type: Some(DefinedType::InlineMapDef(Box::new(def))),
        masked: false,
    }
}

pub(crate) fn source(source: Source) -> VariableAssignment {
    VariableAssignment {
        source: Some(source),
        ..VariableAssignment::default()
    }
}

pub(crate) fn literal(value: VariableValue) -> VariableAssignment {
    source(Source::LiteralValue(value))
}

pub(crate) fn var(name: &str) -> VariableAssignment {
    source(Source::VariableName(name.to_owned()))
}

pub(crate) fn at(assignment: VariableAssignment, path: &str) -> VariableAssignment {
    VariableAssignment {
        path: Some(Path::JsonPath(path.to_owned())),
        ..assignment
    }
}

pub(crate) fn cast(assignment: VariableAssignment, kind: VariableType) -> VariableAssignment {
    VariableAssignment {
        target_type: Some(prim(kind)),
        ..assignment
    }
}

fn expression(
    lhs: VariableAssignment,
    operation: Operation,
    rhs: VariableAssignment,
) -> VariableAssignment {
    source(Source::Expression(Box::new(Expression {
        lhs: Some(Box::new(lhs)),
        rhs: Some(Box::new(rhs)),
        operation: Some(operation),
    })))
}

pub(crate) fn op(
    lhs: VariableAssignment,
    operation: VariableMutationType,
    rhs: VariableAssignment,
) -> VariableAssignment {
    expression(lhs, Operation::MutationType(operation.into()), rhs)
}

pub(crate) fn compared(
    lhs: VariableAssignment,
    comparator: Comparator,
    rhs: VariableAssignment,
) -> VariableAssignment {
    expression(lhs, Operation::Comparator(comparator.into()), rhs)
}

/// A thread for tests: typed variables with values, node outputs, StructDefs.
#[derive(Default)]
pub(crate) struct Thread {
    pub(crate) variables: BTreeMap<String, (TypeDefinition, VariableValue)>,
    pub(crate) outputs: BTreeMap<String, VariableValue>,
    pub(crate) nodes: BTreeMap<String, NodeType>,
    pub(crate) structs: BTreeMap<(String, i32), Arc<InlineStructDef>>,
}

impl Thread {
    pub(crate) fn with(mut self, name: &str, kind: TypeDefinition, value: VariableValue) -> Thread {
        self.variables.insert(name.to_owned(), (kind, value));
        self
    }
}

impl StructDefs for Thread {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        let version = if version < 0 {
            self.latest_version(name)?
        } else {
            version
        };
        self.structs.get(&(name.to_owned(), version)).cloned()
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        self.structs
            .keys()
            .filter(|(other, _)| other == name)
            .map(|(_, version)| *version)
            .max()
    }
}

impl Scope for Thread {
    fn variable(&self, name: &str) -> Result<VariableValue, Fault> {
        let found = self.variables.get(name).map(|(_, value)| value.clone());
        found.ok_or_else(|| Fault::var_sub(format!("Variable {name} is not in scope")))
    }

    fn variable_type(&self, name: &str) -> Option<TypeDefinition> {
        Some(self.variables.get(name)?.0.clone())
    }

    fn node_output(&self, name: &str) -> Result<VariableValue, Fault> {
        let found = self.outputs.get(name).cloned();
        found.ok_or_else(|| Fault::var_sub(format!("Node {name} has no output")))
    }
}

impl TypeScope for Thread {
    fn variable(&self, name: &str) -> Option<TypeDefinition> {
        Some(self.variables.get(name)?.0.clone())
    }

    fn node_output(&self, name: &str) -> NodeType {
        self.nodes.get(name).cloned().unwrap_or(NodeType::Missing)
    }
}

//! Evaluation of a `VariableAssignment` (spec 02, section 8): source, then path, then cast.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prost::Message;
use proto::littlehorse::inline_struct_field_value::StructValue;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::expression::Operation;
use proto::littlehorse::variable_assignment::{Expression, FormatString, Path, SizeOf, Source};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Comparator, InlineMapDef, InlineStruct, InlineStructBuilder, Map, MapBuilder, Struct,
    StructBuilder, StructDefId, StructField, TypeDefinition, VariableAssignment,
    VariableMutationType, VariableValue, map,
};

use super::compare;
use super::convert::{cast, coerce};
use super::fault::{Fault, TypeError};
use super::format;
use super::ingress;
use super::json;
use super::limits::Spent;
use super::operate::{self, Working};
use super::path;
use super::scope::Scope;
use super::structs;
use super::types::kind_name;

/// The value of an assignment.
///
/// # Errors
/// A fault of the scope, of a path, of an operator, of a cast (spec 02, sections 5 to 10).
pub fn evaluate(
    assignment: &VariableAssignment,
    scope: &dyn Scope,
) -> Result<VariableValue, Fault> {
    borrow(assignment, scope).map(Cow::into_owned)
}

/// As [`evaluate`], without a copy of literals.
pub(super) fn borrow<'a>(
    assignment: &'a VariableAssignment,
    scope: &dyn Scope,
) -> Result<Cow<'a, VariableValue>, Fault> {
    let value = source(assignment, scope)?;
    finish(assignment, value, scope)
}

/// Path and cast of an assignment, applied to the value of its source.
pub(super) fn finish<'a>(
    assignment: &VariableAssignment,
    value: Cow<'a, VariableValue>,
    scope: &dyn Scope,
) -> Result<Cow<'a, VariableValue>, Fault> {
    let value = match &assignment.path {
        None => value,
        Some(Path::JsonPath(path)) => Cow::Owned(path::json::read(&value, path, scope)?),
        Some(Path::LhPath(path)) => {
            let steps = path::lh::steps(path, scope)?;
            Cow::Owned(path::lh::read(value.into_owned(), &steps, scope)?)
        }
    };
    match &assignment.target_type {
        None => Ok(value),
        Some(target) => Ok(Cow::Owned(cast(value.into_owned(), target)?)),
    }
}

fn source<'a>(
    assignment: &'a VariableAssignment,
    scope: &dyn Scope,
) -> Result<Cow<'a, VariableValue>, Fault> {
    Ok(match &assignment.source {
        None => return Err(TypeError::MissingSource("Assignment").into()),
        Some(Source::LiteralValue(literal)) => Cow::Borrowed(literal),
        Some(Source::VariableName(name)) => Cow::Owned(scope.variable(name)?),
        Some(Source::NodeOutput(reference)) => Cow::Owned(scope.node_output(&reference.node_name)?),
        Some(Source::FormatString(format)) => {
            Cow::Owned(of(Value::Str(format_string(format, scope)?)))
        }
        Some(Source::Expression(expression)) => Cow::Owned(self::expression(expression, scope)?),
        Some(Source::StructBuilder(builder)) => Cow::Owned(struct_builder(builder, scope)?),
        Some(Source::SizeOf(size)) => Cow::Owned(of(Value::Int(size_of(size, scope)?))),
        Some(Source::MapBuilder(builder)) => Cow::Owned(map_builder(builder, scope)?),
    })
}

fn of(value: Value) -> VariableValue {
    VariableValue { value: Some(value) }
}

/// An operand of an expression.
pub(super) fn operand<'a>(
    side: Option<&'a VariableAssignment>,
    scope: &dyn Scope,
) -> Result<Cow<'a, VariableValue>, Fault> {
    borrow(side.ok_or(TypeError::MissingSource("Operand"))?, scope)
}

fn expression(expression: &Expression, scope: &dyn Scope) -> Result<VariableValue, Fault> {
    let lhs = operand(expression.lhs.as_deref(), scope)?;
    let rhs = operand(expression.rhs.as_deref(), scope)?;
    match expression.operation {
        Some(Operation::Comparator(comparator)) => {
            compare::compare(comparator_of(comparator)?, &lhs, &rhs)
                .map(|holds| of(Value::Bool(holds)))
        }
        Some(Operation::MutationType(operation)) => {
            let working = Working::of_operands(&lhs, &rhs);
            operate::operate(
                operation_of(operation)?,
                lhs.into_owned(),
                rhs.into_owned(),
                &working,
                scope,
            )
        }
        None => Err(Fault::var_sub(
            "An expression has neither an operator nor a comparator",
        )),
    }
}

pub(super) fn comparator_of(number: i32) -> Result<Comparator, Fault> {
    Comparator::try_from(number)
        .map_err(|_| Fault::var_sub(format!("There is no comparator {number}")))
}

pub(super) fn operation_of(number: i32) -> Result<VariableMutationType, Fault> {
    VariableMutationType::try_from(number)
        .map_err(|_| Fault::var_sub(format!("There is no operator {number}")))
}

fn format_string(format: &FormatString, scope: &dyn Scope) -> Result<String, Fault> {
    let template = operand(format.format.as_deref(), scope)?;
    let Some(Value::Str(template)) = &template.value else {
        return Err(Fault::var_sub(format!(
            "A format string must be a STR, not {}",
            kind_name(&template)
        )));
    };
    let mut spent = Spent::default();
    let mut arguments = Vec::with_capacity(format.args.len());
    for argument in &format.args {
        let argument = borrow(argument, scope)?;
        spent.add(argument.encoded_len())?;
        arguments.push(argument);
    }
    format::format(template, &arguments)
}

fn size_of(size: &SizeOf, scope: &dyn Scope) -> Result<i64, Fault> {
    let operand = operand(size.operand.as_deref(), scope)?;
    let size = match &operand.value {
        Some(Value::Str(text)) => text.encode_utf16().count(),
        Some(Value::Array(array)) => array.items.len(),
        Some(json @ Value::JsonArr(_)) => json::content(json)
            .as_ref()
            .and_then(serde_json::Value::as_array)
            .map_or(0, Vec::len),
        _ => {
            return Err(Fault::var_sub(format!(
                "Cannot resolve size() of a {}",
                kind_name(&operand)
            )));
        }
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

fn struct_builder(builder: &StructBuilder, scope: &dyn Scope) -> Result<VariableValue, Fault> {
    let id = builder
        .struct_def_id
        .as_ref()
        .ok_or_else(|| Fault::var_sub("A struct builder names no StructDef"))?;
    let mut id = id.clone();
    structs::pin(&mut id, scope)?;
    let empty = InlineStructBuilder::default();
    let fields = builder.value.as_ref().unwrap_or(&empty);
    build_struct(&id, fields, scope, &mut Spent::default())
}

fn build_struct(
    id: &StructDefId,
    builder: &InlineStructBuilder,
    scope: &dyn Scope,
    spent: &mut Spent,
) -> Result<VariableValue, Fault> {
    let def = structs::find(id, scope)?;
    let mut fields = BTreeMap::new();
    for (name, given) in &builder.fields {
        let failed =
            |fault: Fault| fault.within(format_args!("Field '{name}' of Struct {}", id.name));
        let unknown = || TypeError::UnknownField {
            field: name.clone(),
            name: id.name.clone(),
        };
        let field_type = def
            .fields
            .get(name)
            .ok_or_else(unknown)?
            .field_type
            .clone()
            .unwrap_or_default();
        let value = match &given.struct_value {
            None => return Err(failed(Fault::var_sub("it has no value"))),
            Some(StructValue::SimpleValue(assignment)) => {
                let value = borrow(assignment, scope).map_err(failed)?;
                spent.add(value.encoded_len())?;
                coerce(&field_type, value.into_owned(), scope).map_err(failed)?
            }
            Some(StructValue::SubStructure(inner)) => match &field_type.defined_type {
                Some(DefinedType::StructDefId(inner_id)) => {
                    build_struct(inner_id, inner, scope, spent)?
                }
                _ => return Err(failed(Fault::var_sub("it is no Struct"))),
            },
        };
        fields.insert(
            name.clone(),
            StructField {
                value: Some(value),
                masked: field_type.masked,
            },
        );
    }
    let built = Struct {
        struct_def_id: Some(id.clone()),
        r#struct: Some(InlineStruct { fields }),
    };
    let expected = TypeDefinition {
        defined_type: Some(DefinedType::StructDefId(id.clone())),
        masked: false,
    };
    Ok(ingress::stamp(&expected, of(Value::Struct(built)), scope)?)
}

fn map_builder(builder: &MapBuilder, scope: &dyn Scope) -> Result<VariableValue, Fault> {
    let mut spent = Spent::default();
    let mut part = |assignment: &Option<VariableAssignment>, declared: Option<&TypeDefinition>| {
        let value = operand(assignment.as_ref(), scope)?.into_owned();
        spent.add(value.encoded_len())?;
        match declared {
            Some(declared) => coerce(declared, value, scope),
            None => Ok(value),
        }
    };
    let types = builder.map_type.clone().map(|types: InlineMapDef| types);
    let key_type = types.as_ref().and_then(|types| types.key_type.as_deref());
    let value_type = types.as_ref().and_then(|types| types.value_type.as_deref());
    let mut entries = Vec::with_capacity(builder.entries.len());
    for entry in &builder.entries {
        entries.push(map::Entry {
            key: Some(part(&entry.key, key_type)?),
            value: Some(part(&entry.value, value_type)?),
        });
    }
    Ok(of(Value::Map(Map {
        entries,
        map_type: types,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{
        Thread, arr, at, boolean, cast as cast_to, compared, dict, double, int, list, literal,
        null, obj, op, prim, source, text, var,
    };
    use proto::littlehorse::VariableType::{Bool, Int, JsonObj, Str};
    use proto::littlehorse::variable_assignment::NodeOutputReference;

    fn thread() -> Thread {
        let mut thread = Thread::default()
            .with("n", prim(Int), int(7))
            .with("s", prim(Str), text("123"))
            .with("json", prim(JsonObj), obj(r#"{"l":[1,2,3],"d":12.3}"#));
        thread.outputs.insert("task".to_owned(), int(5));
        thread
    }

    fn value(assignment: &VariableAssignment) -> Result<VariableValue, Fault> {
        evaluate(assignment, &thread())
    }

    #[test]
    fn sources() {
        assert_eq!(value(&literal(null())), Ok(null()));
        assert_eq!(value(&var("n")), Ok(int(7)));
        assert!(
            value(&var("missing"))
                .unwrap_err()
                .message
                .contains("missing")
        );
        let output = |name: &str| {
            source(Source::NodeOutput(NodeOutputReference {
                node_name: name.to_owned(),
            }))
        };
        assert_eq!(value(&output("task")), Ok(int(5)));
        assert!(
            value(&output("nop"))
                .unwrap_err()
                .message
                .contains("has no output")
        );
        assert!(value(&VariableAssignment::default()).is_err());
        assert_eq!(
            value(&op(var("n"), VariableMutationType::Add, literal(int(1)))),
            Ok(int(8))
        );
        assert_eq!(
            value(&compared(var("n"), Comparator::Equals, literal(int(7)))),
            Ok(boolean(true))
        );
        assert!(value(&source(Source::Expression(Box::default()))).is_err());
    }

    #[test]
    fn path_then_cast() {
        assert_eq!(value(&cast_to(var("s"), Int)), Ok(int(123))); // spec 02-3 (the evaluation)
        assert_eq!(value(&cast_to(at(var("json"), "$.d"), Int)), Ok(int(12)));
        assert_eq!(value(&cast_to(at(var("json"), "$.none"), Int)), Ok(null()));
        assert!(value(&at(var("s"), "$.x")).is_err()); // spec 02-9
        assert!(
            value(&cast_to(at(var("json"), "$.l"), Bool))
                .unwrap_err()
                .message
                .contains("Cannot cast")
        );
    }

    #[test]
    fn sizes() {
        let size = |operand| {
            value(&source(Source::SizeOf(Box::new(SizeOf {
                operand: Some(Box::new(operand)),
            }))))
        };
        assert_eq!(size(literal(text("a\u{1F600}"))), Ok(int(3)));
        assert_eq!(size(at(var("json"), "$.l")), Ok(int(3)));
        assert_eq!(size(literal(list(prim(Int), [int(1)]))), Ok(int(1)));
        assert_eq!(size(literal(arr("[]"))), Ok(int(0)));
        for bad in [
            literal(null()),
            at(var("json"), "$.l[0]"),
            literal(dict(None, [])),
        ] {
            assert!(
                size(bad)
                    .unwrap_err()
                    .message
                    .contains("Cannot resolve size()")
            ); // spec 02-31 (run time)
        }
    }

    #[test]
    fn format_strings() {
        let format = |template, args| {
            value(&source(Source::FormatString(Box::new(FormatString {
                format: Some(Box::new(template)),
                args,
            }))))
        };
        // spec 02-60
        let owes = literal(text("{0} owes {1}"));
        assert_eq!(
            format(owes, vec![literal(text("Bo")), literal(int(1_234_567))]),
            Ok(text("Bo owes 1,234,567"))
        );
        assert!(format(literal(text("{x}")), vec![]).is_err());
        assert!(format(literal(null()), vec![]).is_err());
        assert!(format(literal(int(1)), vec![]).is_err());
    }

    #[test]
    fn maps_are_built() {
        let types = InlineMapDef {
            key_type: Some(Box::new(prim(Str))),
            value_type: Some(Box::new(prim(Int))),
        };
        let entry = map_builder_entry(literal(int(1)), literal(text("2")));
        let builder = MapBuilder {
            entries: vec![entry],
            map_type: Some(types),
        };
        let expected = dict(Some((prim(Str), prim(Int))), [(text("1"), int(2))]);
        assert_eq!(value(&source(Source::MapBuilder(builder))), Ok(expected));
        assert_ne!(double(1.0), int(1));
    }

    fn map_builder_entry(
        key: VariableAssignment,
        value: VariableAssignment,
    ) -> proto::littlehorse::map_builder::Entry {
        proto::littlehorse::map_builder::Entry {
            key: Some(key),
            value: Some(value),
        }
    }
}

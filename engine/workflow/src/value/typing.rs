//! Static types of assignments, conditions and mutations (spec 02, sections 8 to 11; spec 01, 10.6 to 10.8).

use proto::littlehorse::inline_struct_field_value::StructValue;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::expression::Operation;
use proto::littlehorse::variable_assignment::{Expression, Path, Source};
use proto::littlehorse::variable_mutation::node_output_source::Path as OutputPath;
use proto::littlehorse::variable_mutation::{NodeOutputSource, RhsValue};
use proto::littlehorse::{
    Comparator, InlineStructBuilder, LegacyEdgeCondition, MapBuilder, StructBuilder, StructDefId,
    TypeDefinition, VariableAssignment, VariableMutation, VariableMutationType,
};

use super::compare;
use super::fault::TypeError;
use super::ingress;
use super::operation_type::operation_type;
use super::path;
use super::path::json::JsonPath;
use super::scope::{NodeType, TypeScope};
use super::structs;
use super::types::Type;

/// The type of an assignment, its cast applied. Checks everything inside: names, paths, operators, comparators, builders.
pub fn assignment_type(
    assignment: &VariableAssignment,
    scope: &dyn TypeScope,
) -> Result<Type, TypeError> {
    let source = uncast_type(assignment, scope)?;
    let Some(target) = &assignment.target_type else {
        return Ok(source);
    };
    let target = Type::from(target);
    source.check_cast(&target)?;
    Ok(target)
}

/// The type of an assignment before its cast, after its path.
fn uncast_type(assignment: &VariableAssignment, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    let source = source_type(assignment, scope)?;
    match &assignment.path {
        None => Ok(source),
        Some(Path::JsonPath(path)) => {
            JsonPath::parse(path)?;
            Ok(Type::Unknown)
        }
        Some(Path::LhPath(path)) => path::lh::type_at(source, path, scope),
    }
}

fn source_type(assignment: &VariableAssignment, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    match &assignment.source {
        None => Err(TypeError::MissingSource("Assignment")),
        Some(Source::VariableName(name)) => variable_type(name, scope),
        Some(Source::LiteralValue(literal)) => {
            // Malformed JSON in a literal is found here and not in a run.
            ingress::ingress_untyped(literal.clone())?;
            Ok(Type::of(literal))
        }
        Some(Source::NodeOutput(reference)) => node_type(&reference.node_name, scope),
        Some(Source::FormatString(format)) => {
            let template = operand_type(format.format.as_deref(), scope)?;
            if template.is_known() && !template.same(&Type::STR) {
                return Err(TypeError::Assign {
                    from: template.to_string(),
                    to: "STR".to_owned(),
                });
            }
            for argument in &format.args {
                assignment_type(argument, scope)?;
            }
            Ok(Type::STR)
        }
        Some(Source::Expression(expression)) => expression_type(expression, scope),
        Some(Source::StructBuilder(builder)) => builder_type(builder, scope),
        Some(Source::MapBuilder(builder)) => map_type(builder, scope),
        Some(Source::SizeOf(size)) => {
            let operand = operand_type(size.operand.as_deref(), scope)?;
            let sized = match &operand {
                Type::Unknown | Type::Array(_) => true,
                other => other.same(&Type::STR) || other.same(&Type::JSON_ARR),
            };
            if sized {
                Ok(Type::INT)
            } else {
                Err(TypeError::Size(operand.to_string()))
            }
        }
    }
}

fn operand_type(
    side: Option<&VariableAssignment>,
    scope: &dyn TypeScope,
) -> Result<Type, TypeError> {
    assignment_type(side.ok_or(TypeError::MissingSource("Operand"))?, scope)
}

fn variable_type(name: &str, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    let declared = scope
        .variable(name)
        .ok_or_else(|| TypeError::UnknownVariable(name.to_owned()))?;
    Ok(Type::from(&declared))
}

fn node_type(name: &str, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    match scope.node_output(name) {
        NodeType::Known(output) => Ok(Type::from(&output)),
        NodeType::Unknown => Ok(Type::Unknown),
        NodeType::Never => Err(TypeError::NoOutput(name.to_owned())),
        NodeType::Missing => Err(TypeError::UnknownNode(name.to_owned())),
    }
}

fn comparator_of(number: i32) -> Result<Comparator, TypeError> {
    Comparator::try_from(number)
        .map_err(|_| TypeError::Definition(format!("there is no comparator {number}")))
}

fn operation_of(number: i32) -> Result<VariableMutationType, TypeError> {
    VariableMutationType::try_from(number)
        .map_err(|_| TypeError::Definition(format!("there is no operator {number}")))
}

fn expression_type(expression: &Expression, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    let lhs = operand_type(expression.lhs.as_deref(), scope)?;
    let rhs = operand_type(expression.rhs.as_deref(), scope)?;
    match expression.operation {
        Some(Operation::Comparator(comparator)) => {
            compare::check(comparator_of(comparator)?, &lhs, &rhs)?;
            Ok(Type::BOOL)
        }
        Some(Operation::MutationType(operation)) => {
            operation_type(operation_of(operation)?, &lhs, &rhs)
        }
        None => Err(TypeError::MissingSource(
            "Expression (neither operator nor comparator)",
        )),
    }
}

fn builder_type(builder: &StructBuilder, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    let mut id = builder
        .struct_def_id
        .clone()
        .ok_or(TypeError::MissingSource("Struct builder"))?;
    structs::pin(&mut id, scope)?;
    check_builder(
        &id,
        builder
            .value
            .as_ref()
            .unwrap_or(&InlineStructBuilder::default()),
        scope,
    )?;
    Ok(Type::Struct(id))
}

/// The fields of a builder against a StructDef (spec 02, section 12.3).
fn check_builder(
    id: &StructDefId,
    builder: &InlineStructBuilder,
    scope: &dyn TypeScope,
) -> Result<(), TypeError> {
    let def = structs::find(id, scope)?;
    let wrong = |reason: String| TypeError::Struct {
        name: id.name.clone(),
        reason,
    };
    let missing: Vec<&str> = def
        .fields
        .iter()
        .filter(|(name, field)| structs::is_required(field) && !builder.fields.contains_key(*name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(wrong(format!(
            "required fields are missing: {}",
            missing.join(", ")
        )));
    }
    for (name, given) in &builder.fields {
        let unknown = || TypeError::UnknownField {
            field: name.clone(),
            name: id.name.clone(),
        };
        let field = def
            .fields
            .get(name)
            .ok_or_else(unknown)?
            .field_type
            .clone()
            .unwrap_or_default();
        match &given.struct_value {
            None => return Err(wrong(format!("field '{name}' has no value"))),
            Some(StructValue::SimpleValue(assignment)) => {
                let actual = assignment_type(assignment, scope)?;
                actual
                    .check_fits(&Type::from(&field))
                    .map_err(|error| wrong(format!("field '{name}': {error}")))?;
            }
            Some(StructValue::SubStructure(inner)) => match &field.defined_type {
                Some(DefinedType::StructDefId(inner_id)) => check_builder(inner_id, inner, scope)?,
                _ => return Err(wrong(format!("field '{name}' is no Struct"))),
            },
        }
    }
    Ok(())
}

fn map_type(builder: &MapBuilder, scope: &dyn TypeScope) -> Result<Type, TypeError> {
    let declared = |part: Option<&TypeDefinition>| part.map_or(Type::Unknown, Type::from);
    let types = builder.map_type.as_ref();
    let key = declared(types.and_then(|types| types.key_type.as_deref()));
    let value = declared(types.and_then(|types| types.value_type.as_deref()));
    for entry in &builder.entries {
        operand_type(entry.key.as_ref(), scope)?.check_fits(&key)?;
        operand_type(entry.value.as_ref(), scope)?.check_fits(&value)?;
    }
    Ok(Type::Map(Box::new(key), Box::new(value)))
}

/// An assignment given for a declared type: a task input (spec 01, section 10.8) or the right side of ASSIGN.
///
/// # Errors
/// `Cannot assign … without explicit casting.`, `Cannot cast from …`, or what is wrong inside.
pub fn check_assignable(
    assignment: &VariableAssignment,
    declared: &TypeDefinition,
    scope: &dyn TypeScope,
) -> Result<(), TypeError> {
    assignment_type(assignment, scope)?.check_fits(&Type::from(declared))
}

/// A node input or thread input that "can be" one of some types (spec 01, section 10.6): `raw_seconds` INT and so on.
/// Unknown types pass; a NULL literal does too, as everywhere.
///
/// # Errors
/// `variable can't resolve to INT` (types joined with `or`), or what is wrong inside.
pub fn check_resolves_to(
    assignment: &VariableAssignment,
    any_of: &[TypeDefinition],
    scope: &dyn TypeScope,
) -> Result<(), TypeError> {
    let actual = assignment_type(assignment, scope)?;
    let any_of: Vec<Type> = any_of.iter().map(Type::from).collect();
    if any_of.iter().any(|one| actual.fits(one)) {
        return Ok(());
    }
    let names: Vec<String> = any_of.iter().map(Type::to_string).collect();
    Err(TypeError::Resolve(names.join(" or ")))
}

/// A condition of an edge or of WAIT_FOR_CONDITION (spec 02, section 11.2).
pub fn check_condition(
    condition: &VariableAssignment,
    scope: &dyn TypeScope,
) -> Result<(), TypeError> {
    if let Some(Source::Expression(expression)) = &condition.source {
        let operation = match expression.operation {
            Some(Operation::MutationType(operation)) => Some(operation_of(operation)?),
            Some(Operation::Comparator(_)) | None => None,
        };
        let logical = matches!(
            operation,
            None | Some(VariableMutationType::And | VariableMutationType::Or)
        );
        if !logical {
            let name = operation.map_or("", |operation| operation.as_str_name());
            return Err(TypeError::NotBool(format!("the result of {name}")));
        }
    }
    let actual = assignment_type(condition, scope)?;
    let unfit_operand = |side: &Option<Box<VariableAssignment>>| match side.as_deref() {
        Some(side) => Ok::<_, TypeError>(assignment_type(side, scope)?.same(&Type::STR)),
        None => Ok(false),
    };
    if let Some(Source::Expression(expression)) = &condition.source
        && matches!(expression.operation, Some(Operation::MutationType(_)))
        && (unfit_operand(&expression.lhs)? || unfit_operand(&expression.rhs)?)
    {
        // As a value AND and OR read texts; as a condition they do not.
        return Err(TypeError::NotBool("a STR operand".to_owned()));
    }
    if actual.same(&Type::BOOL) || matches!(actual, Type::Null) {
        return Ok(());
    }
    Err(TypeError::NotBool(actual.to_string()))
}

/// The older form of a condition.
pub fn check_legacy_condition(
    condition: &LegacyEdgeCondition,
    scope: &dyn TypeScope,
) -> Result<(), TypeError> {
    let lhs = operand_type(condition.left.as_ref(), scope)?;
    let rhs = operand_type(condition.right.as_ref(), scope)?;
    compare::check(comparator_of(condition.comparator)?, &lhs, &rhs)
}

/// A mutation on an edge out of the node `source_node` (spec 01, section 10.7).
pub fn check_mutation(
    mutation: &VariableMutation,
    source_node: &str,
    scope: &dyn TypeScope,
) -> Result<(), TypeError> {
    let operation = operation_of(mutation.operation)?;
    let variable = variable_type(&mutation.lhs_name, scope)?;
    let rhs = match &mutation.rhs_value {
        None => return Err(TypeError::MissingSource("Mutation")),
        Some(RhsValue::RhsAssignment(assignment)) => assignment_type(assignment, scope)?,
        Some(RhsValue::LiteralValue(literal)) => {
            ingress::ingress_untyped(literal.clone())?;
            Type::of(literal)
        }
        Some(RhsValue::NodeOutput(NodeOutputSource { path })) => {
            let output = node_type(source_node, scope)?;
            match path {
                None => output,
                Some(OutputPath::Jsonpath(path)) => {
                    JsonPath::parse(path)?;
                    Type::Unknown
                }
                Some(OutputPath::LhPath(path)) => path::lh::type_at(output, path, scope)?,
            }
        }
    };
    if let Some(path) = &mutation.lhs_json_path {
        if !variable.is_json() {
            return Err(TypeError::Path(format!(
                "lhs_json_path '{path}' is not possible on a {variable} variable"
            )));
        }
        if !JsonPath::parse(path)?.is_definite() {
            return Err(TypeError::Path(format!(
                "lhs_json_path '{path}' can select more than one place"
            )));
        }
        return Ok(());
    }
    let target = match &mutation.lhs_lh_path {
        Some(path) => path::lh::type_at(variable, path, scope)?,
        None => variable,
    };
    operation_type(operation, &target, &rhs)?.check_fits(&target)
}

#[cfg(test)]
#[path = "typing_tests.rs"]
mod tests;

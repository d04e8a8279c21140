//! Walks over assignments and mutations: what they name, and their stored form.

use std::collections::BTreeSet;

use proto::littlehorse::inline_struct_field_value::StructValue;
use proto::littlehorse::lh_path::selector::SelectorType;
use proto::littlehorse::variable_assignment::{Path, Source};
use proto::littlehorse::variable_mutation::node_output_source::Path as OutputPath;
use proto::littlehorse::variable_mutation::{NodeOutputSource, RhsValue};
use proto::littlehorse::{
    InlineStructBuilder, LegacyEdgeCondition, LhPath, VariableAssignment, VariableMutation,
    VariableValue,
};

use super::definition::settle;
use super::fault::TypeError;
use super::ingress::ingress_untyped;
use super::scope::StructDefs;
use super::structs;

/// The names of variables and nodes that assignments, conditions and mutations use, at any depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Variables read or changed.
    pub variables: BTreeSet<String>,
    /// Nodes whose output is read by name.
    pub nodes: BTreeSet<String>,
    /// JSONPaths, read and written.
    pub json_paths: BTreeSet<String>,
}

impl Used {
    /// Adds what an assignment uses.
    pub fn assignment(&mut self, assignment: &VariableAssignment) {
        match &assignment.source {
            Some(Source::VariableName(name)) => {
                self.variables.insert(name.clone());
            }
            Some(Source::NodeOutput(reference)) => {
                self.nodes.insert(reference.node_name.clone());
            }
            Some(Source::FormatString(format)) => {
                format
                    .format
                    .iter()
                    .for_each(|template| self.assignment(template));
                format
                    .args
                    .iter()
                    .for_each(|argument| self.assignment(argument));
            }
            Some(Source::Expression(expression)) => {
                expression
                    .lhs
                    .iter()
                    .chain(&expression.rhs)
                    .for_each(|side| self.assignment(side));
            }
            Some(Source::StructBuilder(builder)) => {
                builder.value.iter().for_each(|fields| self.fields(fields));
            }
            Some(Source::SizeOf(size)) => size
                .operand
                .iter()
                .for_each(|operand| self.assignment(operand)),
            Some(Source::MapBuilder(builder)) => builder
                .entries
                .iter()
                .flat_map(|entry| entry.key.iter().chain(&entry.value))
                .for_each(|part| self.assignment(part)),
            Some(Source::LiteralValue(_)) | None => {}
        }
        match &assignment.path {
            Some(Path::LhPath(path)) => self.path(path),
            Some(Path::JsonPath(path)) => drop(self.json_paths.insert(path.clone())),
            None => {}
        }
    }

    fn fields(&mut self, builder: &InlineStructBuilder) {
        for field in builder.fields.values() {
            match &field.struct_value {
                Some(StructValue::SimpleValue(assignment)) => self.assignment(assignment),
                Some(StructValue::SubStructure(inner)) => self.fields(inner),
                None => {}
            }
        }
    }

    fn path(&mut self, path: &LhPath) {
        for selector in &path.path {
            if let Some(SelectorType::Dynamic(assignment)) = &selector.selector_type {
                self.assignment(assignment);
            }
        }
    }

    /// Adds what an older condition uses.
    pub fn legacy_condition(&mut self, condition: &LegacyEdgeCondition) {
        condition
            .left
            .iter()
            .chain(&condition.right)
            .for_each(|side| self.assignment(side));
    }

    /// Adds what a mutation uses: its variable, too. The node whose output the deprecated form takes has no name here.
    pub fn mutation(&mut self, mutation: &VariableMutation) {
        self.variables.insert(mutation.lhs_name.clone());
        mutation.lhs_lh_path.iter().for_each(|path| self.path(path));
        self.json_paths.extend(mutation.lhs_json_path.clone());
        match &mutation.rhs_value {
            Some(RhsValue::RhsAssignment(assignment)) => self.assignment(assignment),
            Some(RhsValue::NodeOutput(NodeOutputSource {
                path: Some(OutputPath::LhPath(path)),
            })) => self.path(path),
            Some(RhsValue::NodeOutput(NodeOutputSource {
                path: Some(OutputPath::Jsonpath(path)),
            })) => drop(self.json_paths.insert(path.clone())),
            Some(RhsValue::NodeOutput(_) | RhsValue::LiteralValue(_)) | None => {}
        }
    }
}

/// Brings an assignment to its stored form: StructDefs pinned, types of casts and map builders settled, JSON compact, at
/// every depth.
///
/// # Errors
/// As [`settle`] and [`ingress_untyped`].
pub fn settle_assignment(
    assignment: &mut VariableAssignment,
    structs: &dyn StructDefs,
) -> Result<(), TypeError> {
    if let Some(target) = &mut assignment.target_type {
        settle(target, structs)?;
    }
    if let Some(Path::LhPath(path)) = &mut assignment.path {
        settle_path(path, structs)?;
    }
    let inner = |part: &mut VariableAssignment| settle_assignment(part, structs);
    match &mut assignment.source {
        Some(Source::FormatString(format)) => {
            format
                .format
                .iter_mut()
                .try_for_each(|template| inner(template))?;
            format.args.iter_mut().try_for_each(inner)
        }
        Some(Source::Expression(expression)) => expression
            .lhs
            .iter_mut()
            .chain(&mut expression.rhs)
            .try_for_each(|side| inner(side)),
        Some(Source::SizeOf(size)) => size
            .operand
            .iter_mut()
            .try_for_each(|operand| inner(operand)),
        Some(Source::StructBuilder(builder)) => {
            if let Some(id) = &mut builder.struct_def_id {
                structs::pin(id, structs)?;
            }
            builder
                .value
                .iter_mut()
                .try_for_each(|fields| settle_fields(fields, structs))
        }
        Some(Source::MapBuilder(builder)) => {
            for definition in builder
                .map_type
                .iter_mut()
                .flat_map(|types| types.key_type.iter_mut().chain(&mut types.value_type))
            {
                settle(definition, structs)?;
            }
            builder
                .entries
                .iter_mut()
                .flat_map(|entry| entry.key.iter_mut().chain(&mut entry.value))
                .try_for_each(inner)
        }
        Some(Source::LiteralValue(literal)) => settle_literal(literal),
        Some(Source::VariableName(_) | Source::NodeOutput(_)) | None => Ok(()),
    }
}

/// JSON in its compact form, so that definitions which say the same are equal.
fn settle_literal(literal: &mut VariableValue) -> Result<(), TypeError> {
    *literal = ingress_untyped(std::mem::take(literal))?;
    Ok(())
}

fn settle_path(path: &mut LhPath, structs: &dyn StructDefs) -> Result<(), TypeError> {
    for selector in &mut path.path {
        if let Some(SelectorType::Dynamic(assignment)) = &mut selector.selector_type {
            settle_assignment(assignment, structs)?;
        }
    }
    Ok(())
}

fn settle_fields(
    builder: &mut InlineStructBuilder,
    structs: &dyn StructDefs,
) -> Result<(), TypeError> {
    for field in builder.fields.values_mut() {
        match &mut field.struct_value {
            Some(StructValue::SimpleValue(assignment)) => settle_assignment(assignment, structs)?,
            Some(StructValue::SubStructure(inner)) => settle_fields(inner, structs)?,
            None => {}
        }
    }
    Ok(())
}

/// As [`settle_assignment`], for all that a mutation holds.
pub fn settle_mutation(
    mutation: &mut VariableMutation,
    structs: &dyn StructDefs,
) -> Result<(), TypeError> {
    mutation
        .lhs_lh_path
        .iter_mut()
        .try_for_each(|path| settle_path(path, structs))?;
    match &mut mutation.rhs_value {
        Some(RhsValue::RhsAssignment(assignment)) => settle_assignment(assignment, structs),
        Some(RhsValue::NodeOutput(NodeOutputSource {
            path: Some(OutputPath::LhPath(path)),
        })) => settle_path(path, structs),
        Some(RhsValue::LiteralValue(literal)) => settle_literal(literal),
        Some(RhsValue::NodeOutput(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{int, literal, op, source, var};
    use proto::littlehorse::VariableMutationType::Add;
    use proto::littlehorse::lh_path::Selector;
    use proto::littlehorse::variable_assignment::{FormatString, NodeOutputReference, SizeOf};
    use proto::littlehorse::{InlineStructFieldValue, MapBuilder, StructBuilder, map_builder};

    #[test]
    fn finds_names_at_any_depth() {
        let node = source(Source::NodeOutput(NodeOutputReference {
            node_name: "task".to_owned(),
        }));
        let size = source(Source::SizeOf(Box::new(SizeOf {
            operand: Some(Box::new(var("c"))),
        })));
        let format = FormatString {
            format: Some(Box::new(var("f"))),
            args: vec![op(var("a"), Add, size), node],
        };
        let field = |value| InlineStructFieldValue {
            struct_value: Some(value),
        };
        let inner = InlineStructBuilder {
            fields: [("x".to_owned(), field(StructValue::SimpleValue(var("deep"))))].into(),
        };
        let builder = InlineStructBuilder {
            fields: [
                ("y".to_owned(), field(StructValue::SubStructure(inner))),
                (
                    "z".to_owned(),
                    field(StructValue::SimpleValue(source(Source::FormatString(
                        Box::new(format),
                    )))),
                ),
            ]
            .into(),
        };
        let entry = map_builder::Entry {
            key: Some(var("k")),
            value: Some(literal(int(1))),
        };
        let dynamic = Selector {
            selector_type: Some(SelectorType::Dynamic(var("index"))),
        };
        let mut map = source(Source::MapBuilder(MapBuilder {
            entries: vec![entry],
            map_type: None,
        }));
        map.path = Some(Path::LhPath(LhPath {
            path: vec![dynamic],
        }));
        let mut used = Used::default();
        used.assignment(&source(Source::StructBuilder(StructBuilder {
            struct_def_id: None,
            value: Some(builder),
        })));
        used.mutation(&VariableMutation {
            lhs_name: "left".to_owned(),
            rhs_value: Some(RhsValue::RhsAssignment(map)),
            ..VariableMutation::default()
        });
        used.legacy_condition(&LegacyEdgeCondition {
            left: Some(var("l")),
            right: None,
            comparator: 0,
        });
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            used.variables,
            names(&["a", "c", "deep", "f", "index", "k", "l", "left"])
        );
        assert_eq!(used.nodes, names(&["task"]));
    }
}

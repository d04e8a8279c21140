//! Struct variables, their fields, and builders.

use proto::littlehorse::inline_struct_field_value::StructValue;
use proto::littlehorse::lh_path::Selector;
use proto::littlehorse::lh_path::selector::SelectorType;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::{Path, SizeOf, Source};
use proto::littlehorse::variable_mutation::RhsValue;
use proto::littlehorse::{
    InlineStructBuilder, InlineStructFieldValue, LhPath, StructBuilder, StructDefId,
    VariableAssignment, VariableMutation, VariableMutationType,
};

use super::definitions::field;
use super::*;
use crate::value::testing::{array_of, int, literal, map_of, op, source, text, var};
use VariableType::{Int, Str};

fn struct_type(name: &str, version: i32) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::StructDefId(StructDefId {
            name: name.to_owned(),
            version,
        })),
        masked: false,
    }
}

fn known() -> Known {
    let car = |more| {
        let mut fields = vec![
            ("brand", field(prim(Str))),
            ("owner", field(struct_type("person", 0))),
        ];
        if more {
            let mut year = field(prim(Int));
            year.is_nullable = true;
            fields.push(("year", year));
        }
        fields
    };
    Known::default()
        .with_struct("person", 0, vec![("name", field(prim(Str)))])
        .with_struct("car", 0, car(false))
        .with_struct("car", 1, car(true))
}

/// An edge that changes variable `to`.
fn assigning(to: &str, right: VariableAssignment) -> WfSpec {
    let variables = vec![
        typed("car", struct_type("car", -1)),
        typed("cars", array_of(struct_type("car", -1))),
        typed("map", map_of(prim(Str), prim(Int))),
        private("s", Str),
        private("i", Int),
    ];
    let mut wf_spec = one(variables, nop());
    let main = wf_spec.thread_specs.get_mut("main").unwrap();
    let edge = &mut main.nodes.get_mut("1").unwrap().outgoing_edges[0];
    edge.variable_mutations = vec![VariableMutation {
        lhs_name: to.to_owned(),
        rhs_value: Some(RhsValue::RhsAssignment(right)),
        ..VariableMutation::default()
    }];
    wf_spec
}

fn get(of: VariableAssignment, keys: &[&str]) -> VariableAssignment {
    let path = keys.iter().map(|key| Selector {
        selector_type: Some(SelectorType::Key((*key).to_owned())),
    });
    VariableAssignment {
        path: Some(Path::LhPath(LhPath {
            path: path.collect(),
        })),
        ..of
    }
}

fn value(value: StructValue) -> InlineStructFieldValue {
    InlineStructFieldValue {
        struct_value: Some(value),
    }
}

fn fields<const N: usize>(fields: [(&str, StructValue); N]) -> InlineStructBuilder {
    InlineStructBuilder {
        fields: fields
            .into_iter()
            .map(|(name, field)| (name.to_owned(), value(field)))
            .collect(),
    }
}

fn build(name: &str, built: InlineStructBuilder) -> VariableAssignment {
    source(Source::StructBuilder(StructBuilder {
        struct_def_id: Some(StructDefId {
            name: name.to_owned(),
            version: -1,
        }),
        value: Some(built),
    }))
}

fn simple(assignment: VariableAssignment) -> StructValue {
    StructValue::SimpleValue(assignment)
}

fn person() -> StructValue {
    StructValue::SubStructure(fields([("name", simple(var("s")))]))
}

#[test]
fn fields_and_builders_are_those_of_the_struct_def() {
    let known = known();
    let size = source(Source::SizeOf(Box::new(SizeOf {
        operand: Some(Box::new(var("map"))),
    })));
    let multiplied = op(var("s"), VariableMutationType::Multiply, literal(int(5)));
    let whole = || fields([("brand", simple(literal(text("x")))), ("owner", person())]);
    // spec 01-39
    refused(
        &known,
        vec![
            (
                assigning("s", multiplied),
                &["Node 1", "cannot multiply to a str"],
            ),
            (
                assigning("i", size),
                &["size() only supports STR, ARRAY or JSON_ARR operands"],
            ),
            (
                assigning("i", get(var("car"), &["age"])),
                &["could not find field 'age'", "car"],
            ),
            (
                assigning("i", get(var("car"), &["owner", "age"])),
                &["could not find field 'age'", "person"],
            ),
            (
                assigning("i", get(var("car"), &["brand"])),
                &["Cannot assign STR to INT"],
            ),
            // spec 02, section 12.3
            (
                assigning("car", build("nope", whole())),
                &["non-existent StructDef nope"],
            ),
            (
                assigning("car", build("car", fields([("owner", person())]))),
                &["required fields are missing: brand"],
            ),
            (
                assigning("car", build("person", fields([("name", simple(var("s")))]))),
                &["Cannot assign", "person", "car"],
            ),
            (
                assigning(
                    "car",
                    build("car", fields([("brand", person()), ("owner", person())])),
                ),
                &["'brand' is no Struct"],
            ),
        ],
    );
    accepted(
        &known,
        vec![
            assigning("s", get(var("car"), &["owner", "name"])),
            assigning("i", get(var("car"), &["year"])),
            assigning("car", build("car", whole())),
        ],
    );
}

#[test]
fn latest_versions_are_pinned_at_every_depth() {
    let whole = fields([("brand", simple(literal(text("x")))), ("owner", person())]);
    let made = checked(assigning("car", build("car", whole)), &known()).unwrap();
    let main = &made.thread_specs["main"];
    let type_of = |at: usize| {
        main.variable_defs[at]
            .var_def
            .clone()
            .unwrap()
            .type_def
            .unwrap()
    };
    assert_eq!(type_of(0), struct_type("car", 1));
    assert_eq!(type_of(1), array_of(struct_type("car", 1)));
    let right = &main.nodes["1"].outgoing_edges[0].variable_mutations[0].rhs_value;
    let Some(RhsValue::RhsAssignment(VariableAssignment {
        source: Some(Source::StructBuilder(builder)),
        ..
    })) = right
    else {
        panic!("{right:?}")
    };
    assert_eq!(builder.struct_def_id.clone().unwrap().version, 1);
    // With what no StructDef is.
    let unknown = one(vec![typed("x", array_of(struct_type("nope", -1)))], nop());
    refused(
        &known(),
        vec![(
            unknown,
            &["Variable x of thread main refers to non-existent StructDef nope"],
        )],
    );
}

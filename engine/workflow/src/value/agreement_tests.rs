//! The static checks and the evaluation never disagree: what is accepted does not fail for its type at run time, and its
//! value is of the type that was said. Except for comparisons: two kinds with an order are compared by the static rule,
//! JSON with JSON too, and fail at run time (spec 02, sections 10.1 and 10.2).

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use proto::littlehorse::lh_path::Selector;
use proto::littlehorse::lh_path::selector::SelectorType;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::{FormatString, Path, SizeOf, Source};
use proto::littlehorse::variable_mutation::RhsValue;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Comparator, InlineStructDef, LhPath, StructDefId, StructField, StructFieldDef, TypeDefinition,
    VariableAssignment, VariableMutation, VariableMutationType, VariableType, VariableValue,
    WfRunId,
};

use super::testing::{
    Thread, arr, array_of, boolean, cast, compared, dict, double, int, list, literal, map_of, obj,
    of, op, prim, source, text, time, var,
};
use super::*;

const KINDS: [VariableType; 9] = [
    VariableType::Int,
    VariableType::Double,
    VariableType::Str,
    VariableType::Bool,
    VariableType::Bytes,
    VariableType::JsonObj,
    VariableType::JsonArr,
    VariableType::WfRunId,
    VariableType::Timestamp,
];
const NAMES: [&str; 12] = [
    "i", "d", "s", "b", "y", "o", "a", "w", "t", "ints", "map", "point",
];
/// Generated, and of those accepted at least.
const CASES: usize = 100_000;
const ACCEPTED: usize = 15_000;

fn point() -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::StructDefId(StructDefId {
            name: "point".to_owned(),
            version: 0,
        })),
        masked: false,
    }
}

/// A variable of each kind, none of them NULL.
fn thread() -> Thread {
    let ints = || list(prim(VariableType::Int), [int(1), int(2)]);
    let types = (prim(VariableType::Str), prim(VariableType::Int));
    let field = |kind| StructFieldDef {
        field_type: Some(prim(kind)),
        ..StructFieldDef::default()
    };
    let given = |value| StructField {
        value: Some(value),
        masked: false,
    };
    let place = proto::littlehorse::Struct {
        struct_def_id: Some(StructDefId {
            name: "point".to_owned(),
            version: 0,
        }),
        r#struct: Some(proto::littlehorse::InlineStruct {
            fields: [
                ("x".to_owned(), given(int(4))),
                ("name".to_owned(), given(text("here"))),
            ]
            .into(),
        }),
    };
    let values = [
        int(7),
        double(-2.5),
        text("12"),
        boolean(true),
        of(Value::Bytes(bytes::Bytes::from_static(b"\x00\xff"))),
        obj(r#"{"k":[1,2.5]}"#),
        arr(r#"[1,"x",{}]"#),
        of(Value::WfRunId(WfRunId::root("p").child("c"))),
        time(1_700_000_000, 5),
    ];
    let mut thread = Thread::default();
    // The names and kinds are in the same order.
    let names = ["i", "d", "s", "b", "y", "o", "a", "w", "t"];
    for ((name, kind), value) in names.into_iter().zip(KINDS).zip(values) {
        thread = thread.with(name, prim(kind), value);
    }
    thread.structs.insert(
        ("point".to_owned(), 0),
        std::sync::Arc::new(InlineStructDef {
            fields: [
                ("x".to_owned(), field(VariableType::Int)),
                ("name".to_owned(), field(VariableType::Str)),
            ]
            .into(),
        }),
    );
    thread
        .with("ints", array_of(prim(VariableType::Int)), ints())
        .with(
            "map",
            map_of(prim(VariableType::Str), prim(VariableType::Int)),
            dict(Some(types), [(text("k"), int(3))]),
        )
        .with("point", point(), of(Value::Struct(place)))
}

fn value() -> impl Strategy<Value = VariableValue> {
    prop_oneof![
        any::<i64>().prop_map(int),
        (-9_i64..10).prop_map(int),
        any::<f64>().prop_map(double),
        Just(double(f64::NAN)),
        "[a-z0-9]{0,4}".prop_map(|word| text(&word)),
        Just(text("true")),
        any::<bool>().prop_map(boolean),
        Just(obj("{}")),
        Just(arr("[1]")),
        Just(list(prim(VariableType::Int), [int(5)])),
        Just(time(0, 0)),
    ]
}

/// A step into a variable that has one, which is there.
fn part() -> impl Strategy<Value = VariableAssignment> {
    let at = |name: &str, step| VariableAssignment {
        path: Some(Path::LhPath(LhPath {
            path: vec![Selector {
                selector_type: Some(step),
            }],
        })),
        ..var(name)
    };
    prop_oneof![
        Just(at("ints", SelectorType::Index(1))),
        Just(at("map", SelectorType::Key("k".to_owned()))),
        Just(at("point", SelectorType::Key("x".to_owned()))),
        Just(at("point", SelectorType::Key("name".to_owned()))),
        // No such field, no such step.
        Just(at("point", SelectorType::Key("z".to_owned()))),
        Just(at("ints", SelectorType::Key("z".to_owned()))),
    ]
}

fn operation() -> impl Strategy<Value = VariableMutationType> {
    (0_i32..12).prop_map(|number| VariableMutationType::try_from(number).unwrap())
}

fn comparator() -> impl Strategy<Value = Comparator> {
    (0_i32..8).prop_map(|number| Comparator::try_from(number).unwrap())
}

fn assignment() -> impl Strategy<Value = VariableAssignment> {
    let leaf = prop_oneof![
        4 => prop::sample::select(NAMES.to_vec()).prop_map(var),
        2 => value().prop_map(literal),
        1 => part(),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            6 => (inner.clone(), operation(), inner.clone()).prop_map(|(lhs, by, rhs)| op(lhs, by, rhs)),
            3 => (inner.clone(), comparator(), inner.clone()).prop_map(|(lhs, by, rhs)| compared(lhs, by, rhs)),
            2 => (inner.clone(), prop::sample::select(KINDS.to_vec())).prop_map(|(of, kind)| cast(of, kind)),
            1 => inner.clone().prop_map(|operand| source(Source::SizeOf(Box::new(SizeOf {
                operand: Some(Box::new(operand)),
            })))),
            1 => prop::collection::vec(inner, 1..3).prop_map(|args| source(Source::FormatString(Box::new(
                FormatString { format: Some(Box::new(literal(text("{0}, {1}")))), args },
            )))),
        ]
    })
}

/// Whether a fault comes from what the values are, and not from their types.
fn is_of_value(fault: &Fault) -> bool {
    [
        "overflow",
        "divide by zero",
        "Cannot parse the STR",
        "not finite",
        "out of range",
        "Index",
        "index cannot be negative",
        // See the module.
        "Comparing failed",
    ]
    .iter()
    .any(|words| fault.message.contains(words))
}

/// A value has the type that was said: INT is also said of what is a DOUBLE at run time (spec 02, section 9.1).
fn has_type(value: &VariableValue, said: &Type, scope: &Thread) -> bool {
    let Some(definition) = said.definition() else {
        return true;
    };
    coerce(&definition, value.clone(), scope).is_ok()
}

#[test]
fn what_is_accepted_does_not_fail_for_its_type() {
    let scope = thread();
    let mut runner = TestRunner::new(Config::default());
    let (mut accepted, mut conditions, mut mutated) = (0, 0, 0);
    let mut disagreements = Vec::new();
    let cases = (
        assignment(),
        prop::sample::select(NAMES.to_vec()),
        operation(),
    );
    for _ in 0..CASES {
        let (assignment, name, by) = cases.new_tree(&mut runner).unwrap().current();
        if let Ok(said) = assignment_type(&assignment, &scope) {
            accepted += 1;
            match evaluate(&assignment, &scope) {
                Ok(value) if has_type(&value, &said, &scope) => {}
                Err(fault) if is_of_value(&fault) => {}
                other => disagreements.push(format!("{said} of {other:?}: {assignment:?}")),
            }
        }
        if check_condition(&assignment, &scope).is_ok() {
            conditions += 1;
            if let Err(fault) = condition(&assignment, &scope)
                && !is_of_value(&fault)
            {
                disagreements.push(format!("{fault}: condition {assignment:?}"));
            }
        }
        let mutation = VariableMutation {
            lhs_name: name.to_owned(),
            operation: by.into(),
            rhs_value: Some(RhsValue::RhsAssignment(assignment)),
            ..VariableMutation::default()
        };
        if check_mutation(&mutation, "node", &scope).is_ok() {
            mutated += 1;
            let declared = Scope::variable_type(&scope, name).unwrap();
            match mutations(std::slice::from_ref(&mutation), &scope) {
                Ok(writes) => {
                    let kind = Type::of(&writes[name]);
                    if !kind.same(&Type::from(&declared)) && !matches!(kind, Type::Null) {
                        disagreements.push(format!("{kind} is written to {name}: {mutation:?}"));
                    }
                }
                Err(fault) if is_of_value(&fault) => {}
                Err(fault) => disagreements.push(format!("{fault}: {mutation:?}")),
            }
        }
    }
    println!("of {CASES}: {accepted} accepted, {conditions} as condition, {mutated} as mutation");
    disagreements.sort_by_key(String::len);
    disagreements.truncate(12);
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(accepted >= ACCEPTED && conditions >= 3_000 && mutated >= 1_000);
}

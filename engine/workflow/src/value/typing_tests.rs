use super::*;
use crate::value::fault::Fault;
use crate::value::mutations;
use crate::value::testing::{
    Thread, arr, array_of, at, boolean, cast, compared, double, int, list, literal, map_of, null,
    obj, op, prim, source, text, time, var,
};
use crate::value::{condition, evaluate};
use Comparator::{Equals, In, LessThan};
use VariableMutationType::{Add, And, Assign, Divide, Extend, Multiply, Or, Pow, Subtract};
use proptest::prelude::*;
use proto::littlehorse::VariableType::{Bool, Double, Int, JsonArr, JsonObj, Str, Timestamp};
use proto::littlehorse::lh_path::Selector;
use proto::littlehorse::lh_path::selector::SelectorType;
use proto::littlehorse::variable_assignment::{NodeOutputReference, SizeOf};
use proto::littlehorse::{
    InlineStructDef, InlineStructFieldValue, LhPath, StructFieldDef, VariableValue,
};
use std::sync::Arc;

fn thread() -> Thread {
    let mut thread = Thread::default()
        .with("n", prim(Int), int(7))
        .with("d", prim(Double), double(2.5))
        .with("s", prim(Str), text("abc"))
        .with("flag", prim(Bool), boolean(true))
        .with("when", prim(Timestamp), time(1, 0))
        .with("json", prim(JsonObj), obj(r#"{"b":true}"#))
        .with("arr", prim(JsonArr), arr("[1]"))
        .with("ints", array_of(prim(Int)), list(prim(Int), [int(1)]))
        .with("map", map_of(prim(Str), prim(Int)), null())
        .with("car", car_type(), null());
    for (name, output) in [
        ("task", NodeType::Known(prim(Int))),
        ("void", NodeType::Unknown),
        ("nop", NodeType::Never),
    ] {
        thread.nodes.insert(name.to_owned(), output);
    }
    let field = |kind, nullable| StructFieldDef {
        field_type: Some(kind),
        is_nullable: nullable,
        ..StructFieldDef::default()
    };
    let engine = InlineStructDef {
        fields: [("power".to_owned(), field(prim(Int), false))].into(),
    };
    let engine_type = TypeDefinition {
        defined_type: Some(DefinedType::StructDefId(StructDefId {
            name: "engine".to_owned(),
            version: 0,
        })),
        masked: false,
    };
    let car = InlineStructDef {
        fields: [
            ("brand".to_owned(), field(prim(Str), false)),
            ("engine".to_owned(), field(engine_type, true)),
        ]
        .into(),
    };
    thread
        .structs
        .insert(("engine".to_owned(), 0), Arc::new(engine));
    thread.structs.insert(("car".to_owned(), 1), Arc::new(car));
    thread
}

fn car_type() -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(DefinedType::StructDefId(StructDefId {
            name: "car".to_owned(),
            version: 1,
        })),
        masked: false,
    }
}

fn output(name: &str) -> VariableAssignment {
    source(Source::NodeOutput(NodeOutputReference {
        node_name: name.to_owned(),
    }))
}

fn message(result: Result<impl std::fmt::Debug, TypeError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn task_inputs() {
    let thread = thread();
    let check = |assignment, kind| check_assignable(&assignment, &prim(kind), &thread);
    assert!(check(var("n"), Str).is_ok()); // spec 02-1 01-37
    assert!(check(var("d"), Str).is_ok());
    assert!(check(var("n"), Double).is_ok());
    assert_eq!(
        message(check(var("s"), Int)),
        "Cannot assign STR to INT without explicit casting."
    ); // spec 02-2 01-37
    assert_eq!(
        message(check(var("s"), Double)),
        "Cannot assign STR to DOUBLE without explicit casting."
    );
    assert!(check(var("when"), Str).is_err()); // spec 01-37
    assert!(check(cast(var("s"), Int), Int).is_ok());
    assert!(check(cast(var("s"), Int), Double).is_ok());
    // spec 02-4 01-38
    assert_eq!(
        message(check(cast(var("d"), Bool), Bool)),
        "Cannot cast from DOUBLE to BOOL. This conversion is not supported."
    );
    assert!(check(at(var("json"), "$.x"), Int).is_ok());
    assert!(check(at(var("json"), "$."), Int).is_err());
    assert!(check(var("ints"), Int).is_err());
    assert!(check(literal(null()), Int).is_ok());
    assert!(message(check(var("nope"), Int)).contains("nope"));
    assert!(message(check(output("not-a-real-node"), Int)).contains("not-a-real-node")); // spec 02-43 01-36
    // spec 02-61 (static)
    assert!(check(output("void"), Int).is_ok());
    assert!(message(check(output("nop"), Int)).contains("nop"));
    assert!(check(output("task"), Bool).is_err());
    assert!(check(literal(obj("nonsense")), JsonObj).is_err());
    assert!(check(VariableAssignment::default(), Int).is_err());
}

#[test]
fn node_inputs() {
    let thread = thread();
    let check = |assignment: &VariableAssignment, kinds: &[_]| {
        let kinds: Vec<_> = kinds.iter().map(|kind| prim(*kind)).collect();
        check_resolves_to(assignment, &kinds, &thread)
    };
    // spec 01-43
    for (name, seconds, until) in [
        ("n", true, true),
        ("d", false, false),
        ("s", false, false),
        ("flag", false, false),
        ("when", false, true),
        ("json", false, false),
    ] {
        assert_eq!(check(&var(name), &[Int]).is_ok(), seconds, "{name}");
        assert_eq!(
            check(&var(name), &[Timestamp, Int]).is_ok(),
            until,
            "{name}"
        );
    }
    assert_eq!(
        message(check(&var("d"), &[Int])),
        "Invalid value: variable can't resolve to INT"
    );
    assert!(
        message(check(&var("s"), &[Timestamp, Int]))
            .contains("variable can't resolve to TIMESTAMP or INT")
    );
    assert!(check(&cast(var("s"), Int), &[Int]).is_ok());
    assert!(check(&at(var("json"), "$.x"), &[Int]).is_ok());
}

#[test]
fn conditions() {
    let thread = thread();
    let check = |assignment| check_condition(&assignment, &thread);
    assert!(check(var("flag")).is_ok());
    assert!(message(check(var("s"))).contains("does not resolve to a BOOL value")); // spec 02-37 01-48
    assert!(check(at(var("json"), "$.b")).is_err()); // spec 02-37 01-48
    assert!(check(cast(var("s"), Bool)).is_ok()); // spec 01-48
    assert!(check(cast(at(var("json"), "$.b"), Bool)).is_ok());
    assert!(check(op(var("n"), Add, literal(int(1)))).is_err()); // spec 02-38 01-48
    assert!(check(op(var("flag"), And, compared(var("n"), LessThan, var("d")))).is_ok());
    assert!(check(op(var("flag"), Or, var("n"))).is_err());
    assert!(
        check(op(
            var("flag"),
            Or,
            compared(var("json"), LessThan, var("n"))
        ))
        .is_err()
    );
    assert!(check(compared(var("json"), LessThan, var("n"))).is_err()); // spec 01-48
    // spec 02-62 (as edge conditions)
    assert!(check(compared(literal(int(2)), In, var("ints"))).is_ok());
    assert!(check(compared(literal(text("k")), In, var("map"))).is_ok());
    assert!(check(compared(literal(text("b")), In, var("s"))).is_ok());
    let legacy = |left, right| {
        check_legacy_condition(
            &LegacyEdgeCondition {
                comparator: Equals.into(),
                left,
                right,
            },
            &thread,
        )
    };
    assert!(legacy(Some(var("flag")), Some(var("when"))).is_ok());
    assert!(legacy(Some(var("flag")), Some(var("json"))).is_err());
    assert!(legacy(None, Some(var("json"))).is_err());
}

fn set(name: &str, operation: VariableMutationType, rhs: VariableAssignment) -> VariableMutation {
    VariableMutation {
        lhs_name: name.to_owned(),
        operation: operation.into(),
        rhs_value: Some(RhsValue::RhsAssignment(rhs)),
        ..VariableMutation::default()
    }
}

#[test]
fn mutations_of_an_edge() {
    let thread = thread();
    let check = |mutation| check_mutation(&mutation, "task", &thread);
    assert!(message(check(set("n", Assign, var("s")))).contains("Cannot assign STR to INT"));
    assert!(check(set("n", Assign, cast(var("s"), Int))).is_ok());
    assert!(
        message(check(set("flag", Assign, cast(var("d"), Bool))))
            .contains("This conversion is not supported.")
    ); // spec 01-38
    assert!(
        message(check(set("s", Multiply, literal(int(5))))).contains("cannot multiply to a str")
    ); // spec 02-24 01-39
    assert!(check(set("n", Pow, var("d"))).is_err());
    assert!(check(set("n", Add, var("d"))).is_ok());
    assert!(check(set("n", Assign, op(var("n"), Divide, var("d")))).is_ok());
    assert!(check(set("d", Assign, op(var("n"), Divide, var("d")))).is_ok());
    assert!(check(set("n", Assign, output("void"))).is_ok());
    assert!(check(set("n", And, var("flag"))).is_err());
    assert!(check(set("flag", And, var("s"))).is_ok());
    assert!(check(set("nope", Assign, var("s"))).is_err());
    assert!(
        check(VariableMutation {
            rhs_value: None,
            ..set("n", Add, var("n"))
        })
        .is_err()
    );
    assert!(
        check(VariableMutation {
            operation: 55,
            ..set("n", Add, var("n"))
        })
        .is_err()
    );
    let through = |name, path: &str| VariableMutation {
        lhs_json_path: Some(path.to_owned()),
        ..set(name, Assign, var("s"))
    };
    assert!(check(through("json", "$.x")).is_ok());
    assert!(check(through("s", "$.x")).is_err());
    assert!(check(through("json", "$.*")).is_err());
    assert!(check(through("json", "$.")).is_err());
    let deprecated = |rhs| VariableMutation {
        rhs_value: Some(rhs),
        ..set("n", Assign, var("n"))
    };
    assert!(check(deprecated(RhsValue::LiteralValue(int(1)))).is_ok());
    assert!(check(deprecated(RhsValue::LiteralValue(text("x")))).is_err());
    assert!(
        check(deprecated(RhsValue::NodeOutput(NodeOutputSource {
            path: None
        })))
        .is_ok()
    );
    let completed = deprecated(RhsValue::NodeOutput(NodeOutputSource { path: None }));
    assert!(check_mutation(&completed, "nop", &thread).is_err());
    assert!(check(set("ints", Extend, literal(int(1)))).is_ok());
    assert!(check(set("ints", Extend, literal(text("x")))).is_err());
}

#[test]
fn sizes_and_paths() {
    let thread = thread();
    let size = |operand| {
        assignment_type(
            &source(Source::SizeOf(Box::new(SizeOf {
                operand: Some(Box::new(operand)),
            }))),
            &thread,
        )
    };
    // spec 02-31 (static) 01-39
    assert!(
        message(size(var("map"))).contains("size() only supports STR, ARRAY or JSON_ARR operands")
    );
    for name in ["s", "arr", "ints"] {
        assert!(size(var(name)).unwrap().same(&Type::INT));
    }
    assert!(size(at(var("json"), "$.l")).is_ok());
    let field = |name: &str| VariableAssignment {
        path: Some(Path::LhPath(LhPath {
            path: vec![Selector {
                selector_type: Some(SelectorType::Key(name.to_owned())),
            }],
        })),
        ..var("car")
    };
    assert!(
        message(assignment_type(&field("age"), &thread)).contains("could not find field 'age'")
    ); // spec 02-57 01-39
    assert!(
        assignment_type(&field("brand"), &thread)
            .unwrap()
            .same(&Type::STR)
    );
}

fn field(value: StructValue) -> InlineStructFieldValue {
    InlineStructFieldValue {
        struct_value: Some(value),
    }
}

fn car(fields: Vec<(&str, InlineStructFieldValue)>) -> VariableAssignment {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    source(Source::StructBuilder(StructBuilder {
        struct_def_id: Some(StructDefId {
            name: "car".to_owned(),
            version: -1,
        }),
        value: Some(InlineStructBuilder { fields }),
    }))
}

#[test]
fn struct_builders() {
    let thread = thread();
    let simple = |assignment| field(StructValue::SimpleValue(assignment));
    let engine = |power| {
        let fields = [("power".to_owned(), simple(power))].into();
        field(StructValue::SubStructure(InlineStructBuilder { fields }))
    };
    let check = |builder| check_assignable(&builder, &car_type(), &thread);
    let good = car(vec![
        ("brand", simple(var("s"))),
        ("engine", engine(var("n"))),
    ]);
    assert!(check(good.clone()).is_ok());
    assert!(check_assignable(&good, &prim(Str), &thread).is_err());
    assert!(message(check(car(vec![]))).contains("brand"));
    assert!(
        check(car(vec![
            ("brand", simple(var("s"))),
            ("year", simple(var("n")))
        ]))
        .is_err()
    );
    assert!(
        check(car(vec![
            ("brand", simple(var("s"))),
            ("engine", engine(var("s")))
        ]))
        .is_err()
    );
    assert!(check(car(vec![("brand", engine(var("n")))])).is_err());
    assert!(check(car(vec![("brand", InlineStructFieldValue::default())])).is_err());
    // spec 02-58
    let built = evaluate(&good, &thread).unwrap();
    let text = crate::value::string_form(&built).unwrap();
    assert_eq!(text, r#"{"brand":"abc","engine":{"power":7}}"#);
    assert!(Type::of(&built).same(&Type::from(&car_type())));
    let Some(proto::littlehorse::variable_value::Value::Struct(stored)) = built.value else {
        panic!("a struct")
    };
    assert_eq!(stored.struct_def_id.map(|id| id.version), Some(1));
}

/// Typed expressions over the basic types: operands and operators that the static rules accept.
fn typed() -> impl Strategy<Value = VariableAssignment> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| literal(int(number))),
        (-9_i64..9).prop_map(|number| literal(int(number))),
        (-9.0..9.0).prop_map(|number| literal(double(number))),
        "[a-c0-9]{0,3}".prop_map(|string| literal(text(&string))),
        any::<bool>().prop_map(|truth| literal(boolean(truth))),
        prop_oneof![
            Just("n"),
            Just("d"),
            Just("s"),
            Just("flag"),
            Just("when"),
            Just("arr"),
            Just("ints")
        ]
        .prop_map(var),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let operation = prop_oneof![
            Just(Add),
            Just(Subtract),
            Just(Multiply),
            Just(Divide),
            Just(Pow),
            Just(And),
            Just(Or),
            Just(Assign),
            Just(Extend),
        ];
        let comparator = (0..8).prop_map(|number| Comparator::try_from(number).unwrap());
        let kind = prop_oneof![Just(Int), Just(Double), Just(Str), Just(Bool)];
        prop_oneof![
            (inner.clone(), operation, inner.clone())
                .prop_map(|(lhs, operation, rhs)| op(lhs, operation, rhs)),
            (inner.clone(), comparator, inner.clone())
                .prop_map(|(lhs, comparator, rhs)| compared(lhs, comparator, rhs)),
            (inner, kind).prop_map(|(inner, kind)| cast(inner, kind)),
        ]
    })
}

/// INT op DOUBLE is statically INT and a DOUBLE at run time: the one allowed difference.
fn agrees(declared: &Type, value: &VariableValue) -> bool {
    let actual = Type::of(value);
    actual.same(declared) || (declared.same(&Type::INT) && actual.same(&Type::DOUBLE))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn static_types_tell_the_run_time_kind(assignment in typed()) {
        let thread = thread();
        let declared = assignment_type(&assignment, &thread);
        let value: Result<_, Fault> = evaluate(&assignment, &thread);
        if let (Ok(declared), Ok(value)) = (&declared, &value) {
            prop_assert!(agrees(declared, value), "{declared} but {value:?}");
        }
        if check_condition(&assignment, &thread).is_ok() && value.is_ok() {
            prop_assert!(condition(&assignment, &thread).is_ok());
        }
        for name in ["n", "d", "s", "flag"] {
            let mutation = set(name, Assign, assignment.clone());
            if check_mutation(&mutation, "task", &thread).is_ok() && value.is_ok() {
                let writes = mutations(&[mutation], &thread);
                let declared = Type::from(&TypeScope::variable(&thread, name).unwrap());
                prop_assert!(Type::of(&writes.unwrap()[name]).same(&declared));
            }
        }
    }
}

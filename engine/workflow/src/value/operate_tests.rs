use super::*;
use crate::value::scope::NoStructs;
use crate::value::testing::{
    arr, array_of, boolean, dict, double, int, list, null, obj, of, prim, text, time, untyped_list,
};
use VariableMutationType as Op;
use proto::littlehorse::VariableType::{Double, Int, Str};

fn run(lhs: VariableValue, operation: Op, rhs: VariableValue) -> Result<VariableValue, Fault> {
    let working = Working::of_operands(&lhs, &rhs);
    operate(operation, lhs, rhs, &working, &NoStructs)
}

fn into(
    declared: VariableType,
    lhs: VariableValue,
    operation: Op,
    rhs: VariableValue,
) -> Result<VariableValue, Fault> {
    let declared = prim(declared);
    operate(
        operation,
        lhs,
        rhs,
        &Working::Declared(&declared),
        &NoStructs,
    )
}

fn message(result: Result<VariableValue, Fault>) -> String {
    result.unwrap_err().message.to_lowercase()
}

#[test]
fn arithmetic() {
    for (lhs, operation, rhs, expected) in [
        (int(5), Op::Divide, int(2), int(2)),           // spec 02-15
        (int(5), Op::Divide, double(2.0), double(2.5)), // spec 02-15
        (int(-5), Op::Divide, int(2), int(-2)),
        (int(1), Op::Add, text("2"), int(3)),
        (int(1), Op::Add, double(2.5), double(3.5)),
        (double(1.5), Op::Multiply, int(2), double(3.0)),
        (double(1.5), Op::Subtract, text(" 0.5 "), double(1.0)),
        (text("a"), Op::Add, int(1), text("a1")),
        (arr("[1]"), Op::Add, arr("[2]"), arr("[1,[2]]")),
        (arr("[1]"), Op::Add, double(2.0), arr("[1,2.0]")),
        (
            double(f64::MAX),
            Op::Multiply,
            int(2),
            double(f64::INFINITY),
        ),
    ] {
        assert_eq!(run(lhs, operation, rhs), Ok(expected));
    }
    // spec 02-16: 10 * 100.3 * (1.0 - 10 / 100.0)
    let discount = run(
        double(1.0),
        Op::Subtract,
        run(int(10), Op::Divide, double(100.0)).unwrap(),
    )
    .unwrap();
    let total = run(
        run(int(10), Op::Multiply, double(100.3)).unwrap(),
        Op::Multiply,
        discount,
    )
    .unwrap();
    assert_eq!(total, double(902.7));
    assert_eq!(coerce(&prim(Int), total, &NoStructs), Ok(int(902))); // spec 02-16
}

#[test]
fn a_declared_type_rules_the_arithmetic() {
    assert_eq!(into(Int, int(5), Op::Divide, double(2.0)), Ok(int(2)));
    assert_eq!(into(Int, int(1), Op::Add, double(2.9)), Ok(int(3)));
    assert_eq!(into(Double, int(5), Op::Divide, int(2)), Ok(double(2.5)));
    assert!(message(into(Int, int(1), Op::Multiply, double(1e300))).contains("overflow"));
    assert_eq!(into(Int, null(), Op::Assign, text("7")), Ok(int(7)));
    assert_eq!(into(Int, int(1), Op::Assign, null()), Ok(null()));
}

#[test]
fn arithmetic_faults() {
    for rhs in [int(0), double(0.0), text("0")] {
        assert!(message(run(int(5), Op::Divide, rhs.clone())).contains("divide by zero")); // spec 02-18
        assert!(message(run(double(5.0), Op::Divide, rhs)).contains("divide by zero")); // spec 02-18
    }
    for operation in [Op::Add, Op::Subtract, Op::Multiply, Op::Divide, Op::Pow] {
        assert!(message(run(int(1), operation, null())).contains("null")); // spec 02-17
        assert!(message(run(null(), operation, int(1))).contains("value_not_set")); // spec 02-17
        assert!(run(int(1), operation, untyped_list([])).is_err());
        assert!(run(boolean(true), operation, int(1)).is_err());
        assert!(run(time(0, 0), operation, int(1)).is_err());
    }
    assert!(message(run(int(i64::MAX), Op::Add, int(1))).contains("overflow")); // spec 02-22
    assert!(message(run(int(i64::MIN), Op::Divide, int(-1))).contains("overflow"));
    assert!(message(run(int(i64::MIN), Op::Multiply, int(-1))).contains("overflow"));
    assert!(run(int(1), Op::Add, text("x")).is_err());
    assert!(run(text("a"), Op::Multiply, int(5)).is_err());
}

#[test]
fn powers() {
    for (base, exponent, expected) in [
        (int(2), int(10), Some(int(1024))), // spec 02-21
        (int(2), int(-1), Some(int(0))),    // spec 02-21
        (int(2), int(64), None),            // spec 02-21
        (int(3), int(39), Some(int(4_052_555_153_018_976_267))),
        (int(-2), int(63), Some(int(i64::MIN))),
        (int(0), int(-1), None),
        (int(0), int(0), Some(int(1))),
        (int(-1), int(i64::MIN), Some(int(1))),
        (int(1), int(i64::MAX), Some(int(1))),
        (int(2), int(i64::MAX), None),
        (double(4.0), double(0.5), Some(double(2.0))), // spec 02-21
        (int(4), double(0.5), Some(double(2.0))),
        (double(-1.0), double(0.5), None),
        (text("2"), int(2), None),
        (int(2), text("2"), None),
    ] {
        assert_eq!(run(base, Op::Pow, exponent).ok(), expected);
    }
}

#[test]
fn logic_and_assign() {
    assert_eq!(run(boolean(true), Op::And, text("TRUE")), Ok(boolean(true)));
    assert_eq!(run(boolean(false), Op::And, null()), Ok(boolean(false)));
    assert_eq!(run(boolean(true), Op::Or, int(1)), Ok(boolean(true)));
    assert!(run(boolean(false), Op::Or, int(1)).is_err());
    assert!(run(null(), Op::And, boolean(true)).is_err());
    assert_eq!(run(int(1), Op::Assign, text("5")), Ok(int(5)));
    assert_eq!(run(int(1), Op::Assign, null()), Ok(null()));
    assert!(run(null(), Op::Assign, int(1)).is_err());
}

#[test]
fn extending() {
    assert_eq!(
        run(text("hello"), Op::Extend, text("-suffix")),
        Ok(text("hello-suffix"))
    ); // spec 02-23
    assert!(message(run(text("hello"), Op::Extend, null())).contains("null"));
    let bytes = |bytes: &'static [u8]| of(Value::Bytes(bytes::Bytes::from_static(bytes)));
    assert_eq!(run(bytes(b"a"), Op::Extend, text("b")), Ok(bytes(b"ab")));
    assert_eq!(run(arr("[1]"), Op::Extend, arr("[2]")), Ok(arr("[1,2]")));
    assert!(run(arr("[1]"), Op::Extend, int(2)).is_err());
    // spec 02-27
    let ints = |items: &[i64]| list(prim(Int), items.iter().copied().map(int));
    assert_eq!(
        run(ints(&[1, 2, 3]), Op::Extend, int(4)),
        Ok(ints(&[1, 2, 3, 4]))
    );
    assert_eq!(
        run(ints(&[1]), Op::Extend, ints(&[2, 3])),
        Ok(ints(&[1, 2, 3]))
    );
    assert_eq!(
        run(
            list(array_of(prim(Int)), [ints(&[1])]),
            Op::Extend,
            ints(&[2])
        ),
        Ok(list(array_of(prim(Int)), [ints(&[1]), ints(&[2])]))
    );
    assert_eq!(
        run(ints(&[1]), Op::Extend, untyped_list([])),
        Ok(ints(&[1]))
    );
    assert_eq!(run(ints(&[1]), Op::Extend, text("2")), Ok(ints(&[1, 2])));
    assert!(run(ints(&[1]), Op::Extend, null()).is_err());
    assert!(run(ints(&[1]), Op::Extend, text("x")).is_err());
    // spec 02-28
    let types = Some((prim(Str), prim(Int)));
    let map = |entries: &[(&str, i64)]| {
        dict(
            types.clone(),
            entries.iter().map(|(key, value)| (text(key), int(*value))),
        )
    };
    assert_eq!(
        run(
            map(&[("a", 1), ("b", 2)]),
            Op::Extend,
            map(&[("c", 9), ("a", 7)])
        ),
        Ok(map(&[("a", 7), ("b", 2), ("c", 9)]))
    );
}

#[test]
fn removing() {
    assert_eq!(
        run(arr(r#"["a","a",3]"#), Op::RemoveIfPresent, text("a")),
        Ok(arr("[3]"))
    ); // spec 02-25
    assert_eq!(
        run(arr("[1,1.0]"), Op::RemoveIfPresent, int(1)),
        Ok(arr("[1.0]"))
    );
    let ints = list(prim(Int), [int(1), int(2), int(1)]);
    assert_eq!(
        run(ints.clone(), Op::RemoveIfPresent, text("1")),
        Ok(list(prim(Int), [int(2)]))
    );
    assert_eq!(
        run(ints.clone(), Op::RemoveIndex, double(1.9)),
        Ok(list(prim(Int), [int(1), int(1)]))
    );
    assert_eq!(run(arr("[1,2]"), Op::RemoveIndex, int(0)), Ok(arr("[2]")));
    for bad in [int(3), int(-1), int(1 << 40), text("x"), null()] {
        assert!(run(arr("[1,2]"), Op::RemoveIndex, bad.clone()).is_err()); // spec 02-25 (fails)
        assert!(run(ints.clone(), Op::RemoveIndex, bad).is_err());
    }
    assert_eq!(
        run(obj(r#"{"a":1,"b":2,"c":3}"#), Op::RemoveKey, text("a")),
        Ok(obj(r#"{"b":2,"c":3}"#))
    );
    assert_eq!(
        run(obj(r#"{"a":1}"#), Op::RemoveKey, text("x")),
        Ok(obj(r#"{"a":1}"#))
    ); // spec 02-26
    let map = dict(
        Some((prim(Int), prim(Str))),
        [(int(1), text("a")), (int(2), text("b"))],
    );
    let left = dict(Some((prim(Int), prim(Str))), [(int(2), text("b"))]);
    assert_eq!(run(map.clone(), Op::RemoveKey, int(1)), Ok(left));
    assert_eq!(run(map.clone(), Op::RemoveKey, text("1")), Ok(map));
    for operation in [Op::RemoveIfPresent, Op::RemoveIndex, Op::RemoveKey] {
        assert!(run(text("a"), operation, int(0)).is_err());
        assert!(run(null(), operation, int(0)).is_err());
    }
}

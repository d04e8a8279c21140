//! What would cost without bound is refused: each row of `limits`.

use proto::littlehorse::VariableMutationType::{Add, Extend};
use proto::littlehorse::VariableType::{JsonArr, JsonObj, Str};
use proto::littlehorse::variable_assignment::{FormatString, Source};
use proto::littlehorse::{MapBuilder, VariableAssignment, VariableMutation, map_builder};

use super::path::json::JsonPath;
use super::testing::{Thread, arr, at, literal, obj, op, prim, source, text, var};
use super::*;

fn large() -> Thread {
    let items = vec!["0"; 400_000].join(",");
    let deep = format!("{}0{}", "[".repeat(120), "]".repeat(120));
    let deeps = vec![deep; 4_000].join(",");
    Thread::default()
        .with("text", prim(Str), text(&"x".repeat(1 << 20)))
        .with("wide", prim(JsonArr), arr(&format!("[{items}]")))
        .with("deep", prim(JsonArr), arr(&format!("[{deeps}]")))
        .with("o", prim(JsonObj), obj("{}"))
}

#[test]
fn paths_are_short_and_cheap() {
    let nested = |count: usize| format!("$[?{}@.a{}]", "(".repeat(count), ")".repeat(count));
    for bad in [
        format!("$.{}", "a".repeat(limits::MAX_PATH_BYTES)),
        nested(50_000),
        nested(limits::MAX_PATH_NESTING),
        format!("$[?{}@.a]", "!".repeat(2_000)),
        "$..a..b".to_owned(),
        "$..*[?@..b]".to_owned(),
        format!(
            "$[{}][{}]",
            vec!["0"; 40].join(","),
            vec!["0"; 40].join(",")
        ),
        "$[?$..a]".to_owned(),
        "$[?$[*]]".to_owned(),
        "$[?$.a[0:5]]".to_owned(),
    ] {
        let shown = &bad[..bad.len().min(60)];
        assert!(JsonPath::parse(&bad).is_err(), "{shown}");
    }
    for good in [
        "$..a",
        "$[0,1,2]",
        "$.a[?@.b == $.c.d]",
        "$[?(@.x > 1 && (@.y))]",
    ] {
        assert!(JsonPath::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn what_is_made_is_bounded() {
    let scope = large();
    let many = |assignment: VariableAssignment, count: usize| vec![assignment; count];
    let format = |template: &str, args| {
        source(Source::FormatString(Box::new(FormatString {
            format: Some(Box::new(literal(text(template)))),
            args,
        })))
    };
    let entry = map_builder::Entry {
        key: Some(literal(text("k"))),
        value: Some(var("text")),
    };
    let doubled = (0..12).fold(var("text"), |sum, _| op(sum.clone(), Add, sum));
    for (made, words) in [
        (at(var("deep"), "$..*"), "selects more than"),
        (format(&"{0}".repeat(1_000), vec![var("text")]), "too large"),
        (format("{0}", many(var("text"), 1_000)), "too large"),
        (doubled, "too large"),
        (
            op(
                op(var("text"), Extend, var("text")),
                Extend,
                op(var("text"), Add, var("text")),
            ),
            "",
        ),
        (
            source(Source::MapBuilder(MapBuilder {
                entries: vec![entry; 1_000],
                map_type: None,
            })),
            "too large",
        ),
        // As large as it is, all of it may be read.
        (at(var("wide"), "$[*]"), ""),
        (at(var("wide"), "$.length()"), ""),
    ] {
        match evaluate(&made, &scope) {
            Ok(_) => assert!(words.is_empty(), "{words}"),
            Err(fault) => assert!(
                !words.is_empty() && fault.message.contains(words),
                "{words}: {fault}"
            ),
        }
    }
    let grow = |name: &str| VariableMutation {
        lhs_name: name.to_owned(),
        operation: Add.into(),
        rhs_value: Some(proto::littlehorse::variable_mutation::RhsValue::RhsAssignment(var(name))),
        ..VariableMutation::default()
    };
    let fault = mutations(&vec![grow("text"); 1_000], &scope).unwrap_err();
    assert!(fault.message.contains("too large"), "{fault}");
}

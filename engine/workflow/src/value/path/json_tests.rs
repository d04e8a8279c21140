//! JSONPath against the table of spec 02, section 7.1.

use super::*;
use crate::value::testing::{Thread, arr, boolean, double, int, null, obj, text};
use proptest::prelude::*;

const DOC: &str = r#"{
    "a": {"b": 1, "b.c": 2, "x-y": 3, "n": null},
    "l": [1, 2, 3],
    "arr": [{"x": 1, "k-k": "p"}, {"x": 2}, {"x": 3, "n": null}],
    "f": [1, 2.5],
    "e": [],
    "t": true,
    "s": "text",
    "max": 2
}"#;

fn reading(path: &str) -> Result<VariableValue, Fault> {
    read(&obj(DOC), path, &Thread::default())
}

#[test]
fn table_of_constructs() {
    for (path, expected) in [
        ("$.a.b", int(1)),
        ("a.b", int(1)),
        ("$['a']['b.c']", int(2)),
        ("$[\"a\"].b", int(1)),
        ("$.a.x-y", int(3)),
        ("$.a", obj(r#"{"b":1,"b.c":2,"x-y":3,"n":null}"#)),
        ("$.l", arr("[1,2,3]")),
        ("$.t", boolean(true)),
        ("$.s", text("text")),
        ("$.l[0]", int(1)),
        ("$.l[-1]", int(3)), // spec 02-10
        ("$.l[3]", null()),  // spec 02-10
        ("$.l[-4]", null()),
        ("$.l[*]", arr("[1,2,3]")), // spec 02-10
        ("$.l[0,2]", arr("[1,3]")),
        ("$.l[0:2]", arr("[1,2]")),
        ("$.l[-2:]", arr("[2,3]")),
        ("$.a.*", arr("[1,2,3,null]")),
        ("$['t','s']", arr(r#"[true,"text"]"#)),
        ("$..x", arr("[1,2,3]")),
        ("$..nothing", arr("[]")),
        ("$..[0].x", arr("[1]")),
        ("$.arr[*].x", arr("[1,2,3]")),
        ("$.arr[?(@.x > 1)]", arr(r#"[{"x":2},{"x":3,"n":null}]"#)),
        ("$.arr[?(@.x > 1)].x", arr("[2,3]")),
        ("$.arr[?(@.x > 1 && @.x < 3)].x", arr("[2]")),
        ("$.arr[?(@.k-k == 'p')].x", arr("[1]")),
        ("$.arr[?(@['k-k'] == \"p\")].x", arr("[1]")),
        ("$.arr[?(@.x == $.max)].x", arr("[2]")),
        ("$.arr[?(@.x > 9)]", arr("[]")),
        ("$.l[?(@ >= 2)]", arr("[2,3]")),
        ("$.l.length()", int(3)), // spec 02-10
        ("$.a.length()", int(4)),
        ("$.l[*].length()", int(3)),
        ("$.a.keys()", arr(r#"["b","b.c","x-y","n"]"#)),
        ("$.l.sum()", double(6.0)),
        ("$.l.min()", double(1.0)),
        ("$.l.max()", double(3.0)),
        ("$.f.avg()", double(1.75)),
        ("$.e.max()", null()),
        ("$.s.length()", null()),
        // Missing is NULL.
        ("$.nope", null()), // spec 02-8 (the path)
        ("$.nope.deeper", null()),
        ("$.s.deeper", null()),
        ("$.a.n", null()),
        ("$.a.n.deeper", null()),
        ("$.a[0]", null()),
        ("$.l.key", null()),
        ("$.nope[*]", null()),
        ("$.nope.length()", null()),
        ("$.e[*]", arr("[]")),
        ("$.s[*]", null()),
    ] {
        assert_eq!(reading(path), Ok(expected), "{path}");
    }
    assert_eq!(read(&arr("[5]"), "$[0]", &Thread::default()), Ok(int(5)));
    assert_eq!(read(&arr("[5]"), "[0]", &Thread::default()), Ok(int(5)));
    assert_eq!(
        read(&obj("{\"a\":1}"), "$", &Thread::default()),
        Ok(obj("{\"a\":1}"))
    );
}

#[test]
fn bad_paths_and_kinds() {
    for path in [
        "$.",
        "",
        "  ",
        "$.a b",
        "$.a[",
        "$['a",
        "$[a]",
        "$.a.unknown()",
        "$.a.length(1)",
        "$.l.length().x",
        "$..",
        "$x",
        "$.l[0:x]",
        "$.arr[?(@.x >)]",
        "$.arr[?(@.)]",
        "$['a' 'b']",
        "$.a..",
        "$[]",
    ] {
        assert!(reading(path).is_err(), "{path}");
    }
    // spec 02-9
    for value in [text("x"), null(), int(1)] {
        let fault = read(&value, "$.a", &Thread::default()).unwrap_err();
        assert!(
            fault.name == "VAR_SUB_ERROR" && fault.message.contains("is not possible on a"),
            "{fault}"
        );
    }
}

fn written(document: &str, path: &str) -> Result<String, String> {
    let mut json: Json = serde_json::from_str(document).unwrap();
    let result = JsonPath::parse(path)
        .unwrap()
        .write(&mut json, Json::from("bar"));
    result
        .map(|()| json.to_string())
        .map_err(|fault| fault.message)
}

#[test]
fn writing() {
    for (document, path, expected) in [
        ("{}", "$.foo", Some(r#"{"foo":"bar"}"#)),
        (r#"{"foo":"baz"}"#, "$.foo", Some(r#"{"foo":"bar"}"#)),
        (
            r#"{"foo":{}}"#,
            "$.foo.bar",
            Some(r#"{"foo":{"bar":"bar"}}"#),
        ),
        ("[1,2]", "$[1]", Some(r#"[1,"bar"]"#)),
        ("[1,2]", "$[2]", None),
        ("[1,2]", "$[-1]", None),
        ("[1,2]", "$.x", None),
        ("{}", "$[0]", None),
        ("{}", "$", None),
        (r#"{"a":1}"#, "$.*", None),
    ] {
        assert_eq!(
            written(document, path).ok().as_deref(),
            expected,
            "{path} on {document}"
        );
    }
    assert!(
        written("{}", "$.foo.bar")
            .unwrap_err()
            .contains("Missing property")
    );
}

proptest! {
    #[test]
    fn nothing_panics(path in "[$@.\\[\\]?*'\"a-c0-2()<>=!&|:, \\\\-]{0,20}", any in ".*") {
        let _ = reading(&path);
        let _ = reading(&any);
        let _ = reading(&format!("$.arr[?({path})]"));
    }

    #[test]
    fn any_key_in_quotes(key in ".*") {
        let json = serde_json::json!({ key.clone(): 7, "arr": [{ key.clone(): 7 }] });
        let quoted = key.replace('\\', "\\\\").replace('\'', "\\'");
        prop_assume!(key != "arr");
        let path = JsonPath::parse(&format!("$['{quoted}']")).unwrap();
        prop_assert_eq!(path.read(json.clone()), Ok(int(7)));
        let many = JsonPath::parse(&format!("$.arr[*]['{quoted}']")).unwrap();
        prop_assert_eq!(many.read(json), Ok(arr("[7]")));
    }
}

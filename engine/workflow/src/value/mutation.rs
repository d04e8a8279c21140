//! Mutations of an edge (spec 02, section 11.3): all of them or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use proto::littlehorse::variable_mutation::node_output_source::Path;
use proto::littlehorse::variable_mutation::{NodeOutputSource, RhsValue};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    InlineStructDef, TypeDefinition, VariableMutation, VariableMutationType, VariableValue,
};

use super::convert::coerce;
use super::evaluate::{evaluate, operation_of};
use super::fault::{Fault, TypeError};
use super::json;
use super::limits::Spent;
use super::operate::{Working, operate};
use super::path;
use super::path::json::JsonPath;
use super::scope::{Scope, StructDefs};
use super::types::kind_name;

/// The variables that the mutations of an edge change, with their new values, each of its declared type. Nothing is
/// written: the caller does that, after all have succeeded.
///
/// # Errors
/// The first mutation that fails, with variable and operation in the message.
pub fn mutations(
    mutations: &[VariableMutation],
    scope: &dyn Scope,
) -> Result<BTreeMap<String, VariableValue>, Fault> {
    let mut buffered = Buffered {
        scope,
        writes: BTreeMap::new(),
    };
    let mut spent = Spent::default();
    for mutation in mutations {
        let value = apply(mutation, &buffered).map_err(|fault| {
            let operation =
                operation_of(mutation.operation).map_or("?", |operation| operation.as_str_name());
            fault.within(format_args!(
                "Mutation {operation} of variable {} failed",
                mutation.lhs_name
            ))
        })?;
        spent.add(value.encoded_len())?;
        buffered.writes.insert(mutation.lhs_name.clone(), value);
    }
    Ok(buffered.writes)
}

/// The scope with the writes of the mutations so far laid over it.
struct Buffered<'a> {
    scope: &'a dyn Scope,
    writes: BTreeMap<String, VariableValue>,
}

impl StructDefs for Buffered<'_> {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        self.scope.struct_def(name, version)
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        self.scope.latest_version(name)
    }
}

impl Scope for Buffered<'_> {
    fn variable(&self, name: &str) -> Result<VariableValue, Fault> {
        match self.writes.get(name) {
            Some(value) => Ok(value.clone()),
            None => self.scope.variable(name),
        }
    }

    fn variable_type(&self, name: &str) -> Option<TypeDefinition> {
        self.scope.variable_type(name)
    }

    fn node_output(&self, name: &str) -> Result<VariableValue, Fault> {
        self.scope.node_output(name)
    }

    fn json_path(&self, text: &str) -> Result<Arc<JsonPath>, Fault> {
        self.scope.json_path(text)
    }

    fn completed_output(&self) -> Result<VariableValue, Fault> {
        self.scope.completed_output()
    }
}

fn apply(mutation: &VariableMutation, scope: &dyn Scope) -> Result<VariableValue, Fault> {
    let operation = operation_of(mutation.operation)?;
    let current = scope.variable(&mutation.lhs_name)?;
    let declared = scope.variable_type(&mutation.lhs_name);
    let rhs = right_side(mutation, scope)?;
    let result = if let Some(path) = &mutation.lhs_json_path {
        at_json_path(operation, current, path, rhs, scope)?
    } else if let Some(path) = &mutation.lhs_lh_path {
        let mut changed = current.clone();
        let steps = path::lh::steps(path, scope)?;
        let leaf = path::lh::read(current, &steps, scope)?;
        path::lh::write(&mut changed, &steps, at_leaf(operation, leaf, rhs, scope)?)?;
        changed
    } else {
        let working = declared
            .as_ref()
            .map_or_else(|| Working::of_operands(&current, &rhs), Working::Declared);
        operate(operation, current, rhs, &working, scope)?
    };
    match declared {
        Some(declared) => coerce(&declared, result, scope),
        None => Ok(result),
    }
}

fn right_side(mutation: &VariableMutation, scope: &dyn Scope) -> Result<VariableValue, Fault> {
    match &mutation.rhs_value {
        Some(RhsValue::RhsAssignment(assignment)) => evaluate(assignment, scope),
        Some(RhsValue::LiteralValue(literal)) => Ok(literal.clone()),
        Some(RhsValue::NodeOutput(NodeOutputSource { path })) => {
            let output = scope.completed_output()?;
            match path {
                None => Ok(output),
                Some(Path::Jsonpath(path)) => path::json::read(&output, path, scope),
                Some(Path::LhPath(path)) => {
                    let steps = path::lh::steps(path, scope)?;
                    path::lh::read(output, &steps, scope)
                }
            }
        }
        None => Err(TypeError::MissingSource("Mutation").into()),
    }
}

/// Writing through a JSONPath (spec 02, section 7.2).
fn at_json_path(
    operation: VariableMutationType,
    variable: VariableValue,
    path: &str,
    rhs: VariableValue,
    scope: &dyn Scope,
) -> Result<VariableValue, Fault> {
    let Some(mut document) = variable.value.as_ref().and_then(json::content) else {
        let kind = kind_name(&variable);
        return Err(Fault::var_sub(format!(
            "JSONPath '{path}' is not possible on a {kind}"
        )));
    };
    let parsed = scope.json_path(path)?;
    let leaf = parsed.read(document.clone())?;
    let new = at_leaf(operation, leaf, rhs, scope)?;
    parsed.write(&mut document, json::from_nullable(&new))?;
    let text = document.to_string();
    let value = match variable.value {
        Some(Value::JsonArr(_)) => Value::JsonArr(text),
        _ => Value::JsonObj(text),
    };
    Ok(VariableValue { value: Some(value) })
}

/// The new value of a leaf. An absent one, or null, takes the right side if the operation can start from nothing.
fn at_leaf(
    operation: VariableMutationType,
    leaf: VariableValue,
    rhs: VariableValue,
    scope: &dyn Scope,
) -> Result<VariableValue, Fault> {
    use VariableMutationType::{Add, Assign, Extend};
    if leaf.value.is_none() && matches!(operation, Assign | Add | Extend) {
        return Ok(rhs);
    }
    operate(operation, leaf, rhs, &Working::Leaf, scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{
        Thread, array_of, at, boolean, compared, dict, double, int, list, literal, map_of, null,
        obj, op, prim, text, var,
    };
    use VariableMutationType::{Add, Assign, Divide, Extend, Multiply, Pow, Subtract};
    use proto::littlehorse::VariableType::{Bool, Bytes, Double, Int, JsonObj, Str};
    use proto::littlehorse::lh_path::Selector;
    use proto::littlehorse::lh_path::selector::SelectorType;
    use proto::littlehorse::{Comparator, LhPath, VariableAssignment};

    fn set(
        name: &str,
        operation: VariableMutationType,
        rhs: VariableAssignment,
    ) -> VariableMutation {
        VariableMutation {
            lhs_name: name.to_owned(),
            operation: operation.into(),
            rhs_value: Some(RhsValue::RhsAssignment(rhs)),
            ..VariableMutation::default()
        }
    }

    fn thread() -> Thread {
        Thread::default()
            .with("a", prim(Int), int(100))
            .with("b", prim(Int), int(1080))
            .with("d", prim(Double), double(1.0))
            .with("s", prim(Str), text("x"))
            .with("flag", prim(Bool), null())
            .with(
                "ints",
                array_of(prim(Int)),
                list(prim(Int), [int(1), int(2)]),
            )
            .with(
                "map",
                map_of(prim(Str), prim(Int)),
                dict(Some((prim(Str), prim(Int))), []),
            )
            .with("json", prim(JsonObj), obj(r#"{"n":5,"s":"t","foo":{}}"#))
    }

    fn one(mutation: VariableMutation) -> Result<VariableValue, Fault> {
        let name = mutation.lhs_name.clone();
        mutations(&[mutation], &thread()).map(|mut writes| writes.remove(&name).unwrap())
    }

    #[test]
    fn each_sees_the_one_before() {
        // spec 02-20
        let list = [
            set("a", Add, literal(int(10))),
            set("a", Subtract, literal(int(2))),
            set("b", Divide, op(var("a"), Add, literal(int(0)))),
        ];
        let expected = [("a".to_owned(), int(108)), ("b".to_owned(), int(10))];
        assert_eq!(mutations(&list, &thread()), Ok(expected.into()));
    }

    #[test]
    fn all_or_nothing() {
        // spec 02-19 (the buffer)
        let list = [
            set("a", Add, literal(int(1))),
            set("b", Divide, literal(int(0))),
        ];
        let fault = mutations(&list, &thread()).unwrap_err();
        for part in ["DIVIDE", "variable b", "divide by zero"] {
            assert!(fault.message.contains(part), "{fault}");
        }
        assert_eq!(fault.name, "VAR_SUB_ERROR");
    }

    #[test]
    fn results_have_the_declared_type() {
        assert_eq!(one(set("a", Assign, literal(double(2.9)))), Ok(int(2)));
        assert_eq!(one(set("a", Divide, literal(double(2.0)))), Ok(int(50)));
        assert_eq!(one(set("a", Pow, literal(double(0.5)))), Ok(int(10)));
        assert_eq!(
            one(set(
                "d",
                Assign,
                op(literal(int(5)), Divide, literal(int(2)))
            )),
            Ok(double(2.0))
        ); // spec 02-15
        assert_eq!(
            one(set(
                "a",
                Assign,
                op(literal(int(5)), Divide, literal(double(2.0)))
            )),
            Ok(int(2))
        ); // spec 02-15
        assert_eq!(one(set("a", Assign, literal(null()))), Ok(null()));
        assert_eq!(one(set("s", Extend, literal(int(7)))), Ok(text("x7")));
        let contains = compared(literal(int(2)), Comparator::In, var("ints"));
        assert_eq!(one(set("flag", Assign, contains)), Ok(boolean(true))); // spec 02-62 (the mutation)
        assert!(one(set("a", Assign, literal(text("x")))).is_err());
        assert!(
            one(set("missing", Assign, literal(int(1))))
                .unwrap_err()
                .message
                .contains("not in scope")
        );
        assert!(
            one(VariableMutation {
                operation: 99,
                ..set("a", Assign, literal(int(1)))
            })
            .is_err()
        );
        assert!(
            one(VariableMutation {
                rhs_value: None,
                ..set("a", Assign, literal(int(1)))
            })
            .is_err()
        );
    }

    fn through(
        path: &str,
        operation: VariableMutationType,
        rhs: VariableValue,
    ) -> Result<VariableValue, Fault> {
        one(VariableMutation {
            lhs_json_path: Some(path.to_owned()),
            ..set("json", operation, literal(rhs))
        })
    }

    #[test]
    fn through_a_json_path() {
        let json = |text: &str| Ok(obj(text));
        // spec 02-11
        assert_eq!(
            through("$.bar", Assign, text("bar")),
            json(r#"{"n":5,"s":"t","foo":{},"bar":"bar"}"#)
        );
        assert_eq!(
            through("$.s", Assign, text("u")),
            json(r#"{"n":5,"s":"u","foo":{}}"#)
        );
        // spec 02-12
        assert_eq!(
            through("$.foo.bar", Assign, int(1)),
            json(r#"{"n":5,"s":"t","foo":{"bar":1}}"#)
        );
        let missing = through("$.no.bar", Assign, int(1)).unwrap_err();
        assert!(missing.message.to_lowercase().contains("missing property"));
        // spec 02-13
        assert_eq!(
            through("$.n", Assign, text("7")),
            json(r#"{"n":7,"s":"t","foo":{}}"#)
        );
        assert_eq!(
            through("$.n", Assign, double(2.9)),
            json(r#"{"n":2,"s":"t","foo":{}}"#)
        );
        assert_eq!(
            through("$.s", Assign, int(7)),
            json(r#"{"n":5,"s":"7","foo":{}}"#)
        );
        assert_eq!(
            through("$.n", Assign, text("x")).unwrap_err().name,
            "VAR_SUB_ERROR"
        );
        assert_eq!(
            through("$.n", Assign, null()),
            json(r#"{"n":null,"s":"t","foo":{}}"#)
        );
        // spec 02-14
        assert_eq!(
            through("$.m", Add, int(3)),
            json(r#"{"n":5,"s":"t","foo":{},"m":3}"#)
        );
        assert_eq!(
            through("$.n", Add, int(3)),
            json(r#"{"n":8,"s":"t","foo":{}}"#)
        );
        assert!(through("$.m", Multiply, int(3)).is_err());
        assert!(through("$", Assign, int(3)).is_err());
        assert!(through("$.*", Assign, int(3)).is_err());
        let bytes = VariableValue {
            value: Some(Value::Bytes(bytes::Bytes::from_static(&[0, 255]))),
        };
        assert_eq!(
            through("$.b", Assign, bytes),
            json(r#"{"n":5,"s":"t","foo":{},"b":"AP8="}"#)
        );
        let list = list(prim(Bytes), []);
        assert_eq!(
            through("$.b", Assign, list),
            json(r#"{"n":5,"s":"t","foo":{},"b":[]}"#)
        );
        let on_text = VariableMutation {
            lhs_json_path: Some("$.x".to_owned()),
            ..set("s", Assign, literal(int(1)))
        };
        assert!(one(on_text).is_err());
    }

    #[test]
    fn through_an_lh_path() {
        let path = |selector| {
            Some(LhPath {
                path: vec![Selector {
                    selector_type: Some(selector),
                }],
            })
        };
        let item = |index, rhs: i64| VariableMutation {
            lhs_lh_path: path(SelectorType::Index(index)),
            ..set("ints", Add, literal(int(rhs)))
        };
        assert_eq!(one(item(1, 5)), Ok(list(prim(Int), [int(1), int(7)])));
        assert!(one(item(2, 5)).is_err());
        let entry = VariableMutation {
            lhs_lh_path: path(SelectorType::Key("k".to_owned())),
            ..set("map", Assign, literal(int(1)))
        };
        assert_eq!(
            one(entry),
            Ok(dict(Some((prim(Str), prim(Int))), [(text("k"), int(1))]))
        );
    }

    #[test]
    fn deprecated_right_sides() {
        let literal_value = VariableMutation {
            rhs_value: Some(RhsValue::LiteralValue(int(3))),
            ..set("a", Add, var("a"))
        };
        assert_eq!(one(literal_value), Ok(int(103)));
        let output = |path| VariableMutation {
            rhs_value: Some(RhsValue::NodeOutput(NodeOutputSource { path })),
            ..set("a", Assign, var("a"))
        };
        assert!(one(output(None)).unwrap_err().message.contains("no output"));
        struct Completed(Thread);
        impl StructDefs for Completed {
            fn struct_def(&self, _: &str, _: i32) -> Option<Arc<InlineStructDef>> {
                None
            }
        }
        impl Scope for Completed {
            fn variable(&self, name: &str) -> Result<VariableValue, Fault> {
                Scope::variable(&self.0, name)
            }
            fn variable_type(&self, name: &str) -> Option<TypeDefinition> {
                self.0.variable_type(name)
            }
            fn node_output(&self, name: &str) -> Result<VariableValue, Fault> {
                Scope::node_output(&self.0, name)
            }
            fn completed_output(&self) -> Result<VariableValue, Fault> {
                Ok(obj(r#"{"x":4}"#))
            }
        }
        let writes = mutations(
            &[output(Some(Path::Jsonpath("$.x".to_owned())))],
            &Completed(thread()),
        )
        .unwrap();
        assert_eq!(writes["a"], int(4));
        assert_ne!(at(var("a"), "$"), var("a"));
    }
}

//! Conditions of edges and of WAIT_FOR_CONDITION at run time (spec 02, section 11.2).

use std::borrow::Cow;

use proto::littlehorse::variable_assignment::expression::Operation;
use proto::littlehorse::variable_assignment::{Expression, Source};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    LegacyEdgeCondition, VariableAssignment, VariableMutationType, VariableValue,
};

use super::compare;
use super::evaluate;
use super::fault::Fault;
use super::scope::Scope;
use super::types::kind_name;

/// Whether a condition holds.
///
/// # Errors
/// It does not evaluate, or not to a BOOL; NULL is none.
pub fn condition(condition: &VariableAssignment, scope: &dyn Scope) -> Result<bool, Fault> {
    let value = match &condition.source {
        Some(Source::Expression(expression)) => match logic(expression, scope)? {
            Some(holds) => {
                let holds = VariableValue {
                    value: Some(Value::Bool(holds)),
                };
                evaluate::finish(condition, Cow::Owned(holds), scope)?
            }
            None => evaluate::borrow(condition, scope)?,
        },
        _ => evaluate::borrow(condition, scope)?,
    };
    truth(&value)
}

/// AND and OR, whose operands must here be BOOLs; `None` for other expressions.
fn logic(expression: &Expression, scope: &dyn Scope) -> Result<Option<bool>, Fault> {
    let Some(Operation::MutationType(operation)) = expression.operation else {
        return Ok(None);
    };
    let decisive = match evaluate::operation_of(operation)? {
        VariableMutationType::And => false,
        VariableMutationType::Or => true,
        _ => return Ok(None),
    };
    // Both are evaluated always, but the second is not looked at when the first decides.
    let lhs = evaluate::operand(expression.lhs.as_deref(), scope)?;
    let rhs = evaluate::operand(expression.rhs.as_deref(), scope)?;
    if truth(&lhs)? == decisive {
        return Ok(Some(decisive));
    }
    truth(&rhs).map(Some)
}

fn truth(value: &VariableValue) -> Result<bool, Fault> {
    match value.value {
        Some(Value::Bool(holds)) => Ok(holds),
        _ => Err(Fault::var_sub(format!(
            "A condition must be a BOOL, not {}",
            kind_name(value)
        ))),
    }
}

/// Whether the older form of a condition holds.
pub fn legacy_condition(condition: &LegacyEdgeCondition, scope: &dyn Scope) -> Result<bool, Fault> {
    let lhs = evaluate::operand(condition.left.as_ref(), scope)?;
    let rhs = evaluate::operand(condition.right.as_ref(), scope)?;
    compare::compare(evaluate::comparator_of(condition.comparator)?, &lhs, &rhs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::{
        Thread, at, boolean, cast, compared, int, literal, null, obj, op, prim, text, var,
    };
    use proto::littlehorse::Comparator;
    use proto::littlehorse::VariableType::{Bool, Int, JsonObj, Str};

    #[test]
    fn conditions() {
        let thread = Thread::default()
            .with("yes", prim(Bool), boolean(true))
            .with("no", prim(Bool), boolean(false))
            .with("none", prim(Bool), null())
            .with("s", prim(Str), text("true"))
            .with("n", prim(Int), int(3))
            .with("j", prim(JsonObj), obj(r#"{"b":true}"#));
        use VariableMutationType::{Add, And, Or};
        let less = |number| compared(var("n"), Comparator::LessThan, literal(int(number)));
        for (assignment, expected) in [
            // spec 02-36 (the evaluation)
            (var("yes"), Some(true)),
            (var("no"), Some(false)),
            (var("none"), None),
            (var("s"), None),
            (cast(var("s"), Bool), Some(true)),
            (at(var("j"), "$.b"), Some(true)),
            (at(var("j"), "$.c"), None),
            (less(4), Some(true)),
            (less(3), Some(false)),
            (op(less(4), And, var("yes")), Some(true)),
            (op(less(3), And, var("none")), Some(false)),
            (op(less(4), And, var("none")), None),
            (op(less(4), Or, var("none")), Some(true)),
            (op(var("s"), Or, var("yes")), None),
            (op(var("no"), Or, op(var("s"), And, var("yes"))), Some(true)),
            (op(var("yes"), And, var("missing")), None),
            (op(var("n"), Add, literal(int(1))), None),
        ] {
            assert_eq!(
                condition(&assignment, &thread).ok(),
                expected,
                "{assignment:?}"
            );
        }
        let legacy = LegacyEdgeCondition {
            comparator: Comparator::GreaterThan.into(),
            left: Some(var("n")),
            right: Some(literal(int(2))),
        };
        assert_eq!(legacy_condition(&legacy, &thread), Ok(true));
        assert!(legacy_condition(&LegacyEdgeCondition::default(), &thread).is_err());
        assert!(
            legacy_condition(
                &LegacyEdgeCondition {
                    comparator: 99,
                    ..legacy
                },
                &thread
            )
            .is_err()
        );
    }
}

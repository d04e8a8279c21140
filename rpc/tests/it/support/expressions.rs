//! Short ways to write values, assignments and definitions that only some tests need.

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::variable_assignment::{
    Expression, NodeOutputReference, SizeOf, Source, expression,
};
use proto::littlehorse::{
    ExitNode, FailureDef, PutExternalEventDefRequest, ReturnType, SleepNode, ThreadVarDef,
    VariableAssignment, VariableDef, VariableMutationType, VariableType, VariableValue,
    WfRunVariableAccessLevel, exit_node, sleep_node, variable_value,
};

use super::*;

pub fn double(number: f64) -> VariableValue {
    value(variable_value::Value::Double(number))
}

pub fn json(text: &str) -> VariableValue {
    value(variable_value::Value::JsonObj(text.to_owned()))
}

pub fn cast(assignment: VariableAssignment, to: VariableType) -> VariableAssignment {
    VariableAssignment {
        target_type: Some(type_of(to)),
        ..assignment
    }
}

pub fn output_of(node: &str) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::NodeOutput(NodeOutputReference {
            node_name: node.to_owned(),
        })),
        ..VariableAssignment::default()
    }
}

pub fn size_of(operand: VariableAssignment) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::SizeOf(Box::new(SizeOf {
            operand: Some(Box::new(operand)),
        }))),
        ..VariableAssignment::default()
    }
}

pub fn operate(
    left: VariableAssignment,
    operation: VariableMutationType,
    right: VariableAssignment,
) -> VariableAssignment {
    expression(
        left,
        Some(expression::Operation::MutationType(operation.into())),
        right,
    )
}

pub fn expression(
    left: VariableAssignment,
    operation: Option<expression::Operation>,
    right: VariableAssignment,
) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::Expression(Box::new(Expression {
            lhs: Some(Box::new(left)),
            rhs: Some(Box::new(right)),
            operation,
        }))),
        ..VariableAssignment::default()
    }
}

/// A variable of the kind that the SDKs make unless told otherwise.
pub fn private(def: VariableDef) -> ThreadVarDef {
    ThreadVarDef {
        access_level: WfRunVariableAccessLevel::PrivateVar.into(),
        ..optional(def)
    }
}

pub fn returning(content: VariableAssignment) -> Kind {
    Kind::Exit(ExitNode {
        result: Some(exit_node::Result::ReturnContent(content)),
    })
}

pub fn throwing(failure: &str) -> Kind {
    Kind::Exit(ExitNode {
        result: Some(exit_node::Result::FailureDef(FailureDef {
            failure_name: failure.to_owned(),
            ..FailureDef::default()
        })),
    })
}

pub fn sleep_for(seconds: VariableAssignment) -> Kind {
    Kind::Sleep(SleepNode {
        sleep_length: Some(sleep_node::SleepLength::RawSeconds(seconds)),
    })
}

pub fn sleep_until(time: VariableAssignment) -> Kind {
    Kind::Sleep(SleepNode {
        sleep_length: Some(sleep_node::SleepLength::Timestamp(time)),
    })
}

pub fn returns(kind: Option<VariableType>) -> ReturnType {
    ReturnType {
        return_type: kind.map(type_of),
    }
}

pub fn event_def(name: &str, content: Option<ReturnType>) -> PutExternalEventDefRequest {
    PutExternalEventDefRequest {
        name: name.to_owned(),
        content_type: content,
        ..PutExternalEventDefRequest::default()
    }
}

//! Values, paths and expressions.

use prost::Message;
use proto::littlehorse::{
    LegacyEdgeCondition, TypeDefinition, VariableAssignment, VariableMutation, VariableType,
    VariableValue,
};
use workflow::value::path::json::JsonPath;
use workflow::value::{
    self, Scope, Type, as_bool, as_double, as_int, as_text, assignment_type, check_condition,
    check_legacy_condition, check_mutation, coerce, condition, evaluate, ingress, ingress_untyped,
    json, legacy_condition, mask, mutations, settle, settle_assignment, settle_mutation,
    string_form, to_primitive,
};

use crate::Input;
use crate::scope::{Thread, primitive};

const KINDS: [VariableType; 9] = [
    VariableType::JsonObj,
    VariableType::JsonArr,
    VariableType::Double,
    VariableType::Bool,
    VariableType::Str,
    VariableType::Int,
    VariableType::Bytes,
    VariableType::WfRunId,
    VariableType::Timestamp,
];

/// Whatever comes of an expression can be stored and read.
fn look_at(value: &VariableValue) {
    let _ = string_form(value);
    let _ = (
        as_int(value),
        as_double(value),
        as_bool(value),
        as_text(value),
    );
    let _ = (json::from_nullable(value), json::check_output(value));
    assert!(
        value::same(value, value) || has_nan(value),
        "a value is not itself: {value:?}"
    );
    let _ = Type::of(value).definition();
}

fn has_nan(value: &VariableValue) -> bool {
    format!("{value:?}").contains("NaN")
}

/// A type and a value, in the API's encoding: what enters is brought into a form that stays as it is.
pub(crate) fn values(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let definition = TypeDefinition::decode(input.part());
    let Ok(value) = VariableValue::decode(input.rest()) else {
        return;
    };
    let thread = Thread::new();
    look_at(&value);
    let mut masked = value.clone();
    mask::hide_fields(&mut masked);
    if let Ok(stored) = ingress_untyped(value.clone()) {
        look_at(&stored);
        let again = ingress_untyped(stored.clone()).map(|again| again.encode_to_vec());
        assert_eq!(
            again.ok(),
            Some(stored.encode_to_vec()),
            "a stored value changes"
        );
    }
    let mut definitions: Vec<TypeDefinition> = KINDS.into_iter().map(primitive).collect();
    if let Ok(mut definition) = definition
        && settle(&mut definition, &thread).is_ok()
    {
        definitions.push(definition);
    }
    for definition in definitions {
        let expected = Type::from(&definition);
        let _ = Type::of(&value).check_fits(&expected);
        let _ = Type::of(&value).check_cast(&expected);
        if let Ok(stored) = ingress(&definition, value.clone(), &thread) {
            look_at(&stored);
            let again = ingress(&definition, stored.clone(), &thread);
            assert_eq!(
                again.map(|again| again.encode_to_vec()).ok(),
                Some(stored.encode_to_vec()),
                "a stored value changes"
            );
        }
        if let Ok(stored) = coerce(&definition, value.clone(), &thread) {
            look_at(&stored);
        }
    }
    for kind in KINDS {
        if let Ok(stored) = to_primitive(value.clone(), kind) {
            look_at(&stored);
        }
    }
}

/// A path, and the rest is JSON: what is written can be read.
pub(crate) fn json_paths(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let path = String::from_utf8_lossy(input.part());
    let Ok(path) = JsonPath::parse(&path) else {
        return;
    };
    let Ok(mut content) = json::parse(&String::from_utf8_lossy(input.rest())) else {
        return;
    };
    if let Ok(selected) = path.read(content.clone()) {
        look_at(&selected);
    }
    let written = serde_json::Value::from("written");
    if path.write(&mut content, written.clone()).is_ok() {
        assert_eq!(
            path.read(content.clone()),
            Ok(json::to_value(written)),
            "{content}"
        );
    }
}

/// An assignment; the rest is a mutation, or a condition of the old form: they are checked, and executed all the same.
pub(crate) fn expressions(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let thread = Thread::new();
    if let Ok(mut assignment) = VariableAssignment::decode(input.part()) {
        let _ = assignment_type(&assignment, &thread);
        let _ = check_condition(&assignment, &thread);
        run(&assignment, &thread);
        if settle_assignment(&mut assignment, &thread).is_ok() {
            run(&assignment, &thread);
        }
    }
    let rest = input.rest();
    if let Ok(old) = LegacyEdgeCondition::decode(rest) {
        let _ = check_legacy_condition(&old, &thread);
        let _ = legacy_condition(&old, &thread);
    }
    if let Ok(mut mutation) = VariableMutation::decode(rest) {
        let _ = check_mutation(&mutation, "o", &thread);
        let _ = settle_mutation(&mut mutation, &thread);
        if let Ok(writes) = mutations(&[mutation], &thread) {
            writes.values().for_each(look_at);
        }
    }
}

fn run(assignment: &VariableAssignment, scope: &dyn Scope) {
    let _ = condition(assignment, scope);
    if let Ok(value) = evaluate(assignment, scope) {
        look_at(&value);
    }
}

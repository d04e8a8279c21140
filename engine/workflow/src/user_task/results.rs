//! What a person fills in: checked against the UserTaskDef, and read by the workflow (spec 06, sections 8.3 and 9).

use std::collections::BTreeMap;

use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{UserTaskDef, UserTaskField, VariableType, VariableValue};
use runtime::Rejection;
use serde_json::{Map, Value as Json};

use crate::value;

/// A user task's results, by field.
pub(crate) type Results = BTreeMap<String, VariableValue>;

/// The results of a completion: what was saved before, overwritten by what is given. What is given must fit the fields
/// exactly and hold all required ones; of what was saved, a draft, only what fits is kept.
pub(crate) fn check(
    def: &UserTaskDef,
    saved: Results,
    given: Results,
) -> Result<Results, Rejection> {
    let field = |name: &str| def.fields.iter().find(|field| field.name == name);
    let mut results = Results::new();
    for (name, value) in given {
        let fitted = fit(field(&name), &name, value).map_err(Rejection::invalid)?;
        results.insert(name, fitted);
    }
    let missing: Vec<&str> = def
        .fields
        .iter()
        .filter(|field| field.required && !results.contains_key(&field.name))
        .map(|field| field.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(Rejection::invalid(format!(
            "Required fields of UserTaskDef {} are missing: {}",
            def.name,
            missing.join(", ")
        )));
    }
    for (name, value) in saved {
        if let std::collections::btree_map::Entry::Vacant(free) = results.entry(name)
            && let Ok(value) = fit(field(free.key()), free.key(), value)
        {
            free.insert(value);
        }
    }
    Ok(results)
}

/// A value of exactly the field's type; JSON in its stored form.
fn fit(
    field: Option<&UserTaskField>,
    name: &str,
    value: VariableValue,
) -> Result<VariableValue, String> {
    let kind = value::kind_name(&value);
    let Some(field) = field else {
        return Err(format!(
            "Field {name} of type {kind} is not in the schema of the UserTaskDef"
        ));
    };
    let declared = field.r#type();
    let given = match &value.value {
        Some(Value::JsonObj(_)) => Some(VariableType::JsonObj),
        Some(Value::JsonArr(_)) => Some(VariableType::JsonArr),
        Some(Value::Double(_)) => Some(VariableType::Double),
        Some(Value::Bool(_)) => Some(VariableType::Bool),
        Some(Value::Str(_)) => Some(VariableType::Str),
        Some(Value::Int(_)) => Some(VariableType::Int),
        Some(Value::Bytes(_)) => Some(VariableType::Bytes),
        Some(Value::WfRunId(_)) => Some(VariableType::WfRunId),
        Some(Value::UtcTimestamp(_)) => Some(VariableType::Timestamp),
        Some(Value::Struct(_) | Value::Array(_) | Value::Map(_)) | None => None,
    };
    if given != Some(declared) {
        return Err(format!(
            "Field {name} of type {kind} has another type in the schema of the UserTaskDef: {}",
            declared.as_str_name()
        ));
    }
    let refused = |why: String| format!("Field {name} of type {kind}: {why}");
    match value.value {
        Some(Value::Double(double)) if !double.is_finite() => {
            Err(refused("it is not a number that JSON has".to_owned()))
        }
        Some(json @ (Value::JsonObj(_) | Value::JsonArr(_))) => {
            let whole = VariableValue {
                value: Some(json.clone()),
            };
            value::json::check_output(&whole).map_err(|error| refused(error.to_string()))?;
            match value::json::canonical(&json) {
                Ok(Some(canonical)) => Ok(VariableValue {
                    value: Some(canonical),
                }),
                Ok(None) => Err(refused("it is null".to_owned())),
                Err(error) => Err(refused(error.to_string())),
            }
        }
        other => Ok(VariableValue { value: other }),
    }
}

/// What the node gives: a JSON object with a member for each result.
pub(crate) fn output(results: &Results) -> VariableValue {
    let members: Map<String, Json> = results
        .iter()
        .map(|(name, value)| (name.clone(), value::json::from_nullable(value)))
        .collect();
    VariableValue {
        value: Some(Value::JsonObj(Json::Object(members).to_string())),
    }
}

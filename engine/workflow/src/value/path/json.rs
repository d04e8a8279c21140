//! JSONPath: reading and writing (spec 02, sections 7.1 and 7.2).

use std::fmt;

use proto::littlehorse::VariableValue;
use serde_json::{Map, Value as Json};

use super::jayway;
use crate::value::fault::{Fault, TypeError};
use crate::value::json::{content, to_value};
use crate::value::limits::MAX_SELECTED;
use crate::value::scope::Scope;
use crate::value::types::kind_name;

/// A step that selects at most one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Member of an object.
    Key(String),
    /// Item of an array; negative ones count from the end.
    Index(i64),
}

/// A function at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Length,
    Keys,
    Sum,
    Min,
    Max,
    Avg,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Function> {
        Some(match name {
            "length" | "size" => Function::Length,
            "keys" => Function::Keys,
            "sum" => Function::Sum,
            "min" => Function::Min,
            "max" => Function::Max,
            "avg" => Function::Avg,
            _ => return None,
        })
    }

    /// What has no result, such as the length of a number or the least of nothing, is null.
    fn apply(self, node: &Json) -> Json {
        match (self, node) {
            (Function::Length, Json::Array(items)) => Json::from(items.len()),
            (Function::Length, Json::Object(members)) => Json::from(members.len()),
            (Function::Keys, Json::Object(members)) => members.keys().cloned().collect(),
            (Function::Sum | Function::Min | Function::Max | Function::Avg, Json::Array(items)) => {
                let numbers: Vec<f64> = items.iter().filter_map(Json::as_f64).collect();
                if numbers.is_empty() {
                    return Json::Null;
                }
                let sum: f64 = numbers.iter().sum();
                Json::from(match self {
                    Function::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
                    Function::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Function::Avg => sum / numbers.len() as f64,
                    _ => sum,
                })
            }
            _ => Json::Null,
        }
    }
}

/// The part of a path that can select many nodes.
#[derive(Clone, Debug)]
struct Tail {
    query: serde_json_path::JsonPath,
    /// The query starts at the root, since a filter names it, and not below the prefix.
    from_root: bool,
    scan: bool,
}

/// A parsed path.
#[derive(Clone, Debug)]
pub struct JsonPath {
    prefix: Vec<Segment>,
    tail: Option<Tail>,
    function: Option<Function>,
}

/// Text that is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::var_sub(malformed.0)
    }
}

impl From<Malformed> for TypeError {
    fn from(malformed: Malformed) -> TypeError {
        TypeError::Path(malformed.0)
    }
}

impl JsonPath {
    /// Parses a path of the Jayway dialect.
    pub fn parse(text: &str) -> Result<JsonPath, Malformed> {
        let malformed = |reason: String| Malformed(format!("JSONPath '{text}': {reason}"));
        let parts = jayway::parse(text).map_err(malformed)?;
        if parts.tail.is_empty() {
            return Ok(JsonPath {
                prefix: parts.prefix,
                tail: None,
                function: parts.function,
            });
        }
        let mut standard = "$".to_owned();
        if parts.uses_root {
            for segment in &parts.prefix {
                jayway::push_segment(&mut standard, segment);
            }
        }
        standard.push_str(&parts.tail);
        let query = serde_json_path::JsonPath::parse(&standard)
            .map_err(|error| malformed(error.message().to_owned()))?;
        let tail = Tail {
            query,
            from_root: parts.uses_root,
            scan: parts.scan,
        };
        Ok(JsonPath {
            prefix: parts.prefix,
            tail: Some(tail),
            function: parts.function,
        })
    }

    /// Whether the path selects at most one node, and so can be written to.
    pub fn is_definite(&self) -> bool {
        self.tail.is_none() && self.function.is_none()
    }

    /// What the path selects. What is missing is NULL, and no match of a path that can have many is an empty array.
    ///
    /// # Errors
    /// It selects too much (`limits::MAX_SELECTED`).
    pub fn read(&self, json: Json) -> Result<VariableValue, Fault> {
        self.select(json).map(to_value)
    }

    fn select(&self, mut json: Json) -> Result<Json, Fault> {
        let found = match &self.tail {
            None => take(&mut json, &self.prefix),
            Some(tail) => {
                let Some(node) = find(&json, &self.prefix) else {
                    return Ok(Json::Null);
                };
                if !tail.scan && !node.is_array() && !node.is_object() {
                    return Ok(Json::Null);
                }
                let start = if tail.from_root { &json } else { node };
                let selected = tail.query.query(start);
                let mut left = MAX_SELECTED;
                if !selected.iter().all(|node| weigh(node, &mut left)) {
                    return Err(Fault::var_sub(format!(
                        "The JSONPath selects more than {MAX_SELECTED} nodes"
                    )));
                }
                selected.into_iter().cloned().collect()
            }
        };
        Ok(match self.function {
            None => found,
            Some(function) => function.apply(&found),
        })
    }

    /// Puts `value` where the path leads: a new member of an object, or in place of what is there.
    ///
    /// # Errors
    /// The parent is missing (`Missing property`) or of the wrong kind, the index is outside the array, the path is `$`
    /// or selects more than one node.
    pub fn write(&self, json: &mut Json, value: Json) -> Result<(), Fault> {
        if !self.is_definite() {
            return Err(Fault::var_sub(
                "The JSONPath can select more than one place to write to",
            ));
        }
        write(json, &self.prefix, value)
    }
}

/// Applies a JSONPath to a value.
pub(in crate::value) fn read(
    value: &VariableValue,
    path: &str,
    scope: &dyn Scope,
) -> Result<VariableValue, Fault> {
    let Some(json) = value.value.as_ref().and_then(content) else {
        return Err(Fault::var_sub(format!(
            "JSONPath '{path}' is not possible on a {}",
            kind_name(value)
        )));
    };
    scope.json_path(path)?.read(json)
}

/// Takes the nodes of a document off what is left; says no if it is not enough.
fn weigh(json: &Json, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    match json {
        Json::Array(items) => items.iter().all(|item| weigh(item, left)),
        Json::Object(members) => members.values().all(|member| weigh(member, left)),
        _ => true,
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 {
        index + length as i64
    } else {
        index
    };
    usize::try_from(index).ok().filter(|index| *index < length)
}

fn find<'j>(json: &'j Json, path: &[Segment]) -> Option<&'j Json> {
    path.iter()
        .try_fold(json, |node, segment| match (segment, node) {
            (Segment::Key(key), Json::Object(members)) => members.get(key),
            (Segment::Index(index), Json::Array(items)) => {
                items.get(position(*index, items.len())?)
            }
            _ => None,
        })
}

/// The node at a path, taken out of the document; null if there is none.
pub(super) fn take(json: &mut Json, path: &[Segment]) -> Json {
    find_mut(json, path).map_or(Json::Null, Json::take)
}

fn find_mut<'j>(json: &'j mut Json, path: &[Segment]) -> Option<&'j mut Json> {
    path.iter()
        .try_fold(json, |node, segment| match (segment, node) {
            (Segment::Key(key), Json::Object(members)) => members.get_mut(key),
            (Segment::Index(index), Json::Array(items)) => {
                let position = position(*index, items.len())?;
                items.get_mut(position)
            }
            _ => None,
        })
}

pub(super) fn write(json: &mut Json, path: &[Segment], value: Json) -> Result<(), Fault> {
    let Some((last, parents)) = path.split_last() else {
        return Err(Fault::var_sub("Cannot write to the root of a document"));
    };
    let parent = find_mut(json, parents)
        .ok_or_else(|| Fault::var_sub(format!("Missing property above {}", name(last))))?;
    match (last, parent) {
        (Segment::Key(key), Json::Object(members)) => {
            members.insert(key.clone(), value);
        }
        (Segment::Index(index), Json::Array(items)) => {
            let length = items.len();
            let item = usize::try_from(*index)
                .ok()
                .and_then(|index| items.get_mut(index));
            *item.ok_or_else(|| {
                Fault::var_sub(format!(
                    "Index {index} is outside of an array of {length} items"
                ))
            })? = value;
        }
        (last, parent) => {
            return Err(Fault::var_sub(format!(
                "Cannot set {} of a {}",
                name(last),
                kind(parent)
            )));
        }
    }
    Ok(())
}

fn name(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => format!("'{key}'"),
        Segment::Index(index) => format!("[{index}]"),
    }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(Map { .. }) => "object",
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;

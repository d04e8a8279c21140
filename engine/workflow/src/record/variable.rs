//! Variable: a value that threads of a WfRun share (spec 02, section 11).

use std::collections::BTreeSet;

use bytes::Bytes;
use index::KeyRange;
use index::key::{KeyReader, KeyWriter};
use proto::ironhorse::v1::{VariableIndexing, VariableRow};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{ThreadVarDef, Variable, VariableId, WfRunId, WfSpecId};
use serde_json::Value as Json;

use super::schema::Index;
use super::{OfRun, Row};
use crate::key::VariableAt;
use crate::run::INPUT;
use crate::time::timestamp_ms;
use crate::value::{mask, type_of_variable};

/// Longer values are in the index as their hash.
const MAX_INDEXED: usize = 128;

impl Row for VariableRow {
    fn version(&self) -> u32 {
        self.version
    }
}

impl OfRun for VariableRow {
    type Place = VariableAt;
}

/// The public message: with its id, and a masked value hidden.
pub fn public(
    wf_run_id: WfRunId,
    thread_run_number: i32,
    name: String,
    row: VariableRow,
) -> Variable {
    let mut variable = row.variable.unwrap_or_default();
    variable.id = Some(VariableId {
        wf_run_id: Some(wf_run_id),
        thread_run_number,
        name,
    });
    if variable.masked {
        variable.value = Some(mask::hidden());
    }
    variable
}

/// How a variable can be found, as it is declared (spec 07, section 3.3). Masked ones cannot.
pub(crate) fn indexing(def: &ThreadVarDef) -> Option<VariableIndexing> {
    let var_def = def.var_def.as_ref()?;
    let is_hidden = type_of_variable(var_def).masked || var_def.name == INPUT;
    let is_wanted = def.searchable || !def.json_indexes.is_empty();
    if is_hidden || !is_wanted {
        return None;
    }
    let paths = def.json_indexes.iter();
    Some(VariableIndexing {
        value: def.searchable,
        paths: paths.map(|index| index.field_path.clone()).collect(),
    })
}

/// What a search asks for: a variable's name, or `<name>_<path>` for a field of its JSON, and a value of it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The WfSpec's name.
    pub wf_spec: &'a str,
    /// Major version and revision; unset: all.
    pub version: Option<(i32, i32)>,
    /// See above.
    pub name: &'a str,
    /// STR, BOOL, INT or DOUBLE.
    pub value: &'a Value,
}

/// The variables that hold a value, by time of creation; `None` for a value that is in no index.
pub fn index_range(tenant: &str, wanted: &Wanted<'_>) -> Option<KeyRange> {
    let value = indexed_form(wanted.value)?;
    let key = index_prefix(tenant, wanted.wf_spec, wanted.version, wanted.name, &value);
    Some(KeyRange::prefix(&key.finish()))
}

fn index_prefix(
    tenant: &str,
    wf_spec: &str,
    version: Option<(i32, i32)>,
    name: &str,
    value: &str,
) -> KeyWriter {
    let index = match version {
        None => Index::VariableByName,
        Some(_) => Index::VariableBySpec,
    };
    let mut key = index.prefix(tenant);
    key.str(wf_spec);
    if let Some((major, revision)) = version {
        key.i32(major).i32(revision);
    }
    key.str(name).str(value);
    key
}

/// The variable that an entry of that index is of; `prefix` bytes of it are the same for all of a range.
pub fn of_index_entry(entry: &[u8], prefix: usize) -> Option<VariableId> {
    let mut reader = KeyReader::new(entry.get(prefix..)?);
    reader.i64().ok()?;
    Some(VariableId {
        wf_run_id: Some(WfRunId::from_any_text(&reader.str().ok()?)),
        thread_run_number: reader.i32().ok()?,
        name: reader.str().ok()?,
    })
}

/// Index entries of a stored variable: one for each value under each name, and each of them once.
pub(super) fn index_entries(
    tenant: &str,
    (wf_run_id, thread, name): (&WfRunId, i32, &str),
    row: &VariableRow,
    emit: &mut dyn FnMut(Bytes, Bytes),
) {
    let (Some(indexing), Some(variable)) = (&row.indexing, &row.variable) else {
        return;
    };
    let value = variable
        .value
        .as_ref()
        .and_then(|value| value.value.as_ref());
    let Some(value) = value else { return };
    let run = wf_run_id.to_string();
    let created = timestamp_ms(variable.created_at.as_ref());
    let WfSpecId {
        name: wf_spec,
        major_version,
        revision,
    } = variable.wf_spec_id.clone().unwrap_or_default();
    for (under, value) in findable(name, indexing, value) {
        for version in [None, Some((major_version, revision))] {
            let mut key = index_prefix(tenant, &wf_spec, version, &under, &value);
            key.i64(created).str(&run).i32(thread).str(name);
            emit(key.finish(), Bytes::new());
        }
    }
}

/// Names and values under which a variable is found.
fn findable(name: &str, indexing: &VariableIndexing, value: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    match value {
        Value::JsonObj(text) | Value::JsonArr(text) => {
            // What is stored is JSON: other text is in no index.
            if let Ok(json) = serde_json::from_str::<Json>(text) {
                of_json(name, indexing, &json, &mut found);
            }
        }
        scalar if indexing.value => {
            found.extend(indexed_form(scalar).map(|form| (name.to_owned(), form)));
        }
        _ => {}
    }
    found
}

fn of_json(
    name: &str,
    indexing: &VariableIndexing,
    json: &Json,
    found: &mut BTreeSet<(String, String)>,
) {
    let Json::Array(elements) = json else {
        return fields("$", name, indexing, json, found);
    };
    for element in elements {
        match element {
            Json::Object(_) => fields("$", name, indexing, element, found),
            Json::Array(_) => {}
            scalar if indexing.value => {
                found.extend(json_form(scalar).map(|form| (name.to_owned(), form)));
            }
            _ => {}
        }
    }
}

/// The leaves of an object; the elements of a list count as that of its path.
fn fields(
    path: &str,
    name: &str,
    indexing: &VariableIndexing,
    json: &Json,
    found: &mut BTreeSet<(String, String)>,
) {
    match json {
        Json::Object(members) => {
            for (field, member) in members {
                fields(&format!("{path}.{field}"), name, indexing, member, found);
            }
        }
        Json::Array(elements) => {
            for element in elements {
                fields(path, name, indexing, element, found);
            }
        }
        leaf if indexing.paths.iter().any(|indexed| indexed == path) => {
            found.extend(json_form(leaf).map(|form| (format!("{name}_{path}"), form)));
        }
        _ => {}
    }
}

fn json_form(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text_form(text)),
        Json::Bool(is_true) => Some(format!("b{is_true}")),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Some(format!("n{integer}")),
            None => number.as_f64().map(number_form),
        },
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// How a value stands in the index: equal ones alike, an INT and a DOUBLE of the same size too.
fn indexed_form(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text_form(text)),
        Value::Bool(is_true) => Some(format!("b{is_true}")),
        Value::Int(integer) => Some(format!("n{integer}")),
        Value::Double(number) => Some(number_form(*number)),
        _ => None,
    }
}

fn number_form(number: f64) -> String {
    // Within these an integral double is an exact i64.
    if number.fract() == 0.0 && number.abs() < 9e18 {
        format!("n{}", number as i64)
    } else {
        format!("n{number:?}")
    }
}

fn text_form(text: &str) -> String {
    if text.len() <= MAX_INDEXED {
        format!("s{text}")
    } else {
        format!("h{}", blake3::hash(text.as_bytes()).to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &Value, paths: &[&str]) -> Vec<(String, String)> {
        let indexing = VariableIndexing {
            value: true,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        findable("v", &indexing, value).into_iter().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn lists_and_objects_are_found_by_their_parts() {
        let list = Value::JsonArr(r#"["a","b","a",1,1.0,null,["c"],{"x":{"y":2}}]"#.to_owned());
        assert_eq!(
            found(&list, &["$.x.y"]),
            pairs(&[("v", "n1"), ("v", "sa"), ("v", "sb"), ("v_$.x.y", "n2")])
        );
        let object =
            Value::JsonObj(r#"{"a":{"b":[true,[false]],"c":null},"d":1.5,"e":"x"}"#.to_owned());
        assert_eq!(
            found(&object, &["$.a.b", "$.a.c", "$.d", "$.nope"]),
            pairs(&[
                ("v_$.a.b", "bfalse"),
                ("v_$.a.b", "btrue"),
                ("v_$.d", "n1.5")
            ])
        );
        assert_eq!(found(&Value::JsonObj("{".to_owned()), &["$.a"]), []);
        assert_eq!(found(&Value::Bytes(Bytes::new()), &[]), []);
    }

    #[test]
    fn numbers_are_equal_when_their_values_are() {
        assert_eq!(
            indexed_form(&Value::Int(5)),
            indexed_form(&Value::Double(5.0))
        );
        assert_ne!(
            indexed_form(&Value::Int(5)),
            indexed_form(&Value::Double(5.5))
        );
        assert_eq!(
            indexed_form(&Value::Double(f64::NAN)).as_deref(),
            Some("nNaN")
        );
        assert_eq!(
            indexed_form(&Value::Double(1e300)).as_deref(),
            Some("n1e300")
        );
        let (a, b) = ("x".repeat(500) + "a", "x".repeat(500) + "b");
        assert_ne!(text_form(&a), text_form(&b));
        assert_ne!(text_form("5"), number_form(5.0));
    }
}

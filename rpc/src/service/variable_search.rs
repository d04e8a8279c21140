//! SearchVariable and SearchNodeRun (spec 07, sections 4.2 and 4.3).

use index::Family;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    LhStatus, NodeRunIdList, SearchNodeRunRequest, SearchVariableRequest, ThreadVarDef,
    VariableIdList, VariableType, VariableValue, WfSpec, type_definition,
};
use tonic::{Request, Response, Status};
use workflow::record::node_run;
use workflow::record::variable::{self, Wanted};
use workflow::{spec, value};

use super::wf_run_search::{Times, created};
use super::{Caller, PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

/// Between the name of a variable and a path in its JSON, which begins with the second of these.
const SPLIT: &str = "_$";

impl Service {
    pub(super) async fn search_variable(
        &self,
        request: Request<SearchVariableRequest>,
    ) -> Answer<VariableIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchVariableRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let version = version_of(&request)?;
        let found = self.searchable_value(&caller, &request, version)?;
        let wanted = Wanted {
            wf_spec: &request.wf_spec_name,
            version,
            name: &request.var_name,
            value: &found,
        };
        let Some(range) = variable::index_range(&caller.tenant, &wanted) else {
            return Ok(Response::new(VariableIdList::default()));
        };
        let asked = PageRequest {
            rpc: "SearchVariable",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let prefix = created::prefix_len(&range);
        let groups = self.engine.route().all().collect();
        let page = self
            .page(&caller, asked, groups, (Family::Index, range), |key, _| {
                let id = variable::of_index_entry(&key, prefix);
                async move { Ok(id) }
            })
            .await?;
        Ok(Response::new(VariableIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    /// What is to be looked for, in the type in which the variable is declared.
    fn searchable_value(
        &self,
        caller: &Caller,
        request: &SearchVariableRequest,
        version: Option<(i32, i32)>,
    ) -> Result<Value, Status> {
        let given = request.value.clone().and_then(|value| value.value);
        let Some(given @ (Value::Str(_) | Value::Bool(_) | Value::Int(_) | Value::Double(_))) =
            given
        else {
            return Err(Status::invalid_argument(
                "value cannot be searched for: it must be a STR, BOOL, INT or DOUBLE",
            ));
        };
        let view = self.metadata();
        let name = &request.wf_spec_name;
        let (major, revision) = version.unzip();
        let spec = spec::wf_spec(&view, &caller.tenant, name, major, revision)
            .ok_or_else(|| Status::invalid_argument(format!("WfSpec {name} was not found")))?;
        let (variable, path) = match request.var_name.find(SPLIT) {
            None => (request.var_name.as_str(), None),
            Some(at) => {
                let (name, path) = request.var_name.split_at(at);
                (name, Some(&path[1..]))
            }
        };
        let def = declared(&spec.wf_spec, variable).ok_or_else(|| {
            Status::invalid_argument(format!("WfSpec {name} has no variable {variable}"))
        })?;
        let var_def = def.var_def.clone().unwrap_or_default();
        let type_def = value::type_of_variable(&var_def);
        let kind = match type_def.defined_type {
            Some(type_definition::DefinedType::PrimitiveType(kind)) => {
                VariableType::try_from(kind).ok()
            }
            _ => None,
        };
        let is_json = matches!(kind, Some(VariableType::JsonObj | VariableType::JsonArr));
        if let Some(path) = path {
            if !is_json {
                return Err(Status::invalid_argument(format!(
                    "Variable {variable} is not a JSON variable"
                )));
            }
            let mut paths = def.json_indexes.iter();
            if type_def.masked || !paths.any(|index| index.field_path == path) {
                return Err(Status::invalid_argument(format!(
                    "Field {path} of variable {variable} is not indexed"
                )));
            }
            return Ok(given);
        }
        if type_def.masked || !def.searchable {
            return Err(Status::invalid_argument(format!(
                "Variable {variable} has no index: it is not searchable"
            )));
        }
        match kind {
            Some(
                to @ (VariableType::Int
                | VariableType::Bool
                | VariableType::Double
                | VariableType::Str),
            ) => {
                let given = VariableValue { value: Some(given) };
                let structs = spec::Structs::new(&view, &caller.tenant);
                let fitted = value::ingress(&type_def, given, &structs)
                    .map_err(|error| error.to_string())
                    .and_then(|value| {
                        value::to_primitive(value, to).map_err(|fault| fault.message)
                    });
                let fitted = fitted.map_err(|why| {
                    Status::invalid_argument(format!(
                        "value does not fit the type of variable {variable}: {why}"
                    ))
                })?;
                fitted
                    .value
                    .ok_or_else(|| error::internal("a value became nothing"))
            }
            _ => Ok(given),
        }
    }

    pub(super) async fn search_node_run(
        &self,
        request: Request<SearchNodeRunRequest>,
    ) -> Answer<NodeRunIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchNodeRunRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let def = request.external_event_def.unwrap_or_default().name;
        if def.trim().is_empty() {
            return Err(Status::invalid_argument(
                "Missing required argument: external_event_def",
            ));
        }
        // STARTING cannot be told from nothing, and nothing rests in it.
        let status = Some(request.status).filter(|status| *status != LhStatus::Starting as i32);
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let range = node_run::index_range(&caller.tenant, &def, status);
        let asked = PageRequest {
            rpc: "SearchNodeRun",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let prefix = created::prefix_len(&range);
        let groups = self.engine.route().all().collect();
        let entries = (Family::Index, times.narrow(range));
        let page = self
            .page(&caller, asked, groups, entries, |key, _| {
                let id = node_run::of_index_entry(&key, prefix);
                async move { Ok(id) }
            })
            .await?;
        Ok(Response::new(NodeRunIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

fn version_of(request: &SearchVariableRequest) -> Result<Option<(i32, i32)>, Status> {
    match (request.wf_spec_major_version, request.wf_spec_revision) {
        (None, None) => Ok(None),
        (Some(major), Some(revision)) => Ok(Some((major, revision))),
        (Some(_), None) => Err(Status::invalid_argument(
            "wf_spec_major_version is given without wf_spec_revision",
        )),
        (None, Some(_)) => Err(Status::invalid_argument(
            "wf_spec_revision is given without wf_spec_major_version",
        )),
    }
}

/// The variable of that name in any thread; one that is the parent's is declared there.
fn declared<'s>(wf_spec: &'s WfSpec, name: &str) -> Option<&'s ThreadVarDef> {
    let threads = wf_spec.thread_specs.values();
    let mut defs = threads.flat_map(|thread| &thread.variable_defs);
    defs.find(|def| def.var_def.as_ref().is_some_and(|def| def.name == name))
}

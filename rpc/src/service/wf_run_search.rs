//! SearchWfRun (spec 07, section 4.1), and what searches by time share.

use std::ops::Bound;

use bytes::Bytes;
use index::key::{KeyReader, KeyWriter};
use index::{Family, KeyRange};
use prost_types::Timestamp;
use proto::ironhorse::v1::{VariableRow, WfRunRow};
use proto::littlehorse::{LhStatus, SearchWfRunRequest, VariableMatch, WfRunId, WfRunIdList};
use tonic::{Request, Response, Status};
use workflow::command::split_wf_run_id;
use workflow::key::{Row, RunKey, RunRow};
use workflow::record::wf_run::{Criteria, children_range, index_range};
use workflow::{record, spec, value};

use super::{Caller, PageRequest, Service, criteria, error};

/// A range of creation times, inclusive on both ends, in milliseconds.
pub(super) struct Times {
    earliest: Option<i64>,
    latest: Option<i64>,
}

impl Times {
    pub(super) fn new(earliest: Option<&Timestamp>, latest: Option<&Timestamp>) -> Times {
        Times {
            earliest: earliest.map(proto::time::to_millis),
            latest: latest.map(proto::time::to_millis),
        }
    }

    /// The part of an index whose entries' times are in the range: a time follows the prefix of every entry.
    pub(super) fn narrow(&self, range: KeyRange) -> KeyRange {
        let Bound::Included(prefix) = &range.start else {
            return range;
        };
        let at = |time: i64| KeyWriter::from_prefix(prefix).i64(time).finish();
        let start = self
            .earliest
            .map_or(range.start.clone(), |time| Bound::Included(at(time)));
        let end = match self.latest.map(|time| time.checked_add(1)) {
            Some(Some(after)) => Bound::Excluded(at(after)),
            Some(None) | None => range.end.clone(),
        };
        KeyRange { start, end }
    }

    pub(super) fn holds(&self, time: i64) -> bool {
        self.earliest.is_none_or(|earliest| earliest <= time)
            && self.latest.is_none_or(|latest| time <= latest)
    }
}

/// Reading index entries.
pub(super) mod created {
    use super::{Bound, KeyRange};

    /// How many bytes of an index's entries are the same: the attributes.
    pub(in crate::service) fn prefix_len(range: &KeyRange) -> usize {
        match &range.start {
            Bound::Included(prefix) => prefix.len(),
            _ => 0,
        }
    }
}

impl Service {
    pub(super) async fn search_wf_run(
        &self,
        request: Request<SearchWfRunRequest>,
    ) -> Result<Response<WfRunIdList>, Status> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchWfRunRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        self.check_wf_run_search(&caller, &request)?;
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let asked = PageRequest {
            rpc: "SearchWfRun",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let name = Some(request.wf_spec_name.as_str()).filter(|name| !name.is_empty());
        let wf_spec = name.map(|name| {
            (
                name,
                request.wf_spec_major_version,
                request.wf_spec_revision,
            )
        });
        let parent = request.parent_wf_run_id.clone().map(split_wf_run_id);
        let (caller, times, filters) = (&caller, &times, &request.variable_filters);
        let page = match parent {
            Some(parent) if request.show_full_tree.unwrap_or(false) => {
                // All descendants lie behind the parent's own rows.
                let run = RunKey::new(&caller.tenant, &parent);
                let range = KeyRange {
                    start: end_as_start(run.own_rows()),
                    end: KeyRange::prefix(run.as_bytes()).end,
                };
                let groups = vec![self.group_of(parent.root_id())];
                self.page(
                    caller,
                    asked,
                    groups,
                    (Family::State, range),
                    |key, value| async move {
                        let Some(RunRow {
                            wf_run_id,
                            row: Row::WfRun,
                            ..
                        }) = RunRow::parse(&key).map_err(error::internal)?
                        else {
                            return Ok(None);
                        };
                        let row: WfRunRow = record::decode(&value).map_err(error::of_rejection)?;
                        let fits = fits(&row, wf_spec, request.status, times)
                            && self.variables_match(caller, &wf_run_id, filters).await?;
                        Ok(fits.then_some(wf_run_id))
                    },
                )
                .await?
            }
            Some(parent) => {
                let range = children_range(&caller.tenant, &parent);
                let prefix = created::prefix_len(&range);
                let groups = vec![self.group_of(parent.root_id())];
                self.page(
                    caller,
                    asked,
                    groups,
                    (Family::Index, times.narrow(range)),
                    |key, _| async move {
                        let id = id_behind(&key, prefix)?;
                        let run = RunKey::new(&caller.tenant, &id);
                        let Some(row) = self
                            .find_row::<WfRunRow>(id.root_id(), &run.wf_run())
                            .await?
                        else {
                            return Ok(None);
                        };
                        let fits = fits(&row, wf_spec, request.status, times)
                            && self.variables_match(caller, &id, filters).await?;
                        Ok(fits.then_some(id))
                    },
                )
                .await?
            }
            None => {
                let range = index_range(
                    &caller.tenant,
                    &Criteria {
                        wf_spec,
                        status: request.status,
                    },
                );
                let prefix = created::prefix_len(&range);
                let groups = self.engine.route().all().collect();
                self.page(
                    caller,
                    asked,
                    groups,
                    (Family::Index, times.narrow(range)),
                    |key, _| async move {
                        let id = id_behind(&key, prefix)?;
                        let fits = self.variables_match(caller, &id, filters).await?;
                        Ok(fits.then_some(id))
                    },
                )
                .await?
            }
        };
        Ok(Response::new(WfRunIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    fn check_wf_run_search(
        &self,
        caller: &Caller,
        request: &SearchWfRunRequest,
    ) -> Result<(), Status> {
        let invalid = |message: &str| Err(Status::invalid_argument(message));
        let name = &request.wf_spec_name;
        let (major, revision) = (request.wf_spec_major_version, request.wf_spec_revision);
        if name.is_empty() && (major.is_some() || revision.is_some()) {
            return invalid("wf_spec_major_version and wf_spec_revision need wf_spec_name");
        }
        if revision.is_some() && major.is_none() {
            return invalid("wf_spec_revision needs wf_spec_major_version");
        }
        if name.is_empty() && !request.variable_filters.is_empty() {
            return invalid("variable_filters need wf_spec_name");
        }
        if let Some(status) = request.status
            && LhStatus::try_from(status).is_err()
        {
            return Err(Status::invalid_argument(format!(
                "status {status} is unknown"
            )));
        }
        if name.is_empty() {
            return Ok(());
        }
        let Some(found) = spec::wf_spec(&self.metadata(), &caller.tenant, name, major, revision)
        else {
            return Err(Status::invalid_argument(format!(
                "WfSpec {name} was not found in the version asked for"
            )));
        };
        let entrypoint = &found.wf_spec.entrypoint_thread_name;
        for filter in &request.variable_filters {
            if found.variable(entrypoint, &filter.var_name).is_none() {
                let variable = &filter.var_name;
                return Err(Status::invalid_argument(format!(
                    "WfSpec {name} declares no variable {variable}"
                )));
            }
        }
        Ok(())
    }

    /// Whether the variables of thread 0 have the values asked for. A masked one matches nothing.
    async fn variables_match(
        &self,
        caller: &Caller,
        id: &WfRunId,
        filters: &[VariableMatch],
    ) -> Result<bool, Status> {
        for filter in filters {
            let key = RunKey::new(&caller.tenant, id).variable(0, &filter.var_name);
            let row: Option<VariableRow> = self.find_row(id.root_id(), &key).await?;
            let Some(variable) = row.and_then(|row| row.variable) else {
                return Ok(false);
            };
            let wanted = filter.value.clone().unwrap_or_default();
            if variable.masked || !value::same(&variable.value.unwrap_or_default(), &wanted) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn end_as_start(range: KeyRange) -> Bound<Bytes> {
    match range.end {
        Bound::Excluded(key) => Bound::Included(key),
        other => other,
    }
}

fn id_behind(key: &Bytes, prefix: usize) -> Result<WfRunId, Status> {
    let mut rest = KeyReader::new(&key[prefix..]);
    let id = rest
        .i64()
        .and_then(|_| rest.str())
        .map_err(error::internal)?;
    Ok(WfRunId::from_any_text(&id))
}

fn fits(
    row: &WfRunRow,
    wf_spec: Option<(&str, Option<i32>, Option<i32>)>,
    status: Option<i32>,
    times: &Times,
) -> bool {
    let Some(wf_run) = &row.wf_run else {
        return false;
    };
    let id = wf_run.wf_spec_id.clone().unwrap_or_default();
    let spec_fits = wf_spec.is_none_or(|(name, major, revision)| {
        id.name == name
            && major.is_none_or(|major| major == id.major_version)
            && revision.is_none_or(|revision| revision == id.revision)
    });
    spec_fits
        && status.is_none_or(|status| status == wf_run.status)
        && wf_run
            .start_time
            .as_ref()
            .is_some_and(|time| times.holds(proto::time::to_millis(time)))
}

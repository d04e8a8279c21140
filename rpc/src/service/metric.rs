//! Counts and metric windows (spec 07, sections 6 and 7): the sums of what the groups have.

use std::collections::BTreeMap;

use index::{Family, KeyRange};
use prost_types::Timestamp;
use proto::ironhorse::v1::MetricRow;
use proto::littlehorse::count_node_run_request::Filter;
use proto::littlehorse::{
    Count, CountNodeRunRequest, CountTaskRunRequest, ListTaskMetricsRequest, ListWfMetricsRequest,
    MetricWindow, MetricWindowId, MetricWindowIdList, MetricWindowType, MetricsList,
    SearchWfMetricWindowRequest, TaskStatus, WfSpecId, metric_window_id,
};
use query::{Merge, Search};
use tonic::{Request, Response, Status};
use workflow::metric::counter;
use workflow::metric::window::{self, MINUTE, Subject};
use workflow::record;

use super::wf_run_search::{Times, created};
use super::{Caller, PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

/// Rows that are fetched from a group at a time.
const PAGE: usize = 1000;
/// A list without a start begins so long ago, in milliseconds.
const HOUR: i64 = 60 * MINUTE;
/// Windows of one list: a day's.
const MAX_WINDOWS: usize = 1500;

impl Service {
    pub(super) async fn count_node_run(
        &self,
        request: Request<CountNodeRunRequest>,
    ) -> Answer<Count> {
        let caller = self.caller(&request)?;
        let range = match request.into_inner().filter {
            None => counter::node_runs(&caller.tenant, None),
            Some(Filter::WfSpecFilter(filter)) => {
                let (major, revision) = (filter.wf_spec_major_version, filter.wf_spec_revision);
                if filter.wf_spec_name.trim().is_empty() {
                    return Err(Status::invalid_argument(
                        "Missing required argument: wf_spec_name",
                    ));
                }
                if major.is_none() && revision.is_some() {
                    return Err(Status::invalid_argument(
                        "wf_spec_revision is given without wf_spec_major_version",
                    ));
                }
                let spec = (filter.wf_spec_name.as_str(), major, revision);
                counter::node_runs(&caller.tenant, Some(spec))
            }
        };
        Ok(Response::new(self.sum(range).await?))
    }

    pub(super) async fn count_task_run(
        &self,
        request: Request<CountTaskRunRequest>,
    ) -> Answer<Count> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        if request.task_def_name.trim().is_empty() {
            return Err(Status::invalid_argument(
                "Missing required argument: task_def_name",
            ));
        }
        if request.status != TaskStatus::TaskScheduled as i32 {
            return Err(Status::invalid_argument(
                "status is not supported: only TASK_SCHEDULED is",
            ));
        }
        let range = counter::scheduled_task_runs(&caller.tenant, &request.task_def_name);
        Ok(Response::new(self.sum(range).await?))
    }

    async fn sum(&self, range: KeyRange) -> Result<Count, Status> {
        let mut value = 0_i64;
        let mut rows = self.rows_of_all_groups(Family::State, range)?;
        while let Some((_, row)) = rows.next().await.map_err(error::of_query)? {
            value += counter::value(&row).map_err(error::of_rejection)?;
        }
        Ok(Count { value })
    }

    fn rows_of_all_groups(&self, family: Family, range: KeyRange) -> Result<Merge, Status> {
        let partitions = self.engine.route().all().map(|group| self.partition(group));
        let search = Search {
            family,
            range,
            after: None,
            page: PAGE,
        };
        Ok(Merge::new(search, partitions.collect::<Result<_, _>>()?))
    }

    pub(super) async fn list_wf_metrics(
        &self,
        request: Request<ListWfMetricsRequest>,
    ) -> Answer<MetricsList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let id = request.wf_spec.filter(|id| !id.name.is_empty());
        let subject = id.map(|id| Subject::WfSpec(id.name, id.major_version, id.revision));
        let range = self.windows_asked(request.window_start.as_ref(), request.window_end.as_ref());
        let kind = MetricWindowType::WorkflowMetric;
        self.list_windows(&caller, kind, subject, range).await
    }

    pub(super) async fn list_task_metrics(
        &self,
        request: Request<ListTaskMetricsRequest>,
    ) -> Answer<MetricsList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let id = request.task_def.filter(|id| !id.name.is_empty());
        let subject = id.map(|id| Subject::TaskDef(id.name));
        let range = self.windows_asked(request.window_start.as_ref(), request.window_end.as_ref());
        let kind = MetricWindowType::TaskMetric;
        self.list_windows(&caller, kind, subject, range).await
    }

    /// First and last start of the windows that are asked for and are over, in milliseconds.
    fn windows_asked(&self, start: Option<&Timestamp>, end: Option<&Timestamp>) -> (i64, i64) {
        let now = self.engine.clock().now_ms();
        let first = start.map_or(now - HOUR, proto::time::to_millis);
        let last = end.map_or(now, proto::time::to_millis);
        (first, last.min(self.newest_window()))
    }

    /// The start of the latest minute that is over.
    fn newest_window(&self) -> i64 {
        let now = self.engine.clock().now_ms();
        now - now.rem_euclid(MINUTE) - MINUTE
    }

    async fn list_windows(
        &self,
        caller: &Caller,
        kind: MetricWindowType,
        subject: Option<Subject>,
        (first, last): (i64, i64),
    ) -> Answer<MetricsList> {
        if first > last {
            return Ok(Response::new(MetricsList::default()));
        }
        let range = window::all(&caller.tenant, kind, first, last);
        let mut rows = self.rows_of_all_groups(Family::State, range)?;
        let mut windows: BTreeMap<i64, MetricRow> = BTreeMap::new();
        while let Some((key, value)) = rows.next().await.map_err(error::of_query)? {
            let Some((_, start_ms, of)) = window::parse(&key) else {
                continue;
            };
            if subject.as_ref().is_some_and(|subject| *subject != of) {
                continue;
            }
            if windows.len() == MAX_WINDOWS && !windows.contains_key(&start_ms) {
                break;
            }
            let row = record::decode(&value).map_err(error::of_rejection)?;
            window::merge(windows.entry(start_ms).or_default(), &row);
        }
        let windows = windows.iter().map(|(start_ms, row)| {
            window::public(&caller.tenant, *start_ms, kind, subject.as_ref(), row)
        });
        Ok(Response::new(MetricsList {
            windows: windows.collect(),
        }))
    }

    pub(super) async fn get_metric_window(
        &self,
        request: Request<MetricWindowId>,
    ) -> Answer<MetricWindow> {
        let caller = self.caller(&request)?;
        let id = request.into_inner();
        let not_found = || Status::not_found("Requested object was not found.");
        let kind = id.metric_type();
        let (kind, subject) = match id.id {
            Some(metric_window_id::Id::WfSpecId(id)) => (
                MetricWindowType::WorkflowMetric,
                Some(Subject::WfSpec(id.name, id.major_version, id.revision)),
            ),
            Some(metric_window_id::Id::TaskDefId(id)) => (
                MetricWindowType::TaskMetric,
                Some(Subject::TaskDef(id.name)),
            ),
            None if id.metric_type.is_some() => (kind, None),
            _ => return Err(not_found()),
        };
        let start = id.window_start.as_ref().ok_or_else(not_found)?;
        let start_ms = proto::time::to_millis(start);
        if start_ms > self.newest_window() {
            return Err(not_found());
        }
        let asked = (start_ms, start_ms);
        let windows = self.list_windows(&caller, kind, subject, asked).await?;
        let window = windows.into_inner().windows.pop();
        window.map(Response::new).ok_or_else(not_found)
    }

    pub(super) async fn search_wf_metric_window(
        &self,
        request: Request<SearchWfMetricWindowRequest>,
    ) -> Answer<MetricWindowIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let name = &request.wf_spec_name;
        if name.trim().is_empty() {
            return Err(Status::invalid_argument(
                "Missing required argument: wf_spec_name",
            ));
        }
        let newest = self.newest_window();
        let (mut earliest, mut latest) = (request.earliest_start, request.latest_start);
        if request.latest_only() {
            let found = self.latest_window(&caller, name).await?;
            let Some(start_ms) = found else {
                return Ok(Response::new(MetricWindowIdList::default()));
            };
            earliest = Some(proto::time::from_millis(start_ms));
            latest = earliest;
        }
        let latest = latest.map_or(newest, |time| proto::time::to_millis(&time).min(newest));
        let times = Times::new(earliest.as_ref(), Some(&proto::time::from_millis(latest)));
        let plain = SearchWfMetricWindowRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let asked = PageRequest {
            rpc: "SearchWfMetricWindow",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = window::index_range(&caller.tenant, name, false);
        let prefix = created::prefix_len(&range);
        let groups = self.engine.route().all().collect();
        let entries = (Family::Index, times.narrow(range));
        let mut before = None;
        let page = self
            .page(&caller, asked, groups, entries, |key, _| {
                // Each group that has a part of a window has an entry for it.
                let is_new = before.as_ref() != Some(&key);
                let id = window::indexed(&key, prefix, false).filter(|_| is_new);
                before = Some(key);
                let id = id.map(|found| window_id(name, found));
                async move { Ok(id) }
            })
            .await?;
        Ok(Response::new(MetricWindowIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    /// The start of the newest window of a WfSpec that is over.
    async fn latest_window(&self, caller: &Caller, name: &str) -> Result<Option<i64>, Status> {
        let range = window::index_range(&caller.tenant, name, true);
        let prefix = created::prefix_len(&range);
        let newest = self.newest_window();
        let mut entries = self.rows_of_all_groups(Family::Index, range)?;
        while let Some((key, _)) = entries.next().await.map_err(error::of_query)? {
            if let Some((start_ms, ..)) = window::indexed(&key, prefix, true)
                && start_ms <= newest
            {
                return Ok(Some(start_ms));
            }
        }
        Ok(None)
    }
}

fn window_id(name: &str, (start_ms, major, revision): (i64, i32, i32)) -> MetricWindowId {
    MetricWindowId {
        id: Some(metric_window_id::Id::WfSpecId(WfSpecId {
            name: name.to_owned(),
            major_version: major,
            revision,
        })),
        tenant_id: None,
        window_start: Some(proto::time::from_millis(start_ms)),
        metric_type: Some(MetricWindowType::WorkflowMetric.into()),
    }
}

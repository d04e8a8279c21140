//! WorkflowEvents: reading them, and waiting for one (spec 05, section 6).

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use index::{Family, KeyRange};
use proto::ironhorse::v1::WorkflowEventRow;
use proto::littlehorse::{
    AwaitWorkflowEventRequest, ListWorkflowEventsRequest, SearchWorkflowEventRequest, WfRunId,
    WorkflowEvent, WorkflowEventId, WorkflowEventIdList, WorkflowEventList,
};
use query::Partition;
use tonic::{Request, Response, Status};
use workflow::command::{split_wf_run_id, wf_run_id};
use workflow::key::{Kind, Row, RunKey, RunRow};
use workflow::record::{self, workflow_event};
use workflow::spec;

use super::wf_run_search::Times;
use super::{PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

/// How long a call without a deadline waits for an event (spec 05, section 6.2).
const PATIENCE: Duration = Duration::from_mins(1);
/// Events that are read at once while looking for one that is not to be ignored.
const PAGE: usize = 64;

/// Which events one waits for.
struct Wanted {
    run: RunKey,
    wf_run_id: WfRunId,
    /// Names of definitions; empty: all.
    defs: BTreeSet<String>,
    ignored: BTreeSet<(String, i32)>,
}

impl Service {
    pub(super) async fn await_workflow_event(
        &self,
        request: Request<AwaitWorkflowEventRequest>,
    ) -> Answer<WorkflowEvent> {
        let caller = self.caller(&request)?;
        let has_deadline = request.metadata().contains_key("grpc-timeout");
        let wanted = Wanted::new(&caller.tenant, request.into_inner())?;
        let mut stopping = self.stopping.clone();
        let found = tokio::select! {
            found = self.first_event(&wanted) => found,
            _ = stopping.wait_for(|stopping| *stopping) => Err(error::stopping()),
            // With a deadline, the transport ends the call.
            () = tokio::time::sleep(PATIENCE), if !has_deadline => Err(Status::deadline_exceeded(
                format!("no such WorkflowEvent of WfRun {} within 60 s", wanted.wf_run_id),
            )),
        };
        found.map(Response::new)
    }

    /// The first event that is wanted, whenever it comes.
    async fn first_event(&self, wanted: &Wanted) -> Result<WorkflowEvent, Status> {
        let group = self.group_of(wanted.wf_run_id.root_id());
        let topic = workflow_event::topic(&wanted.run).clone();
        let mut notices = self.engine.notices().subscribe(group, topic);
        loop {
            let partition = self.partition(group)?;
            if let Some(event) = wanted.first(partition.as_ref()).await? {
                return Ok(event);
            }
            notices
                .noticed()
                .await
                .map_err(|gone| Status::unavailable(gone.to_string()))?;
        }
    }

    pub(super) async fn get_workflow_event(
        &self,
        request: Request<WorkflowEventId>,
    ) -> Answer<WorkflowEvent> {
        let caller = self.caller(&request)?;
        let mut id = request.into_inner();
        let run_id = split_wf_run_id(id.wf_run_id.clone().unwrap_or_default());
        id.wf_run_id = Some(run_id.clone());
        let def = id.workflow_event_def_id.clone().unwrap_or_default().name;
        let key = RunKey::new(&caller.tenant, &run_id).workflow_event(&def, id.number);
        let row: WorkflowEventRow = self.row(run_id.root_id(), &key).await?;
        Ok(Response::new(workflow_event::public(id, row)))
    }

    pub(super) async fn list_workflow_events(
        &self,
        request: Request<ListWorkflowEventsRequest>,
    ) -> Answer<WorkflowEventList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = ListWorkflowEventsRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let asked = PageRequest {
            rpc: "ListWorkflowEvents",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = RunKey::new(&caller.tenant, &id).all(Kind::WorkflowEvent);
        let page = self.list(&caller, asked, &id, range, public).await?;
        Ok(Response::new(WorkflowEventList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn search_workflow_event(
        &self,
        request: Request<SearchWorkflowEventRequest>,
    ) -> Answer<WorkflowEventIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchWorkflowEventRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let def = request.workflow_event_def_id.unwrap_or_default().name;
        if def.trim().is_empty() {
            return Err(Status::invalid_argument(
                "Missing required argument: workflow_event_def_id",
            ));
        }
        if spec::workflow_event_def(&self.metadata(), &caller.tenant, &def).is_none() {
            return Err(Status::invalid_argument(format!(
                "WorkflowEventDef {def} does not exist"
            )));
        }
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let range = workflow_event::index_range(&caller.tenant, &def);
        let asked = PageRequest {
            rpc: "SearchWorkflowEvent",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let page = self
            .page_by_age(&caller, asked, times, range, |rest| {
                let wf_run_id = WfRunId::from_any_text(&rest.str()?);
                Ok(workflow_event::id(wf_run_id, &def, rest.i32()?))
            })
            .await?;
        Ok(Response::new(WorkflowEventIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

fn public(key: RunRow, row: WorkflowEventRow) -> Option<WorkflowEvent> {
    match key.row {
        Row::WorkflowEvent { def, number } => {
            let id = workflow_event::id(key.wf_run_id, &def, number);
            Some(workflow_event::public(id, row))
        }
        _ => None,
    }
}

impl Wanted {
    fn new(tenant: &str, request: AwaitWorkflowEventRequest) -> Result<Wanted, Status> {
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let of_this_run = |event: &WorkflowEventId| {
            let run = event.wf_run_id.clone().map(split_wf_run_id);
            run.as_ref() == Some(&id)
        };
        let to_ignore = request.workflow_events_to_ignore.into_iter();
        Ok(Wanted {
            run: RunKey::new(tenant, &id),
            defs: request
                .event_def_ids
                .into_iter()
                .map(|def| def.name)
                .collect(),
            ignored: to_ignore
                .filter(of_this_run)
                .map(|event| {
                    let def = event.workflow_event_def_id.unwrap_or_default().name;
                    (def, event.number)
                })
                .collect(),
            wf_run_id: id,
        })
    }

    /// The event that is wanted and was thrown first.
    async fn first(&self, partition: &dyn Partition) -> Result<Option<WorkflowEvent>, Status> {
        let mut found = None;
        if self.defs.is_empty() {
            let mut range = self.run.all(Kind::WorkflowEvent);
            while let Some((def, sequence, event)) = self.first_in(partition, range.clone()).await?
            {
                range.start = self.run.workflow_events(&def).end.clone();
                if let Bound::Excluded(next) = range.start {
                    range.start = Bound::Included(next);
                }
                keep_earlier(&mut found, sequence, event);
            }
        }
        for def in &self.defs {
            let range = self.run.workflow_events(def);
            if let Some((_, sequence, event)) = self.first_in(partition, range).await? {
                keep_earlier(&mut found, sequence, event);
            }
        }
        Ok(found.map(|(_, event)| event))
    }

    /// The first event of a range that is not ignored: its definition, its place in the order of throwing, and itself.
    /// Events of one definition are in that order.
    async fn first_in(
        &self,
        partition: &dyn Partition,
        mut range: KeyRange,
    ) -> Result<Option<(String, u64, WorkflowEvent)>, Status> {
        loop {
            let page = partition
                .scan(Family::State, &range, PAGE)
                .await
                .map_err(error::of_query)?;
            let is_last = page.len() < PAGE;
            for (key, value) in page {
                let parsed = RunRow::parse(&key).map_err(error::internal)?;
                let row: WorkflowEventRow = record::decode(&value).map_err(error::of_rejection)?;
                let sequence = row.sequence;
                if let Some(RunRow {
                    row: Row::WorkflowEvent { def, number },
                    ..
                }) = &parsed
                    && !self.ignored.contains(&(def.clone(), *number))
                {
                    let def = def.clone();
                    let event = parsed.and_then(|key| public(key, row));
                    return Ok(event.map(|event| (def, sequence, event)));
                }
                range.start = Bound::Excluded(key);
            }
            if is_last {
                return Ok(None);
            }
        }
    }
}

fn keep_earlier(found: &mut Option<(u64, WorkflowEvent)>, sequence: u64, event: WorkflowEvent) {
    if found
        .as_ref()
        .is_none_or(|(earliest, _)| sequence < *earliest)
    {
        *found = Some((sequence, event));
    }
}

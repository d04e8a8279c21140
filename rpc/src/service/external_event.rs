//! ExternalEvents (spec 05, section 3).

use proto::ironhorse::v1::core_command::Command;
use proto::ironhorse::v1::{ExternalEventRow, PutExternalEvent};
use proto::littlehorse::{
    ExternalEvent, ExternalEventId, ExternalEventIdList, ExternalEventList,
    ListExternalEventsRequest, PutExternalEventRequest, SearchExternalEventRequest, WfRunId,
};
use tonic::{Request, Response, Status};
use workflow::command::{split_wf_run_id, wf_run_id};
use workflow::key::{Kind, Row, RunKey, RunRow};
use workflow::{record, spec};

use super::wf_run_search::Times;
use super::{PageRequest, Service, criteria, error};

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    pub(super) async fn put_external_event(
        &self,
        request: Request<PutExternalEventRequest>,
    ) -> Answer<ExternalEvent> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let given = request.guid.clone().filter(|guid| !guid.is_empty());
        let guid = given.unwrap_or_else(|| self.ids.object_id());
        let route = super::wf_run::route(request.wf_run_id.as_ref());
        let command = Command::PutExternalEvent(PutExternalEvent {
            request: Some(request),
            guid,
        });
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    pub(super) async fn get_external_event(
        &self,
        request: Request<ExternalEventId>,
    ) -> Answer<ExternalEvent> {
        let caller = self.caller(&request)?;
        let mut id = request.into_inner();
        let run_id = split_wf_run_id(id.wf_run_id.clone().unwrap_or_default());
        id.wf_run_id = Some(run_id.clone());
        let def = id.external_event_def_id.clone().unwrap_or_default().name;
        let key = RunKey::new(&caller.tenant, &run_id).external_event(&def, &id.guid);
        let row: ExternalEventRow = self.row(run_id.root_id(), &key).await?;
        Ok(Response::new(record::external_event::public(id, row)))
    }

    pub(super) async fn list_external_events(
        &self,
        request: Request<ListExternalEventsRequest>,
    ) -> Answer<ExternalEventList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = ListExternalEventsRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let id = wf_run_id("wf_run_id", request.wf_run_id).map_err(error::of_rejection)?;
        let asked = PageRequest {
            rpc: "ListExternalEvents",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let range = RunKey::new(&caller.tenant, &id).all(Kind::ExternalEvent);
        let public = |key: RunRow, row| match key.row {
            Row::ExternalEvent { def, guid } => {
                let id = record::external_event::id(key.wf_run_id, &def, &guid);
                Some(record::external_event::public(id, row))
            }
            _ => None,
        };
        let page = self.list(&caller, asked, &id, range, public).await?;
        Ok(Response::new(ExternalEventList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }

    pub(super) async fn search_external_event(
        &self,
        request: Request<SearchExternalEventRequest>,
    ) -> Answer<ExternalEventIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchExternalEventRequest {
            limit: None,
            bookmark: None,
            ..request.clone()
        };
        let def = request.external_event_def_id.unwrap_or_default().name;
        if def.trim().is_empty() {
            return Err(Status::invalid_argument(
                "Missing required argument: external_event_def_id",
            ));
        }
        if spec::external_event_def(&self.metadata(), &caller.tenant, &def).is_none() {
            return Err(Status::invalid_argument(format!(
                "ExternalEventDef {def} does not exist"
            )));
        }
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let range = record::external_event::index_range(&caller.tenant, &def, request.is_claimed);
        let asked = PageRequest {
            rpc: "SearchExternalEvent",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let page = self
            .page_by_age(&caller, asked, times, range, |rest| {
                let wf_run_id = WfRunId::from_any_text(&rest.str()?);
                Ok(record::external_event::id(wf_run_id, &def, &rest.str()?))
            })
            .await?;
        Ok(Response::new(ExternalEventIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

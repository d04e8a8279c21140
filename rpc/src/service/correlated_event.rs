//! CorrelatedEvents (spec 05, section 5).

use proto::ironhorse::v1::CorrelatedEventRow;
use proto::ironhorse::v1::core_command::Command;
use proto::littlehorse::{
    CorrelatedEvent, CorrelatedEventId, CorrelatedEventIdList, DeleteCorrelatedEventRequest,
    PutCorrelatedEventRequest, SearchCorrelatedEventRequest,
};
use tonic::{Request, Response, Status};
use workflow::key;
use workflow::record::correlated_event;

use super::wf_run_search::Times;
use super::{PageRequest, Service, criteria};

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    pub(super) async fn put_correlated_event(
        &self,
        request: Request<PutCorrelatedEventRequest>,
    ) -> Answer<CorrelatedEvent> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = request.key.clone();
        let command = Command::PutCorrelatedEvent(request);
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    pub(super) async fn get_correlated_event(
        &self,
        request: Request<CorrelatedEventId>,
    ) -> Answer<CorrelatedEvent> {
        let caller = self.caller(&request)?;
        let id = request.into_inner();
        let def = id.external_event_def_id.clone().unwrap_or_default().name;
        let key = key::correlated_event(&caller.tenant, &id.key, &def);
        let row: CorrelatedEventRow = self.row(&id.key, &key).await?;
        Ok(Response::new(correlated_event::public(id, row)))
    }

    pub(super) async fn delete_correlated_event(
        &self,
        request: Request<DeleteCorrelatedEventRequest>,
    ) -> Answer<()> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = request.id.clone().unwrap_or_default().key;
        let command = Command::DeleteCorrelatedEvent(request);
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    pub(super) async fn search_correlated_event(
        &self,
        request: Request<SearchCorrelatedEventRequest>,
    ) -> Answer<CorrelatedEventIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let plain = SearchCorrelatedEventRequest {
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
        let times = Times::new(
            request.earliest_start.as_ref(),
            request.latest_start.as_ref(),
        );
        let matched = request.has_external_events;
        let range = correlated_event::index_range(&caller.tenant, &def, matched);
        let asked = PageRequest {
            rpc: "SearchCorrelatedEvent",
            criteria: criteria(&plain),
            limit: request.limit,
            bookmark: request.bookmark.as_ref(),
        };
        let page = self
            .page_by_age(&caller, asked, times, range, |rest| {
                Ok(correlated_event::id(&rest.str()?, &def))
            })
            .await?;
        Ok(Response::new(CorrelatedEventIdList {
            results: page.results,
            bookmark: page.bookmark,
        }))
    }
}

//! Schedules (spec 05, section 7).

use index::Family;
use proto::ironhorse::v1::core_command::Command;
use proto::ironhorse::v1::{ScheduleWf, ScheduledWfRunRow};
use proto::littlehorse::{
    DeleteScheduledWfRunRequest, ScheduleWfRequest, ScheduledWfRun, ScheduledWfRunId,
    ScheduledWfRunIdList, SearchScheduledWfRunRequest,
};
use query::{Merge, Search};
use tonic::{Request, Response, Status};
use workflow::key;
use workflow::record::scheduled_wf_run;

use super::{Service, error};

type Answer<T> = Result<Response<T>, Status>;

/// Index entries that are fetched from a group at a time.
const PAGE: usize = 1000;

impl Service {
    pub(super) async fn schedule_wf(
        &self,
        request: Request<ScheduleWfRequest>,
    ) -> Answer<ScheduledWfRun> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let id = request.id.clone().unwrap_or_else(|| self.ids.object_id());
        let command = Command::ScheduleWf(ScheduleWf {
            request: Some(request),
            id: id.clone(),
            time_zone: self.time_zone.clone(),
        });
        Ok(Response::new(self.core(&caller, &id, command).await?))
    }

    pub(super) async fn get_scheduled_wf_run(
        &self,
        request: Request<ScheduledWfRunId>,
    ) -> Answer<ScheduledWfRun> {
        let caller = self.caller(&request)?;
        let id = request.into_inner().id;
        let key = key::named(key::SCHEDULES, &caller.tenant, &id);
        let row: ScheduledWfRunRow = self.row(&id, &key).await?;
        Ok(Response::new(scheduled_wf_run::public(&id, row)))
    }

    pub(super) async fn delete_scheduled_wf_run(
        &self,
        request: Request<DeleteScheduledWfRunRequest>,
    ) -> Answer<()> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let route = request.id.clone().unwrap_or_default().id;
        let command = Command::DeleteScheduledWfRun(request);
        Ok(Response::new(self.core(&caller, &route, command).await?))
    }

    /// All of them: neither request nor reply has pages (spec 05, section 7.4).
    pub(super) async fn search_scheduled_wf_run(
        &self,
        request: Request<SearchScheduledWfRunRequest>,
    ) -> Answer<ScheduledWfRunIdList> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let (name, major) = (&request.wf_spec_name, request.major_version);
        if request.revision.is_some() && major.is_none() {
            return Err(Status::invalid_argument(
                "revision is given without major_version",
            ));
        }
        let range = scheduled_wf_run::index_range(&caller.tenant, name, major, request.revision);
        let partitions = self.engine.route().all().map(|group| self.partition(group));
        let search = Search {
            family: Family::Index,
            range,
            after: None,
            page: PAGE,
        };
        let mut entries = Merge::new(search, partitions.collect::<Result<_, _>>()?);
        let mut results = Vec::new();
        while let Some((entry, _)) = entries.next().await.map_err(error::of_query)? {
            results.extend(scheduled_wf_run::indexed_id(&entry));
        }
        Ok(Response::new(ScheduledWfRunIdList { results }))
    }
}

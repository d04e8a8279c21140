//! The public API. The RPCs are grouped by area; what all of them share is in [`Service`]. An RPC that is not built
//! answers `UNIMPLEMENTED` with its name.

mod access;
mod api;
mod bulk_job;
mod context;
mod correlated_event;
mod definitions;
mod error;
mod external_event;
mod front;
mod list;
mod metadata;
mod metric;
mod naming;
mod node_run;
mod page;
mod poll;
mod principal;
mod quota;
mod schedule;
mod stock;
mod task_run;
mod tenancy;
mod user_task_run;
mod variable_search;
mod wf_run;
mod wf_run_search;
mod workflow_event;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use index::{Family, GlobalView};
use prost::Message;
use proto::ironhorse::v1::core_command::Command as CoreContent;
use proto::ironhorse::v1::metadata_command::Command as MetadataContent;
use proto::ironhorse::v1::{CoreCommand, MetadataCommand};
use proto::littlehorse::LhHostInfo;
use query::{Local, Partition, Secret};
use runtime::Engine;
use tokio::sync::watch;
use tonic::Status;
use wal::GroupId;

use api::Api;
pub(crate) use context::Caller;
pub(crate) use front::Front;
pub(crate) use naming::RequestIds;
pub(crate) use page::{PageRequest, criteria};
pub(crate) use quota::Quotas;

/// The largest command, in bytes (spec 08, section 7.6).
const MAX_COMMAND: usize = 1_047_000;
/// Inbound messages may be this large: larger than a command, so that a worker's oversized report ends its attempt
/// instead of being lost in transport (spec 04, section 9.4).
const MAX_MESSAGE: usize = 16 << 20;
/// How long a call waits for its command (spec 08, section 7.4).
const PATIENCE: Duration = Duration::from_mins(1);
/// The public API over an engine.
pub(crate) struct Service {
    pub engine: Arc<Engine>,
    pub ids: RequestIds,
    pub secret: Secret,
    /// Where workers are told to poll.
    pub advertised: LhHostInfo,
    /// In which cron expressions are meant: a name of the IANA database.
    pub time_zone: String,
    pub quotas: quota::Quotas,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// A command to a core group.
fn core_command(caller: &Caller, command: CoreContent) -> CoreCommand {
    CoreCommand {
        version: 1,
        tenant: caller.tenant.clone(),
        principal: caller.principal.clone(),
        command: Some(command),
    }
}

impl Service {
    /// The metadata, as of the last commit.
    fn metadata(&self) -> Arc<GlobalView> {
        self.engine.global().current()
    }

    /// Executes a command in the group of `route` and decodes the answer.
    fn core<T: Message + Default>(
        &self,
        caller: &Caller,
        route: &str,
        command: CoreContent,
    ) -> impl Future<Output = Result<T, Status>> + Send + use<'_, T> {
        let charged = self.charge(caller);
        let submitted = self.submit(self.group_of(route), &core_command(caller, command));
        async move {
            charged?;
            submitted.await
        }
    }

    /// Executes a metadata command and decodes the answer.
    fn meta<T: Message + Default>(
        &self,
        caller: &Caller,
        command: MetadataContent,
    ) -> impl Future<Output = Result<T, Status>> + Send + use<'_, T> {
        let command = MetadataCommand {
            version: 1,
            tenant: caller.tenant.clone(),
            principal: caller.principal.clone(),
            command: Some(command),
        };
        let charged = self.charge(caller);
        let submitted = self.submit(GroupId::METADATA, &command);
        async move {
            charged?;
            submitted.await
        }
    }

    /// Encodes the command at once: what waits for the answer is small.
    fn submit<T: Message + Default, C: Message>(
        &self,
        group: GroupId,
        command: &C,
    ) -> impl Future<Output = Result<T, Status>> + Send + use<'_, T, C> {
        let size = command.encoded_len();
        let payload = if size > MAX_COMMAND {
            Err(Status::resource_exhausted(format!(
                "Record too large: the request has {size} bytes, the limit is {MAX_COMMAND} bytes"
            )))
        } else {
            Ok(Bytes::from(command.encode_to_vec()))
        };
        async move { self.submit_encoded(group, payload?).await }
    }

    async fn submit_encoded<T: Message + Default>(
        &self,
        group: GroupId,
        payload: Bytes,
    ) -> Result<T, Status> {
        if *self.stopping.borrow() {
            return Err(error::stopping());
        }
        let id = self.ids.next();
        match tokio::time::timeout(PATIENCE, self.engine.submit(group, id, payload)).await {
            Ok(Ok(answer)) => T::decode(answer).map_err(error::internal),
            Ok(Err(refused)) => Err(error::of_submit(refused)),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "command {id} was not executed within 60 s"
            ))),
        }
    }

    /// The committed state of a group.
    fn partition(&self, group: GroupId) -> Result<Arc<dyn Partition>, Status> {
        match self.engine.reader(group) {
            Some(reader) => Ok(Arc::new(Local::new(reader.clone()))),
            None => Err(Status::unavailable(format!("group {group} has no owner"))),
        }
    }

    fn group_of(&self, route: &str) -> GroupId {
        self.engine.route().group_of(route.as_bytes())
    }

    /// A row of the core groups.
    async fn row<T: workflow::record::Row>(&self, route: &str, key: &[u8]) -> Result<T, Status> {
        match self.find_row(route, key).await? {
            Some(row) => Ok(row),
            None => Err(Status::not_found("Requested object was not found.")),
        }
    }

    async fn find_row<T: workflow::record::Row>(
        &self,
        route: &str,
        key: &[u8],
    ) -> Result<Option<T>, Status> {
        let partition = self.partition(self.group_of(route))?;
        let value = partition
            .get(Family::State, key)
            .await
            .map_err(error::of_query)?;
        value
            .map(|value| workflow::record::decode(&value).map_err(error::of_rejection))
            .transpose()
    }
}

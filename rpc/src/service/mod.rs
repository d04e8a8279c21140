//! The public API. The RPCs are grouped by area; what all of them share is in [`Service`]. An RPC that is not built
//! answers `UNIMPLEMENTED` with its name.

mod api;
mod context;
mod error;
mod external_event;
mod metadata;
mod naming;
mod node_run;
mod poll;
mod task_run;
mod tenancy;
mod unbuilt;
mod wf_run;
mod wf_run_search;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use index::{Family, GlobalView, KeyRange};
use prost::Message;
use proto::ironhorse::v1::core_command::Command as CoreContent;
use proto::ironhorse::v1::metadata_command::Command as MetadataContent;
use proto::ironhorse::v1::{CoreCommand, MetadataCommand};
use proto::littlehorse::LhHostInfo;
use query::{Bookmark, Digest, Local, Merge, Partition, Search, Secret};
use runtime::Engine;
use tokio::sync::watch;
use tonic::Status;
use wal::GroupId;

pub(crate) use context::Caller;
pub(crate) use naming::RequestIds;
pub(crate) use unbuilt::NameUnbuilt;

/// The largest command, in bytes (spec 08, section 7.6).
const MAX_COMMAND: usize = 1_047_000;
/// How long a call waits for its command (spec 08, section 7.4).
const PATIENCE: Duration = Duration::from_secs(60);
/// Results of a page when the request names no limit, and the most that one page holds (spec 07, section 1.2).
const DEFAULT_LIMIT: i32 = 100;
const MAX_LIMIT: usize = 1000;
/// A page ends early before it outgrows what clients accept (spec 07, section 5).
const MAX_PAGE_BYTES: usize = 3_500_000;

/// The public API over an engine.
pub(crate) struct Service {
    pub engine: Arc<Engine>,
    pub ids: RequestIds,
    pub secret: Secret,
    /// Where workers are told to poll.
    pub advertised: LhHostInfo,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// A page of a search or list.
pub(crate) struct Page<T> {
    pub results: Vec<T>,
    pub bookmark: Option<Bytes>,
}

/// Which page of which search is asked for.
pub(crate) struct PageRequest<'a> {
    pub rpc: &'static str,
    /// The request without limit and bookmark.
    pub criteria: Vec<u8>,
    pub limit: Option<i32>,
    pub bookmark: Option<&'a Bytes>,
}

impl Service {
    /// The metadata, as of the last commit.
    fn metadata(&self) -> Arc<GlobalView> {
        self.engine.global().current()
    }

    /// Executes a command in the group of `route` and decodes the answer.
    async fn core<T: Message + Default>(
        &self,
        caller: &Caller,
        route: &str,
        command: CoreContent,
    ) -> Result<T, Status> {
        let command = CoreCommand {
            version: 1,
            tenant: caller.tenant.clone(),
            principal: caller.principal.clone(),
            command: Some(command),
        };
        self.submit(self.engine.route().group_of(route.as_bytes()), &command).await
    }

    /// Executes a metadata command and decodes the answer.
    async fn meta<T: Message + Default>(&self, caller: &Caller, command: MetadataContent) -> Result<T, Status> {
        let command = MetadataCommand {
            version: 1,
            tenant: caller.tenant.clone(),
            principal: caller.principal.clone(),
            command: Some(command),
        };
        self.submit(GroupId::METADATA, &command).await
    }

    async fn submit<T: Message + Default>(&self, group: GroupId, command: &impl Message) -> Result<T, Status> {
        let size = command.encoded_len();
        if size > MAX_COMMAND {
            return Err(Status::resource_exhausted(format!(
                "Record too large: the request has {size} bytes, the limit is {MAX_COMMAND} bytes"
            )));
        }
        if *self.stopping.borrow() {
            return Err(error::stopping());
        }
        let id = self.ids.next();
        let payload = Bytes::from(command.encode_to_vec());
        match tokio::time::timeout(PATIENCE, self.engine.submit(group, id, payload)).await {
            Ok(Ok(answer)) => T::decode(answer).map_err(error::internal),
            Ok(Err(refused)) => Err(error::of_submit(refused)),
            Err(_) => Err(Status::deadline_exceeded(format!("command {id} was not executed within 60 s"))),
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

    async fn find_row<T: workflow::record::Row>(&self, route: &str, key: &[u8]) -> Result<Option<T>, Status> {
        let partition = self.partition(self.group_of(route))?;
        let value = partition.get(Family::State, key).await.map_err(error::of_query)?;
        value.map(|value| workflow::record::decode(&value).map_err(error::of_rejection)).transpose()
    }

    /// One page over the rows of a range. `take` turns a row into a result, or leaves it out.
    async fn page<T: Message>(
        &self,
        caller: &Caller,
        request: PageRequest<'_>,
        groups: Vec<GroupId>,
        family: Family,
        range: KeyRange,
        mut take: impl AsyncFnMut(&Bytes, &Bytes) -> Result<Option<T>, Status>,
    ) -> Result<Page<T>, Status> {
        let digest = Digest::of(&[caller.tenant.as_bytes(), request.rpc.as_bytes(), &request.criteria]);
        let sealed = request.bookmark.map_or(&[][..], |bookmark| bookmark);
        let bookmark = Bookmark::open(sealed, digest, &self.secret).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).map(|limit| limit.min(MAX_LIMIT));
        let limit = limit.ok_or_else(|| Status::invalid_argument("limit must be positive"))?;
        let partitions = groups.into_iter().map(|group| self.partition(group)).collect::<Result<Vec<_>, _>>()?;
        let search = Search { family, range, after: bookmark.map(|bookmark| bookmark.after), page: limit + 1 };
        let mut rows = Merge::new(search, partitions);
        let mut page = Page { results: Vec::new(), bookmark: None };
        let (mut last, mut bytes) = (Bytes::new(), 0);
        while let Some((key, value)) = rows.next().await.map_err(error::of_query)? {
            let Some(result) = take(&key, &value).await? else { continue };
            bytes += result.encoded_len();
            if page.results.len() == limit || (bytes > MAX_PAGE_BYTES && !page.results.is_empty()) {
                page.bookmark = Some(Bookmark { after: last }.seal(digest, &self.secret));
                break;
            }
            page.results.push(result);
            last = key;
        }
        Ok(page)
    }

    /// Like [`Service::page`], over the metadata.
    fn metadata_page<T: Message>(
        &self,
        caller: &Caller,
        request: &PageRequest<'_>,
        mut range: KeyRange,
        mut take: impl FnMut(&Bytes, &Bytes) -> Option<T>,
    ) -> Result<Page<T>, Status> {
        let digest = Digest::of(&[caller.tenant.as_bytes(), request.rpc.as_bytes(), &request.criteria]);
        let sealed = request.bookmark.map_or(&[][..], |bookmark| bookmark);
        let bookmark = Bookmark::open(sealed, digest, &self.secret).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).map(|limit| limit.min(MAX_LIMIT));
        let limit = limit.ok_or_else(|| Status::invalid_argument("limit must be positive"))?;
        if let Some(bookmark) = bookmark {
            range.start = std::ops::Bound::Excluded(bookmark.after);
        }
        let mut page = Page { results: Vec::new(), bookmark: None };
        let mut last = Bytes::new();
        for (key, value) in self.metadata().scan(&range, usize::MAX, false) {
            let Some(result) = take(&key, &value) else { continue };
            if page.results.len() == limit {
                page.bookmark = Some(Bookmark { after: last }.seal(digest, &self.secret));
                break;
            }
            page.results.push(result);
            last = key;
        }
        Ok(page)
    }
}

/// The criteria of a search: the request as the client sent it, but for limit and bookmark, which the caller clears.
fn criteria(request: &impl Message) -> Vec<u8> {
    request.encode_to_vec()
}

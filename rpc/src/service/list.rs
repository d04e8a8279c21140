//! Lists of the rows of one WfRun (spec 07, section 5).

use index::{Family, KeyRange};
use prost::Message;
use proto::littlehorse::WfRunId;
use tonic::Status;
use workflow::key::RunRow;
use workflow::record;

use super::page::Page;
use super::{Caller, PageRequest, Service, error};

impl Service {
    /// A page of one kind of rows of a WfRun, in the order of their keys. `public` turns a row into what clients see.
    pub(super) async fn list<R: record::Row, T: Message>(
        &self,
        caller: &Caller,
        asked: PageRequest<'_>,
        id: &WfRunId,
        range: KeyRange,
        public: impl Fn(RunRow, R) -> Option<T> + Send + Sync,
    ) -> Result<Page<T>, Status> {
        let (groups, public) = (vec![self.group_of(id.root_id())], &public);
        let rows = (Family::State, range);
        self.page(caller, asked, groups, rows, |key, value| async move {
            let Some(key) = RunRow::parse(&key).map_err(error::internal)? else {
                return Ok(None);
            };
            let row = record::decode(&value).map_err(error::of_rejection)?;
            Ok(public(key, row))
        })
        .await
    }
}

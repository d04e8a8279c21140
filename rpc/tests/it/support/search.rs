//! Searches, page by page, and calls in another tenant.

use bytes::Bytes;
use proto::littlehorse::{
    ExternalEvent, ExternalEventDefId, ExternalEventId, ListExternalEventsRequest,
    ListNodeRunsRequest, ListTaskRunsRequest, ListUserTaskRunRequest, ListVariablesRequest,
    NodeRun, SearchExternalEventDefRequest, SearchExternalEventRequest, SearchTaskDefRequest,
    SearchTaskRunRequest, SearchTenantRequest, SearchUserTaskRunRequest, SearchWfRunRequest,
    SearchWfSpecRequest, TaskDefId, TaskRun, TaskRunId, TenantId, UserTaskRun, UserTaskRunId,
    Variable, WfRunId, WfSpecId,
};
use tonic::Request;

use super::*;

/// The pages of one search, from the first to the one without a bookmark. None is over the limit, none is short before
/// the last, and none has an empty bookmark.
pub async fn pages<T, F>(limit: i32, mut ask: impl FnMut(i32, Option<Bytes>) -> F) -> Vec<Vec<T>>
where
    F: Future<Output = (Vec<T>, Option<Bytes>)>,
{
    let mut pages = Vec::new();
    let mut bookmark = None;
    loop {
        let (page, next) = ask(limit, bookmark).await;
        assert!(page.len() <= limit as usize, "{} results", page.len());
        let is_full = page.len() == limit as usize;
        pages.push(page);
        match next {
            None => return pages,
            Some(next) => {
                assert!(is_full, "a short page has a bookmark");
                assert!(!next.is_empty(), "a bookmark is empty");
                bookmark = Some(next);
            }
        }
    }
}

/// A search or list whose request has a limit and a bookmark.
pub trait Searches: Clone {
    type Found: Clone + PartialEq + std::fmt::Debug;

    fn with(self, limit: Option<i32>, bookmark: Option<Bytes>) -> Self;
    async fn ask(self, client: Client) -> Result<(Vec<Self::Found>, Option<Bytes>), tonic::Status>;

    /// All pages of this many.
    async fn paged(&self, client: &Client, limit: i32) -> Vec<Vec<Self::Found>> {
        pages(limit, |limit, bookmark| {
            let (request, client) = (self.clone().with(Some(limit), bookmark), client.clone());
            async move { request.ask(client).await.unwrap() }
        })
        .await
    }

    /// The first page.
    async fn found(&self, client: &Client) -> Vec<Self::Found> {
        self.clone().ask(client.clone()).await.unwrap().0
    }
}

macro_rules! searches {
    ($($request:ident, $rpc:ident, $found:ty;)*) => {$(
        impl Searches for $request {
            type Found = $found;

            fn with(mut self, limit: Option<i32>, bookmark: Option<Bytes>) -> Self {
                self.limit = limit;
                self.bookmark = bookmark;
                self
            }

            async fn ask(
                self,
                mut client: Client,
            ) -> Result<(Vec<Self::Found>, Option<Bytes>), tonic::Status> {
                let found = client.$rpc(self).await?.into_inner();
                Ok((found.results, found.bookmark))
            }
        }
    )*};
}

searches! {
    SearchWfRunRequest, search_wf_run, WfRunId;
    SearchTaskRunRequest, search_task_run, TaskRunId;
    SearchExternalEventRequest, search_external_event, ExternalEventId;
    SearchTaskDefRequest, search_task_def, TaskDefId;
    SearchExternalEventDefRequest, search_external_event_def, ExternalEventDefId;
    SearchWfSpecRequest, search_wf_spec, WfSpecId;
    SearchTenantRequest, search_tenant, TenantId;
    ListNodeRunsRequest, list_node_runs, NodeRun;
    ListTaskRunsRequest, list_task_runs, TaskRun;
    ListVariablesRequest, list_variables, Variable;
    ListExternalEventsRequest, list_external_events, ExternalEvent;
    SearchUserTaskRunRequest, search_user_task_run, UserTaskRunId;
    ListUserTaskRunRequest, list_user_task_runs, UserTaskRun;
}

/// The request, in a tenant.
pub fn in_tenant<T>(tenant: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("tenantid", tenant.parse().unwrap());
    request
}

pub fn runs_of(spec: &str) -> SearchWfRunRequest {
    SearchWfRunRequest {
        wf_spec_name: spec.to_owned(),
        ..SearchWfRunRequest::default()
    }
}

/// The texts of WfRuns' ids.
pub fn texts(ids: &[WfRunId]) -> Vec<String> {
    ids.iter().map(WfRunId::to_string).collect()
}

//! Searches over two groups: what they find, in which order, page by page (spec 07, sections 1 to 4).

mod pages;
mod tasks_and_events;
mod variables;
mod wf_runs;

use proto::littlehorse::{
    DeleteWfRunRequest, LhStatus, RunWfRequest, SearchWfRunRequest, VariableMatch, VariableValue,
    WfRun,
};

use crate::support::*;

/// Runs of an empty WfSpec, each with its time and id, in the order of a search.
async fn many(client: &mut Client, spec: &str, ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut started = Vec::new();
    for id in ids {
        let run = client.run(spec, &id).await;
        started.push((millis(run.start_time), id));
    }
    started.sort();
    started.into_iter().map(|(_, id)| id).collect()
}

/// Starts a run in a later millisecond than the one before.
async fn later(client: &mut Client, before: i64, request: RunWfRequest) -> WfRun {
    let mut number = 0;
    loop {
        let id = format!("{}-{number}", request.id());
        let run = RunWfRequest {
            id: Some(id.clone()),
            ..request.clone()
        };
        let run = client.run_wf(run).await.unwrap().into_inner();
        if millis(run.start_time) > before {
            return run;
        }
        client
            .delete_wf_run(DeleteWfRunRequest { id: run.id })
            .await
            .unwrap();
        number += 1;
    }
}

async fn found(client: &Client, search: &SearchWfRunRequest) -> Vec<String> {
    texts(&search.found(client).await)
}

fn with_status(spec: &str, status: LhStatus) -> SearchWfRunRequest {
    SearchWfRunRequest {
        status: Some(status.into()),
        ..runs_of(spec)
    }
}

fn filter(name: &str, value: VariableValue) -> VariableMatch {
    VariableMatch {
        var_name: name.to_owned(),
        value: Some(value),
    }
}

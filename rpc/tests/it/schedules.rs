//! The RPCs of schedules (spec 05, section 7). When they fire: `engine/workflow/tests/it/schedules.rs`.

use proto::littlehorse::{
    DeleteScheduledWfRunRequest, ScheduleWfRequest, ScheduledWfRunId, SearchScheduledWfRunRequest,
};
use tonic::Code;

use crate::support::*;

fn schedule(id: Option<&str>, spec: &str) -> ScheduleWfRequest {
    ScheduleWfRequest {
        id: id.map(str::to_owned),
        wf_spec_name: spec.to_owned(),
        cron_expression: " 0 3 1 JAN * ".to_owned(),
        ..ScheduleWfRequest::default()
    }
}

fn search(spec: &str, major: Option<i32>, revision: Option<i32>) -> SearchScheduledWfRunRequest {
    SearchScheduledWfRunRequest {
        wf_spec_name: spec.to_owned(),
        major_version: major,
        revision,
    }
}

async fn found(client: &mut Client, request: SearchScheduledWfRunRequest) -> Vec<String> {
    let found = client.search_scheduled_wf_run(request).await.unwrap();
    let ids = found.into_inner().results.into_iter().map(|id| id.id);
    ids.collect()
}

#[tokio::test]
async fn schedules_are_made_read_found_and_deleted() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("s", vec![], vec![nop()])).await;
    let made = client.schedule_wf(schedule(None, "s")).await.unwrap();
    let made = made.into_inner();
    let id = made.id.clone().unwrap();
    assert_eq!(id.id.len(), 32);
    assert_eq!(made.cron_expression, " 0 3 1 JAN * ");
    let got = client.get_scheduled_wf_run(id.clone()).await.unwrap();
    assert_eq!(got.into_inner(), made);
    client
        .define(sequence("s", vec![], vec![nop(), nop()]))
        .await;
    for n in 0..150 {
        let request = schedule(Some(&format!("many-{n}")), "s");
        client.schedule_wf(request).await.unwrap();
    }
    // spec 05-48, spec 07-40
    assert_eq!(found(client, search("s", None, None)).await.len(), 151);
    assert_eq!(found(client, search("s", Some(0), None)).await.len(), 151);
    assert_eq!(
        found(client, search("s", Some(0), Some(1))).await.len(),
        150
    );
    assert_eq!(
        found(client, search("s", Some(0), Some(0))).await,
        [id.id.as_str()]
    );
    assert_eq!(found(client, search("none", None, None)).await, [""; 0]);
    refused(
        client
            .search_scheduled_wf_run(search("s", None, Some(0)))
            .await,
        Code::InvalidArgument,
        &["revision", "major_version"],
    );
    server.restart().await;
    let client = &mut server.client;
    let delete = DeleteScheduledWfRunRequest {
        id: Some(id.clone()),
    };
    for _ in 0..2 {
        client
            .delete_scheduled_wf_run(delete.clone())
            .await
            .unwrap();
    }
    refused(client.get_scheduled_wf_run(id).await, Code::NotFound, &[]);
    let none = ScheduledWfRunId {
        id: "none".to_owned(),
    };
    refused(client.get_scheduled_wf_run(none).await, Code::NotFound, &[]);
    refused(
        client.schedule_wf(schedule(Some("many-1"), "s")).await,
        Code::AlreadyExists,
        &["many-1"],
    );
    server.stop().await;
}

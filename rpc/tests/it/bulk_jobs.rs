//! BulkJobs (spec 05, section 11).

use proto::littlehorse::create_bulk_job_request::Operation;
use proto::littlehorse::{
    BulkDeleteWfRun, BulkJob, BulkJobId, BulkJobStatus, CreateBulkJobRequest, DeleteBulkJobRequest,
    GetBulkJobRequest, LhStatus, PutTenantRequest, RescueThreadRunRequest, RunWfRequest,
    SearchBulkJobRequest, VariableValue,
};
use tonic::{Code, Request};

use crate::support::*;

fn of_all_time(spec: &str, status: LhStatus) -> BulkDeleteWfRun {
    BulkDeleteWfRun {
        wf_spec_name: spec.to_owned(),
        earliest_start: Some(proto::time::from_millis(0)),
        latest_start: Some(proto::time::from_millis(i64::from(u32::MAX) * 1000)),
        wf_run_status: Some(status.into()),
    }
}

fn request(id: &str, wanted: BulkDeleteWfRun) -> CreateBulkJobRequest {
    CreateBulkJobRequest {
        id: Some(id.to_owned()),
        operation: Some(Operation::BulkDeleteWfRun(wanted)),
    }
}

fn job_id(id: &str) -> BulkJobId {
    BulkJobId { id: id.to_owned() }
}

async fn job(client: &mut Client, id: &str) -> BulkJob {
    let get = GetBulkJobRequest {
        id: Some(job_id(id)),
    };
    client.get_bulk_job(get).await.unwrap().into_inner()
}

async fn completed(client: &Client, id: &str) -> BulkJob {
    until(|| {
        let mut client = client.clone();
        async move {
            let job = job(&mut client, id).await;
            (job.status() == BulkJobStatus::BulkJobCompleted).then_some(job)
        }
    })
    .await
}

/// A server of twelve groups, `s` ends at once, `waits` waits for `go`.
async fn server() -> (tempfile::TempDir, ironhorse_rpc::Server, Client) {
    let dir = tempfile::tempdir().unwrap();
    let config = ironhorse_rpc::Config {
        groups: Some(12),
        ..config(&dir)
    };
    let server = ironhorse_rpc::Server::start(&config).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    client.define_event("go").await;
    client.define(sequence("s", vec![], vec![nop()])).await;
    client
        .define(sequence("waits", vec![], vec![event("go")]))
        .await;
    (dir, server, client)
}

#[tokio::test]
async fn a_job_deletes_what_is_over_and_nothing_else() {
    let (_dir, server, mut client) = server().await;
    let client = &mut client;
    for n in 0..60 {
        client.run("s", &format!("s-{n}")).await;
    }
    client.run("waits", "waiting").await;
    client.run("waits", "done").await;
    let go = put_event("done", "go", "g", VariableValue::default());
    client.put_external_event(go).await.unwrap();
    let last = client.run("s", "last").await.start_time;
    let after = {
        // In a later millisecond.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        client.run("s", "after").await
    };
    assert!(millis(after.start_time) > millis(last));
    let wanted = BulkDeleteWfRun {
        latest_start: last,
        ..of_all_time("s", LhStatus::Completed)
    };
    let made = client
        .create_bulk_job(request("job", wanted))
        .await
        .unwrap()
        .into_inner();
    // spec 05-59
    assert_eq!(made.status(), BulkJobStatus::BulkJobRunning);
    assert_eq!(made.total_subprocesses, 12);
    let ids: Vec<i32> = made.subprocesses.iter().map(|part| part.id).collect();
    assert_eq!(ids, (0..12).collect::<Vec<_>>());
    let done = completed(client, "job").await;
    let over = |part: &proto::littlehorse::bulk_job::Subprocess| {
        part.status() == BulkJobStatus::BulkJobCompleted
    };
    assert!(done.subprocesses.iter().all(over));
    let seen = done
        .subprocesses
        .iter()
        .filter_map(|part| part.last_seen_key);
    assert_eq!(
        seen.map(|time| millis(Some(time))).max(),
        Some(millis(last))
    );
    assert_eq!(texts(&runs_of("s").found(client).await), ["after"]);
    for kept in ["waiting", "done", "after"] {
        client.wf_run(kept).await;
    }
    refused(client.get_wf_run(id("last")).await, Code::NotFound, &[]);
    // The same id: the same job, whatever else is said.
    let again = client
        .create_bulk_job(request("job", BulkDeleteWfRun::default()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, done);
    let search = |status: Option<BulkJobStatus>| SearchBulkJobRequest {
        status: status.map(Into::into),
        ..SearchBulkJobRequest::default()
    };
    for (status, expected) in [
        (None, vec![job_id("job")]),
        (Some(BulkJobStatus::BulkJobCompleted), vec![job_id("job")]),
        (Some(BulkJobStatus::BulkJobRunning), vec![]),
    ] {
        let found = client.search_bulk_job(search(status)).await.unwrap();
        // spec 07-44
        assert_eq!(found.into_inner().results, expected);
    }
    let delete = DeleteBulkJobRequest {
        id: Some(job_id("job")),
    };
    client.delete_bulk_job(delete.clone()).await.unwrap();
    refused(
        client.delete_bulk_job(delete).await,
        Code::NotFound,
        &["job"],
    );
    // A job of that id begins afresh (DEV-34).
    client
        .create_bulk_job(request("job", of_all_time("s", LhStatus::Completed)))
        .await
        .unwrap();
    completed(client, "job").await;
    assert_eq!(texts(&runs_of("s").found(client).await), [""; 0]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_job_is_checked() {
    let (_dir, server, mut client) = server().await;
    let client = &mut client;
    let good = of_all_time("s", LhStatus::Completed);
    for (bad, words) in [
        (
            BulkDeleteWfRun {
                wf_spec_name: " ".to_owned(),
                ..good.clone()
            },
            "wfSpecName is required",
        ),
        (
            BulkDeleteWfRun {
                earliest_start: None,
                ..good.clone()
            },
            "earliest_start",
        ),
        (
            BulkDeleteWfRun {
                latest_start: None,
                ..good.clone()
            },
            "latest_start",
        ),
        (
            BulkDeleteWfRun {
                latest_start: Some(proto::time::from_millis(-1)),
                ..good.clone()
            },
            "must not be after",
        ),
        (
            BulkDeleteWfRun {
                wf_run_status: None,
                ..good.clone()
            },
            "status is required",
        ),
        (of_all_time("s", LhStatus::Running), "terminal status"),
    ] {
        // spec 05-59
        refused(
            client.create_bulk_job(request("bad", bad)).await,
            Code::InvalidArgument,
            &[words],
        );
    }
    let nothing = CreateBulkJobRequest {
        id: None,
        operation: None,
    };
    refused(
        client.create_bulk_job(nothing).await,
        Code::InvalidArgument,
        &["operation"],
    );
    refused(
        client.create_bulk_job(request("", good)).await,
        Code::InvalidArgument,
        &["id"],
    );
    refused(
        client
            .get_bulk_job(GetBulkJobRequest {
                id: Some(job_id("bad")),
            })
            .await,
        Code::NotFound,
        &[],
    );
    server.stop().await.unwrap();
}

fn in_tenant<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("tenantid", "other".parse().unwrap());
    request
}

#[tokio::test]
async fn a_job_stays_in_its_tenant() {
    let (_dir, server, mut client) = server().await;
    let client = &mut client;
    let tenant = PutTenantRequest {
        id: "other".to_owned(),
        ..PutTenantRequest::default()
    };
    client.put_tenant(tenant).await.unwrap();
    let spec = sequence("s", vec![], vec![nop()]);
    client.put_wf_spec(in_tenant(spec)).await.unwrap();
    client.run("s", "same").await;
    let run: RunWfRequest = run_request("s", "same", &[]);
    client.run_wf(in_tenant(run)).await.unwrap();
    let wanted = of_all_time("s", LhStatus::Completed);
    client
        .create_bulk_job(in_tenant(request("job", wanted)))
        .await
        .unwrap();
    until(|| {
        let mut client = client.clone();
        async move {
            let get = GetBulkJobRequest {
                id: Some(job_id("job")),
            };
            let job = client.get_bulk_job(in_tenant(get)).await.unwrap();
            (job.into_inner().status() == BulkJobStatus::BulkJobCompleted).then_some(())
        }
    })
    .await;
    refused(
        client.get_wf_run(in_tenant(id("same"))).await,
        Code::NotFound,
        &[],
    );
    // spec 05-59
    client.wf_run("same").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_large_run_is_gone_when_the_job_is_done_and_a_restart_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let server = ironhorse_rpc::Server::start(&config(&dir)).await.unwrap();
    let client = &mut connect(&server.addr().to_string()).await;
    client.define_event("go").await;
    client.define_event("else").await;
    client
        .define(sequence("large", vec![], vec![event("go")]))
        .await;
    client.run("large", "large").await;
    for n in 0..2500 {
        let put = put_event("large", "else", &n.to_string(), int(n));
        client.put_external_event(put).await.unwrap();
    }
    let go = put_event("large", "go", "g", VariableValue::default());
    client.put_external_event(go).await.unwrap();
    for n in 0..200 {
        client.run("large", &format!("s-{n}")).await;
        let go = put_event(&format!("s-{n}"), "go", "g", VariableValue::default());
        client.put_external_event(go).await.unwrap();
    }
    let wanted = of_all_time("large", LhStatus::Completed);
    let made = client.create_bulk_job(request("job", wanted)).await;
    assert_eq!(made.unwrap().into_inner().total_subprocesses, 2);
    server.stop().await.unwrap();
    let server = ironhorse_rpc::Server::start(&config(&dir)).await.unwrap();
    let client = &mut connect(&server.addr().to_string()).await;
    completed(client, "job").await;
    assert_eq!(texts(&runs_of("large").found(client).await), [""; 0]);
    let list = proto::littlehorse::ListExternalEventsRequest {
        wf_run_id: Some(id("large")),
        ..proto::littlehorse::ListExternalEventsRequest::default()
    };
    let listed = client.list_external_events(list).await.unwrap();
    assert_eq!(listed.into_inner().results, []);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_run_that_was_rescued_meanwhile_lives() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let work = task_def("work", &[], None);
    client.define_task(work).await;
    client
        .define(sequence(
            "s",
            vec![],
            vec![proto::littlehorse::node::Node::Task(task("work", vec![]))],
        ))
        .await;
    client.run("s", "r").await;
    let claimed = client.claim("work").await;
    client
        .report(status(&claimed, proto::littlehorse::TaskStatus::TaskFailed))
        .await;
    let rescue = RescueThreadRunRequest {
        wf_run_id: Some(id("r")),
        thread_run_number: 0,
        skip_current_node: false,
    };
    client.rescue_thread_run(rescue).await.unwrap();
    let wanted = of_all_time("s", LhStatus::Error);
    client
        .create_bulk_job(request("job", wanted))
        .await
        .unwrap();
    completed(client, "job").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    server.stop().await;
}

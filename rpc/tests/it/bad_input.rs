//! Wrong requests: each gets a code and a message that names field and reason, and changes nothing (ruling 4 of spec 00).

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    CheckpointId, DeleteExternalEventDefRequest, DeleteTaskDefRequest, DeleteWfRunRequest,
    DeleteWfSpecRequest, ExternalEventDefId, ExternalEventId, GetLatestWfSpecRequest,
    ListExternalEventsRequest, ListNodeRunsRequest, ListTaskRunsRequest, ListVariablesRequest,
    NodeRunId, PutCheckpointRequest, PutExternalEventRequest, PutTenantRequest, ReportTaskRun,
    ResumeWfRunRequest, RunWfRequest, ScheduledTask, SearchExternalEventDefRequest,
    SearchExternalEventRequest, SearchTaskDefRequest, SearchTaskRunRequest, SearchTenantRequest,
    SearchWfRunRequest, SearchWfSpecRequest, StopWfRunRequest, TaskDefId, TaskRunId, TaskStatus,
    TenantId, VariableId, VariableMatch, VariableType, VariableValue, WfRunId, WfSpecId,
};
use tonic::{Code, Response, Status};

use crate::support::*;

type Answer = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// A request, as it is written here; its answer; the code and the words that this must have.
struct Row {
    what: String,
    answer: Answer,
    code: Code,
    words: Vec<&'static str>,
}

/// One call that is refused.
macro_rules! row {
    ($server:ident.$rpc:ident($request:expr) is $code:ident $(, $word:expr)*) => {{
        let (mut client, request) = ($server.client.clone(), $request);
        Row {
            what: format!("{} {}", stringify!($rpc), stringify!($request)),
            answer: Box::pin(async move { client.$rpc(request).await.map(drop_answer) }),
            code: Code::$code,
            words: vec![$($word),*],
        }
    }};
}

fn drop_answer<T>(_: Response<T>) {}

/// Everything that there is, as text.
async fn state(client: &Client) -> Vec<String> {
    let mut parts = vec![
        format!("{:?}", SearchTenantRequest::default().found(client).await),
        format!("{:?}", SearchTaskDefRequest::default().found(client).await),
        format!(
            "{:?}",
            SearchExternalEventDefRequest::default().found(client).await
        ),
        format!("{:?}", SearchWfSpecRequest::default().found(client).await),
    ];
    for id in SearchWfRunRequest::default().found(client).await {
        let run = client.clone().get_wf_run(id.clone()).await.unwrap();
        parts.push(format!("{:?}", run.into_inner()));
        let wf_run_id = Some(id);
        let nodes = ListNodeRunsRequest {
            wf_run_id: wf_run_id.clone(),
            ..ListNodeRunsRequest::default()
        };
        parts.push(format!("{:?}", nodes.found(client).await));
        let tasks = ListTaskRunsRequest {
            wf_run_id: wf_run_id.clone(),
            ..ListTaskRunsRequest::default()
        };
        parts.push(format!("{:?}", tasks.found(client).await));
        let variables = ListVariablesRequest {
            wf_run_id: wf_run_id.clone(),
            ..ListVariablesRequest::default()
        };
        parts.push(format!("{:?}", variables.found(client).await));
        let events = ListExternalEventsRequest {
            wf_run_id,
            ..ListExternalEventsRequest::default()
        };
        parts.push(format!("{:?}", events.found(client).await));
    }
    parts
}

/// A server with one run, `r`, of WfSpec `s`, whose task is running, and one, `w`, that waits for an event.
async fn a_busy_server() -> (Fixture, ScheduledTask) {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client
        .define_task(task_def(
            "t",
            &[var_def("n", VariableType::Int)],
            Some(VariableType::Str),
        ))
        .await;
    let content = Some(returns(Some(VariableType::Int)));
    client
        .put_external_event_def(event_def("go", content))
        .await
        .unwrap();
    let vars = || {
        vec![
            required(var_def("x", VariableType::Int)),
            optional(var_def("ratio", VariableType::Double)),
            optional(var_def("obj", VariableType::JsonObj)),
        ]
    };
    let work = Kind::Task(task("t", vec![variable("x")]));
    client
        .define(sequence("s", vars(), vec![work, event("go")]))
        .await;
    client
        .define(sequence("waits", vec![], vec![event("go")]))
        .await;
    client.run_with("s", "r", &[("x", int(1))]).await;
    client.run("waits", "w").await;
    let task = client.claim("t").await;
    (server, task)
}

async fn all_refused(server: &Fixture, rows: Vec<Row>) {
    let before = state(&server.client).await;
    for row in rows {
        let what = row.what;
        let status = row.answer.await.expect_err(&format!("{what} was accepted"));
        assert_eq!(status.code(), row.code, "{what}: {status}");
        assert!(
            !matches!(status.code(), Code::Internal | Code::Unknown),
            "{what}: {status}"
        );
        for word in row.words {
            assert!(
                status.message().contains(word),
                "{what}: {word:?} is not in {status}"
            );
        }
    }
    assert_eq!(state(&server.client).await, before);
}

fn named(name: &str) -> ExternalEventDefId {
    ExternalEventDefId {
        name: name.to_owned(),
    }
}

fn start(inputs: &[(&str, VariableValue)]) -> RunWfRequest {
    run_request("s", "new", inputs)
}

fn deep(levels: usize) -> WfRunId {
    (0..levels).fold(id("root"), |parent, _| WfRunId {
        id: "a".to_owned(),
        parent_wf_run_id: Some(Box::new(parent)),
    })
}

#[tokio::test]
async fn wrong_commands_are_refused() {
    let (server, task) = a_busy_server().await;
    let x = || ("x", int(1));
    let run = || RunWfRequest {
        id: Some("new".to_owned()),
        ..start(&[x()])
    };
    let event = || put_event("w", "go", "g", int(1));
    let report = || success(&task, Some(text("done")));
    let unknown_task = |guid: &str, run: &str| {
        Some(TaskRunId {
            wf_run_id: Some(id(run)),
            task_guid: guid.to_owned(),
        })
    };
    let stop = |run: Option<WfRunId>, thread_run_number| StopWfRunRequest {
        wf_run_id: run,
        thread_run_number,
    };
    let resume = |run: Option<WfRunId>, thread_run_number| ResumeWfRunRequest {
        wf_run_id: run,
        thread_run_number,
    };
    let rows = vec![
        row!(server.run_wf(RunWfRequest::default()) is InvalidArgument, "wf_spec_name"),
        row!(server.run_wf(run_request("unknown", "new", &[])) is NotFound, "WfSpec", "unknown"),
        row!(server.run_wf(RunWfRequest { major_version: Some(-1), ..run() }) is NotFound, "WfSpec", "s"),
        row!(server.run_wf(run_request("s", "no_good", &[x()])) is InvalidArgument, "id", "hostname"),
        row!(server.run_wf(run_request("s", "", &[x()])) is InvalidArgument, "id", "hostname"),
        row!(server.run_wf(run_request("s", "r", &[x()])) is AlreadyExists, "WfRun", "r"),
        row!(server.run_wf(start(&[])) is InvalidArgument, "x", "INT", "required"),
        row!(server.run_wf(start(&[("x", text("1"))])) is InvalidArgument, "x", "INT", "STR"),
        row!(server.run_wf(start(&[("x", double(1.0))])) is InvalidArgument, "x", "INT", "DOUBLE"),
        row!(server.run_wf(start(&[x(), ("y", int(1))])) is InvalidArgument, "y", "not declared"),
        row!(server.run_wf(start(&[x(), ("obj", json("{"))])) is InvalidArgument, "obj", "JSON"),
        row!(server.run_wf(start(&[x(), ("obj", json("7"))])) is InvalidArgument, "obj", "JSON"),
        row!(server.run_wf(start(&[x(), ("obj", json(&"{\"a\":".repeat(9_999)))])) is InvalidArgument, "obj", "JSON"),
        row!(server.run_wf(RunWfRequest { parent_wf_run_id: Some(id("r")), ..run() }) is InvalidArgument, "parent_wf_run_id", "s"),
        row!(server.run_wf(RunWfRequest { parent_wf_run_id: Some(deep(120)), ..run() }) is InvalidArgument, "parent_wf_run_id"),
        row!(server.put_external_event(PutExternalEventRequest::default()) is InvalidArgument, "wf_run_id"),
        row!(server.put_external_event(PutExternalEventRequest { external_event_def_id: None, ..event() }) is InvalidArgument, "ExternalEventDef"),
        row!(server.put_external_event(put_event("w", "nope", "g", int(1))) is InvalidArgument, "ExternalEventDef", "nope"),
        row!(server.put_external_event(put_event("a.b", "go", "g", int(1))) is InvalidArgument, "wf_run_id", "a.b"),
        row!(server.put_external_event(put_event("a_", "go", "g", int(1))) is InvalidArgument, "wf_run_id"),
        row!(server.put_external_event(put_event("w", "go", "a/b", int(1))) is InvalidArgument, "guid", "a/b"),
        row!(server.put_external_event(put_event("w", "go", "g", text("x"))) is InvalidArgument, "go", "INT", "STR"),
        row!(server.stop_wf_run(stop(None, 0)) is InvalidArgument, "wf_run_id"),
        row!(server.stop_wf_run(stop(Some(id("")), 0)) is InvalidArgument, "wf_run_id"),
        row!(server.stop_wf_run(stop(Some(id("nobody")), 0)) is NotFound, "WfRun", "nobody"),
        row!(server.stop_wf_run(stop(Some(id("w")), -1)) is InvalidArgument, "thread_run_number", "-1"),
        row!(server.stop_wf_run(stop(Some(id("w")), 1)) is InvalidArgument, "thread_run_number", "1"),
        row!(server.resume_wf_run(resume(None, 0)) is InvalidArgument, "wf_run_id"),
        row!(server.resume_wf_run(resume(Some(id("nobody")), 0)) is NotFound, "WfRun", "nobody"),
        row!(server.resume_wf_run(resume(Some(id("w")), i32::MAX)) is InvalidArgument, "thread_run_number"),
        row!(server.delete_wf_run(DeleteWfRunRequest::default()) is InvalidArgument, "id"),
        row!(server.report_task(ReportTaskRun::default()) is InvalidArgument, "task_run_id"),
        row!(server.report_task(ReportTaskRun { task_run_id: unknown_task("0-1", "nobody"), ..report() }) is InvalidArgument, "TaskRun", "nobody"),
        row!(server.report_task(ReportTaskRun { task_run_id: unknown_task("0-7", "r"), ..report() }) is InvalidArgument, "TaskRun", "0-7"),
        row!(server.report_task(ReportTaskRun { task_run_id: unknown_task("x", "r"), ..report() }) is InvalidArgument, "TaskRun", "x"),
        row!(server.report_task(ReportTaskRun { task_run_id: unknown_task("", "r"), ..report() }) is InvalidArgument, "TaskRun"),
        row!(server.report_task(ReportTaskRun { attempt_number: -1, ..report() }) is InvalidArgument, "attempt_number", "-1"),
        row!(server.report_task(ReportTaskRun { attempt_number: 1, ..report() }) is InvalidArgument, "attempt_number", "1"),
        row!(server.report_task(ReportTaskRun { status: 99, ..report() }) is InvalidArgument, "status", "99"),
        row!(server.report_task(status(&task, TaskStatus::TaskRunning)) is InvalidArgument, "status", "TASK_RUNNING"),
        row!(server.report_task(status(&task, TaskStatus::TaskException)) is InvalidArgument, "exception"),
        row!(server.put_checkpoint(PutCheckpointRequest::default()) is InvalidArgument, "task_run_id"),
        row!(server.put_checkpoint(PutCheckpointRequest { task_run_id: unknown_task("0-9", "r"), ..Default::default() }) is InvalidArgument, "TaskRun", "0-9"),
        row!(server.put_tenant(PutTenantRequest::default()) is InvalidArgument, "valid hostname"),
        row!(server.put_task_def(task_def("", &[], None)) is InvalidArgument, "name", "hostname"),
        row!(server.put_task_def(task_def("t", &[], None)) is AlreadyExists, "t", "immutable"),
        row!(server.put_external_event_def(event_def("a/b", None)) is InvalidArgument, "name", "hostname"),
        row!(server.put_wf_spec(sequence("", vec![], vec![])) is InvalidArgument, "name", "hostname"),
        row!(server.delete_task_def(DeleteTaskDefRequest::default()) is NotFound, "TaskDef"),
        row!(server.delete_external_event_def(DeleteExternalEventDefRequest::default()) is NotFound, "ExternalEventDef"),
        row!(server.delete_wf_spec(DeleteWfSpecRequest::default()) is NotFound, "WfSpec"),
    ];
    all_refused(&server, rows).await;
    server.stop().await;
}

#[tokio::test]
async fn wrong_reads_are_refused() {
    let (server, _) = a_busy_server().await;
    let gone = "Requested object was not found.";
    let node_run = |run: Option<WfRunId>, thread_run_number, position| NodeRunId {
        wf_run_id: run,
        thread_run_number,
        position,
    };
    let task_run = |guid: &str| TaskRunId {
        wf_run_id: Some(id("r")),
        task_guid: guid.to_owned(),
    };
    let match_x = |name: &str| VariableMatch {
        var_name: name.to_owned(),
        value: Some(int(1)),
    };
    let runs = || runs_of("s");
    let tasks = |name: &str| SearchTaskRunRequest {
        task_def_name: name.to_owned(),
        ..Default::default()
    };
    let events = |def| SearchExternalEventRequest {
        external_event_def_id: def,
        ..Default::default()
    };
    let mut rows = vec![
        row!(server.get_wf_run(WfRunId::default()) is NotFound, gone),
        row!(server.get_wf_run(id("no/good")) is NotFound, gone),
        row!(server.get_wf_run(id("_")) is NotFound, gone),
        row!(server.get_wf_run(id("r_r")) is NotFound, gone),
        row!(server.get_wf_run(deep(90)) is NotFound, gone),
        row!(server.get_node_run(NodeRunId::default()) is NotFound, gone),
        row!(server.get_node_run(node_run(Some(id("r")), 0, -1)) is NotFound, gone),
        row!(server.get_node_run(node_run(Some(id("r")), i32::MAX, i32::MIN)) is NotFound, gone),
        row!(server.get_task_run(TaskRunId::default()) is NotFound, gone),
        row!(server.get_task_run(task_run("x")) is NotFound, gone),
        row!(server.get_task_run(task_run("0-1-2-3")) is NotFound, gone),
        row!(server.get_task_run(task_run("99999999999-1")) is NotFound, gone),
        row!(server.get_variable(VariableId::default()) is NotFound, gone),
        row!(server.get_variable(VariableId { wf_run_id: Some(id("r")), name: "y".to_owned(), ..Default::default() }) is NotFound, gone),
        row!(server.get_external_event(ExternalEventId::default()) is NotFound, gone),
        row!(server.get_checkpoint(CheckpointId::default()) is NotFound, gone),
        row!(server.get_checkpoint(CheckpointId { task_run: Some(task_run("0-1")), checkpoint_number: -1 }) is NotFound, gone),
        row!(server.get_task_worker_group(TaskDefId::default()) is NotFound, gone),
        row!(server.get_task_def(TaskDefId::default()) is NotFound, gone),
        row!(server.get_external_event_def(ExternalEventDefId::default()) is NotFound, gone),
        row!(server.get_wf_spec(WfSpecId::default()) is NotFound, gone),
        row!(server.get_wf_spec(WfSpecId { name: "s".to_owned(), major_version: i32::MIN, revision: -1 }) is NotFound, gone),
        row!(server.get_latest_wf_spec(GetLatestWfSpecRequest::default()) is NotFound, gone),
        row!(server.get_tenant(TenantId::default()) is NotFound, gone),
        // spec 07-46
        row!(server.list_node_runs(ListNodeRunsRequest::default()) is InvalidArgument, "wf_run_id"),
        row!(server.list_task_runs(ListTaskRunsRequest::default()) is InvalidArgument, "wf_run_id"),
        row!(server.list_variables(ListVariablesRequest::default()) is InvalidArgument, "wf_run_id"),
        row!(server.list_external_events(ListExternalEventsRequest::default()) is InvalidArgument, "wf_run_id"),
        row!(server.list_node_runs(ListNodeRunsRequest { wf_run_id: Some(id("")), ..Default::default() }) is InvalidArgument, "wf_run_id"),
        // spec 07-16, 07-17
        row!(server.search_wf_run(SearchWfRunRequest { wf_spec_revision: Some(0), ..runs() }) is InvalidArgument, "wf_spec_revision", "wf_spec_major_version"),
        row!(server.search_wf_run(SearchWfRunRequest { wf_spec_major_version: Some(0), ..Default::default() }) is InvalidArgument, "wf_spec_major_version", "wf_spec_name"),
        row!(server.search_wf_run(runs_of("unknown")) is InvalidArgument, "WfSpec", "unknown"),
        row!(server.search_wf_run(SearchWfRunRequest { wf_spec_major_version: Some(3), ..runs() }) is InvalidArgument, "WfSpec", "s"),
        row!(server.search_wf_run(SearchWfRunRequest { status: Some(99), ..runs() }) is InvalidArgument, "status", "99"),
        // spec 07-22
        row!(server.search_wf_run(SearchWfRunRequest { variable_filters: vec![match_x("nope")], ..runs() }) is InvalidArgument, "nope", "s"),
        row!(server.search_wf_run(SearchWfRunRequest { variable_filters: vec![match_x("x")], ..Default::default() }) is InvalidArgument, "variable_filters", "wf_spec_name"),
        row!(server.search_task_run(tasks(" ")) is InvalidArgument, "task_def_name"),
        row!(server.search_task_run(SearchTaskRunRequest { status: Some(-1), ..tasks("t") }) is InvalidArgument, "status", "-1"),
        // spec 07-38
        row!(server.search_external_event(events(None)) is InvalidArgument, "external_event_def_id"),
        row!(server.search_external_event(events(Some(named(" ")))) is InvalidArgument, "external_event_def_id"),
        row!(server.search_external_event(events(Some(named("nope")))) is InvalidArgument, "nope"),
    ];
    // spec 07-5
    for limit in [0, -1, i32::MIN] {
        let limit = Some(limit);
        let run = Some(id("r"));
        let words = "limit must be positive";
        rows.extend([
            row!(server.search_wf_run(runs().with(limit, None)) is InvalidArgument, words),
            row!(server.search_task_run(tasks("t").with(limit, None)) is InvalidArgument, words),
            row!(server.search_external_event(events(Some(named("go"))).with(limit, None)) is InvalidArgument, words),
            row!(server.search_task_def(SearchTaskDefRequest::default().with(limit, None)) is InvalidArgument, words),
            row!(server.search_external_event_def(SearchExternalEventDefRequest::default().with(limit, None)) is InvalidArgument, words),
            row!(server.search_wf_spec(SearchWfSpecRequest::default().with(limit, None)) is InvalidArgument, words),
            row!(server.search_tenant(SearchTenantRequest::default().with(limit, None)) is InvalidArgument, words),
            row!(server.list_node_runs(ListNodeRunsRequest { wf_run_id: run.clone(), limit, ..Default::default() }) is InvalidArgument, words),
            row!(server.list_task_runs(ListTaskRunsRequest { wf_run_id: run.clone(), limit, ..Default::default() }) is InvalidArgument, words),
            row!(server.list_variables(ListVariablesRequest { wf_run_id: run.clone(), limit, ..Default::default() }) is InvalidArgument, words),
            row!(server.list_external_events(ListExternalEventsRequest { wf_run_id: run, limit, ..Default::default() }) is InvalidArgument, words),
        ]);
    }
    all_refused(&server, rows).await;
    server.stop().await;
}

#[tokio::test]
async fn a_bookmark_is_good_for_its_own_search_only() {
    let mut server = Fixture::start().await;
    server
        .client
        .put_tenant(PutTenantRequest {
            id: "t1".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap();
    for tenant in ["default", "t1"] {
        for name in ["a", "b"] {
            let def = in_tenant(tenant, task_def(name, &[], None));
            server.client.put_task_def(def).await.unwrap();
            let spec = in_tenant(tenant, sequence(name, vec![], vec![nop()]));
            server.client.put_wf_spec(spec).await.unwrap();
            for run in ["1", "2"] {
                let run = in_tenant(tenant, run_request(name, &format!("{name}{run}"), &[]));
                server.client.run_wf(run).await.unwrap();
            }
        }
    }
    let of_a = runs_of("a")
        .with(Some(1), None)
        .ask(server.client.clone())
        .await;
    let good = of_a.unwrap().1.expect("a second page");
    let (page, end) = runs_of("a")
        .with(Some(1), Some(good.clone()))
        .ask(server.client.clone())
        .await
        .unwrap();
    assert_eq!((texts(&page), end), (vec!["a2".to_owned()], None));
    // spec 07-6: no bytes are no bookmark.
    let first = runs_of("a")
        .with(Some(1), Some(Bytes::new()))
        .ask(server.client.clone())
        .await;
    assert_eq!(texts(&first.unwrap().0), ["a1"]);
    let mark = |bookmark: &Bytes| Some(bookmark.clone());
    let mut flipped = good.to_vec();
    flipped[20] ^= 1;
    let garbage = Bytes::from_static(&[0xff, 0x00, 0x12]);
    let flipped = Bytes::from(flipped);
    let cut = good.slice(..good.len() - 1);
    let tasks = SearchTaskRunRequest {
        task_def_name: "a".to_owned(),
        ..Default::default()
    };
    let nodes = ListNodeRunsRequest {
        wf_run_id: Some(id("a1")),
        ..Default::default()
    };
    let word = "bookmark is invalid";
    let rows = vec![
        // spec 07-6
        row!(server.search_wf_run(runs_of("a").with(None, mark(&garbage))) is InvalidArgument, word),
        row!(server.search_wf_run(runs_of("a").with(None, mark(&flipped))) is InvalidArgument, word),
        row!(server.search_wf_run(runs_of("a").with(None, mark(&cut))) is InvalidArgument, word),
        row!(server.search_task_def(SearchTaskDefRequest::default().with(None, mark(&garbage))) is InvalidArgument, word),
        row!(server.list_node_runs(nodes.clone().with(None, mark(&garbage))) is InvalidArgument, word),
        // spec 07-7
        row!(server.search_wf_run(runs_of("b").with(None, mark(&good))) is InvalidArgument, word, "other criteria"),
        row!(server.search_wf_run(SearchWfRunRequest { status: Some(1), ..runs_of("a") }.with(None, mark(&good))) is InvalidArgument, word),
        row!(server.search_wf_run(in_tenant("t1", runs_of("a").with(None, mark(&good)))) is InvalidArgument, word, "tenant"),
        row!(server.search_task_def(SearchTaskDefRequest::default().with(None, mark(&good))) is InvalidArgument, word, "RPC"),
        row!(server.search_wf_spec(SearchWfSpecRequest::default().with(None, mark(&good))) is InvalidArgument, word),
        row!(server.search_tenant(SearchTenantRequest::default().with(None, mark(&good))) is InvalidArgument, word),
        row!(server.search_task_run(tasks.with(None, mark(&good))) is InvalidArgument, word),
        row!(server.list_node_runs(nodes.with(None, mark(&good))) is InvalidArgument, word),
    ];
    all_refused(&server, rows).await;
    // One of another data directory.
    let other = Fixture::start().await;
    let stranger = other
        .client
        .clone()
        .search_tenant(SearchTenantRequest {
            bookmark: Some(good),
            ..Default::default()
        })
        .await;
    refused(stranger, Code::InvalidArgument, &[word]);
    other.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_tenant_is_not_served() {
    let (server, task) = a_busy_server().await;
    let refused = "Tenant not allowed";
    let mut binary = tonic::Request::new(id("r"));
    let value = tonic::metadata::MetadataValue::try_from(&b"caf\xe9"[..]).unwrap();
    binary.metadata_mut().insert("tenantid", value);
    let rows = vec![
        // spec 08-3
        row!(server.whoami(in_tenant("ghost", ())) is PermissionDenied, refused),
        row!(server.get_server_version(in_tenant("ghost", ())) is PermissionDenied, refused),
        row!(server.whoami(in_tenant("", ())) is PermissionDenied, refused),
        row!(server.get_wf_run(in_tenant("ghost", id("r"))) is PermissionDenied, refused),
        row!(server.get_wf_run(in_tenant("Default", id("r"))) is PermissionDenied, refused),
        row!(server.get_wf_run(binary) is PermissionDenied, refused),
        row!(server.run_wf(in_tenant("ghost", run_request("s", "new", &[]))) is PermissionDenied, refused),
        row!(server.report_task(in_tenant("ghost", success(&task, None))) is PermissionDenied, refused),
        row!(server.put_task_def(in_tenant("ghost", task_def("t", &[], None))) is PermissionDenied, refused),
        row!(server.search_wf_run(in_tenant("ghost", runs_of("s"))) is PermissionDenied, refused),
        row!(server.poll_task(in_tenant("ghost", tokio_stream::empty())) is PermissionDenied, refused),
        // For these the header's tenant need not exist: this is how clients make it.
        row!(server.get_tenant(in_tenant("ghost", TenantId { id: "ghost".to_owned() })) is NotFound, "not found"),
    ];
    all_refused(&server, rows).await;
    let made = PutTenantRequest {
        id: "ghost".to_owned(),
        ..Default::default()
    };
    server
        .client
        .clone()
        .put_tenant(in_tenant("ghost", made))
        .await
        .unwrap();
    server
        .client
        .clone()
        .whoami(in_tenant("ghost", ()))
        .await
        .unwrap();
    server.stop().await;
}

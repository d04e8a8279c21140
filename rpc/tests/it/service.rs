//! The server as a service: who it says it is, what it does not build, health, reflection, HTTP, and the command line.

use std::process::{Command, Output};
use std::time::Duration;

use bytes::Bytes;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    AclAction, AclResource, LhStatus, PollTaskRequest, SearchWfRunRequest, TaskDefId, VariableType,
};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::*;

const SERVICE: &str = "littlehorse.LittleHorse";

/// What this version does not build: these answer `UNIMPLEMENTED`.
const UNBUILT: [&str; 4] = [
    "GetTaskDefMetricsWindow",
    "GetWfSpecMetricsWindow",
    "ListQuotaUsageMetrics",
    "MigrateWfSpec",
];

#[tokio::test]
async fn it_says_who_is_calling_and_what_it_speaks() {
    let mut server = Fixture::start().await;
    let principal = server.client.whoami(()).await.unwrap().into_inner();
    // spec 08-1
    assert_eq!(principal.id.unwrap().id, "anonymous");
    let acls = principal.global_acls.unwrap().acls;
    assert_eq!(acls.len(), 1);
    assert_eq!(acls[0].resources, [i32::from(AclResource::AclAllResources)]);
    assert_eq!(acls[0].allowed_actions, [i32::from(AclAction::AllActions)]);
    assert!(principal.per_tenant_acls.is_empty());
    let version = server.client.get_server_version(()).await.unwrap();
    let version = version.into_inner();
    assert_eq!((version.major_version, version.minor_version), (1, 3));
    assert_eq!(version.pre_release_identifier, None);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_built_answers_with_its_name() {
    let server = Fixture::start().await;
    let channel = channel(server.address()).await;
    let table = include_str!("../../../proto/wire/rpcs.tsv");
    let rpcs: Vec<&str> = table
        .lines()
        .skip(1)
        .map(|line| line.split('\t').nth(1).unwrap())
        .collect();
    assert_eq!(rpcs.len(), 108);
    for rpc in &rpcs {
        let answer = call(&channel, rpc, Bytes::new()).await;
        if !UNBUILT.contains(rpc) {
            if let Err(status) = answer {
                let code = status.code();
                let is_clear = matches!(
                    code,
                    Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition
                );
                assert!(is_clear, "{rpc}: {status}");
                assert!(!status.message().is_empty(), "{rpc}");
            }
            continue;
        }
        let status = answer.expect_err(&format!("{rpc} answers"));
        // spec 07-57: among them those that stay so, MigrateWfSpec too.
        assert_eq!(status.code(), Code::Unimplemented, "{rpc}: {status}");
        assert_eq!(status.message(), format!("{rpc} is not built yet"));
    }
    for rpc in UNBUILT {
        assert!(rpcs.contains(&rpc), "{rpc} is no RPC");
    }
    server.stop().await;
}

#[tokio::test]
async fn health_and_reflection_are_there() {
    let server = Fixture::start().await;
    let channel = channel(server.address()).await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", SERVICE] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = HealthCheckRequest {
        service: "nobody".to_owned(),
    };
    refused(health.check(unknown).await, Code::NotFound, &[]);
    let asked = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol(format!("{SERVICE}.RunWf")),
    ]
    .map(|request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    });
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection
        .server_reflection_info(tokio_stream::iter(asked))
        .await
        .unwrap()
        .into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = listed else {
        panic!("{listed:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|it| it.name).collect();
    assert!(names.contains(&SERVICE.to_owned()), "{names:?}");
    let found = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = found else {
        panic!("{found:?}")
    };
    assert!(!files.file_descriptor_proto.is_empty());
    // It ends by itself: an open stream would hold up the stop.
    assert!(answers.message().await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn http_tells_how_it_is() {
    let mut server = Fixture::start().await;
    let at = server.http();
    // spec 07-58, 08-54 (a starting server: rpc/src/http.rs)
    for path in ["/liveness", "/liveness?x=1", "/readiness"] {
        let answer = http(at, "GET", path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "OK!"),
            "{path}"
        );
        assert!(answer.head.contains("content-length: 3"), "{}", answer.head);
        let answer = http(at, "POST", path).await;
        assert_eq!((answer.status, answer.body.as_str()), (405, ""), "{path}");
    }
    for path in ["/nope", "/", "/liveness/x"] {
        let answer = http(at, "GET", path).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{path}");
    }
    let answer = http(at, "GET", "/status").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"));
    let status: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status["coreState"], "RUNNING");
    assert_eq!(status["host"], "127.0.0.1");
    assert_eq!(status["port"], server.address().port());
    assert_eq!(status["instanceId"], 0);
    let partitions = status["coreActiveTasks"].as_array().unwrap();
    assert_eq!(partitions.len(), 2);
    assert_eq!(partitions[1]["partition"], 1);
    for list in ["restorations", "coreStandbyTasks", "timerStandbyTasks"] {
        assert_eq!(status[list], serde_json::json!([]), "{list}");
    }
    let answer = http(at, "GET", "/diskUsage").await;
    let usage: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(usage["diskUsageBytes"].as_u64().unwrap() > 0, "{usage}");
    assert_eq!(http(at, "GET", "/standby-status").await.body, "{}");
    server.client.define(sequence("s", vec![], vec![])).await;
    server.client.run("s", "r").await;
    let answer = http(at, "GET", "/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(answer.head.contains(kind), "{}", answer.head);
    for group in ["metadata", "0", "1"] {
        let line = format!("ironhorse_group_running{{group=\"{group}\"}} 1");
        assert!(
            answer.body.contains(&line),
            "{line} is not in {}",
            answer.body
        );
    }
    assert!(answer.body.contains("ironhorse_log_bytes_total "));
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_workers_share_a_connection() {
    const STREAMS: usize = 1_200;
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    client
        .define(sequence("s", vec![], vec![Kind::Task(task("t", vec![]))]))
        .await;
    let mut streams = Vec::new();
    for worker in 0..STREAMS {
        let mut polls = Polls::open(client, "t", &format!("worker-{worker}")).await;
        polls.ask().await;
        streams.push(polls);
    }
    let mut runs = tokio::task::JoinSet::new();
    for run in 0..STREAMS {
        let mut client = client.clone();
        runs.spawn(async move {
            client.run("s", &format!("run-{run}")).await;
        });
    }
    runs.join_all().await;
    // Each asked once, so each gets one; meanwhile the connection serves other calls.
    let mut seen = std::collections::BTreeSet::new();
    for polls in &mut streams {
        let task = polls.next().await;
        let run = task.task_run_id.clone().unwrap().wf_run_id.unwrap().id;
        assert!(seen.insert(run), "it was delivered twice");
        client.report(success(&task, None)).await;
    }
    assert_eq!(seen.len(), STREAMS);
    let completed = SearchWfRunRequest {
        status: Some(LhStatus::Completed.into()),
        ..runs_of("s")
    };
    assert_eq!(completed.paged(client, 1000).await.concat().len(), STREAMS);
    server.stop().await;
}

/// The binary, run to its end.
fn ironhorse(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).output().unwrap()
}

async fn command(args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        ironhorse(&args.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("it hangs")
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn the_command_line_tells_of_server_and_runs() {
    let mut server = Fixture::start().await;
    let at = server.address().to_string();
    let http = server.http().to_string();
    let (code, out, _) = command(&["status", "--server", &at, "--http", &http]).await;
    assert_eq!(code, Some(0), "{out}");
    for word in [
        at.as_str(),
        "1.3.0",
        "anonymous",
        "serving",
        "indexes    complete",
    ] {
        assert!(out.contains(word), "{word} is not in {out}");
    }
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    let vars = vec![optional(var_def("who", VariableType::Str))];
    let nodes = vec![Kind::Task(task("t", vec![]))];
    client.define(sequence("s", vars, nodes)).await;
    client.run_with("s", "r", &[("who", text("obiwan"))]).await;
    let (code, out, _) = command(&["get", "wfRun", "r", "--server", &at]).await;
    assert_eq!(code, Some(0), "{out}");
    for word in [
        "WfRun    r",
        "s/00000/00000",
        "RUNNING",
        "TASK 1",
        "node 0/1",
        "who",
        "obiwan",
    ] {
        assert!(out.contains(word), "{word} is not in {out}");
    }
    let (code, _, err) = command(&["get", "wfRun", "nobody", "--server", &at]).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("NotFound") && err.contains("not found"),
        "{err}"
    );
    let ghost = ["get", "wfRun", "r", "--server", &at, "--tenant", "ghost"];
    let (code, _, err) = command(&ghost).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("Tenant not allowed"), "{err}");
    server.stop().await;
    // Now nobody is there.
    for args in [
        &["status", "--server", &at][..],
        &["get", "wfRun", "r", "--server", &at],
    ] {
        let (code, out, err) = command(args).await;
        assert_eq!((code, out.as_str()), (Some(1), ""));
        for word in ["no server at", at.as_str(), "ironhorse server"] {
            assert!(err.contains(word), "{word} is not in {err}");
        }
    }
}

#[tokio::test]
async fn the_command_line_says_what_it_takes() {
    let (code, out, _) = command(&["--version"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        out.trim(),
        format!("ironhorse {}", env!("CARGO_PKG_VERSION"))
    );
    let (code, out, _) = command(&["--help"]).await;
    assert_eq!(code, Some(0));
    for word in ["server", "status", "get"] {
        assert!(out.contains(word), "{word} is not in {out}");
    }
    for (args, words) in [
        (&["nonsense"][..], "nonsense"),
        (&["server", "--listen", "localhost5000"], "localhost5000"),
        (&["server", "--groups", "many"], "many"),
        (&["get", "task", "r"], "wfRun"),
    ] {
        let (code, _, err) = command(args).await;
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(words), "{words} is not in {err}");
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    for (args, words) in [
        (vec!["--groups", "0"], "between 1 and 256"),
        (vec!["--advertise", "nonsense"], "HOST:PORT"),
        (vec!["--config", "/no/such/file.toml"], "/no/such/file.toml"),
    ] {
        let all = [
            &[
                "server",
                "--data-dir",
                data,
                "--listen",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
            ],
            &args[..],
        ];
        let (code, _, err) = command(&all.concat()).await;
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(words), "{words} is not in {err}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let (code, _, err) = command(&[
        "server",
        "--data-dir",
        data,
        "--listen",
        &at,
        "--http",
        "127.0.0.1:0",
    ])
    .await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("cannot listen on") && err.contains("--listen"),
        "{err}"
    );
}

#[tokio::test]
async fn sigterm_ends_it_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = ServerProcess::spawn(&data_dir(&dir), 2);
    let (mut process, address) = tokio::task::spawn_blocking(move || {
        let address = process.address();
        (process, address)
    })
    .await
    .unwrap();
    let mut client = connect(&address).await;
    client.define(sequence("s", vec![], vec![])).await;
    client.run("s", "before").await;
    let (requests, polls) = tokio::sync::mpsc::channel(1);
    let poll = PollTaskRequest {
        task_def_id: Some(TaskDefId {
            name: "t".to_owned(),
        }),
        ..PollTaskRequest::default()
    };
    requests.send(poll).await.unwrap();
    let polls = tokio_stream::wrappers::ReceiverStream::new(polls);
    let mut answers = client.poll_task(polls).await.unwrap().into_inner();
    process.terminate();
    // spec 08-53 (readiness: rpc/src/http.rs)
    let ended = tokio::time::timeout(PATIENCE, answers.message()).await;
    let status = ended
        .expect("the stream stays open")
        .expect_err("it ended well");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("shutting down"), "{status}");
    let mut after = async || {
        client
            .run_wf(run_request("s", "after", &[]))
            .await
            .unwrap_err()
    };
    let mut refusal = after().await;
    if refusal.code() == Code::Cancelled {
        // tonic's own word for a call that it handed to a connection in the moment in which that closed.
        refusal = after().await;
    }
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal}");
    let (code, said) = tokio::task::spawn_blocking(|| process.ended())
        .await
        .unwrap();
    assert_eq!(code.code(), Some(0), "{said}");
    assert!(
        said.contains("SIGTERM") && said.contains("stopped"),
        "{said}"
    );
    let server = ironhorse_rpc::Server::start(&config(&dir)).await.unwrap();
    let client = connect(&server.addr().to_string()).await;
    assert_eq!(texts(&runs_of("s").found(&client).await), ["before"]);
    tokio::time::timeout(Duration::from_secs(5), server.stop())
        .await
        .unwrap()
        .unwrap();
}

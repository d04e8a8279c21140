//! Requests that cannot be read, and those that are too large (spec 04, section 9.4; spec 08, sections 7.6 and 8).

use bytes::Bytes;
use prost::Message;
use proto::littlehorse::StartThreadNode;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    LhStatus, ListExternalEventsRequest, PollTaskRequest, SearchWfRunRequest, SearchWfSpecRequest,
    TaskDefId, TaskStatus, VariableMutationType, VariableType, VariableValue, WfRunId,
    task_attempt,
};
use tonic::Code;

use crate::support::*;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const STR: VariableType = VariableType::Str;

/// A text that no compression makes small.
fn long(bytes: usize) -> VariableValue {
    let mut state = 7_u32;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    });
    text(&random.take(bytes).collect::<String>())
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let server = Fixture::start().await;
    let channel = channel(server.address()).await;
    let not_utf8 = Bytes::from_static(&[0x0a, 2, 0xff, 0xfe]);
    let cut = Bytes::from_static(&[0x0a, 200]);
    let other_type = Bytes::from_static(&[0x08, 1]);
    let nested = (0..150).fold(id("r"), |parent, _| WfRunId {
        id: "a".to_owned(),
        parent_wf_run_id: Some(Box::new(parent)),
    });
    for (rpc, request) in [
        ("RunWf", &not_utf8),
        ("RunWf", &cut),
        ("RunWf", &other_type),
        ("PutTaskDef", &not_utf8),
        ("ReportTask", &cut),
        ("GetWfRun", &Bytes::from(nested.encode_to_vec())),
        ("PollTask", &cut),
        ("SearchWfRun", &Bytes::from_static(&[0x0a])),
    ] {
        let status = call(&channel, rpc, request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{rpc}: {status}");
        assert!(
            status.message().contains("cannot be read"),
            "{rpc}: {status}"
        );
    }
    let status = call(&channel, "Nonsense", Bytes::new()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(
        status
            .message()
            .contains("littlehorse.LittleHorse/Nonsense")
    );
    assert!(
        SearchWfRunRequest::default()
            .found(&server.client)
            .await
            .is_empty()
    );
    server.stop().await;
}

#[tokio::test]
async fn a_command_that_is_too_large_changes_nothing() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let vars = || vec![optional(var_def("s", STR))];
    client.define(sequence("s", vars(), vec![])).await;
    client.define_event("go").await;
    client
        .define(sequence("waits", vec![], vec![event("go")]))
        .await;
    client.run("waits", "w").await;
    for size in [1_047_000, 2 * MIB, 15 * MIB, 17 * MIB] {
        let large = || long(size);
        // spec 08-46
        let run = client
            .run_wf(run_request("s", "r", &[("s", large())]))
            .await;
        let status = run.expect_err("it was accepted");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("Record too large"), "{status}");
        assert!(status.details().is_empty(), "no RetryInfo");
        refused(client.get_wf_run(id("r")).await, Code::NotFound, &[]);
        let put = client
            .put_external_event(put_event("w", "go", "g", large()))
            .await;
        refused(put, Code::ResourceExhausted, &["Record too large"]);
        let mut spec = sequence("large", vec![], vec![]);
        let mut var = private(var_def("s", STR));
        var.var_def.as_mut().unwrap().default_value = Some(large());
        spec.thread_specs
            .get_mut("main")
            .unwrap()
            .variable_defs
            .push(var);
        refused(
            client.put_wf_spec(spec).await,
            Code::ResourceExhausted,
            &["Record too large"],
        );
    }
    assert_eq!(client.wf_run("w").await.status(), LhStatus::Running);
    assert_eq!(SearchWfSpecRequest::default().found(client).await.len(), 2);
    // Just below the limit is fine.
    client
        .run_with("s", "ok", &[("s", long(1_000 * KIB))])
        .await;
    assert_eq!(variable_of(client, "ok", "s").await, long(1_000 * KIB));
    server.stop().await;
}

#[tokio::test]
async fn a_report_that_is_too_large_ends_its_attempt() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let input = var_def("s", STR);
    client.define_task(task_def("t", &[input], Some(STR))).await;
    let vars = vec![optional(var_def("s", STR))];
    let node = Kind::Task(task("t", vec![variable("s")]));
    client.define(sequence("s", vars, vec![node])).await;
    // spec 08-47, 08-48, 04-29
    for (run, input, output) in [
        ("report", 1, 2 * MIB),
        ("both", 600 * KIB, 600 * KIB),
        ("frame", 1, 15 * MIB),
    ] {
        client.run_with("s", run, &[("s", long(input))]).await;
        let task = client.claim("t").await;
        client.succeed(&task, long(output)).await;
        let found = client.task_run(run, "0-1").await;
        assert_eq!(found.status(), TaskStatus::TaskOutputSerdeError, "{run}");
        let attempt = &found.attempts[0];
        assert_eq!(attempt.status(), TaskStatus::TaskOutputSerdeError);
        assert!(attempt.end_time.is_some());
        let Some(task_attempt::Result::Error(error)) = &attempt.result else {
            panic!("{run}: {:?} is no error", attempt.result)
        };
        assert!(
            error.message.contains("RESOURCE_EXHAUSTED"),
            "{}",
            error.message
        );
        let log = attempt.log_output.clone();
        assert_eq!(log, Some(text(&error.message)));
        let ended = client.wf_run(run).await;
        assert_eq!(ended.status(), LhStatus::Error);
        let failed = client.node_run(run, 1).await;
        assert_eq!(failed.failures[0].failure_name, "VAR_MUTATION_ERROR");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_step_makes_may_not_be_too_large_either() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let inputs = [var_def("a", STR), var_def("b", STR)];
    client.define_task(task_def("two", &inputs, None)).await;
    client.define_event("go").await;
    let vars = || vec![optional(var_def("s", STR))];
    let twice = || Kind::Task(task("two", vec![variable("s"), variable("s")]));
    client
        .define(sequence("at-once", vars(), vec![twice()]))
        .await;
    client
        .define(sequence("event", vars(), vec![event("go"), twice()]))
        .await;
    let soon = sleep_for(literal(int(0)));
    client
        .define(sequence("timer", vars(), vec![soon, twice()]))
        .await;
    let large = || [("s", long(600 * KIB))];
    let run = client.run_wf(run_request("at-once", "a", &large())).await;
    refused(run, Code::ResourceExhausted, &["Record too large"]);
    refused(client.get_wf_run(id("a")).await, Code::NotFound, &[]);
    client.run_with("event", "e", &large()).await;
    let put = client
        .put_external_event(put_event("e", "go", "g", int(1)))
        .await;
    refused(put, Code::ResourceExhausted, &["Record too large"]);
    assert_eq!(client.wf_run("e").await.status(), LhStatus::Running);
    let events = ListExternalEventsRequest {
        wf_run_id: Some(id("e")),
        ..ListExternalEventsRequest::default()
    };
    assert!(events.found(client).await.is_empty());
    // A timer has nobody to tell: the thread fails (spec 03, D36).
    client.run_with("timer", "t", &large()).await;
    assert_eq!(client.ended("t").await.status(), LhStatus::Error);
    let failed = client.node_run("t", 1).await;
    assert_eq!(failed.failures[0].failure_name, "INTERNAL_ERROR");
    assert!(failed.failures[0].message.contains("Record too large"));
    server.stop().await;
}

#[tokio::test]
async fn what_many_threads_are_given_fits_into_the_log_or_is_refused() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    // Each child holds a copy of what its parent gives it: eleven are more than one transaction of the log.
    let start = Kind::StartThread(StartThreadNode {
        thread_spec_name: "child".to_owned(),
        variables: [("c".to_owned(), variable("s"))].into(),
    });
    let vars = || vec![optional(var_def("s", STR))];
    for (name, children) in [("few", 4), ("many", 11)] {
        let mut spec = sequence(name, vars(), vec![start.clone(); children]);
        let child =
            sequence("c", vec![optional(var_def("c", STR))], vec![]).thread_specs["main"].clone();
        spec.thread_specs.insert("child".to_owned(), child);
        client.define(spec).await;
    }
    let large = || [("s", long(800 * KIB))];
    let run = client.run_wf(run_request("many", "a", &large())).await;
    refused(run, Code::ResourceExhausted, &["Record too large"]);
    refused(client.get_wf_run(id("a")).await, Code::NotFound, &[]);
    client.run_with("few", "b", &large()).await;
    assert_eq!(client.wf_run("b").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_worker_with_an_endless_name_gets_no_task() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    let node = Kind::Task(task("t", vec![]));
    client.define(sequence("s", vec![], vec![node])).await;
    client.run("s", "r").await;
    for (name, version) in [(2 * MIB, 1), (1, 2 * MIB), (1025, 1)] {
        let poll = PollTaskRequest {
            task_def_id: Some(TaskDefId {
                name: "t".to_owned(),
            }),
            client_id: "n".repeat(name),
            task_worker_version: Some("v".repeat(version)),
        };
        let mut answers = client
            .poll_task(tokio_stream::once(poll))
            .await
            .unwrap()
            .into_inner();
        let status = answers.message().await.expect_err("it got a task");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("limit is 1024"), "{status}");
    }
    // The task is still there for others.
    let task = client.claim("t").await;
    client.report(success(&task, None)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_task_that_can_be_made_can_be_claimed() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client
        .define_task(task_def("t", &[var_def("s", STR)], None))
        .await;
    let grown = operate(variable("s"), VariableMutationType::Extend, variable("s"));
    let node = Kind::Task(task("t", vec![grown]));
    client
        .define(sequence("s", vec![optional(var_def("s", STR))], vec![node]))
        .await;
    // Around the limit of a stored TaskRun: either the run is refused, or a worker gets the task.
    let mut made = 0;
    for (number, size) in (1_020_000..1_047_500).step_by(1_250).enumerate() {
        let run = run_request("s", &format!("r{number}"), &[("s", long(size / 2))]);
        match client.run_wf(run).await {
            Ok(_) => made += 1,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
    }
    assert!((1..22).contains(&made), "{made} were made");
    let mut polls = Polls::open(client, "t", &"w".repeat(1024)).await;
    for _ in 0..made {
        polls.ask().await;
        let task = polls.next().await;
        client.report(success(&task, None)).await;
    }
    let completed = SearchWfRunRequest {
        status: Some(LhStatus::Completed.into()),
        ..runs_of("s")
    };
    assert_eq!(completed.found(client).await.len(), made);
    server.stop().await;
}

//! Failures and their handlers (spec 03, section 7).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::sleep_node::SleepLength;
use proto::littlehorse::{
    LhStatus, LhTaskException, SleepNode, TaskStatus, ThreadType, VariableType, VariableValue,
    report_task_run::Result as Reported, thread_halt_reason::Reason,
};

use super::*;

/// Two tasks in a row, of which the first may fail; `handle` is there to handle it.
fn two_tasks(name: &str, handler_vars: Vec<proto::littlehorse::ThreadVarDef>) -> Spec {
    let tasks = vec![
        Kind::Task(task("work", vec![])),
        Kind::Task(task("after", vec![])),
    ];
    Spec::new(
        name,
        vec![optional(var_def("seen", VariableType::Str))],
        tasks,
    )
    .thread("handle", handler_vars, vec![nop()])
}

/// A node that fails with `VAR_SUB_ERROR`.
fn erring() -> Kind {
    erring_on(literal(text("no date")))
}

fn erring_on(date: VariableAssignment) -> Kind {
    Kind::Sleep(SleepNode {
        sleep_length: Some(SleepLength::IsoDate(date)),
    })
}

async fn fail(client: &mut Client, status: TaskStatus) {
    let claimed = client.claim("work").await;
    client
        .report(crate::support::status(&claimed, status))
        .await;
}

async fn throw(client: &mut Client, name: &str, content: Option<VariableValue>) {
    let claimed = client.claim("work").await;
    let mut report = crate::support::status(&claimed, TaskStatus::TaskException);
    report.result = Some(Reported::Exception(LhTaskException {
        name: name.to_owned(),
        message: "as asked".to_owned(),
        content,
    }));
    client.report(report).await;
}

async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    for name in ["work", "after"] {
        let def = task_def(name, &[], Some(VariableType::Int));
        server.client.define_task(def).await;
    }
    server
}

#[tokio::test]
async fn a_handled_failure_lets_the_thread_go_on_behind_its_node() {
    let mut server = server().await;
    let client = &mut server.client;
    two_tasks("s", vec![])
        .with("main", |thread| {
            let first = thread.nodes.get_mut("1").unwrap();
            first.outgoing_edges[0]
                .variable_mutations
                .push(assign("seen", literal(text("mutated"))));
        })
        .handler("1", Some(any_error()), "handle")
        .put(client)
        .await;
    client.run("s", "r").await;
    fail(client, TaskStatus::TaskFailed).await;
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Running);
    let next = client.claim("after").await;
    client.succeed(&next, int(1)).await;
    // spec 03-15
    let failed = node_of(client, "r", 0, 1).await;
    assert_eq!(failed.status(), LhStatus::Error);
    assert_eq!(failed.failure_handler_ids, [1]);
    assert!(failed.failures[0].was_properly_handled);
    assert_eq!(failed.failures[0].failure_handler_threadrun_id, Some(1));
    assert_eq!(
        node_of(client, "r", 0, 2).await.status(),
        LhStatus::Completed
    );
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(run.thread_runs[0].current_node_position, 3);
    assert_eq!(run.thread_runs[1].r#type(), ThreadType::FailureHandler);
    // spec 02-41
    assert_eq!(variable_of(client, "r", "seen").await.value, None);
    server.stop().await;
}

#[tokio::test]
async fn the_first_handler_that_matches_is_taken() {
    let mut server = server().await;
    let client = &mut server.client;
    two_tasks("both", vec![])
        .thread("other", vec![], vec![nop()])
        .handler("1", Some(any_exception()), "other")
        .handler("1", Some(exactly("TASK_ERROR")), "handle")
        .put(client)
        .await;
    two_tasks("one", vec![])
        .handler("1", Some(any_exception()), "handle")
        .put(client)
        .await;
    for (spec, run) in [("both", "b"), ("one", "o")] {
        client.run(spec, run).await;
        fail(client, TaskStatus::TaskTimeout).await;
    }
    // spec 03-16
    let handled = client.wf_run("b").await;
    assert_eq!(handled.status(), LhStatus::Running);
    assert_eq!(handled.thread_runs[1].thread_spec_name, "handle");
    let failed = client.wf_run("o").await;
    assert_eq!(failed.status(), LhStatus::Error);
    assert_eq!(failed.thread_runs.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_handler_is_given_the_content_of_an_exception() {
    let mut server = server().await;
    let client = &mut server.client;
    let input = vec![optional(var_def("INPUT", VariableType::Str))];
    two_tasks("s", input)
        .handler("1", None, "handle")
        .put(client)
        .await;
    client.run("s", "content").await;
    throw(client, "no-stock", Some(text("three left"))).await;
    client.run("s", "none").await;
    fail(client, TaskStatus::TaskTimeout).await;
    for (run, expected) in [
        ("content", text("three left")),
        ("none", VariableValue::default()),
    ] {
        let id = proto::littlehorse::VariableId {
            wf_run_id: Some(id(run)),
            thread_run_number: 1,
            name: "INPUT".to_owned(),
        };
        let input = client.get_variable(id).await.unwrap().into_inner();
        // spec 03-17
        assert_eq!(input.value.unwrap(), expected);
        assert_eq!(statuses(&client.wf_run(run).await)[1], LhStatus::Completed);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_fails_takes_its_thread_with_it() {
    let mut server = server().await;
    let client = &mut server.client;
    two_tasks("s", vec![])
        .thread("bad", vec![], vec![erring()])
        .handler("1", Some(any_exception()), "bad")
        .handler("1", None, "handle")
        .put(client)
        .await;
    client.run("s", "r").await;
    throw(client, "no-stock", None).await;
    let run = client.wf_run("r").await;
    // spec 03-18
    assert_eq!(run.status(), LhStatus::Error);
    assert_eq!(statuses(&run), [LhStatus::Error, LhStatus::Error]);
    assert_eq!(
        run.thread_runs[0].error_message,
        run.thread_runs[1].error_message
    );
    assert!(run.end_time.is_some() && run.thread_runs[0].end_time.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_failed_child_disturbs_its_parent_only_when_that_waits_or_ends() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define_event("go").await;
    for (name, failure) in [("exn", throwing("no-stock")), ("err", erring())] {
        Spec::new(
            name,
            vec![],
            vec![start("child"), event("go"), wait_all(&[1])],
        )
        .thread("child", vec![], vec![failure])
        .put(client)
        .await;
        client.run(name, name).await;
        let run = client.wf_run(name).await;
        assert_eq!(run.status(), LhStatus::Running);
        let put = put_event(name, "go", "g", int(1));
        client.put_external_event(put).await.unwrap();
    }
    // spec 03-19
    assert_eq!(client.wf_run("exn").await.status(), LhStatus::Exception);
    assert_eq!(
        node_of(client, "exn", 0, 3).await.failures[0].failure_name,
        "no-stock"
    );
    assert_eq!(client.wf_run("err").await.status(), LhStatus::Error);
    assert_eq!(
        node_of(client, "err", 0, 3).await.failures[0].failure_name,
        "CHILD_FAILURE"
    );
    Spec::new("unwatched", vec![], vec![start("child"), nop(), nop()])
        .thread("child", vec![], vec![throwing("no-stock")])
        .put(client)
        .await;
    let run = client.run("unwatched", "u").await;
    let failure = &node_of(client, "u", 0, 4).await.failures[0];
    // spec 03-20
    assert_eq!(run.status(), LhStatus::Error);
    assert_eq!(failure.failure_name, "CHILD_FAILURE");
    assert!(failure.message.contains('1'), "{}", failure.message);
    server.stop().await;
}

#[tokio::test]
async fn a_failing_parent_halts_its_children() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define_event("go").await;
    Spec::new(
        "waiting",
        vec![],
        vec![start("child"), nop(), throwing("bad")],
    )
    .thread("child", vec![], vec![event("go")])
    .put(client)
    .await;
    let run = client.run("waiting", "w").await;
    // spec 03-21
    assert_eq!(statuses(&run), [LhStatus::Exception, LhStatus::Halted]);
    let reasons = &run.thread_runs[1].halt_reasons;
    assert_eq!(reasons.len(), 1);
    assert!(matches!(reasons[0].reason, Some(Reason::ParentHalted(_))));
    let put = put_event("w", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    assert_eq!(client.wf_run("w").await, run);

    Spec::new(
        "working",
        vec![],
        vec![start("child"), nop(), nop(), throwing("bad")],
    )
    .thread("child", vec![], vec![Kind::Task(task("work", vec![]))])
    .put(client)
    .await;
    client.run("working", "k").await;
    let claimed = client.claim("work").await;
    let run = client.wf_run("k").await;
    // spec 03-22
    assert_eq!(statuses(&run), [LhStatus::Exception, LhStatus::Halting]);
    client.succeed(&claimed, int(1)).await;
    let run = client.wf_run("k").await;
    assert_eq!(statuses(&run), [LhStatus::Exception, LhStatus::Halted]);
    assert_eq!(node_of(client, "k", 1, 1).await.status(), LhStatus::Halted);
    let task_run = client.task_run("k", "1-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskSuccess);
    server.stop().await;
}

#[tokio::test]
async fn the_next_node_has_handlers_of_its_own() {
    let mut server = server().await;
    let client = &mut server.client;
    // The second node cannot compute how long it is to sleep.
    let sleep = erring_on(variable("seen"));
    let kinds = vec![Kind::Task(task("work", vec![])), sleep];
    Spec::new(
        "s",
        vec![optional(var_def("seen", VariableType::Str))],
        kinds,
    )
    .thread("handle", vec![], vec![nop()])
    .thread("other", vec![], vec![nop()])
    .handler("1", None, "handle")
    .handler("2", Some(exactly("VAR_SUB_ERROR")), "other")
    .put(client)
    .await;
    client
        .run_with("s", "r", &[("seen", text("no date"))])
        .await;
    fail(client, TaskStatus::TaskFailed).await;
    let run = client.wf_run("r").await;
    // spec 03-23
    assert_eq!(run.status(), LhStatus::Completed);
    let names: Vec<&str> = run
        .thread_runs
        .iter()
        .map(|thread| thread.thread_spec_name.as_str())
        .collect();
    assert_eq!(names, ["main", "handle", "other"]);
    server.stop().await;
}

#[tokio::test]
async fn a_handler_cannot_write_to_a_sibling() {
    let mut server = server().await;
    let client = &mut server.client;
    Spec::new(
        "s",
        vec![],
        vec![start("other"), Kind::Task(task("work", vec![]))],
    )
    .thread(
        "other",
        vec![optional(var_def("theirs", VariableType::Int))],
        vec![nop()],
    )
    .thread("fix", vec![], vec![nop()])
    .with("fix", |thread| {
        let nop = thread.nodes.get_mut("1").unwrap();
        nop.outgoing_edges[0]
            .variable_mutations
            .push(assign("theirs", literal(int(1))));
    })
    .handler("2", None, "fix")
    .put(client)
    .await;
    client.run("s", "r").await;
    fail(client, TaskStatus::TaskFailed).await;
    let run = client.wf_run("r").await;
    // spec 02-51
    assert_eq!(
        statuses(&run),
        [LhStatus::Error, LhStatus::Completed, LhStatus::Error]
    );
    assert_eq!(run.status(), LhStatus::Error);
    let failed = node_of(client, "r", 2, 1).await;
    // spec 01-49
    assert_eq!(failed.failures[0].failure_name, "VAR_SUB_ERROR");
    server.stop().await;
}

//! WAIT_FOR_THREADS (spec 03, section 6.9).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::wait_for_threads_run::{WaitForThread, WaitingThreadStatus};
use proto::littlehorse::{LhStatus, VariableType, WaitForThreadsStrategy};

use super::*;

/// `children` children; each waits for an event that is addressed to it, and throws what it holds, if that is not null.
fn children(name: &str, children: usize, wait: Kind) -> Spec {
    let mut kinds = vec![start("child"); children];
    kinds.push(wait);
    Spec::new(name, vec![], kinds)
        .thread(
            "child",
            vec![optional(var_def("told", VariableType::Str))],
            vec![event("tell")],
        )
        .with("child", |thread| {
            let wait = thread.nodes.get_mut("1").unwrap();
            wait.outgoing_edges[0]
                .variable_mutations
                .push(assign("told", output_of("1")));
            let told = |what: &str| {
                when(
                    what,
                    compare(
                        variable("told"),
                        proto::littlehorse::Comparator::Equals,
                        literal(text(what)),
                    ),
                )
            };
            wait.outgoing_edges[0]
                .sink_node_name
                .replace_range(.., "choose");
            let choose = node(nop(), vec![told("x"), told("y"), edge("exit")]);
            thread.nodes.insert("choose".to_owned(), choose);
            for failure in ["x", "y"] {
                let end = node(throwing(failure), vec![]);
                thread.nodes.insert(failure.to_owned(), end);
            }
        })
}

async fn tell(client: &mut Client, run: &str, thread: i32, what: &str) {
    let mut put = put_event(run, "tell", &format!("g{thread}"), text(what));
    put.thread_run_number = Some(thread);
    client.put_external_event(put).await.unwrap();
}

async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    server.client.define_event("tell").await;
    server.client.define_event("go").await;
    server
}

async fn waits(client: &mut Client, run: &str, position: i32) -> Vec<WaitForThread> {
    match node_of(client, run, 0, position).await.node_type {
        Some(NodeType::WaitForThreads(waits)) => waits.threads,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn all_are_waited_for() {
    let mut server = server().await;
    let client = &mut server.client;
    children("s", 2, wait_all(&[1, 2])).put(client).await;
    client.run("s", "r").await;
    tell(client, "r", 1, "fine").await;
    let entries = waits(client, "r", 3).await;
    // spec 03-24
    assert_eq!(entries[0].thread_status(), LhStatus::Completed);
    assert!(entries[0].thread_end_time.is_some());
    assert_eq!(entries[1].thread_status(), LhStatus::Running);
    tell(client, "r", 2, "fine").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_failed_thread_has_a_handler() {
    let mut server = server().await;
    let client = &mut server.client;
    let wait = || {
        let handlers = vec![handled_by(Some(exactly("x")), "handle")];
        wait_node(&[1, 2], WaitForThreadsStrategy::WaitForAll, handlers)
    };
    children("s", 2, wait())
        .thread("handle", vec![], vec![event("go")])
        .put(client)
        .await;
    client.run("s", "fine").await;
    tell(client, "fine", 1, "x").await;
    let run = client.wf_run("fine").await;
    assert_eq!(run.thread_runs[3].parent_thread_id, Some(1));
    assert_eq!(run.thread_runs[3].status(), LhStatus::Running);
    let put = put_event("fine", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    tell(client, "fine", 2, "fine").await;
    // spec 03-25
    assert_eq!(client.wf_run("fine").await.status(), LhStatus::Completed);
    let entry = &waits(client, "fine", 3).await[0];
    assert_eq!(entry.thread_status(), LhStatus::Exception);
    assert_eq!(
        entry.waiting_status(),
        WaitingThreadStatus::ThreadCompletedOrFailureHandled
    );
    assert_eq!(entry.failure_handler_thread_run_id, Some(3));

    children("bad", 2, wait())
        .thread("handle", vec![], vec![throwing("y")])
        .put(client)
        .await;
    client.run("bad", "bad").await;
    tell(client, "bad", 1, "x").await;
    // spec 03-26
    assert_eq!(client.wf_run("bad").await.status(), LhStatus::Exception);
    assert_eq!(
        node_of(client, "bad", 0, 3).await.failures[0].failure_name,
        "y"
    );

    client.run("s", "other").await;
    tell(client, "other", 2, "y").await;
    let run = client.wf_run("other").await;
    // spec 03-27
    assert_eq!(
        statuses(&run),
        [LhStatus::Exception, LhStatus::Halted, LhStatus::Exception]
    );
    client.run("s", "busy").await;
    tell(client, "busy", 1, "x").await;
    tell(client, "busy", 2, "y").await;
    assert_eq!(client.wf_run("busy").await.status(), LhStatus::Exception);
    let put = put_event("busy", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    assert_eq!(
        statuses(&client.wf_run("busy").await)[3],
        LhStatus::Completed
    );
    server.stop().await;
}

#[tokio::test]
async fn the_nodes_own_handler_lets_the_others_go_on() {
    let mut server = server().await;
    let client = &mut server.client;
    children("s", 3, wait_all(&[1, 2, 3]))
        .thread("handle", vec![], vec![event("go")])
        .handler("4", Some(exactly("x")), "handle")
        .put(client)
        .await;
    client.run("s", "r").await;
    tell(client, "r", 1, "x").await;
    let halted = statuses(&client.wf_run("r").await);
    assert_eq!(halted[2..4], [LhStatus::Halted, LhStatus::Halted]);
    let put = put_event("r", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    let going = statuses(&client.wf_run("r").await);
    assert_eq!(going[2..4], [LhStatus::Running, LhStatus::Running]);
    tell(client, "r", 2, "fine").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Running);
    tell(client, "r", 3, "fine").await;
    // spec 03-28
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn any_that_completes_is_enough() {
    let mut server = server().await;
    let client = &mut server.client;
    let wait = wait_node(&[1, 2, 3], WaitForThreadsStrategy::WaitForAny, vec![]);
    children("s", 3, wait).put(client).await;
    client.run("s", "one").await;
    tell(client, "one", 1, "x").await;
    assert_eq!(client.wf_run("one").await.status(), LhStatus::Running);
    tell(client, "one", 2, "fine").await;
    let run = client.wf_run("one").await;
    // spec 03-29
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(statuses(&run)[3], LhStatus::Halted);
    assert_eq!(
        waits(client, "one", 4).await[2].waiting_status(),
        WaitingThreadStatus::ThreadStopped
    );
    client.run("s", "none").await;
    for thread in 1..=3 {
        tell(client, "none", thread, "x").await;
    }
    assert_eq!(client.wf_run("none").await.status(), LhStatus::Error);
    assert_eq!(
        node_of(client, "none", 0, 4).await.failures[0].failure_name,
        "CHILD_FAILURE"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_first_that_ends_decides() {
    let mut server = server().await;
    let client = &mut server.client;
    let wait = wait_node(&[1, 2, 3], WaitForThreadsStrategy::WaitForFirst, vec![]);
    children("s", 3, wait).put(client).await;
    client.run("s", "r").await;
    tell(client, "r", 2, "x").await;
    let run = client.wf_run("r").await;
    // spec 03-30
    assert_eq!(
        node_of(client, "r", 0, 4).await.failures[0].failure_name,
        "x"
    );
    assert_eq!(
        statuses(&run),
        [
            LhStatus::Exception,
            LhStatus::Halted,
            LhStatus::Exception,
            LhStatus::Halted
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn threads_that_cannot_be_waited_for() {
    let mut server = server().await;
    let client = &mut server.client;
    let cases = [("missing", 99), ("itself", 0)];
    for (name, number) in cases {
        children(name, 1, wait_all(&[number])).put(client).await;
        client.run(name, name).await;
        // spec 03-31
        let failed = node_of(client, name, 0, 2).await;
        assert_eq!(failed.failures[0].failure_name, "VAR_SUB_ERROR");
        assert!(failed.failures[0].message.contains(&number.to_string()));
    }
    Spec::new("ancestor", vec![], vec![start("child"), nop(), nop()])
        .thread("child", vec![], vec![wait_all(&[0])])
        .put(client)
        .await;
    client.run("ancestor", "a").await;
    assert_eq!(
        node_of(client, "a", 1, 1).await.failures[0].failure_name,
        "VAR_SUB_ERROR"
    );
    let list = |list: &str, strategy: WaitForThreadsStrategy| {
        Kind::WaitForThreads(proto::littlehorse::WaitForThreadsNode {
            threads_to_wait_for: Some(ThreadsToWaitForOneOf::ThreadList(literal(value(
                proto::littlehorse::variable_value::Value::JsonArr(list.to_owned()),
            )))),
            per_thread_failure_handlers: vec![],
            strategy: strategy.into(),
        })
    };
    let all = WaitForThreadsStrategy::WaitForAll;
    for (run, elements) in [("text", "[1,\"x\"]"), ("fraction", "[1.5]")] {
        children(run, 1, list(elements, all)).put(client).await;
        client.run(run, run).await;
        assert_eq!(
            node_of(client, run, 0, 2).await.failures[0].failure_name,
            "VAR_SUB_ERROR"
        );
    }
    for (run, strategy, failure) in [
        ("all", all, None),
        (
            "any",
            WaitForThreadsStrategy::WaitForAny,
            Some("CHILD_FAILURE"),
        ),
        (
            "first",
            WaitForThreadsStrategy::WaitForFirst,
            Some("CHILD_FAILURE"),
        ),
    ] {
        Spec::new(run, vec![], vec![list("[]", strategy)])
            .put(client)
            .await;
        client.run(run, run).await;
        let failures = node_of(client, run, 0, 1).await.failures;
        // spec 03-32
        assert_eq!(
            failures
                .first()
                .map(|failure| failure.failure_name.as_str()),
            failure
        );
    }
    server.stop().await;
}

//! Starting threads, and how many there may be (spec 03, sections 6.8 and 11).

use proto::littlehorse::node_run::NodeType;
use proto::littlehorse::{
    LhStatus, ListNodeRunsRequest, ThreadRetentionPolicy, VariableType, VariableValue,
    thread_retention_policy, variable_value,
};

use super::*;

/// One child for each element of `list`, which the child is given.
fn for_each(name: &str, kinds: Vec<Kind>) -> Spec {
    let list = vec![required(var_def("list", VariableType::JsonArr))];
    Spec::new(name, list, vec![start_each("child", variable("list"))]).thread(
        "child",
        vec![optional(var_def("INPUT", VariableType::Int))],
        kinds,
    )
}

fn numbers(count: usize) -> VariableValue {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    value(variable_value::Value::JsonArr(format!(
        "[{}]",
        numbers.join(",")
    )))
}

#[tokio::test]
async fn one_child_for_each_element() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    for_each("s", vec![event("go")]).put(client).await;
    let run = client.run_with("s", "r", &[("list", numbers(3))]).await;
    assert_eq!(run.thread_runs.len(), 4);
    assert_eq!(run.thread_runs[0].child_thread_ids, [1, 2, 3]);
    match node_of(client, "r", 0, 1).await.node_type {
        Some(NodeType::StartMultipleThreads(part)) => assert_eq!(part.child_thread_ids, [1, 2, 3]),
        other => panic!("{other:?}"),
    }
    for thread in 1..=3 {
        let id = proto::littlehorse::VariableId {
            wf_run_id: Some(id("r")),
            thread_run_number: thread,
            name: "INPUT".to_owned(),
        };
        let input = client.get_variable(id).await.unwrap().into_inner();
        assert_eq!(input.value.unwrap(), int(i64::from(thread) - 1));
    }
    // One event, and two that could have it: the lower number goes first.
    let put = put_event("r", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    let run = client.wf_run("r").await;
    // spec 03-14
    assert_eq!(
        statuses(&run)[1..3],
        [LhStatus::Completed, LhStatus::Running]
    );
    server.stop().await;
}

#[tokio::test]
async fn nodes_are_listed_thread_by_thread() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let mut main = vec![nop(); 9];
    main.insert(0, start("child"));
    Spec::new("s", vec![], main)
        .thread("child", vec![], vec![])
        .put(client)
        .await;
    client.run("s", "r").await;
    let mut list = async |thread_run_number| {
        let request = ListNodeRunsRequest {
            wf_run_id: Some(id("r")),
            thread_run_number,
            ..ListNodeRunsRequest::default()
        };
        let found = client.list_node_runs(request).await.unwrap();
        let ids = found.into_inner().results.into_iter().map(|node| node.id);
        ids.map(|id| id.map(|id| (id.thread_run_number, id.position)).unwrap())
            .collect::<Vec<_>>()
    };
    let child = [(1, 0), (1, 1)];
    let all: Vec<_> = (0..12).map(|at| (0, at)).chain(child).collect();
    // spec 07-45
    assert_eq!(list(None).await, all);
    assert_eq!(list(Some(1)).await, child);
    assert_eq!(list(Some(7)).await, []);
    server.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_threads() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    for_each("s", vec![nop()]).put(client).await;
    let fits = client.run_with("s", "fits", &[("list", numbers(64))]).await;
    let too_many = client.run_with("s", "many", &[("list", numbers(65))]).await;
    // spec 03-57
    assert_eq!(fits.status(), LhStatus::Completed);
    assert_eq!(too_many.status(), LhStatus::Error);
    assert_eq!(too_many.thread_runs.len(), 1);
    assert_eq!(
        node_of(client, "many", 0, 1).await.failures[0].message,
        "WfRun would have 66 ThreadRuns, exceeding the maximum number of ThreadRuns per WfRun: 65. Reduce the number of \
         spawned ThreadRuns or increase LHS_X_MAX_THREAD_RUNS_PER_WF_RUN."
    );
    server.stop().await;
}

#[tokio::test]
async fn a_thread_that_is_not_kept_is_archived() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    Spec::new(
        "s",
        vec![],
        vec![start("child"), event("go"), start("child"), event("go")],
    )
    .thread("child", vec![], vec![nop()])
    .with("child", |thread| {
        thread.retention_policy = Some(ThreadRetentionPolicy {
            thread_gc_policy: Some(
                thread_retention_policy::ThreadGcPolicy::SecondsAfterThreadTermination(0),
            ),
        });
    })
    .put(client)
    .await;
    let run = client.run("s", "r").await;
    // spec 03-56, spec 05-54
    assert_eq!(run.thread_runs.len(), 1);
    let inactive = |number| proto::littlehorse::InactiveThreadRunId {
        wf_run_id: Some(id("r")),
        thread_run_number: number,
    };
    let archived = client.get_inactive_thread_run(inactive(1)).await.unwrap();
    let archived = archived.into_inner().thread_run.unwrap();
    assert_eq!(
        (archived.number, archived.status()),
        (1, LhStatus::Completed)
    );
    client
        .get_inactive_thread_run(inactive(0))
        .await
        .unwrap_err();
    let put = put_event("r", "go", "g", int(1));
    client.put_external_event(put).await.unwrap();
    let run = client.wf_run("r").await;
    assert_eq!(run.greatest_threadrun_number, 2);
    assert_eq!(run.thread_runs[0].child_thread_ids, [1, 2]);
    server.stop().await;
}

#[tokio::test]
async fn a_child_writes_to_its_parents_variable() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("tell").await;
    let shared = vec![optional(var_def("shared", VariableType::Int))];
    Spec::new("s", shared, vec![start("child"), wait_all(&[1])])
        .thread("child", vec![], vec![event("tell")])
        .with("child", |thread| {
            let wait = thread.nodes.get_mut("1").unwrap();
            wait.outgoing_edges[0]
                .variable_mutations
                .push(assign("shared", output_of("1")));
        })
        .put(client)
        .await;
    for (run, content) in [("text", text("seven")), ("int", int(7))] {
        client.run("s", run).await;
        let put = put_event(run, "tell", "g", content);
        client.put_external_event(put).await.unwrap();
    }
    let failed = node_of(client, "text", 1, 1).await;
    // spec 02-50
    assert_eq!(failed.failures[0].failure_name, "VAR_SUB_ERROR");
    assert_eq!(statuses(&client.wf_run("text").await)[1], LhStatus::Error);
    assert_eq!(variable_of(client, "int", "shared").await, int(7));
    assert_eq!(client.wf_run("int").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_timer_finds_its_thread_beside_archived_ones() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    Spec::new(
        "s",
        vec![],
        vec![start("child"), start("sleeper"), nop(), wait_all(&[2])],
    )
    .thread("child", vec![], vec![nop()])
    .thread("sleeper", vec![], vec![sleep_for(literal(int(1)))])
    .with("child", |thread| {
        thread.retention_policy = Some(ThreadRetentionPolicy {
            thread_gc_policy: Some(
                thread_retention_policy::ThreadGcPolicy::SecondsAfterThreadTermination(0),
            ),
        });
    })
    .put(client)
    .await;
    let run = client.run("s", "r").await;
    assert_eq!(run.thread_runs.len(), 2);
    // spec 03-48, spec 05-51
    assert_eq!(client.ended("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

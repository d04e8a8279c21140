//! The lists inside a WfRun: order, pages, what is shown (spec 07, section 5).

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    ListExternalEventsRequest, ListNodeRunsRequest, ListTaskRunsRequest, ListVariablesRequest,
    VariableType, WfRunId,
};

use crate::support::*;

fn nodes_of(run: &str) -> ListNodeRunsRequest {
    ListNodeRunsRequest {
        wf_run_id: Some(id(run)),
        ..ListNodeRunsRequest::default()
    }
}

fn tasks_of(run: &str) -> ListTaskRunsRequest {
    ListTaskRunsRequest {
        wf_run_id: Some(id(run)),
        ..ListTaskRunsRequest::default()
    }
}

fn variables_of(run: &str) -> ListVariablesRequest {
    ListVariablesRequest {
        wf_run_id: Some(id(run)),
        ..ListVariablesRequest::default()
    }
}

fn events_of(run: &str) -> ListExternalEventsRequest {
    ListExternalEventsRequest {
        wf_run_id: Some(id(run)),
        ..ListExternalEventsRequest::default()
    }
}

#[tokio::test]
async fn nodes_and_tasks_are_in_numeric_order() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("t", &[], None)).await;
    let tasks = vec![Kind::Task(task("t", vec![])); 12];
    client.define(sequence("s", vec![], tasks)).await;
    for run in ["r", "s", "r-1"] {
        client.run("s", run).await;
    }
    let mut polls = client.polling("t").await;
    for _ in 0..36 {
        polls.ask().await;
        let task = polls.next().await;
        client.report(success(&task, None)).await;
    }
    for limit in [1, 4, 14, 100] {
        let nodes = nodes_of("r").paged(client, limit).await;
        assert_eq!(nodes.len(), 14_usize.div_ceil(limit as usize));
        let nodes = nodes.concat();
        let positions: Vec<_> = nodes
            .iter()
            .map(|node| node.id.clone().unwrap().position)
            .collect();
        assert_eq!(positions, (0..14).collect::<Vec<_>>(), "by {limit}");
        assert!(
            nodes
                .iter()
                .all(|node| node.id.as_ref().unwrap().wf_run_id == Some(id("r")))
        );
        let tasks = tasks_of("r").paged(client, limit).await.concat();
        let guids: Vec<_> = tasks
            .iter()
            .map(|task| task.id.clone().unwrap().task_guid)
            .collect();
        let expected: Vec<_> = (1..13).map(|position| format!("0-{position}")).collect();
        assert_eq!(guids, expected, "by {limit}");
    }
    let of_thread = |thread| ListNodeRunsRequest {
        thread_run_number: Some(thread),
        ..nodes_of("r")
    };
    assert_eq!(of_thread(0).found(client).await.len(), 14);
    for nobody in [7, 1, -1, i32::MAX] {
        assert!(of_thread(nobody).found(client).await.is_empty());
    }
    // Whole objects, as the matching Get gives them.
    assert_eq!(
        nodes_of("r").found(client).await[3],
        client.node_run("r", 3).await
    );
    assert_eq!(
        tasks_of("r").found(client).await[2],
        client.task_run("r", "0-3").await
    );
    server.stop().await;
}

#[tokio::test]
async fn a_list_is_of_one_run() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    // spec 07-46 (the other part: bad_input.rs)
    assert!(nodes_of("nobody").found(client).await.is_empty());
    assert!(tasks_of("nobody").found(client).await.is_empty());
    assert!(variables_of("nobody").found(client).await.is_empty());
    assert!(events_of("nobody").found(client).await.is_empty());
    client.define(sequence("parent", vec![], vec![])).await;
    let mut child = sequence(
        "child",
        vec![optional(var_def("x", VariableType::Int))],
        vec![nop()],
    );
    child.parent_wf_spec = Some(proto::littlehorse::wf_spec::ParentWfSpecReference {
        wf_spec_name: "parent".to_owned(),
        wf_spec_major_version: 0,
    });
    client.define(child).await;
    client.run("parent", "p").await;
    let run = proto::littlehorse::RunWfRequest {
        parent_wf_run_id: Some(id("p")),
        ..run_request("child", "c", &[("x", int(1))])
    };
    let child: WfRunId = client.run_wf(run).await.unwrap().into_inner().id.unwrap();
    assert_eq!(nodes_of("p").found(client).await.len(), 2);
    assert!(variables_of("p").found(client).await.is_empty());
    for text in [child.to_string(), "p_c".to_owned()] {
        let nodes = nodes_of(&text).found(client).await;
        assert_eq!(nodes.len(), 3);
        assert_eq!(
            nodes[0].id.clone().unwrap().wf_run_id.as_ref(),
            Some(&child)
        );
        assert_eq!(variables_of(&text).found(client).await.len(), 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn variables_are_in_order_of_their_names_and_masked() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let mut secret = private(var_def("secret", VariableType::Str));
    let def = secret.var_def.as_mut().unwrap();
    def.type_def.as_mut().unwrap().masked = true;
    let vars = vec![
        private(var_def("z", VariableType::Int)),
        secret,
        private(var_def("a", VariableType::Int)),
        private(var_def("B", VariableType::Int)),
    ];
    client.define(sequence("s", vars, vec![])).await;
    client
        .run_with("s", "r", &[("z", int(1)), ("secret", text("hidden"))])
        .await;
    for limit in [1, 3, 100] {
        let found = variables_of("r").paged(client, limit).await.concat();
        let found: Vec<_> = found
            .into_iter()
            .map(|variable| (variable.id.unwrap().name, variable.value.unwrap()))
            .collect();
        let null = proto::littlehorse::VariableValue::default;
        // spec 07-47
        let expected = [
            ("B", null()),
            ("a", null()),
            ("secret", text("*****")),
            ("z", int(1)),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        assert_eq!(found, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_ends_before_it_outgrows_what_clients_take() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    let large = text(&"x".repeat(900_000));
    for n in 0..9 {
        let put = put_event("r", "go", &format!("g{n}"), large.clone());
        client.put_external_event(put).await.unwrap();
    }
    let mut guids = Vec::new();
    let mut sizes = Vec::new();
    let mut bookmark = None;
    loop {
        let request = events_of("r").with(Some(100), bookmark);
        let (page, next) = request.ask(client.clone()).await.unwrap();
        sizes.push(page.len());
        guids.extend(page.into_iter().map(|event| event.id.unwrap().guid));
        bookmark = next;
        if bookmark.is_none() {
            break;
        }
    }
    // Three times 900 KB are below 3.5 MB, four are not.
    assert_eq!(sizes, [3, 3, 3]);
    let expected: Vec<_> = (0..9).map(|n| format!("g{n}")).collect();
    assert_eq!(guids, expected);
    server.stop().await;
}

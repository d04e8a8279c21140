//! Counts and metric windows (spec 07, sections 6 and 7). What is recorded when: `engine/workflow/tests/it/metrics.rs`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::littlehorse::count_node_run_request::{Filter, WfSpecFilter};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    CountNodeRunRequest, CountTaskRunRequest, DeleteWfRunRequest, ListTaskMetricsRequest,
    ListWfMetricsRequest, MetricWindow, MetricWindowId, MetricWindowType,
    SearchWfMetricWindowRequest, TaskDefMetricsQueryRequest, TaskStatus, VariableType,
    VariableValue, WfMetrics, WfSpecId, metric_window, metric_window_id,
};
use tonic::Code;

use crate::support::*;

async fn count(client: &mut Client, spec: &str, major: Option<i32>, revision: Option<i32>) -> i64 {
    let request = CountNodeRunRequest {
        filter: Some(Filter::WfSpecFilter(WfSpecFilter {
            wf_spec_name: spec.to_owned(),
            wf_spec_major_version: major,
            wf_spec_revision: revision,
        })),
    };
    let count = client.count_node_run(request).await.unwrap();
    count.into_inner().value
}

#[tokio::test]
async fn counts_are_exact() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("work", &[], None)).await;
    let work = || Kind::Task(task("work", vec![]));
    let mut public = optional(var_def("x", VariableType::Int));
    public.set_access_level(proto::littlehorse::WfRunVariableAccessLevel::PublicVar);
    for (version, spec) in [
        ("0.0", sequence("s", vec![], vec![work()])),
        ("0.1", {
            let mut spec = sequence("s", vec![], vec![work()]);
            let main = spec.thread_specs.get_mut("main").unwrap();
            let node = main.nodes.remove("1").unwrap();
            main.nodes.insert("other".to_owned(), node);
            main.nodes.get_mut("entry").unwrap().outgoing_edges = vec![edge("other")];
            spec
        }),
        ("1.0", sequence("s", vec![public], vec![work()])),
    ] {
        client.define(spec).await;
        for n in 0..3 {
            client
                .run("s", &format!("r-{}-{n}", version.replace('.', "-")))
                .await;
            let claimed = client.claim("work").await;
            client.succeed(&claimed, VariableValue::default()).await;
        }
    }
    // spec 07-48
    assert_eq!(count(client, "s", None, None).await, 27);
    assert_eq!(count(client, "s", Some(0), None).await, 18);
    assert_eq!(count(client, "s", Some(0), Some(1)).await, 9);
    let delete = DeleteWfRunRequest {
        id: Some(id("r-0-1-0")),
    };
    client.delete_wf_run(delete).await.unwrap();
    // spec 07-48
    assert_eq!(count(client, "s", Some(0), Some(1)).await, 6);
    assert_eq!(count(client, "none", None, None).await, 0);
    let all = client.count_node_run(CountNodeRunRequest::default()).await;
    assert_eq!(all.unwrap().into_inner().value, 24);
    for (name, revision, words) in [("", None, "wf_spec_name"), ("s", Some(1), "major")] {
        let request = CountNodeRunRequest {
            filter: Some(Filter::WfSpecFilter(WfSpecFilter {
                wf_spec_name: name.to_owned(),
                wf_spec_major_version: None,
                wf_spec_revision: revision,
            })),
        };
        refused(
            client.count_node_run(request).await,
            Code::InvalidArgument,
            &[words],
        );
    }
    let queued = |name: &str, status: TaskStatus| CountTaskRunRequest {
        task_def_name: name.to_owned(),
        status: status.into(),
    };
    for n in 0..4 {
        client.run("s", &format!("queued-{n}")).await;
    }
    let scheduled = || queued("work", TaskStatus::TaskScheduled);
    // spec 07-49
    let count = client.count_task_run(scheduled()).await.unwrap();
    assert_eq!(count.into_inner().value, 4);
    client.claim("work").await;
    let count = client.count_task_run(scheduled()).await.unwrap();
    assert_eq!(count.into_inner().value, 3);
    server.restart().await;
    let client = &mut server.client;
    let count = client.count_task_run(scheduled()).await.unwrap();
    assert_eq!(count.into_inner().value, 3);
    for bad in [
        queued("work", TaskStatus::TaskRunning),
        queued("", TaskStatus::TaskScheduled),
    ] {
        refused(client.count_task_run(bad).await, Code::InvalidArgument, &[]);
    }
    server.stop().await;
}

fn spec_id(name: &str) -> WfSpecId {
    WfSpecId {
        name: name.to_owned(),
        ..WfSpecId::default()
    }
}

fn of_workflow(window: &MetricWindow) -> WfMetrics {
    match &window.metric {
        Some(metric_window::Metric::Workflow(metrics)) => *metrics,
        other => panic!("{other:?}"),
    }
}

async fn windows(client: &mut Client, spec: Option<WfSpecId>) -> Vec<MetricWindow> {
    let request = ListWfMetricsRequest {
        wf_spec: spec,
        ..ListWfMetricsRequest::default()
    };
    let list = client.list_wf_metrics(request).await.unwrap();
    list.into_inner().windows
}

fn sum(windows: &[MetricWindow], of: impl Fn(&WfMetrics) -> i32) -> i32 {
    windows.iter().map(|window| of(&of_workflow(window))).sum()
}

/// Takes until the minute is over.
#[tokio::test]
async fn a_window_is_there_when_its_minute_is_over() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client
        .define(sequence("good", vec![], vec![event("go")]))
        .await;
    let mut bad = sequence("bad", vec![], vec![event("go")]);
    let main = bad.thread_specs.get_mut("main").unwrap();
    // No edge to go on.
    let never = compare(
        literal(int(1)),
        proto::littlehorse::Comparator::LessThan,
        literal(int(0)),
    );
    main.nodes.get_mut("1").unwrap().outgoing_edges = vec![when("exit", never)];
    client.define(bad).await;
    for (spec, count) in [("good", 33), ("bad", 5)] {
        for n in 0..count {
            let run = format!("{spec}-{n}");
            client.run(spec, &run).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            let go = put_event(&run, "go", "g", VariableValue::default());
            client.put_external_event(go).await.unwrap();
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let this_minute = now.as_millis() as i64 / 60_000 * 60_000;
    let window_id = |start: i64| MetricWindowId {
        id: Some(metric_window_id::Id::WfSpecId(spec_id("good"))),
        window_start: Some(proto::time::from_millis(start)),
        ..MetricWindowId::default()
    };
    // Perhaps a minute began just now; this one is not over.
    let early = client.get_metric_window(window_id(this_minute)).await;
    let left = 60_000 - now.as_millis() as u64 % 60_000;
    if left > 100 {
        // spec 07-52
        refused(early, Code::NotFound, &[]);
    }
    tokio::time::sleep(Duration::from_millis(left + 50)).await;
    let good = windows(client, Some(spec_id("good"))).await;
    let bad = windows(client, Some(spec_id("bad"))).await;
    let completed = |metrics: &WfMetrics| metrics.running_to_completed.unwrap().count;
    let failed = |metrics: &WfMetrics| metrics.running_to_error.unwrap().count;
    // spec 07-50
    assert_eq!((sum(&good, completed), sum(&good, failed)), (33, 0));
    assert_eq!((sum(&bad, completed), sum(&bad, failed)), (0, 5));
    let timing = of_workflow(&good[0]).running_to_completed.unwrap();
    assert!(timing.max_latency_ms > 0 && timing.total_latency_ms > 0);
    assert!(timing.min_latency_ms > 0);
    let together = windows(client, None).await;
    // spec 07-50
    assert_eq!((sum(&together, completed), sum(&together, failed)), (33, 5));
    let search = |name: &str, latest: bool| SearchWfMetricWindowRequest {
        wf_spec_name: name.to_owned(),
        latest_only: Some(latest),
        ..SearchWfMetricWindowRequest::default()
    };
    let found = client.search_wf_metric_window(search("good", false)).await;
    let found = found.unwrap().into_inner().results;
    assert_eq!(found.len(), good.len());
    let got = client.get_metric_window(found[0].clone()).await.unwrap();
    let got = got.into_inner();
    // spec 07-51
    assert_eq!(got, good[0]);
    assert_eq!(got.id.as_ref().unwrap().id, found[0].id);
    assert_eq!(found[0].tenant_id, None);
    let latest = client.search_wf_metric_window(search("good", true)).await;
    let latest = latest.unwrap().into_inner().results;
    // spec 07-51
    assert_eq!(latest, found[found.len() - 1..]);
    let start = millis(found[0].window_start);
    // spec 07-53
    refused(
        client.get_metric_window(window_id(start + 1)).await,
        Code::NotFound,
        &[],
    );
    let all = MetricWindowId {
        window_start: found[0].window_start,
        metric_type: Some(MetricWindowType::WorkflowMetric.into()),
        ..MetricWindowId::default()
    };
    client.get_metric_window(all).await.unwrap();
    // spec 07-55
    refused(
        client.search_wf_metric_window(search(" ", false)).await,
        Code::InvalidArgument,
        &["wf_spec_name"],
    );
    let tasks = client
        .list_task_metrics(ListTaskMetricsRequest::default())
        .await;
    assert_eq!(tasks.unwrap().into_inner().windows, []);
    let legacy = client
        .get_task_def_metrics_window(TaskDefMetricsQueryRequest::default())
        .await;
    // spec 07-57
    refused(legacy, Code::Unimplemented, &[]);
    server.stop().await;
}

//! SLEEP nodes (spec 03, section 6.6; spec 05, section 8).

use prost_types::Timestamp;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::variable_assignment::Path;
use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::{
    LhStatus, ResumeWfRunRequest, RunWfRequest, SleepNode, SleepNodeRun, StopWfRunRequest,
    VariableAssignment, VariableType, VariableValue, node_run, sleep_node, variable_value,
};

use crate::support::*;

fn sleep_iso(time: VariableAssignment) -> Kind {
    Kind::Sleep(SleepNode {
        sleep_length: Some(sleep_node::SleepLength::IsoDate(time)),
    })
}

fn sleep_for_field(document: VariableAssignment) -> Kind {
    sleep_for(VariableAssignment {
        path: Some(Path::JsonPath("$.n".to_owned())),
        ..document
    })
}

/// A WfSpec that sleeps once, for or until its variable `x`.
async fn define(
    client: &mut Client,
    name: &str,
    kind: VariableType,
    sleep: fn(VariableAssignment) -> Kind,
) {
    let x = vec![optional(var_def("x", kind))];
    client
        .define(sequence(name, x, vec![sleep(variable("x"))]))
        .await;
}

async fn sleeper(client: &mut Client, run: &str) -> SleepNodeRun {
    match client.node_run(run, 1).await.node_type {
        Some(node_run::NodeType::Sleep(part)) => part,
        other => panic!("{other:?}"),
    }
}

fn time(ms: i64) -> VariableValue {
    value(variable_value::Value::UtcTimestamp(
        proto::time::from_millis(ms),
    ))
}

#[tokio::test]
async fn a_sleep_has_many_forms() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, "int", VariableType::Int, sleep_for).await;
    // A static DOUBLE is refused; what a document holds shows at run time.
    define(client, "json", VariableType::JsonObj, sleep_for_field).await;
    define(client, "iso", VariableType::Str, sleep_iso).await;
    define(client, "millis", VariableType::Int, sleep_until).await;
    define(client, "time", VariableType::Timestamp, sleep_until).await;
    let far = "2300-01-31T10:00:00.250Z";
    let far_ms = 10_416_420_000_250;
    // How long after its arrival, or until when, each is to end.
    for (run, spec, x, after, until) in [
        ("day", "int", int(86_400), Some(86_400_000), None),
        ("cut", "json", json(r#"{"n": 10.9}"#), Some(10_000), None),
        ("parsed", "json", json(r#"{"n": "10"}"#), Some(10_000), None),
        ("zulu", "iso", text(far), None, Some(far_ms)),
        (
            "offset",
            "iso",
            text("2300-01-31T12:00:00.250+02:00"),
            None,
            Some(far_ms),
        ),
        ("epoch", "millis", int(far_ms), None, Some(far_ms)),
        ("stamp", "time", time(far_ms), None, Some(far_ms)),
        // Clients can show no time after this one.
        (
            "greatest",
            "int",
            int(i64::MAX),
            None,
            Some(253_402_300_799_999),
        ),
        (
            "last",
            "millis",
            int(i64::MAX),
            None,
            Some(253_402_300_799_999),
        ),
    ] {
        let started = client.run_with(spec, run, &[("x", x)]).await;
        assert_eq!(started.status(), LhStatus::Running, "{run}");
        let part = sleeper(client, run).await;
        assert!(!part.matured, "{run}");
        let arrived = millis(client.node_run(run, 1).await.arrival_time);
        let expected = until.or(after.map(|after| arrived + after)).unwrap();
        assert_eq!(millis(part.maturation_time), expected, "{run}");
    }
    // What is over ends at once; and no node ends before it began.
    for (run, spec, x) in [
        ("zero", "int", int(0)),
        ("less", "int", int(-1)),
        ("least", "int", int(i64::MIN)),
        ("fraction", "json", json(r#"{"n": 0.9}"#)),
        ("past-iso", "iso", text("2001-01-01T00:00:00Z")),
        ("past-epoch", "millis", int(1)),
        ("past-stamp", "time", time(-1)),
    ] {
        client.run_with(spec, run, &[("x", x)]).await;
        // spec 05-50
        assert_eq!(
            client.ended(run).await.status(),
            LhStatus::Completed,
            "{run}"
        );
        let node_run = client.node_run(run, 1).await;
        let took = millis(node_run.end_time) - millis(node_run.arrival_time);
        assert!((0..2000).contains(&took), "{run}: {took} ms");
        assert!(sleeper(client, run).await.matured, "{run}");
    }
    for (run, spec, x) in [
        ("null", "int", VariableValue::default()),
        ("null-field", "json", json(r#"{"n": null}"#)),
        ("bool", "json", json(r#"{"n": true}"#)),
        ("no-number", "json", json(r#"{"n": "ten"}"#)),
        ("null-iso", "iso", VariableValue::default()),
        ("null-time", "time", VariableValue::default()),
        ("word", "iso", text("tomorrow")),
        ("no-zone", "iso", text("2300-01-31T10:00:00")),
        ("empty", "iso", text("")),
    ] {
        let started = client.run_with(spec, run, &[("x", x)]).await;
        assert_eq!(started.status(), LhStatus::Error, "{run}");
        let failure = client.node_run(run, 1).await.failures.remove(0);
        assert_eq!(failure.failure_name, "VAR_SUB_ERROR", "{run}");
        assert!(
            failure.message.contains("maturation"),
            "{}",
            failure.message
        );
        assert_eq!(sleeper(client, run).await.maturation_time, None);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_sleep_goes_on_through_stops_and_restarts() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    define(client, "nap", VariableType::Int, sleep_for).await;
    for run in ["stopped", "sleeps"] {
        client.run_with("nap", run, &[("x", int(1))]).await;
    }
    let request = StopWfRunRequest {
        wf_run_id: Some(id("stopped")),
        thread_run_number: 0,
    };
    client.stop_wf_run(request).await.unwrap();
    let arrived = millis(client.node_run("sleeps", 1).await.arrival_time);
    server.stop_until(arrived + 900).await;
    let client = &mut server.client.clone();
    client.ended("sleeps").await;
    let node_run = client.node_run("sleeps", 1).await;
    let late = millis(node_run.end_time) - arrived - 1000;
    assert!((0..1000).contains(&late), "{late} ms late");
    // The clock has run on; the thread goes on when it is let.
    until(|| {
        let mut client = client.clone();
        async move { sleeper(&mut client, "stopped").await.matured.then_some(()) }
    })
    .await;
    let node_run = client.node_run("stopped", 1).await;
    assert_eq!(node_run.status(), LhStatus::Halted);
    assert_eq!(node_run.end_time, None::<Timestamp>);
    let request = ResumeWfRunRequest {
        wf_run_id: Some(id("stopped")),
        thread_run_number: 0,
    };
    client.resume_wf_run(request).await.unwrap();
    assert_eq!(client.wf_run("stopped").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn overdue_timers_fire_in_the_order_of_their_times() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    // A family of runs lives in one group; between groups the order is undefined.
    client.define(sequence("family", vec![], vec![])).await;
    client.define_task(task_def("work", &[], None)).await;
    let until_x = sleep_until(variable("x"));
    let work = Kind::Task(task("work", vec![]));
    let x = vec![required(var_def("x", VariableType::Int))];
    let mut child = sequence("child", x, vec![until_x, work]);
    child.parent_wf_spec = Some(ParentWfSpecReference {
        wf_spec_name: "family".to_owned(),
        wf_spec_major_version: 0,
    });
    client.define(child).await;
    // Late enough that all four are asleep by then, on a busy machine too.
    let start = millis(client.run("family", "f").await.start_time) + 2000;
    for (name, after) in [("third", 30), ("first", 10), ("fourth", 40), ("second", 20)] {
        let request = RunWfRequest {
            parent_wf_run_id: Some(id("f")),
            ..run_request("child", name, &[("x", int(start + after))])
        };
        client.run_wf(request).await.unwrap();
    }
    server.stop_until(start + 50).await;
    let client = &mut server.client.clone();
    let mut polls = client.polling("work").await;
    for name in ["first", "second", "third", "fourth"] {
        polls.ask().await;
        assert_eq!(run_of(&polls.next().await), format!("f_{name}"));
    }
    server.stop().await;
}

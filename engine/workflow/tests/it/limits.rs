//! What is bounded, whatever a WfSpec asks for.

use std::collections::BTreeMap;

use ironhorse_workflow::Settings;
use proto::ironhorse::v1::PutExternalEvent;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    ExternalEvent, ExternalEventDef, ExternalEventDefId, ExternalEventNode, LhStatus,
    PutExternalEventDefRequest, PutExternalEventRequest, RunChildWfNode, StartMultipleThreadsNode,
    VariableAssignment, VariableValue, WaitForThreadsNode, WfRunId,
};

use crate::world::{World, sequence};

fn literal(value: Value) -> VariableAssignment {
    VariableAssignment {
        source: Some(Source::LiteralValue(VariableValue { value: Some(value) })),
        ..VariableAssignment::default()
    }
}

#[test]
fn a_spec_that_runs_itself_comes_to_an_end() {
    let mut world = World::at("2026-01-01T00:00:00Z", 1);
    let name = literal(Value::Str("s".to_owned()));
    let again = Kind::RunChildWf(RunChildWfNode {
        wf_spec: Some(ChildName::WfSpecVar(name)),
        major_version: -1,
        inputs: BTreeMap::new(),
        child_id: None,
    });
    // Twice, so that the number of runs doubles with each generation.
    world.define("s", vec![], vec![again.clone(), again]);
    let run = world.run("s", "r").unwrap();
    assert_eq!(run.status(), LhStatus::Error);
    let message = run.thread_runs[0].error_message.clone().unwrap();
    assert!(message.contains("child WfRuns"), "{message}");
    let runs = world.wf_runs().len();
    assert!(runs > 100, "{runs}");
}

#[test]
fn a_thousand_threads_run_at_once() {
    let settings = Settings {
        max_thread_runs: 2000,
        ..Settings::new(1)
    };
    let mut world = World::with("2026-01-01T00:00:00Z", &settings);
    let def = || {
        Some(ExternalEventDefId {
            name: "go".to_owned(),
        })
    };
    let request = PutExternalEventDefRequest {
        name: "go".to_owned(),
        ..PutExternalEventDefRequest::default()
    };
    let _: ExternalEventDef = world.meta(Meta::PutExternalEventDef(request)).unwrap();
    let numbers: Vec<String> = (0..1000).map(|n: i32| n.to_string()).collect();
    let list = Value::JsonArr(format!("[{}]", numbers.join(",")));
    let start = Kind::StartMultipleThreads(StartMultipleThreadsNode {
        thread_spec_name: "child".to_owned(),
        iterable: Some(literal(list)),
        ..StartMultipleThreadsNode::default()
    });
    let started = VariableAssignment {
        source: Some(Source::NodeOutput(
            proto::littlehorse::variable_assignment::NodeOutputReference {
                node_name: "1".to_owned(),
            },
        )),
        ..VariableAssignment::default()
    };
    let wait = Kind::WaitForThreads(WaitForThreadsNode {
        threads_to_wait_for: Some(
            proto::littlehorse::wait_for_threads_node::ThreadsToWaitForOneOf::ThreadList(started),
        ),
        ..WaitForThreadsNode::default()
    });
    let mut spec = sequence("s", vec![], vec![start, wait]);
    let go = Kind::ExternalEvent(ExternalEventNode {
        external_event_def_id: def(),
        ..ExternalEventNode::default()
    });
    let child = sequence("c", vec![], vec![go]).thread_specs["main"].clone();
    spec.thread_specs.insert("child".to_owned(), child);
    let _: proto::littlehorse::WfSpec = world.meta(Meta::PutWfSpec(spec)).unwrap();
    let run = world.run("s", "r").unwrap();
    assert_eq!(run.thread_runs.len(), 1001);
    // From the last to the first, so that none is found by being the first.
    for thread in (1..=1000).rev() {
        let put = Core::PutExternalEvent(PutExternalEvent {
            request: Some(PutExternalEventRequest {
                wf_run_id: Some(WfRunId {
                    id: "r".to_owned(),
                    parent_wf_run_id: None,
                }),
                external_event_def_id: def(),
                thread_run_number: Some(thread),
                ..PutExternalEventRequest::default()
            }),
            guid: thread.to_string(),
        });
        let event: ExternalEvent = world.core("r", put).unwrap();
        assert!(event.claimed);
    }
    let (_, run) = world.wf_runs().pop().unwrap();
    assert_eq!(run.status(), LhStatus::Completed);
}

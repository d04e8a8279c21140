//! What is bounded, whatever a WfSpec asks for.

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::{LhStatus, RunChildWfNode, VariableAssignment, VariableValue};

use crate::world::World;

#[test]
fn a_spec_that_runs_itself_comes_to_an_end() {
    let mut world = World::at("2026-01-01T00:00:00Z", 1);
    let name = VariableAssignment {
        source: Some(Source::LiteralValue(VariableValue {
            value: Some(proto::littlehorse::variable_value::Value::Str(
                "s".to_owned(),
            )),
        })),
        ..VariableAssignment::default()
    };
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

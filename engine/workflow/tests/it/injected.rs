//! Whatever cannot be computed, wherever it stands: the WfRun comes to an end that handlers, rescue and operators can see.

use std::collections::BTreeMap;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value as Reflected};
use proto::ironhorse::v1::PutExternalEvent;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::exit_node::Result as ExitResult;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::run_child_wf_node::WfSpec as ChildName;
use proto::littlehorse::sleep_node::SleepLength;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::variable_assignment::{
    Expression, FormatString, NodeOutputReference, Path, Source, expression,
};
use proto::littlehorse::variable_mutation::RhsValue;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::wait_for_condition_node::NodeCondition;
use proto::littlehorse::wait_for_threads_node::{
    ThreadToWaitFor, ThreadsToWaitFor, ThreadsToWaitForOneOf,
};
use proto::littlehorse::*;

use crate::world::{World, sequence};

fn source(source: Source) -> VariableAssignment {
    VariableAssignment {
        source: Some(source),
        ..VariableAssignment::default()
    }
}

fn literal(value: Value) -> VariableAssignment {
    source(Source::LiteralValue(VariableValue { value: Some(value) }))
}

fn int(number: i64) -> VariableAssignment {
    literal(Value::Int(number))
}

fn text(text: &str) -> VariableAssignment {
    literal(Value::Str(text.to_owned()))
}

fn variable(name: &str) -> VariableAssignment {
    source(Source::VariableName(name.to_owned()))
}

fn output(node: &str) -> VariableAssignment {
    source(Source::NodeOutput(NodeOutputReference {
        node_name: node.to_owned(),
    }))
}

/// What no registration can judge, and no evaluation can compute: something in a JSON value that is not there, plus one.
fn poison() -> VariableAssignment {
    let mut missing = variable("json");
    missing.path = Some(Path::JsonPath("$.not.there".to_owned()));
    source(Source::Expression(Box::new(Expression {
        lhs: Some(Box::new(missing)),
        rhs: Some(Box::new(int(1))),
        operation: Some(expression::Operation::MutationType(
            VariableMutationType::Add.into(),
        )),
    })))
}

fn var(name: &str, kind: VariableType) -> ThreadVarDef {
    let json = VariableValue {
        value: Some(Value::JsonObj("{}".to_owned())),
    };
    ThreadVarDef {
        var_def: Some(VariableDef {
            name: name.to_owned(),
            type_def: Some(TypeDefinition {
                defined_type: Some(type_definition::DefinedType::PrimitiveType(kind.into())),
                ..TypeDefinition::default()
            }),
            default_value: (kind == VariableType::JsonObj).then_some(json),
            ..VariableDef::default()
        }),
        ..ThreadVarDef::default()
    }
}

fn event_def(name: &str) -> ExternalEventDefId {
    ExternalEventDefId {
        name: name.to_owned(),
    }
}

/// A node of each kind, with everything that a node can be told to compute.
fn everything() -> PutWfSpecRequest {
    let task = Kind::Task(TaskNode {
        task_to_execute: Some(TaskToExecute::DynamicTask(text("work"))),
        variables: vec![source(Source::FormatString(Box::new(FormatString {
            format: Some(Box::new(text("{0}"))),
            args: vec![variable("x")],
        })))],
        ..TaskNode::default()
    });
    let start = Kind::StartThread(StartThreadNode {
        thread_spec_name: "child".to_owned(),
        variables: BTreeMap::from([("given".to_owned(), int(1))]),
    });
    let each = Kind::StartMultipleThreads(StartMultipleThreadsNode {
        thread_spec_name: "each".to_owned(),
        variables: BTreeMap::from([("more".to_owned(), int(1))]),
        iterable: Some(literal(Value::JsonArr("[1,2]".to_owned()))),
    });
    let wait = |of| {
        Kind::WaitForThreads(WaitForThreadsNode {
            threads_to_wait_for: Some(of),
            ..WaitForThreadsNode::default()
        })
    };
    let one = ThreadsToWaitForOneOf::Threads(ThreadsToWaitFor {
        threads: vec![ThreadToWaitFor {
            thread_run_number: Some(output("2")),
        }],
    });
    let event = Kind::ExternalEvent(ExternalEventNode {
        external_event_def_id: Some(event_def("go")),
        timeout_seconds: Some(int(60)),
        correlation_key: Some(text("key")),
        ..ExternalEventNode::default()
    });
    let sleep = |length| {
        Kind::Sleep(SleepNode {
            sleep_length: Some(length),
        })
    };
    let throw = Kind::ThrowEvent(ThrowEventNode {
        event_def_id: Some(WorkflowEventDefId {
            name: "thrown".to_owned(),
        }),
        content: Some(variable("x")),
    });
    let condition = Kind::WaitForCondition(WaitForConditionNode {
        node_condition: Some(NodeCondition::Condition(literal(Value::Bool(true)))),
    });
    let run = Kind::RunChildWf(RunChildWfNode {
        wf_spec: Some(ChildName::WfSpecVar(text("other"))),
        major_version: -1,
        inputs: BTreeMap::from([("given".to_owned(), int(1))]),
        child_id: Some(text("child")),
    });
    let await_child = Kind::WaitForChildWf(WaitForChildWfNode {
        child_wf_run_id: Some(output("11")),
        child_wf_run_source_node: "11".to_owned(),
    });
    let vars = vec![
        var("x", VariableType::Int),
        var("json", VariableType::JsonObj),
    ];
    let kinds = vec![
        task,
        start,
        each,
        wait(one),
        wait(ThreadsToWaitForOneOf::ThreadList(output("3"))),
        event,
        sleep(SleepLength::RawSeconds(int(1))),
        sleep(SleepLength::IsoDate(text("2026-01-01T00:00:00Z"))),
        throw,
        condition,
        run,
        await_child,
    ];
    let mut spec = sequence("s", vars, kinds);
    let main = spec.thread_specs.get_mut("main").unwrap();
    let edge = &mut main.nodes.get_mut("1").unwrap().outgoing_edges[0];
    edge.edge_condition = Some(EdgeCondition::Condition(literal(Value::Bool(true))));
    edge.variable_mutations.push(VariableMutation {
        lhs_name: "x".to_owned(),
        operation: VariableMutationType::Assign.into(),
        rhs_value: Some(RhsValue::RhsAssignment(int(2))),
        ..VariableMutation::default()
    });
    main.nodes.get_mut("exit").unwrap().node = Some(Kind::Exit(ExitNode {
        result: Some(ExitResult::ReturnContent(variable("x"))),
    }));
    for (name, vars) in [
        ("child", vec![var("given", VariableType::Int)]),
        (
            "each",
            vec![
                var("INPUT", VariableType::Int),
                var("more", VariableType::Int),
            ],
        ),
    ] {
        let thread = sequence("t", vars, vec![Kind::Nop(NopNode {})]).thread_specs["main"].clone();
        spec.thread_specs.insert(name.to_owned(), thread);
    }
    spec
}

fn prepared() -> World {
    let mut world = World::at("2026-01-02T00:00:00Z", 2);
    for name in ["go", "never"] {
        let def = PutExternalEventDefRequest {
            name: name.to_owned(),
            ..PutExternalEventDefRequest::default()
        };
        let _: ExternalEventDef = world.meta(Meta::PutExternalEventDef(def)).unwrap();
    }
    let def = PutWorkflowEventDefRequest {
        name: "thrown".to_owned(),
        ..PutWorkflowEventDefRequest::default()
    };
    let _: WorkflowEventDef = world.meta(Meta::PutWorkflowEventDef(def)).unwrap();
    let def = PutTaskDefRequest {
        name: "work".to_owned(),
        input_vars: vec![var("input", VariableType::Str).var_def.unwrap()],
        ..PutTaskDefRequest::default()
    };
    let _: TaskDef = world.meta(Meta::PutTaskDef(def)).unwrap();
    world.define(
        "other",
        vec![var("given", VariableType::Int)],
        vec![Kind::Nop(NopNode {})],
    );
    world
}

/// Does all that anybody could do for a run, and says how it ended.
fn driven(world: &mut World) -> LhStatus {
    world.run("s", "r").unwrap();
    for round in 0..3 {
        while let Some(task) = world.claim("work") {
            let report = ReportTaskRun {
                task_run_id: task.task_run_id,
                time: task.created_at,
                status: TaskStatus::TaskSuccess.into(),
                attempt_number: task.attempt_number,
                ..ReportTaskRun::default()
            };
            world.core::<()>("r", Core::ReportTask(report)).unwrap();
        }
        let put = Core::PutExternalEvent(PutExternalEvent {
            request: Some(PutExternalEventRequest {
                wf_run_id: Some(WfRunId {
                    id: "r".to_owned(),
                    parent_wf_run_id: None,
                }),
                external_event_def_id: Some(event_def("go")),
                ..PutExternalEventRequest::default()
            }),
            guid: round.to_string(),
        });
        let _: ExternalEvent = world.core("r", put).unwrap();
        world.pass(3_600_000);
    }
    let runs = world.wf_runs();
    let (_, run) = runs
        .iter()
        .find(|(id, _)| id.parent_wf_run_id.is_none())
        .unwrap();
    run.status()
}

/// Replaces the assignment with this number, in the order of the walk, and says what it was part of.
fn replace(
    message: &mut DynamicMessage,
    left: &mut usize,
    with: &DynamicMessage,
) -> Option<String> {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        let mut found = None;
        let visit = |value: &mut Reflected, left: &mut usize| -> Option<String> {
            let Reflected::Message(inner) = value else {
                return None;
            };
            if inner.descriptor().full_name() == "littlehorse.VariableAssignment" {
                if *left == 0 {
                    *inner = with.clone();
                    return Some(String::new());
                }
                *left -= 1;
            }
            replace(inner, left, with)
        };
        match message.get_field_mut(&field) {
            Reflected::List(list) => {
                for value in list {
                    found = found.or_else(|| visit(value, left));
                }
            }
            Reflected::Map(map) => {
                let mut keys: Vec<_> = map.keys().cloned().collect();
                keys.sort_by_key(|key| format!("{key:?}"));
                for key in keys {
                    if found.is_none()
                        && let Some(value) = map.get_mut(&key)
                    {
                        found = visit(value, left).map(|path| format!("[{key:?}]{path}"));
                    }
                }
            }
            value => found = visit(value, left),
        }
        if let Some(path) = found {
            return Some(format!(".{}{path}", field.name()));
        }
    }
    None
}

#[test]
fn no_error_leaves_a_run_stuck() {
    let mut world = prepared();
    let spec = everything();
    let _: WfSpec = world.meta(Meta::PutWfSpec(spec.clone())).unwrap();
    assert_eq!(driven(&mut world), LhStatus::Completed);
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let reflect = |name: &str, bytes: Vec<u8>| {
        DynamicMessage::decode(pool.get_message_by_name(name).unwrap(), &bytes[..]).unwrap()
    };
    let poison = reflect("littlehorse.VariableAssignment", poison().encode_to_vec());
    let (mut failed, mut refused) = (Vec::new(), Vec::new());
    for number in 0.. {
        let mut changed = reflect("littlehorse.PutWfSpecRequest", spec.encode_to_vec());
        let Some(place) = replace(&mut changed, &mut number.clone(), &poison) else {
            break;
        };
        let request = PutWfSpecRequest::decode(&changed.encode_to_vec()[..]).unwrap();
        let mut world = prepared();
        if world.meta::<WfSpec>(Meta::PutWfSpec(request)).is_err() {
            // It could never run.
            refused.push(place);
            continue;
        }
        assert_eq!(driven(&mut world), LhStatus::Error, "{place}");
        failed.push(place);
    }
    assert!(failed.len() >= 20, "{failed:#?} refused: {refused:#?}");
}

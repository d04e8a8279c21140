//! Valid requests: what the corpus and the generator begin with.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{
    Bootstrap, CoreCommand, DeleteWfRuns, MetadataCommand, PutExternalEvent, RegisterTaskWorker,
    RunWf, ScheduleWf,
};
use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::exit_node::Result as ExitResult;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::sleep_node::SleepLength;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::{Expression, Path, Source, expression::Operation};
use proto::littlehorse::variable_mutation::RhsValue;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    BulkDeleteWfRun, Comparator, CorrelatedEventConfig, CorrelatedEventId,
    DeleteCorrelatedEventRequest, DeleteExternalEventDefRequest, DeleteScheduledWfRunRequest,
    DeleteTaskDefRequest, DeleteWfRunRequest, DeleteWfSpecRequest, Edge, EntrypointNode, ExitNode,
    ExponentialBackoffRetryPolicy, ExternalEventDefId, ExternalEventNode, LhHostInfo, LhStatus,
    Node, NopNode, PutCheckpointRequest, PutCorrelatedEventRequest, PutExternalEventDefRequest,
    PutExternalEventRequest, PutTaskDefRequest, PutTenantRequest, PutWfSpecRequest,
    RegisterTaskWorkerRequest, ReportTaskRun, RescueThreadRunRequest, ResumeWfRunRequest,
    ReturnType, RunWfRequest, ScheduleWfRequest, ScheduledWfRunId, SleepNode, StopWfRunRequest,
    TaskDefId, TaskNode, TaskRunId, TaskStatus, ThreadSpec, ThreadVarDef, TypeDefinition,
    VariableAssignment, VariableDef, VariableMutation, VariableMutationType, VariableType,
    VariableValue, WfRunId, WfSpecId, report_task_run,
};

use crate::user_tasks;

pub(crate) const TENANT: &str = "default";
pub(crate) const TASK: &str = "task";
pub(crate) const EVENT: &str = "event";
pub(crate) const SPEC: &str = "spec";

pub(crate) fn int(int: i64) -> VariableValue {
    VariableValue {
        value: Some(Value::Int(int)),
    }
}

fn source(source: Source) -> VariableAssignment {
    VariableAssignment {
        source: Some(source),
        ..VariableAssignment::default()
    }
}

fn variable(name: &str) -> VariableAssignment {
    source(Source::VariableName(name.to_owned()))
}

pub(crate) fn literal(value: Value) -> VariableAssignment {
    source(Source::LiteralValue(VariableValue { value: Some(value) }))
}

fn less(left: VariableAssignment, right: VariableAssignment) -> VariableAssignment {
    source(Source::Expression(Box::new(Expression {
        lhs: Some(Box::new(left)),
        rhs: Some(Box::new(right)),
        operation: Some(Operation::Comparator(Comparator::LessThan.into())),
    })))
}

/// Expressions of several kinds, on the variables of the thread of target `expressions`.
pub(crate) fn assignments() -> Vec<VariableAssignment> {
    let at = |path: &str| VariableAssignment {
        path: Some(Path::JsonPath(path.to_owned())),
        ..variable("o")
    };
    let cast = VariableAssignment {
        target_type: Some(crate::scope::primitive(VariableType::Str)),
        ..variable("i")
    };
    let sum = source(Source::Expression(Box::new(Expression {
        lhs: Some(Box::new(variable("i"))),
        rhs: Some(Box::new(variable("d"))),
        operation: Some(Operation::MutationType(VariableMutationType::Add.into())),
    })));
    vec![
        literal(Value::Double(1.5)),
        at("$.a[2].b"),
        at("$..b"),
        at("$.a[?(@.b == 'c')]"),
        cast,
        less(variable("i"), variable("d")),
        less(sum.clone(), at("$.a[1]")),
        sum,
        variable("m"),
    ]
}

fn definition(name: &str, kind: VariableType) -> VariableDef {
    VariableDef {
        name: name.to_owned(),
        type_def: Some(crate::scope::primitive(kind)),
        ..VariableDef::default()
    }
}

pub(crate) fn edge(sink: &str) -> Edge {
    Edge {
        sink_node_name: sink.to_owned(),
        ..Edge::default()
    }
}

pub(crate) fn node(kind: Kind, edges: Vec<Edge>) -> Node {
    Node {
        outgoing_edges: edges,
        node: Some(kind),
        ..Node::default()
    }
}

/// A loop over a task, an event with a timeout, a sleep, mutations, a condition, an output.
pub(crate) fn spec(name: &str) -> PutWfSpecRequest {
    let task = TaskNode {
        task_to_execute: Some(TaskToExecute::TaskDefId(TaskDefId {
            name: TASK.to_owned(),
        })),
        variables: vec![variable("x")],
        retries: 2,
        timeout_seconds: 10,
        exponential_backoff: Some(ExponentialBackoffRetryPolicy {
            base_interval_ms: 1000,
            max_delay_ms: 5000,
            multiplier: 2.0,
        }),
    };
    let event = ExternalEventNode {
        external_event_def_id: Some(ExternalEventDefId {
            name: EVENT.to_owned(),
        }),
        timeout_seconds: Some(literal(Value::Int(60))),
        correlation_key: Some(literal(Value::Str("key".to_owned()))),
        ..ExternalEventNode::default()
    };
    let sleep = SleepNode {
        sleep_length: Some(SleepLength::RawSeconds(variable("x"))),
    };
    let add = VariableMutation {
        lhs_name: "x".to_owned(),
        operation: VariableMutationType::Add.into(),
        rhs_value: Some(RhsValue::RhsAssignment(literal(Value::Int(1)))),
        ..VariableMutation::default()
    };
    let again = Edge {
        edge_condition: Some(EdgeCondition::Condition(less(
            variable("x"),
            literal(Value::Int(3)),
        ))),
        ..edge("task")
    };
    let counted = Edge {
        variable_mutations: vec![add],
        ..edge("nop")
    };
    let exit = ExitNode {
        result: Some(ExitResult::ReturnContent(variable("x"))),
    };
    let nodes = [
        (
            "entry",
            node(Kind::Entrypoint(EntrypointNode {}), vec![edge("task")]),
        ),
        ("task", node(Kind::Task(task), vec![counted])),
        (
            "nop",
            node(Kind::Nop(NopNode {}), vec![again, edge("event")]),
        ),
        (
            "event",
            node(Kind::ExternalEvent(event), vec![edge("sleep")]),
        ),
        ("sleep", node(Kind::Sleep(sleep), vec![edge("exit")])),
        ("exit", node(Kind::Exit(exit), Vec::new())),
    ];
    let thread = ThreadSpec {
        nodes: nodes.map(|(name, node)| (name.to_owned(), node)).into(),
        variable_defs: vec![
            ThreadVarDef {
                var_def: Some(definition("x", VariableType::Int)),
                required: true,
                searchable: true,
                ..ThreadVarDef::default()
            },
            ThreadVarDef {
                var_def: Some(definition("o", VariableType::JsonObj)),
                ..ThreadVarDef::default()
            },
        ],
        ..ThreadSpec::default()
    };
    PutWfSpecRequest {
        name: name.to_owned(),
        thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
        entrypoint_thread_name: "main".to_owned(),
        ..PutWfSpecRequest::default()
    }
}

pub(crate) fn meta(command: Meta) -> Bytes {
    let command = MetadataCommand {
        version: 1,
        tenant: TENANT.to_owned(),
        principal: "anonymous".to_owned(),
        command: Some(command),
    };
    Bytes::from(command.encode_to_vec())
}

pub(crate) fn core(command: Core) -> Bytes {
    let command = CoreCommand {
        version: 1,
        tenant: TENANT.to_owned(),
        principal: "anonymous".to_owned(),
        command: Some(command),
    };
    Bytes::from(command.encode_to_vec())
}

/// Commands of the metadata group, which define what [`core_commands`] use.
pub fn definitions() -> Vec<Bytes> {
    [
        Meta::Bootstrap(Bootstrap {}),
        Meta::PutTaskDef(PutTaskDefRequest {
            name: TASK.to_owned(),
            input_vars: vec![definition("x", VariableType::Int)],
            return_type: Some(ReturnType {
                return_type: Some(TypeDefinition {
                    defined_type: Some(DefinedType::PrimitiveType(VariableType::Int.into())),
                    masked: false,
                }),
            }),
            ..PutTaskDefRequest::default()
        }),
        Meta::PutExternalEventDef(PutExternalEventDefRequest {
            name: EVENT.to_owned(),
            correlated_event_config: Some(CorrelatedEventConfig {
                ttl_seconds: Some(3600),
                delete_after_first_correlation: false,
            }),
            ..PutExternalEventDefRequest::default()
        }),
        Meta::PutWfSpec(spec(SPEC)),
    ]
    .into_iter()
    .chain(user_tasks::definitions())
    .map(meta)
    .collect()
}

/// Further commands of the metadata group.
pub(crate) fn more_definitions() -> Vec<Bytes> {
    [
        Meta::PutTenant(PutTenantRequest {
            id: "other".to_owned(),
            ..PutTenantRequest::default()
        }),
        Meta::PutWfSpec(spec("more")),
        Meta::DeleteWfSpec(DeleteWfSpecRequest {
            id: Some(WfSpecId {
                name: SPEC.to_owned(),
                ..WfSpecId::default()
            }),
        }),
        Meta::DeleteTaskDef(DeleteTaskDefRequest {
            id: Some(TaskDefId {
                name: TASK.to_owned(),
            }),
        }),
        Meta::DeleteExternalEventDef(DeleteExternalEventDefRequest {
            id: Some(ExternalEventDefId {
                name: EVENT.to_owned(),
            }),
        }),
    ]
    .map(meta)
    .to_vec()
}

/// One command of each kind for the core group.
pub fn core_commands() -> Vec<Bytes> {
    let id = || Some(WfRunId::root("run"));
    let event = || {
        Some(ExternalEventDefId {
            name: EVENT.to_owned(),
        })
    };
    let task = || {
        Some(TaskRunId {
            wf_run_id: id(),
            task_guid: "0-1".to_owned(),
        })
    };
    let run = RunWfRequest {
        wf_spec_name: SPEC.to_owned(),
        variables: BTreeMap::from([("x".to_owned(), int(2))]),
        ..RunWfRequest::default()
    };
    [
        Core::RunWf(RunWf {
            request: Some(run),
            id: "run".to_owned(),
        }),
        Core::ReportTask(ReportTaskRun {
            task_run_id: task(),
            status: TaskStatus::TaskSuccess.into(),
            result: Some(report_task_run::Result::Output(int(5))),
            ..ReportTaskRun::default()
        }),
        Core::PutExternalEvent(PutExternalEvent {
            request: Some(PutExternalEventRequest {
                wf_run_id: id(),
                external_event_def_id: Some(ExternalEventDefId {
                    name: EVENT.to_owned(),
                }),
                content: Some(int(1)),
                ..PutExternalEventRequest::default()
            }),
            guid: "guid".to_owned(),
        }),
        Core::StopWfRun(StopWfRunRequest {
            wf_run_id: id(),
            thread_run_number: 0,
        }),
        Core::RescueThreadRun(RescueThreadRunRequest {
            wf_run_id: id(),
            thread_run_number: 0,
            skip_current_node: true,
        }),
        Core::ResumeWfRun(ResumeWfRunRequest {
            wf_run_id: id(),
            thread_run_number: 0,
        }),
        Core::PutCheckpoint(PutCheckpointRequest {
            task_run_id: task(),
            task_attempt: 0,
            value: Some(int(9)),
            logs: Some("half way".to_owned()),
        }),
        Core::RegisterTaskWorker(RegisterTaskWorker {
            request: Some(RegisterTaskWorkerRequest {
                task_worker_id: "worker".to_owned(),
                task_def_id: Some(TaskDefId {
                    name: TASK.to_owned(),
                }),
            }),
            hosts: vec![LhHostInfo {
                host: "localhost".to_owned(),
                port: 2023,
            }],
        }),
        Core::DeleteWfRun(DeleteWfRunRequest { id: id() }),
        Core::PutCorrelatedEvent(PutCorrelatedEventRequest {
            key: "key".to_owned(),
            external_event_def_id: event(),
            content: Some(int(4)),
        }),
        Core::DeleteCorrelatedEvent(DeleteCorrelatedEventRequest {
            id: Some(CorrelatedEventId {
                key: "key".to_owned(),
                external_event_def_id: event(),
            }),
        }),
        Core::ScheduleWf(ScheduleWf {
            request: Some(ScheduleWfRequest {
                wf_spec_name: SPEC.to_owned(),
                variables: BTreeMap::from([("x".to_owned(), int(3))]),
                cron_expression: "*/7 * * * *".to_owned(),
                ..ScheduleWfRequest::default()
            }),
            id: "schedule".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
        }),
        Core::DeleteScheduledWfRun(DeleteScheduledWfRunRequest {
            id: Some(ScheduledWfRunId {
                id: "schedule".to_owned(),
            }),
        }),
        Core::DeleteWfRuns(DeleteWfRuns {
            wanted: Some(BulkDeleteWfRun {
                wf_spec_name: SPEC.to_owned(),
                earliest_start: Some(proto::time::from_millis(0)),
                latest_start: Some(proto::time::from_millis(i64::from(u32::MAX) * 1000)),
                wf_run_status: Some(LhStatus::Completed.into()),
            }),
            wf_run_ids: vec![WfRunId::root("run")],
        }),
    ]
    .into_iter()
    .chain(user_tasks::commands())
    .map(core)
    .collect()
}

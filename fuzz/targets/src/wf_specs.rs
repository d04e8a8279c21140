//! WfSpecs made of bytes, most of them right: put, and run if they are accepted.

use std::collections::BTreeMap;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use proto::ironhorse::v1::metadata_command::Command as Meta;
use proto::ironhorse::v1::{PutExternalEvent, RunWf, core_command::Command as Core};
use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::exit_node::Result as ExitResult;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::sleep_node::SleepLength;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::variable_assignment::expression::Operation;
use proto::littlehorse::variable_assignment::{
    Expression, FormatString, NodeOutputReference, Path, SizeOf, Source,
};
use proto::littlehorse::variable_mutation::RhsValue;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Edge, EntrypointNode, ExitNode, ExternalEventDefId, ExternalEventNode, FailureHandlerDef, Node,
    NopNode, PutExternalEventRequest, PutWfSpecRequest, RunWfRequest, SleepNode, StartThreadNode,
    TaskDefId, TaskNode, ThreadSpec, ThreadVarDef, VariableAssignment, VariableDef,
    VariableMutation, VariableType, VariableValue, WaitForThreadsNode, WfRunId,
};
use runtime::RejectionCode;

use crate::scope::primitive;
use crate::{Input, Op, World, generate, templates};

/// WfSpecs of one input.
const SPECS: usize = 4;
/// How deep a made expression is.
const DEPTH: usize = 3;
const NAME: &str = "made";

const KINDS: [(&str, VariableType); 8] = [
    ("i", VariableType::Int),
    ("d", VariableType::Double),
    ("s", VariableType::Str),
    ("b", VariableType::Bool),
    ("o", VariableType::JsonObj),
    ("a", VariableType::JsonArr),
    ("w", VariableType::WfRunId),
    ("t", VariableType::Timestamp),
];

/// What became of the WfSpecs of one input.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tried {
    /// Put.
    pub put: usize,
    /// Accepted, and then run.
    pub accepted: usize,
}

/// Puts WfSpecs made of the bytes, and runs the accepted ones.
///
/// # Panics
/// One that was accepted cannot be run, a refusal has no reason or is a defect, or the world does not hold together.
pub fn put_and_run(bytes: &[u8]) -> Tried {
    let mut input = Input::new(bytes);
    let mut world = World::new();
    let mut tried = Tried::default();
    while !input.is_empty() && tried.put < SPECS {
        tried.put += 1;
        let request = request(&mut input);
        let variables = inputs(&request, &mut input);
        let put = templates::meta(Meta::PutWfSpec(request));
        match world.happen(&Op::Metadata(put)) {
            Some(Ok(_)) => {
                tried.accepted += 1;
                run(&mut world, tried.put, variables, &mut input);
            }
            Some(Err(rejection)) => assert!(
                rejection.code != RejectionCode::Internal && !rejection.message.is_empty(),
                "a WfSpec is refused with a defect of ours: {rejection}"
            ),
            None => {}
        }
    }
    world.check();
    tried
}

/// The target.
pub(crate) fn wf_specs(bytes: &[u8]) {
    put_and_run(bytes);
}

fn run(
    world: &mut World,
    number: usize,
    variables: BTreeMap<String, VariableValue>,
    input: &mut Input<'_>,
) {
    let id = format!("r{number}");
    let request = RunWfRequest {
        wf_spec_name: NAME.to_owned(),
        variables,
        ..RunWfRequest::default()
    };
    let command = Core::RunWf(RunWf {
        request: Some(request),
        id: id.clone(),
    });
    let answer = world.happen(&Op::Core(templates::core(command)));
    if let Some(Err(rejection)) = answer {
        assert!(
            matches!(
                rejection.code,
                RejectionCode::InvalidArgument | RejectionCode::ResourceExhausted
            ),
            "an accepted WfSpec cannot be run: {rejection}"
        );
    }
    let event = PutExternalEventRequest {
        wf_run_id: Some(WfRunId::root(&id)),
        external_event_def_id: Some(ExternalEventDefId {
            name: templates::EVENT.to_owned(),
        }),
        content: Some(literal(input)),
        ..PutExternalEventRequest::default()
    };
    let event = Core::PutExternalEvent(PutExternalEvent {
        request: Some(event),
        guid: id,
    });
    for op in [
        Op::Poll,
        World::success(input.i64()),
        Op::Core(templates::core(event)),
        Op::Poll,
        World::success(1),
        Op::Pass(120_000),
    ] {
        if let Some(Err(rejection)) = world.happen(&op) {
            assert!(
                rejection.code != RejectionCode::Internal,
                "a run of an accepted WfSpec meets a defect of ours: {rejection}"
            );
        }
    }
}

/// A value for some of the entrypoint's variables.
fn inputs(request: &PutWfSpecRequest, input: &mut Input<'_>) -> BTreeMap<String, VariableValue> {
    let thread = request.thread_specs.get(&request.entrypoint_thread_name);
    let defs = thread.into_iter().flat_map(|thread| &thread.variable_defs);
    let mut given = BTreeMap::new();
    for def in defs {
        let name = def.var_def.as_ref().map_or("", |def| def.name.as_str());
        let known = KINDS.iter().find(|(known, _)| *known == name);
        if let Some((_, kind)) = known
            && (def.required || input.one_in(2))
        {
            given.insert(name.to_owned(), of_kind(*kind, input));
        }
    }
    given
}

fn request(input: &mut Input<'_>) -> PutWfSpecRequest {
    let declared = usize::from(input.u8());
    let kinds: Vec<(&str, VariableType)> = KINDS
        .into_iter()
        .enumerate()
        .filter(|(at, _)| declared >> at & 1 == 1)
        .map(|(_, kind)| kind)
        .collect();
    let make = &mut Make { kinds, input };
    let mut request = make.wf_spec();
    if make.input.one_in(4) {
        // Anything may be anywhere.
        let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("our own descriptors");
        let descriptor = pool
            .get_message_by_name("littlehorse.PutWfSpecRequest")
            .expect("our own message");
        let bytes = request.encode_to_vec();
        let mut message = DynamicMessage::decode(descriptor, &bytes[..]).expect("our own request");
        for _ in 0..=make.input.below(3) {
            generate::change(&mut message, make.input, 0);
        }
        request = PutWfSpecRequest::decode(&message.encode_to_vec()[..]).unwrap_or(request);
        // What is put is what is run.
        NAME.clone_into(&mut request.name);
    }
    request
}

fn literal(input: &mut Input<'_>) -> VariableValue {
    let (_, kind) = KINDS[input.below(KINDS.len())];
    of_kind(kind, input)
}

fn of_kind(kind: VariableType, input: &mut Input<'_>) -> VariableValue {
    if input.one_in(16) {
        return VariableValue::default();
    }
    let number = i64::from(input.u8());
    let value = match kind {
        VariableType::Int if number > 250 => Value::Int(input.i64()),
        VariableType::Int => Value::Int(number - 100),
        VariableType::Double if number > 250 => Value::Double(f64::from_bits(input.i64() as u64)),
        VariableType::Double => Value::Double(number as f64 / 4.0),
        VariableType::Bool => Value::Bool(number % 2 == 0),
        VariableType::JsonObj => Value::JsonObj(format!(r#"{{"x":{number},"y":[1,"z"]}}"#)),
        VariableType::JsonArr => Value::JsonArr(format!("[{number},{{}},null]")),
        VariableType::WfRunId => Value::WfRunId(WfRunId::root("p").child(number.to_string())),
        VariableType::Timestamp => Value::UtcTimestamp(prost_types::Timestamp {
            seconds: number,
            nanos: 5,
        }),
        _ => Value::Str(["12", "true", "", "{0}", "x"][number as usize % 5].to_owned()),
    };
    VariableValue { value: Some(value) }
}

struct Make<'i, 'b> {
    /// Declared variables.
    kinds: Vec<(&'static str, VariableType)>,
    input: &'i mut Input<'b>,
}

fn source(source: Source) -> VariableAssignment {
    VariableAssignment {
        source: Some(source),
        ..VariableAssignment::default()
    }
}

impl Make<'_, '_> {
    fn wf_spec(&mut self) -> PutWfSpecRequest {
        let count = 1 + self.input.below(5);
        let name = |at: usize| match at {
            0 => "entry".to_owned(),
            at if at > count => "exit".to_owned(),
            at => at.to_string(),
        };
        let mut nodes = BTreeMap::new();
        for at in 0..=count {
            let kind = match at {
                0 => Kind::Entrypoint(EntrypointNode {}),
                _ => self.node(),
            };
            let mut outgoing_edges = Vec::new();
            if self.input.one_in(3) {
                // On, or back: a loop.
                let sink = name(1 + self.input.below(count + 1));
                let condition = self.typed(VariableType::Bool, DEPTH);
                outgoing_edges.push(self.edge(sink, Some(condition)));
            }
            outgoing_edges.push(self.edge(name(at + 1), None));
            outgoing_edges.retain(|edge| edge.sink_node_name != name(at));
            let mut node = Node {
                node: Some(kind),
                outgoing_edges,
                ..Node::default()
            };
            if self.input.one_in(64) {
                node.failure_handlers.push(FailureHandlerDef {
                    handler_spec_name: "main".to_owned(),
                    ..FailureHandlerDef::default()
                });
            }
            nodes.insert(name(at), node);
        }
        let result = self.input.one_in(2).then(|| {
            let (_, kind) = KINDS[self.input.below(KINDS.len())];
            ExitResult::ReturnContent(self.typed(kind, DEPTH))
        });
        let exit = Node {
            node: Some(Kind::Exit(ExitNode { result })),
            ..Node::default()
        };
        nodes.insert("exit".to_owned(), exit);
        let thread = ThreadSpec {
            nodes,
            variable_defs: self.variables(),
            ..ThreadSpec::default()
        };
        PutWfSpecRequest {
            name: NAME.to_owned(),
            thread_specs: BTreeMap::from([("main".to_owned(), thread)]),
            entrypoint_thread_name: "main".to_owned(),
            ..PutWfSpecRequest::default()
        }
    }

    fn variables(&mut self) -> Vec<ThreadVarDef> {
        let kinds = self.kinds.clone();
        let defs = kinds.into_iter().map(|(name, kind)| {
            let mut type_def = primitive(kind);
            type_def.masked = self.input.one_in(8);
            let default = self.input.one_in(4);
            ThreadVarDef {
                var_def: Some(VariableDef {
                    name: name.to_owned(),
                    type_def: Some(type_def),
                    default_value: default.then(|| of_kind(kind, self.input)),
                    ..VariableDef::default()
                }),
                required: self.input.one_in(8),
                searchable: self.input.one_in(4),
                // Private, so that a later one of another type may follow.
                access_level: 1,
                ..ThreadVarDef::default()
            }
        });
        defs.collect()
    }

    fn edge(&mut self, sink: String, condition: Option<VariableAssignment>) -> Edge {
        let mut edge = Edge {
            sink_node_name: sink,
            edge_condition: condition.map(EdgeCondition::Condition),
            ..Edge::default()
        };
        while self.input.one_in(3) && !self.kinds.is_empty() && edge.variable_mutations.len() < 3 {
            let (name, kind) = self.kinds[self.input.below(self.kinds.len())];
            let path = (kind == VariableType::JsonObj && self.input.one_in(2)).then_some("$.x");
            edge.variable_mutations.push(VariableMutation {
                lhs_name: name.to_owned(),
                lhs_json_path: path.map(str::to_owned),
                operation: self.operator(kind),
                rhs_value: Some(RhsValue::RhsAssignment(self.typed(kind, DEPTH))),
                ..VariableMutation::default()
            });
        }
        edge
    }

    /// One that variables of the kind can be changed by with one of the same kind.
    fn operator(&mut self, kind: VariableType) -> i32 {
        let fitting: &[i32] = match kind {
            // ASSIGN, ADD, SUBTRACT, MULTIPLY, DIVIDE, POW
            VariableType::Int | VariableType::Double => &[0, 1, 3, 4, 5, 11],
            VariableType::Str => &[0, 1, 2],
            VariableType::Bool => &[0, 9, 10],
            VariableType::JsonArr => &[0, 1, 2],
            _ => &[0],
        };
        if self.input.one_in(48) {
            return self.input.below(13) as i32;
        }
        fitting[self.input.below(fitting.len())]
    }

    fn node(&mut self) -> Kind {
        match self.input.below(24) {
            0..=5 => {
                let input = self.typed(VariableType::Int, DEPTH);
                self.task(
                    TaskToExecute::TaskDefId(TaskDefId {
                        name: templates::TASK.to_owned(),
                    }),
                    vec![input],
                )
            }
            6 => {
                let name = self.typed(VariableType::Str, 1);
                self.task(TaskToExecute::DynamicTask(name), Vec::new())
            }
            7..=9 => Kind::ExternalEvent(ExternalEventNode {
                external_event_def_id: Some(ExternalEventDefId {
                    name: templates::EVENT.to_owned(),
                }),
                timeout_seconds: self
                    .input
                    .one_in(2)
                    .then(|| self.typed(VariableType::Int, 1)),
                ..ExternalEventNode::default()
            }),
            10..=12 => {
                let length = match self.input.below(3) {
                    0 => SleepLength::RawSeconds(self.typed(VariableType::Int, 2)),
                    1 => SleepLength::Timestamp(self.typed(VariableType::Timestamp, 1)),
                    _ => SleepLength::IsoDate(self.typed(VariableType::Str, 1)),
                };
                Kind::Sleep(SleepNode {
                    sleep_length: Some(length),
                })
            }
            // What another version runs.
            13 if self.input.one_in(4) => Kind::StartThread(StartThreadNode {
                thread_spec_name: "main".to_owned(),
                ..StartThreadNode::default()
            }),
            14 if self.input.one_in(4) => Kind::WaitForThreads(WaitForThreadsNode::default()),
            _ => Kind::Nop(NopNode {}),
        }
    }

    fn task(&mut self, task: TaskToExecute, variables: Vec<VariableAssignment>) -> Kind {
        Kind::Task(TaskNode {
            task_to_execute: Some(task),
            timeout_seconds: self.input.below(4) as i32 * 10,
            retries: self.input.below(3) as i32,
            variables,
            ..TaskNode::default()
        })
    }

    /// An expression of this type, in all but a few cases.
    fn typed(&mut self, kind: VariableType, depth: usize) -> VariableAssignment {
        if self.input.one_in(64) {
            let (_, other) = KINDS[self.input.below(KINDS.len())];
            return source(Source::LiteralValue(of_kind(other, self.input)));
        }
        let declared = self.kinds.iter().find(|(_, of)| *of == kind);
        let leaf = match declared {
            Some((name, _)) if self.input.one_in(2) => Source::VariableName((*name).to_owned()),
            _ => Source::LiteralValue(of_kind(kind, self.input)),
        };
        if depth == 0 {
            return source(leaf);
        }
        match (self.input.below(10), kind) {
            (0..=4, VariableType::Bool) => {
                let (_, of) = KINDS[self.input.below(4)];
                let comparator = self.input.below(6) as i32;
                let (left, right) = (self.typed(of, depth - 1), self.typed(of, depth - 1));
                expression(left, Operation::Comparator(comparator), right)
            }
            (
                0..=4,
                VariableType::Int
                | VariableType::Double
                | VariableType::Str
                | VariableType::JsonArr,
            ) => {
                let operator = self.operator(kind);
                let (left, right) = (self.typed(kind, depth - 1), self.typed(kind, depth - 1));
                expression(left, Operation::MutationType(operator), right)
            }
            (5, VariableType::Int) => source(Source::SizeOf(Box::new(SizeOf {
                operand: Some(Box::new(self.typed(VariableType::Str, depth - 1))),
            }))),
            (5, VariableType::Str) => {
                let (_, of) = KINDS[self.input.below(KINDS.len())];
                source(Source::FormatString(Box::new(FormatString {
                    format: Some(Box::new(self.typed(VariableType::Str, 0))),
                    args: vec![self.typed(of, depth - 1)],
                })))
            }
            (6, _) => VariableAssignment {
                path: Some(Path::JsonPath(
                    ["$.x", "$.y[1]", "$..z", "$.y[?(@ > 1)]"][self.input.below(4)].to_owned(),
                )),
                target_type: Some(primitive(kind)),
                ..self.typed(VariableType::JsonObj, 0)
            },
            (7, VariableType::Int | VariableType::Double | VariableType::Bool) => {
                VariableAssignment {
                    target_type: Some(primitive(kind)),
                    ..self.typed(VariableType::Str, depth - 1)
                }
            }
            (8, _) if self.input.one_in(8) => source(Source::NodeOutput(NodeOutputReference {
                node_name: (1 + self.input.below(4)).to_string(),
            })),
            _ => source(leaf),
        }
    }
}

fn expression(
    left: VariableAssignment,
    operation: Operation,
    right: VariableAssignment,
) -> VariableAssignment {
    source(Source::Expression(Box::new(Expression {
        lhs: Some(Box::new(left)),
        rhs: Some(Box::new(right)),
        operation: Some(operation),
    })))
}

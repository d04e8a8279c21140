//! Variables at run time: scopes of parents and children, defaults, masks; edges that fail (spec 02, section 11).

use proto::littlehorse::edge::EdgeCondition;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::{
    Comparator, Edge, LhStatus, PutWfSpecRequest, RunWfRequest, ThreadVarDef, VariableAssignment,
    VariableDef, VariableId, VariableMutationType, VariableType, VariableValue, WfRun,
    WfRunVariableAccessLevel, WfSpec,
};
use tonic::Code;

use crate::support::*;
use VariableType::{Int, JsonObj, Str};

fn inherited(def: VariableDef) -> ThreadVarDef {
    ThreadVarDef {
        access_level: WfRunVariableAccessLevel::InheritedVar.into(),
        ..optional(def)
    }
}

fn child_of(parent: &str, spec: PutWfSpecRequest) -> PutWfSpecRequest {
    PutWfSpecRequest {
        parent_wf_spec: Some(ParentWfSpecReference {
            wf_spec_name: parent.to_owned(),
            wf_spec_major_version: 0,
        }),
        ..spec
    }
}

/// Mutations on the edge out of the ENTRYPOINT.
fn first_changing(
    mut spec: PutWfSpecRequest,
    changes: Vec<proto::littlehorse::VariableMutation>,
) -> PutWfSpecRequest {
    let main = spec.thread_specs.get_mut("main").unwrap();
    main.nodes.get_mut("entry").unwrap().outgoing_edges[0].variable_mutations = changes;
    spec
}

async fn run_child(client: &mut Client, spec: &str, parent: &str, run: &str) -> WfRun {
    let request = RunWfRequest {
        parent_wf_run_id: Some(parent.parse().unwrap()),
        ..run_request(spec, run, &[])
    };
    client.run_wf(request).await.unwrap().into_inner()
}

fn failure(run_node: proto::littlehorse::NodeRun) -> (String, String) {
    let failure = run_node.failures.into_iter().next().expect("a failure");
    (failure.failure_name, failure.message)
}

#[tokio::test]
async fn a_child_shares_what_its_parent_shows() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let parent = sequence("parent", vec![optional(var_def("x", Int))], vec![]);
    client.define(parent).await;
    let doubling = || mutate("x", VariableMutationType::Multiply, literal(int(2)));
    let own = private(var_def("seen", Int));
    let child = sequence(
        "child",
        vec![inherited(var_def("x", Int)), own],
        vec![nop()],
    );
    let mut child = first_changing(child_of("parent", child), vec![doubling()]);
    let main = child.thread_specs.get_mut("main").unwrap();
    let edge = &mut main.nodes.get_mut("1").unwrap().outgoing_edges[0];
    edge.variable_mutations = vec![assign("seen", variable("x"))];
    client.define(child).await;
    // A grandchild reaches through the child, which has no value of its own.
    let grandchild = sequence("grandchild", vec![inherited(var_def("x", Int))], vec![]);
    let grandchild = first_changing(child_of("child", grandchild), vec![doubling()]);
    client.define(grandchild).await;
    let run = client.run_with("parent", "p", &[("x", int(21))]).await;
    assert_eq!(run.status(), LhStatus::Completed);
    let run = run_child(client, "child", "p", "c").await;
    assert_eq!(run.status(), LhStatus::Completed);
    // spec 02-52
    assert_eq!(variable_of(client, "p", "x").await, int(42));
    let of_child = |name: &str| VariableId {
        wf_run_id: Some("p_c".parse().unwrap()),
        thread_run_number: 0,
        name: name.to_owned(),
    };
    let seen = client.get_variable(of_child("seen")).await.unwrap();
    assert_eq!(seen.into_inner().value, Some(int(42)));
    refused(
        client.get_variable(of_child("x")).await,
        Code::NotFound,
        &[],
    );
    let run = run_child(client, "grandchild", "p_c", "g").await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "p", "x").await, int(84));
    // spec 02-46
    let given = RunWfRequest {
        parent_wf_run_id: Some(id("p")),
        ..run_request("child", "d", &[("x", int(1))])
    };
    refused(
        client.run_wf(given).await,
        Code::InvalidArgument,
        &["Variable x", "inherited"],
    );
    let unknown = client
        .run_wf(run_request("parent", "q", &[("nope", int(1))]))
        .await;
    refused(unknown, Code::InvalidArgument, &["nope"]);
    refused(client.get_wf_run(id("q")).await, Code::NotFound, &[]);
    server.stop().await;
}

#[tokio::test]
async fn inheriting_changes_the_revision_only() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client
        .define(sequence(
            "parent",
            vec![optional(var_def("x", Int))],
            vec![],
        ))
        .await;
    let with = |def: ThreadVarDef| child_of("parent", sequence("v", vec![def], vec![]));
    let version = |spec: WfSpec| {
        let id = spec.id.unwrap();
        (id.major_version, id.revision)
    };
    // spec 01-25
    for (request, expected) in [
        (with(private(var_def("x", Int))), (0, 0)),
        (with(optional(var_def("x", Int))), (1, 0)),
        (with(inherited(var_def("x", Int))), (2, 0)),
        (with(private(var_def("x", Int))), (2, 1)),
        (with(optional(var_def("x", Int))), (3, 0)),
        (
            with(ThreadVarDef {
                searchable: true,
                ..optional(var_def("x", Int))
            }),
            (4, 0),
        ),
    ] {
        assert_eq!(version(client.define(request).await), expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_null_input_is_as_good_as_the_default() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let seven = VariableDef {
        default_value: Some(int(7)),
        ..var_def("x", Int)
    };
    client
        .define(sequence("w", vec![optional(seven)], vec![]))
        .await;
    let required_ = vec![required(var_def("must", Str))];
    client.define(sequence("r", required_, vec![])).await;
    for (run, inputs, expected) in [
        ("none", &[][..], 7),
        // spec 02-45
        ("null", &[("x", VariableValue::default())], 7),
        ("three", &[("x", int(3))], 3),
    ] {
        client.run_with("w", run, inputs).await;
        assert_eq!(variable_of(client, run, "x").await, int(expected), "{run}");
    }
    // spec 02-44
    let missing = client.run_wf(run_request("r", "missing", &[])).await;
    refused(missing, Code::InvalidArgument, &["must", "STR"]);
    refused(client.get_wf_run(id("missing")).await, Code::NotFound, &[]);
    let null = [("must", VariableValue::default())];
    let run = client.run_with("r", "null-must", &null).await;
    assert_eq!(run.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn an_edge_that_cannot_be_judged_ends_the_search() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    // JSON is not compared: known at run time only.
    let failing = compare(variable("o"), Comparator::LessThan, literal(int(5)));
    let at_x = VariableAssignment {
        path: Some(proto::littlehorse::variable_assignment::Path::JsonPath(
            "$.x".to_owned(),
        )),
        ..variable("o")
    };
    let failing = VariableAssignment {
        source: match failing.source {
            Some(proto::littlehorse::variable_assignment::Source::Expression(mut expression)) => {
                expression.lhs = Some(Box::new(at_x));
                Some(proto::littlehorse::variable_assignment::Source::Expression(
                    expression,
                ))
            }
            other => other,
        },
        ..failing
    };
    let mut spec = sequence("w", vec![private(var_def("o", JsonObj))], vec![nop()]);
    let main = spec.thread_specs.get_mut("main").unwrap();
    let edges = &mut main.nodes.get_mut("1").unwrap().outgoing_edges;
    edges.insert(
        0,
        Edge {
            edge_condition: Some(EdgeCondition::Condition(failing)),
            ..edge("exit")
        },
    );
    client.define(spec).await;
    let inputs = |text: &str| [("o", json(text))];
    let run = client.run_with("w", "fails", &inputs(r#"{"x":{}}"#)).await;
    // spec 02-40
    assert_eq!(run.status(), LhStatus::Error);
    assert_eq!(
        run.thread_runs[0].current_node_position, 1,
        "the second edge is not tried"
    );
    let (name, message) = failure(client.node_run("fails", 1).await);
    assert_eq!(name, "VAR_SUB_ERROR", "{message}");
    let run = client.run_with("w", "works", &inputs(r#"{"x":9}"#)).await;
    assert_eq!(run.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_loop_sees_the_latest_output() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let input = [var_def("n", Int)];
    client.define_task(task_def("t", &input, Some(Int))).await;
    let variables = || vec![private(var_def("n", Int)), private(var_def("got", Int))];
    let mut spec = sequence(
        "w",
        variables(),
        vec![Kind::Task(task("t", vec![variable("n")])), nop()],
    );
    let main = spec.thread_specs.get_mut("main").unwrap();
    main.nodes.get_mut("1").unwrap().outgoing_edges[0].variable_mutations =
        vec![mutate("n", VariableMutationType::Add, literal(int(1)))];
    // Read by name, away from the node itself.
    let again = compare(variable("n"), Comparator::LessThan, literal(int(3)));
    main.nodes.get_mut("2").unwrap().outgoing_edges = vec![
        when("1", again),
        Edge {
            variable_mutations: vec![assign("got", output_of("1"))],
            ..edge("exit")
        },
    ];
    client.define(spec).await;
    client.run_with("w", "r", &[("n", int(0))]).await;
    for output in [10, 20, 30] {
        let task = client.claim("t").await;
        client.succeed(&task, int(output)).await;
    }
    assert_eq!(client.ended("r").await.status(), LhStatus::Completed);
    // spec 02-42
    assert_eq!(variable_of(client, "r", "got").await, int(30));
    server.stop().await;
}

#[tokio::test]
async fn a_mask_hides_from_clients_and_not_from_workers() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let masked = |name: &str| {
        let mut def = var_def(name, Str);
        def.type_def.as_mut().unwrap().masked = true;
        def
    };
    client
        .define_task(task_def("t", &[masked("in")], None))
        .await;
    let node = Kind::Task(task("t", vec![variable("secret")]));
    // A masked searchable variable is fine; that it is found by nothing is the searches' part (02-63).
    let secret = ThreadVarDef {
        searchable: true,
        ..private(masked("secret"))
    };
    client.define(sequence("w", vec![secret], vec![node])).await;
    client
        .run_with("w", "r", &[("secret", text("open sesame"))])
        .await;
    // spec 02-54
    assert_eq!(variable_of(client, "r", "secret").await, text("*****"));
    let shown = client.task_run("r", "0-1").await.input_variables[0].clone();
    assert_eq!(shown.value, Some(text("*****")));
    let task = client.claim("t").await;
    assert_eq!(task.variables[0].value, Some(text("open sesame")));
    server.stop().await;
}

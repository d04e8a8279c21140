//! Types, and what is accepted although it looks odd.

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::task_node::TaskToExecute;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    Comparator, ExitNode, PutWfSpecRequest, TaskNode, VariableMutation, VariableMutationType,
    VariableType,
};

use super::*;
use crate::support::*;

#[tokio::test]
async fn types_fit() {
    use VariableType::{Bool, Int, Str};
    const UNASSIGNABLE: &str = "Cannot assign STR to INT without explicit casting.";
    let bad_key = || map_of(type_of(VariableType::JsonObj), type_of(Int));
    let deprecated = |literal_value| VariableMutation {
        rhs_value: Some(
            proto::littlehorse::variable_mutation::RhsValue::LiteralValue(literal_value),
        ),
        ..assign("int", literal(int(1)))
    };
    let str_task = |input| one(Kind::Task(task("str-task", vec![input])));
    const SIZE: &str = "size() only supports STR, ARRAY or JSON_ARR operands";
    const NOT_A_BOOL: &str = "does not resolve to a BOOL";
    let mut rows: Vec<Refused> = vec![
        // spec 01-37
        (
            task_with(vec![variable("str")]),
            &["Node 1", "input 0 (n)", UNASSIGNABLE],
        ),
        (
            task_with(vec![variable("double")]),
            &["Cannot assign DOUBLE to INT"],
        ),
        (
            str_task(variable("time")),
            &["Cannot assign TIMESTAMP to STR"],
        ),
        (task_with(vec![variable("ints")]), &["Cannot assign", "INT"]),
        (task_with(vec![variable("map")]), &["Cannot assign", "INT"]),
        (set("int", variable("str")), &[UNASSIGNABLE]),
        (mutating(deprecated(text("x"))), &[UNASSIGNABLE]),
        // spec 01-38
        (
            task_with(vec![cast(variable("int"), Bool)]),
            &["Cannot cast from INT to BOOL. This conversion is not supported."],
        ),
        (
            set("bool", cast(variable("double"), Bool)),
            &["Cannot cast from DOUBLE to BOOL. This conversion is not supported."],
        ),
        // spec 02-24
        (
            set(
                "str",
                operate(
                    variable("str"),
                    VariableMutationType::Multiply,
                    literal(int(5)),
                ),
            ),
            &["cannot multiply to a str"],
        ),
        (set("int", size_of(variable("map"))), &[SIZE]),
        (set("int", size_of(variable("obj"))), &[SIZE]),
        (
            mutating(mutate("bool", VariableMutationType::Add, literal(int(1)))),
            &["cannot add to a bool"],
        ),
        (
            mutating(mutate("int", VariableMutationType::Pow, variable("double"))),
            &["Cannot assign DOUBLE to INT"],
        ),
        (
            mutating(mutate("int", VariableMutationType::And, variable("bool"))),
            &["cannot and to a int"],
        ),
        // spec 01-48, 02-37, 02-38
        (
            on_condition(variable("str")),
            &["Node 1", "condition", NOT_A_BOOL],
        ),
        (on_condition(at_json("$.a", variable("obj"))), &[NOT_A_BOOL]),
        (
            on_condition(operate(
                variable("int"),
                VariableMutationType::Add,
                literal(int(1)),
            )),
            &[NOT_A_BOOL],
        ),
        (on_condition(variable("int")), &[NOT_A_BOOL, "INT"]),
        (
            on_condition(compare(
                variable("obj"),
                Comparator::LessThan,
                variable("int"),
            )),
            &["Cannot compare JSON_OBJ", "INT"],
        ),
        (
            on_condition(compare(variable("int"), Comparator::In, variable("strs"))),
            &["Cannot compare INT"],
        ),
        // Numbers that are no operator, no comparator, no type.
        (
            mutating(VariableMutation {
                operation: 77,
                ..assign("int", literal(int(1)))
            }),
            &["77"],
        ),
        (
            on_condition(expression(
                variable("int"),
                Some(
                    proto::littlehorse::variable_assignment::expression::Operation::Comparator(77),
                ),
                variable("int"),
            )),
            &["comparator 77"],
        ),
        (
            changed(|spec| {
                main_of(spec)
                    .variable_defs
                    .push(typed("odd", defined(DefinedType::PrimitiveType(77))));
            }),
            &["Variable odd", "primitive type 77"],
        ),
        (
            changed(|spec| {
                main_of(spec)
                    .variable_defs
                    .push(typed("odd", array_of(bad_key())));
            }),
            &["Variable odd", "key type", "JSON_OBJ"],
        ),
        (
            changed(|spec| {
                let mut odd = private(var_def("odd", Int));
                odd.var_def.as_mut().unwrap().default_value = Some(text("x"));
                main_of(spec).variable_defs.push(odd);
            }),
            &["Variable odd", "INT", "STR"],
        ),
        (set("obj", literal(json("{not json"))), &["obj", "JSON"]),
        (
            set("obj", literal(json(&"[".repeat(100_000)))),
            &["obj", "JSON"],
        ),
        (set("str", at_json("$.[", variable("obj"))), &["path"]),
        // Scenario 40 of spec 01, but for failure handlers.
        (
            exits(returning(variable("int")), returning(variable("double"))),
            &[
                "ThreadSpec main",
                "returned different output types",
                "INT",
                "DOUBLE",
            ],
        ),
        (
            exits(Kind::Exit(ExitNode::default()), returning(variable("str"))),
            &["ThreadSpec main", "returns void", "returns non-void"],
        ),
        (
            with_nodes(vec![("1", node(throwing("TIMEOUT"), vec![]))]),
            &["Node 1", "Invalid name for exception: TIMEOUT"],
        ),
        (
            with_nodes(vec![("1", node(throwing("my.exception"), vec![]))]),
            &["Invalid name for exception: my.exception"],
        ),
        (
            with_nodes(vec![("1", node(throwing(""), vec![]))]),
            &["Invalid name for exception"],
        ),
    ];
    // spec 01-43
    let each = [
        "double", "str", "bool", "bytes", "obj", "arr", "run-id", "time", "ints", "map",
    ];
    for name in each {
        rows.push((
            one(sleep_for(variable(name))),
            &["Node 1 invalid: Invalid value: variable can't resolve to INT"],
        ));
        if name != "time" {
            rows.push((
                one(sleep_until(variable(name))),
                &["Node 1 invalid: Invalid value: variable can't resolve to TIMESTAMP or INT"],
            ));
        }
    }
    rows.push((
        one(sleep_for(cast(variable("str"), Str))),
        &["Node 1 invalid: Invalid value: variable can't resolve to INT"],
    ));
    all_refused(rows).await;
}

#[tokio::test]
async fn what_is_odd_and_works_is_accepted() {
    use VariableType::{Bool, Int};
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    prepare(client).await;
    let input = || typed("INPUT", type_of(VariableType::Str));
    let mut inputs = two_threads(vec![input()]);
    main_of(&mut inputs).variable_defs.push(input());
    let unreachable = with_nodes(vec![
        ("1", node(nop(), vec![edge("exit"), edge("exit")])),
        ("lost", node(nop(), vec![])),
    ]);
    let dynamic = Kind::Task(TaskNode {
        task_to_execute: Some(TaskToExecute::DynamicTask(literal(text("plain")))),
        ..TaskNode::default()
    });
    let with_dynamic = |exit: Kind| {
        with_nodes(vec![
            ("1", node(dynamic.clone(), vec![edge("exit")])),
            ("exit", node(exit, vec![])),
        ])
    };
    let double_task = |input| one(Kind::Task(task("double-task", vec![input])));
    let str_task = |input| one(Kind::Task(task("str-task", vec![input])));
    let odd_names = {
        let mut spec = with_nodes(vec![("1", node(nop(), vec![edge("2 / ä_$")]))]);
        let thread = main_of(&mut spec);
        thread
            .nodes
            .insert("2 / ä_$".to_owned(), node(nop(), vec![edge("exit")]));
        let mut var = private(var_def("1-child/ $", Int));
        var.searchable = true;
        thread.variable_defs.push(var);
        spec
    };
    let is_in = |left, right| on_condition(compare(left, Comparator::In, right));
    for (row, request) in [
        // Rules that must not be there (spec 01, section 10.9).
        inputs,
        unreachable,
        odd_names,
        two_threads(vec![]),
        changed(|spec| {
            main_of(spec).nodes.remove("exit");
            main_of(spec)
                .nodes
                .insert("exit".to_owned(), node(nop(), vec![]));
        }),
        retrying(7, None, 0),
        retrying(1, Some((10, 10, 1.0)), i32::MAX),
        // spec 01-37
        double_task(variable("int")),
        str_task(variable("double")),
        str_task(variable("run-id")),
        task_with(vec![cast(variable("str"), Int)]),
        task_with(vec![at_json("$.a", variable("obj"))]),
        task_with(vec![literal(proto::littlehorse::VariableValue::default())]),
        // spec 01-41
        with_dynamic(returning(output_of("1"))),
        exits(
            returning(variable("int")),
            returning(at_json("$.a", variable("obj"))),
        ),
        exits(throwing("my-exception"), returning(variable("int"))),
        // spec 01-43
        one(sleep_for(variable("int"))),
        one(sleep_for(cast(variable("str"), Int))),
        one(sleep_until(variable("time"))),
        one(sleep_until(variable("int"))),
        // spec 01-48
        on_condition(cast(variable("str"), Bool)),
        on_condition(cast(at_json("$.a", variable("obj")), Bool)),
        is_in(variable("int"), variable("ints")),
        is_in(variable("str"), variable("map")),
        is_in(variable("str"), variable("str")),
        mutating(mutate(
            "strs",
            VariableMutationType::Extend,
            literal(text("x")),
        )),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("ok-{row}");
        let request = PutWfSpecRequest {
            name: name.clone(),
            ..request
        };
        let made = client.put_wf_spec(request).await;
        let made = made.unwrap_or_else(|status| panic!("row {row}: {status}"));
        assert_eq!(made.into_inner().id.unwrap().name, name);
    }
    // spec 01-52
    let made = client.define(retrying(0, None, 0)).await;
    let Some(Kind::Task(node)) = &made.thread_specs["main"].nodes["1"].node else {
        panic!("it is no TASK any more")
    };
    assert_eq!(node.timeout_seconds, 60);
    server.stop().await;
}

//! Threads as they advance: edges, mutations, loops, sleeps (spec 02, 03).

use std::collections::BTreeMap;

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    Comparator, Edge, LhStatus, SleepNode, VariableMutation, VariableMutationType, VariableType,
    VariableValue, node_run, sleep_node,
};

use crate::support::*;

#[tokio::test]
async fn edges_are_tried_in_order() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let x = || variable("x");
    let less = |than| compare(x(), Comparator::LessThan, literal(int(than)));
    let nodes = BTreeMap::from([
        entry("choice"),
        (
            "choice".to_owned(),
            node(
                nop(),
                vec![when("small", less(10)), when("medium", less(20))],
            ),
        ),
        ("small".to_owned(), node(nop(), vec![edge("exit")])),
        ("medium".to_owned(), node(nop(), vec![edge("exit")])),
        exit(),
    ]);
    let inputs = vec![required(var_def("x", VariableType::Int))];
    client.define(thread("choice", inputs, nodes)).await;
    // spec 03-11, 03-13, 02-39
    for (run, x, node_name) in [("a", 5, "small"), ("b", 15, "medium")] {
        client.run_with("choice", run, &[("x", int(x))]).await;
        let taken = client.node_run(run, 2).await;
        assert_eq!(taken.node_name, node_name);
        assert!(matches!(
            taken.node_type,
            Some(node_run::NodeType::Entrypoint(_))
        ));
    }
    let run = client.run_with("choice", "c", &[("x", int(25))]).await;
    assert_eq!(run.status(), LhStatus::Error);
    let left = client.node_run("c", 1).await;
    assert_eq!(left.failures[0].failure_name, "VAR_SUB_ERROR");
    assert_eq!(left.status(), LhStatus::Error);
    // spec 02-36: a null condition fails, it does not hang.
    let flag = vec![optional(var_def("flag", VariableType::Bool))];
    let nodes = BTreeMap::from([
        entry("choice"),
        (
            "choice".to_owned(),
            node(nop(), vec![when("yes", variable("flag")), edge("exit")]),
        ),
        ("yes".to_owned(), node(nop(), vec![edge("exit")])),
        exit(),
    ]);
    client.define(thread("flag", flag, nodes)).await;
    for (run, flag, status, positions) in [
        (
            "t",
            value(proto::littlehorse::variable_value::Value::Bool(true)),
            LhStatus::Completed,
            3,
        ),
        (
            "f",
            value(proto::littlehorse::variable_value::Value::Bool(false)),
            LhStatus::Completed,
            2,
        ),
        ("n", VariableValue::default(), LhStatus::Error, 1),
    ] {
        let run = client.run_with("flag", run, &[("flag", flag)]).await;
        assert_eq!(run.status(), status);
        assert_eq!(run.thread_runs[0].current_node_position, positions);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_mutations_of_an_edge_happen_all_or_not_at_all() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let vars = || {
        vec![
            optional(var_def("a", VariableType::Int)),
            optional(var_def("b", VariableType::Int)),
        ]
    };
    let with = |mutations: Vec<VariableMutation>| {
        let mutated = Edge {
            variable_mutations: mutations,
            ..edge("exit")
        };
        BTreeMap::from([
            entry("1"),
            ("1".to_owned(), node(nop(), vec![mutated])),
            exit(),
        ])
    };
    // spec 02-20
    let each_sees_the_last = with(vec![
        mutate("a", VariableMutationType::Add, literal(int(10))),
        mutate("a", VariableMutationType::Subtract, literal(int(2))),
        mutate("b", VariableMutationType::Divide, variable("a")),
    ]);
    client
        .define(thread("works", vars(), each_sees_the_last))
        .await;
    let inputs = [("a", int(2)), ("b", int(50))];
    let run = client.run_with("works", "w", &inputs).await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "w", "a").await, int(10));
    assert_eq!(variable_of(client, "w", "b").await, int(5));
    // spec 03-12, 02-19, 02-18
    let second_fails = with(vec![
        assign("a", literal(int(7))),
        mutate("b", VariableMutationType::Divide, literal(int(0))),
    ]);
    client.define(thread("fails", vars(), second_fails)).await;
    let run = client.run_with("fails", "f", &inputs).await;
    assert_eq!(run.status(), LhStatus::Error);
    assert_eq!(variable_of(client, "f", "a").await, int(2));
    let left = client.node_run("f", 1).await;
    assert_eq!(left.failures[0].failure_name, "VAR_SUB_ERROR");
    assert!(left.failures[0].message.contains("divide by zero"));
    server.stop().await;
}

#[tokio::test]
async fn an_endless_loop_of_instant_nodes_is_stopped() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let nodes = BTreeMap::from([
        entry("1"),
        ("1".to_owned(), node(nop(), vec![edge("2")])),
        (
            "2".to_owned(),
            node(
                nop(),
                vec![
                    when(
                        "1",
                        compare(literal(int(1)), Comparator::Equals, literal(int(1))),
                    ),
                    edge("exit"),
                ],
            ),
        ),
        exit(),
    ]);
    client.define(thread("loop", vec![], nodes)).await;
    let run = client.run("loop", "l").await;
    // spec 03-9
    assert_eq!(run.status(), LhStatus::Error);
    assert_eq!(run.thread_runs[0].current_node_position, 512);
    assert!(run.end_time.is_some());
    let last = client.node_run("l", 512).await;
    assert_eq!(last.failures[0].failure_name, "INTERNAL_ERROR");
    server.stop().await;
}

#[tokio::test]
async fn a_loop_with_a_task_in_it_may_be_long() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_task(task_def("step", &[], None)).await;
    let count = Edge {
        variable_mutations: vec![mutate("i", VariableMutationType::Add, literal(int(1)))],
        ..edge("check")
    };
    let again = compare(variable("i"), Comparator::LessThan, literal(int(600)));
    let nodes = BTreeMap::from([
        entry("work"),
        (
            "work".to_owned(),
            node(Kind::Task(task("step", vec![])), vec![count]),
        ),
        (
            "check".to_owned(),
            node(nop(), vec![when("work", again), edge("exit")]),
        ),
        exit(),
    ]);
    let mut i = optional(var_def("i", VariableType::Int));
    i.var_def.as_mut().unwrap().default_value = Some(int(0));
    client.define(thread("long", vec![i], nodes)).await;
    client.run("long", "l").await;
    let mut polls = client.polling("step").await;
    for _ in 0..600 {
        polls.ask().await;
        let task = polls.next().await;
        client.report(success(&task, None)).await;
    }
    // spec 03-10
    let run = client.wf_run("l").await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert_eq!(variable_of(client, "l", "i").await, int(600));
    server.stop().await;
}

#[tokio::test]
async fn sleeps_end_when_they_should() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let seconds = |n| {
        Kind::Sleep(SleepNode {
            sleep_length: Some(sleep_node::SleepLength::RawSeconds(literal(int(n)))),
        })
    };
    client
        .define(sequence("one", vec![], vec![seconds(1)]))
        .await;
    client
        .define(sequence("past", vec![], vec![seconds(-5)]))
        .await;
    client.run("past", "p").await;
    client.run("one", "o").await;
    // spec 03-47
    assert_eq!(client.ended("p").await.status(), LhStatus::Completed);
    client.ended("o").await;
    let slept = client.node_run("o", 1).await;
    assert!(millis(slept.end_time) - millis(slept.arrival_time) >= 1000);
    server.stop().await;
}

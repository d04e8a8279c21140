//! Schedules (spec 05, section 7).

use std::collections::BTreeMap;

use ironhorse_workflow::key;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::{ScheduleWf, ScheduledWfRunRow};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    DeleteScheduledWfRunRequest, NopNode, ScheduleWfRequest, ScheduledWfRun, ScheduledWfRunId,
    ThreadVarDef, VariableDef, VariableType, VariableValue, WfRunId, variable_value,
};
use runtime::{Rejection, RejectionCode};

use crate::world::{TENANT, World};

const MINUTE: i64 = 60_000;

fn schedule(cron: &str) -> ScheduleWfRequest {
    ScheduleWfRequest {
        wf_spec_name: "s".to_owned(),
        cron_expression: cron.to_owned(),
        ..ScheduleWfRequest::default()
    }
}

fn put(
    world: &mut World,
    id: &str,
    request: ScheduleWfRequest,
) -> Result<ScheduledWfRun, Rejection> {
    let command = Core::ScheduleWf(ScheduleWf {
        request: Some(request),
        id: id.to_owned(),
        time_zone: "UTC".to_owned(),
    });
    world.core(id, command)
}

fn delete(world: &mut World, id: &str) {
    let command = Core::DeleteScheduledWfRun(DeleteScheduledWfRunRequest {
        id: Some(ScheduledWfRunId { id: id.to_owned() }),
    });
    world.core::<()>(id, command).unwrap();
}

fn world() -> World {
    let mut world = World::at("2026-01-01T12:00:30Z", 4);
    world.define("s", vec![], vec![Kind::Nop(NopNode {})]);
    world
}

/// When the runs of a spec were started, in milliseconds since the world began, ascending.
fn starts(world: &World, spec: &str) -> Vec<i64> {
    let began: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let runs = world.wf_runs();
    let mut starts: Vec<i64> = runs
        .iter()
        .filter(|(_, run)| run.wf_spec_id.as_ref().unwrap().name == spec)
        .map(|(_, run)| proto::time::to_millis(&run.start_time.unwrap()))
        .map(|ms| ms - began.as_millisecond())
        .collect();
    starts.sort_unstable();
    starts
}

#[test]
fn a_run_is_started_at_each_time() {
    let mut world = world();
    let made = put(&mut world, "every-minute", schedule("* * * * *")).unwrap();
    assert_eq!(made.id.unwrap().id, "every-minute");
    assert_eq!(made.wf_spec_id.unwrap().name, "s");
    world.pass(29_999);
    assert_eq!(starts(&world, "s"), [0; 0]);
    world.pass(1);
    // spec 05-41
    assert_eq!(starts(&world, "s"), [MINUTE]);
    let (id, run) = world.wf_runs().pop().unwrap();
    assert_eq!(id.id.len(), 32);
    assert!(id.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(run.status(), proto::littlehorse::LhStatus::Completed);
    world.pass(MINUTE + 5);
    assert_eq!(starts(&world, "s"), [MINUTE, 2 * MINUTE + 5]);
    // Late ones all, and then the rhythm is the old one.
    world.pass(5 * MINUTE);
    // spec 05-45
    let late = 7 * MINUTE + 5;
    assert_eq!(
        starts(&world, "s"),
        [MINUTE, 2 * MINUTE + 5, late, late, late, late, late]
    );
    world.pass(MINUTE - 5);
    assert_eq!(starts(&world, "s").len(), 8);
    assert_eq!(*starts(&world, "s").last().unwrap(), 8 * MINUTE);
}

#[test]
fn either_day_counts() {
    let mut world = world();
    put(&mut world, "days", schedule("0 0 1 * 1")).unwrap();
    // Until 2026-02-10: Mondays are 5, 12, 19, 26 January, 2 and 9 February; and 1 February, a Sunday.
    for _ in 0..40 {
        world.pass(24 * 60 * MINUTE);
    }
    // spec 05-43
    let day = |ms: i64| (ms + 12 * 60 * MINUTE) / (24 * 60 * MINUTE);
    let days: Vec<i64> = starts(&world, "s").into_iter().map(day).collect();
    // The clock stands at half past noon of each day when it is looked at.
    assert_eq!(days, [4, 11, 18, 25, 31, 32, 39]);
}

#[test]
fn what_was_asked_for_decides_the_version() {
    let mut world = world();
    let made = put(&mut world, "latest", schedule("* * * * *")).unwrap();
    let fixed = ScheduleWfRequest {
        major_version: Some(0),
        revision: Some(0),
        ..schedule("* * * * *")
    };
    put(&mut world, "fixed", fixed).unwrap();
    world.define(
        "s",
        vec![],
        vec![Kind::Nop(NopNode {}), Kind::Nop(NopNode {})],
    );
    world.pass(MINUTE);
    let mut revisions: Vec<i32> = world
        .wf_runs()
        .iter()
        .map(|(_, run)| run.wf_spec_id.as_ref().unwrap().revision)
        .collect();
    revisions.sort_unstable();
    // spec 05-44
    assert_eq!(revisions, [0, 1]);
    let key = key::named(key::SCHEDULES, TENANT, "latest");
    let row: ScheduledWfRunRow = world.row("latest", &key).unwrap();
    assert_eq!(row.scheduled_wf_run.unwrap().wf_spec_id, made.wf_spec_id);
}

#[test]
fn a_schedule_that_is_gone_starts_nothing() {
    let mut world = world();
    put(&mut world, "a", schedule("* * * * *")).unwrap();
    let again = put(&mut world, "a", schedule("* * * * *")).unwrap_err();
    // spec 05-47
    assert_eq!(again.code, RejectionCode::AlreadyExists);
    assert!(again.message.contains('a'));
    delete(&mut world, "a");
    delete(&mut world, "a");
    put(&mut world, "a", schedule("* * * * *")).unwrap();
    world.pass(2 * MINUTE);
    // spec 05-46
    assert_eq!(starts(&world, "s").len(), 2);
    delete(&mut world, "a");
    world.pass(10 * MINUTE);
    assert_eq!(starts(&world, "s").len(), 2);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut world = world();
    for cron in [
        "@daily",
        "0 * * * * *",
        "*/60 * * * *",
        "5-1 * * * *",
        "0 0 31 2 *",
    ] {
        let refused = put(&mut world, "x", schedule(cron)).unwrap_err();
        // spec 05-42
        assert_eq!(refused.code, RejectionCode::InvalidArgument, "{cron}");
        assert!(refused.message.contains(cron), "{refused}");
    }
    let none = ScheduleWfRequest {
        wf_spec_name: "none".to_owned(),
        ..schedule("* * * * *")
    };
    let refused = put(&mut world, "x", none).unwrap_err();
    assert_eq!(refused.code, RejectionCode::InvalidArgument);
    assert!(refused.message.contains("none"));
    let refused = put(&mut world, "not_a_name", schedule("* * * * *")).unwrap_err();
    assert_eq!(refused.code, RejectionCode::InvalidArgument);
    let odd = ScheduleWfRequest {
        variables: BTreeMap::from([("y".to_owned(), VariableValue::default())]),
        ..schedule("* * * * *")
    };
    let refused = put(&mut world, "x", odd).unwrap_err();
    assert!(refused.message.contains('y'), "{refused}");
    world.pass(10 * MINUTE);
    assert_eq!(starts(&world, "s"), [0; 0]);
}

#[test]
fn a_run_that_cannot_be_started_does_not_end_the_schedule() {
    let mut world = world();
    let x = ThreadVarDef {
        var_def: Some(VariableDef {
            name: "x".to_owned(),
            type_def: Some(proto::littlehorse::TypeDefinition {
                defined_type: Some(
                    proto::littlehorse::type_definition::DefinedType::PrimitiveType(
                        VariableType::Int.into(),
                    ),
                ),
                ..proto::littlehorse::TypeDefinition::default()
            }),
            ..VariableDef::default()
        }),
        required: false,
        ..ThreadVarDef::default()
    };
    world.define("v", vec![x], vec![Kind::Nop(NopNode {})]);
    let request = ScheduleWfRequest {
        wf_spec_name: "v".to_owned(),
        variables: BTreeMap::from([(
            "x".to_owned(),
            VariableValue {
                value: Some(variable_value::Value::Int(1)),
            },
        )]),
        // No such run, and the spec has no parent.
        parent_wf_run_id: Some(WfRunId {
            id: "none".to_owned(),
            parent_wf_run_id: None,
        }),
        ..schedule("* * * * *")
    };
    put(&mut world, "v", request).unwrap();
    world.pass(3 * MINUTE);
    assert_eq!(starts(&world, "v"), [0; 0]);
    let key = key::named(key::SCHEDULES, TENANT, "v");
    let row: ScheduledWfRunRow = world.row("v", &key).unwrap();
    assert_eq!(row.nominal_ms - world.now_ms, MINUTE / 2);
}

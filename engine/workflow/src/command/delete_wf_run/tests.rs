//! A huge run is deleted in parts of bounded work, and nobody waits for the whole of it.

use std::sync::Arc;

use index::testing::Graveyard;
use index::{Applied, Base, GlobalStore, Options, Store};
use prost::Message;
use proto::ironhorse::v1::core_command::Command as Core;
use proto::ironhorse::v1::{CoreCommand, NodeOutputRow, WfRunRow};
use proto::littlehorse::{WfRun, WfRunId};
use runtime::{Application, Batch, Command, Group, Limits, RequestId, Waiting};
use wal::{GroupId, Position};

use super::*;
use crate::key::RunKey;
use crate::{Settings, Workflows};

const TENANT: &str = "t";
const ROWS: usize = 20_000;

fn id(id: &str) -> WfRunId {
    WfRunId {
        id: id.to_owned(),
        parent_wf_run_id: None,
    }
}

/// A group over a store that has these rows.
fn group(rows: &[(Bytes, Bytes)]) -> (Graveyard, Group) {
    let base = Graveyard::default();
    let applied = Applied {
        position: Position::from_u64(1),
        commit: Bytes::new(),
    };
    let mut changes = rows
        .iter()
        .map(|(key, value)| (Family::State, key, Some(value)));
    base.write(&mut changes, &applied).unwrap();
    let store = Store::open(
        Arc::new(base.clone()),
        Workflows::new(Settings::new(1)).schema(),
        Options::default(),
    );
    let group = Group::open(
        GroupId(0),
        Arc::new(Workflows::new(Settings::new(1))),
        store.unwrap(),
        Arc::new(Waiting::new()),
        Arc::new(GlobalStore::new()),
        Limits::default(),
        Position::START,
    );
    (base, group.unwrap())
}

fn wf_run_row(id: &WfRunId) -> (Bytes, Bytes) {
    let row = WfRunRow {
        version: 1,
        wf_run: Some(WfRun {
            id: Some(id.clone()),
            ..WfRun::default()
        }),
        ..WfRunRow::default()
    };
    let key = RunKey::new(TENANT, id).wf_run().finish();
    (key, Bytes::from(row.encode_to_vec()))
}

fn delete_command(id: &WfRunId, request: u128) -> (Position, wal::Record) {
    let command = CoreCommand {
        version: 1,
        tenant: TENANT.to_owned(),
        command: Some(Core::DeleteWfRun(DeleteWfRunRequest {
            id: Some(id.clone()),
        })),
        ..CoreCommand::default()
    };
    let command = Command {
        request_id: RequestId(request),
        seen_version: Position::START,
        payload: Bytes::from(command.encode_to_vec()),
    };
    (Position::from_u64(request as u64), command.into_record(1))
}

/// Deletes what lies at `huge`, whose rows are these, in steps of one command of somebody else each.
fn is_deleted_in_parts(mut rows: Vec<(Bytes, Bytes)>, huge: &WfRunId) {
    let is_run = rows.len() > ROWS;
    let others: Vec<WfRunId> = (0..60).map(|n| id(&format!("other-{n}"))).collect();
    rows.extend(others.iter().map(wf_run_row));
    let (base, mut group) = group(&rows);
    group.push(Batch {
        commands: vec![delete_command(huge, 1)],
        ..Batch::default()
    });
    let left = |group: &Group, id: &WfRunId| {
        let range = RunKey::new(TENANT, id).own_rows();
        let rows = group
            .reader()
            .scan(Family::State, &range, usize::MAX, false);
        rows.unwrap().len()
    };
    let mut others = others.iter();
    let mut asked: Option<&WfRunId> = None;
    let mut steps = 0;
    while group.has_work(1) {
        base.passed();
        let transaction = group.step(1).unwrap().unwrap();
        let changes = transaction.records.len();
        // A command's part, and a timer's.
        assert!(changes <= 2 * MAX_DELETES + 10, "{changes} at once");
        let passed = base.passed();
        assert!(passed <= MAX_DELETES, "{passed} deleted rows stepped over");
        steps += 1;
        let position = Position::from_u64(1 + steps);
        for (_, answer) in group.committed(position).unwrap().replies {
            answer.unwrap();
        }
        let work = group.start_write_back(true).unwrap();
        work.run().unwrap();
        group.finish_write_back(&work);
        if let Some(other) = asked.take() {
            assert_eq!(left(&group, other), 0, "another has waited");
        }
        if left(&group, huge) > 0 {
            let other = others.next().unwrap();
            asked = Some(other);
            let request = u128::from(10 * steps);
            let mut commands = vec![delete_command(other, request)];
            if is_run {
                // It is being deleted already.
                commands.push(delete_command(huge, request + 1));
            }
            group.push(Batch {
                commands,
                ..Batch::default()
            });
        }
    }
    assert!(steps as usize >= ROWS / MAX_DELETES - 1);
    assert_eq!(left(&group, huge), 0);
}

fn outputs(of: &WfRunId) -> Vec<(Bytes, Bytes)> {
    let key = RunKey::new(TENANT, of);
    let row = NodeOutputRow {
        version: 1,
        position: 1,
    };
    let row = Bytes::from(row.encode_to_vec());
    (0..ROWS)
        .map(|n| {
            (
                key.node_output(0, &format!("node-{n}")).finish(),
                row.clone(),
            )
        })
        .collect()
}

#[test]
fn a_huge_run_is_deleted_in_parts() {
    let huge = id("huge");
    let mut rows = outputs(&huge);
    rows.push(wf_run_row(&huge));
    is_deleted_in_parts(rows, &huge);
}

#[test]
fn what_an_id_without_a_run_was_sent_is_deleted_in_parts() {
    let huge = id("huge");
    is_deleted_in_parts(outputs(&huge), &huge);
}

//! Keys and rows for people.

use std::sync::OnceLock;

use index::Family;
use index::key::{KeyError, KeyReader};
use prost_reflect::{DescriptorPool, DynamicMessage};
use workflow::key::{self, Row, RunRow};

/// What a row is, from its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// The table's name.
    pub(super) table: &'static str,
    /// The key, to be read.
    pub(super) key: String,
    /// The protobuf message that its value is, if it is one.
    pub(super) message: Option<&'static str>,
}

/// Describes a key: whatever bytes it is.
pub(super) fn describe(family: Family, key: &[u8]) -> Described {
    let described = match family {
        Family::State => state(key),
        Family::Queue => queue(key),
        Family::Index => index(key),
    };
    described.unwrap_or_else(|_| Described {
        table: "unknown",
        key: key.escape_ascii().to_string(),
        message: None,
    })
}

/// `table T, key K`.
pub(super) fn place(family: Family, key: &[u8]) -> String {
    let Described { table, key, .. } = describe(family, key);
    format!("{family:?} table {table}, key {key}")
}

/// The value as JSON; its bytes, escaped, if it is no message or damaged.
pub(super) fn value(family: Family, key: &[u8], value: &[u8]) -> String {
    let decoded = describe(family, key).message.and_then(|name| {
        let message = pool()?.get_message_by_name(name)?;
        let message = DynamicMessage::decode(message, value).ok()?;
        serde_json::to_string_pretty(&message).ok()
    });
    decoded.unwrap_or_else(|| format!("\"{}\"", value.escape_ascii()))
}

fn pool() -> Option<&'static DescriptorPool> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).ok())
        .as_ref()
}

fn state(bytes: &[u8]) -> Result<Described, KeyError> {
    let mut reader = KeyReader::new(bytes);
    let table = reader.u8()?;
    if table == key::RUNS {
        return match RunRow::parse(bytes)? {
            Some(row) => Ok(of_run(&row)),
            None => Err(reader.malformed()),
        };
    }
    let (table, parts, message) = match table {
        key::CORRELATED_EVENTS => ("correlatedEvent", 3, "ironhorse.v1.CorrelatedEventRow"),
        key::CORRELATION_WAITERS => ("correlationWaiter", 4, "ironhorse.v1.CorrelationWaiterRow"),
        // The key goes on with numbers.
        key::METRICS => ("metrics", 1, "ironhorse.v1.MetricRow"),
        key::COUNTERS => ("counter", 1, "ironhorse.v1.CounterRow"),
        key::SCHEDULES => ("scheduledWfRun", 2, "ironhorse.v1.ScheduledWfRunRow"),
        // The key goes on with the principal, if it is one's.
        key::QUOTAS => ("quota", 1, "littlehorse.Quota"),
        key::BULK_JOBS => ("bulkJob", 2, "ironhorse.v1.BulkJobRow"),
        key::WORKER_GROUPS => ("workers", 2, "ironhorse.v1.TaskWorkerGroupRow"),
        key::TENANTS => ("tenant", 1, "littlehorse.Tenant"),
        key::PRINCIPALS => ("principal", 1, "littlehorse.Principal"),
        key::BOOTSTRAP => ("bootstrap", 0, ""),
        key::TASK_DEFS => ("taskDef", 2, "littlehorse.TaskDef"),
        key::EXTERNAL_EVENT_DEFS => ("externalEventDef", 2, "littlehorse.ExternalEventDef"),
        key::WF_SPECS => ("wfSpec", 2, "littlehorse.WfSpec"),
        key::RETIRED_WF_SPECS => ("retiredWfSpec", 2, "littlehorse.WfSpec"),
        key::WORKFLOW_EVENT_DEFS => ("workflowEventDef", 2, "littlehorse.WorkflowEventDef"),
        key::STRUCT_DEFS => ("structDef", 2, "littlehorse.StructDef"),
        key::USER_TASK_DEFS => ("userTaskDef", 2, "littlehorse.UserTaskDef"),
        key::USER_TASK_DEF_MARKS => ("userTaskDefMark", 2, "littlehorse.UserTaskDefId"),
        key::MIGRATION_PLANS => ("migrationPlan", 2, "littlehorse.WorkflowMigrationPlan"),
        _ => return Err(reader.malformed()),
    };
    let mut text = Vec::new();
    for _ in 0..parts {
        text.push(reader.str()?);
    }
    if matches!(message, "littlehorse.StructDef" | "littlehorse.UserTaskDef") {
        text.push(reader.i32()?.to_string());
    }
    if table == "correlationWaiter" {
        text.push(reader.i32()?.to_string());
        text.push(reader.i32()?.to_string());
    }
    if message == "littlehorse.WfSpec" {
        text.push(reader.i32()?.to_string());
        text.push(reader.i32()?.to_string());
    }
    Ok(Described {
        table,
        key: text.join(" "),
        message: (!message.is_empty()).then_some(message),
    })
}

fn of_run(row: &RunRow) -> Described {
    let (table, rest, message) = match &row.row {
        Row::WfRun => ("wfRun", String::new(), Some("ironhorse.v1.WfRunRow")),
        Row::ThreadRun { number, archived } => {
            let mark = if *archived { " (archived)" } else { "" };
            (
                "threadRun",
                format!(" {number}{mark}"),
                Some("ironhorse.v1.ThreadRunRow"),
            )
        }
        Row::Variable { thread, name } => (
            "variable",
            format!(" {thread} {name}"),
            Some("ironhorse.v1.VariableRow"),
        ),
        Row::NodeRun { thread, position } => (
            "nodeRun",
            format!(" {thread} {position}"),
            Some("ironhorse.v1.NodeRunRow"),
        ),
        Row::TaskRun { guid } => (
            "taskRun",
            format!(" {guid}"),
            Some("ironhorse.v1.TaskRunRow"),
        ),
        Row::Checkpoint { guid, number } => (
            "checkpoint",
            format!(" {guid} {number}"),
            Some("ironhorse.v1.CheckpointRow"),
        ),
        Row::NodeOutput => (
            "nodeOutput",
            String::new(),
            Some("ironhorse.v1.NodeOutputRow"),
        ),
        Row::ExternalEvent { def, guid } => (
            "externalEvent",
            format!(" {def} {guid}"),
            Some("ironhorse.v1.ExternalEventRow"),
        ),
        Row::UnclaimedEvent => ("unclaimedEvent", String::new(), None),
        Row::EventNode { thread, position } => (
            "eventNode",
            format!(" {thread} {position}"),
            Some("ironhorse.v1.EventNodeRow"),
        ),
        Row::WorkflowEvent { def, number } => (
            "workflowEvent",
            format!(" {def} {number}"),
            Some("ironhorse.v1.WorkflowEventRow"),
        ),
        Row::UserTaskRun { at } => (
            "userTaskRun",
            format!(" {at}"),
            Some("ironhorse.v1.UserTaskRunRow"),
        ),
    };
    Described {
        table,
        key: format!("{} {}{rest}", row.tenant, row.wf_run_id),
        message,
    }
}

/// The runtime's tables.
const TIMERS: u8 = 1;
const ENTRIES: u8 = 2;

fn queue(bytes: &[u8]) -> Result<Described, KeyError> {
    let mut reader = KeyReader::new(bytes);
    match reader.u8()? {
        TIMERS => {
            let due = reader.i64()?;
            let owner = place(Family::State, reader.rest());
            Ok(Described {
                table: "timer",
                key: format!("due {due} ms, of {owner}"),
                message: Some("ironhorse.v1.TimerAction"),
            })
        }
        ENTRIES => {
            let queue = reader.bytes()?;
            let mut parts = KeyReader::new(&queue);
            let (tenant, name) = (parts.str()?, parts.str()?);
            Ok(Described {
                table: "queuedTask",
                key: format!("{tenant} {name} {}", reader.u64()?),
                message: None,
            })
        }
        _ => Err(reader.malformed()),
    }
}

fn index(bytes: &[u8]) -> Result<Described, KeyError> {
    let mut reader = KeyReader::new(bytes);
    let number = reader.u8()?;
    if number == 0 {
        return Ok(Described {
            table: "indexes",
            key: reader.rest().escape_ascii().to_string(),
            message: None,
        });
    }
    let tenant = reader.str()?;
    Ok(Described {
        table: "index",
        key: format!("{number} of {tenant}: {}", reader.rest().escape_ascii()),
        message: None,
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::ironhorse::v1::WfRunRow;
    use proto::littlehorse::{Tenant, WfRunId};
    use workflow::key::RunKey;

    use super::*;

    #[test]
    fn keys_and_rows_can_be_read() {
        let run = RunKey::new("default", &WfRunId::from_any_text("a_b"));
        let cases = [
            (run.wf_run().finish(), "wfRun", "default a_b"),
            (run.variable(0, "x").finish(), "variable", "default a_b 0 x"),
            (run.node_run(1, 2).finish(), "nodeRun", "default a_b 1 2"),
            (key::global(key::TENANTS, "t"), "tenant", "t"),
            (key::wf_spec("t", "w", 1, 2), "wfSpec", "t w 1 2"),
        ];
        for (bytes, table, text) in cases {
            let described = describe(Family::State, &bytes);
            assert_eq!((described.table, &*described.key), (table, text));
            let message = described.message.unwrap();
            assert!(pool().unwrap().get_message_by_name(message).is_some());
        }
        let tenant = Tenant::default().encode_to_vec();
        let shown = value(Family::State, &key::global(key::TENANTS, "t"), &tenant);
        assert_eq!(shown, "{}");
        let row = WfRunRow {
            version: 1,
            ..WfRunRow::default()
        };
        let shown = value(Family::State, &run.wf_run(), &row.encode_to_vec());
        assert!(shown.contains("\"version\": 1"), "{shown}");
    }

    #[test]
    fn all_messages_exist_and_no_bytes_panic() {
        for name in [
            "TaskWorkerGroupRow",
            "TimerAction",
            "NodeOutputRow",
            "UserTaskRunRow",
        ] {
            let name = format!("ironhorse.v1.{name}");
            assert!(pool().unwrap().get_message_by_name(&name).is_some());
        }
        for table in 0..=255_u8 {
            for rest in [&b""[..], b"\0", b"a\0\x01", b"a\0\x01b\0\x01\x01"] {
                let bytes = [&[table], rest].concat();
                for family in Family::ALL {
                    let _ = value(family, &bytes, b"\xff\x01");
                }
            }
        }
    }
}

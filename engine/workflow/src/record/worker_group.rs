//! TaskWorkerGroup: the workers that poll for a TaskDef (spec 04, section 6).

use crate::time::timestamp_ms;
use proto::ironhorse::v1::TaskWorkerGroupRow;
use proto::littlehorse::TaskWorkerGroup;

use super::Row;

impl Row for TaskWorkerGroupRow {
    fn version(&self) -> u32 {
        self.version
    }
}

/// A worker that was silent for this long is gone, in whole seconds.
pub const EXPIRY_SECONDS: i64 = 90;

/// Drops workers that were silent for too long.
pub fn drop_expired(group: &mut TaskWorkerGroup, now_ms: i64) {
    group.task_workers.retain(|_, worker| {
        (now_ms - timestamp_ms(worker.latest_heartbeat.as_ref())) / 1000 < EXPIRY_SECONDS
    });
}

/// The public message, as of now.
pub fn public(row: TaskWorkerGroupRow, now_ms: i64) -> TaskWorkerGroup {
    let mut group = row.group.unwrap_or_default();
    drop_expired(&mut group, now_ms);
    group
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::timestamp;
    use proto::littlehorse::TaskWorkerMetadata;

    #[test]
    fn silent_workers_are_left_out_after_90_seconds() {
        let mut group = TaskWorkerGroup::default();
        for (name, heartbeat_ms) in [("silent", 0), ("quiet", 1), ("late", 5_000)] {
            let worker = TaskWorkerMetadata {
                latest_heartbeat: Some(timestamp(heartbeat_ms)),
                ..TaskWorkerMetadata::default()
            };
            group.task_workers.insert(name.to_owned(), worker);
        }
        let row = TaskWorkerGroupRow {
            version: 1,
            group: Some(group),
        };
        let seen_at = |now_ms| -> Vec<String> {
            let group = public(row.clone(), now_ms);
            group.task_workers.into_keys().collect()
        };
        // spec 04-56
        assert_eq!(seen_at(89_999), ["late", "quiet", "silent"]);
        assert_eq!(seen_at(90_000), ["late", "quiet"]);
        assert_eq!(seen_at(90_001), ["late"]);
        assert_eq!(seen_at(95_000), [""; 0]);
        // A clock that was put back drops nobody.
        assert_eq!(seen_at(-1), ["late", "quiet", "silent"]);
    }
}

//! RegisterTaskWorker: a worker's heartbeat, and the servers that it should poll (spec 04, section 6.1).

use crate::settings::Tenant;
use crate::time::timestamp;
use bytes::Bytes;
use index::Family;
use prost::Message;
use proto::ironhorse::v1::{RegisterTaskWorker, TaskWorkerGroupRow};
use proto::littlehorse::{
    LhHostInfo, RegisterTaskWorkerResponse, TaskDefId, TaskWorkerGroup, TaskWorkerGroupId,
    TaskWorkerMetadata,
};
use runtime::{Context, Rejection};

use crate::key;
use crate::record::decode;
use crate::record::worker_group::drop_expired;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: RegisterTaskWorker,
) -> Result<RegisterTaskWorkerResponse, Rejection> {
    let request = command.request.unwrap_or_default();
    let task_def: TaskDefId = request.task_def_id.unwrap_or_default();
    let worker_id = request.task_worker_id;
    let now_ms = context.now_ms();
    let key = key::named(key::WORKER_GROUPS, tenant.name, &task_def.name);
    let mut row: TaskWorkerGroupRow = match context.get(Family::State, &key)? {
        Some(value) => decode(&value)?,
        None => TaskWorkerGroupRow {
            version: 1,
            group: Some(TaskWorkerGroup {
                id: Some(TaskWorkerGroupId {
                    task_def_id: Some(task_def),
                }),
                created_at: Some(timestamp(now_ms)),
                ..TaskWorkerGroup::default()
            }),
        },
    };
    let Some(group) = &mut row.group else {
        return Err(Rejection::internal("a TaskWorkerGroup's row is empty"));
    };
    drop_expired(group, now_ms);
    group
        .task_workers
        .entry(worker_id.clone())
        .or_insert_with(|| TaskWorkerMetadata {
            task_worker_id: worker_id.clone(),
            ..TaskWorkerMetadata::default()
        });
    assign(group, &command.hosts);
    let mut your_hosts = Vec::new();
    if let Some(worker) = group.task_workers.get_mut(&worker_id) {
        worker.latest_heartbeat = Some(timestamp(now_ms));
        your_hosts.clone_from(&worker.hosts);
    }
    context.put(Family::State, key, Bytes::from(row.encode_to_vec()))?;
    Ok(RegisterTaskWorkerResponse {
        your_hosts,
        is_cluster_healthy: Some(true),
    })
}

/// Every server has a worker and every worker a server: a pure function of both sorted lists.
fn assign(group: &mut TaskWorkerGroup, hosts: &[LhHostInfo]) {
    let workers = group.task_workers.len();
    for (w, worker) in group.task_workers.values_mut().enumerate() {
        worker.hosts = hosts
            .iter()
            .enumerate()
            .filter(|(h, _)| {
                if workers <= hosts.len() {
                    h % workers == w
                } else {
                    w % hosts.len() == *h
                }
            })
            .map(|(_, host)| host.clone())
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(workers: &[&str], hosts: &[&str]) -> Vec<Vec<String>> {
        let mut group = TaskWorkerGroup::default();
        for worker in workers {
            group
                .task_workers
                .insert((*worker).to_owned(), TaskWorkerMetadata::default());
        }
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| LhHostInfo {
                host: (*host).to_owned(),
                port: 1,
            })
            .collect();
        assign(&mut group, &hosts);
        group
            .task_workers
            .values()
            .map(|worker| worker.hosts.iter().map(|host| host.host.clone()).collect())
            .collect()
    }

    #[test]
    fn every_server_has_a_worker_and_every_worker_a_server() {
        // spec 04-55
        assert_eq!(assigned(&["a", "b"], &["h1"]), [["h1"], ["h1"]]);
        assert_eq!(
            assigned(&["a", "b"], &["h1", "h2", "h3"]),
            [vec!["h1", "h3"], vec!["h2"]]
        );
        assert_eq!(
            assigned(&["a", "b", "c"], &["h1", "h2"]),
            [["h1"], ["h2"], ["h1"]]
        );
        assert_eq!(assigned(&["a"], &[]), [Vec::<String>::new()]);
    }
}

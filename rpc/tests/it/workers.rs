//! The workers of a TaskDef: RegisterTaskWorker and GetTaskWorkerGroup (spec 04, section 6).

use proto::littlehorse::{DeleteTaskDefRequest, LhHostInfo, RegisterTaskWorkerRequest, TaskDefId};
use tonic::Code;

use crate::support::*;

async fn register(client: &mut Client, task_def: &str, worker: &str) -> Vec<LhHostInfo> {
    let request = RegisterTaskWorkerRequest {
        task_worker_id: worker.to_owned(),
        task_def_id: Some(task_def_id(task_def)),
    };
    let answer = client.register_task_worker(request).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.is_cluster_healthy, Some(true));
    answer.your_hosts
}

#[tokio::test]
async fn workers_are_told_where_to_poll() {
    let mut server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    let nobody = client.get_task_worker_group(task_def_id("work")).await;
    refused(nobody, Code::NotFound, &[]);
    let address = server.address();
    let here = vec![LhHostInfo {
        host: address.ip().to_string(),
        port: address.port().into(),
    }];
    // spec 04-55: on one server; the table for three is tested beside its code.
    for worker in ["a", "b", "a"] {
        assert_eq!(register(client, "work", worker).await, here);
    }
    // Nothing is checked: the TaskDef may come later, and a worker need not have a name.
    assert_eq!(register(client, "unknown", "").await, here);
    let group = client.get_task_worker_group(task_def_id("work")).await;
    let group = group.unwrap().into_inner();
    assert_eq!(group.id.unwrap().task_def_id, Some(task_def_id("work")));
    let names: Vec<&String> = group.task_workers.keys().collect();
    assert_eq!(names, ["a", "b"]);
    for (name, worker) in &group.task_workers {
        assert_eq!(&worker.task_worker_id, name);
        assert_eq!(worker.hosts, here);
        assert!(millis(worker.latest_heartbeat) >= millis(group.created_at));
    }
    // A later heartbeat counts, and the group outlives the server.
    let before = group.task_workers["a"].latest_heartbeat;
    server.restart().await;
    let client = &mut server.client.clone();
    register(client, "work", "a").await;
    let after = client.get_task_worker_group(task_def_id("work")).await;
    let after = after.unwrap().into_inner();
    assert!(millis(after.task_workers["a"].latest_heartbeat) > millis(before));
    assert_eq!(after.created_at, group.created_at);
    assert_eq!(after.task_workers.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_workers_go_with_their_task_def() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    client.define_task(task_def("work", &[], None)).await;
    register(client, "work", "a").await;
    let id = Some(task_def_id("work"));
    client
        .delete_task_def(DeleteTaskDefRequest { id })
        .await
        .unwrap();
    // The group is told by a message.
    until(|| {
        let mut client = client.clone();
        async move {
            let found = client.get_task_worker_group(TaskDefId {
                name: "work".to_owned(),
            });
            let status = found.await.err()?;
            (status.code() == Code::NotFound).then_some(())
        }
    })
    .await;
    server.stop().await;
}

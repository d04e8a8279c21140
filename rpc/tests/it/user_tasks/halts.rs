//! What halts and rescues of threads do to user tasks (spec 06, section 12, with rule 12.3).

use proto::littlehorse::wait_for_threads_node::{
    ThreadToWaitFor, ThreadsToWaitFor, ThreadsToWaitForOneOf,
};
use proto::littlehorse::{
    ApplyWorkflowMigrationPlanRequest, ExternalEventDefId, InterruptDef, LhStatus,
    NodeMigrationPlan, PutWorkflowMigrationPlanRequest, RescueThreadRunRequest, ResumeWfRunRequest,
    StartThreadNode, StopWfRunRequest, TaskStatus, ThreadMigrationPlanRequest, WaitForThreadsNode,
    WaitForThreadsStrategy, WfRun,
};

use super::*;

async fn stop(client: &mut Client, run: &str) {
    let request = StopWfRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: 0,
    };
    client.stop_wf_run(request).await.unwrap();
}

async fn resume(client: &mut Client, run: &str) {
    let request = ResumeWfRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: 0,
    };
    client.resume_wf_run(request).await.unwrap();
}

async fn rescue(client: &mut Client, run: &str) -> WfRun {
    let request = RescueThreadRunRequest {
        wf_run_id: Some(id(run)),
        thread_run_number: 0,
        skip_current_node: false,
    };
    let rescued = client.rescue_thread_run(request).await;
    rescued.unwrap().into_inner()
}

fn start(thread: &str) -> Kind {
    Kind::StartThread(StartThreadNode {
        thread_spec_name: thread.to_owned(),
        ..StartThreadNode::default()
    })
}

fn statuses(run: &WfRun) -> Vec<LhStatus> {
    let threads = run.thread_runs.iter();
    threads.map(proto::littlehorse::ThreadRun::status).collect()
}

async fn task_of(client: &mut Client, guid: &str) -> UserTaskRun {
    client.get("r", guid).await.unwrap().into_inner()
}

async fn complete(client: &mut Client, guid: &str) {
    let request = CompleteUserTaskRunRequest {
        user_task_run_id: Some(task_id("r", guid)),
        ..CompleteUserTaskRunRequest::default()
    };
    client.complete_user_task_run(request).await.unwrap();
}

#[tokio::test]
async fn a_stopped_run_keeps_its_task() {
    let mut server = server().await;
    let spec = spec(vec![], vec![of_u()]);
    server.client.define(spec).await;
    let client = &mut server.client;
    client.run("s", "r").await;
    let before = client.user_task("r").await;
    stop(client, "r").await;
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halted);
    assert_eq!(client.user_task("r").await, before);
    server.restart().await;
    let client = &mut server.client;
    resume(client, "r").await;
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Running);
    // spec 06-52
    assert_eq!(client.user_task("r").await, before);
    client.complete("r", "u", &[]).await.unwrap();
    // spec 06-57: with a restart in between.
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn people_go_on_while_the_run_is_stopped() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    stop(client, "r").await;
    client.assign("r", Some("v"), None, true).await.unwrap();
    client.complete("r", "v", &[]).await.unwrap();
    // spec 06-53
    assert_eq!(client.user_task("r").await.status(), Done);
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halted);
    resume(client, "r").await;
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Completed);
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_cancellation_meanwhile_fails_the_node_later() {
    let mut server = server().await;
    let node = user_task(|node| {
        node.user_id = Some(literal(text("u")));
        node.on_cancellation_exception_name = Some(literal(text("mine")));
    });
    server.client.define(spec(vec![], vec![node])).await;
    let client = &mut server.client;
    client.run("s", "r").await;
    stop(client, "r").await;
    client.cancel("r").await.unwrap();
    assert!(client.node_run("r", 1).await.failures.is_empty());
    server.restart().await;
    let client = &mut server.client;
    resume(client, "r").await;
    let node_run = client.node_run("r", 1).await;
    assert_eq!(node_run.failures[0].failure_name, "mine");
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Exception);
    server.stop().await;
}

#[tokio::test]
async fn triggers_of_a_stopped_run_reassign_and_do_not_remind() {
    let mut server = server().await;
    let client = &mut server.client;
    let to_v = reassign(Some(literal(text("v"))), None);
    let node = acting(vec![
        trigger(UtHook::OnArrival, 1, remind(task("work", vec![]))),
        trigger(UtHook::OnArrival, 1, to_v),
    ]);
    client.define(spec(vec![], vec![node])).await;
    client.run("s", "r").await;
    stop(client, "r").await;
    let task = becomes(client, "r", |task| task.events.len() > 1).await;
    assert_eq!(events(&task), ["assigned", "assigned"]);
    assert_eq!(task.user_id.as_deref(), Some("v"));
    server.stop().await;
}

#[tokio::test]
async fn an_interrupt_leaves_the_task_open() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define_event("ring").await;
    for (name, handler) in [
        ("quick", vec![nop()]),
        ("slow", vec![Kind::Task(task("work", vec![]))]),
    ] {
        let mut spec = with_thread(sequence(name, vec![], vec![of_u()]), "handle", handler);
        let main = spec.thread_specs.get_mut("main").unwrap();
        main.interrupt_defs.push(InterruptDef {
            external_event_def_id: Some(ExternalEventDefId {
                name: "ring".to_owned(),
            }),
            handler_spec_name: "handle".to_owned(),
        });
        client.define(spec).await;
        client.run(name, name).await;
        let before = client.user_task(name).await;
        let ring = put_event(name, "ring", "g", int(1));
        client.put_external_event(ring).await.unwrap();
        if name == "slow" {
            let node_run = client.node_run(name, 1).await;
            assert_eq!(node_run.status(), LhStatus::Halted);
            let handled = client.claim("work").await;
            client.report(success(&handled, None)).await;
        }
        let run = client.wf_run(name).await;
        assert_eq!(statuses(&run), [LhStatus::Running, LhStatus::Completed]);
        // spec 06-54, 03-44 (which ruling 12 of spec 00 turns round)
        assert_eq!(client.user_task(name).await, before);
        client.complete(name, "u", &[]).await.unwrap();
        assert_eq!(client.wf_run(name).await.status(), LhStatus::Completed);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_task_of_who_is_not_waited_for_is_cancelled() {
    let mut server = server().await;
    let client = &mut server.client;
    let threads = [1, 2].map(|number| ThreadToWaitFor {
        thread_run_number: Some(literal(int(number))),
    });
    let any = Kind::WaitForThreads(WaitForThreadsNode {
        threads_to_wait_for: Some(ThreadsToWaitForOneOf::Threads(ThreadsToWaitFor {
            threads: threads.to_vec(),
        })),
        strategy: WaitForThreadsStrategy::WaitForAny.into(),
        ..WaitForThreadsNode::default()
    });
    // The second child waits for a grandchild, whose task nobody needs either.
    let below = Kind::WaitForThreads(WaitForThreadsNode {
        threads_to_wait_for: Some(ThreadsToWaitForOneOf::Threads(ThreadsToWaitFor {
            threads: vec![ThreadToWaitFor {
                thread_run_number: Some(literal(int(3))),
            }],
        })),
        ..WaitForThreadsNode::default()
    });
    let main = spec(vec![], vec![start("a"), start("b"), any, of_u()]);
    let spec = with_thread(main, "a", vec![of_u()]);
    let spec = with_thread(spec, "b", vec![start("c"), below]);
    let spec = with_thread(spec, "c", vec![of_u()]);
    client.define(spec).await;
    client.run("s", "r").await;
    assert_eq!(task_of(client, "3-1").await.status(), Assigned);
    complete(client, "1-1").await;
    let loser = task_of(client, "3-1").await;
    // spec 06-55
    assert_eq!(loser.status(), Cancelled);
    assert_eq!(events(&loser), ["assigned", "cancelled"]);
    assert_eq!(
        statuses(&client.wf_run("r").await),
        [
            LhStatus::Running,
            LhStatus::Completed,
            LhStatus::Halted,
            LhStatus::Halted
        ]
    );
    // The next task of the parent is not touched.
    complete(client, "0-4").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    assert_eq!(task_of(client, "3-1").await, loser);
    server.stop().await;
}

#[tokio::test]
async fn a_rescue_of_the_parent_opens_the_task_again() {
    let mut server = server().await;
    let client = &mut server.client;
    let child = acting(vec![trigger(
        UtHook::OnTaskAssigned,
        1,
        reassign(None, Some(literal(text("g")))),
    )]);
    let main = spec(vec![], vec![start("a"), Kind::Task(task("work", vec![]))]);
    client.define(with_thread(main, "a", vec![child])).await;
    client.run("s", "r").await;
    let failed = client.claim("work").await;
    client.report(status(&failed, TaskStatus::TaskFailed)).await;
    let run = client.wf_run("r").await;
    assert_eq!(statuses(&run), [LhStatus::Error, LhStatus::Halted]);
    let task = task_of(client, "1-1").await;
    // spec 06-56
    assert_eq!(task.status(), Cancelled);
    assert_eq!(events(&task), ["assigned", "cancelled"]);
    pass(1200).await;
    assert_eq!(task_of(client, "1-1").await, task);
    let run = rescue(client, "r").await;
    assert_eq!(statuses(&run), [LhStatus::Running, LhStatus::Running]);
    let task = task_of(client, "1-1").await;
    assert_eq!((task.status(), task.epoch), (Assigned, 2));
    assert_eq!(events(&task), ["assigned", "cancelled", "assigned"]);
    assert_eq!(assignment(&task, 2), (Some("u"), None, Some("u"), None));
    // Its deadline runs again.
    until(|| {
        let mut client = client.clone();
        async move {
            let task = task_of(&mut client, "1-1").await;
            (task.status() == Unassigned).then_some(())
        }
    })
    .await;
    complete(client, "1-1").await;
    let again = client.claim("work").await;
    client.report(success(&again, None)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_that_becomes_final_cancels_the_task() {
    let mut server = server().await;
    let client = &mut server.client;
    let main = spec(vec![], vec![start("a"), Kind::Task(task("work", vec![]))]);
    client.define(with_thread(main, "a", vec![of_u()])).await;
    client.run("s", "r").await;
    let failed = client.claim("work").await;
    let child = StopWfRunRequest {
        wf_run_id: Some(id("r")),
        thread_run_number: 1,
    };
    client.stop_wf_run(child).await.unwrap();
    assert_eq!(task_of(client, "1-1").await.status(), Assigned);
    client.report(status(&failed, TaskStatus::TaskFailed)).await;
    assert_eq!(task_of(client, "1-1").await.status(), Cancelled);
    server.stop().await;
}

#[tokio::test]
async fn a_rescue_of_the_thread_makes_a_new_task() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u()])).await;
    client.run("s", "r").await;
    client.cancel("r").await.unwrap();
    let old = client.user_task("r").await;
    rescue(client, "r").await;
    // spec 06-57
    let new = task_of(client, "0-2").await;
    assert_eq!((new.status(), new.epoch), (Assigned, 1));
    assert_eq!(events(&new), ["assigned"]);
    assert_eq!(client.user_task("r").await, old);
    assert_eq!(old.status(), Cancelled);
    complete(client, "0-2").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_fails_cancels_the_task() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define_event("ring").await;
    let handler = vec![Kind::Task(task("work", vec![]))];
    let mut spec = with_thread(spec(vec![], vec![of_u()]), "handle", handler);
    let main = spec.thread_specs.get_mut("main").unwrap();
    main.interrupt_defs.push(InterruptDef {
        external_event_def_id: Some(ExternalEventDefId {
            name: "ring".to_owned(),
        }),
        handler_spec_name: "handle".to_owned(),
    });
    client.define(spec).await;
    client.run("s", "r").await;
    let ring = put_event("r", "ring", "g", int(1));
    client.put_external_event(ring).await.unwrap();
    let failed = client.claim("work").await;
    client.report(status(&failed, TaskStatus::TaskFailed)).await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Error);
    let task = client.user_task("r").await;
    assert_eq!(task.status(), Cancelled);
    assert_eq!(events(&task), ["assigned", "cancelled"]);
    server.stop().await;
}

#[tokio::test]
async fn a_migration_leaves_the_task_behind() {
    let mut server = server().await;
    let client = &mut server.client;
    let late = trigger(UtHook::OnArrival, 1, remind(task("work", vec![])));
    let old = client.define(spec(vec![], vec![acting(vec![late])])).await;
    client.run("s", "r").await;
    let of_v = user_task(|node| node.user_id = Some(literal(text("v"))));
    let new = client.define(spec(vec![], vec![of_v])).await.id.unwrap();
    let same = NodeMigrationPlan {
        new_node_name: "1".to_owned(),
    };
    let main = ThreadMigrationPlanRequest {
        new_thread_name: "main".to_owned(),
        node_migrations: [("1".to_owned(), same)].into(),
    };
    let plan = PutWorkflowMigrationPlanRequest {
        name: "plan".to_owned(),
        old_wf_spec: old.id,
        major_version: new.major_version,
        revision: new.revision,
        thread_migrations: [("main".to_owned(), main)].into(),
    };
    let plan = client.put_workflow_migration_plan(plan).await.unwrap();
    let apply = ApplyWorkflowMigrationPlanRequest {
        id: plan.into_inner().workflow_migration_plan_id,
        wf_run_id: Some(id("r")),
        ..ApplyWorkflowMigrationPlanRequest::default()
    };
    client.apply_workflow_migration_plan(apply).await.unwrap();
    assert_eq!(client.node_run("r", 1).await.status(), LhStatus::Halted);
    let left = client.user_task("r").await;
    assert_eq!(left.status(), Cancelled);
    assert_eq!(events(&left), ["assigned", "cancelled"]);
    let task = task_of(client, "0-2").await;
    assert_eq!(task.user_id.as_deref(), Some("v"));
    pass(1200).await;
    assert_eq!(client.user_task("r").await, left);
    complete(client, "0-2").await;
    assert_eq!(client.wf_run("r").await.status(), LhStatus::Completed);
    server.stop().await;
}

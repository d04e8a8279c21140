//! SearchUserTaskRun and ListUserTaskRuns (spec 06, section 13; spec 07, section 4.5).

use proto::littlehorse::{
    DeleteWfRunRequest, ListUserTaskRunRequest, RunWfRequest, SearchUserTaskRunRequest, WfRunId,
};
use tonic::Code;

use super::*;

fn by(status: Option<UserTaskRunStatus>, user: &str, group: &str) -> SearchUserTaskRunRequest {
    let text = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
    SearchUserTaskRunRequest {
        status: status.map(Into::into),
        user_id: text(user),
        user_group: text(group),
        ..SearchUserTaskRunRequest::default()
    }
}

async fn runs(client: &Client, search: &SearchUserTaskRunRequest) -> Vec<String> {
    let found = search.found(client).await.into_iter();
    found
        .map(|id| format!("{}/{}", id.wf_run_id.unwrap(), id.user_task_guid))
        .collect()
}

/// A WfSpec whose owner is told when it is run.
async fn anybodys(client: &mut Client) {
    let vars = ["user", "group"].map(|name| optional(var_def(name, VariableType::Str)));
    let node = user_task(|node| {
        node.user_id = Some(variable("user"));
        node.user_group = Some(variable("group"));
    });
    client.define(spec(vars.to_vec(), vec![node])).await;
}

#[tokio::test]
async fn a_search_needs_a_criterion() {
    let mut server = server().await;
    let client = &mut server.client;
    let only_times = SearchUserTaskRunRequest {
        earliest_start: Some(proto::time::from_millis(0)),
        ..SearchUserTaskRunRequest::default()
    };
    let answer = client.search_user_task_run(only_times).await;
    let words = &["status", "user_task_def_name", "user_id", "user_group"];
    // spec 06-58, 07-37
    refused(answer, Code::InvalidArgument, words);
    let unknown = SearchUserTaskRunRequest {
        status: Some(2),
        ..SearchUserTaskRunRequest::default()
    };
    let answer = client.search_user_task_run(unknown).await;
    refused(answer, Code::InvalidArgument, &["status"]);
    let bad = SearchUserTaskRunRequest {
        bookmark: Some(b"bad".to_vec().into()),
        ..by(None, "u", "-")
    };
    let answer = client.search_user_task_run(bad).await;
    refused(answer, Code::InvalidArgument, &["bookmark"]);
    server.stop().await;
}

#[tokio::test]
async fn tasks_are_found_by_exact_owner() {
    let mut server = server().await;
    let client = &mut server.client;
    anybodys(client).await;
    for (run, user, group) in [("1", "a", "g"), ("2", "a/b", "g"), ("3", "a", "h")] {
        let inputs = [("user", text(user)), ("group", text(group))];
        client.run_with("s", run, &inputs).await;
    }
    client.run_with("s", "4", &[("group", text("g"))]).await;
    // spec 06-59
    assert_eq!(runs(client, &by(None, "a", "-")).await, ["1/0-1", "3/0-1"]);
    assert_eq!(runs(client, &by(None, "a/b", "-")).await, ["2/0-1"]);
    for (search, expected) in [
        (by(None, "-", "g"), &["1/0-1", "2/0-1", "4/0-1"][..]),
        (by(None, "a", "g"), &["1/0-1"]),
        (by(Some(Assigned), "-", "g"), &["1/0-1", "2/0-1"]),
        (by(Some(Unassigned), "-", "g"), &["4/0-1"]),
        (by(Some(Unassigned), "-", "-"), &["4/0-1"]),
        (by(Some(Unassigned), "a", "-"), &[]),
        (by(Some(Assigned), "a", "h"), &["3/0-1"]),
        (by(None, "", "-"), &[]),
        (by(None, "-", ""), &[]),
        (by(None, "A", "-"), &[]),
    ] {
        assert_eq!(runs(client, &search).await, expected, "{search:?}");
        let of_form = SearchUserTaskRunRequest {
            user_task_def_name: Some(FORM.to_owned()),
            ..search.clone()
        };
        assert_eq!(runs(client, &of_form).await, expected, "{of_form:?}");
        let of_other = SearchUserTaskRunRequest {
            user_task_def_name: Some("for".to_owned()),
            ..search
        };
        assert!(runs(client, &of_other).await.is_empty());
    }
    let delete = DeleteWfRunRequest { id: Some(id("1")) };
    client.delete_wf_run(delete).await.unwrap();
    assert_eq!(runs(client, &by(None, "a", "-")).await, ["3/0-1"]);
    server.stop().await;
}

#[tokio::test]
async fn a_search_follows_the_task() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_g()])).await;
    let mut all = Vec::new();
    for n in 0..12 {
        let run = format!("r{n}");
        client.run("s", &run).await;
        let created = millis(client.user_task(&run).await.scheduled_time);
        all.push((created, format!("{run}/0-1")));
    }
    all.sort();
    let mut all: Vec<String> = all.into_iter().map(|(_, task)| task).collect();
    let open = by(Some(Unassigned), "-", "g");
    // In the order of their creation, whatever the group that they are in.
    let pages = open.paged(client, 1).await;
    let found: Vec<String> = pages
        .concat()
        .into_iter()
        .map(|id| format!("{}/{}", id.wf_run_id.unwrap(), id.user_task_guid))
        .collect();
    // spec 06-60, 07-36
    assert_eq!(found, all);
    client.assign("r3", Some("u"), None, false).await.unwrap();
    all.retain(|task| task != "r3/0-1");
    assert_eq!(runs(client, &open).await, all);
    assert_eq!(
        runs(client, &by(Some(Assigned), "u", "-")).await,
        ["r3/0-1"]
    );
    assert!(runs(client, &by(None, "u", "g")).await.is_empty());
    client.complete("r3", "u", &[]).await.unwrap();
    assert!(runs(client, &by(Some(Assigned), "u", "-")).await.is_empty());
    assert_eq!(runs(client, &by(Some(Done), "u", "-")).await, ["r3/0-1"]);
    assert_eq!(runs(client, &by(None, "u", "-")).await, ["r3/0-1"]);
    // Both ends count.
    let at = client.user_task("r3").await.scheduled_time;
    let within = |earliest, latest| SearchUserTaskRunRequest {
        earliest_start: earliest,
        latest_start: latest,
        ..by(Some(Done), "-", "-")
    };
    let beside = |ms| Some(proto::time::from_millis(millis(at) + ms));
    assert_eq!(runs(client, &within(at, at)).await, ["r3/0-1"]);
    assert!(runs(client, &within(beside(1), None)).await.is_empty());
    assert!(runs(client, &within(None, beside(-1))).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_run_lists_its_tasks_in_order() {
    let mut server = server().await;
    let client = &mut server.client;
    client.define(spec(vec![], vec![of_u(); 12])).await;
    client.run("s", "r").await;
    for position in 1..12 {
        let request = CompleteUserTaskRunRequest {
            user_task_run_id: Some(task_id("r", &format!("0-{position}"))),
            user_id: "u".to_owned(),
            ..CompleteUserTaskRunRequest::default()
        };
        client.complete_user_task_run(request).await.unwrap();
    }
    // A child's tasks are its own.
    let mut child = sequence("child", vec![], vec![of_u()]);
    child.parent_wf_spec = Some(proto::littlehorse::wf_spec::ParentWfSpecReference {
        wf_spec_name: "s".to_owned(),
        ..Default::default()
    });
    client.define(child).await;
    let request = RunWfRequest {
        parent_wf_run_id: Some(id("r")),
        ..run_request("child", "c", &[])
    };
    client.run_wf(request).await.unwrap();
    let list = |run: WfRunId| ListUserTaskRunRequest {
        wf_run_id: Some(run),
        ..ListUserTaskRunRequest::default()
    };
    let guids = |tasks: Vec<UserTaskRun>| -> Vec<String> {
        let ids = tasks.into_iter().filter_map(|task| task.id);
        ids.map(|id| id.user_task_guid).collect()
    };
    let expected: Vec<String> = (1..=12).map(|position| format!("0-{position}")).collect();
    for limit in [5, 100] {
        let pages = list(id("r")).paged(client, limit).await;
        assert_eq!(guids(pages.concat()), expected);
    }
    let child = WfRunId::from_any_text("r_c");
    let found = list(child.clone()).found(client).await;
    assert_eq!(found.len(), 1);
    // By its whole id, and as lhctl names it.
    for run in [child, id("r_c")] {
        let asked = UserTaskRunId {
            wf_run_id: Some(run),
            user_task_guid: "0-1".to_owned(),
        };
        let same = client.get_user_task_run(asked.clone()).await.unwrap();
        assert_eq!(same.into_inner().id, found[0].id);
        let request = SaveUserTaskRunProgressRequest {
            user_task_run_id: Some(asked),
            user_id: "u".to_owned(),
            ..SaveUserTaskRunProgressRequest::default()
        };
        let saved = client.save_user_task_run_progress(request).await.unwrap();
        assert_eq!(saved.into_inner().id, found[0].id);
    }
    assert!(list(id("nope")).found(client).await.is_empty());
    server.stop().await;
}

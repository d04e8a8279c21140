//! Order, pages and bookmarks.

use std::collections::BTreeSet;

use proto::littlehorse::{DeleteWfRunRequest, SearchWfRunRequest, VariableType};

use super::*;
use crate::support::*;

const INT: VariableType = VariableType::Int;

#[tokio::test]
async fn results_are_in_one_order_whatever_the_page() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("s", vec![], vec![])).await;
    client.define(sequence("other", vec![], vec![])).await;
    // Ids in no order, over both groups.
    let ids = (0..40_u32).map(|n| format!("r{}", n.wrapping_mul(2_654_435_761) % 1000));
    let route = runtime::Route::new(2);
    let groups: BTreeSet<_> = ids
        .clone()
        .map(|id| route.group_of(id.as_bytes()))
        .collect();
    assert_eq!(groups.len(), 2);
    client.run("other", "stranger").await;
    // spec 07-12
    let expected = many(client, "s", ids).await;
    assert_eq!(found(client, &runs_of("s")).await, expected);
    for limit in [1, 2, 3, 7, 39, 40, 41, 1000] {
        let pages = runs_of("s").paged(client, limit).await;
        assert_eq!(texts(&pages.concat()), expected, "by {limit}");
        // No page is asked for in vain.
        assert_eq!(pages.len(), 40_usize.div_ceil(limit as usize), "by {limit}");
    }
    let all = found(client, &SearchWfRunRequest::default()).await;
    assert_eq!(all.len(), 41);
    server.stop().await;
}

#[tokio::test]
async fn a_bookmark_outlives_inserts_deletions_and_a_restart() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("s", vec![], vec![])).await;
    let mut expected = many(client, "s", (0..12).map(|n| format!("r{n}"))).await;
    let mut seen = Vec::new();
    let mut bookmark = None;
    for round in 0.. {
        let client = &mut server.client;
        // Limits may change from page to page.
        let search = runs_of("s").with(Some(1 + round % 3), bookmark);
        let (page, next) = search.ask(client.clone()).await.unwrap();
        seen.extend(texts(&page));
        bookmark = next;
        if bookmark.is_none() {
            break;
        }
        if round < 4 {
            let last = millis(client.wf_run(expected.last().unwrap()).await.start_time);
            let new = later(client, last, run_request("s", &format!("new{round}"), &[])).await;
            expected.push(new.id.unwrap().id);
            // spec 07-8: the one that a bookmark points at, and the one after it.
            let at = seen.len() - 1;
            for gone in [expected[at].clone(), expected.remove(at + 1)] {
                let id = Some(id(&gone));
                client
                    .delete_wf_run(DeleteWfRunRequest { id })
                    .await
                    .unwrap();
            }
            server.restart().await;
        }
    }
    assert_eq!(seen, expected);
    server.stop().await;
}

#[tokio::test]
async fn limits_hold_and_the_last_page_says_so() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let vars = vec![optional(var_def("n", INT))];
    client.define(sequence("s", vars, vec![])).await;
    let mut runs = tokio::task::JoinSet::new();
    for run in 0..1100 {
        let mut client = client.clone();
        runs.spawn(async move {
            let n = [("n", int(run))];
            client.run_with("s", &format!("r{run}"), &n).await;
        });
    }
    runs.join_all().await;
    // spec 07-3 (with more)
    let (page, bookmark) = runs_of("s").ask(client.clone()).await.unwrap();
    assert_eq!(page.len(), 100);
    assert!(bookmark.is_some());
    let pages = runs_of("s").paged(client, 100).await;
    let distinct: BTreeSet<String> = texts(&pages.concat()).into_iter().collect();
    assert_eq!((pages.len(), distinct.len()), (11, 1100));
    // More than the most that a page holds.
    let search = runs_of("s").with(Some(i32::MAX), None);
    let (page, bookmark) = search.ask(client.clone()).await.unwrap();
    assert_eq!(page.len(), 1000);
    let search = runs_of("s").with(Some(i32::MAX), bookmark);
    let (page, bookmark) = search.ask(client.clone()).await.unwrap();
    assert_eq!((page.len(), bookmark), (100, None));
    // spec 07-24
    let last = page.last().unwrap().id.clone();
    let n = last[1..].parse().unwrap();
    let only = SearchWfRunRequest {
        variable_filters: vec![filter("n", int(n))],
        ..runs_of("s")
    };
    let (page, bookmark) = only.with(Some(10), None).ask(client.clone()).await.unwrap();
    assert_eq!((texts(&page), bookmark), (vec![last.clone()], None));
    // spec 07-4: what was left is gone before the next page.
    let search = runs_of("s").with(Some(1000), None);
    let (_, first) = search.ask(client.clone()).await.unwrap();
    let search = runs_of("s").with(Some(99), first);
    let (page, bookmark) = search.ask(client.clone()).await.unwrap();
    assert_eq!(page.len(), 99);
    let gone = Some(id(&last));
    client
        .delete_wf_run(DeleteWfRunRequest { id: gone })
        .await
        .unwrap();
    let search = runs_of("s").with(Some(99), bookmark);
    assert_eq!(search.ask(client.clone()).await.unwrap(), (vec![], None));
    server.stop().await;
}

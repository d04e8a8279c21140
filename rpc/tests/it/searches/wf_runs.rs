//! What WfRuns are found by.

use std::collections::BTreeSet;

use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::{
    DeleteWfRunRequest, DeleteWfSpecRequest, LhStatus, PutWfSpecRequest, RunWfRequest,
    SearchWfRunRequest, ThreadVarDef, VariableMatch, VariableType, VariableValue, WfRunId,
    WfSpecId,
};
use tonic::Code;

use super::*;
use crate::support::*;

const INT: VariableType = VariableType::Int;

#[tokio::test]
async fn runs_are_found_by_start_time() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define(sequence("s", vec![], vec![])).await;
    let mut ids = Vec::new();
    let mut times = Vec::new();
    for run in ["a", "b", "c"] {
        let before = times.last().copied().unwrap_or(0);
        let run = later(client, before, run_request("s", run, &[])).await;
        times.push(millis(run.start_time));
        ids.push(run.id.unwrap().id);
    }
    let at = |ms: i64| Some(proto::time::from_millis(ms));
    let between = |earliest, latest| SearchWfRunRequest {
        earliest_start: earliest,
        latest_start: latest,
        ..SearchWfRunRequest::default()
    };
    let now = Some(prost_types::Timestamp {
        seconds: i64::MAX,
        nanos: i32::MAX,
    });
    let cases = [
        // spec 07-9
        (at(times[1]), at(times[1]), 1..2),
        (at(times[1]), None, 1..3),
        (None, at(times[1]), 0..2),
        (at(times[0] + 1), at(times[2] - 1), 1..2),
        // spec 07-10
        (at(0), None, 0..3),
        (at(-1_000), None, 0..3),
        (at(i64::MIN), now, 0..3),
        // spec 07-11
        (at(times[1]), at(times[1] - 1), 0..0),
        (at(times[2]), at(times[0]), 0..0),
        (now, None, 0..0),
        (None, at(times[0] - 1), 0..0),
    ];
    for (earliest, latest, expected) in cases {
        let expected = &ids[expected];
        for search in [
            between(earliest, latest),
            SearchWfRunRequest {
                wf_spec_name: "s".to_owned(),
                ..between(earliest, latest)
            },
            SearchWfRunRequest {
                wf_spec_name: "s".to_owned(),
                status: Some(LhStatus::Completed.into()),
                ..between(earliest, latest)
            },
        ] {
            assert_eq!(found(client, &search).await, expected, "{search:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_search_sees_each_change_at_once() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client
        .define(sequence("s", vec![], vec![event("go")]))
        .await;
    let running = with_status("s", LhStatus::Running);
    let completed = with_status("s", LhStatus::Completed);
    let anyhow = |status: LhStatus| SearchWfRunRequest {
        status: Some(status.into()),
        ..SearchWfRunRequest::default()
    };
    for n in 0..20 {
        let run = format!("r{n}");
        client.run("s", &run).await;
        // spec 07-15
        assert_eq!(found(client, &running).await, [run.as_str()]);
        assert_eq!(
            found(client, &anyhow(LhStatus::Running)).await,
            [run.as_str()]
        );
        client
            .put_external_event(put_event(&run, "go", "g", int(1)))
            .await
            .unwrap();
        assert!(found(client, &running).await.is_empty());
        assert_eq!(found(client, &completed).await.len(), n + 1);
        assert_eq!(
            found(client, &anyhow(LhStatus::Completed)).await.len(),
            n + 1
        );
    }
    let delete = DeleteWfRunRequest { id: Some(id("r7")) };
    client.delete_wf_run(delete).await.unwrap();
    // spec 07-25
    for search in [completed, runs_of("s"), SearchWfRunRequest::default()] {
        let left = found(client, &search).await;
        assert_eq!(left.len(), 19);
        assert!(!left.contains(&"r7".to_owned()));
    }
    server.stop().await;
}

#[tokio::test]
async fn runs_are_found_by_version() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let y = || vec![required(var_def("y", INT))];
    let versions = [(vec![], 0), (vec![], 1), (y(), 1)];
    for (number, (vars, nops)) in versions.into_iter().enumerate() {
        let given: &[_] = if vars.is_empty() {
            &[]
        } else {
            &[("y", int(1))]
        };
        client.define(sequence("s", vars, vec![nop(); nops])).await;
        client.run_with("s", &format!("r{number}"), given).await;
    }
    let of = |major, revision| SearchWfRunRequest {
        wf_spec_major_version: major,
        wf_spec_revision: revision,
        ..runs_of("s")
    };
    let as_set = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<_>>();
    // spec 07-18
    for (search, expected) in [
        (of(None, None), vec!["r0", "r1", "r2"]),
        (of(Some(0), None), vec!["r0", "r1"]),
        (of(Some(0), Some(1)), vec!["r1"]),
        (of(Some(1), None), vec!["r2"]),
        (of(Some(1), Some(0)), vec!["r2"]),
    ] {
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(as_set(found(client, &search).await), expected);
        let done = SearchWfRunRequest {
            status: Some(LhStatus::Completed.into()),
            ..search.clone()
        };
        assert_eq!(as_set(found(client, &done).await), expected);
        let failed = SearchWfRunRequest {
            status: Some(LhStatus::Error.into()),
            ..search
        };
        assert!(found(client, &failed).await.is_empty());
    }
    // Without its WfSpec a run is no longer found by the name of that, but still found.
    for version in [(0, 0), (0, 1), (1, 0)] {
        let id = Some(WfSpecId {
            name: "s".to_owned(),
            major_version: version.0,
            revision: version.1,
        });
        client
            .delete_wf_spec(DeleteWfSpecRequest { id })
            .await
            .unwrap();
    }
    let answer = client.search_wf_run(runs_of("s")).await;
    refused(answer, Code::InvalidArgument, &["WfSpec s"]);
    assert_eq!(found(client, &SearchWfRunRequest::default()).await.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn runs_are_found_by_their_parent() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client.define(sequence("top", vec![], vec![])).await;
    for (name, parent) in [("middle", "top"), ("bottom", "middle")] {
        let spec = PutWfSpecRequest {
            parent_wf_spec: Some(ParentWfSpecReference {
                wf_spec_name: parent.to_owned(),
                wf_spec_major_version: 0,
            }),
            ..sequence(name, vec![], vec![event("go")])
        };
        client.define(spec).await;
    }
    // Ids as the SDKs make them.
    let long = |letter: &str| letter.repeat(36);
    let child = |parent: &WfRunId, id: &str| WfRunId {
        id: id.to_owned(),
        parent_wf_run_id: Some(Box::new(parent.clone())),
    };
    let top = id(&long("t"));
    let (done, waits) = (child(&top, &long("d")), child(&top, &long("w")));
    let bottom = child(&done, &long("b"));
    client.run("top", &top.id).await;
    client.run("top", "stranger").await;
    for (spec, run) in [("middle", &done), ("middle", &waits), ("bottom", &bottom)] {
        let request = RunWfRequest {
            parent_wf_run_id: run.parent_wf_run_id.as_deref().cloned(),
            ..run_request(spec, &run.id, &[])
        };
        client.run_wf(request).await.unwrap();
    }
    for run in [&done, &bottom] {
        let mut event = put_event("", "go", "g", int(1));
        event.wf_run_id = Some(run.clone());
        client.put_external_event(event).await.unwrap();
    }
    let of = |parent: &WfRunId| SearchWfRunRequest {
        parent_wf_run_id: Some(parent.clone()),
        ..SearchWfRunRequest::default()
    };
    let tree = |parent: &WfRunId| SearchWfRunRequest {
        show_full_tree: Some(true),
        ..of(parent)
    };
    let status = |search: SearchWfRunRequest, status: LhStatus| SearchWfRunRequest {
        status: Some(status.into()),
        ..search
    };
    let spec = |search: SearchWfRunRequest, name: &str| SearchWfRunRequest {
        wf_spec_name: name.to_owned(),
        ..search
    };
    let exact = SearchWfRunRequest {
        wf_spec_major_version: Some(0),
        wf_spec_revision: Some(0),
        ..spec(of(&top), "middle")
    };
    // As `lhctl` sends it.
    let unsplit = id(&done.to_string());
    let cases: Vec<(SearchWfRunRequest, Vec<&WfRunId>)> = vec![
        // spec 07-19, 07-20
        (of(&top), vec![&done, &waits]),
        (of(&done), vec![&bottom]),
        (of(&unsplit), vec![&bottom]),
        (of(&waits), vec![]),
        (of(&id("nobody")), vec![]),
        (tree(&top), vec![&done, &waits, &bottom]),
        (tree(&done), vec![&bottom]),
        (tree(&id("nobody")), vec![]),
        // spec 07-21 (the other part: bad_input.rs)
        (status(of(&top), LhStatus::Completed), vec![&done]),
        (status(of(&top), LhStatus::Running), vec![&waits]),
        (
            status(tree(&top), LhStatus::Completed),
            vec![&done, &bottom],
        ),
        (spec(of(&top), "middle"), vec![&done, &waits]),
        (spec(of(&top), "bottom"), vec![]),
        (spec(tree(&top), "bottom"), vec![&bottom]),
        (
            status(spec(of(&top), "middle"), LhStatus::Running),
            vec![&waits],
        ),
        (exact, vec![&done, &waits]),
    ];
    for (search, mut expected) in cases {
        for limit in [1, 2, 100] {
            let mut found = search.paged(client, limit).await.concat();
            found.sort_by_key(WfRunId::to_string);
            expected.sort_by_key(ToString::to_string);
            let found: Vec<&WfRunId> = found.iter().collect();
            assert_eq!(found, expected, "{search:?}");
        }
    }
    let filtered = SearchWfRunRequest {
        variable_filters: vec![filter("x", int(1))],
        ..of(&top)
    };
    let answer = client.search_wf_run(filtered).await;
    refused(answer, Code::InvalidArgument, &["wf_spec_name"]);
    server.stop().await;
}

#[tokio::test]
async fn runs_are_found_by_their_variables() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let masked = {
        let mut def = private(var_def("secret", VariableType::Str));
        def.var_def
            .as_mut()
            .unwrap()
            .type_def
            .as_mut()
            .unwrap()
            .masked = true;
        def
    };
    let vars: Vec<ThreadVarDef> = vec![
        private(var_def("a", INT)),
        private(var_def("b", VariableType::Str)),
        private(var_def("d", VariableType::Double)),
        private(var_def("o", VariableType::JsonObj)),
        masked,
    ];
    client.define(sequence("s", vars, vec![])).await;
    for (run, given) in [
        ("r1", vec![("a", int(1)), ("b", text("x"))]),
        ("r2", vec![("a", int(1)), ("b", text("y"))]),
        (
            "r3",
            vec![("a", int(2)), ("b", text("x")), ("d", double(5.0))],
        ),
        (
            "r4",
            vec![("b", text("x/y")), ("o", json(r#"{"p": 1, "q": [2]}"#))],
        ),
        ("r5", vec![("b", text("1")), ("secret", text("true value"))]),
    ] {
        client.run_with("s", run, &given).await;
    }
    let null = VariableValue::default;
    let cases: Vec<(Vec<VariableMatch>, &[&str])> = vec![
        // spec 07-22
        (vec![filter("a", int(1)), filter("b", text("x"))], &["r1"]),
        (vec![filter("a", int(1))], &["r1", "r2"]),
        (vec![filter("b", text("x"))], &["r1", "r3"]),
        // spec 07-23
        (vec![filter("a", double(1.0))], &[]),
        (vec![filter("a", text("1"))], &[]),
        (vec![filter("d", int(5))], &[]),
        (vec![filter("d", double(5.0))], &["r3"]),
        (vec![filter("a", null())], &["r4", "r5"]),
        (
            vec![VariableMatch {
                var_name: "a".to_owned(),
                value: None,
            }],
            &["r4", "r5"],
        ),
        // JSON by its structure.
        (vec![filter("o", json(r#"{"q":[2],"p":1}"#))], &["r4"]),
        (vec![filter("o", json(r#"{"p":1}"#))], &[]),
        // spec 07-59
        (vec![filter("secret", text("true value"))], &[]),
        (vec![filter("secret", text("*****"))], &[]),
        (vec![filter("secret", null())], &[]),
    ];
    for (filters, expected) in cases {
        let search = SearchWfRunRequest {
            variable_filters: filters,
            ..runs_of("s")
        };
        assert_eq!(found(client, &search).await, expected, "{search:?}");
    }
    server.stop().await;
}

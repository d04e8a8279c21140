//! Migration plans.

use proto::littlehorse::{
    DeleteWorkflowMigrationPlanRequest, NodeMigrationPlan, PutWfSpecRequest,
    PutWorkflowMigrationPlanRequest, ThreadMigrationPlanRequest, ThreadSpec, VariableType,
    WfSpecId, WorkflowMigrationPlanId,
};
use tonic::Code;

use crate::support::*;
use VariableType::Int;

/// A thread that waits for `go` in node `1`, and its variables.
fn waiting(variables: &[&str]) -> ThreadSpec {
    let defs = variables.iter().map(|name| private(var_def(name, Int)));
    let spec = sequence("x", defs.collect(), vec![event("go")]);
    spec.thread_specs["main"].clone()
}

fn threads<const N: usize>(threads: [(&str, ThreadSpec); N]) -> PutWfSpecRequest {
    PutWfSpecRequest {
        thread_specs: threads
            .into_iter()
            .map(|(name, thread)| (name.to_owned(), thread))
            .collect(),
        ..sequence("w", vec![], vec![])
    }
}

/// Old thread, new thread, old nodes and new nodes.
type Migration<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn plan(migrations: &[Migration<'_>]) -> PutWorkflowMigrationPlanRequest {
    let nodes = |nodes: &[(&str, &str)]| {
        let nodes = nodes.iter().map(|(old, new)| {
            let new_node_name = (*new).to_owned();
            ((*old).to_owned(), NodeMigrationPlan { new_node_name })
        });
        nodes.collect()
    };
    PutWorkflowMigrationPlanRequest {
        name: "plan".to_owned(),
        old_wf_spec: Some(WfSpecId {
            name: "w".to_owned(),
            ..WfSpecId::default()
        }),
        major_version: 0,
        revision: 1,
        thread_migrations: migrations
            .iter()
            .map(|(old, new, changed)| {
                let request = ThreadMigrationPlanRequest {
                    new_thread_name: (*new).to_owned(),
                    node_migrations: nodes(changed),
                };
                ((*old).to_owned(), request)
            })
            .collect(),
    }
}

#[tokio::test]
async fn a_migration_plan_fits_both_versions() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    client.define_event("go").await;
    client
        .define(threads([("main", waiting(&[])), ("kid", waiting(&[]))]))
        .await;
    // The new child uses a variable of the new entrypoint.
    let mut kid = waiting(&[]);
    let edge = &mut kid.nodes.get_mut("1").unwrap().outgoing_edges[0];
    edge.variable_mutations = vec![assign("num", literal(int(1)))];
    let made = client
        .define(threads([("main", waiting(&["num"])), ("kid", kid)]))
        .await;
    assert_eq!(made.id.unwrap().revision, 1);
    let same: &[(&str, &str)] = &[("1", "1")];
    // spec 01-57
    for (request, code, words) in [
        (
            PutWorkflowMigrationPlanRequest {
                revision: 7,
                ..plan(&[("main", "main", same)])
            },
            Code::NotFound,
            "Destination WfSpec",
        ),
        (
            PutWorkflowMigrationPlanRequest {
                old_wf_spec: Some(WfSpecId {
                    name: "w".to_owned(),
                    major_version: 0,
                    revision: 5,
                }),
                ..plan(&[("main", "main", same)])
            },
            Code::NotFound,
            "Source WfSpec",
        ),
        (
            PutWorkflowMigrationPlanRequest {
                revision: 0,
                ..plan(&[("main", "main", same)])
            },
            Code::InvalidArgument,
            "same WfSpec",
        ),
        (plan(&[]), Code::InvalidArgument, "thread_migrations"),
        (
            plan(&[("nope", "main", same)]),
            Code::InvalidArgument,
            "Source WfSpec has no threadSpec nope",
        ),
        (
            plan(&[("main", "nope", same)]),
            Code::InvalidArgument,
            "Destination WfSpec has no threadSpec nope",
        ),
        (
            plan(&[("main", "kid", same)]),
            Code::InvalidArgument,
            "Entrypoint thread 'main' cannot migrate to non-entrypoint thread 'kid'",
        ),
        (
            plan(&[("kid", "main", same)]),
            Code::InvalidArgument,
            "Child thread 'kid' cannot migrate to entrypoint thread 'main'",
        ),
        (
            plan(&[("main", "main", &[("x", "1")])]),
            Code::InvalidArgument,
            "does not have node x",
        ),
        (
            plan(&[("main", "main", &[("1", "x")])]),
            Code::InvalidArgument,
            "does not have node x",
        ),
        (
            plan(&[("main", "main", &[("exit", "1")])]),
            Code::InvalidArgument,
            "exit",
        ),
        (
            plan(&[("main", "main", &[("1", "entry")])]),
            Code::InvalidArgument,
            "entry",
        ),
        // spec 01-55
        (
            plan(&[("kid", "kid", same)]),
            Code::FailedPrecondition,
            "The variable 'num' is required by destination thread 'kid' but the thread that defines it ('main') is not included in this migration plan",
        ),
    ] {
        refused(
            client.put_workflow_migration_plan(request).await,
            code,
            &[words],
        );
    }
    let named = || WorkflowMigrationPlanId {
        name: "plan".to_owned(),
    };
    refused(
        client.get_workflow_migration_plan(named()).await,
        Code::NotFound,
        &[],
    );
    let both = plan(&[("main", "main", same), ("kid", "kid", same)]);
    let made = client
        .put_workflow_migration_plan(both)
        .await
        .unwrap()
        .into_inner();
    // spec 01-55
    assert_eq!(
        made.thread_migrations["kid"].thread_spec_dependencies,
        ["main"]
    );
    assert!(
        made.thread_migrations["main"]
            .thread_spec_dependencies
            .is_empty()
    );
    let got = client.get_workflow_migration_plan(named()).await.unwrap();
    assert_eq!(got.into_inner(), made);
    let gone = DeleteWorkflowMigrationPlanRequest { id: Some(named()) };
    client
        .delete_workflow_migration_plan(gone.clone())
        .await
        .unwrap();
    refused(
        client.delete_workflow_migration_plan(gone).await,
        Code::NotFound,
        &["plan"],
    );
    server.stop().await;
}

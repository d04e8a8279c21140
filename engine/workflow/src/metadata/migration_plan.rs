//! PutWorkflowMigrationPlan and DeleteWorkflowMigrationPlan (spec 01, section 11.1).

use std::collections::{BTreeMap, BTreeSet};

use proto::littlehorse::{
    DeleteWorkflowMigrationPlanRequest, Node, NodeMigrationPlan, PutWorkflowMigrationPlanRequest,
    ThreadMigrationPlan, ThreadSpec, WfSpec, WfSpecId, WorkflowMigrationPlan,
    WorkflowMigrationPlanId, node,
};
use runtime::{Context, Rejection};

use super::{check_free_name, find, store};
use crate::key;
use crate::spec::used_by;
use crate::time::timestamp;

pub(super) fn put(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutWorkflowMigrationPlanRequest,
) -> Result<WorkflowMigrationPlan, Rejection> {
    check_free_name("WorkflowMigrationPlan name", &request.name)?;
    let source_id = request.old_wf_spec.clone().unwrap_or_default();
    let destination_id = WfSpecId {
        name: source_id.name.clone(),
        major_version: request.major_version,
        revision: request.revision,
    };
    let exact = |id: &WfSpecId| key::wf_spec(tenant, &id.name, id.major_version, id.revision);
    let missing = |what: &str, id: &WfSpecId| {
        Rejection::not_found(format!("{what} WfSpec {id} does not exist"))
    };
    let destination: WfSpec = find(context, &exact(&destination_id))?
        .ok_or_else(|| missing("Destination", &destination_id))?;
    let source: WfSpec =
        find(context, &exact(&source_id))?.ok_or_else(|| missing("Source", &source_id))?;
    if source_id == destination_id {
        return Err(Rejection::invalid(format!(
            "Source and destination are the same WfSpec {source_id}"
        )));
    }
    let thread_migrations = plan(&source, &destination, &request)?;
    let plan = WorkflowMigrationPlan {
        workflow_migration_plan_id: Some(WorkflowMigrationPlanId {
            name: request.name.clone(),
        }),
        created_at: Some(timestamp(context.now_ms())),
        thread_migrations,
        old_wf_spec: request.old_wf_spec,
        major_version: request.major_version,
        revision: request.revision,
    };
    let key = key::named(key::MIGRATION_PLANS, tenant, &request.name);
    store(context, key, &plan)?;
    Ok(plan)
}

pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteWorkflowMigrationPlanRequest,
) -> Result<(), Rejection> {
    let name = request.id.unwrap_or_default().name;
    let key = key::named(key::MIGRATION_PLANS, tenant, &name);
    super::delete(context, key, &format!("WorkflowMigrationPlan {name}"))
}

/// Checks the plan, and finds which threads must have migrated before which others.
fn plan(
    source: &WfSpec,
    destination: &WfSpec,
    request: &PutWorkflowMigrationPlanRequest,
) -> Result<BTreeMap<String, ThreadMigrationPlan>, Rejection> {
    if request.thread_migrations.is_empty() {
        return Err(Rejection::invalid("thread_migrations must not be empty"));
    }
    for (old, migration) in &request.thread_migrations {
        check_thread(source, destination, old, &migration.new_thread_name)?;
        let new_thread = &destination.thread_specs[&migration.new_thread_name];
        for (old_node, new_node) in &migration.node_migrations {
            check_nodes(old, &source.thread_specs[old], old_node)?;
            check_nodes(
                &migration.new_thread_name,
                new_thread,
                &new_node.new_node_name,
            )?;
        }
    }
    let mut dependencies: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (old, migration) in &request.thread_migrations {
        let needed = dependencies.entry(old).or_default();
        let new = &migration.new_thread_name;
        let in_scope = variables_in_scope(source, old);
        for variable in used_by(&destination.thread_specs[new]).variables {
            if in_scope.contains(&variable) {
                continue;
            }
            let Some(owner) = declarer(destination, new, &variable) else {
                return Err(Rejection::not_found(format!(
                    "The variable '{variable}' is not defined by any thread of the destination WfSpec"
                )));
            };
            if owner == new {
                continue;
            }
            let migrates =
                |other: &&String| request.thread_migrations[*other].new_thread_name == *owner;
            if !request
                .thread_migrations
                .keys()
                .any(|other| migrates(&other))
            {
                return Err(Rejection::precondition(format!(
                    "The variable '{variable}' is required by destination thread '{new}' but the thread that defines it ('{owner}') is not included in this migration plan"
                )));
            }
            needed.insert(owner);
        }
    }
    let planned = request.thread_migrations.iter().map(|(old, migration)| {
        let needed = dependencies.remove(old).unwrap_or_default();
        let plan = ThreadMigrationPlan {
            new_thread_name: migration.new_thread_name.clone(),
            node_migrations: migration
                .node_migrations
                .iter()
                .map(|(node, to)| {
                    let new_node_name = to.new_node_name.clone();
                    (node.clone(), NodeMigrationPlan { new_node_name })
                })
                .collect(),
            thread_spec_dependencies: needed.into_iter().cloned().collect(),
        };
        (old.clone(), plan)
    });
    Ok(planned.collect())
}

fn check_thread(
    source: &WfSpec,
    destination: &WfSpec,
    old: &str,
    new: &str,
) -> Result<(), Rejection> {
    let refuse = |why: String| Err(Rejection::invalid(why));
    if !source.thread_specs.contains_key(old) {
        return refuse(format!("Source WfSpec has no threadSpec {old}"));
    }
    if !destination.thread_specs.contains_key(new) {
        return refuse(format!("Destination WfSpec has no threadSpec {new}"));
    }
    let from_entrypoint = source.entrypoint_thread_name == old;
    let to_entrypoint = destination.entrypoint_thread_name == new;
    match (from_entrypoint, to_entrypoint) {
        (true, false) => refuse(format!(
            "Entrypoint thread '{old}' cannot migrate to non-entrypoint thread '{new}'"
        )),
        (false, true) => refuse(format!(
            "Child thread '{old}' cannot migrate to entrypoint thread '{new}'"
        )),
        _ => Ok(()),
    }
}

fn check_nodes(thread_name: &str, thread: &ThreadSpec, name: &str) -> Result<(), Rejection> {
    match thread.nodes.get(name) {
        None => Err(Rejection::invalid(format!(
            "Thread '{thread_name}' does not have node {name}"
        ))),
        Some(Node {
            node: Some(node::Node::Entrypoint(_) | node::Node::Exit(_) | node::Node::Nop(_)) | None,
            ..
        }) => Err(Rejection::invalid(format!(
            "Node {name} of thread '{thread_name}' is an ENTRYPOINT, EXIT or NOP, which cannot be migrated"
        ))),
        Some(_) => Ok(()),
    }
}

/// The variables of a thread and of those that it is a descendant of.
fn variables_in_scope<'a>(wf_spec: &'a WfSpec, thread: &'a str) -> BTreeSet<String> {
    let mut threads = BTreeSet::from([thread]);
    loop {
        let parents = wf_spec.thread_specs.iter().filter(|(name, spec)| {
            !threads.contains(name.as_str())
                && started_by(spec).any(|child| threads.contains(child))
        });
        let parents: Vec<&str> = parents.map(|(name, _)| name.as_str()).collect();
        if parents.is_empty() {
            break;
        }
        threads.extend(parents);
    }
    let declared = |name: &&str| wf_spec.thread_specs.get(*name);
    let defs = threads
        .iter()
        .filter_map(declared)
        .flat_map(|spec| &spec.variable_defs);
    defs.filter_map(|def| Some(def.var_def.as_ref()?.name.clone()))
        .collect()
}

/// The threads that a thread starts: children, handlers of failures and of interrupts.
fn started_by(thread: &ThreadSpec) -> impl Iterator<Item = &str> {
    let of_nodes = thread.nodes.values().flat_map(|node| {
        let child = match &node.node {
            Some(node::Node::StartThread(start)) => Some(&start.thread_spec_name),
            Some(node::Node::StartMultipleThreads(start)) => Some(&start.thread_spec_name),
            _ => None,
        };
        let per_thread = match &node.node {
            Some(node::Node::WaitForThreads(wait)) => &wait.per_thread_failure_handlers[..],
            _ => &[],
        };
        let handlers = node.failure_handlers.iter().chain(per_thread);
        child
            .into_iter()
            .chain(handlers.map(|handler| &handler.handler_spec_name))
    });
    let interrupts = thread.interrupt_defs.iter();
    of_nodes
        .chain(interrupts.map(|interrupt| &interrupt.handler_spec_name))
        .map(String::as_str)
}

/// The thread that declares a variable; the one that uses it, if it does itself.
fn declarer<'a>(wf_spec: &'a WfSpec, user: &'a String, variable: &str) -> Option<&'a String> {
    let declares = |thread: &ThreadSpec| {
        let mut defs = thread.variable_defs.iter();
        defs.any(|def| def.var_def.as_ref().is_some_and(|def| def.name == variable))
    };
    if wf_spec.thread_specs.get(user).is_some_and(declares) {
        return Some(user);
    }
    let mut threads = wf_spec.thread_specs.iter();
    threads
        .find(|(_, thread)| declares(thread))
        .map(|(name, _)| name)
}

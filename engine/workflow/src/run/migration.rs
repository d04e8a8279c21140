//! Moving the threads of a running WfRun to another version of its WfSpec (spec 01, section 11.3; spec 03, section 12).

use std::sync::Arc;

use proto::ironhorse::v1::SpecCreated;
use proto::littlehorse::node::Node as Type;
use proto::littlehorse::{
    LhStatus, ThreadMigrationPlan, WfRunVariableAccessLevel, WfSpecId, WorkflowMigrationPlan,
};
use runtime::Rejection;

use super::advance::activate;
use super::edge;
use super::failure::{Failing, Fault, Handlers, fail_node};
use super::scope::ThreadScope;
use super::thread::declared;
use super::unit::Unit;
use super::which::Run;
use crate::event::waiter;
use crate::node::{self, At};
use crate::record::wf_run::is_terminated;
use crate::spec::{self, Spec};
use crate::time::timestamp;
use crate::{timer, user_task, value};

/// How a migration of a thread went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Migrated {
    /// It does not migrate here.
    No,
    /// It is at its node of the new version.
    Moved,
    /// Its migration variables could not be computed: it has failed, on the old version.
    Failed,
}

/// Whether a plan is being applied to the run.
pub(super) fn is_under_way(unit: &mut Unit<'_, '_>, run: &Run) -> Result<bool, Rejection> {
    Ok(unit.wf_run(run)?.workflow_migration_plan_id.is_some())
}

/// A thread waits at a node: it migrates from there, if its plan says so.
pub(super) fn from_waiting(unit: &mut Unit<'_, '_>, at: &At<'_>) -> Result<Migrated, Failing> {
    let waits = matches!(
        at.node()?.node,
        Some(
            Type::ExternalEvent(_)
                | Type::UserTask(_)
                | Type::WaitForCondition(_)
                | Type::WaitForThreads(_)
                | Type::Sleep(_)
        )
    );
    let Some((plan, thread)) = plan_of(unit, at)? else {
        return Ok(Migrated::No);
    };
    let Some(to) = thread.node_migrations.get(&at.node_name) else {
        return Ok(Migrated::No);
    };
    if !waits || !is_ready(unit, at.run, &plan, &thread)? {
        return Ok(Migrated::No);
    }
    timer::cancel_for_node(unit, at)?;
    waiter::withdraw(unit, at.run, at.thread, at.position)?;
    user_task::abandoned(unit, at.run, at.thread)?;
    let now = timestamp(unit.now_ms());
    let node_run = unit.node_mut(at.run, at.thread, at.position)?;
    node_run.set_status(LhStatus::Halted);
    node_run.end_time = Some(now);
    migrate(unit, at, &plan, &thread, &to.new_node_name)
}

/// A thread is about to enter a node: it enters another one instead, if its plan says so.
pub(super) fn on_entering(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    sink: &str,
) -> Result<Migrated, Failing> {
    let Some((plan, thread)) = plan_of(unit, at)? else {
        return Ok(Migrated::No);
    };
    let Some(to) = thread.node_migrations.get(sink) else {
        return Ok(Migrated::No);
    };
    if !is_ready(unit, at.run, &plan, &thread)? {
        return Ok(Migrated::No);
    }
    migrate(unit, at, &plan, &thread, &to.new_node_name)
}

/// The plan that is being applied, and its part for this thread, if it has one and the thread is still on the old version.
fn plan_of(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
) -> Result<Option<(Arc<WorkflowMigrationPlan>, ThreadMigrationPlan)>, Rejection> {
    let Some(id) = unit.wf_run(at.run)?.workflow_migration_plan_id.clone() else {
        return Ok(None);
    };
    let plan = spec::migration_plan(unit.context.global(), unit.tenant.name, &id.name);
    let Some(plan) = plan else { return Ok(None) };
    let thread = unit.thread(at.run, at.thread)?;
    if thread.wf_spec_id != plan.old_wf_spec {
        return Ok(None);
    }
    let part = plan
        .thread_migrations
        .get(&thread.thread_spec_name)
        .cloned();
    Ok(part.map(|part| (plan, part)))
}

/// Whether the threads that this one depends on have migrated.
fn is_ready(
    unit: &mut Unit<'_, '_>,
    run: &Run,
    plan: &WorkflowMigrationPlan,
    thread: &ThreadMigrationPlan,
) -> Result<bool, Rejection> {
    let destination = spec::destination(plan);
    let greatest = unit.wf_run(run)?.greatest_threadrun_number;
    'names: for name in &thread.thread_spec_dependencies {
        for number in 0..=greatest {
            let other = unit.find_thread(run, number)?;
            if other.is_some_and(|other| {
                other.thread_spec_name == *name && other.wf_spec_id.as_ref() == Some(&destination)
            }) {
                continue 'names;
            }
        }
        return Ok(false);
    }
    // A version that is gone cannot be migrated to.
    Ok(destination_spec(unit, &destination).is_some())
}

fn destination_spec(unit: &mut Unit<'_, '_>, id: &WfSpecId) -> Option<Arc<Spec>> {
    spec::wf_spec(
        unit.context.global(),
        unit.tenant.name,
        &id.name,
        Some(id.major_version),
        Some(id.revision),
    )
}

fn migrate(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    plan: &WorkflowMigrationPlan,
    thread: &ThreadMigrationPlan,
    to: &str,
) -> Result<Migrated, Failing> {
    let (run, number) = (at.run, at.thread);
    let destination = spec::destination(plan);
    let Some(spec) = destination_spec(unit, &destination) else {
        return Ok(Migrated::No);
    };
    let created = create_variables(unit, at, &spec, &thread.new_thread_name)?;
    let assigned = assign_variables(unit, at, &thread.new_thread_name);
    match assigned {
        Ok(()) => {}
        Err(Failing::Fault(fault)) => {
            for name in created {
                unit.delete_variable(run, number, &name);
            }
            fail_node(unit, run, number, fault, Handlers::Skipped)?;
            return Ok(Migrated::Failed);
        }
        Err(rejected) => return Err(rejected),
    }
    let row = unit.wf_run_row_mut(run)?;
    let old = plan.old_wf_spec.clone().unwrap_or_default();
    let is_entrypoint = at.thread_spec == at.spec.wf_spec.entrypoint_thread_name;
    let (other, created_ms) = if is_entrypoint {
        let before = (old, row.spec_created_ms);
        row.spec_created_ms = spec.created_ms();
        if let Some(wf_run) = &mut row.wf_run {
            wf_run.old_wf_spec_versions.extend(wf_run.wf_spec_id.take());
            wf_run.wf_spec_id = Some(destination.clone());
        }
        before
    } else {
        (destination.clone(), spec.created_ms())
    };
    let is_that = |known: &SpecCreated| known.wf_spec_id.as_ref() == Some(&other);
    if !row.other_specs.iter().any(is_that) {
        row.other_specs.push(SpecCreated {
            wf_spec_id: Some(other),
            created_ms,
        });
    }
    let moved = unit.thread_mut(run, number)?;
    moved.thread_spec_name.clone_from(&thread.new_thread_name);
    moved.wf_spec_id = Some(destination);
    activate(unit, run, number, at.position + 1, to)?;
    let next = At::new(unit, run, number, at.position + 1)?;
    node::arrive(unit, &next)?;
    Ok(Migrated::Moved)
}

/// The variables of the new thread that this one has not: their names.
fn create_variables(
    unit: &mut Unit<'_, '_>,
    at: &At<'_>,
    spec: &Spec,
    thread: &str,
) -> Result<Vec<String>, Rejection> {
    let now = timestamp(unit.now_ms());
    let mut created = Vec::new();
    for def in &spec.thread(thread)?.variable_defs {
        let Some(var_def) = &def.var_def else {
            continue;
        };
        let is_inherited = def.access_level() == WfRunVariableAccessLevel::InheritedVar;
        let name = &var_def.name;
        if is_inherited || unit.find_variable(at.run, at.thread, name)?.is_some() {
            continue;
        }
        let row = declared(def, var_def, None, now, spec);
        unit.insert_variable(at.run, at.thread, name, row);
        created.push(name.clone());
    }
    Ok(created)
}

/// What the request asked to be assigned to variables: all or none.
fn assign_variables(unit: &mut Unit<'_, '_>, at: &At<'_>, thread: &str) -> Result<(), Failing> {
    let vars = unit
        .wf_run(at.run)?
        .migration_variables
        .get(thread)
        .cloned();
    let mut values = Vec::new();
    for (name, assignment) in vars.unwrap_or_default().var_assignment_by_var_name {
        let scope = ThreadScope::new(unit, at);
        let value = scope
            .outcome(value::evaluate(&assignment, &scope))
            .map_err(|failing| {
                failing.explained(&format!("Migration variable {name} could not be computed"))
            });
        let value = match value {
            Err(Failing::Fault(fault)) => return Err(Fault::var_sub(fault.message).into()),
            other => other?,
        };
        values.push((name, value));
    }
    for (name, value) in values {
        edge::assign(unit, at, &name, value)?;
    }
    Ok(())
}

/// At the end of a pass: once no living thread is on the old version, or the plan is gone, the migration is over.
pub(super) fn end(unit: &mut Unit<'_, '_>, run: &Run) -> Result<(), Rejection> {
    let Some(id) = unit.wf_run(run)?.workflow_migration_plan_id.clone() else {
        return Ok(());
    };
    let plan = spec::migration_plan(unit.context.global(), unit.tenant.name, &id.name);
    if let Some(plan) = plan {
        for number in unit.active_threads(run)? {
            let thread = unit.thread(run, number)?;
            if thread.wf_spec_id == plan.old_wf_spec && !is_terminated(thread.status()) {
                return Ok(());
            }
        }
    }
    let wf_run = unit.wf_run_mut(run)?;
    wf_run.workflow_migration_plan_id = None;
    wf_run.migration_variables.clear();
    Ok(())
}

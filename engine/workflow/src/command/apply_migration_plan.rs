//! ApplyWorkflowMigrationPlan (spec 01, section 11.2; spec 03, section 12.2).

use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::{
    ApplyWorkflowMigrationPlanRequest, VariableAssignment, WfRun, WfSpec, WorkflowMigrationPlan,
};
use runtime::{Context, Rejection};

use super::{no_such_run, wf_run_id};
use crate::record::wf_run::is_terminated;
use crate::run::{Run, Unit, advance};
use crate::settings::Tenant;
use crate::{spec, value};

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    request: ApplyWorkflowMigrationPlanRequest,
) -> Result<WfRun, Rejection> {
    let id = wf_run_id("wf_run_id", request.wf_run_id)?;
    let plan_id = request.id.unwrap_or_default();
    let run = Run::new(tenant.name, &id);
    let mut unit = Unit::new(context, tenant);
    if !unit.exists(&run)? {
        return Err(no_such_run(&id));
    }
    let wf_run = unit.wf_run(&run)?;
    if is_terminated(wf_run.status()) {
        return Err(Rejection::precondition(format!(
            "WfRun {id} cannot be migrated: it is {}",
            wf_run.status().as_str_name()
        )));
    }
    if let Some(other) = &wf_run.workflow_migration_plan_id {
        return Err(Rejection::precondition(format!(
            "WfRun {id} is being migrated already, by WorkflowMigrationPlan {}",
            other.name
        )));
    }
    let name = &plan_id.name;
    let global = unit.context.global();
    let plan = spec::migration_plan(global, tenant.name, name).ok_or_else(|| {
        Rejection::not_found(format!("WorkflowMigrationPlan {name} does not exist"))
    })?;
    if !request.migration_vars_by_thread.is_empty() {
        let to = spec::destination(&plan);
        let key = (Some(to.major_version), Some(to.revision));
        let spec = spec::wf_spec(global, tenant.name, &to.name, key.0, key.1)
            .ok_or_else(|| Rejection::precondition(format!("WfSpec {to} no longer exists")))?;
        let structs = spec::Structs::new(global, tenant.name);
        for (thread, vars) in &request.migration_vars_by_thread {
            check_thread(&plan, thread)?;
            for (variable, assignment) in &vars.var_assignment_by_var_name {
                check_variable(&spec.wf_spec, variable, assignment, &structs)?;
            }
        }
    }
    let wf_run = unit.wf_run_mut(&run)?;
    wf_run.workflow_migration_plan_id = Some(plan_id);
    wf_run.migration_variables = request.migration_vars_by_thread;
    advance(&mut unit, &run)?;
    let public = unit.public_wf_run(&run)?;
    unit.finish()?;
    Ok(public)
}

fn check_thread(plan: &WorkflowMigrationPlan, thread: &str) -> Result<(), Rejection> {
    let mut threads = plan.thread_migrations.values();
    if threads.any(|migration| migration.new_thread_name == thread) {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "migration_vars_by_thread: {thread} is not a thread that the plan migrates to"
    )))
}

fn check_variable(
    wf_spec: &WfSpec,
    name: &str,
    assignment: &VariableAssignment,
    structs: &spec::Structs<'_>,
) -> Result<(), Rejection> {
    let mut defs = wf_spec
        .thread_specs
        .values()
        .flat_map(|thread| &thread.variable_defs)
        .filter_map(|def| def.var_def.as_ref());
    let Some(def) = defs.find(|def| def.name == name) else {
        return Err(Rejection::invalid(format!(
            "migration_vars_by_thread: variable {name} is not declared in the new WfSpec"
        )));
    };
    let Some(Source::LiteralValue(literal)) = &assignment.source else {
        return Ok(());
    };
    let type_def = value::type_of_variable(def);
    let fits = if literal.value.is_none() {
        Err("it is null".to_owned())
    } else {
        value::ingress(&type_def, literal.clone(), structs).map_err(|error| error.to_string())
    };
    fits.map(|_| ()).map_err(|why| {
        Rejection::invalid(format!(
            "migration_vars_by_thread: variable {name} of type {} cannot have this value: {why}",
            value::type_name(&type_def)
        ))
    })
}

//! ScheduleWf (spec 05, section 7.1).

use proto::ironhorse::v1::{ScheduleWf, ScheduledWfRunRow};
use proto::littlehorse::ScheduledWfRun;
use runtime::{Context, Rejection};

use super::run_wf::version_asked;
use super::{check_ancestors, split_wf_run_id};
use crate::record::scheduled_wf_run::public;
use crate::run::validate_inputs;
use crate::schedule::{self, Times};
use crate::settings::Tenant;
use crate::spec;
use crate::time::timestamp;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: ScheduleWf,
) -> Result<ScheduledWfRun, Rejection> {
    let ScheduleWf {
        request,
        id,
        time_zone,
    } = command;
    let request = request.unwrap_or_default();
    let name = &request.wf_spec_name;
    let (major, revision) = (request.major_version, request.revision);
    let spec =
        spec::wf_spec(context.global(), tenant.name, name, major, revision).ok_or_else(|| {
            let asked = version_asked(name, major, revision);
            Rejection::invalid(format!("WfSpec {asked} does not exist"))
        })?;
    let expression = &request.cron_expression;
    let times = Times::new(expression, &time_zone).map_err(|why| {
        Rejection::invalid(format!(
            "cron_expression {expression:?} is not valid: {why}"
        ))
    })?;
    let now_ms = context.now_ms();
    let next_ms = times.next(now_ms).ok_or_else(|| {
        Rejection::invalid(format!(
            "cron_expression {expression:?}: there is no next execution time"
        ))
    })?;
    if !proto::name::is_hostname(&id) {
        return Err(Rejection::invalid(format!(
            "Optional argument id must be a valid hostname: {id:?}"
        )));
    }
    let request_id = context.request_id().0.to_be_bytes();
    if let Some(row) = schedule::find(context, tenant, &id)? {
        // The same command once more, after a change of owner: it meets its own effect.
        if row.request_id[..] == request_id {
            return Ok(public(&id, row));
        }
        return Err(Rejection::already_exists(format!(
            "ScheduledWfRun {id} already exists"
        )));
    }
    let parent = request.parent_wf_run_id.map(split_wf_run_id);
    if let Some(parent) = &parent {
        check_ancestors("parent_wf_run_id", parent)?;
    }
    let structs = spec::Structs::new(context.global(), tenant.name);
    let thread = spec.thread(&spec.wf_spec.entrypoint_thread_name)?;
    validate_inputs(thread, request.variables.clone(), &structs).map_err(Rejection::invalid)?;
    let row = ScheduledWfRunRow {
        version: 1,
        scheduled_wf_run: Some(ScheduledWfRun {
            id: None,
            wf_spec_id: Some(spec.id()),
            variables: request.variables,
            parent_wf_run_id: parent,
            cron_expression: request.cron_expression,
            created_at: Some(timestamp(now_ms)),
        }),
        major_version: major,
        revision,
        time_zone,
        due_ms: None,
        request_id: request_id.to_vec().into(),
        nominal_ms: 0,
    };
    schedule::store(context, tenant, &id, row.clone(), Some(next_ms))?;
    Ok(public(&id, row))
}

//! Schedules: WfRuns started by a cron expression (spec 05, section 7).

mod cron;

use bytes::Bytes;
use index::Family;
use prost::Message;
use proto::ironhorse::v1::group_message::Message as Content;
use proto::ironhorse::v1::timer_action::Action;
use proto::ironhorse::v1::{GroupMessage, RunWf, ScheduleTick, ScheduledWfRunRow};
use proto::littlehorse::RunWfRequest;
use runtime::{Context, Rejection};

pub use cron::{Times, is_time_zone};

use crate::record::decode;
use crate::run::generated_id;
use crate::settings::Tenant;
use crate::{key, timer};

/// The stored schedule, if there is one.
pub(crate) fn find(
    context: &Context<'_>,
    tenant: Tenant<'_>,
    id: &str,
) -> Result<Option<ScheduledWfRunRow>, Rejection> {
    let key = key::named(key::SCHEDULES, tenant.name, id);
    let value = context.get(Family::State, &key)?;
    value.map(|value| decode(&value)).transpose()
}

/// Stores a schedule whose next run belongs to a time after `after_ms`, if there is one, and arms its timer.
pub(crate) fn store(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    id: &str,
    mut row: ScheduledWfRunRow,
    next_ms: Option<i64>,
) -> Result<(), Rejection> {
    let key = key::named(key::SCHEDULES, tenant.name, id);
    row.due_ms = None;
    if let Some(nominal_ms) = next_ms {
        let payload = timer::payload(Action::ScheduleTick(ScheduleTick {}));
        row.nominal_ms = nominal_ms;
        row.due_ms = Some(context.set_timer(nominal_ms, &key, payload)?);
    }
    let value = context.encoded(&row);
    Ok(context.put(Family::State, key, value)?)
}

/// Removes a schedule, if it is there: no run of it is started any more.
pub(crate) fn delete(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    id: &str,
) -> Result<(), Rejection> {
    if let Some(row) = find(context, tenant, id)? {
        let key = key::named(key::SCHEDULES, tenant.name, id);
        if let Some(due_ms) = row.due_ms {
            context.cancel_timer(due_ms, &key)?;
        }
        context.delete(Family::State, key)?;
    }
    Ok(())
}

/// A time of the schedule has come: a WfRun is started, wherever it belongs, and the next time is that after this one, so
/// that none is left out (spec 05, section 7.2).
pub(crate) fn tick(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    id: &str,
    due_ms: i64,
) -> Result<(), Rejection> {
    let Some(row) = find(context, tenant, id)? else {
        return Ok(());
    };
    if row.due_ms != Some(due_ms) {
        return Ok(());
    }
    start(context, tenant, &row)?;
    let schedule = row.scheduled_wf_run.as_ref();
    let expression = schedule.map_or("", |schedule| &schedule.cron_expression);
    let next_ms = Times::new(expression, &row.time_zone)
        .ok()
        .and_then(|times| times.next(row.nominal_ms));
    store(context, tenant, id, row, next_ms)
}

fn start(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    row: &ScheduledWfRunRow,
) -> Result<(), Rejection> {
    let schedule = row.scheduled_wf_run.clone().unwrap_or_default();
    let id = generated_id(context)?;
    let parent = schedule.parent_wf_run_id;
    let route = parent.as_ref().map_or(id.as_str(), |run| run.root_id());
    let to = tenant.settings.core.group_of(route.as_bytes());
    let request = RunWfRequest {
        wf_spec_name: schedule.wf_spec_id.unwrap_or_default().name,
        major_version: row.major_version,
        revision: row.revision,
        variables: schedule.variables,
        id: None,
        parent_wf_run_id: parent,
    };
    let message = GroupMessage {
        version: 1,
        tenant: tenant.name.to_owned(),
        message: Some(Content::RunScheduled(RunWf {
            request: Some(request),
            id,
        })),
    };
    context.send(to, Bytes::from(message.encode_to_vec()));
    Ok(())
}

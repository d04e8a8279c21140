//! DeleteWfSpec (spec 01, section 12; spec 03, D35), and finding versions.

use index::Family;
use proto::littlehorse::{DeleteWfSpecRequest, WfSpec, WfSpecId};
use runtime::{Context, Rejection};

use super::{find, last, store};
use crate::key;
use crate::time::timestamp_ms;

/// The highest version of a WfSpec.
pub(super) fn latest(
    context: &mut Context<'_>,
    tenant: &str,
    name: &str,
) -> Result<Option<WfSpec>, Rejection> {
    last(context, &key::wf_spec_versions(tenant, name, None))
}

/// The version goes; the WfRuns that are on it go on with a retired copy.
pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteWfSpecRequest,
) -> Result<(), Rejection> {
    let id = request.id.unwrap_or_default();
    let (name, major, revision) = (&id.name, id.major_version, id.revision);
    let key = key::wf_spec(tenant, name, major, revision);
    let Some(stored) = find::<WfSpec>(context, &key)? else {
        return Err(Rejection::not_found(format!("WfSpec {id} does not exist")));
    };
    context.delete(Family::State, key)?;
    let created_ms = timestamp_ms(stored.created_at.as_ref());
    let retired = key::retired_wf_spec(tenant, name, major, revision, created_ms);
    store(context, retired, &stored)
}

/// When a new version is created: now, or later than every deleted one that had its number, so that the time tells them
/// apart.
pub(super) fn creation_ms(
    context: &mut Context<'_>,
    tenant: &str,
    id: &WfSpecId,
) -> Result<i64, Rejection> {
    let range = key::retired_wf_specs(tenant, &id.name, id.major_version, id.revision);
    let now = context.now_ms();
    match context.scan(Family::State, &range, 1, true)?.pop() {
        Some((key, _)) => {
            let last: Option<WfSpec> = find(context, &key)?;
            let created = timestamp_ms(last.unwrap_or_default().created_at.as_ref());
            Ok(now.max(created + 1))
        }
        None => Ok(now),
    }
}

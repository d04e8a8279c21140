//! DeleteWfSpec (spec 01, section 12; spec 03, D35), and finding versions.

use index::{Family, KeyRange};
use proto::littlehorse::{DeleteWfSpecRequest, WfSpec};
use runtime::{Context, Rejection};

use super::find;
use crate::key;

/// The highest version of a WfSpec.
pub(super) fn latest(
    context: &Context<'_>,
    tenant: &str,
    name: &str,
) -> Result<Option<WfSpec>, Rejection> {
    let range: KeyRange = key::wf_spec_versions(tenant, name, None);
    match context.scan(Family::State, &range, 1, true)?.pop() {
        Some((key, _)) => find(context, &key),
        None => Ok(None),
    }
}

/// The version goes; the WfRuns that are on it go on with a retired copy.
pub(super) fn delete(
    context: &mut Context<'_>,
    tenant: &str,
    request: DeleteWfSpecRequest,
) -> Result<(), Rejection> {
    let id = request.id.unwrap_or_default();
    let at = |table| key::wf_spec(table, tenant, &id.name, id.major_version, id.revision);
    let Some(value) = context.get(Family::State, &at(key::WF_SPECS))? else {
        return Err(Rejection::not_found(format!("WfSpec {id} does not exist")));
    };
    context.delete(Family::State, at(key::WF_SPECS))?;
    Ok(context.put(Family::State, at(key::RETIRED_WF_SPECS), value)?)
}

//! PutWfSpec (spec 01, sections 9 and 10).

mod normalize;
mod returns;
mod rule;
mod rules;
mod scope;
mod version;

use proto::littlehorse::{MetadataStatus, PutWfSpecRequest, WfSpec, WfSpecId};
use runtime::{Context, Rejection};

use super::definitions::{Definitions, Stored};
use super::{check_name, store, wf_spec};
use crate::key;
use crate::time::timestamp;
use rule::Findings;

pub(super) fn execute(
    context: &mut Context<'_>,
    tenant: &str,
    request: PutWfSpecRequest,
) -> Result<WfSpec, Rejection> {
    check_name("WfSpec name", &request.name)?;
    let latest = wf_spec::latest(context, tenant, &request.name)?;
    let allowed = request.allowed_updates();
    let mut new = WfSpec {
        id: Some(WfSpecId {
            name: request.name,
            major_version: 0,
            revision: 0,
        }),
        created_at: None,
        frozen_variables: Vec::new(),
        status: MetadataStatus::Active.into(),
        thread_specs: request.thread_specs,
        entrypoint_thread_name: request.entrypoint_thread_name,
        retention_policy: request.retention_policy,
        migration: None,
        parent_wf_spec: request.parent_wf_spec,
    };
    let definitions = Stored::new(context, tenant);
    let refused = check(&mut new, &definitions);
    let output_differs = refused.is_ok()
        && latest
            .as_ref()
            .is_some_and(|latest| returns::differ(&new, latest, &definitions));
    definitions.close()?;
    refused?;
    version::freeze(&mut new, latest.as_ref())?;
    let decided = match version::decide(&new, latest.as_ref(), output_differs, allowed)? {
        version::Decision::Unchanged(stored) => return Ok(stored),
        version::Decision::Create(id) => id,
    };
    new.created_at = Some(timestamp(wf_spec::creation_ms(context, tenant, &decided)?));
    let key = key::wf_spec(
        tenant,
        &decided.name,
        decided.major_version,
        decided.revision,
    );
    new.id = Some(decided);
    store(context, key, &new)?;
    Ok(new)
}

/// Brings a WfSpec to its stored form, and holds it to the rules of section 10.
///
/// # Errors
/// It breaks some of them: the message says which.
fn check(wf_spec: &mut WfSpec, definitions: &dyn Definitions) -> Result<(), Rejection> {
    let mut findings = Findings::default();
    normalize::wf_spec(wf_spec, definitions, &mut findings);
    if !findings.any() {
        rules::check(wf_spec, definitions, &mut findings);
    }
    findings.close()
}

#[cfg(test)]
mod tests;

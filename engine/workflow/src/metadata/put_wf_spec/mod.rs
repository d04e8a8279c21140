//! PutWfSpec (spec 01, sections 9 and 10).

mod normalize;
mod returns;
mod typing;
mod unbuilt;
mod validate;
mod version;

use proto::littlehorse::{MetadataStatus, PutWfSpecRequest, WfSpec, WfSpecId};
use runtime::{Context, Rejection};

use super::{check_name, find, store, wf_spec};
use crate::key;
use crate::time::timestamp;

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
    normalize::wf_spec(&mut new).map_err(Rejection::invalid)?;
    let lookup = Stored { context, tenant };
    validate::wf_spec(&new, &lookup)?;
    unbuilt::refuse(&new)?;
    version::freeze(&mut new, latest.as_ref()).map_err(Rejection::invalid)?;
    let output_differs = match &latest {
        Some(latest) => returns::differ(&new, latest, &lookup)?,
        None => false,
    };
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

/// Definitions that a WfSpec refers to.
struct Stored<'a, 'c> {
    context: &'a Context<'c>,
    tenant: &'a str,
}

impl validate::Lookup for Stored<'_, '_> {
    fn task_def(&self, name: &str) -> Result<Option<proto::littlehorse::TaskDef>, Rejection> {
        find(self.context, &key::named(key::TASK_DEFS, self.tenant, name))
    }

    fn external_event_def(
        &self,
        name: &str,
    ) -> Result<Option<proto::littlehorse::ExternalEventDef>, Rejection> {
        find(
            self.context,
            &key::named(key::EXTERNAL_EVENT_DEFS, self.tenant, name),
        )
    }

    fn wf_spec(&self, name: &str, major: i32, revision: i32) -> Result<Option<WfSpec>, Rejection> {
        find(
            self.context,
            &key::wf_spec(self.tenant, name, major, revision),
        )
    }
}

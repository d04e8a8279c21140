//! The application of the metadata group: definitions, tenants, principals. One command a file (spec 01; spec 08,
//! sections 2 and 6). All of it is one total order, so each command is judged against what all earlier ones left.

pub mod acl;
mod bootstrap;
mod bulk_job;
mod definitions;
mod external_event_def;
mod migration_plan;
mod pins;
mod principal;
mod put_wf_spec;
mod quota;
mod struct_def;
mod task_def;
mod tenant;
mod user_task_def;
mod wf_spec;
mod workflow_event_def;

pub use bulk_job::running as running_bulk_jobs;
pub use principal::ANONYMOUS;
pub use struct_def::{incompatible_fields, validate_schema};

use std::sync::Arc;

use bytes::Bytes;
use index::{Family, KeyRange, NoIndexes, Schema};
use prost::Message;
use proto::ironhorse::v1::MetadataCommand;
use proto::ironhorse::v1::metadata_command::Command;
use runtime::{Application, Context, Rejection, Route};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Metadata {
    core: Route,
}

impl Metadata {
    /// `core_groups`: how many groups run WfRuns.
    pub fn new(core_groups: u16) -> Metadata {
        Metadata {
            core: Route::new(core_groups),
        }
    }
}

impl Application for Metadata {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(NoIndexes)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        let MetadataCommand {
            tenant,
            principal,
            command,
            ..
        } = MetadataCommand::decode(payload.clone())
            .map_err(|error| Rejection::internal(format!("command: {error}")))?;
        let (tenant, caller) = (tenant.as_str(), principal.as_str());
        match command.ok_or_else(|| Rejection::internal("command without content"))? {
            Command::Bootstrap(_) => bootstrap::execute(context).map(encode),
            Command::PutTaskDef(request) => task_def::put(context, tenant, request).map(encode),
            Command::DeleteTaskDef(request) => {
                task_def::delete(context, tenant, self.core, request).map(encode)
            }
            Command::PutExternalEventDef(request) => {
                external_event_def::put(context, tenant, request).map(encode)
            }
            Command::DeleteExternalEventDef(request) => {
                external_event_def::delete(context, tenant, request).map(encode)
            }
            Command::PutWfSpec(request) => {
                put_wf_spec::execute(context, tenant, request).map(encode)
            }
            Command::DeleteWfSpec(request) => wf_spec::delete(context, tenant, request).map(encode),
            Command::PutTenant(request) => tenant::put(context, caller, request).map(encode),
            Command::PutPrincipal(request) => principal::put(context, caller, request).map(encode),
            Command::DeletePrincipal(request) => {
                principal::delete(context, caller, request).map(encode)
            }
            Command::PutQuota(request) => quota::put(context, caller, request).map(encode),
            Command::DeleteQuota(request) => quota::delete(context, caller, request).map(encode),
            Command::PutWorkflowEventDef(request) => {
                workflow_event_def::put(context, tenant, request).map(encode)
            }
            Command::DeleteWorkflowEventDef(request) => {
                workflow_event_def::delete(context, tenant, request).map(encode)
            }
            Command::PutUserTaskDef(request) => {
                user_task_def::put(context, tenant, request).map(encode)
            }
            Command::DeleteUserTaskDef(request) => {
                user_task_def::delete(context, tenant, request).map(encode)
            }
            Command::PutStructDef(request) => struct_def::put(context, tenant, request).map(encode),
            Command::DeleteStructDef(request) => {
                struct_def::delete(context, tenant, request).map(encode)
            }
            Command::PutWorkflowMigrationPlan(request) => {
                migration_plan::put(context, tenant, request).map(encode)
            }
            Command::DeleteWorkflowMigrationPlan(request) => {
                migration_plan::delete(context, tenant, request).map(encode)
            }
            Command::CreateBulkJob(command) => {
                bulk_job::create(context, tenant, self.core, command).map(encode)
            }
            Command::DeleteBulkJob(request) => {
                bulk_job::delete(context, tenant, request).map(encode)
            }
            Command::BulkProgress(command) => {
                bulk_job::progress(context, tenant, command).map(encode)
            }
        }
    }

    fn message(&self, _: &mut Context<'_>, _: &Bytes) -> Result<(), Rejection> {
        Err(Rejection::internal("the metadata group takes no messages"))
    }
}

fn encode<T: Message>(response: T) -> Bytes {
    Bytes::from(response.encode_to_vec())
}

/// A stored definition.
fn find<T: Message + Default>(context: &Context<'_>, key: &[u8]) -> Result<Option<T>, Rejection> {
    let value = context.get(Family::State, key)?;
    value
        .map(|value| {
            T::decode(value)
                .map_err(|error| Rejection::internal(format!("stored definition: {error}")))
        })
        .transpose()
}

/// The definition with the highest key of a range.
fn last<T: Message + Default>(
    context: &mut Context<'_>,
    range: &KeyRange,
) -> Result<Option<T>, Rejection> {
    match context.scan(Family::State, range, 1, true)?.pop() {
        Some((key, _)) => find(context, &key),
        None => Ok(None),
    }
}

/// Deletes a definition: exactly this one, whoever refers to it (spec 01, section 3).
///
/// # Errors
/// `NOT_FOUND`: there is none.
fn delete(context: &mut Context<'_>, key: Bytes, what: &str) -> Result<(), Rejection> {
    if context.get(Family::State, &key)?.is_none() {
        return Err(Rejection::not_found(format!("{what} does not exist")));
    }
    Ok(context.delete(Family::State, key)?)
}

/// Stores a definition.
fn store<T: Message>(
    context: &mut Context<'_>,
    key: Bytes,
    definition: &T,
) -> Result<(), Rejection> {
    Ok(context.put(Family::State, key, Bytes::from(definition.encode_to_vec()))?)
}

/// Names of definitions must be valid hostnames (spec 01, section 2.1).
fn check_name(field: &str, name: &str) -> Result<(), Rejection> {
    if proto::name::is_hostname(name) {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{field} must be a valid hostname: {name:?}"
    )))
}

/// Names of two kinds were never checked, so that others than hostnames are in use (spec 01, section 2.1).
fn check_free_name(field: &str, name: &str) -> Result<(), Rejection> {
    if !name.is_empty() && !name.contains('/') {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{field} must not be empty and not contain '/': {name:?}"
    )))
}

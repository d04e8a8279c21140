//! The application of the core groups: WfRuns, their tasks and events, and the workers of TaskDefs.

use std::sync::Arc;

use bytes::Bytes;
use index::{Family, Schema};
use prost::Message;
use proto::ironhorse::v1::GroupMessage;
use proto::ironhorse::v1::group_message::Message as Content;
use runtime::{Application, Context, Entry, Rejection, Timer, Waiter};

use crate::record::WorkflowSchema;
use crate::{command, key, task, timer};

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Workflows;

impl Application for Workflows {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(WorkflowSchema)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        command::execute(context, payload)
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        let GroupMessage {
            tenant, message, ..
        } = GroupMessage::decode(payload.clone())
            .map_err(|error| Rejection::internal(format!("message: {error}")))?;
        match message.ok_or_else(|| Rejection::internal("message without content"))? {
            Content::TaskDefDeleted(id) => Ok(context.delete(
                Family::State,
                key::named(key::WORKER_GROUPS, &tenant, &id.name),
            )?),
        }
    }

    fn timer(&self, context: &mut Context<'_>, timer: &Timer) -> Result<(), Rejection> {
        timer::fire(context, timer)
    }

    fn claim(
        &self,
        context: &mut Context<'_>,
        entry: &Entry,
        waiter: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        task::claim(context, entry, waiter)
    }
}

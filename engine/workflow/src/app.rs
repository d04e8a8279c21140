//! The application of the core groups: WfRuns, their tasks and events, and the workers of TaskDefs.

use std::sync::Arc;

use bytes::Bytes;
use index::{Family, Schema};
use prost::Message;
use proto::ironhorse::v1::GroupMessage;
use proto::ironhorse::v1::group_message::Message as Content;
use runtime::{Application, Context, Entry, Note, Rejection, Timer, Waiter};

use crate::event::{correlated, waiter};
use crate::record::WorkflowSchema;
use crate::settings::{Settings, Tenant};
use crate::{command, key, metric, task, timer};

/// See the module.
#[derive(Debug, Clone)]
pub struct Workflows {
    settings: Settings,
}

impl Workflows {
    /// With these settings, which must be the same on every server and for ever (see there).
    pub fn new(settings: Settings) -> Workflows {
        Workflows { settings }
    }
}

impl Application for Workflows {
    fn schema(&self) -> Arc<dyn Schema> {
        Arc::new(WorkflowSchema)
    }

    fn command(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<Bytes, Rejection> {
        command::execute(context, &self.settings, payload)
    }

    fn message(&self, context: &mut Context<'_>, payload: &Bytes) -> Result<(), Rejection> {
        let GroupMessage {
            tenant, message, ..
        } = GroupMessage::decode(payload.clone())
            .map_err(|error| Rejection::internal(format!("message: {error}")))?;
        let of = Tenant {
            name: &tenant,
            settings: &self.settings,
        };
        match message.ok_or_else(|| Rejection::internal("message without content"))? {
            Content::TaskDefDeleted(id) => Ok(context.delete(
                Family::State,
                key::named(key::WORKER_GROUPS, &tenant, &id.name),
            )?),
            Content::CorrelationWait(waiter) => correlated::wait(context, of, waiter),
            Content::CorrelationWithdraw(waiter) => correlated::withdraw(context, of, &waiter),
            Content::CorrelatedDelivery(delivery) => waiter::deliver(context, of, delivery),
            Content::RunScheduled(command) => {
                command::run_wf::scheduled(context, of, command);
                Ok(())
            }
        }
    }

    fn timer(&self, context: &mut Context<'_>, timer: &Timer) -> Result<(), Rejection> {
        timer::fire(context, &self.settings, timer)
    }

    fn close(&self, context: &mut Context<'_>, notes: Vec<Note>) -> Result<(), Rejection> {
        metric::close(context, &self.settings, notes)
    }

    fn claim(
        &self,
        context: &mut Context<'_>,
        entry: &Entry,
        waiter: &Waiter,
    ) -> Result<Option<Bytes>, Rejection> {
        task::claim(context, &self.settings, entry, waiter)
    }
}

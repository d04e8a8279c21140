//! Definitions that other definitions refer to: as the metadata group sees them, with all writes so far.

use std::cell::RefCell;
use std::sync::Arc;

use index::KeyRange;
use prost::Message;
use proto::littlehorse::{
    ExternalEventDef, InlineStructDef, StructDef, TaskDef, UserTaskDef, WfSpec, WorkflowEventDef,
};
use runtime::{Context, Rejection};

use crate::key;
use crate::value::StructDefs;

/// What the rules of a definition look up. `None`: there is none.
pub(super) trait Definitions: StructDefs {
    fn task_def(&self, name: &str) -> Option<TaskDef>;
    fn external_event_def(&self, name: &str) -> Option<ExternalEventDef>;
    fn workflow_event_def(&self, name: &str) -> Option<WorkflowEventDef>;
    /// The latest version if none is asked for.
    fn user_task_def(&self, name: &str, version: Option<i32>) -> Option<UserTaskDef>;
    /// Exactly that version; the latest revision of a major version; the latest of all.
    fn wf_spec(&self, name: &str, major: Option<i32>, revision: Option<i32>) -> Option<WfSpec>;
}

/// The definitions of a tenant in the metadata group's own store.
pub(super) struct Stored<'a, 'c> {
    context: RefCell<&'a mut Context<'c>>,
    tenant: &'a str,
    /// A damaged row or a failing store met on the way: the command fails, whatever was found.
    defect: RefCell<Option<Rejection>>,
}

impl<'a, 'c> Stored<'a, 'c> {
    pub(super) fn new(context: &'a mut Context<'c>, tenant: &'a str) -> Stored<'a, 'c> {
        Stored {
            context: RefCell::new(context),
            tenant,
            defect: RefCell::new(None),
        }
    }

    /// Ends the look-ups.
    ///
    /// # Errors
    /// One of them met a defect.
    pub(super) fn close(self) -> Result<(), Rejection> {
        match self.defect.into_inner() {
            Some(rejection) => Err(rejection),
            None => Ok(()),
        }
    }

    fn get<T: Message + Default>(&self, key: &[u8]) -> Option<T> {
        super::find(&self.context.borrow(), key).unwrap_or_else(|rejection| {
            self.defect.replace(Some(rejection));
            None
        })
    }

    fn last<T: Message + Default>(&self, range: &KeyRange) -> Option<T> {
        let found = super::last(&mut self.context.borrow_mut(), range);
        found.unwrap_or_else(|rejection| {
            self.defect.replace(Some(rejection));
            None
        })
    }
}

impl StructDefs for Stored<'_, '_> {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        let found: StructDef = if version < 0 {
            self.last(&key::versions(key::STRUCT_DEFS, self.tenant, name))?
        } else {
            self.get(&key::versioned(
                key::STRUCT_DEFS,
                self.tenant,
                name,
                version,
            ))?
        };
        Some(Arc::new(found.struct_def.unwrap_or_default()))
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        let range = key::versions(key::STRUCT_DEFS, self.tenant, name);
        let latest: StructDef = self.last(&range)?;
        Some(latest.id?.version)
    }
}

impl Definitions for Stored<'_, '_> {
    fn task_def(&self, name: &str) -> Option<TaskDef> {
        self.get(&key::named(key::TASK_DEFS, self.tenant, name))
    }

    fn external_event_def(&self, name: &str) -> Option<ExternalEventDef> {
        self.get(&key::named(key::EXTERNAL_EVENT_DEFS, self.tenant, name))
    }

    fn workflow_event_def(&self, name: &str) -> Option<WorkflowEventDef> {
        self.get(&key::named(key::WORKFLOW_EVENT_DEFS, self.tenant, name))
    }

    fn user_task_def(&self, name: &str, version: Option<i32>) -> Option<UserTaskDef> {
        match version {
            Some(version) => self.get(&key::versioned(
                key::USER_TASK_DEFS,
                self.tenant,
                name,
                version,
            )),
            None => self.last(&key::versions(key::USER_TASK_DEFS, self.tenant, name)),
        }
    }

    fn wf_spec(&self, name: &str, major: Option<i32>, revision: Option<i32>) -> Option<WfSpec> {
        match (major, revision) {
            (Some(major), Some(revision)) => {
                self.get(&key::wf_spec(self.tenant, name, major, revision))
            }
            _ => self.last(&key::wf_spec_versions(self.tenant, name, major)),
        }
    }
}

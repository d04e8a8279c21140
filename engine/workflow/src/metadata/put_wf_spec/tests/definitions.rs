//! Definitions in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::littlehorse::{
    ExternalEventDef, InlineStructDef, StructFieldDef, TaskDef, TypeDefinition, UserTaskDef,
    WfSpec, WorkflowEventDef,
};

use super::super::super::definitions::Definitions;
use crate::value::StructDefs;

#[derive(Default)]
pub(super) struct Known {
    pub(super) tasks: BTreeMap<String, TaskDef>,
    pub(super) events: BTreeMap<String, ExternalEventDef>,
    pub(super) thrown: BTreeMap<String, WorkflowEventDef>,
    pub(super) user_tasks: BTreeMap<(String, i32), UserTaskDef>,
    pub(super) specs: BTreeMap<(String, i32, i32), WfSpec>,
    pub(super) structs: BTreeMap<(String, i32), Arc<InlineStructDef>>,
}

/// A field that must be given.
pub(super) fn field(field_type: TypeDefinition) -> StructFieldDef {
    StructFieldDef {
        field_type: Some(field_type),
        ..StructFieldDef::default()
    }
}

impl Known {
    pub(super) fn with_task(mut self, name: &str, task_def: TaskDef) -> Known {
        self.tasks.insert(name.to_owned(), task_def);
        self
    }

    pub(super) fn with_event(mut self, name: &str) -> Known {
        self.events
            .insert(name.to_owned(), ExternalEventDef::default());
        self
    }

    pub(super) fn with_user_task(mut self, name: &str, version: i32) -> Known {
        let def = UserTaskDef {
            name: name.to_owned(),
            version,
            ..UserTaskDef::default()
        };
        self.user_tasks.insert((name.to_owned(), version), def);
        self
    }

    pub(super) fn with_spec(
        mut self,
        name: &str,
        major: i32,
        revision: i32,
        mut wf_spec: WfSpec,
    ) -> Known {
        let id = wf_spec.id.get_or_insert_default();
        (id.name, id.major_version, id.revision) = (name.to_owned(), major, revision);
        self.specs
            .insert((name.to_owned(), major, revision), wf_spec);
        self
    }

    pub(super) fn with_struct(
        mut self,
        name: &str,
        version: i32,
        fields: Vec<(&str, StructFieldDef)>,
    ) -> Known {
        let fields = fields.into_iter();
        let def = InlineStructDef {
            fields: fields
                .map(|(name, field)| (name.to_owned(), field))
                .collect(),
        };
        self.structs
            .insert((name.to_owned(), version), Arc::new(def));
        self
    }
}

impl StructDefs for Known {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        let version = match version {
            ..0 => self.latest_version(name)?,
            version => version,
        };
        self.structs.get(&(name.to_owned(), version)).cloned()
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        let versions = self.structs.keys().filter(|(other, _)| other == name);
        versions.map(|(_, version)| *version).max()
    }
}

impl Definitions for Known {
    fn task_def(&self, name: &str) -> Option<TaskDef> {
        self.tasks.get(name).cloned()
    }

    fn external_event_def(&self, name: &str) -> Option<ExternalEventDef> {
        self.events.get(name).cloned()
    }

    fn workflow_event_def(&self, name: &str) -> Option<WorkflowEventDef> {
        self.thrown.get(name).cloned()
    }

    fn user_task_def(&self, name: &str, version: Option<i32>) -> Option<UserTaskDef> {
        let mut known = self.user_tasks.iter().rev();
        let found = known
            .find(|((other, at), _)| other == name && version.is_none_or(|version| version == *at));
        found.map(|(_, def)| def.clone())
    }

    fn wf_spec(&self, name: &str, major: Option<i32>, revision: Option<i32>) -> Option<WfSpec> {
        let mut known = self.specs.iter().rev();
        let found = known.find(|((other, at_major, at_revision), _)| {
            other == name
                && major.is_none_or(|major| major == *at_major)
                && (major.is_none() || revision.is_none_or(|revision| revision == *at_revision))
        });
        found.map(|(_, spec)| spec.clone())
    }
}

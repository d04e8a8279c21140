//! Ids of what belongs to a WfRun, and of correlated events.

use super::{Part, component, number, outer_split, text_form};
use crate::littlehorse::{
    CheckpointId, CorrelatedEventId, ExternalEventId, InactiveThreadRunId, NodeRunId, TaskRunId,
    UserTaskRunId, VariableId, WorkflowEventId,
};

text_form!(
    NodeRunId,
    "<wfRunId>/<threadRunNumber>/<position>",
    |id, f| write!(
        f,
        "{}/{}/{}",
        Part(&id.wf_run_id),
        id.thread_run_number,
        id.position
    ),
    |text| {
        let (wf_run, thread, position) = outer_split(text)?;
        Some(NodeRunId {
            wf_run_id: Some(wf_run.parse().ok()?),
            thread_run_number: number(thread)?,
            position: number(position)?,
        })
    },
);

text_form!(
    VariableId,
    "<wfRunId>/<threadRunNumber>/<name>",
    |id, f| write!(
        f,
        "{}/{}/{}",
        Part(&id.wf_run_id),
        id.thread_run_number,
        id.name
    ),
    |text| {
        // There is no rule for names of variables, so that the last part may hold slashes or be empty.
        let (wf_run, rest) = text.split_once('/')?;
        let (thread, name) = rest.split_once('/')?;
        Some(VariableId {
            wf_run_id: Some(wf_run.parse().ok()?),
            thread_run_number: number(thread)?,
            name: name.to_owned(),
        })
    },
);

text_form!(
    TaskRunId,
    "<wfRunId>/<taskGuid>",
    |id, f| write!(f, "{}/{}", Part(&id.wf_run_id), id.task_guid),
    |text| {
        let (wf_run, guid) = text.split_once('/')?;
        Some(TaskRunId {
            wf_run_id: Some(wf_run.parse().ok()?),
            task_guid: component(guid)?,
        })
    },
);

text_form!(
    CheckpointId,
    "<wfRunId>/<taskGuid>/<checkpointNumber>",
    |id, f| write!(f, "{}/{}", Part(&id.task_run), id.checkpoint_number),
    |text| {
        let (task_run, checkpoint) = text.rsplit_once('/')?;
        Some(CheckpointId {
            task_run: Some(task_run.parse().ok()?),
            checkpoint_number: number(checkpoint)?,
        })
    },
);

text_form!(
    UserTaskRunId,
    "<wfRunId>/<userTaskGuid>",
    |id, f| write!(f, "{}/{}", Part(&id.wf_run_id), id.user_task_guid),
    |text| {
        let (wf_run, guid) = text.split_once('/')?;
        Some(UserTaskRunId {
            wf_run_id: Some(wf_run.parse().ok()?),
            user_task_guid: component(guid)?,
        })
    },
);

text_form!(
    ExternalEventId,
    "<wfRunId>/<externalEventDefName>/<guid>",
    |id, f| write!(
        f,
        "{}/{}/{}",
        Part(&id.wf_run_id),
        Part(&id.external_event_def_id),
        id.guid
    ),
    |text| {
        // The guid is chosen by the client, and may hold slashes.
        let (wf_run, rest) = text.split_once('/')?;
        let (def, guid) = rest.split_once('/')?;
        Some(ExternalEventId {
            wf_run_id: Some(wf_run.parse().ok()?),
            external_event_def_id: Some(def.parse().ok()?),
            guid: (!guid.is_empty()).then(|| guid.to_owned())?,
        })
    },
);

text_form!(
    WorkflowEventId,
    "<wfRunId>/<workflowEventDefName>/<number>",
    |id, f| write!(
        f,
        "{}/{}/{}",
        Part(&id.wf_run_id),
        Part(&id.workflow_event_def_id),
        id.number
    ),
    |text| {
        let (wf_run, def, count) = outer_split(text)?;
        Some(WorkflowEventId {
            wf_run_id: Some(wf_run.parse().ok()?),
            workflow_event_def_id: Some(def.parse().ok()?),
            number: number(count)?,
        })
    },
);

text_form!(
    InactiveThreadRunId,
    "<wfRunId>/<threadRunNumber>",
    |id, f| write!(f, "{}/{}", Part(&id.wf_run_id), id.thread_run_number),
    |text| {
        let (wf_run, thread) = text.split_once('/')?;
        Some(InactiveThreadRunId {
            wf_run_id: Some(wf_run.parse().ok()?),
            thread_run_number: number(thread)?,
        })
    },
);

text_form!(
    CorrelatedEventId,
    "<key>/<externalEventDefName>",
    |id, f| write!(f, "{}/{}", id.key, Part(&id.external_event_def_id)),
    |text| {
        // The key is free text. A definition's name has no slash, so the last one separates.
        let (key, def) = text.rsplit_once('/')?;
        Some(CorrelatedEventId {
            key: key.to_owned(),
            external_event_def_id: Some(def.parse().ok()?),
        })
    },
);

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, same};
    use super::*;
    use crate::littlehorse::{ExternalEventDefId, WfRunId, WorkflowEventDefId};

    fn child() -> WfRunId {
        WfRunId::root("p").child("c")
    }

    fn event_def() -> ExternalEventDefId {
        ExternalEventDefId {
            name: "paid".to_owned(),
        }
    }

    #[test]
    fn places_in_a_thread() {
        let node = NodeRunId {
            wf_run_id: Some(child()),
            thread_run_number: 2,
            position: 31,
        };
        same(&node, "p_c/2/31");
        refused::<NodeRunId>(&["", "p", "p/0", "p/0/x", "p/0/1/2", "/0/1", "p//1", "p/-1/0"]);

        let thread = InactiveThreadRunId {
            wf_run_id: Some(child()),
            thread_run_number: 7,
        };
        same(&thread, "p_c/7");
        refused::<InactiveThreadRunId>(&["p", "p/", "p/x", "p/1/1"]);
    }

    #[test]
    fn names_of_variables_are_free() {
        for name in ["my var", "", "a/b", "é_/"] {
            let variable = VariableId {
                wf_run_id: Some(child()),
                thread_run_number: 0,
                name: name.to_owned(),
            };
            same(&variable, &format!("p_c/0/{name}"));
        }
        refused::<VariableId>(&["p/0", "p/x/name", "a__b/0/name"]);
    }

    #[test]
    fn tasks() {
        let task = TaskRunId {
            wf_run_id: Some(child()),
            task_guid: "ut-0-2-5".to_owned(),
        };
        same(&task, "p_c/ut-0-2-5");
        refused::<TaskRunId>(&["p", "p/", "p/a/b"]);

        let checkpoint = CheckpointId {
            task_run: Some(task),
            checkpoint_number: 4,
        };
        same(&checkpoint, "p_c/ut-0-2-5/4");
        refused::<CheckpointId>(&["p/4", "p//4", "p/g/x"]);

        let user_task = UserTaskRunId {
            wf_run_id: Some(child()),
            user_task_guid: "0-2".to_owned(),
        };
        same(&user_task, "p_c/0-2");
    }

    #[test]
    fn events() {
        let mut event = ExternalEventId {
            wf_run_id: Some(child()),
            external_event_def_id: Some(event_def()),
            guid: "g".to_owned(),
        };
        same(&event, "p_c/paid/g");
        event.guid = "g/h".to_owned();
        same(&event, "p_c/paid/g/h");
        refused::<ExternalEventId>(&["p/paid", "p/paid/", "p//g"]);

        let event = WorkflowEventId {
            wf_run_id: Some(child()),
            workflow_event_def_id: Some(WorkflowEventDefId {
                name: "my event".to_owned(),
            }),
            number: 0,
        };
        same(&event, "p_c/my event/0");
        refused::<WorkflowEventId>(&["p/e", "p/e/x", "p/e/f/0"]);

        for key in ["order 7", "", "a/b"] {
            let event = CorrelatedEventId {
                key: key.to_owned(),
                external_event_def_id: Some(event_def()),
            };
            same(&event, &format!("{key}/paid"));
        }
        refused::<CorrelatedEventId>(&["paid", "key/"]);
    }

    #[test]
    fn missing_parts_are_written_as_nothing() {
        assert_eq!(NodeRunId::default().to_string(), "/0/0");
        assert_eq!(CheckpointId::default().to_string(), "/0");
        assert_eq!(ExternalEventId::default().to_string(), "//");
    }
}

//! Which definition a request is about, for permissions that are restricted to some (spec 08, section 4.1).
//!
//! What is not here names no definition: a search over all of them, or something of a WfRun by its id. A restricted
//! permission does not cover it.

use std::any::Any;

use proto::littlehorse::{
    CorrelatedEventId, DeleteCorrelatedEventRequest, DeleteExternalEventDefRequest,
    DeleteStructDefRequest, DeleteTaskDefRequest, DeleteUserTaskDefRequest, DeleteWfSpecRequest,
    DeleteWorkflowEventDefRequest, ExternalEventDefId, ExternalEventId,
    GetLatestUserTaskDefRequest, GetLatestWfSpecRequest, PutCorrelatedEventRequest,
    PutExternalEventDefRequest, PutExternalEventRequest, PutStructDefRequest, PutTaskDefRequest,
    PutUserTaskDefRequest, PutWfSpecRequest, PutWorkflowEventDefRequest, RegisterTaskWorkerRequest,
    RunWfRequest, ScheduleWfRequest, SearchCorrelatedEventRequest, SearchExternalEventRequest,
    SearchTaskRunRequest, SearchWfRunRequest, SearchWorkflowEventRequest, StructDefId, TaskDefId,
    UserTaskDefId, WfSpecId, WorkflowEventDefId, WorkflowEventId,
};

macro_rules! names {
    ($message:expr; $($request:ty => |$bound:ident| $name:expr;)*) => {
        $(
            if let Some($bound) = $message.downcast_ref::<$request>() {
                return $name;
            }
        )*
    };
}

/// The name of the definition that a request is about.
pub(crate) fn named(message: &dyn Any) -> Option<&str> {
    names! { message;
        RunWfRequest => |m| Some(&m.wf_spec_name);
        ScheduleWfRequest => |m| Some(&m.wf_spec_name);
        SearchWfRunRequest => |m| Some(&m.wf_spec_name);
        PutWfSpecRequest => |m| Some(&m.name);
        WfSpecId => |m| Some(&m.name);
        GetLatestWfSpecRequest => |m| Some(&m.name);
        DeleteWfSpecRequest => |m| m.id.as_ref().map(|id| id.name.as_str());
        PutTaskDefRequest => |m| Some(&m.name);
        TaskDefId => |m| Some(&m.name);
        DeleteTaskDefRequest => |m| m.id.as_ref().map(|id| id.name.as_str());
        RegisterTaskWorkerRequest => |m| m.task_def_id.as_ref().map(|id| id.name.as_str());
        SearchTaskRunRequest => |m| Some(&m.task_def_name);
        PutExternalEventDefRequest => |m| Some(&m.name);
        ExternalEventDefId => |m| Some(&m.name);
        DeleteExternalEventDefRequest => |m| m.id.as_ref().map(|id| id.name.as_str());
        PutExternalEventRequest => |m| m.external_event_def_id.as_ref().map(|id| id.name.as_str());
        ExternalEventId => |m| m.external_event_def_id.as_ref().map(|id| id.name.as_str());
        SearchExternalEventRequest => |m| m.external_event_def_id.as_ref().map(|id| id.name.as_str());
        PutCorrelatedEventRequest => |m| m.external_event_def_id.as_ref().map(|id| id.name.as_str());
        CorrelatedEventId => |m| m.external_event_def_id.as_ref().map(|id| id.name.as_str());
        DeleteCorrelatedEventRequest => |m| m.id.as_ref()?.external_event_def_id.as_ref().map(|id| id.name.as_str());
        SearchCorrelatedEventRequest => |m| m.external_event_def_id.as_ref().map(|id| id.name.as_str());
        PutWorkflowEventDefRequest => |m| Some(&m.name);
        WorkflowEventDefId => |m| Some(&m.name);
        DeleteWorkflowEventDefRequest => |m| m.id.as_ref().map(|id| id.name.as_str());
        WorkflowEventId => |m| m.workflow_event_def_id.as_ref().map(|id| id.name.as_str());
        SearchWorkflowEventRequest => |m| m.workflow_event_def_id.as_ref().map(|id| id.name.as_str());
        PutUserTaskDefRequest => |m| Some(&m.name);
        UserTaskDefId => |m| Some(&m.name);
        GetLatestUserTaskDefRequest => |m| Some(&m.name);
        DeleteUserTaskDefRequest => |m| m.id.as_ref().map(|id| id.name.as_str());
        PutStructDefRequest => |m| Some(&m.name);
        StructDefId => |m| Some(&m.name);
        DeleteStructDefRequest => |m| m.id.as_ref().map(|id| id.name.as_str());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_what_they_are_about() {
        let run = RunWfRequest {
            wf_spec_name: "s".to_owned(),
            ..RunWfRequest::default()
        };
        assert_eq!(named(&run), Some("s"));
        let put = PutExternalEventRequest {
            external_event_def_id: Some(ExternalEventDefId {
                name: "e".to_owned(),
            }),
            ..PutExternalEventRequest::default()
        };
        assert_eq!(named(&put), Some("e"));
        assert_eq!(named(&PutExternalEventRequest::default()), None);
        assert_eq!(named(&proto::littlehorse::WfRunId::default()), None);
    }
}

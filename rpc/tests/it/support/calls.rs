//! The calls of most tests.

use proto::littlehorse::{
    ExternalEventDefId, LhStatus, NodeRun, NodeRunId, PutExternalEventDefRequest,
    PutExternalEventRequest, PutTaskDefRequest, PutWfSpecRequest, ReportTaskRun, RunWfRequest,
    ScheduledTask, TaskDefId, TaskRun, TaskRunId, VariableId, VariableValue, WfRun, WfRunId,
    WfSpec,
};

use super::*;

pub fn id(text: &str) -> WfRunId {
    WfRunId {
        id: text.to_owned(),
        parent_wf_run_id: None,
    }
}

pub fn run_request(spec: &str, run: &str, inputs: &[(&str, VariableValue)]) -> RunWfRequest {
    RunWfRequest {
        wf_spec_name: spec.to_owned(),
        id: Some(run.to_owned()),
        variables: inputs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..RunWfRequest::default()
    }
}

pub fn task_def_id(name: &str) -> TaskDefId {
    TaskDefId {
        name: name.to_owned(),
    }
}

/// The calls of most tests, which succeed.
pub trait Calls {
    async fn define(&mut self, spec: PutWfSpecRequest) -> WfSpec;
    async fn define_task(&mut self, task_def: PutTaskDefRequest);
    async fn define_event(&mut self, name: &str);
    async fn run(&mut self, spec: &str, run: &str) -> WfRun;
    async fn run_with(&mut self, spec: &str, run: &str, inputs: &[(&str, VariableValue)]) -> WfRun;
    async fn wf_run(&mut self, run: &str) -> WfRun;
    async fn ended(&mut self, run: &str) -> WfRun;
    async fn node_run(&mut self, run: &str, position: i32) -> NodeRun;
    async fn task_run(&mut self, run: &str, guid: &str) -> TaskRun;
    async fn polling(&mut self, task_def: &str) -> Polls;
    /// Polls once and waits for the task.
    async fn claim(&mut self, task_def: &str) -> ScheduledTask;
    async fn report(&mut self, report: ReportTaskRun);
    async fn succeed(&mut self, task: &ScheduledTask, output: VariableValue);
}

impl Calls for Client {
    async fn define(&mut self, spec: PutWfSpecRequest) -> WfSpec {
        self.put_wf_spec(spec).await.unwrap().into_inner()
    }

    async fn define_task(&mut self, task_def: PutTaskDefRequest) {
        self.put_task_def(task_def).await.unwrap();
    }

    async fn define_event(&mut self, name: &str) {
        let def = PutExternalEventDefRequest {
            name: name.to_owned(),
            ..PutExternalEventDefRequest::default()
        };
        self.put_external_event_def(def).await.unwrap();
    }

    async fn run(&mut self, spec: &str, run: &str) -> WfRun {
        self.run_with(spec, run, &[]).await
    }

    async fn run_with(&mut self, spec: &str, run: &str, inputs: &[(&str, VariableValue)]) -> WfRun {
        self.run_wf(run_request(spec, run, inputs))
            .await
            .unwrap()
            .into_inner()
    }

    async fn wf_run(&mut self, run: &str) -> WfRun {
        self.get_wf_run(id(run)).await.unwrap().into_inner()
    }

    async fn ended(&mut self, run: &str) -> WfRun {
        until(|| {
            let mut client = self.clone();
            async move {
                let found = client.wf_run(run).await;
                let is_over = matches!(
                    found.status(),
                    LhStatus::Completed | LhStatus::Error | LhStatus::Exception
                );
                is_over.then_some(found)
            }
        })
        .await
    }

    async fn node_run(&mut self, run: &str, position: i32) -> NodeRun {
        let id = NodeRunId {
            wf_run_id: Some(id(run)),
            thread_run_number: 0,
            position,
        };
        self.get_node_run(id).await.unwrap().into_inner()
    }

    async fn task_run(&mut self, run: &str, guid: &str) -> TaskRun {
        let id = TaskRunId {
            wf_run_id: Some(id(run)),
            task_guid: guid.to_owned(),
        };
        self.get_task_run(id).await.unwrap().into_inner()
    }

    async fn polling(&mut self, task_def: &str) -> Polls {
        Polls::open(self, task_def, "worker").await
    }

    async fn claim(&mut self, task_def: &str) -> ScheduledTask {
        let mut polls = self.polling(task_def).await;
        polls.ask().await;
        polls.next().await
    }

    async fn report(&mut self, report: ReportTaskRun) {
        self.report_task(report).await.unwrap();
    }

    async fn succeed(&mut self, task: &ScheduledTask, output: VariableValue) {
        self.report(success(task, Some(output))).await;
    }
}

pub async fn variable_of(client: &mut Client, run: &str, name: &str) -> VariableValue {
    let id = VariableId {
        wf_run_id: Some(id(run)),
        thread_run_number: 0,
        name: name.to_owned(),
    };
    let variable = client.get_variable(id).await.unwrap().into_inner();
    variable.value.unwrap()
}

pub fn put_event(
    run: &str,
    def: &str,
    guid: &str,
    content: VariableValue,
) -> PutExternalEventRequest {
    PutExternalEventRequest {
        wf_run_id: Some(id(run)),
        external_event_def_id: Some(ExternalEventDefId {
            name: def.to_owned(),
        }),
        guid: Some(guid.to_owned()),
        content: Some(content),
        ..PutExternalEventRequest::default()
    }
}

/// A time in milliseconds since the epoch.
pub fn millis(time: Option<prost_types::Timestamp>) -> i64 {
    proto::time::to_millis(&time.expect("a time"))
}

//! User tasks (spec 06).

mod arrival;
mod assign;
mod cancel;
mod comments;
mod complete;
mod definitions;
mod halts;
mod save;
mod search;
mod triggers;

use std::collections::BTreeMap;

use proto::littlehorse::failure_handler_def::FailureToCatch;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::user_task_event::Event;
use proto::littlehorse::ut_action_trigger::{Action, UtHook, UtaCancel, UtaReassign, UtaTask};
use proto::littlehorse::variable_assignment::Source;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    AssignUserTaskRunRequest, CancelUserTaskRunRequest, CompleteUserTaskRunRequest,
    FailureHandlerDef, PutUserTaskDefRequest, PutWfSpecRequest, SaveUserTaskRunProgressRequest,
    TaskNode, ThreadVarDef, UserTaskDef, UserTaskField, UserTaskNode, UserTaskRun, UserTaskRunId,
    UserTaskRunStatus, UtActionTrigger, VariableAssignment, VariableType, VariableValue,
};
use tonic::{Response, Status};

use crate::support::*;

type Answer<T> = Result<Response<T>, Status>;

/// The form of most tests.
const FORM: &str = "form";

fn field(name: &str, kind: VariableType, required: bool) -> UserTaskField {
    UserTaskField {
        name: name.to_owned(),
        r#type: kind.into(),
        required,
        ..UserTaskField::default()
    }
}

fn form(name: &str, fields: &[UserTaskField]) -> PutUserTaskDefRequest {
    PutUserTaskDefRequest {
        name: name.to_owned(),
        fields: fields.to_vec(),
        description: None,
    }
}

/// A server that has a form without fields, and a task.
async fn server() -> Fixture {
    let mut server = Fixture::start().await;
    server.client.define_form(FORM, &[]).await;
    let work = task_def("work", &[], None);
    server.client.define_task(work).await;
    server
}

/// A USER_TASK node.
fn user_task(change: impl FnOnce(&mut UserTaskNode)) -> Kind {
    let mut node = UserTaskNode {
        user_task_def_name: FORM.to_owned(),
        ..UserTaskNode::default()
    };
    change(&mut node);
    Kind::UserTask(Box::new(node))
}

/// Owned by user `u`.
fn of_u() -> Kind {
    user_task(|node| node.user_id = Some(literal(text("u"))))
}

/// Owned by group `g`.
fn of_g() -> Kind {
    user_task(|node| node.user_group = Some(literal(text("g"))))
}

/// Owned by user `u`, with these triggers.
fn acting(actions: Vec<UtActionTrigger>) -> Kind {
    user_task(|node| {
        node.user_id = Some(literal(text("u")));
        node.actions = actions;
    })
}

fn trigger(hook: UtHook, seconds: i64, action: Action) -> UtActionTrigger {
    UtActionTrigger {
        hook: hook.into(),
        delay_seconds: Some(literal(int(seconds))),
        action: Some(action),
    }
}

fn remind(task: TaskNode) -> Action {
    Action::Task(UtaTask {
        task: Some(task),
        mutations: vec![],
    })
}

fn reassign(user: Option<VariableAssignment>, group: Option<VariableAssignment>) -> Action {
    Action::Reassign(UtaReassign {
        user_id: user,
        user_group: group,
    })
}

fn cancel() -> Action {
    Action::Cancel(UtaCancel {})
}

/// What cannot be evaluated when `s`, a STR, is no number.
fn failing() -> VariableAssignment {
    VariableAssignment {
        target_type: Some(type_of(VariableType::Int)),
        ..variable("s")
    }
}

/// A WfSpec `s` of one thread with these nodes, each of which leads to the next.
fn spec(vars: Vec<ThreadVarDef>, kinds: Vec<Kind>) -> PutWfSpecRequest {
    sequence("s", vars, kinds)
}

/// Adds a thread.
fn with_thread(mut spec: PutWfSpecRequest, name: &str, kinds: Vec<Kind>) -> PutWfSpecRequest {
    let thread = sequence(name, vec![], kinds).thread_specs.remove("main");
    spec.thread_specs
        .insert(name.to_owned(), thread.expect("one thread"));
    spec
}

/// Lets a thread handle the failures of node `1` of the entrypoint.
fn handled(
    mut spec: PutWfSpecRequest,
    catch: Option<FailureToCatch>,
    handler: &str,
) -> PutWfSpecRequest {
    let main = spec.thread_specs.get_mut("main").expect("a main thread");
    let node = main.nodes.get_mut("1").expect("a first node");
    node.failure_handlers.push(FailureHandlerDef {
        handler_spec_name: handler.to_owned(),
        failure_to_catch: catch,
    });
    spec
}

fn results(values: &[(&str, VariableValue)]) -> BTreeMap<String, VariableValue> {
    let owned = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    owned.collect()
}

fn task_id(run: &str, guid: &str) -> UserTaskRunId {
    UserTaskRunId {
        wf_run_id: Some(id(run)),
        user_task_guid: guid.to_owned(),
    }
}

/// The calls of most tests; without a guid, on `0-1`.
trait UserTasks {
    async fn define_form(&mut self, name: &str, fields: &[UserTaskField]) -> UserTaskDef;
    async fn get(&mut self, run: &str, guid: &str) -> Answer<UserTaskRun>;
    async fn user_task(&mut self, run: &str) -> UserTaskRun;
    async fn assign(
        &mut self,
        run: &str,
        user: Option<&str>,
        group: Option<&str>,
        override_claim: bool,
    ) -> Answer<()>;
    async fn save(
        &mut self,
        run: &str,
        user: &str,
        values: &[(&str, VariableValue)],
    ) -> Answer<UserTaskRun>;
    async fn complete(
        &mut self,
        run: &str,
        user: &str,
        values: &[(&str, VariableValue)],
    ) -> Answer<()>;
    async fn cancel(&mut self, run: &str) -> Answer<()>;
}

impl UserTasks for Client {
    async fn define_form(&mut self, name: &str, fields: &[UserTaskField]) -> UserTaskDef {
        let answer = self.put_user_task_def(form(name, fields)).await;
        answer.unwrap().into_inner()
    }

    async fn get(&mut self, run: &str, guid: &str) -> Answer<UserTaskRun> {
        self.get_user_task_run(task_id(run, guid)).await
    }

    async fn user_task(&mut self, run: &str) -> UserTaskRun {
        self.get(run, "0-1").await.unwrap().into_inner()
    }

    async fn assign(
        &mut self,
        run: &str,
        user: Option<&str>,
        group: Option<&str>,
        override_claim: bool,
    ) -> Answer<()> {
        self.assign_user_task_run(AssignUserTaskRunRequest {
            user_task_run_id: Some(task_id(run, "0-1")),
            override_claim,
            user_group: group.map(str::to_owned),
            user_id: user.map(str::to_owned),
        })
        .await
    }

    async fn save(
        &mut self,
        run: &str,
        user: &str,
        values: &[(&str, VariableValue)],
    ) -> Answer<UserTaskRun> {
        self.save_user_task_run_progress(SaveUserTaskRunProgressRequest {
            user_task_run_id: Some(task_id(run, "0-1")),
            results: results(values),
            user_id: user.to_owned(),
            policy: 0,
        })
        .await
    }

    async fn complete(
        &mut self,
        run: &str,
        user: &str,
        values: &[(&str, VariableValue)],
    ) -> Answer<()> {
        self.complete_user_task_run(CompleteUserTaskRunRequest {
            user_task_run_id: Some(task_id(run, "0-1")),
            results: results(values),
            user_id: user.to_owned(),
        })
        .await
    }

    async fn cancel(&mut self, run: &str) -> Answer<()> {
        self.cancel_user_task_run(CancelUserTaskRunRequest {
            user_task_run_id: Some(task_id(run, "0-1")),
        })
        .await
    }
}

/// The kinds of a UserTaskRun's events.
fn events(user_task: &UserTaskRun) -> Vec<&'static str> {
    let events = user_task.events.iter();
    events
        .map(|event| match event.event {
            Some(Event::TaskExecuted(_)) => "task_executed",
            Some(Event::Assigned(_)) => "assigned",
            Some(Event::Cancelled(_)) => "cancelled",
            Some(Event::Saved(_)) => "saved",
            Some(Event::CommentAdded(_)) => "comment_added",
            Some(Event::CommentEdited(_)) => "comment_edited",
            Some(Event::CommentDeleted(_)) => "comment_deleted",
            Some(Event::Completed(_)) => "completed",
            None => "nothing",
        })
        .collect()
}

/// Old and new user and group of an assignment.
type Owners<'a> = (
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
);

fn assignment(user_task: &UserTaskRun, event: usize) -> Owners<'_> {
    match &user_task.events[event].event {
        Some(Event::Assigned(it)) => (
            it.old_user_id.as_deref(),
            it.old_user_group.as_deref(),
            it.new_user_id.as_deref(),
            it.new_user_group.as_deref(),
        ),
        other => panic!("{other:?}"),
    }
}

/// Asks until a UserTaskRun is as wanted.
async fn becomes(client: &Client, run: &str, wanted: impl Fn(&UserTaskRun) -> bool) -> UserTaskRun {
    until(|| {
        let mut client = client.clone();
        let wanted = &wanted;
        async move { Some(client.user_task(run).await).filter(wanted) }
    })
    .await
}

/// Lets a time pass, for what must not happen in it.
async fn pass(ms: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
}

fn double(double: f64) -> VariableValue {
    value(Value::Double(double))
}

fn json(text: &str) -> VariableValue {
    value(Value::JsonObj(text.to_owned()))
}

use UserTaskRunStatus::{Assigned, Cancelled, Done, Unassigned};

//! ReportTask: how attempts end, and what that does to the workflow (spec 04, sections 2, 3, 9 and 12).

use prost_types::Timestamp;
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::report_task_run::Result as Reported;
use proto::littlehorse::task_attempt::Result as AttemptResult;
use proto::littlehorse::{
    DeleteTaskDefRequest, DeleteWfRunRequest, LhErrorType, LhStatus, LhTaskError, LhTaskException,
    ReportTaskRun, ScheduledTask, TaskNode, TaskRunId, TaskStatus, VariableType, VariableValue,
};
use tonic::Code;

use crate::support::*;

/// Defines a TaskDef and a WfSpec of one such task, both called `name`, runs it as `name` and claims the task.
async fn claimed(
    client: &mut Client,
    name: &str,
    returns: Option<VariableType>,
    retries: i32,
) -> ScheduledTask {
    client.define_task(task_def(name, &[], returns)).await;
    let node = TaskNode {
        retries,
        ..task(name, vec![])
    };
    client
        .define(sequence(name, vec![], vec![Kind::Task(node)]))
        .await;
    client.run(name, name).await;
    client.claim(name).await
}

fn error(message: &str) -> Reported {
    Reported::Error(LhTaskError {
        r#type: LhErrorType::TaskFailure.into(),
        message: message.to_owned(),
    })
}

fn exception(name: &str, content: Option<VariableValue>) -> Reported {
    Reported::Exception(LhTaskException {
        name: name.to_owned(),
        message: "no such client".to_owned(),
        content,
    })
}

#[tokio::test]
async fn a_success_moves_the_run_on() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let x = var_def("x", VariableType::Int);
    client
        .define_task(task_def("make", &[], Some(VariableType::Int)))
        .await;
    client.define_task(task_def("use", &[x], None)).await;
    let nodes = vec![
        Kind::Task(task("make", vec![])),
        Kind::Task(task("use", vec![output_of("1")])),
    ];
    client.define(sequence("two", vec![], nodes)).await;
    client.run("two", "r").await;
    let made = client.claim("make").await;
    let report = ReportTaskRun {
        log_output: Some(text("a log")),
        ..success(&made, Some(int(7)))
    };
    client.report(report).await;
    // spec 04-22
    let task_run = client.task_run("r", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskSuccess);
    let attempt = &task_run.attempts[0];
    assert_eq!(attempt.status(), TaskStatus::TaskSuccess);
    assert_eq!(attempt.result, Some(AttemptResult::Output(int(7))));
    assert_eq!(attempt.log_output, Some(text("a log")));
    assert!(!attempt.masked_value);
    assert_eq!(attempt.task_worker_id, "worker");
    let [first, second] = [client.node_run("r", 1).await, client.node_run("r", 2).await];
    assert_eq!(first.status(), LhStatus::Completed);
    assert_eq!(second.status(), LhStatus::Running);
    // spec 04-40
    assert_eq!(attempt.end_time, first.end_time);
    assert!(millis(attempt.end_time) >= millis(attempt.start_time));
    // spec 04-23
    let again = ReportTaskRun {
        log_output: None,
        ..success(&made, Some(int(8)))
    };
    client.report(again).await;
    client.report(status(&made, TaskStatus::TaskFailed)).await;
    assert_eq!(client.task_run("r", "0-1").await, task_run);
    assert_eq!(client.node_run("r", 2).await, second);
    let used = client.claim("use").await;
    let [input] = &used.variables[..] else {
        panic!("{:?}", used.variables)
    };
    assert_eq!((&*input.var_name, &input.value), ("x", &Some(int(7))));
    // A worker's clock is good for its attempt only.
    let past = Timestamp {
        seconds: 86_400,
        nanos: 1_999_999,
    };
    let report = ReportTaskRun {
        time: Some(past),
        ..success(&used, None)
    };
    client.report(report).await;
    let attempt = client.task_run("r", "0-2").await.attempts.remove(0);
    assert_eq!(millis(attempt.end_time), 86_400_001);
    let run = client.wf_run("r").await;
    assert_eq!(run.status(), LhStatus::Completed);
    assert!(millis(run.end_time) >= millis(run.start_time));
    server.stop().await;
}

#[tokio::test]
async fn outputs_are_checked_against_the_return_type() {
    use VariableType::{Double, Int, JsonArr, JsonObj, Str};
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let array = |text: &str| {
        value(proto::littlehorse::variable_value::Value::JsonArr(
            text.to_owned(),
        ))
    };
    let null = VariableValue::default;
    // What is stored, or the words of the attempt's error.
    type Expected = Result<VariableValue, &'static [&'static str]>;
    let rows: Vec<(Option<VariableType>, Option<VariableValue>, Expected)> = vec![
        // spec 04-24
        (
            Some(Int),
            Some(text("seven")),
            Err(&["incompatible with declared return type", "INT", "STR"]),
        ),
        (Some(Int), Some(int(7)), Ok(int(7))),
        // spec 04-25: converted to the declared kind (the section's 'Do'; LittleHorse keeps the INT).
        (Some(Double), Some(int(3)), Ok(double(3.0))),
        (Some(Str), Some(int(5)), Ok(text("5"))),
        // spec 04-26
        (
            Some(JsonObj),
            Some(json("not-a-json")),
            Err(&["malformed", "JSON_OBJ"]),
        ),
        (
            Some(JsonArr),
            Some(array("[1,")),
            Err(&["malformed", "JSON_ARR"]),
        ),
        (
            Some(JsonObj),
            Some(json("[1]")),
            Err(&["malformed", "JSON_OBJ"]),
        ),
        // spec 04-27
        (Some(Int), Some(null()), Ok(null())),
        // spec 04-28
        (Some(Int), None, Ok(null())),
        (None, None, Ok(null())),
        // A void TaskDef may have an output all the same, if it can be read.
        (None, Some(text("extra")), Ok(text("extra"))),
        (None, Some(array("1")), Err(&["malformed", "JSON_ARR"])),
    ];
    for (number, (returns, output, expected)) in rows.into_iter().enumerate() {
        let name = format!("row-{number}");
        let task = claimed(client, &name, returns, 2).await;
        client.report(success(&task, output)).await;
        let task_run = client.task_run(&name, "0-1").await;
        let node_run = client.node_run(&name, 1).await;
        assert_eq!(task_run.attempts.len(), 1, "{name}: never retried");
        let attempt = &task_run.attempts[0];
        assert_eq!(attempt.status(), task_run.status(), "{name}");
        match (expected, &attempt.result) {
            (Ok(stored), Some(AttemptResult::Output(output))) => {
                assert_eq!(&stored, output, "{name}");
                assert_eq!(task_run.status(), TaskStatus::TaskSuccess, "{name}");
                let run = client.wf_run(&name).await;
                assert_eq!(run.status(), LhStatus::Completed, "{name}");
            }
            (Err(words), Some(AttemptResult::Error(error))) => {
                assert_eq!(
                    task_run.status(),
                    TaskStatus::TaskOutputSerdeError,
                    "{name}"
                );
                assert_eq!(error.r#type(), LhErrorType::VarSubError, "{name}");
                for word in words {
                    assert!(error.message.contains(word), "{name}: {}", error.message);
                }
                assert_eq!(node_run.status(), LhStatus::Error, "{name}");
                assert_eq!(node_run.failures[0].failure_name, "VAR_MUTATION_ERROR");
            }
            (_, result) => panic!("{name}: {result:?}"),
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn each_kind_of_end_has_its_failure() {
    use TaskStatus::{
        TaskException, TaskFailed, TaskInputVarSubError, TaskOutputSerdeError, TaskScheduled,
        TaskTimeout,
    };
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let null = VariableValue::default();
    let thrown = |name: &str| exception(name, Some(int(9)));
    // Reported status and result, further attempts allowed; then the attempt's status, the failure's name and content.
    let rows = [
        (
            TaskFailed,
            Some(error("secret detail")),
            0,
            TaskFailed,
            "TASK_FAILURE",
            None,
        ),
        (TaskTimeout, None, 0, TaskTimeout, "TIMEOUT", None),
        (
            TaskOutputSerdeError,
            Some(error("bad")),
            2,
            TaskOutputSerdeError,
            "VAR_MUTATION_ERROR",
            None,
        ),
        (
            TaskInputVarSubError,
            Some(error("bad")),
            2,
            TaskInputVarSubError,
            "VAR_SUB_ERROR",
            None,
        ),
        // spec 04-31
        (
            TaskException,
            Some(thrown("client-exception")),
            2,
            TaskException,
            "client-exception",
            Some(int(9)),
        ),
        (
            TaskException,
            Some(exception("bare", None)),
            2,
            TaskException,
            "bare",
            Some(null),
        ),
        // spec 04-32
        (
            TaskException,
            Some(thrown("TIMEOUT")),
            2,
            TaskException,
            "TIMEOUT",
            Some(int(9)),
        ),
        // Without a status, the result tells; with one, the status decides.
        (
            TaskScheduled,
            Some(error("bad")),
            0,
            TaskFailed,
            "TASK_FAILURE",
            None,
        ),
        (
            TaskScheduled,
            Some(thrown("oops")),
            0,
            TaskException,
            "oops",
            Some(int(9)),
        ),
        (
            TaskFailed,
            Some(thrown("oops")),
            0,
            TaskFailed,
            "TASK_FAILURE",
            None,
        ),
    ];
    for (number, (reported, result, retries, ends, failure, content)) in
        rows.into_iter().enumerate()
    {
        let name = format!("row-{number}");
        let task = claimed(client, &name, None, retries).await;
        let report = ReportTaskRun {
            result: result.clone(),
            ..status(&task, reported)
        };
        client.report(report).await;
        let task_run = client.task_run(&name, "0-1").await;
        assert_eq!(task_run.status(), ends, "{name}");
        assert_eq!(task_run.attempts.len(), 1, "{name}: never retried");
        let attempt = &task_run.attempts[0];
        assert_eq!(attempt.status(), ends, "{name}");
        assert!(attempt.end_time.is_some(), "{name}");
        let as_reported = result.map(|result| match result {
            Reported::Output(output) => AttemptResult::Output(output),
            Reported::Error(error) => AttemptResult::Error(error),
            Reported::Exception(exception) => AttemptResult::Exception(exception),
        });
        assert_eq!(attempt.result, as_reported, "{name}");
        let is_business = !failure.chars().any(char::is_uppercase);
        let status = if is_business {
            LhStatus::Exception
        } else {
            LhStatus::Error
        };
        let node_run = client.node_run(&name, 1).await;
        assert_eq!(node_run.status(), status, "{name}");
        assert_eq!(node_run.failures.len(), 1, "{name}");
        let found = &node_run.failures[0];
        assert_eq!(found.failure_name, failure, "{name}");
        assert_eq!(found.content, content, "{name}");
        assert_eq!(
            found.message == "no such client",
            content.is_some(),
            "{name}"
        );
        assert!(
            !found.message.is_empty() && !found.message.contains("detail"),
            "{name}"
        );
        assert!(!found.was_properly_handled, "{name}");
        assert_eq!(
            node_run.error_message.as_ref(),
            Some(&found.message),
            "{name}"
        );
        let run = client.wf_run(&name).await;
        assert_eq!(run.status(), status, "{name}");
        assert_eq!(run.thread_runs[0].status(), status, "{name}");
        assert_eq!(
            run.thread_runs[0].error_message.as_ref(),
            Some(&found.message)
        );
        assert!(
            run.end_time.is_some() && run.end_time == node_run.end_time,
            "{name}"
        );
    }
    // spec 04-36
    let task = claimed(client, "nothing", Some(VariableType::Int), 0).await;
    client.report(status(&task, TaskScheduled)).await;
    let task_run = client.task_run("nothing", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskSuccess);
    let null = AttemptResult::Output(VariableValue::default());
    assert_eq!(task_run.attempts[0].result, Some(null));
    server.stop().await;
}

#[tokio::test]
async fn reports_that_make_no_sense_change_nothing() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let task = claimed(client, "work", None, 0).await;
    let before = client.task_run("work", "0-1").await;
    let good = success(&task, None);
    let of = |run: &str, guid: &str| ReportTaskRun {
        task_run_id: Some(TaskRunId {
            wf_run_id: Some(id(run)),
            task_guid: guid.to_owned(),
        }),
        ..good.clone()
    };
    let attempt = |attempt_number| ReportTaskRun {
        attempt_number,
        ..good.clone()
    };
    let with_status = |status| ReportTaskRun {
        status,
        ..good.clone()
    };
    let rows: Vec<(ReportTaskRun, &[&str])> = vec![
        (of("nobody", "0-1"), &["TaskRun nobody/0-1", "unknown"]),
        (of("work", "0-2"), &["TaskRun work/0-2", "unknown"]),
        (of("work", "00-1"), &["work/00-1", "unknown"]),
        (of("work", ""), &["unknown"]),
        (of("", "0-1"), &["wf_run_id"]),
        (
            ReportTaskRun {
                task_run_id: None,
                ..good.clone()
            },
            &["task_run_id"],
        ),
        // spec 04-34
        (attempt(7), &["attempt_number 7", "1 attempts"]),
        (attempt(1), &["attempt_number 1"]),
        (attempt(-1), &["attempt_number -1"]),
        // spec 04-37
        (
            with_status(TaskStatus::TaskRunning.into()),
            &["status", "TASK_RUNNING"],
        ),
        (
            with_status(TaskStatus::TaskPending.into()),
            &["status", "TASK_PENDING"],
        ),
        (with_status(99), &["status", "99"]),
        (
            with_status(TaskStatus::TaskException.into()),
            &["exception"],
        ),
    ];
    for (report, words) in rows {
        refused(
            client.report_task(report).await,
            Code::InvalidArgument,
            words,
        );
    }
    assert_eq!(client.task_run("work", "0-1").await, before);
    assert_eq!(client.wf_run("work").await.status(), LhStatus::Running);
    // The report of a run that is gone.
    let id = Some(id("work"));
    client
        .delete_wf_run(DeleteWfRunRequest { id })
        .await
        .unwrap();
    let late = client.report_task(good).await;
    refused(late, Code::InvalidArgument, &["work/0-1", "unknown"]);
    server.stop().await;
}

#[tokio::test]
async fn reports_for_attempts_that_do_not_run_are_ignored() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let first = claimed(client, "work", None, 1).await;
    client.report(status(&first, TaskStatus::TaskFailed)).await;
    let second = ScheduledTask {
        attempt_number: 1,
        ..first.clone()
    };
    // spec 04-35: nobody has claimed the second attempt.
    let queued = client.task_run("work", "0-1").await;
    client.report(success(&second, None)).await;
    assert_eq!(client.task_run("work", "0-1").await, queued);
    assert_eq!(queued.status(), TaskStatus::TaskScheduled);
    // spec 04-33
    let second = client.claim("work").await;
    assert_eq!(second.attempt_number, 1);
    let running = client.task_run("work", "0-1").await;
    client.report(success(&first, None)).await;
    assert_eq!(client.task_run("work", "0-1").await, running);
    assert_eq!(running.status(), TaskStatus::TaskRunning);
    client.report(success(&second, None)).await;
    assert_eq!(client.wf_run("work").await.status(), LhStatus::Completed);
    server.stop().await;
}

#[tokio::test]
async fn a_task_outlives_its_task_def() {
    let server = Fixture::start().await;
    let client = &mut server.client.clone();
    let task = claimed(client, "work", Some(VariableType::Int), 1).await;
    client.run("work", "queued").await;
    let id = Some(task_def_id("work"));
    client
        .delete_task_def(DeleteTaskDefRequest { id })
        .await
        .unwrap();
    // spec 04-38: any output is accepted.
    client.report(success(&task, Some(text("seven")))).await;
    let task_run = client.task_run("work", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskSuccess);
    assert_eq!(client.wf_run("work").await.status(), LhStatus::Completed);
    // What is queued stays claimable.
    let queued = client.claim("work").await;
    assert_eq!(run_of(&queued), "queued");
    client.report(status(&queued, TaskStatus::TaskFailed)).await;
    let task_run = client.task_run("queued", "0-1").await;
    assert_eq!(task_run.status(), TaskStatus::TaskScheduled);
    // A node that is reached now has no TaskDef.
    let run = client.run("work", "late").await;
    assert_eq!(run.status(), LhStatus::Error);
    let node_run = client.node_run("late", 1).await;
    assert_eq!(node_run.failures[0].failure_name, "TASK_ERROR");
    for word in ["work", "deleted"] {
        assert!(node_run.failures[0].message.contains(word));
    }
    server.stop().await;
}

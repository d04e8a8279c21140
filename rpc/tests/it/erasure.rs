//! Deleted is deleted: the bytes leave every file below the data directory (`docs/operations.md`, "Erasure").

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironhorse_rpc::{Config, Server};
use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    DeleteWfRunRequest, LhErrorType, LhTaskError, ReportTaskRun, TaskStatus, VariableType,
    report_task_run,
};
use tempfile::TempDir;

use crate::support::*;

/// A write-back of few changes comes after so many seconds (`Bounds::idle_ms`).
const WRITE_BACK: u64 = 10;
/// `checkpoint_age_seconds`, `log_segment_age_seconds` and `erase_after_seconds`.
const SHORT: u64 = 1;
/// The bound is write-back + 2 checkpoint_age + max(segment age, 1.4 erase_after), and the time that the disk and the
/// compactions take, for which a busy machine gets a minute.
const BOUND: Duration = Duration::from_secs(WRITE_BACK + 2 * SHORT + 2 * SHORT + 60);

/// Nothing is compressed, neither tables nor frames of the log, so that bytes are found as they are.
fn quick(dir: &TempDir, segment_age: u64) -> Config {
    Config {
        erase_after_seconds: SHORT,
        checkpoint_age_seconds: SHORT,
        log_segment_age_seconds: segment_age,
        compression: false,
        ..config(dir)
    }
}

/// 16 random bytes, in hex.
fn marker() -> String {
    // Each state is seeded by the system.
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The files at or below a path that hold the bytes.
fn holding(path: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    // A file or a directory may go while we look: then it holds nothing.
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries
            .flat_map(|entry| holding(&entry.path(), bytes))
            .collect();
    }
    let found =
        std::fs::read(path).is_ok_and(|content| memchr::memmem::find(&content, bytes).is_some());
    if found {
        vec![path.to_owned()]
    } else {
        Vec::new()
    }
}

/// Runs a WfRun that keeps the four markers: a variable's value, which is a task's input too, an event's content, a
/// task's output, the message of an error.
async fn leave(client: &mut Client, run: &str, markers: &[String; 4]) {
    let [input, content, output, message] = markers;
    client.run_with("keeps", run, &[("v", text(input))]).await;
    let event = put_event(run, "go", "guid", text(content));
    client.put_external_event(event).await.unwrap();
    let task = client.claim("work").await;
    client.succeed(&task, text(output)).await;
    let task = client.claim("work").await;
    let error = LhTaskError {
        r#type: LhErrorType::TaskFailure.into(),
        message: message.clone(),
    };
    let failure = ReportTaskRun {
        result: Some(report_task_run::Result::Error(error)),
        ..status(&task, TaskStatus::TaskFailed)
    };
    client.report(failure).await;
    client.ended(run).await;
}

async fn delete(client: &mut Client, run: &str) {
    let request = DeleteWfRunRequest { id: Some(id(run)) };
    client.delete_wf_run(request).await.unwrap();
}

async fn are_in(data: &Path, part: &str, markers: &[String]) {
    let deadline = Instant::now() + Duration::from_secs(WRITE_BACK) + PATIENCE;
    for marker in markers {
        while holding(&data.join(part), marker.as_bytes()).is_empty() {
            assert!(Instant::now() < deadline, "{marker} never was in {part}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn vanish(data: &Path, markers: &[String]) {
    let deadline = Instant::now() + BOUND;
    for marker in markers {
        loop {
            let found = holding(data, marker.as_bytes());
            if found.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "{marker} is still in {found:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test]
async fn what_was_deleted_leaves_every_file_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // Segments that last, so that the log still holds the markers when the stores and checkpoints have them.
    let server = Server::start(&quick(&dir, 3600)).await.unwrap();
    let client = &mut connect(&server.addr().to_string()).await;
    client.define_event("go").await;
    let output = Some(VariableType::Str);
    let inputs = [var_def("x", VariableType::Str)];
    client.define_task(task_def("work", &inputs, output)).await;
    let vars = vec![optional(var_def("v", VariableType::Str))];
    let work = || Kind::Task(task("work", vec![variable("v")]));
    let kinds = vec![event("go"), work(), work()];
    client.define(sequence("keeps", vars, kinds)).await;
    let [gone, late, kept] = [(); 3].map(|()| [(); 4].map(|()| marker()));
    for (run, markers) in [("gone", &gone), ("late", &late), ("kept", &kept)] {
        leave(client, run, markers).await;
        for part in ["log", "groups", "checkpoints"] {
            are_in(&data, part, markers).await;
        }
    }
    delete(client, "gone").await;
    // A restart right after the deletion, and nobody writes anything after it.
    server.stop().await.unwrap();
    assert!(!holding(&data, gone[0].as_bytes()).is_empty());
    let server = Server::start(&quick(&dir, SHORT)).await.unwrap();
    vanish(&data, &gone).await;
    // In a server that runs on.
    let client = &mut connect(&server.addr().to_string()).await;
    delete(client, "late").await;
    vanish(&data, &late).await;
    for marker in &kept {
        let found = holding(&data, marker.as_bytes());
        assert!(!found.is_empty(), "{marker} was never deleted");
    }
    server.stop().await.unwrap();
}

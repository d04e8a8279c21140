//! A data directory that cannot be used is refused, by the library and by the binary, with what to do; never served with
//! data missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ironhorse_rpc::{Config, Server};
use proto::littlehorse::{LhStatus, SearchWfRunRequest, VariableType, variable_value};
use tempfile::TempDir;

use crate::support::*;

/// Runs in a directory made by [`prepared`].
const RUNS: usize = 6;

/// A directory with data in log and stores, which nobody uses.
async fn prepared() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&config(&dir)).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    client.define(sequence("s", vec![], vec![])).await;
    for run in 0..RUNS {
        client.run("s", &format!("run-{run}")).await;
    }
    server.stop().await.unwrap();
    dir
}

async fn started(config: &Config) -> Result<Server, String> {
    Server::start(config)
        .await
        .map_err(|error| error.to_string())
}

/// Neither the library nor the binary starts; both say all of `words`.
async fn refuses(dir: &TempDir, words: &[&str]) {
    let Err(library) = started(&config(dir)).await else {
        panic!("it was served; expected {words:?}")
    };
    let process = ServerProcess::spawn(&data_dir(dir), 2);
    let ended = tokio::task::spawn_blocking(|| process.ended());
    let (status, binary) = ended.await.unwrap();
    assert_eq!(status.code(), Some(1), "{binary}");
    for word in words {
        assert!(library.contains(word), "{word:?} is not in {library}");
        assert!(binary.contains(word), "{word:?} is not in {binary}");
    }
}

/// It starts, and everything is there.
async fn serves(dir: &TempDir, runs: usize) {
    let server = started(&config(dir)).await.unwrap();
    let client = connect(&server.addr().to_string()).await;
    let found = SearchWfRunRequest {
        status: Some(LhStatus::Completed.into()),
        ..runs_of("s")
    };
    assert_eq!(found.found(&client).await.len(), runs);
    server.stop().await.unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn segments(dir: &TempDir) -> Vec<PathBuf> {
    let mut found = files(&data_dir(dir).join("log"));
    found.retain(|path| path.extension().is_some_and(|it| it == "log"));
    found.sort();
    found
}

fn empty(dir: &Path) {
    fs::remove_dir_all(dir).unwrap();
    fs::create_dir(dir).unwrap();
}

#[tokio::test]
async fn one_that_is_in_use() {
    let dir = prepared().await;
    let server = started(&config(&dir)).await.unwrap();
    refuses(
        &dir,
        &["in use by another ironhorse", "stop that one", "--data-dir"],
    )
    .await;
    let mut client = connect(&server.addr().to_string()).await;
    client.run("s", "after").await;
    server.stop().await.unwrap();
    serves(&dir, RUNS + 1).await;
}

#[tokio::test]
async fn one_of_a_newer_format_or_other_groups() {
    let dir = prepared().await;
    let identity = data_dir(&dir).join("ironhorse.json");
    let good = fs::read_to_string(&identity).unwrap();
    fs::write(&identity, good.replace("\"format\": 1", "\"format\": 2")).unwrap();
    refuses(&dir, &["format 2", "reads up to 1", "newer ironhorse"]).await;
    fs::write(&identity, good).unwrap();
    let three = Config {
        groups: Some(3),
        ..config(&dir)
    };
    let Err(error) = started(&three).await else {
        panic!("it was served")
    };
    for word in ["made with 2 groups", "3 were asked for", "--groups 2"] {
        assert!(error.contains(word), "{error}");
    }
    let process = ServerProcess::spawn(&data_dir(&dir), 3);
    let ended = tokio::task::spawn_blocking(|| process.ended());
    let (status, said) = ended.await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("--groups 2"), "{said}");
    // Not asked for: what it was made with.
    let any = Config {
        groups: None,
        ..config(&dir)
    };
    started(&any).await.unwrap().stop().await.unwrap();
    serves(&dir, RUNS).await;
}

#[tokio::test]
async fn one_with_a_damaged_identity() {
    let dir = prepared().await;
    let identity = data_dir(&dir).join("ironhorse.json");
    let good = fs::read_to_string(&identity).unwrap();
    let damaged: [&[&str]; 2] = [
        &["ironhorse.json is damaged", "restore it from a backup"],
        &["ironhorse.json is missing", "restore it from a backup"],
    ];
    fs::write(&identity, &good[..good.len() / 2]).unwrap();
    refuses(&dir, damaged[0]).await;
    fs::write(&identity, "").unwrap();
    refuses(&dir, damaged[0]).await;
    fs::remove_file(&identity).unwrap();
    refuses(&dir, damaged[1]).await;
    fs::write(&identity, good).unwrap();
    serves(&dir, RUNS).await;
}

#[tokio::test]
async fn one_with_a_flipped_bit_in_the_log() {
    let dir = prepared().await;
    let segment = segments(&dir).pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    // The first byte of the first frame's body: all later frames say that it was durable.
    bytes[48] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    refuses(
        &dir,
        &[
            "the log is damaged",
            name,
            "damaged at offset 0",
            "restore a backup",
        ],
    )
    .await;
    bytes[48] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();
    serves(&dir, RUNS).await;
}

#[tokio::test]
async fn one_without_its_log() {
    let dir = prepared().await;
    let log = data_dir(&dir).join("log");
    // The stores are there, and ahead of it.
    empty(&log);
    refuses(&dir, &["log is empty", "groups", "backup"]).await;
    fs::remove_dir_all(&log).unwrap();
    refuses(&dir, &["log is missing", "backup"]).await;
    // Also if the log's own lock is still there.
    fs::create_dir(&log).unwrap();
    fs::write(log.join("LOCK"), "").unwrap();
    refuses(&dir, &["log is empty", "groups", "backup"]).await;
}

#[tokio::test]
async fn one_whose_log_is_older_than_its_stores() {
    let dir = prepared().await;
    let segment = segments(&dir).pop().unwrap();
    let kept = dir.path().join("kept");
    fs::copy(&segment, &kept).unwrap();
    let server = started(&config(&dir)).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    for run in 0..20 {
        client.run("s", &format!("later-{run}")).await;
    }
    server.stop().await.unwrap();
    let newer = dir.path().join("newer");
    fs::rename(&segment, &newer).unwrap();
    fs::rename(&kept, &segment).unwrap();
    // However often: a refused start must not make the log longer.
    for _ in 0..3 {
        refuses(&dir, &["the log", "is missing", "groups", "one backup"]).await;
    }
    fs::rename(&newer, &segment).unwrap();
    serves(&dir, RUNS + 20).await;
}

#[tokio::test]
async fn one_without_a_group() {
    for group in ["0", "1", "metadata"] {
        let dir = prepared().await;
        let group_dir = data_dir(&dir).join("groups").join(group);
        fs::remove_dir_all(&group_dir).unwrap();
        let missing = format!("groups/{group} is missing");
        refuses(&dir, &[&missing, "restore the whole directory"]).await;
        // An empty store is built anew, as long as the log reaches back to its beginning.
        fs::create_dir(&group_dir).unwrap();
        serves(&dir, RUNS).await;
    }
    let dir = prepared().await;
    fs::create_dir(data_dir(&dir).join("groups/2")).unwrap();
    refuses(&dir, &["groups/2 is there", "made with 2 groups"]).await;
    fs::remove_dir(data_dir(&dir).join("groups/2")).unwrap();
    let current = data_dir(&dir).join("groups/0/CURRENT");
    fs::write(current, "nonsense\n").unwrap();
    refuses(&dir, &["groups/0", "restore a backup"]).await;
}

/// Slow: the log drops nothing before its first 64 MiB are full.
#[tokio::test]
async fn one_whose_log_no_longer_reaches_back_to_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    // Checkpoints follow closely, so that the log may go.
    let config = Config {
        checkpoint_log_mib: 1,
        ..config(&dir)
    };
    let server = started(&config).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    let vars = vec![optional(var_def("s", VariableType::Bytes))];
    client.define(sequence("s", vars, vec![])).await;
    let first = segments(&dir).remove(0);
    let mut state = 1_u64;
    let mut runs = 0;
    while segments(&dir).len() < 2 || runs < 35 {
        let noise = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        let noise: Vec<u8> = noise.take(1_000_000).collect();
        let noise = value(variable_value::Value::Bytes(noise.into()));
        client
            .run_with("s", &format!("run-{runs}"), &[("s", noise)])
            .await;
        runs += 1;
    }
    server.stop().await.unwrap();
    // The first changes after a start are written back at once, by all groups; checkpoints come one after the other.
    let config = Config {
        checkpoint_age_seconds: 0,
        ..config
    };
    let server = started(&config).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    let deadline = Instant::now() + PATIENCE;
    while first.exists() {
        assert!(Instant::now() < deadline, "no segment was dropped");
        client.define_event("e").await;
        client.run("s", &format!("run-{runs}")).await;
        runs += 1;
    }
    server.stop().await.unwrap();
    serves(&dir, runs.min(100)).await;
    empty(&data_dir(&dir).join("groups/1"));
    refuses(
        &dir,
        &["groups/1", "older than the log reaches back", "one backup"],
    )
    .await;
}

//! `ironhorse verify`, `backup`, `restore` and `inspect`, on real directories, damaged and not.

mod backup;
mod inspect;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ironhorse_rpc::{Config, Server};
use tempfile::TempDir;

use crate::support::*;

const GROUPS: [&str; 3] = ["metadata", "0", "1"];

/// Runs the binary; returns whether it succeeded, and all that it said.
fn tool(words: &[&str]) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(BINARY).args(words).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8(said).unwrap())
}

#[track_caller]
fn succeeds(words: &[&str]) -> String {
    let (good, said) = tool(words);
    assert!(good, "{words:?}: {said}");
    said
}

/// Fails, by itself and not by a panic, and says all of `expected`.
#[track_caller]
fn fails(words: &[&str], expected: &[&str]) {
    let (good, said) = tool(words);
    assert!(!good, "{words:?} succeeded: {said}");
    assert!(!said.contains("panicked"), "{words:?}: {said}");
    for word in expected {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory with two checkpoints of each group, and later changes.
async fn prepared() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let often = Config {
        checkpoint_age_seconds: 0,
        ..config(&dir)
    };
    let server = Server::start(&often).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    client.define(sequence("s", vec![], vec![])).await;
    for run in 0..20 {
        client.run("s", &format!("early-{run}")).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while GROUPS
        .iter()
        .any(|group| checkpoints(&data_dir(&dir), group).len() < 2)
    {
        assert!(Instant::now() < deadline, "no checkpoints are made");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await.unwrap();
    let server = Server::start(&config(&dir)).await.unwrap();
    let mut client = connect(&server.addr().to_string()).await;
    client.define(sequence("t", vec![], vec![])).await;
    for run in 0..20 {
        client.run("t", &format!("late-{run}")).await;
    }
    server.stop().await.unwrap();
    dir
}

fn checkpoints(data: &Path, group: &str) -> Vec<PathBuf> {
    let mut found = files(&data.join("checkpoints").join(group));
    found.retain(|path| path.extension().is_none());
    found
}

/// What is in a directory, sorted; nothing if it is not there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Changes one byte.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

//! A backup of a server under load is restored; what is not a backup is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proto::littlehorse::WfRunId;

use super::*;

/// Starts WfRuns one after the other, and counts those that are acknowledged, until it is aborted.
async fn load(mut client: Client, prefix: &'static str, acknowledged: Arc<AtomicU32>) {
    loop {
        let number = acknowledged.load(Ordering::SeqCst);
        client.run("s", &format!("{prefix}-{number}")).await;
        acknowledged.store(number + 1, Ordering::SeqCst);
    }
}

/// The number before a word in a text.
fn number_before(said: &str, word: &str) -> u64 {
    let before = said.split(word).next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Files and bytes that a backup copied.
fn copied(said: &str) -> (u64, u64) {
    let part = said.split("copied ").nth(1).unwrap();
    (number_before(part, " files"), number_before(part, " bytes"))
}

async fn has_runs(data: &Path, prefix: &str, count: u32) {
    let mut server = ServerProcess::spawn(data, 2);
    let mut client = connect(&server.address()).await;
    for number in 0..count {
        let id = WfRunId::from_any_text(&format!("{prefix}-{number}"));
        client.get_wf_run(id).await.unwrap();
    }
    // It goes on.
    client.run("s", "after").await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_under_load_is_backed_up_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (data, target) = (data_dir(&dir), dir.path().join("backups"));
    let mut server = ServerProcess::spawn(&data, 2);
    let mut client = connect(&server.address()).await;
    client.define(sequence("s", vec![], vec![])).await;
    let acknowledged = Arc::new(AtomicU32::new(0));
    let loading = tokio::spawn(load(client.clone(), "run", Arc::clone(&acknowledged)));
    let enough = |count| {
        let acknowledged = &acknowledged;
        async move {
            let now = acknowledged.load(Ordering::SeqCst);
            (now >= count).then_some(now)
        }
    };
    let backup = ["backup", text(&data), text(&target)];
    until(|| enough(50)).await;
    let before = acknowledged.load(Ordering::SeqCst);
    let first = tokio::task::block_in_place(|| succeeds(&backup));
    assert!(first.contains("backup 1"), "{first}");
    let again = until(|| enough(before + 50)).await;
    let second = tokio::task::block_in_place(|| succeeds(&backup));
    assert!(second.contains("backup 2"), "{second}");
    assert!(files(&data.join("snapshots")).is_empty());
    loading.abort();
    let _ = loading.await;
    // Nothing changes any more but what the stores move in the background: at last a backup has nothing new.
    let third = tokio::task::block_in_place(|| succeeds(&backup));
    assert!(copied(&third).0 < copied(&first).0, "{third}");
    let mut newest = 3;
    loop {
        newest += 1;
        assert!(newest < 20, "each backup copies files");
        let said = tokio::task::block_in_place(|| succeeds(&backup));
        assert!(said.contains(&format!("backup {newest}:")), "{said}");
        if copied(&said).0 == 0 {
            break;
        }
    }
    server.kill();

    // Two are kept; the newest has all.
    let restored = dir.path().join("restored");
    let last = acknowledged.load(Ordering::SeqCst);
    assert!(last >= again);
    let said = succeeds(&["restore", text(&target), text(&restored)]);
    assert!(
        said.contains(&format!("restored backup {newest}")) && said.contains("position"),
        "{said}"
    );
    has_runs(&restored, "run", last).await;
    succeeds(&["verify", text(&restored)]);
    let older = dir.path().join("older");
    let number = (newest - 1).to_string();
    succeeds(&["restore", "--number", &number, text(&target), text(&older)]);
    fails(
        &[
            "restore",
            "--number",
            "1",
            text(&target),
            text(&dir.path().join("x")),
        ],
        &["no backup 1"],
    );
    // Of a directory whose server was killed.
    let dead = succeeds(&backup);
    assert!(
        dead.contains("nobody uses it") && dead.contains(&format!("backup {}", newest + 1)),
        "{dead}"
    );
    let cold = dir.path().join("cold");
    succeeds(&["restore", text(&target), text(&cold)]);
    has_runs(&cold, "run", last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_backup_under_load_has_what_was_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let data = data_dir(&dir);
    let mut server = ServerProcess::spawn(&data, 2);
    let mut client = connect(&server.address()).await;
    client.define(sequence("s", vec![], vec![])).await;
    let acknowledged = Arc::new(AtomicU32::new(0));
    let loading = tokio::spawn(load(client, "run", Arc::clone(&acknowledged)));
    let target = dir.path().join("backups");
    let backup = ["backup", text(&data), text(&target)];
    for round in 1..=3_u32 {
        until(|| {
            let now = acknowledged.load(Ordering::SeqCst);
            async move { (now >= round * 30).then_some(()) }
        })
        .await;
        let before = acknowledged.load(Ordering::SeqCst);
        tokio::task::block_in_place(|| succeeds(&backup));
        let restored = dir.path().join(format!("restored-{round}"));
        tokio::task::block_in_place(|| succeeds(&["restore", text(&target), text(&restored)]));
        has_runs(&restored, "run", before).await;
    }
    loading.abort();
    let _ = loading.await;
    // Killed in the middle, again and again: what is there stays good.
    for delay in [0, 5, 20, 40] {
        let mut child = Command::new(BINARY)
            .args(backup)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let restored = dir.path().join(format!("killed-{delay}"));
        tokio::task::block_in_place(|| succeeds(&["restore", text(&target), text(&restored)]));
    }
    server.kill();
}

#[tokio::test]
async fn what_should_not_be_restored_or_overwritten_is_refused() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let target = dir.path().join("backups");
    let new = dir.path().join("new");
    let restore = ["restore", text(&target), text(&new)];
    fails(&restore, &["no directory of backups"]);
    fails(
        &["backup", text(&new), text(&target)],
        &["no data directory"],
    );
    fails(&["backup", text(&data)], &["DIR TARGET"]);
    fails(
        &["backup", "--server", "127.0.0.1:1", text(&target)],
        &["127.0.0.1:1"],
    );
    fails(&restore, &["no backup in it"]);
    fails(
        &["backup", text(&data), text(&data)],
        &["neither empty nor"],
    );
    succeeds(&["backup", text(&data), text(&target)]);
    fails(&["restore", text(&target), text(&data)], &["not empty"]);
    assert!(!new.exists());
    // Each object is checked.
    let objects = files(&target.join("objects"));
    let largest = objects
        .iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    flip(largest, 30);
    fails(&restore, &[text(largest), "damaged"]);
    flip(largest, 30);
    // A restore that failed leaves what no server takes.
    let server = ServerProcess::spawn(&new, 2);
    let (status, said) = tokio::task::spawn_blocking(|| server.ended())
        .await
        .unwrap();
    assert!(
        !status.success() && said.contains("ironhorse.json is missing"),
        "{said}"
    );
    fs::remove_dir_all(&new).unwrap();
    let whole = fs::read(largest).unwrap();
    fs::write(largest, &whole[..whole.len() / 2]).unwrap();
    fails(&restore, &[text(largest), "should have"]);
    fs::remove_dir_all(&new).unwrap();
    fs::remove_file(largest).unwrap();
    fails(&restore, &[text(largest)]);
    fs::remove_dir_all(&new).unwrap();
    fs::write(largest, whole).unwrap();
    let list = target.join("backup-00000001.json");
    flip(&list, 40);
    fails(&restore, &["backup-00000001.json", "damaged"]);
    assert!(!new.exists());
    flip(&list, 40);
    succeeds(&restore);
    // A log that is damaged is not backed up as if it were good.
    flip(&data.join("log/0000000000000001.log"), 60);
    fails(&["backup", text(&data), text(&target)], &["log"]);
    fs::remove_dir_all(&new).unwrap();
    succeeds(&restore);
}

#[tokio::test]
async fn only_the_tool_gets_a_snapshot() {
    let fixture = Fixture::start().await;
    let answer = http(fixture.http(), "POST", "/backup/snapshot").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("ironhorse backup"), "{}", answer.body);
    assert_eq!(
        http(fixture.http(), "GET", "/backup/snapshot").await.status,
        405
    );
    fixture.stop().await;
}

#[tokio::test]
async fn snapshots_that_nobody_copies_go() {
    let dir = tempfile::tempdir().unwrap();
    let all = data_dir(&dir).join("snapshots");
    let server = Server::start(&config(&dir)).await.unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(1);
    let mut held = Vec::new();
    for (name, modified, locked) in [
        ("1", long_ago, false),
        ("2", long_ago, true),
        ("3", std::time::SystemTime::now(), false),
    ] {
        // In one step: it is there as a whole.
        let (part, whole) = (dir.path().join(name), all.join(name));
        fs::create_dir_all(part.join("log")).unwrap();
        let lock = fs::File::create(part.join("LOCK")).unwrap();
        if locked {
            lock.lock().unwrap();
            held.push(lock);
        }
        let contents = fs::File::create(part.join("snapshot.json")).unwrap();
        contents.set_modified(modified).unwrap();
        fs::create_dir_all(&all).unwrap();
        fs::rename(part, whole).unwrap();
    }
    until(|| async { (!all.join("1").exists()).then_some(()) }).await;
    drop(held);
    until(|| async { (!all.join("2").exists()).then_some(()) }).await;
    assert_eq!(files(&all), [all.join("3")]);
    server.stop().await.unwrap();
    assert!(!all.exists());
}

/// A path as it looks from the working directory.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap())
}

#[tokio::test]
async fn server_and_tool_may_be_started_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (data, target) = (data_dir(&dir), dir.path().join("backups"));
    let mut server = ServerProcess::spawn(&relative(&data), 2);
    server.address();
    let named = data.join("server.json");
    until(|| async { named.exists().then_some(()) }).await;
    let backup = |words: &[&str]| {
        let mut command = Command::new(BINARY);
        let output = command.current_dir("/").arg("backup").args(words).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    backup(&[text(&data), text(&target)]);
    let named: serde_json::Value = serde_json::from_slice(&fs::read(named).unwrap()).unwrap();
    let address = named["http"].as_str().unwrap();
    backup(&["--server", address, text(&target)]);
    server.kill();
    succeeds(&["restore", text(&target), text(&dir.path().join("new"))]);
}

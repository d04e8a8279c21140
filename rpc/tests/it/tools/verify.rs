//! What is good passes; what is not is named.

use bytes::Bytes;
use index::{Applied, Base, Family, KeyRange};
use index_rocks::{RocksBase, Shared};

use super::*;

#[tokio::test]
async fn what_is_good_passes() {
    let dir = tempfile::tempdir().unwrap();
    let data = data_dir(&dir);
    let verify = ["verify", text(&data)];
    // Nothing but what a server makes at its start.
    let server = Server::start(&config(&dir)).await.unwrap();
    fails(&verify, &["in use by another ironhorse"]);
    server.stop().await.unwrap();
    assert!(succeeds(&verify).contains("good"));
    // Killed under way: the stores are behind the log.
    for round in 0..2 {
        let mut server = ServerProcess::spawn(&data, 2);
        let mut client = connect(&server.address()).await;
        client
            .define(sequence(&format!("s{round}"), vec![], vec![]))
            .await;
        for run in 0..30 {
            client
                .run(&format!("s{round}"), &format!("r{round}-{run}"))
                .await;
        }
        server.kill();
        assert!(succeeds(&verify).contains("good"));
    }
    let dir = prepared().await;
    let data = data_dir(&dir);
    let said = succeeds(&["verify", text(&data)]);
    assert!(said.contains("2 checkpoints"), "{said}");
    assert!(!data.join("scratch").exists());
    let server = Server::start(&config(&dir)).await.unwrap();
    server.stop().await.unwrap();
    succeeds(&["verify", text(&data)]);
}

/// A checkpoint that is lost is made anew at once where the log alone no longer says what the state is.
#[tokio::test]
async fn a_log_without_its_beginning_gets_a_checkpoint_at_once() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let segments = || {
        let mut found = files(&data.join("log"));
        found.retain(|path| path.extension().is_some_and(|it| it == "log"));
        found
    };
    let first = segments().remove(0);
    let often = Config {
        checkpoint_age_seconds: 1,
        log_segment_age_seconds: 1,
        ..config(&dir)
    };
    let server = Server::start(&often).await.unwrap();
    let deadline = Instant::now() + PATIENCE * 2;
    while first.exists() {
        assert!(Instant::now() < deadline, "no segment was dropped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await.unwrap();
    fs::remove_dir_all(data.join("checkpoints")).unwrap();
    fails(&["verify", text(&data)], &["there is no checkpoint"]);
    let server = Server::start(&config(&dir)).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while GROUPS
        .iter()
        .any(|group| checkpoints(&data, group).is_empty())
    {
        assert!(Instant::now() < deadline, "no checkpoint is made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await.unwrap();
    assert!(succeeds(&["verify", text(&data)]).contains("1 checkpoints"));
}

#[tokio::test]
async fn a_damaged_log_is_named() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let verify = ["verify", text(&data)];
    let segment = files(&data.join("log"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|it| it == "log"))
        .unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    flip(&segment, 60);
    fails(&verify, &[name, "offset 0", "damaged"]);
    flip(&segment, 60);
    succeeds(&verify);
    let whole = fs::read(&segment).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for len in [0, 100, end / 2, end - 20] {
        fs::write(&segment, &whole[..len]).unwrap();
        // Which of the two is seen first: a shorter log is one that ends before the stores.
        let (good, said) = tool(&verify);
        assert!(!good, "cut to {len}: {said}");
        assert!(
            said.contains(name) || said.contains("which is no commit of its in the log"),
            "cut to {len}: {said}"
        );
    }
    fs::write(&segment, vec![0; whole.len()]).unwrap();
    fails(&verify, &["no commit of its in the log"]);
    fs::remove_file(&segment).unwrap();
    fails(&verify, &["log"]);
    fs::write(&segment, whole).unwrap();
    succeeds(&verify);
}

#[tokio::test]
async fn a_damaged_store_is_named() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let verify = ["verify", text(&data)];
    for group in GROUPS {
        let table = files(&data.join("groups").join(group))
            .into_iter()
            .find(|path| path.extension().is_some_and(|it| it == "sst"))
            .unwrap();
        flip(&table, 20);
        let name = table.file_name().unwrap().to_str().unwrap();
        fails(&verify, &[group, name, "checksum"]);
        flip(&table, 20);
    }
    let current = data.join("groups/0/CURRENT");
    let good = fs::read(&current).unwrap();
    fs::write(&current, "nonsense\n").unwrap();
    fails(&verify, &["groups/0"]);
    fs::write(&current, good).unwrap();
    succeeds(&verify);
}

/// Changes a row behind the server's back; `None` removes it.
fn change(data: &Path, group: &str, family: Family, key: &Bytes, value: Option<&Bytes>) {
    let path = data.join("groups").join(group);
    let base = RocksBase::open(&path, &Shared::new(1 << 20, 1 << 20)).unwrap();
    let applied: Applied = base.applied().unwrap().unwrap();
    base.write(&mut std::iter::once((family, key, value)), &applied)
        .unwrap();
    base.flush().unwrap();
}

/// The first row of a family that `wanted` accepts, in the first group that has one.
fn some_row(data: &Path, family: Family, wanted: impl Fn(&[u8]) -> bool) -> (&str, Bytes, Bytes) {
    for group in ["0", "1"] {
        let path = data.join("groups").join(group);
        let base = RocksBase::open(&path, &Shared::new(1 << 20, 1 << 20)).unwrap();
        let rows = base.scan(family, &KeyRange::prefix(&[]), false).unwrap();
        if let Some((key, value)) = rows.map(Result::unwrap).find(|(key, _)| wanted(key)) {
            return (group, key, value);
        }
    }
    panic!("no such row")
}

fn has(key: &[u8], part: &str) -> bool {
    key.windows(part.len())
        .any(|window| window == part.as_bytes())
}

#[tokio::test]
async fn a_row_or_an_index_entry_that_should_not_be_so_is_named() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let verify = ["verify", text(&data)];
    // Rows that only the checkpoint has, and rows that only the log has.
    for part in ["early-", "late-"] {
        let (group, key, value) = some_row(&data, Family::State, |key| has(key, part));
        let at = format!("group {group}: State table wfRun, key default {part}");
        change(&data, group, Family::State, &key, None);
        fails(&verify, &[&at, "missing in the store"]);
        let other = Bytes::from([&value[..], &[0x08, 0x01]].concat());
        change(&data, group, Family::State, &key, Some(&other));
        fails(&verify, &[&at, "not the one of the log"]);
        change(&data, group, Family::State, &key, Some(&value));
        let more = Bytes::from([&key[..], b"x"].concat());
        change(&data, group, Family::State, &more, Some(&value));
        fails(
            &verify,
            &[&format!("group {group}: State"), "the log does not have it"],
        );
        change(&data, group, Family::State, &more, None);
        let queued = Bytes::from_static(&[2, b'q', 0, 1]);
        change(&data, group, Family::Queue, &queued, Some(&value));
        fails(
            &verify,
            &[&format!("group {group}: Queue"), "the log does not have it"],
        );
        change(&data, group, Family::Queue, &queued, None);
        succeeds(&verify);

        let (group, key, value) = some_row(&data, Family::Index, |key| has(key, part));
        let at = format!("group {group}: Index table index, key");
        change(&data, group, Family::Index, &key, None);
        fails(&verify, &[&at, part, "missing in the store"]);
        change(&data, group, Family::Index, &key, Some(&value));
        let more = Bytes::from([&key[..], b"x"].concat());
        change(&data, group, Family::Index, &more, Some(&value));
        fails(&verify, &[&at, part, "its row does not have it"]);
        change(&data, group, Family::Index, &more, None);
        succeeds(&verify);
    }
}

fn live_position(data: &Path) -> u64 {
    let shared = Shared::new(1 << 20, 1 << 20);
    let base = RocksBase::open_read_only(&data.join("groups/0"), &shared).unwrap();
    base.applied().unwrap().unwrap().position.to_u64()
}

fn swap(a: &Path, b: &Path) {
    let aside = a.with_extension("aside");
    fs::rename(a, &aside).unwrap();
    fs::rename(b, a).unwrap();
    fs::rename(&aside, b).unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_is_not_the_groups_is_named() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let verify = ["verify", text(&data)];
    let [older, newer] = &checkpoints(&data, "0")[..] else {
        panic!("not two")
    };
    // One group's for another's.
    let others = [data.join("checkpoints/0"), data.join("checkpoints/1")];
    swap(&others[0], &others[1]);
    fails(&verify, &["group "]);
    swap(&others[0], &others[1]);
    // The live store for the newer checkpoint: then that is an older store.
    let live = data.join("groups/0");
    let position = live_position(&data);
    swap(&live, newer);
    fails(&verify, &[text(newer), "holds another one"]);
    let as_live = newer.with_file_name(format!("00ffffff-{position:016x}"));
    fs::rename(newer, &as_live).unwrap();
    fails(&verify, &[text(&as_live), "was replaced by an older one"]);
    fs::rename(&as_live, newer).unwrap();
    swap(&live, newer);
    succeeds(&verify);
    // Under a name that says another position.
    let name = older.file_name().unwrap().to_str().unwrap().to_owned();
    let renamed = older.with_file_name(format!("{}f", &name[..name.len() - 1]));
    fs::rename(older, &renamed).unwrap();
    fails(&verify, &[text(&renamed), "holds another one"]);
    fs::rename(&renamed, older).unwrap();
    fs::remove_file(older.join("CURRENT")).unwrap();
    fails(&verify, &[text(older)]);
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for path in [dir.path(), &missing, Path::new("/dev/null")] {
        fails(&["verify", text(path)], &["no data directory of ironhorse"]);
        fails(&["inspect", text(path), "tables"], &["no data directory"]);
        fails(&["inspect", text(path), "segments"], &[text(path)]);
        fails(&["inspect", text(path), "partitions"], &[text(path)]);
    }
    assert!(!missing.exists() && files(dir.path()).is_empty());
    fs::write(dir.path().join("ironhorse.json"), "{}").unwrap();
    fails(&["verify", text(dir.path())], &["damaged"]);
}

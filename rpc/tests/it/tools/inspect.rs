//! What is in a directory can be read.

use super::*;

#[tokio::test]
async fn segments_partitions_tables_and_rows_are_shown() {
    let dir = prepared().await;
    let data = data_dir(&dir);
    let inspect = |words: &[&str]| succeeds(&[&["inspect", text(&data)], words].concat());
    let segments = inspect(&["segments"]);
    assert!(
        segments.contains("0000000000000001.log") && segments.contains("clean"),
        "{segments}"
    );
    let partitions = inspect(&["partitions"]);
    for name in ["commands 0", "changelog 1", "changelog metadata"] {
        assert!(partitions.contains(name), "{partitions}");
    }
    let tables = inspect(&["tables"]);
    for word in [
        "group metadata",
        "wfSpec",
        "wfRun",
        "threadRun",
        "2 checkpoints",
        "index",
    ] {
        assert!(tables.contains(word), "{tables}");
    }
    let all = inspect(&[]);
    assert!(all.contains("clean") && all.contains("changelog 1") && all.contains("wfRun"));
    let run = inspect(&["key", "wfRun", "late-3"]);
    for word in [
        "wfRun, key default late-3",
        "from the store",
        "\"wfRun\": {",
        "\"COMPLETED\"",
    ] {
        assert!(run.contains(word), "{word}: {run}");
    }
    assert!(inspect(&["key", "wfSpec", "t", "0", "0"]).contains("\"name\": \"t\""));
    inspect(&["key", "nodeRun", "late-3", "0", "0"]);
    inspect(&["key", "principal", "anonymous"]);
    let fails_with = |words: &[&str], said: &str| {
        fails(&[&["inspect", text(&data), "key"], words].concat(), &[said]);
    };
    fails_with(&["wfRun", "none"], "no such row");
    fails_with(&["wfRun", "late-3", "--tenant", "other"], "no such row");
    fails_with(&["nodeRun", "late-3", "x", "0"], "names no row");
    fails_with(&["nonsense"], "wfRun RUN");

    // A row that is only in the log; and beside a running server what does not need its stores.
    let mut server = ServerProcess::spawn(&data, 2);
    let mut client = connect(&server.address()).await;
    client.run("t", "newest-1").await;
    client.run("t", "newest-2").await;
    assert!(inspect(&["segments"]).contains("frames"));
    assert!(inspect(&["partitions"]).contains("changelog 0"));
    fails(&["inspect", text(&data), "tables"], &["in use"]);
    server.kill();
    let run = inspect(&["key", "wfRun", "newest-2"]);
    assert!(run.contains("\"COMPLETED\""), "{run}");
    let segment = data.join("log/0000000000000001.log");
    flip(&segment, 60);
    fails(
        &["inspect", text(&data), "segments"],
        &["damaged", "offset 0"],
    );
}

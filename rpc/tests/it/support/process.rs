//! A server as a process of its own, which a test may kill.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ironhorse");

/// A running `ironhorse server`. It is killed when this is dropped.
pub struct ServerProcess {
    child: Child,
    /// What it says on standard error, line by line.
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl ServerProcess {
    /// Starts a server on ports that the system chooses.
    pub fn spawn(data_dir: &Path, groups: u16) -> ServerProcess {
        ServerProcess::spawn_with(data_dir, groups, &[])
    }

    /// The same, with more flags.
    pub fn spawn_with(data_dir: &Path, groups: u16, flags: &[&str]) -> ServerProcess {
        let mut child = Command::new(BINARY)
            .args(["server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--log-format", "json", "--groups", &groups.to_string()])
            .arg("--data-dir")
            .arg(data_dir)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        ServerProcess {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until it serves; returns where.
    pub fn address(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = served_at(&line);
                    self.said.push(line);
                    if let Some(address) = found {
                        return address;
                    }
                }
                Err(error) => panic!("it does not serve ({error}): {:#?}", self.said),
            }
        }
    }

    /// SIGTERM.
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end by itself, and returns all that it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        };
        self.said.extend(self.lines.iter());
        (status, self.said.join("\n"))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that says so.
fn served_at(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    if fields.get("message")? != "serving" {
        return None;
    }
    Some(fields.get("grpc")?.as_str()?.to_owned())
}

/// Where a server of this test keeps its data.
pub fn data_dir(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("data")
}

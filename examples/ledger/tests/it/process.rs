//! The command `ledger` as a process of its own, which a test may kill.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running `ledger DIR`. It is killed when this is dropped.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    answers: mpsc::Receiver<(String, String)>,
}

impl Process {
    pub fn spawn(dir: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ledger"))
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, answers) = mpsc::channel();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            // A line that was cut off by the kill is no answer.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                let (asked, answer) = line.trim_end().split_once(": ").unwrap();
                if sender.send((asked.to_owned(), answer.to_owned())).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Process {
            input: child.stdin.take(),
            child,
            answers,
        }
    }

    /// Asks without waiting. The process may be dead.
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        let _ = writeln!(input, "{line}");
    }

    /// The next answer, with what was asked.
    pub fn next(&mut self) -> (String, String) {
        self.answers.recv_timeout(PATIENCE).unwrap()
    }

    /// Asks and waits for the answer; nothing else is under way.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        let (asked, answer) = self.next();
        assert_eq!(asked, line);
        answer
    }

    /// SIGKILL. Returns the answers that had left.
    pub fn kill(mut self) -> Vec<(String, String)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.answers.iter().collect()
    }

    /// No more input: it ends by itself, in good order.
    pub fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

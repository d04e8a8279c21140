//! The ids of TaskRuns and UserTaskRuns within their WfRun.

use index::key::{KeyError, KeyReader, KeyWriter};

/// `TaskRunId.task_guid`: `<thread>-<position>`, or `ut-<thread>-<position>-<n>` for a reminder (spec 04, section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskGuid {
    thread: i32,
    position: i32,
    reminder: Option<i32>,
}

impl TaskGuid {
    /// Of the TaskRun of a TASK node.
    pub fn of_node(thread: i32, position: i32) -> TaskGuid {
        TaskGuid {
            thread,
            position,
            reminder: None,
        }
    }

    /// Of the TaskRun of a reminder: `event` is its index in the audit log of the UserTaskRun.
    pub fn of_reminder(at: UserTaskAt, event: i32) -> TaskGuid {
        TaskGuid {
            thread: at.thread,
            position: at.position,
            reminder: Some(event),
        }
    }

    /// Whether it is a reminder, on which no NodeRun waits.
    pub fn is_reminder(self) -> bool {
        self.reminder.is_some()
    }

    /// The ThreadRun that it is a task of.
    pub fn thread(self) -> i32 {
        self.thread
    }

    /// Reads the text form; only the canonical one is accepted, so that one TaskRun has one key.
    pub fn parse(text: &str) -> Option<TaskGuid> {
        let (numbers, is_reminder) = match text.strip_prefix("ut-") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut parts = numbers.split('-').map(number);
        let guid = TaskGuid {
            thread: parts.next()??,
            position: parts.next()??,
            reminder: if is_reminder {
                Some(parts.next()??)
            } else {
                None
            },
        };
        parts.next().is_none().then_some(guid)
    }

    pub(super) fn write(self, key: &mut KeyWriter) {
        key.u8(u8::from(self.reminder.is_some()))
            .i32(self.thread)
            .i32(self.position);
        if let Some(n) = self.reminder {
            key.i32(n);
        }
    }

    pub(super) fn read(reader: &mut KeyReader<'_>) -> Result<TaskGuid, KeyError> {
        let is_reminder = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(reader.malformed()),
        };
        let mut number = || match reader.i32()? {
            // The text form has no signs.
            negative if negative < 0 => Err(reader.malformed()),
            number => Ok(number),
        };
        Ok(TaskGuid {
            thread: number()?,
            position: number()?,
            reminder: if is_reminder { Some(number()?) } else { None },
        })
    }
}

/// `UserTaskRunId.user_task_guid`: `<thread>-<position>` of its NodeRun (spec 06, section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserTaskAt {
    /// The NodeRun's thread.
    pub thread: i32,
    /// The NodeRun's position.
    pub position: i32,
}

impl UserTaskAt {
    /// Reads the text form; only the canonical one is accepted.
    pub fn parse(text: &str) -> Option<UserTaskAt> {
        let (thread, position) = text.split_once('-')?;
        Some(UserTaskAt {
            thread: number(thread)?,
            position: number(position)?,
        })
    }

    pub(super) fn read(reader: &mut KeyReader<'_>) -> Result<UserTaskAt, KeyError> {
        let (thread, position) = (reader.i32()?, reader.i32()?);
        if thread < 0 || position < 0 {
            return Err(reader.malformed());
        }
        Ok(UserTaskAt { thread, position })
    }
}

impl std::fmt::Display for UserTaskAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.thread, self.position)
    }
}

/// A number as it is printed: no sign, no needless zeros. (No thread and no position is negative.)
fn number(text: &str) -> Option<i32> {
    let is_canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_canonical)
}

impl std::fmt::Display for TaskGuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reminder {
            None => write!(f, "{}-{}", self.thread, self.position),
            Some(n) => write!(f, "ut-{}-{}-{n}", self.thread, self.position),
        }
    }
}

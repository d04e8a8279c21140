//! What people do with a UserTaskRun (spec 06, section 8): a file for each kind of command.

pub mod assign;
pub mod cancel;
pub mod comment;
pub mod complete;
pub mod save;

use proto::littlehorse::user_task_event::Event;
use proto::littlehorse::{UserTaskRun, UserTaskRunId, UserTaskRunStatus};
use runtime::Rejection;

use super::split_wf_run_id;
use crate::key::UserTaskAt;
use crate::record;
use crate::run::{Run, Unit};
use crate::user_task::{self, check_size, is_blank};

/// How many of the last requests a UserTaskRun remembers. A command is repeated when an owner changes, and few others come
/// in between.
const MAX_REQUESTS: usize = 8;

/// The UserTaskRun that a request is about.
struct Target {
    run: Run,
    at: UserTaskAt,
    /// As in the request.
    id: UserTaskRunId,
    /// This very request has changed it already, and is executed again after a change of owner.
    is_repeat: bool,
}

impl Target {
    fn find(unit: &mut Unit<'_, '_>, id: Option<UserTaskRunId>) -> Result<Target, Rejection> {
        let mut id = id.unwrap_or_default();
        let wf_run_id = split_wf_run_id(id.wf_run_id.take().unwrap_or_default());
        id.wf_run_id = Some(wf_run_id.clone());
        let unknown = || Rejection::not_found(format!("UserTaskRun {id} does not exist"));
        let at = UserTaskAt::parse(&id.user_task_guid).ok_or_else(unknown)?;
        let run = Run::new(unit.tenant.name, &wf_run_id);
        if !unit.exists(&run)? {
            return Err(unknown());
        }
        let request_id = unit.context.request_id().0.to_be_bytes();
        let row = user_task::find(unit, &run, at)?.ok_or_else(unknown)?;
        let is_repeat = row.request_ids.iter().any(|id| id[..] == request_id);
        Ok(Target {
            run,
            at,
            id,
            is_repeat,
        })
    }

    /// As it is now.
    fn get<'u>(&self, unit: &'u mut Unit<'_, '_>) -> Result<&'u UserTaskRun, Rejection> {
        user_task::get_mut(unit, &self.run, self.at).map(|user_task| &*user_task)
    }

    fn status(&self, unit: &mut Unit<'_, '_>) -> Result<UserTaskRunStatus, Rejection> {
        Ok(self.get(unit)?.status())
    }

    /// It has ended, and what is asked for needs an open one.
    fn refuse_ended(&self, status: UserTaskRunStatus, what: &str) -> Rejection {
        Rejection::precondition(format!(
            "UserTaskRun {} cannot be {what}: it is {}",
            self.id,
            status.as_str_name()
        ))
    }

    /// Appends what the request did to its log. What it has come to.
    fn logged(self, unit: &mut Unit<'_, '_>, event: Event) -> Result<UserTaskRun, Rejection> {
        user_task::log(unit, &self.run, self.at, event)?;
        self.changed(unit)?;
        check_size(unit, &self.run, self.at)?;
        self.public(unit)
    }

    /// Remembers the request that has changed it.
    fn changed(&self, unit: &mut Unit<'_, '_>) -> Result<(), Rejection> {
        let request_id = unit.context.request_id().0.to_be_bytes();
        let row = user_task::row_mut(unit, &self.run, self.at)?;
        if row.request_ids.len() >= MAX_REQUESTS {
            row.request_ids.remove(0);
        }
        row.request_ids.push(request_id.to_vec().into());
        Ok(())
    }

    /// The public message.
    fn public(self, unit: &mut Unit<'_, '_>) -> Result<UserTaskRun, Rejection> {
        let row = user_task::row_mut(unit, &self.run, self.at)?.clone();
        Ok(record::user_task_run::public(self.run.id, self.at, row))
    }
}

/// Refuses a text that is there and blank.
fn check_text(text: Option<&str>, name: &str) -> Result<(), Rejection> {
    match text {
        Some(text) if is_blank(text) => Err(Rejection::invalid(format!("{name} can't be empty"))),
        _ => Ok(()),
    }
}

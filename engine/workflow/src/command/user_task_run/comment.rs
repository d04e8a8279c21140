//! Comments on a UserTaskRun, whatever its status (spec 06, section 8.5). They live in its audit log only.

use proto::littlehorse::user_task_event::{Event, UteCommentDeleted, UteCommented};
use proto::littlehorse::{
    DeleteUserTaskRunCommentRequest, EditUserTaskRunCommentRequest, PutUserTaskRunCommentRequest,
    UserTaskRun, UserTaskRunId,
};
use runtime::{Context, Rejection};

use super::{Target, check_text};
use crate::run::Unit;
use crate::settings::Tenant;
use crate::user_task::is_blank;

pub(in crate::command) fn put(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: PutUserTaskRunCommentRequest,
) -> Result<UserTaskRun, Rejection> {
    let PutUserTaskRunCommentRequest {
        user_task_run_id,
        user_id,
        comment,
    } = command;
    check_text(Some(&user_id), "UserId")?;
    check_text(Some(&comment), "Comment")?;
    note(context, tenant, user_task_run_id, |user_task| {
        let is_new = |event: &&Event| matches!(event, Event::CommentAdded(_));
        Ok(Event::CommentAdded(UteCommented {
            user_comment_id: events(user_task).filter(is_new).count() as i32 + 1,
            user_id,
            comment,
        }))
    })
}

pub(in crate::command) fn edit(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: EditUserTaskRunCommentRequest,
) -> Result<UserTaskRun, Rejection> {
    let EditUserTaskRunCommentRequest {
        user_comment_id,
        user_task_run_id,
        user_id,
        comment,
    } = command;
    check_id(user_comment_id)?;
    check_text(Some(&user_id), "UserId")?;
    check_text(Some(&comment), "Comment")?;
    note(context, tenant, user_task_run_id, |user_task| {
        check_exists(user_task, user_comment_id)?;
        Ok(Event::CommentEdited(UteCommented {
            user_comment_id,
            user_id,
            comment,
        }))
    })
}

pub(in crate::command) fn delete(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    command: DeleteUserTaskRunCommentRequest,
) -> Result<UserTaskRun, Rejection> {
    let DeleteUserTaskRunCommentRequest {
        user_task_run_id,
        user_comment_id,
        user_id,
    } = command;
    check_id(user_comment_id)?;
    if is_blank(&user_id) {
        // Clients' tests know this code.
        return Err(Rejection::precondition("UserId can't be empty"));
    }
    note(context, tenant, user_task_run_id, |user_task| {
        check_exists(user_task, user_comment_id)?;
        Ok(Event::CommentDeleted(UteCommentDeleted {
            user_comment_id,
            user_id,
        }))
    })
}

/// Appends what `event` makes of the UserTaskRun to its log.
fn note(
    context: &mut Context<'_>,
    tenant: Tenant<'_>,
    id: Option<UserTaskRunId>,
    event: impl FnOnce(&UserTaskRun) -> Result<Event, Rejection>,
) -> Result<UserTaskRun, Rejection> {
    let mut unit = Unit::new(context, tenant);
    let target = Target::find(&mut unit, id)?;
    if target.is_repeat {
        return target.public(&mut unit);
    }
    let event = event(target.get(&mut unit)?)?;
    let public = target.logged(&mut unit, event)?;
    unit.finish()?;
    Ok(public)
}

fn events(user_task: &UserTaskRun) -> impl DoubleEndedIterator<Item = &Event> {
    let events = user_task.events.iter();
    events.filter_map(|event| event.event.as_ref())
}

fn check_id(comment: i32) -> Result<(), Rejection> {
    if comment == 0 {
        // An odd code for a missing argument, and what clients know.
        return Err(Rejection::precondition("user_comment_id must be provided"));
    }
    Ok(())
}

/// The comment was put, and what came last of it is no deletion.
fn check_exists(user_task: &UserTaskRun, comment: i32) -> Result<(), Rejection> {
    let is_deleted = events(user_task).rev().find_map(|event| match event {
        Event::CommentAdded(it) | Event::CommentEdited(it) if it.user_comment_id == comment => {
            Some(false)
        }
        Event::CommentDeleted(it) if it.user_comment_id == comment => Some(true),
        _ => None,
    });
    match is_deleted {
        None => Err(Rejection::not_found(format!(
            "Comment {comment} does not exist"
        ))),
        Some(true) => Err(Rejection::precondition(format!(
            "Comment {comment} was deleted"
        ))),
        Some(false) => Ok(()),
    }
}

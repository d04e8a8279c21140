//! Everything that a node evaluates, with the name of its field: one list for the static rules, the stored form and the
//! names in use.

use proto::littlehorse::node::Node as Kind;
use proto::littlehorse::{
    Node, VariableAssignment, exit_node, run_child_wf_node, sleep_node, task_node,
    ut_action_trigger, wait_for_threads_node,
};

/// Writes the walk for shared and for mutable nodes.
macro_rules! walk {
    ($(#[$doc:meta])* $name:ident $task:ident $($mutable:tt)?) => {
        $(#[$doc])*
        pub(crate) fn $name(node: &$($mutable)? Node, visit: &mut dyn FnMut(&str, &$($mutable)? VariableAssignment)) {
            match &$($mutable)? node.node {
                Some(Kind::Task(task)) => $task(task, "", visit),
                Some(Kind::ExternalEvent(event)) => {
                    if let Some(assignment) = &$($mutable)? event.timeout_seconds {
                        visit("timeout_seconds", assignment);
                    }
                    if let Some(assignment) = &$($mutable)? event.correlation_key {
                        visit("correlation_key", assignment);
                    }
                }
                Some(Kind::Exit(exit)) => match &$($mutable)? exit.result {
                    Some(exit_node::Result::ReturnContent(content)) => visit("return_content", content),
                    Some(exit_node::Result::FailureDef(failure)) => {
                        if let Some(content) = &$($mutable)? failure.content {
                            visit("failure content", content);
                        }
                    }
                    None => {}
                },
                Some(Kind::StartThread(start)) => {
                    for (name, assignment) in &$($mutable)? start.variables {
                        visit(&format!("input {name}"), assignment);
                    }
                }
                Some(Kind::StartMultipleThreads(start)) => {
                    if let Some(assignment) = &$($mutable)? start.iterable {
                        visit("iterable", assignment);
                    }
                    for (name, assignment) in &$($mutable)? start.variables {
                        visit(&format!("input {name}"), assignment);
                    }
                }
                Some(Kind::WaitForThreads(wait)) => match &$($mutable)? wait.threads_to_wait_for {
                    Some(wait_for_threads_node::ThreadsToWaitForOneOf::Threads(threads)) => {
                        for (position, thread) in (&$($mutable)? threads.threads).into_iter().enumerate() {
                            if let Some(assignment) = &$($mutable)? thread.thread_run_number {
                                visit(&format!("thread {position}"), assignment);
                            }
                        }
                    }
                    Some(wait_for_threads_node::ThreadsToWaitForOneOf::ThreadList(list)) => visit("thread_list", list),
                    None => {}
                },
                Some(Kind::Sleep(sleep)) => match &$($mutable)? sleep.sleep_length {
                    Some(sleep_node::SleepLength::RawSeconds(length)) => visit("raw_seconds", length),
                    Some(sleep_node::SleepLength::Timestamp(length)) => visit("timestamp", length),
                    Some(sleep_node::SleepLength::IsoDate(length)) => visit("iso_date", length),
                    None => {}
                },
                Some(Kind::UserTask(user_task)) => {
                    for (name, assignment) in [
                        ("user_group", &$($mutable)? user_task.user_group),
                        ("user_id", &$($mutable)? user_task.user_id),
                        ("notes", &$($mutable)? user_task.notes),
                        ("on_cancellation_exception_name", &$($mutable)? user_task.on_cancellation_exception_name),
                    ] {
                        if let Some(assignment) = assignment {
                            visit(name, assignment);
                        }
                    }
                    for (position, action) in (&$($mutable)? user_task.actions).into_iter().enumerate() {
                        if let Some(delay) = &$($mutable)? action.delay_seconds {
                            visit(&format!("action {position}: delay_seconds"), delay);
                        }
                        match &$($mutable)? action.action {
                            Some(ut_action_trigger::Action::Task(task)) => {
                                if let Some(task) = &$($mutable)? task.task {
                                    $task(task, &format!("action {position}: "), visit);
                                }
                            }
                            Some(ut_action_trigger::Action::Reassign(to)) => {
                                if let Some(assignment) = &$($mutable)? to.user_id {
                                    visit(&format!("action {position}: user_id"), assignment);
                                }
                                if let Some(assignment) = &$($mutable)? to.user_group {
                                    visit(&format!("action {position}: user_group"), assignment);
                                }
                            }
                            Some(ut_action_trigger::Action::Cancel(_)) | None => {}
                        }
                    }
                }
                Some(Kind::ThrowEvent(throw)) => {
                    if let Some(content) = &$($mutable)? throw.content {
                        visit("content", content);
                    }
                }
                Some(Kind::RunChildWf(child)) => {
                    if let Some(run_child_wf_node::WfSpec::WfSpecVar(name)) = &$($mutable)? child.wf_spec {
                        visit("wf_spec_var", name);
                    }
                    for (name, assignment) in &$($mutable)? child.inputs {
                        visit(&format!("input {name}"), assignment);
                    }
                    if let Some(id) = &$($mutable)? child.child_id {
                        visit("child_id", id);
                    }
                }
                Some(Kind::WaitForChildWf(wait)) => {
                    if let Some(id) = &$($mutable)? wait.child_wf_run_id {
                        visit("child_wf_run_id", id);
                    }
                }
                // Its condition is walked as an edge's is.
                Some(Kind::WaitForCondition(_)) => {}
                Some(Kind::Entrypoint(_) | Kind::Nop(_)) | None => {}
            }
        }

        fn $task(
            task: &$($mutable)? proto::littlehorse::TaskNode,
            before: &str,
            visit: &mut dyn FnMut(&str, &$($mutable)? VariableAssignment),
        ) {
            if let Some(task_node::TaskToExecute::DynamicTask(name)) = &$($mutable)? task.task_to_execute {
                visit(&format!("{before}dynamic_task"), name);
            }
            for (position, assignment) in (&$($mutable)? task.variables).into_iter().enumerate() {
                visit(&format!("{before}input {position}"), assignment);
            }
        }
    };
}

walk! {
    /// Shows every assignment of a node: its field's name, and itself.
    of_node task_inputs
}
walk! {
    /// As [`of_node`], to be changed.
    of_node_mut task_inputs_mut mut
}

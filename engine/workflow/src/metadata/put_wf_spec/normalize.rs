//! What the server sets or changes in a WfSpec (spec 01, section 9.2).

use proto::littlehorse::{WfSpec, node};

use crate::task::DEFAULT_TIMEOUT_SECONDS;
use crate::value;

pub(super) fn wf_spec(wf_spec: &mut WfSpec) -> Result<(), String> {
    for (thread_name, thread) in &mut wf_spec.thread_specs {
        for var_def in thread
            .variable_defs
            .iter_mut()
            .filter_map(|def| def.var_def.as_mut())
        {
            value::settle_variable(var_def, &value::NoStructs).map_err(|why| {
                format!("Variable {} of thread {thread_name}: {why}", var_def.name)
            })?;
        }
        for node in thread.nodes.values_mut() {
            if let Some(node::Node::Task(task)) = &mut node.node
                && task.timeout_seconds == 0
            {
                task.timeout_seconds = DEFAULT_TIMEOUT_SECONDS;
            }
        }
    }
    Ok(())
}

//! Which WfRun.

use proto::littlehorse::WfRunId;

use crate::key::RunKey;

/// A WfRun that a unit works on.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: WfRunId,
    /// Where its rows are.
    pub key: RunKey,
}

impl Run {
    /// The run with this id, whether it exists or not.
    pub fn new(tenant: &str, id: &WfRunId) -> Run {
        Run {
            id: id.clone(),
            key: RunKey::new(tenant, id),
        }
    }
}

//! ENTRYPOINT: where a thread begins. Completes at once.

use proto::littlehorse::EntrypointRun;
use proto::littlehorse::node_run::NodeType;

use super::Done;

pub(super) fn initial() -> NodeType {
    NodeType::Entrypoint(EntrypointRun {})
}

pub(super) fn poll() -> Done {
    Done::Next
}

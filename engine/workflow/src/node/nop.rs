//! NOP: a place for edges to meet. Completes at once.

use super::Done;

pub(super) fn poll() -> Done {
    Done::Next
}
